// CUDA's threads on a CPU, to check a kernel's arithmetic and its barriers: every thread of the grid is a fiber, and one
// thread of the processor runs them in turns. A fiber goes on until it has to wait; blocks and warps run ahead of each
// other by chance. That which waits for what will never come is given up. What this cannot show is what the memory model
// of a GPU allows.

#include <algorithm>
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#define ON_HOST
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define SHARED(name) Shared& name = *static_cast<Shared*>(current->block->shared)

struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct dim { unsigned x; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int min(int a, int b) { return a < b ? a : b; }

struct Barrier {
    int members = 0, arrived = 0;
    unsigned round = 0;
};

struct Block {
    dim number;
    void* shared;
    Barrier all;
    std::vector<Barrier> warps;
    std::vector<float> slots;    // what a thread hands to the others of its warp, in two turns
};

struct Fiber {
    dim thread;
    Block* block;
    jmp_buf at;
    ucontext_t begin;
    bool started = false, done = false;
    int turn = 0;
};

static Fiber* current;
static dim grid;
static jmp_buf scheduler;
static ucontext_t scheduler_context;
#define threadIdx (current->thread)
#define blockIdx (current->block->number)
#define gridDim grid

static unsigned long long progress;    // whatever a fiber has done that another could wait for

__attribute__((noinline)) static void pass()
{
    if (!_setjmp(current->at)) _longjmp(scheduler, 1);
}

static void meet(Barrier& barrier)
{
    const unsigned round = barrier.round;
    if (++barrier.arrived == barrier.members) {
        barrier.arrived = 0, ++barrier.round, ++progress;
        return;
    }
    while (*static_cast<volatile unsigned*>(&barrier.round) == round) pass();
}

static void __syncthreads() { meet(current->block->all); }
static void __syncwarp() { meet(current->block->warps[threadIdx.x / 32]); }

static float __shfl_xor_sync(unsigned, float value, int distance)
{
    Block& block = *current->block;
    float* const slots = block.slots.data() + (current->turn ^= 1) * block.slots.size() / 2;
    slots[threadIdx.x] = value;
    __syncwarp();
    return slots[threadIdx.x ^ distance];
}

static float __ldcg(const float* from) { return *from; }
static void atomicAdd(float* to, float value) { *to += value; }
static void add(float* to, float a, float b, float c, float d) { to[0] += a, to[1] += b, to[2] += c, to[3] += d; }
static void arrive(unsigned* arrived) { ++*arrived, ++progress; }

static unsigned poll(const unsigned* arrived)
{
    pass();
    return *static_cast<const volatile unsigned*>(arrived);
}

static void (*kernel)();

static void run_fiber()
{
    if (!_setjmp(current->at)) _longjmp(scheduler, 1);
    kernel();
    current->done = true, ++progress;
    _longjmp(scheduler, 1);
}

// Runs `body` in all threads; false if some wait for ever.
static bool launch(unsigned blocks, unsigned threads, size_t shared_bytes, void (*body)())
{
    constexpr size_t STACK = 64 << 10;
    const size_t count = static_cast<size_t>(blocks) * threads;
    char* const stacks = static_cast<char*>(
        mmap(nullptr, count * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stacks == MAP_FAILED) return false;
    kernel = body, grid.x = blocks;
    std::vector<std::vector<float4>> shared(blocks, std::vector<float4>(shared_bytes / 16 + 1));
    std::vector<Block> all(blocks);
    std::vector<Fiber> fibers(count);
    for (unsigned b = 0; b < blocks; ++b) {
        std::memset(static_cast<void*>(shared[b].data()), 0xff, shared_bytes);    // as a GPU leaves it: anything
        all[b] = {{b}, shared[b].data(), {static_cast<int>(threads)}, std::vector<Barrier>(threads / 32, {32}), {}};
        all[b].slots.resize(2 * threads);
        for (unsigned t = 0; t < threads; ++t) {
            Fiber& fiber = fibers[static_cast<size_t>(b) * threads + t];
            fiber.thread.x = t, fiber.block = &all[b];
        }
    }
    // Blocks and warps run ahead of each other, by a chance that is the same in every run: what no barrier keeps apart
    // comes out wrong.
    std::mt19937 random(7);
    std::vector<unsigned> lanes(32);
    std::iota(lanes.begin(), lanes.end(), 0);
    size_t left = count;
    for (unsigned idle = 0; left && idle < 1000000;) {
        const unsigned long long before = progress;
        const size_t first = random() % blocks * threads;    // of a block
        for (unsigned turns = random() % 32; turns; --turns) {
            const size_t warp = first + random() % (threads / 32) * 32;
            std::shuffle(lanes.begin(), lanes.end(), random);
            for (const unsigned lane : lanes) {
                const size_t i = warp + lane;
                current = &fibers[i];
                if (current->done) continue;
                if (!current->started) {
                    current->started = true;
                    getcontext(&current->begin);
                    current->begin.uc_stack = {stacks + i * STACK, 0, STACK};
                    current->begin.uc_link = nullptr;
                    makecontext(&current->begin, run_fiber, 0);
                    if (!_setjmp(scheduler)) swapcontext(&scheduler_context, &current->begin);
                }
                if (!_setjmp(scheduler)) _longjmp(current->at, 1);
                left -= current->done;
            }
        }
        idle = progress == before ? idle + 1 : 0;
    }
    munmap(stacks, count * STACK);
    return left == 0;
}
