"""What is added to a run's report afterwards: its page has places for it, each between two comments."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from bench.record import files


def insert(report: Path, name: str, html: Callable[[], str], target: Path) -> None:
    """Writes `report` with what `html` gives at the place called `name` to `target`; what was there is replaced.

    Does nothing where there is no such report, or no such place in it.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = report.read_text("utf-8") if report.exists() else ""
    if begin in text and end in text:
        inserted = html()
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        files.write(target, re.sub(pattern, lambda _: f"{begin}{inserted}{end}", text, count=1, flags=re.DOTALL))
