// bench/ladder/persistent.cu as a library for the CPU; see cuda_on_host.h.

#include "cuda_on_host.h"
#include "persistent.cu"

static struct {
    const float* pixels;
    const long long *labels, *order;
    int count;
    float *flat, *first, *second;
    double power1, power2;
    float* sums;
    unsigned* arrived;
    float* report;
    unsigned blocks, most_polls;
} given;

static void thread_of_grid()
{
    train_epoch(given.pixels, given.labels, given.order, given.count, given.flat, given.first, given.second,
                given.power1, given.power2, given.sums, given.arrived, given.report, given.blocks, given.most_polls);
}

// Returns 1 once all threads have ended, 0 if some wait for ever.
extern "C" int train_epoch_on_host(
    const float* pixels, const long long* labels, const long long* order, int count, float* flat, float* first,
    float* second, double power1, double power2, float* sums, unsigned* arrived, float* report, unsigned blocks,
    unsigned most_polls)
{
    given = {pixels, labels, order, count, flat, first, second,
             power1, power2, sums, arrived, report, blocks, most_polls};
    return launch(PIXELS / COLUMNS, THREADS, sizeof(Shared), thread_of_grid);
}
