/* An epoch of the reference network, 784-50-10 with ReLU, cross-entropy and Adam.

   Vectors of 8 floats by the compiler's own extension, so that any GCC or Clang builds it for any processor. Rows are
   padded with zeros, which stay zeros: 50 hidden units to 56, 10 classes to 16.

   Four fifths of MNIST's pixels are black. They add nothing to a hidden unit and have no gradient, so images are kept as
   lists of their other pixels. Backwards, a pixel's row of the gradient is summed up in registers over the images that
   light it, and goes into Adam from there: the gradient of the largest matrix is never written to memory.

   Threads share a step twice: forwards by images, backwards by rows of the first matrix, each with its moments, so that a
   core keeps its rows in its own cache. In between they wait for each other without sleeping, a few microseconds long. */

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "update_first takes the lowest byte of a word for the first"
#endif

#define PIXELS 784
#define HIDDEN 50
#define CLASSES 10
#define HIDDEN_ROW 56
#define CLASSES_ROW 16
#define HIDDEN_VECTORS (HIDDEN_ROW / 8)
#define BATCH 64
#define FIRST (PIXELS * HIDDEN_ROW) /* parameters of the first matrix; the others follow */
#define SECOND (HIDDEN_ROW + HIDDEN_ROW * CLASSES_ROW + CLASSES_ROW)
#define ALIGNED __attribute__((aligned(64)))
#define THREADS_MOST 8

typedef float vector __attribute__((vector_size(32)));
typedef int mask __attribute__((vector_size(32)));

typedef struct {
    float *b1, *w2, *b2;
} layers;

typedef struct {
    float size, scale, beta1, beta2, epsilon;
} adam;

/* What lies behind the first matrix. */
static layers split(float *second) {
    layers second_layers = {second, second + HIDDEN_ROW, second + HIDDEN_ROW + HIDDEN_ROW * CLASSES_ROW};
    return second_layers;
}

static inline vector all_of(float value) {
    return (vector){value, value, value, value, value, value, value, value};
}

