// An epoch of training in one kernel that stays on the GPU from its first step to its last.
//
// A step is so little work that starting kernels, and having all of memory agree between them, would take most of its
// time. Here blocks meet at one barrier per step, and everything else stays where it is used. Each of 49 blocks has the
// first layer's weights of 16 pixels, with Adam's moments, in registers for the whole epoch. It adds what its pixels
// bring to the hidden units to sums in the L2 cache. Once all blocks have, each reads the sums back and does the rest
// of the forward and backward pass for the whole batch by itself: that takes less time than to tell another block.
// So the 560 other parameters are in every block, and since all compute the same from the same sums, they stay equal.
//
// The sums are those of the steps modulo 3. After the barrier of a step all blocks have read the sums of the step
// before, so these can be cleared; the next barrier makes that known before the step after the next adds to them.
//
// Blocks must run at the same time: the launch has to be cooperative. A block that waits in vain says so and ends.
//
// In memory: pixels [images, 784] in 0..1; labels [images]; order [count]; parameters and moments as in one tensor:
// fc1 [50, 784], [50], fc2 [10, 50], [10]. RATE, BETA1, BETA2 and EPSILON, which are Adam's, and SHARED_BYTES
// are defined by whoever compiles this.

constexpr int PIXELS = 784, HIDDEN = 50, CLASSES = 10, BATCH = 64;
constexpr int COLUMNS = 16;                                         // pixels per block
constexpr int THREADS = 512, WARP = 32, LANES = THREADS / BATCH;    // 8 lanes per image
constexpr int B1_AT = HIDDEN * PIXELS, W2_AT = B1_AT + HIDDEN, B2_AT = W2_AT + CLASSES * HIDDEN;
// Rows in shared memory: padded to vectors of 4 with zeros, which stay zeros, and chosen so that lanes that read at the
// same time meet in no bank.
constexpr int X_ROW = 24, HIDDEN_ROW = 56, W1_ROW = 60, W2_ROW = 12;
constexpr int UNITS = HIDDEN_ROW / LANES;                           // hidden units per lane of an image
constexpr int UNIT_VECTORS = 13, COLUMN_VECTORS = COLUMNS / 4, CLASS_VECTORS = W2_ROW / 4;
constexpr int SUMS = BATCH * HIDDEN_ROW;                            // of one step
// Who has which gradient: four lanes share a tile of 4 x 4 and then have 4 parameters each; two lanes share 4 biases.
constexpr int W1_TASKS = UNIT_VECTORS * COLUMN_VECTORS * 4, TILE_TASKS = W1_TASKS + UNIT_VECTORS * CLASS_VECTORS * 4;
constexpr int TILE_THREADS = 384, BIAS_THREADS = TILE_THREADS + WARP;
constexpr int PRODUCT_THREADS = 416;                                // 16 groups of images x 13 vectors of units x 2
static_assert(TILE_TASKS <= TILE_THREADS && BIAS_THREADS < THREADS, "the thread after the biases' has the rates");

struct Shared {
    float x[2][BATCH][X_ROW];             // this step's and the next one's pixels
    float hidden[BATCH][HIDDEN_ROW];      // after ReLU
    float back[BATCH][HIDDEN_ROW];        // the loss's gradient before ReLU
    float errors[BATCH][X_ROW];           // its gradient of the scores
    float w1[COLUMNS][W1_ROW];
    float w2[HIDDEN_ROW][W2_ROW];
    float b1[HIDDEN_ROW];
    float b2[W2_ROW];
    float rates[2][2];                    // this step's and the next one's: of the update, of the square root
    int alone;                            // whether other blocks have not come
};
static_assert(sizeof(Shared) <= SHARED_BYTES, "the launch would bring too little shared memory");

#ifndef ON_HOST    // where tests run this file without a GPU, they bring these
#define SHARED(name) extern __shared__ float4 shared_memory[]; Shared& name = *reinterpret_cast<Shared*>(shared_memory)

__device__ __forceinline__ void add(float* to, float a, float b, float c, float d)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};"
                 :: "l"(__cvta_generic_to_global(to)), "f"(a), "f"(b), "f"(c), "f"(d) : "memory");
#else
    atomicAdd(to, a), atomicAdd(to + 1, b), atomicAdd(to + 2, c), atomicAdd(to + 3, d);
#endif
}

// What this block has written is known to all that see it arrive.
__device__ __forceinline__ void arrive(unsigned* arrived)
{
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" :: "l"(__cvta_generic_to_global(arrived)) : "memory");
}

__device__ __forceinline__ unsigned poll(const unsigned* arrived)
{
    unsigned seen;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                 : "=r"(seen) : "l"(__cvta_generic_to_global(arrived)) : "memory");
    return seen;
}
#endif

__device__ __forceinline__ float from_lane(float value, int distance)
{
    return __shfl_xor_sync(0xffffffffu, value, distance);
}

