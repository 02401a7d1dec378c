"""Two probes of how fast a GPU can do one thing after another: what a step waits for before the next can begin.

Neither FLOPs nor bytes bound a training of small steps on a GPU: each step needs the weights of the one before, so
something that all of the GPU waits for lies between them. There are two such things: the end of a kernel and the
beginning of the next, at best in a CUDA graph, and a barrier that all blocks of one kernel cross.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import torch

from bench.errors import BenchError
from bench.measure import nvrtc
from bench.measure.clock import Clock
from bench.measure.probe import ReadyProbe

NODES = 1000
BARRIERS = 2000
WARP = 32  # threads per block: as few as there are, so that waiting for each other within a block costs nothing
# Looks at the counter before a block gives up: about a second, where a barrier takes a microsecond.
PATIENCE = 1 << 21
# Each block adds its one and looks until all have. The counter only grows, so that a block which is already at the next
# barrier does no harm. Release and acquire make what was written before a barrier visible behind it, as a step needs.
SOURCE = """
extern "C" __global__ void cross_barriers(unsigned *arrived, unsigned *given_up, unsigned count, unsigned patience) {
    __shared__ bool alone;
    if (threadIdx.x == 0) alone = false;
    for (unsigned number = 1; number <= count; ++number) {
        __syncthreads();
        if (threadIdx.x == 0) {
            const unsigned wanted = number * gridDim.x;
            unsigned seen, looks = 0;
            asm volatile("red.release.gpu.global.add.u32 [%0], 1;" :: "l"(arrived) : "memory");
            do asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrived) : "memory");
            while (seen < wanted && ++looks < patience);
            if (seen < wanted) {
                alone = true;
                atomicAdd(given_up, 1u);
            }
        }
        __syncthreads();
        if (alone) return;
    }
}
"""


def graph_node(device: str, clock: Clock) -> ReadyProbe:
    """A CUDA graph of kernels that do next to nothing, each of which waits for the one before.

    The kernel is the smallest that torch has: it writes one number. Captured on one stream, they form a chain.
    """
    number = torch.zeros((), device=device)
    return ReadyProbe(in_a_graph(lambda: number.fill_(1.0), NODES), NODES)


def in_a_graph(repeat: Callable[[], object], repetitions: int) -> Callable[[], object]:
    """What replays so many repetitions, one after the other, as one CUDA graph; it has been replayed once.

    It keeps `repeat`, and so the tensors that this works on: a graph writes to their memory, and keeps none of them.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        repeat()  # what only the first call does must not be captured
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repetitions):
            repeat()
    graph.replay()  # the first one also brings the graph to the GPU
    return functools.partial(_replay, graph, repeat)


def _replay(graph: torch.cuda.CUDAGraph, kept: object) -> None:
    graph.replay()


def grid_barrier(device: str, clock: Clock) -> ReadyProbe:
    """A cooperative launch of one block per multiprocessor, in which all cross many barriers.

    `check` raises BenchError where a block has waited in vain, or not all have arrived.
    """
    kernel = nvrtc.compile(SOURCE, "cross_barriers")
    blocks = torch.cuda.get_device_properties(device).multi_processor_count
    # Of 32 bits without a sign in the kernel; both counts are far below their end.
    arrived, given_up = (torch.zeros(1, dtype=torch.int32, device=device) for _ in range(2))
    limits = ctypes.c_uint(BARRIERS), ctypes.c_uint(PATIENCE)

    def repeat() -> None:
        arrived.zero_()
        nvrtc.launch_cooperative(kernel, blocks, WARP, [arrived, given_up, *limits])

    def check() -> None:
        if int(given_up) or int(arrived) != BARRIERS * blocks:
            raise BenchError(
                f"of {BARRIERS:,} barriers with {blocks} blocks, {int(arrived):,} arrivals were counted, and "
                f"{int(given_up)} blocks had waited in vain"
            )

    return ReadyProbe(repeat, BARRIERS, check)
