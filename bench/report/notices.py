"""What must be said of a record before anything else: how far it can be trusted, and what to do about it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.analyse.cell import Cell
from bench.analyse.cells import cells
from bench.record.model import TIMING_RULE_VERSION, Record
from bench.report.words import plural

WIDE = 0.05  # half the interval of the median case's time, as a fraction of it
NAMED_CASES = 3  # at most; of more, their number
TO_MEASURE_BETTER = (
    "stop other programs (fcnn-bench env lists what disturbs), or give the run more time (--budget SECONDS)."
)


def notices(record: Record) -> list[str]:
    """What must be said before anything else: other timing rules, an interrupted run, stand-in images."""
    sentences = []
    if record.timing_rule_version != TIMING_RULE_VERSION:
        sentences.append(
            f"Taken under timing rules {record.timing_rule_version}, today's are {TIMING_RULE_VERSION}: its numbers "
            "are shown, and compared with nothing."
        )
    if record.partial:
        left = sum(gap.kind == "interrupted" for gap in record.unmeasured)
        rest = f"; {left} planned {plural(left, 'case')} had no turn or did not finish" if left else ""
        if bare := sum(m.counters is None for m in record.measurements):
            were = "was" if bare == 1 else "were"
            rest += f"; {bare} {plural(bare, 'case')} {were} not taken apart, so without account and bound"
        sentences.append(f"This run was interrupted. What it measured by then is complete and valid{rest}.")
    sentences += _crowded(record) or _apart(record) or _uncertain(record)
    if reason := record.dataset.fallback_reason:
        sentences.append(
            f"Not the full dataset: {reason}. The images are {record.dataset.label}; times and accuracies "
            "are of these images and are not compared with those of other images."
        )
    return sentences


def _crowded(record: Record) -> list[str]:
    """That others needed the cores on which cases computed, so that ratios hold less than they say; what to do."""
    flagged = _flagged(record, "crowded")
    if not flagged:
        return []
    fewer = max(cell.case.threads for cell in flagged) - 1
    return [
        f"Other processes needed the cores on which {_which(flagged)} computed, and a team of "
        "threads waits for the slowest of them. Ratios of such runs have been off by up to 22%, more than their "
        "intervals say, and fcnn-bench compare leaves these cases out. Stop other programs, or measure on fewer "
        f"threads (--threads {fewer})."
    ]


def _apart(record: Record) -> list[str]:
    """That the host had moved the cores apart for most of what some cases had; what it means, and what to do."""
    flagged = _flagged(record, "apart")
    if not flagged:
        return []
    return [
        f"While {_which(flagged)} computed, cores lay apart, as where the host of a virtual machine "
        "moves them: threads took longer to hand work over. Such times are up to two thirds longer, and not "
        "compared with other runs. Run again, or measure on one thread (--threads 1)."
    ]


def _flagged(record: Record, flag: str) -> list[Cell]:
    return [cell for cell in cells(record) if any(one.name == flag for one in cell.remarks)]


def _which(some: Sequence[Cell]) -> str:
    """The cases by their ids, or how many if they are more than a few."""
    if len(some) > NAMED_CASES:
        return f"{len(some)} cases"
    *most, last = (cell.id for cell in some)
    return f"{', '.join(most)} and {last}" if most else last


def _uncertain(record: Record) -> list[str]:
    """Where the times of a run hold to no more than a few percent: what still holds, and what to do."""
    everything = cells(record)
    widths = [w for cell in everything if cell.summary and (w := cell.summary.half_width_fraction) is not None]
    if not widths or statistics.median(widths) <= WIDE:
        return []
    ratios = [cell.speedup.ratio for cell in everything if cell.speedup.ratio and cell.speedup.baseline_id != cell.id]
    known = [(r.high - r.low) / 2 / r.value for r in ratios if r.low is not None and r.high is not None]
    better = bool(known) and statistics.median(known) < statistics.median(widths)
    if statistics.median(widths) >= 1:  # half of the interval, of the time
        return [f"This machine was so unsteady that most times tell nothing: {TO_MEASURE_BETTER}"]
    hold = f", ratios to ±{100 * statistics.median(known):.1f}%: trust ratios more than times" if better else ""
    wide = f"{100 * statistics.median(widths):.0f}%"
    return [
        f"This machine was not steady: most times hold to ±{wide}{hold}. Each row has its own interval. To measure "
        f"better, {TO_MEASURE_BETTER}"
    ]