// Of two values the lane keeps one, to which it adds what the lane at `distance` has of it.
__device__ __forceinline__ float shared_out(bool second, float one, float other, int distance)
{
    const float received = from_lane(second ? one : other, distance);
    return (second ? other : one) + received;
}

__device__ __forceinline__ void load4(float (&to)[4], const float* from)
{
    const float4 vector = *reinterpret_cast<const float4*>(from);
    to[0] = vector.x, to[1] = vector.y, to[2] = vector.z, to[3] = vector.w;
}

// The number of the image of a row of the batch; -1 beyond the last.
__device__ __forceinline__ int numbered(const long long* order, int step, int row, int count)
{
    const int at = step * BATCH + row;
    return at < count ? static_cast<int>(order[at]) : -1;
}

// What this block's pixels bring to the hidden units of the batch, added to `sums`: a tile of 4 images x 4 units, of
// which two lanes have half of the pixels each.
__device__ __forceinline__ void begin_hidden(const Shared& s, int now, float* sums, int thread)
{
    const int warp = thread / WARP, lane = thread % WARP, half = lane % 2;
    const int group = warp < 12 ? warp % 4 * 4 + lane / 2 % 4 : lane / 2;
    const int unit = warp < 12 ? (warp / 4 * 4 + lane / 8) * 4 : 48;
    float sum[4][4] = {};
#pragma unroll
    for (int part = 0; part < 2; ++part) {
        const int column = (2 * part + half) * 4;
        float x[4][4], w[4][4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            load4(x[i], &s.x[now][group + 16 * i][column]);
            load4(w[i], &s.w1[column + i][unit]);
        }
#pragma unroll
        for (int pixel = 0; pixel < 4; ++pixel)
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(x[i][pixel], w[pixel][j], sum[i][j]);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float whole[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) whole[j] = shared_out(half, sum[i][j], sum[i + 2][j], 1);
        add(sums + (group + 16 * (i + 2 * half)) * HIDDEN_ROW + unit, whole[0], whole[1], whole[2], whole[3]);
    }
}

// From the sums to the gradients of hidden units and scores, which go to shared memory. Eight lanes have an image, each
// every eighth hidden unit of it, and of the classes the one of its own number and, lanes 0 and 1, 8 or 9.
// Returns the image's loss in the lane that has the label's class, 0 in the others.
__device__ __forceinline__ float forward_and_back(Shared& s, const float* sums, int thread, int label, float share)
{
    const int row = thread / LANES, lane = thread % LANES;
    float hidden[UNITS], score[CLASSES] = {};
#pragma unroll
    for (int i = 0; i < UNITS; ++i) hidden[i] = __ldcg(sums + row * HIDDEN_ROW + lane + LANES * i);
#pragma unroll
    for (int i = 0; i < UNITS; ++i) {
        const int unit = lane + LANES * i;
        hidden[i] = fmaxf(hidden[i] + s.b1[unit], 0.0f);
        s.hidden[row][unit] = hidden[i];
        float w[W2_ROW / 4][4];
#pragma unroll
        for (int k = 0; k < W2_ROW / 4; ++k) load4(w[k], &s.w2[unit][4 * k]);
#pragma unroll
        for (int k = 0; k < CLASSES; ++k) score[k] = fmaf(hidden[i], w[k / 4][k % 4], score[k]);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) score[k] = shared_out(lane & 4, score[k], score[k + 4], 4);
#pragma unroll
    for (int k = 0; k < 2; ++k) score[k] = shared_out(lane & 2, score[k], score[k + 2], 2);
    score[0] = shared_out(lane & 1, score[0], score[1], 1);
#pragma unroll
    for (int k = 8; k < CLASSES; ++k) {
        score[k] += from_lane(score[k], 4);
        score[k] += from_lane(score[k], 2);
    }
    score[8] = shared_out(lane & 1, score[8], score[9], 1);

    const float none = -1e30f;
    const float one = score[0] + s.b2[lane], other = lane < CLASSES - 8 ? score[8] + s.b2[(8 + lane) % W2_ROW] : none;
    float most = fmaxf(one, other);
#pragma unroll
    for (int distance = 1; distance < LANES; distance *= 2) most = fmaxf(most, from_lane(most, distance));
    const float power = expf(one - most), other_power = expf(other - most);    // that of `none` is 0
    float total = power + other_power;
#pragma unroll
    for (int distance = 1; distance < LANES; distance *= 2) total += from_lane(total, distance);
    s.errors[row][lane] = (power / total - (lane == label ? 1.0f : 0.0f)) * share;
    if (lane < 4) s.errors[row][8 + lane] = (other_power / total - (8 + lane == label ? 1.0f : 0.0f)) * share;
    __syncwarp();

    float error[W2_ROW / 4][4];
#pragma unroll
    for (int k = 0; k < W2_ROW / 4; ++k) load4(error[k], &s.errors[row][4 * k]);
#pragma unroll
    for (int i = 0; i < UNITS; ++i) {
        const int unit = lane + LANES * i;
        float w[W2_ROW / 4][4], back = 0.0f;
#pragma unroll
        for (int k = 0; k < W2_ROW / 4; ++k) load4(w[k], &s.w2[unit][4 * k]);
#pragma unroll
        for (int k = 0; k < CLASSES; ++k) back = fmaf(error[k / 4][k % 4], w[k / 4][k % 4], back);
        s.back[row][unit] = hidden[i] > 0.0f ? back : 0.0f;
    }
    if (blockIdx.x || label < 0 || label % 8 != lane) return 0.0f;
    return (logf(total) + most - (label < 8 ? one : other)) * share;
}

