"""`pytest --benchmark-only`: the same rounds, played to pytest-benchmark."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.record.store import read
from bench.suite import plugin
from tests.commands import Command
from tests.suite.small_runs import FORKED

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "summary"),
    [
        (["--benchmark-only"], "1 passed"),
        ([], "1 skipped"),
        (["--benchmark-disable", "-o", "addopts=", "-p", "bench.suite.plugin"], "1 passed"),
    ],
)
def test_under_pytest_benchmarks_run_only_when_asked(data, tmp_path, words, summary):
    words = [ROOT / "bench/suite/bench_step.py", "-k", "bench_step", "-p", "no:cacheprovider", *words]
    words += ["--fcnn-device", "cpu", "--fcnn-batch", "16", "--fcnn-budget", "0.05", "--fcnn-data", data[0]]
    words += ["--fcnn-results", tmp_path / "results", "--rootdir", ROOT, "-c", ROOT / "pyproject.toml"]
    code = f"{FORKED}import pytest, sys\nsys.exit(pytest.main(sys.argv[1:]))"
    ended = Command(code, *words, folder=tmp_path, environment={"CHECKSUMS": json.dumps(data[1])}).end()
    assert summary in ended.out, ended.out + ended.err
    folders = list((tmp_path / "results").glob("*/*"))
    assert bool(folders) is ("--benchmark-only" in words)
    for folder in folders:
        (measurement,) = read(folder).measurements
        assert (folder / "report.html").exists()
        (benchmark,) = json.loads((folder / "benchmark.json").read_text())["benchmarks"]
        assert benchmark["name"] == "bench_step[cpu-b16-fp32]"
        assert benchmark["stats"]["iterations"] == measurement.block_repetitions
        assert benchmark["stats"]["data"] == pytest.approx(measurement.samples_seconds)
        assert benchmark["extra_info"]["id"] == measurement.id


def configured(**options):
    """Stands for pytest's configuration."""
    return SimpleNamespace(getoption=lambda name, default: options.get(name, default))


@pytest.mark.parametrize("options", [{"benchmark_only": True, "benchmark_skip": True}, {}])
def test_benchmarks_in_parallel_are_refused(options):
    with pytest.raises(pytest.UsageError, match="would time each other"):
        plugin.pytest_configure(configured(dist="load", **options))
    plugin.pytest_configure(configured(dist="no", **options))
    plugin.pytest_configure(configured(**options))


def test_tests_in_parallel_are_not():
    plugin.pytest_configure(configured(dist="load", benchmark_skip=True))