static inline float sum_of(vector v) {
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

/* The pixels of n images that are not black, image after image: start [n + 1], place and value by entry. */
void light_up(const uint8_t *images, long n, int64_t *start, uint16_t *place, uint8_t *value) {
    int64_t count = 0;
    for (long i = 0; i < n; i++) {
        start[i] = count;
        for (int k = 0; k < PIXELS; k++) {
            place[count] = (uint16_t)k;
            value[count] = images[i * PIXELS + k];
            count += images[i * PIXELS + k] != 0;
        }
    }
    start[n] = count;
}

static void hidden_units(const float *w1, const float *b1, const uint16_t *place, const uint8_t *value, long lit,
                         const float *shade, float *hidden) {
    vector sums[HIDDEN_VECTORS];
    for (int j = 0; j < HIDDEN_VECTORS; j++) sums[j] = ((const vector *)b1)[j];
    for (long i = 0; i < lit; i++) {
        const vector *row = (const vector *)(w1 + place[i] * HIDDEN_ROW);
        vector pixel = all_of(shade[value[i]]);
        for (int j = 0; j < HIDDEN_VECTORS; j++) sums[j] += pixel * row[j];
    }
    for (int j = 0; j < HIDDEN_VECTORS; j++)
        ((vector *)hidden)[j] = (vector)((mask)sums[j] & (sums[j] > all_of(0.0f)));
}

/* The loss's gradient by the scores: probabilities less the one-hot label, over the batch. Returns the share of the
   batch's mean loss. */
static float score_gradients(layers w, const float *hidden, long label, float share, float *back) {
    vector low = ((const vector *)w.b2)[0], high = ((const vector *)w.b2)[1];
    for (int k = 0; k < HIDDEN; k++) {
        const vector *row = (const vector *)(w.w2 + k * CLASSES_ROW);
        vector unit = all_of(hidden[k]);
        low += unit * row[0];
        high += unit * row[1];
    }
    ((vector *)back)[0] = low;
    ((vector *)back)[1] = high;
    float most = back[0], sum = 0.0f;
    for (int c = 1; c < CLASSES; c++) most = back[c] > most ? back[c] : most;
    const float below = most - back[label];
    for (int c = 0; c < CLASSES; c++) sum += back[c] = expf(back[c] - most);
    for (int c = 0; c < CLASSES; c++) back[c] *= share / sum;
    for (int c = CLASSES; c < CLASSES_ROW; c++) back[c] = 0.0f;
    back[label] -= share;
    return (logf(sum) + below) * share;
}

/* Adds one image's gradients behind the first matrix; its hidden units' gradients go to `units`. */
static void backward(layers w, layers g, const float *hidden, const float *back, float *units) {
    vector low = ((const vector *)back)[0], high = ((const vector *)back)[1];
    ((vector *)g.b2)[0] += low;
    ((vector *)g.b2)[1] += high;
    for (int k = 0; k < HIDDEN; k++) {
        const vector *row = (const vector *)(w.w2 + k * CLASSES_ROW);
        vector *row_gradient = (vector *)(g.w2 + k * CLASSES_ROW);
        vector unit = all_of(hidden[k]);
        row_gradient[0] += unit * low;
        row_gradient[1] += unit * high;
        units[k] = hidden[k] > 0.0f ? sum_of(low * row[0] + high * row[1]) : 0.0f;
    }
    for (int j = 0; j < HIDDEN_VECTORS; j++) ((vector *)g.b1)[j] += ((const vector *)units)[j];
}

/* Kingma and Ba, Adam, 2015, in the order of operations of torch.optim.Adam. */
static inline void update(float *restrict weight, const float *restrict gradient, float *restrict first,
                          float *restrict second, int count, adam a) {
    for (int i = 0; i < count; i++) {
        const float g = gradient[i];
        const float m = first[i] + (1.0f - a.beta1) * (g - first[i]);
        const float v = a.beta2 * second[i] + (1.0f - a.beta2) * g * g;
        first[i] = m;
        second[i] = v;
        weight[i] -= a.size * m / (sqrtf(v) * a.scale + a.epsilon);
    }
}

/* What a thread has for itself, on cache lines of its own. */
typedef struct {
    float gradient[SECOND] ALIGNED;         /* of what lies behind the first matrix, by its images */
    float units[BATCH * HIDDEN_ROW] ALIGNED; /* hidden units' gradients of its images */
    uint8_t tile[PIXELS * BATCH] ALIGNED;    /* their pixels, [PIXELS, room], room a multiple of 8 */
    float loss;                              /* theirs of the batches' mean losses, summed up */
} own;

typedef struct {
    const int64_t *start;
    const uint16_t *place;
    const uint8_t *value;
    const int64_t *labels, *order;
    long n;
    float *weights, *first, *second;
    int64_t *steps;
    float rate, beta1, beta2, epsilon;
    atomic_int threads; /* -1: there could not be so many */
    atomic_int begun, arrived, round;
    float shade[256];
    own each[THREADS_MOST];
} training;

typedef struct {
    training *all;
    int rank;
} share;

static void wait_for_all(training *t) {
    const int round = atomic_load_explicit(&t->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&t->arrived, 1, memory_order_acq_rel) == t->threads - 1) {
        atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&t->round, round + 1, memory_order_release);
    } else {
        while (atomic_load_explicit(&t->round, memory_order_acquire) == round) {
        }
    }
}

/* Images from `begin` to `end`, `count` being in the batch. */
static void forwards(training *t, own *mine, long begin, long end, long count, int room) {
    float hidden[HIDDEN_ROW] ALIGNED, back[CLASSES_ROW] ALIGNED;
    const layers w = split(t->weights + FIRST), g = split(mine->gradient);
    memset(mine->gradient, 0, sizeof mine->gradient);
    memset(mine->tile, 0, (size_t)(PIXELS * room));
    for (long i = begin; i < end; i++) {
        const long at = t->order[i], lit = t->start[at + 1] - t->start[at], r = i - begin;
        const uint16_t *places = t->place + t->start[at];
        const uint8_t *values = t->value + t->start[at];
        hidden_units(t->weights, w.b1, places, values, lit, t->shade, hidden);
        mine->loss += score_gradients(w, hidden, t->labels[at], 1.0f / (float)count, back);
        backward(w, g, hidden, back, mine->units + r * HIDDEN_ROW);
        for (long p = 0; p < lit; p++) mine->tile[places[p] * room + r] = values[p];
    }
}