// The products left^T right over the batch, of which four lanes have a quarter of the images each and then a row each.
__device__ __forceinline__ void products(float (&gradient)[4], const float* left, const float* right, int quarter)
{
    float sum[4][4] = {};
#pragma unroll 4
    for (int image = 0; image < BATCH; image += 4) {
        float l[4], r[4];
        load4(l, left + image * HIDDEN_ROW);
        load4(r, right + image * X_ROW);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(l[i], r[j], sum[i][j]);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const float first = shared_out(quarter & 2, sum[0][j], sum[2][j], 2);
        const float second = shared_out(quarter & 2, sum[1][j], sum[3][j], 2);
        gradient[j] = shared_out(quarter & 1, first, second, 1);
    }
}

__device__ __forceinline__ void sums_over_batch(float (&gradient)[4], const float* from, int row, int half)
{
    float sum[4] = {};
#pragma unroll 4
    for (int image = half; image < BATCH; image += 2) {
        float one[4];
        load4(one, from + image * row);
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[j] += one[j];
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) gradient[j] = sum[j] + from_lane(sum[j], 1);
}

// Kingma and Ba, Adam, 2015, as torch.optim.Adam computes it.
__device__ __forceinline__ void adam(
    float& weight, float& first, float& second, float gradient, const float (&rates)[2])
{
    first += (gradient - first) * static_cast<float>(1.0 - BETA1);
    second = second * static_cast<float>(BETA2) + static_cast<float>(1.0 - BETA2) * gradient * gradient;
    weight -= rates[0] * first / (sqrtf(second) * rates[1] + static_cast<float>(EPSILON));
}

