import psutil
import pytest
import torch

from bench.measure import settings
from bench.measure.compilation import compilations
from tests.axes.test_case import changed
from tests.commands import Command
from tests.measure.control_groups import ControlGroups


def test_a_quota_of_the_group_above_caps_the_threads(monkeypatch, tmp_path):
    groups = ControlGroups(monkeypatch, tmp_path)
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert (settings.cpu_quota_cores(), settings.usable_cores(), settings.default_threads()) == (None, 4, 4)
    top = groups.mount("cgroup", "cpu", "rw,cpu")
    groups.put("1:cpu:/outer/inner")
    groups.group(top / "outer", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    groups.group(top / "outer/inner", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert (settings.cpu_quota_cores(), settings.usable_cores(), settings.default_threads()) == (0.5, 1, 1)


@pytest.mark.parametrize(("quota", "cores"), [(None, 4), (2.5, 2), (0.5, 1), (16.0, 4)])
def test_usable_cores_are_capped_by_the_quota(monkeypatch, quota, cores):
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(settings, "cpu_quota_cores", lambda: quota)
    assert settings.usable_cores() == cores


def test_threads_named_in_the_environment_win(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert settings.default_threads() == 7


def test_a_thread_count_that_is_no_number_is_ignored(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    expected = settings.default_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert settings.default_threads() == expected


@pytest.mark.slow
def test_denormals_are_flushed_on_every_thread(tmp_path):
    # In a process of its own: threads that are there already keep what they have.
    code = "from bench.measure import settings\nsettings.use_threads(2)\nassert settings.denormals_are_flushed()"
    ended = Command(code, folder=tmp_path).end()
    assert ended.code == 0, ended.err


def test_apply_sets_threads_and_precision():
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        settings.apply(changed(threads=1, precision="tf32"))
        assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (1, "high")
        settings.apply(changed(threads=2))
        assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (2, "highest")
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])


def test_a_process_compiles_a_function_for_more_cases_than_torch_would_by_itself():
    torch._dynamo.reset()
    settings.apply(changed(compiler="default", threads=1))
    double = torch.compile(lambda x: 2 * x, backend="eager", dynamic=False)
    with compilations() as found:
        for size in range(2, 14):
            double(torch.ones(size))
    torch._dynamo.reset()
    assert found.graphs == 12


@pytest.mark.parametrize(
    ("compiler", "as_a_user", "threads"), [("default", False, 1), ("default", True, 8), ("off", False, 8)]
)
def test_a_process_compiles_alone_but_where_a_users_wait_is_measured(compiler, as_a_user, threads):
    import torch._inductor.config as config

    with config.patch(compile_threads=8):
        settings.apply(changed(compiler=compiler, threads=1), as_a_user=as_a_user)
        assert config.compile_threads == threads
    # So a cache that was filled by a process with workers serves one without.
    assert "compile_threads" in config._cache_config_ignore_prefix