/* Gradient and update of the first matrix's rows from `begin` to `end`. */
static void update_rows(training *t, int begin, int end, int room, adam a) {
    for (int k = begin; k < end; k++) {
        vector sums[HIDDEN_VECTORS] = {0};
        for (int rank = 0; rank < t->threads; rank++) {
            const own *theirs = &t->each[rank];
            for (int word = 0; word < room / 8; word++) {
                uint64_t lit;
                memcpy(&lit, theirs->tile + k * room + 8 * word, 8);
                while (lit) {
                    const int byte = __builtin_ctzll(lit) / 8;
                    const vector pixel = all_of(t->shade[(uint8_t)(lit >> (8 * byte))]);
                    const vector *row = (const vector *)(theirs->units + (8 * word + byte) * HIDDEN_ROW);
                    for (int j = 0; j < HIDDEN_VECTORS; j++) sums[j] += pixel * row[j];
                    lit &= ~(UINT64_C(255) << (8 * byte));
                }
            }
        }
        const int at = k * HIDDEN_ROW;
        update(t->weights + at, (const float *)sums, t->first + at, t->second + at, HIDDEN_ROW, a);
    }
}

static void *work(void *given) {
    training *t = ((share *)given)->all;
    while (!atomic_load(&t->begun))
        if (atomic_load(&t->threads) < 0) return 0;
    const int rank = ((share *)given)->rank, threads = t->threads;
    const int images = (BATCH + threads - 1) / threads, room = (images + 7) / 8 * 8;
    const int rows = (PIXELS + threads - 1) / threads, last_row = (rank + 1) * rows;
    float step = (float)*t->steps;
    for (long begin = 0; begin < t->n; begin += BATCH) {
        const long end = begin + BATCH < t->n ? begin + BATCH : t->n;
        const long mine = begin + rank * images < end ? begin + rank * images : end;
        const long next = mine + images < end ? mine + images : end;
        forwards(t, &t->each[rank], mine, next, end - begin, room);
        wait_for_all(t);
        step += 1.0f;
        const adam a = {t->rate / (1.0f - powf(t->beta1, step)), 1.0f / sqrtf(1.0f - powf(t->beta2, step)), t->beta1,
                        t->beta2, t->epsilon};
        update_rows(t, rank * rows, last_row < PIXELS ? last_row : PIXELS, room, a);
        if (rank == threads - 1) {
            float *sum = t->each[rank].gradient;
            for (int other = 0; other < rank; other++)
                for (int i = 0; i < SECOND; i++) sum[i] += t->each[other].gradient[i];
            update(t->weights + FIRST, sum, t->first + FIRST, t->second + FIRST, SECOND, a);
        }
        wait_for_all(t);
    }
    return 0;
}

/* Images as `light_up` has them, labels [n], order [n]; weights, first and second moments [FIRST + SECOND]; loss [1]
   gets the sum of the batches' mean losses. Returns 0, or 1 if there could not be so many threads, and then nothing is trained. */
int train_epoch(const int64_t *start, const uint16_t *place, const uint8_t *value, const int64_t *labels,
                const int64_t *order, long n, float *weights, float *first, float *second, int64_t *steps, float *loss,
                float rate, float beta1, float beta2, float epsilon, int threads) {
    static training t;
    t.start = start, t.place = place, t.value = value, t.labels = labels, t.order = order, t.n = n;
    t.weights = weights, t.first = first, t.second = second, t.steps = steps;
    t.rate = rate, t.beta1 = beta1, t.beta2 = beta2, t.epsilon = epsilon;
    t.threads = threads < THREADS_MOST ? threads : THREADS_MOST;
    for (int i = 0; i < 256; i++) t.shade[i] = (float)i / 255.0f;
    for (int rank = 0; rank < THREADS_MOST; rank++) t.each[rank].loss = 0.0f;
    pthread_t helpers[THREADS_MOST];
    share shares[THREADS_MOST];
    for (int rank = 0; rank < t.threads; rank++) {
        shares[rank].all = &t, shares[rank].rank = rank;
        if (rank > 0 && pthread_create(&helpers[rank], 0, work, &shares[rank])) {
            t.threads = -1; /* those that are there see it and leave */
            for (int other = 1; other < rank; other++) pthread_join(helpers[other], 0);
            return 1;
        }
    }
    atomic_store(&t.begun, 1);
    work(&shares[0]);
    for (int rank = 1; rank < t.threads; rank++) pthread_join(helpers[rank], 0);
    atomic_store(&t.begun, 0);
    *steps += (n + BATCH - 1) / BATCH;
    *loss = 0.0f;
    for (int rank = 0; rank < t.threads; rank++) *loss += t.each[rank].loss;
    return 0;
}
