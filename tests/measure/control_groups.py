"""Control groups that tests make up: files as the kernel writes them, mounted under a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure import cgroup


class ControlGroups:
    """A machine's control groups; until something is mounted and `put` somewhere, there are none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._process, self.top = folder / "proc", folder / "mounted here"
        self._process.mkdir()
        monkeypatch.setattr(cgroup, "PROCESS", self._process)

    def put(self, *lines: str) -> None:
        """The process into groups, by lines of `/proc/self/cgroup`."""
        (self._process / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def mount(self, kind: str, at: str, options: str = "rw", root: str = "/") -> Path:
        """Shows the group `root` of a hierarchy at a folder below `top`; the folder."""
        point = self.top / at
        point.mkdir(parents=True, exist_ok=True)
        escaped = str(point).replace("\\", r"\134").replace(" ", r"\040")
        with (self._process / "mountinfo").open("a") as file:
            file.write(f"33 31 0:30 {root} {escaped} rw,relatime shared:9 - {kind} {kind} {options}\n")
        return point

    def group(self, place: Path, **files: str) -> None:
        """A group's folder with files, by name with `__` for the dot."""
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name.replace("__", ".")).write_text(text)

    def quota(self, text: str) -> None:
        """One group of version 2, which the process is in, with this in its `cpu.max`."""
        if not (self.top / "cgroup").exists():
            self.mount("cgroup2", "cgroup")
            self.put("0::/own")
        self.group(self.top / "cgroup/own", cpu__max=text)

    def stopped(self, microseconds: int) -> None:
        """That group's quota has stopped it for so long."""
        self.group(self.top / "cgroup/own", cpu__stat=f"usage_usec 5\nnr_throttled 1\nthrottled_usec {microseconds}\n")
