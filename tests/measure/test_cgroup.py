"""What control groups grant, on made-up machines."""

import pytest

from bench.measure import cgroup
from tests.measure.control_groups import ControlGroups

HUGE = "9223372036854771712\n"  # how version 1 says that there is no limit


@pytest.fixture
def groups(monkeypatch, tmp_path):
    return ControlGroups(monkeypatch, tmp_path)


def granted():
    return cgroup.quota_cores(), cgroup.stopped_seconds(), cgroup.memory_limit_bytes()


def version_1(groups, root="/"):
    """Where the groups of the CPU and of memory are mounted."""
    return (
        groups.mount("cgroup", "cpu,cpuacct", "rw,cpu,cpuacct", root),
        groups.mount("cgroup", "memory", "rw,memory", root),
    )


def cores(quota, period=100_000):
    return {"cpu__cfs_quota_us": f"{quota}\n", "cpu__cfs_period_us": f"{period}\n"}


# Where the limit is


@pytest.mark.parametrize("limited", ["a/b", "a", "."])
def test_version_2_is_limited_by_any_group_from_its_own_up(groups, limited):
    top = groups.mount("cgroup2", "cgroup")
    groups.put("0::/a/b")
    for name in ("a/b", "a"):
        groups.group(top / name, cpu__max="max 100000\n", memory__max="max\n", cpu__stat="throttled_usec 0\n")
    assert granted() == (None, 0.0, None)
    groups.group(
        top / limited,
        cpu__max="50000 100000\n",
        memory__max="1048576\n",
        cpu__stat="usage_usec 9\nnr_periods 4\nnr_throttled 2\nthrottled_usec 2500000\n",
    )
    assert granted() == (0.5, 2.5, 1 << 20)


