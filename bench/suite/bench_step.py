"""The training step, its parts, and every other workload whose repetition is a step."""

from collections.abc import Callable

from bench.axes.workloads import WORKLOADS, Workload

Run = Callable[[str], None]


def _benchmark(row: Workload) -> Callable[[str, Run], None]:
    def run(planned: str, run_case: Run) -> None:
        run_case(planned)

    run.__name__, run.__doc__ = f"bench_{row.name}", row.meaning
    return run


# pytest finds benchmarks by their names here: `bench_step` and the like.
globals().update({f"bench_{row.name}": _benchmark(row) for row in WORKLOADS.values() if row.repetition == "step"})
