"""Makes the planned cases into tests that pytest-benchmark knows, and the run into a record and a report."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench import console, interruption
from bench.axes import matrix
from bench.axes.case import Case, case_id, why_impossible
from bench.errors import BenchError
from bench.suite.plugin import PREFIX
from bench.suite.plugin import options as _options

if TYPE_CHECKING:
    from bench.record.model import Measurement
    from bench.suite.session import Session

_session = pytest.StashKey["Session"]()
_signals = pytest.StashKey[contextlib.ExitStack]()


class Tape:
    """A timer for pytest-benchmark that plays back the blocks which our clock has timed.

    There is one clock and one stop rule, in `bench.measure`; pytest-benchmark's fixture reads its timer before and
    after each round, so a timer that answers with the recorded times makes its table, JSON and comparisons show the
    very same samples as the record.
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


def _planned(config: pytest.Config) -> dict[str, Case]:
    options = _options(config)
    return {case_id(case): case for case in matrix.cases(options, options["plan"])}


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
    # An interrupted run has the steps, which are quick and come first in the plan, not the slow trainings.
    order = {id: number for number, id in enumerate(planned)}
    kept = sorted(
        (item for item in benchmarks if item not in unplanned), key=lambda item: order[str(_planned_id(item))]
    )
    items[:] = [item for item in items if item not in benchmarks] + kept


def _planned_id(item: pytest.Item) -> str | None:
    found = item.callspec.params["planned"]  # type: ignore[attr-defined]
    return found if isinstance(found, str) else None  # pytest's own marker stands for an empty matrix


@pytest.fixture(scope="session")
def suite_session(request: pytest.FixtureRequest) -> Session:
    """The run's session, with the images loaded."""
    from bench.suite.expected import fit
    from bench.suite.images import images
    from bench.suite.session import Session

    config, options = request.config, _options(request.config)
    signals = config.stash.setdefault(_signals, contextlib.ExitStack())
    signals.enter_context(interruption.noticed())
    try:
        found = images(options["dataset"], options["data"])
    except BenchError as error:
        pytest.exit(str(error), returncode=error.exit_code)
    chosen = {_planned_id(item) for item in request.session.items if "planned" in getattr(item, "fixturenames", ())}
    planned = {id: case for id, case in _planned(config).items() if id in chosen}
    possible = {id: case for id, case in planned.items() if not why_impossible(case, len(found.train))}
    effort, _ = fit(possible, found, options, options["plan"])
    session = Session(
        images=found,
        dataset=options["dataset"],
        planned=planned,
        effort=effort,
        command=shlex.join(["pytest", *config.invocation_params.args, *effort.words(PREFIX)]),
    )
    session.calibrate()
    config.stash[_session] = session
    return session


@pytest.fixture
def run_case(benchmark: Any, suite_session: Session) -> Callable[[str], None]:
    """Measures a planned case and plays its samples to pytest-benchmark; skips it with the reason if impossible."""

    def run(planned: str) -> None:
        if reason := suite_session.impossible(planned):
            pytest.skip(reason)
        if benchmark.disabled:
            benchmark(suite_session.try_once, planned)
        else:
            play(benchmark, suite_session.run(planned))

    return run


def play(benchmark: Any, measurement: Measurement) -> None:
    """Gives pytest-benchmark the measured blocks as its rounds, and our fields as `extra_info`."""
    from bench.record.model import to_json_measurement

    TAPE.load([seconds * measurement.block_repetitions for seconds in measurement.samples_seconds])
    benchmark.pedantic(
        _played_back,
        rounds=len(measurement.samples_seconds),
        iterations=measurement.block_repetitions,
    )
    fields = to_json_measurement(measurement)
    del fields["samples_seconds"]  # pytest-benchmark's own `data`
    benchmark.extra_info.update(fields)


def _played_back() -> None:
    """The repetition that pytest-benchmark calls: it was run and timed before."""


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Replaces the host's name by the kind of machine; otherwise a CPU host and a GPU host look the same."""
    session = config.stash.get(_session, None)
    if session is not None:
        record = session.record()
        machine_info["node"] = record.machine.slug
        machine_info["fcnn_bench"] = {"machine": record.machine.label, **record.environment}


def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """Writes the results folder, also of an interrupted run, if anything was measured."""
    suite = session.config.stash.get(_session, None)
    if suite is None or not suite.measurements:
        return
    from bench.suite import saving

    with interruption.deferred():
        if not suite.missing():
            suite.calibrate()
        results, record = _options(session.config)["results"], suite.record()
        folder = saving.save(record, results)
        for problem in saving.draw([record, *saving.elsewhere(results, record)], folder):
            console.error(problem)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        _write_benchmark_json(session.config, folder)
    if not folder.is_relative_to(results):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    print(f"\nfcnn-bench: wrote {folder}")
    if missing := suite.missing():
        console.error(f"{len(missing)} of {len(suite.planned)} planned cases are missing in it")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Gives the signals back."""
    config.stash.setdefault(_signals, contextlib.ExitStack()).close()


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
