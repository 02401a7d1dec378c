"""Why a case takes its time, in sentences: what takes the most of it, and what was measured to help."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from bench.analyse.account import ARITHMETIC, COPIES, DATA, MEMORY, OVERHEAD, Account
from bench.analyse.cell import Cell
from bench.analyse.cells import measured_devices, plain_step, program_cells, step_feeds
from bench.analyse.gains import Gain, changes
from bench.axes.workloads import workload
from bench.report import units
from bench.report.words import BOUNDS, LAUNCH_BOUND, REFERENCE_BATCH, ROOFLINES, fed, name
from bench.text import counted

MEANINGS = {
    DATA: "is spent waiting for batches",
    COPIES: "is spent copying batches to the device",
    OVERHEAD: "does not depend on the number of images",
    ARITHMETIC: "is spent in matrix products",
    MEMORY: "is spent in other operators, which mostly move bytes",
}
WORTH_A_WORD = 0.15  # of the overhead, a part of the step
TOO_MUCH_UNEXPLAINED = 0.15
MANY_PAGE_FAULTS = 0.05  # of the time of a step
KEEP_MEMORY = "MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_MMAP_THRESHOLD_=33554432"
NEARLY = 0.8  # of the largest share: another run may have the two the other way round
MOST_GAINS = 3
TRY = {"compiler": "torch.compile", "precision": "other number formats", "optimizer": "other implementations of Adam",
       "feed": "other feeds"}  # fmt: skip


def why(everything: Sequence[Cell]) -> list[str]:
    """What takes the time of the plain step and of the epochs, on every device, and what helps."""
    sentences: list[str] = []
    explained: set[str] = set()  # what a bound is, and why there is none, is said once
    for cell, what in central(everything):
        if cell.account:
            parts = (
                verdict(cell, what),
                helps(cell),
                earlier_ladder(cell),
                larger(cell, everything),
                _bound(cell, explained),
            )
            sentences.append(" ".join(filter(None, parts)))
    return sentences


def central(everything: Sequence[Cell]) -> Iterator[tuple[Cell, str]]:
    """The plain step of the reference's batch and the epochs, on every device, each with its name in a sentence."""
    for device in measured_devices(everything):
        if step := plain_step(everything, device, REFERENCE_BATCH):
            fed_so = fed(step.case.feed, step_feeds(everything, device))
            yield step, f"A step of {REFERENCE_BATCH} images on {name(device)}{fed_so}"
        for feed in ("loader", "resident"):
            if epoch := plain_step(everything, device, REFERENCE_BATCH, workload="epoch", feed=feed):
                yield epoch, f"An epoch with {name(feed)} on {name(device)}"
    for step in program_cells(everything):
        yield step, f"A step at batch {step.case.batch_size:,} on {name(step.case.device)}"


def verdict(cell: Cell, what: str) -> str:
    """What takes the most of a case's time, with its share."""
    account, time = cell.account, cell.summary
    assert account is not None
    assert time is not None
    flagged = f", flagged: {cell.flag_names}" if cell.flags else ""
    most, start = account.largest, f"{what} ({units.time(time)}{flagged})"
    if most not in MEANINGS:
        return f"{start} is not explained: {_percent(account, most)} of it belongs to none of the known causes."
    launch = most == OVERHEAD and account.device_seconds is not None
    known = LAUNCH_BOUND if launch else BOUNDS[most]
    parts = _fixed(cell, account) if most == OVERHEAD else ""
    text = f"{start} is {known}: {_percent(account, most)} of it {_meaning(cell, most)}{parts}."
    second = max((term for term in MEANINGS if term != most), key=account.share)
    if account.share(second) >= NEARLY * account.share(most):
        text += f" Nearly as much, {_percent(account, second)}, {_meaning(cell, second)}."
    if launch and account.device_seconds is not None:
        text += (
            f" The host needs {units.duration(account.host_seconds)} for it and {name(cell.case.device)} works "
            f"{units.duration(account.device_seconds)}, so the device waits for the host."
        )
    if account.share("unexplained") > TOO_MUCH_UNEXPLAINED:
        text += f" {_percent(account, 'unexplained')} is unexplained."
    return text + _page_faults(cell)


def _page_faults(cell: Cell) -> str:
    """That a step gives memory back that it needs again, where that takes some of its time."""
    breakdown = cell.measurement.breakdown if cell.measurement else None
    seconds = (breakdown.page_fault_seconds if breakdown else None) or 0.0
    if breakdown is None or seconds < MANY_PAGE_FAULTS * breakdown.step_seconds:
        return ""
    return (
        f" It has {breakdown.page_faults:,.0f} page faults a step, which take about {units.duration(seconds)}: it "
        f"gives memory back to the system and needs it again. With glibc, {KEEP_MEMORY} in the environment keeps it."
    )


