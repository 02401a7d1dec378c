"""Makes the planned cases into tests that pytest-benchmark knows, and plays the run's rounds to it.

The rounds are measured once for all selected cases, before the first test; a test then tells how its case went.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench import console, interruption
from bench.axes import matrix
from bench.axes.case import Case, case_id
from bench.errors import BenchError
from bench.suite.plugin import PREFIX
from bench.suite.plugin import options as _options

if TYPE_CHECKING:
    from bench.record.measurement import Measurement
    from bench.record.model import Record

_measured = pytest.StashKey["Measured"]()


class Tape:
    """A timer for pytest-benchmark that plays back the blocks which our clock has timed.

    There is one clock, in `bench.measure`; pytest-benchmark's fixture reads its timer before and after each round, so a
    timer that answers with the recorded times makes its table, JSON and comparisons show the very same samples as the
    record.
    """

    def __init__(self) -> None:
        self._readings: Iterator[float] = iter(())

    def load(self, blocks_seconds: list[float]) -> None:
        """Plays these durations next, one a round."""
        self._readings = iter([reading for seconds in blocks_seconds for reading in (0.0, seconds)])

    def __call__(self) -> float:
        """The next reading, in seconds."""
        return next(self._readings)


TAPE = Tape()


@dataclass
class Measured:
    """What a run under pytest has measured, and where it is."""

    record: Record
    folder: Path


def _planned(config: pytest.Config) -> dict[str, Case]:
    options = _options(config)
    devices = matrix.devices_here()
    return {case_id(case): case for case in matrix.cases(options, options["plan"], devices)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes every planned case of a benchmark's workload a test with the case's id."""
    if "planned" in metafunc.fixturenames:
        workload = metafunc.function.__name__.removeprefix("bench_")
        ids = [id for id, case in _planned(metafunc.config).items() if case.workload == workload]
        metafunc.parametrize("planned", ids, ids=[id.partition("[")[2].rstrip("]") for id in ids])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gives benchmarks our timer and group and the plan's order; drops workloads that the matrix does not hold."""
    planned = _planned(config)
    benchmarks = [item for item in items if "planned" in getattr(item, "fixturenames", ())]
    unplanned = [item for item in benchmarks if _planned_id(item) not in planned]
    for item in benchmarks:
        item.add_marker(pytest.mark.benchmark(timer=TAPE, group=item.name.partition("[")[0]))
    if unplanned:
        config.hook.pytest_deselected(items=unplanned)
    order = {id: number for number, id in enumerate(planned)}
    kept = sorted(
        (item for item in benchmarks if item not in unplanned), key=lambda item: order[str(_planned_id(item))]
    )
    items[:] = [item for item in items if item not in benchmarks] + kept


def _planned_id(item: pytest.Item) -> str | None:
    planned = item.callspec.params["planned"]  # type: ignore[attr-defined]
    return planned if isinstance(planned, str) else None  # pytest's own marker stands for an empty matrix


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test: measures the selected cases, if benchmarks are to run at all.

    Here and not in a fixture: no test is charged with the time of all.
    """
    config = session.config
    chosen = {_planned_id(item) for item in session.items if "planned" in getattr(item, "fixturenames", ())} - {None}
    off = any(config.getoption(name, False) for name in ("collectonly", "benchmark_disable"))
    off |= config.getoption("benchmark_skip", False) and not config.getoption("benchmark_only", False)
    if not chosen or off or session.testsfailed:
        return
    try:
        with interruption.noticed(), interruption.deferred():
            measured = _measure(config, chosen)
    except BenchError as error:
        pytest.exit(str(error), returncode=error.exit_code)
    if measured:
        config.stash[_measured] = measured


def _measure(config: pytest.Config, chosen: set[Any]) -> Measured | None:
    """Measures the cases of these ids; None if nothing was measured."""
    from bench.record.folding import folded
    from bench.suite import header, history, saving, session

    options = _options(config)
    with session.workers_of(options) as workers:
        with interruption.allowed():
            surveyed = header.survey(workers, options, options["plan"], chosen.__contains__)
        effort, groups = surveyed.plan.effort, surveyed.plan.shares
        command = shlex.join(effort.added_to(["pytest", *config.invocation_params.args], groups, PREFIX))
        folder, journal = saving.begin(header.first_line(surveyed, command, options["dataset"]), options["results"])
        stopped = False
        try:
            with interruption.allowed():
                session.Session(workers, journal, surveyed.plan).measure()
        except KeyboardInterrupt:
            stopped = True
        record = history.with_history(folded(journal.lines), options["results"])
        if record.measurements:
            folder = saving.save(record, journal, folder)
        elif stopped or all(gap.kind == "impossible" for gap in record.unmeasured):
            saving.discard(journal, folder)
        if stopped and not record.measurements:
            raise KeyboardInterrupt
        return Measured(record, folder)


@pytest.fixture
def run_case(benchmark: Any, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Plays a planned case's samples to pytest-benchmark; skips it with the reason if there are none."""

    def run(planned: str) -> None:
        if benchmark.disabled:
            benchmark(_try_once, request.config, planned)
            return
        measured = request.config.stash[_measured].record
        gaps = {gap.id: gap for gap in measured.unmeasured}
        if planned not in gaps:
            play(benchmark, next(m for m in measured.measurements if m.id == planned))
        elif gaps[planned].kind == "failed":
            pytest.fail(gaps[planned].reason, pytrace=False)
        else:
            pytest.skip(gaps[planned].reason)

    return run


