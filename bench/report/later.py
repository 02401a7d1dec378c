"""What is added to a run's report afterwards: its page has places for it, each between two comments."""

from __future__ import annotations

import re
from pathlib import Path

from bench.record import files


def insert(report: Path, name: str, html: str, target: Path) -> None:
    """Writes `report` with `html` at the place called `name` to `target`; does nothing if there is no such place.

    What was there from an earlier time is replaced.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = report.read_text("utf-8") if report.exists() else ""
    if begin in text and end in text:
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        files.write(target, re.sub(pattern, lambda _: f"{begin}{html}{end}", text, count=1, flags=re.DOTALL))