def _meaning(cell: Cell, term: str) -> str:
    convolves = term == ARITHMETIC and workload(cell.case.workload).own  # the reference has none
    return f"{MEANINGS[term]} and convolutions" if convolves else MEANINGS[term]


def _percent(account: Account, term: str) -> str:
    return f"{100 * account.share(term):.0f}%"


def _fixed(cell: Cell, account: Account) -> str:
    """What the overhead is: its time, how it is divided among the parts of the step, and what is called."""
    counters = cell.measurement.counters if cell.measurement else None
    steps = (cell.measurement.steps_per_epoch if cell.measurement else None) or 1
    each = account.seconds[OVERHEAD] / steps
    parts = sorted(account.overhead_by_part.items(), key=lambda item: -item[1])
    named = {part: share for part, share in parts if share >= WORTH_A_WORD}
    rest = {"the rest": 1 - sum(named.values())} if named else {}
    split = ", ".join(f"{part} {units.duration(share * each)}" for part, share in (named | rest).items())
    calls = f" and {counted(sum(counters.aten_calls.values()), 'call')} of operators" if counters else ""
    if workload(cell.case.workload).own:  # its step on one image has all of the weights
        return f", {units.duration(each)} per step, such as Python, the update of the weights{calls}"
    return f", {units.duration(each)} per step{f' ({split})' if split else ''}, which is Python{calls}"


def larger(cell: Cell, everything: Sequence[Cell]) -> str:
    """What a larger batch gives a step that is bound by its overhead."""
    if cell.account is None or cell.account.largest != OVERHEAD or cell.case.workload != "step":
        return ""
    others = [dataclasses.replace(cell.case, batch_size=size) for size in {c.case.batch_size for c in everything}]
    steps = [c for c in everything if c.case in others and c.images_per_second and not c.why_not_judged]
    best = max(steps, key=lambda c: c.images_per_second or 0.0, default=cell)
    if best.case.batch_size <= cell.case.batch_size or not best.images_per_second or not cell.images_per_second:
        return ""
    times = units.rate(best.images_per_second / cell.images_per_second)
    return (
        f"A batch of {best.case.batch_size:,} gives {times}× as many images per second, in fewer updates per epoch: "
        "what that does to the accuracy was not measured."
    )


def helps(cell: Cell) -> str:
    """What one other choice gains, as this run measured it, and what was not tried."""
    better = [gain for gain in cell.gains if gain.ratio.clear and gain.ratio.value > 1]
    others = [gain for gain in cell.gains if gain not in better]
    helpful = [_gain(gain) for gain in better[:MOST_GAINS]]
    text = f"Measured in this run: {'; '.join(helpful)}." if helpful else ""
    if others:
        nothing = "" if helpful else "Measured in this run, and no help: "
        listed = "; ".join(f"{name(str(gain.choice))}, {_against(gain)}" for gain in others)
        text += f"{' No help: ' if helpful else nothing}{listed}."
    tried = {gain.field for gain in cell.gains}
    untried = [TRY.get(axis.field, axis.label) for axis, _ in changes(cell.case) if axis.field not in tried]
    untried = untried if cell.case.workload == "step" else []
    return f"{text} Not tried here: {', '.join(untried)}.".strip() if untried else text.strip()


def earlier_ladder(cell: Cell) -> str:
    """How far this machine's ladder took the same epoch."""
    ladder = cell.measurement.earlier_ladder if cell.measurement else None
    if ladder is None:
        return ""
    listed = ", ".join(f"{step} {gain:,.1f}×" for step, gain in ladder.gains.items())
    most = f"; the largest gains, each against the fastest step before it: {listed}" if listed else ""
    return (
        f"Measured in the newest ladder of this machine: its best step, {ladder.best}, does the same epoch "
        f"{ladder.times_as_fast:,.1f}× as fast{most}."
    )


def _gain(gain: Gain) -> str:
    return (
        f"{name(str(gain.choice))} takes {units.duration(gain.saved_seconds)} off, {units.times(gain.ratio, 'as fast')}"
    )


def _against(gain: Gain) -> str:
    return units.slower(gain.ratio) if gain.ratio.clear else "no clear difference"


def _bound(cell: Cell, explained: set[str]) -> str:
    """How far the time is from the roofline bound; what that is, or why it is not known, is added to `explained`."""
    known = ROOFLINES.get(cell.roofline.bound if cell.roofline else "", "the arithmetic and the bytes allow")
    unknown = f" ({cell.why_half_a_roofline})" if cell.why_half_a_roofline else ""
    meaning = f", the least that {known} here{unknown}" if cell.roofline else f" is not known: {cell.why_no_roofline}"
    shown = "" if meaning in explained else meaning
    explained.add(meaning)
    if cell.times_above_roofline is None:
        return f"Its roofline bound{shown}." if shown else ""
    return f"It takes {units.rate(cell.times_above_roofline)} times its roofline bound{shown}."