def _try_once(config: pytest.Config, id: str) -> None:
    """Runs one repetition of a case: does it work at all?"""
    from bench.suite import header, session

    options = _options(config)
    with session.workers_of(options) as workers:
        surveyed = header.survey(workers, options, options["plan"], {id}.__contains__)
        if reason := surveyed.facts["impossible"][id]:
            pytest.skip(reason)
        if reason := session.try_once(workers, surveyed.possible[id]):
            pytest.fail(reason, pytrace=False)


def play(benchmark: Any, measurement: Measurement) -> None:
    """Gives pytest-benchmark the measured blocks as its rounds, and our fields as `extra_info`."""
    from bench.record.model import to_json

    TAPE.load([seconds * measurement.block_repetitions for seconds in measurement.samples_seconds])
    benchmark.pedantic(
        _played_back,
        rounds=len(measurement.samples_seconds),
        iterations=measurement.block_repetitions,
    )
    fields = to_json(measurement)
    del fields["samples_seconds"]  # pytest-benchmark's own `data`
    benchmark.extra_info.update(fields)


def _played_back() -> None:
    """The repetition that pytest-benchmark calls: it was run and timed before."""


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Replaces the host's name by the kind of machine; otherwise a CPU host and a GPU host look the same."""
    measured = config.stash.get(_measured, None)
    if measured is not None:
        machine_info["node"] = measured.record.machine.slug
        machine_info["fcnn_bench"] = {"machine": measured.record.machine.label, **measured.record.environment}


def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """Adds the report to the run's folder, if anything was measured."""
    measured = session.config.stash.get(_measured, None)
    if measured is None or not measured.record.measurements:
        return
    from bench.suite import saving

    results, record, folder = _options(session.config)["results"], measured.record, measured.folder
    with interruption.deferred():
        for problem in saving.draw([record, *saving.elsewhere(results, record)], folder):
            console.error(problem)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        _write_benchmark_json(session.config, folder)
    if not folder.is_relative_to(results):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    print(f"\nfcnn-bench: wrote {folder}")
    if record.partial:
        console.error(f"interrupted: rounds are missing; to go on: fcnn-bench run --resume {folder}")
        session.exitstatus = pytest.ExitCode.INTERRUPTED


def _write_benchmark_json(config: pytest.Config, folder: Path) -> None:
    """pytest-benchmark's own JSON with every sample, made by its own hooks."""
    from bench.record import files

    own = config._benchmarksession  # type: ignore[attr-defined]
    output = config.hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=own.benchmarks,
        include_data=True,
        machine_info=own.get_machine_info(),
        commit_info=config.hook.pytest_benchmark_generate_commit_info(config=config),
    )
    files.write_json(folder / "benchmark.json", json.loads(json.dumps(output, default=str)))