// power1, power2: BETA1 and BETA2 to the power of the steps that were made before. sums [3, 64, 56], arrived and
// report [2]: zeros at the start. report then has the sum of the steps' mean losses, and 0, or the number of a step,
// from 1, at whose barrier a block has polled `most_polls` times and not seen `blocks` of them.
extern "C" __global__ void __launch_bounds__(THREADS, 1) train_epoch(
    const float* __restrict__ pixels, const long long* __restrict__ labels, const long long* __restrict__ order,
    int count, float* flat, float* first, float* second, double power1, double power2, float* sums, unsigned* arrived,
    float* report, unsigned blocks, unsigned most_polls)
{
    SHARED(s);
    const int thread = threadIdx.x, block = blockIdx.x;
    const int row = thread / LANES, lane = thread % LANES;
    const float* const own_pixels = pixels + block * COLUMNS + 2 * lane;

    for (unsigned i = thread; i < sizeof(Shared) / sizeof(float); i += THREADS) reinterpret_cast<float*>(&s)[i] = 0.0f;
    __syncthreads();

    // The four parameters of a thread: where they lie in memory and in shared memory, and of what their gradient is.
    int at = 0, apart = 0, valid = 0;
    float* to = nullptr;
    int to_apart = 0;
    const float *left = nullptr, *right = nullptr;
    const bool is_w1 = thread < W1_TASKS;
    if (thread < TILE_THREADS) {
        const int tile = (thread < TILE_TASKS ? thread : TILE_TASKS - 1) / 4, quarter = thread % 4;
        if (is_w1) {
            const int unit = tile / COLUMN_VECTORS * 4, column = tile % COLUMN_VECTORS * 4, own = unit + quarter;
            left = &s.back[quarter][unit];
            right = &s.x[0][quarter][column];
            at = own * PIXELS + block * COLUMNS + column, apart = 1, valid = own < HIDDEN ? 4 : 0;
            to = &s.w1[column][own], to_apart = W1_ROW;
        } else {
            const int number = tile - W1_TASKS / 4;
            const int unit = number / CLASS_VECTORS * 4, label = number % CLASS_VECTORS * 4, own = unit + quarter;
            left = &s.hidden[quarter][unit];
            right = &s.errors[quarter][label];
            at = W2_AT + label * HIDDEN + own, apart = HIDDEN, valid = own < HIDDEN ? min(4, CLASSES - label) : 0;
            if (thread < TILE_TASKS) to = &s.w2[own][label], to_apart = 1;
        }
    } else if (thread < BIAS_THREADS) {
        const int vector = thread % WARP / 2, label = (vector - UNIT_VECTORS) * 4;
        const bool is_b1 = vector < UNIT_VECTORS;
        left = is_b1 ? &s.back[0][4 * vector] : &s.errors[0][label];
        at = is_b1 ? B1_AT + 4 * vector : B2_AT + label, apart = 1;
        valid = min(4, is_b1 ? HIDDEN - 4 * vector : CLASSES - label);
        if (thread % 2 == 0) to = is_b1 ? &s.b1[4 * vector] : &s.b2[label], to_apart = 1;
    }
    if (!to) valid = 0;
    float weight[4], moment[4], square[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        weight[i] = i < valid ? flat[at + i * apart] : 0.0f;
        moment[i] = i < valid ? first[at + i * apart] : 0.0f;
        square[i] = i < valid ? second[at + i * apart] : 0.0f;
        if (to) to[i * to_apart] = weight[i];
    }

    const int steps = (count + BATCH - 1) / BATCH;
    int number = numbered(order, 0, row, count), label = number < 0 ? -1 : static_cast<int>(labels[number]);
    if (number >= 0)
        *reinterpret_cast<float2*>(&s.x[0][row][2 * lane]) =
            *reinterpret_cast<const float2*>(own_pixels + static_cast<long long>(number) * PIXELS);
    number = numbered(order, 1, row, count);
    if (thread == BIAS_THREADS) {
        power1 *= BETA1, power2 *= BETA2;
        s.rates[0][0] = static_cast<float>(RATE / (1.0 - power1));
        s.rates[0][1] = static_cast<float>(1.0 / sqrt(1.0 - power2));
    }
    float losses = 0.0f;
    __syncthreads();

    for (int step = 0; step < steps; ++step) {
        const int now = step % 2;
        float* const step_sums = sums + step % 3 * SUMS;
        // Asked for a step ahead, since it takes a microsecond to come.
        float2 ahead = make_float2(0.0f, 0.0f);
        int label_ahead = -1;
        if (number >= 0) {
            ahead = *reinterpret_cast<const float2*>(own_pixels + static_cast<long long>(number) * PIXELS);
            label_ahead = static_cast<int>(labels[number]);
        }
        number = numbered(order, step + 2, row, count);

        if (thread < PRODUCT_THREADS) begin_hidden(s, now, step_sums, thread);
        __syncthreads();
        if (thread == 0) {
            arrive(arrived);
            bool met = false;
            for (unsigned polls = 0; polls < most_polls && !met; ++polls) met = poll(arrived) >= (step + 1) * blocks;
            s.alone = !met;
            if (!met) report[1] = step + 1;
        }
        __syncthreads();
        if (s.alone) return;

        const float share = 1.0f / min(BATCH, count - step * BATCH);
        losses += forward_and_back(s, step_sums, thread, label, label < 0 ? 0.0f : share);
        __syncthreads();
        float gradient[4] = {};
        if (thread < TILE_THREADS) {
            products(gradient, left, right + (is_w1 ? now * BATCH * X_ROW : 0), thread % 4);
        } else if (thread < BIAS_THREADS) {
            sums_over_batch(gradient, left, thread % WARP / 2 < UNIT_VECTORS ? HIDDEN_ROW : X_ROW, thread % 2);
        } else if (thread == BIAS_THREADS) {
            power1 *= BETA1, power2 *= BETA2;
            s.rates[1 - now][0] = static_cast<float>(RATE / (1.0 - power1));
            s.rates[1 - now][1] = static_cast<float>(1.0 / sqrt(1.0 - power2));
        } else {
            // The sums of the step before, which are the ones of the step after the next.
            const int vector = (thread - BIAS_THREADS - 1) * gridDim.x + block;
            if (vector < SUMS / 4)
                reinterpret_cast<float4*>(sums + (step + 2) % 3 * SUMS)[vector] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        }
        if (to) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                adam(weight[i], moment[i], square[i], gradient[i], s.rates[now]);
                to[i * to_apart] = weight[i];
            }
        }
        *reinterpret_cast<float2*>(&s.x[1 - now][row][2 * lane]) = ahead;
        label = label_ahead;
        __syncthreads();
    }

    if (is_w1 || block == 0) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (i < valid) {
                flat[at + i * apart] = weight[i];
                first[at + i * apart] = moment[i];
                second[at + i * apart] = square[i];
            }
        }
    }
    if (block == 0) {
#pragma unroll
        for (int distance = 1; distance < WARP; distance *= 2) losses += from_lane(losses, distance);
        if (thread % WARP == 0) atomicAdd(report, losses);
    }
}
