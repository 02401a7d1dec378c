"""What a table's cells say that is more than a field of the record: notes, bounds, compilations, accuracies."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.analyse.cell import Cell
from bench.analyse.starting import total_seconds
from bench.analyse.statistics import mean_interval
from bench.axes.workloads import workload
from bench.record.measurement import Accuracy, Measurement
from bench.report import units
from bench.report.units import MISSING
from bench.report.words import TERM_NAMES, name, plural

# What asks for CUDA graphs: modes of torch.compile, and the capturing of a whole step.
CUDA_GRAPHS = ("reduce-overhead", "max-autotune", "graph")


_SKIPPING = "skipping cudagraphs due to "  # so torch begins, and the table has said it already


def seconds_to_target(accuracy: Accuracy) -> list[float]:
    """The times of the seeds that reached the target."""
    return [seconds for seconds in accuracy.seconds_to_target if seconds is not None]


def median_to_target(accuracy: Accuracy) -> float | None:
    """The median time of the seeds that reached the target; None if none did."""
    reached = seconds_to_target(accuracy)
    return statistics.median(reached) if reached else None


def start_up_range(cell: Cell) -> str:
    """The shortest and the longest way from nothing to the target."""
    totals = [total_seconds(one) for one in cell.measurement.start_ups] if cell.measurement else []
    known = [one for one in totals if one is not None]
    return units.span(min(known), max(known)) if known and len(known) == len(totals) else MISSING


def accuracy_interval(accuracy: Accuracy) -> str:
    """The 95% interval of the mean test accuracy."""
    _, low, high = mean_interval(accuracy.test_accuracy_fraction)
    return MISSING if low is None or high is None else f"{100 * low:.2f} to {units.percent(min(high, 1.0))}"


def note(cell: Cell) -> str:
    """What a reader must know about this row: why a number is missing, or not to be trusted."""
    if cell.unmeasured:
        return f"{cell.unmeasured.kind}: {cell.unmeasured.reason}"
    return "; ".join(filter(None, (f"flagged: {cell.flag_names}" if cell.flags else "", _timed_part(cell))))


def _timed_part(cell: Cell) -> str:
    """Of an epoch that was timed in part, how much of it."""
    m = cell.measurement
    if m is None or m.timed_steps is None or m.steps_per_epoch is None:
        return ""
    return f"timed over the first {units.share(m.timed_steps / m.steps_per_epoch)} of an epoch and scaled up"


def note_with_eager(cell: Cell) -> str:
    """The note, or why a compiled case is not compared with the same case not compiled."""
    return note(cell) or (cell.against_eager.reason or "" if cell.against_eager.ratio is None else "")


def note_with_speedup(cell: Cell) -> str:
    """The note, or why there is no speed-up."""
    return note(cell) or (cell.speedup.reason or "" if cell.speedup.ratio is None else "")


def earlier(measurement: Measurement) -> str:
    """What earlier runs of this machine saw of the case: `12 runs, 463.0 to 875.1 µs`; `-` for the first one."""
    past = measurement.earlier
    if past is None:
        return MISSING
    if past.runs == 1:
        return f"1 run, {units.duration(past.lowest_seconds)}"
    return f"{past.runs} runs, {units.span(past.lowest_seconds, past.highest_seconds)}"


def joules(cell: Cell) -> float | None:
    """Energy of a repetition."""
    energy = cell.measurement.energy if cell.measurement else None
    return energy.joules if energy else None


def host_joules(cell: Cell) -> float | None:
    """Energy that the host's processor took of a repetition on a GPU."""
    energy = cell.measurement.energy if cell.measurement else None
    return energy.host_joules if energy else None


def no_joules(cell: Cell) -> str | None:
    """Why there is none."""
    energy = cell.measurement.energy if cell.measurement else None
    return energy.reason if energy else None


def shown(value: float | None, show: Callable[[float], str] = units.duration) -> str:
    """The value as text; `-` if there is none."""
    return MISSING if value is None else show(value)


def seconds_per_step(cell: Cell) -> float | None:
    """The time of an epoch, divided by its steps."""
    steps = cell.measurement.steps_per_epoch if cell.measurement else None
    return cell.summary.time / steps if cell.summary and steps else None


def bound_share(cell: Cell) -> float | None:
    """The share of the term that takes the most of a case's time."""
    return cell.account.share(cell.account.largest) if cell.account else None


def bound(cell: Cell) -> str:
    """What takes the most of the time, with its share: `overhead 62%`."""
    if cell.account is None:
        return MISSING
    return f"{TERM_NAMES[cell.account.largest]} {units.share(cell.account.share(cell.account.largest))}"


def device_busy(cell: Cell) -> float | None:
    """The seconds in which an accelerator works."""
    return cell.account.device_seconds if cell.account else None


def host_beside_a_device(cell: Cell) -> float | None:
    """What the host has to do meanwhile; None on the CPU, where it is all the same."""
    return cell.account.host_seconds if cell.account and cell.account.device_seconds is not None else None


def measured_help(cell: Cell) -> str:
    """The change that helps the most of those that were measured: `fused Adam -139 µs, 1.36×`."""
    if cell.account is None:
        return MISSING
    best = next((gain for gain in cell.gains if gain.ratio.clear and gain.ratio.value > 1), None)
    if best is None:
        return "none of those tried" if cell.gains else MISSING
    return f"{name(str(best.choice))} -{units.duration(best.saved_seconds)}, {units.rate(best.ratio.value)}×"


def payoff(cell: Cell) -> str:
    """After how many repetitions compiling has paid: `121,000 (119,000 to 124,000) steps`, `never`, or `unclear`."""
    break_even = cell.payoff
    if break_even is None:
        return MISSING
    if break_even.steps is None:
        return "never" if break_even.speedup.clear else "unclear"
    repetitions = plural(break_even.steps, workload(cell.case.workload).repetition)
    return f"{break_even.in_words()} {repetitions}"


def why_no_payoff(cell: Cell) -> str | None:
    """Why there are no such repetitions, also where compiling is not won back."""
    outcomes = {"never": "never: it is not faster", "unclear": "unclear: it is not clearly faster"}
    return cell.why_no_payoff or outcomes.get(payoff(cell))


def cuda_graphs(cell: Cell) -> str:
    """Whether a mode that asks for CUDA graphs got them, and why not; `-` for all others."""
    m = cell.measurement
    if m is None or cell.case.device != "cuda" or cell.case.compiler not in CUDA_GRAPHS:
        return MISSING
    if m.counters and m.counters.cuda_graph_launches:
        return "captured"
    if m.compilation and (reasons := m.compilation.cuda_graph_skip_reasons):
        return f"skipped: {'; '.join(dict.fromkeys(reason.removeprefix(_SKIPPING) for reason in reasons))}"
    if m.counters and m.counters.kernels_reason:
        return f"not known: {m.counters.kernels_reason}"
    return "none, no reason given" if m.counters and m.compilation else MISSING


def why_compiled_so(cell: Cell) -> str:
    """Why there are breaks and recompilations, every reason once; empty where there are none."""
    compilation = cell.measurement.compilation if cell.measurement else None
    if compilation is None:
        return ""
    kinds = (("break", compilation.graph_break_reasons), ("recompiled", compilation.recompile_reasons))
    return "; ".join(f"{kind}: {reason}" for kind, reasons in kinds for reason in dict.fromkeys(reasons))


def flag_reasons(cell: Cell) -> str:
    """All that is said against the number."""
    return "; ".join(f"{flag.name}: {flag.reason}" for flag in cell.remarks)