@pytest.mark.parametrize("limited", ["a/b", "a", "."])
def test_version_1_is_limited_by_any_group_from_its_own_up(groups, limited):
    cpu, memory = version_1(groups)
    groups.put("5:memory:/a/b", "4:cpu,cpuacct:/a/b", "1:name=systemd:/elsewhere")
    for name in ("a/b", "a", "."):
        groups.group(cpu / name, **cores(-1), cpu__stat="nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
        groups.group(memory / name, memory__limit_in_bytes=HUGE)
    assert granted() == (None, 0.0, None)
    groups.group(cpu / limited, **cores(50_000), cpu__stat="nr_periods 4\nnr_throttled 2\nthrottled_time 2500000000\n")
    groups.group(memory / limited, memory__limit_in_bytes="1048576\n")
    assert granted() == (0.5, 2.5, 1 << 20)


def test_the_tightest_limit_counts_and_that_of_a_neighbour_does_not(groups):
    top = groups.mount("cgroup2", "cgroup")
    groups.put("0::/a/b")
    groups.group(top / "a", cpu__max="150000 100000\n", memory__max="3000\n")
    groups.group(top / "a/b", cpu__max="400000 200000\n", memory__max="4000\n")
    groups.group(top / "a/c", cpu__max="1000 100000\n", memory__max="1\n", cpu__stat="throttled_usec 9000000\n")
    groups.group(top / "a/b/below", cpu__max="1000 100000\n", memory__max="1\n")
    assert granted() == (1.5, 0.0, 3000)


def test_a_group_that_was_stopped_for_long_does_not_hide_another(groups):
    top = groups.mount("cgroup2", "cgroup")
    groups.put("0::/a/b")
    groups.group(top / "a", cpu__stat="throttled_usec 900000000\n")
    groups.group(top / "a/b", cpu__stat="throttled_usec 1000000\n")
    before = cgroup.stopped_seconds()
    groups.group(top / "a/b", cpu__stat="throttled_usec 3000000\n")
    assert cgroup.stopped_seconds() - before == pytest.approx(2)


def test_both_versions_side_by_side(groups):
    cpu, memory = version_1(groups)
    unified = groups.mount("cgroup2", "unified")
    groups.put("5:memory:/m", "4:cpu,cpuacct:/c", "0::/u")
    groups.group(cpu / "c", **cores(200_000))
    groups.group(memory / "m", memory__limit_in_bytes="7000\n")
    groups.group(unified / "u", cpu__stat="usage_usec 5\nuser_usec 4\nsystem_usec 1\n")
    assert granted() == (2.0, 0.0, 7000)
    # Some systems leave memory to version 2.
    groups.put("4:cpu,cpuacct:/c", "0::/u")
    groups.group(unified / "u", memory__max="5000\n")
    assert granted() == (2.0, 0.0, 5000)


# Where the groups are mounted


def test_a_container_sees_its_own_group_at_the_top(groups):
    cpu, memory = version_1(groups, root="/docker/1a2b")
    groups.put("5:memory:/docker/1a2b", "4:cpu,cpuacct:/docker/1a2b/inner")
    groups.group(cpu, **cores(300_000))
    groups.group(cpu / "inner", **cores(100_000))
    groups.group(memory, memory__limit_in_bytes="8000\n")
    groups.group(cpu / "docker/1a2b", **cores(1_000))  # what looks alike is another group
    assert granted() == (1.0, 0.0, 8000)


@pytest.mark.parametrize(
    ("own", "root", "seen"),
    [
        ("/", "/", ["top"]),
        ("/..", "/..", ["top"]),
        ("/../a/b", "/..", ["top", "a", "a/b"]),
        ("/a", "/../..", ["top"]),  # above the namespace: the names of the groups between are not told
        ("/../a", "/../..", ["top"]),
        ("/../a", "/", []),  # it has left the namespace, and its group is not shown
        ("/", "/a", []),
        ("/ab", "/a", []),
        ("/a/b", "/a/c", []),
        ("/a", "/../b", []),
    ],
)
def test_only_groups_that_the_process_is_in_count(groups, own, root, seen):
    groups.put(f"0::{own}")
    top = groups.mount("cgroup2", "cgroup", root=root)
    for name in ("a", "b", "a/b", "ab"):
        groups.group(top / name, memory__max="1\n")
    folders = [top if name == "top" else top / name for name in seen]
    assert sorted(cgroup._groups("memory")) == folders


def test_names_with_spaces_and_backslashes_are_read(groups):
    top = groups.mount("cgroup2", r"a b\040c", root=r"/my\040pod")
    groups.put("0::/my pod/x y")
    groups.group(top / "x y", cpu__max="50000 100000\n")
    assert cgroup.quota_cores() == 0.5


def test_a_hierarchy_that_is_mounted_twice_is_read_where_it_shows_most(groups):
    groups.mount("cgroup2", "part", root="/a/b")
    top = groups.mount("cgroup2", "all")
    groups.mount("cgroup2", "other", root="/x")
    groups.put("0::/a/b")
    groups.group(top / "a", cpu__max="50000 100000\n", cpu__stat="throttled_usec 4000000\n")
    groups.group(groups.top / "part", cpu__max="100000 100000\n", cpu__stat="throttled_usec 1000000\n")
    assert granted() == (0.5, 4.0, None)


def test_a_hierarchy_of_another_controller_is_not_asked(groups):
    place = groups.mount("cgroup", "cpuset", "rw,cpuset")
    groups.put("3:cpuset:/a", "2:cpu:/a")
    groups.group(place / "a", **cores(50_000))
    assert cgroup.quota_cores() is None


# What cannot be read


def test_other_systems_have_no_control_groups(monkeypatch, tmp_path):
    monkeypatch.setattr(cgroup, "PROCESS", tmp_path / "no such folder")
    assert granted() == (None, 0.0, None)


@pytest.mark.parametrize("line", ["", "nonsense", "0:", "::", "0::", "4:cpu", "0::/gone", "4:cpu:"])
def test_what_the_process_says_of_its_groups_may_be_malformed(groups, line):
    groups.mount("cgroup2", "cgroup")
    version_1(groups)
    groups.put(line)
    assert granted() == (None, 0.0, None)


@pytest.mark.parametrize("text", ["", "nonsense", " - ", " - cgroup2", "1 2 3 - cgroup2 c rw", "1 2 3 /a /b", "\0"])
def test_what_the_process_says_of_its_mounts_may_be_malformed(groups, tmp_path, text):
    groups.put("0::/")
    (tmp_path / "proc/mountinfo").write_text(f"{text}\n")
    assert granted() == (None, 0.0, None)


@pytest.mark.parametrize("text", ["", "max", "max 100000", "50000", "x y", "-1 100000", "1 0", "0 1", "1 2 3", "1.5 2"])
def test_malformed_files_grant_no_limit(groups, text):
    top = groups.mount("cgroup2", "cgroup")
    groups.put("0::/")
    groups.group(top, cpu__max=text, memory__max="half", cpu__stat="throttled_usec\nthrottled_time x\n\n")
    assert granted() == (None, 0.0, None)


def test_files_that_are_no_text_or_cannot_be_opened_grant_no_limit(groups):
    top = groups.mount("cgroup2", "cgroup")
    groups.put("0::/")
    for name in ("cpu.max", "memory.max"):
        (top / name).mkdir()
    (top / "cpu.stat").write_bytes(b"\xff\xfe throttled_usec \x80")
    assert granted() == (None, 0.0, None)


def test_a_quota_without_its_period_grants_no_limit(groups):
    cpu, _ = version_1(groups)
    groups.put("4:cpu,cpuacct:/")
    groups.group(cpu, cpu__cfs_quota_us="50000\n")
    assert cgroup.quota_cores() is None
