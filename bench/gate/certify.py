"""`fcnn-bench certify`: the timing gate's own error rates on this machine, by gates whose right answer is known.

Identical code must never fail, planted slowdowns must. Every gate is a line of `gates.jsonl`, written when it ends; a
run that was stopped goes on where it was. Kinds take turns, so that a certificate that is not finished is of all of
them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.stats

from bench.errors import BenchError
from bench.gate import check, decide, power
from bench.gate.paired import RULE_VERSION, Pair
from bench.gate.sides import Sides
from bench.gate.trees import Trees, candidate_of
from bench.measure import facts, git
from bench.record import files
from bench.table import Table, as_markdown
from bench.workers.images import images as load_images
from bench.workers.process import Process

FEW_PAIRS = 20
# A program that keeps a core busy in bursts, as a neighbour does.
NOISE = """
import random, time
while True:
    end = time.perf_counter() + random.expovariate(5)
    while time.perf_counter() < end:
        sum(range(1000))
    time.sleep(random.expovariate(5))
"""
START = "    images, labels = to_device(training, images, labels)\n    mark"
END = "    return loss.detach()\n"


@dataclass(frozen=True)
class Kind:
    """Gates with one right answer: `count` of them, half beside a noisy neighbour."""

    slowdown_fraction: float
    count: int


BOUND = decide.TimingRule.bound_fraction


def kinds(bound: float = BOUND) -> tuple[Kind, ...]:
    """Nothing planted, the bound itself, twice as much, and a little less than the bound."""
    return tuple(Kind(round(share * bound, 4), count) for share, count in ((0, 200), (1, 100), (2, 50), (0.6, 50)))


def slowed(source: Path, folder: Path, fraction: float) -> Path:
    """A copy of `source`'s `fcnn` whose training step waits, busily, for this fraction of its own time."""
    train = candidate_of(source, folder) / "fcnn" / "train.py"
    text = train.read_text("utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        raise BenchError("fcnn.train.train_step has changed: certify does not know where to plant a slowdown")
    wait = (
        f"    end = time.perf_counter() + {fraction} * (time.perf_counter() - begin)\n"
        "    while time.perf_counter() < end:\n        pass\n"
    )
    text = text.replace(START, f"    import time\n\n    begin = time.perf_counter()\n{START}").replace(END, wait + END)
    train.write_text(text, "utf-8")
    return folder


@contextlib.contextmanager
def neighbour(*, noisy: bool) -> Iterator[None]:
    """Keeps another process busy meanwhile, if `noisy`."""
    if not noisy:
        yield
        return
    with Process([sys.executable, "-c", NOISE]):
        yield


def planned(done: list[dict[str, Any]], bound: float = BOUND) -> Iterator[tuple[float, bool]]:
    """(slowdown, noisy) of the gates that are still to be run: always of the kind of which the least share is done."""
    left = {
        (kind.slowdown_fraction, noisy): [
            kind.count // 2,
            sum(_is(gate, kind.slowdown_fraction, noisy) for gate in done),
        ]
        for kind in kinds(bound)
        for noisy in (False, True)
    }
    while any(made < wanted for wanted, made in left.values()):
        chosen = min(left, key=lambda kind: left[kind][1] / left[kind][0])
        left[chosen][1] += 1
        yield chosen


def _is(gate: dict[str, Any], slowdown: float, noisy: bool) -> bool:
    return bool(gate["slowdown_fraction"] == slowdown and gate["noisy"] == noisy)


def read_gates(path: Path, bound: float = BOUND) -> list[dict[str, Any]]:
    """The gates of earlier runs under today's rule and this bound; a last line that was cut off is left out."""
    gates = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            gates.append(json.loads(line))
    now = (RULE_VERSION, bound)
    return [gate for gate in gates if (gate.get("rule_version"), gate.get("bound_fraction", BOUND)) == now]


def certify(root: Path, output: Path, data: Path | None, say: Callable[[str], None], bound: float = BOUND) -> str:
    """Runs the gates of this bound that are missing in `output` and writes the certificate; returns it as Markdown."""
    output.mkdir(parents=True, exist_ok=True)
    file = output / "gates.jsonl"
    done = read_gates(file, bound)
    images = load_images("MNIST", data)
    machine = facts.machine().label
    commit = git.commit_of(root / "fcnn" / "train.py")
    rule = decide.TimingRule(bound_fraction=bound)
    with files.scratch() as scratch:
        folders = {k.slowdown_fraction: scratch / f"slower-{k.slowdown_fraction:g}" for k in kinds(bound)}
        reference = slowed(root, scratch / "reference", 0.0)
        for slowdown, folder in folders.items():
            slowed(root, folder, slowdown)
        with check.sides_with(images, scratch, Trees(reference, reference, ""), whole=False) as same:
            for slowdown, noisy in planned(done, bound):
                begin = time.monotonic()
                with neighbour(noisy=noisy):
                    sides = Sides(same.reference, dataclasses.replace(same.candidate, tree=folders[slowdown]))
                    outcome = check.time_case(sides, check.gate_case(), rule, random.Random())
                gate = {
                    "bound_fraction": bound,
                    "slowdown_fraction": slowdown,
                    "noisy": noisy,
                    "verdict": outcome.verdict,
                    "estimate_fraction": outcome.raw["slowdown_fraction"],
                    "seconds": round(time.monotonic() - begin, 2),
                    "machine": machine,
                    "rule_version": RULE_VERSION,
                    "commit": commit and commit.id,
                    "log_ratios": {
                        stage: [round(Pair(**pair).log_ratio, 6) for pair in outcome.raw[stage]]
                        for stage in ("screening", "confirmation", "control")
                    },
                }
                done.append(gate)
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(gate) + "\n")
                what = f"{100 * slowdown:+.3g}%{' noisy' * noisy}"
                say(f"{len(done)}: {what} {outcome.verdict} in {gate['seconds']:.0f} s")
                files.write(output / certificate_file(bound), certificate(done, bound))
    return certificate(done, bound)


def certificate_file(bound: float) -> str:
    """Where the certificate of a bound stands."""
    return "README.md" if bound == BOUND else f"bound-{100 * bound:g}.md"


def certificate(gates: list[dict[str, Any]], bound: float = BOUND) -> str:
    """What the gates of a bound say: verdicts by slowdown and neighbour, with bounds on the error rates."""
    machines = sorted({gate["machine"] for gate in gates})
    lines = [
        f"# Certificate of the timing gate, for a slowdown of {100 * bound:g}%",
        "",
        f"{len(gates)} of {sum(kind.count for kind in kinds(bound))} gates, on {', '.join(machines)}, in "
        f"{sum(gate['seconds'] for gate in gates) / 3600:.1f} hours. Every pair's log ratio is in `gates.jsonl`; "
        f"`fcnn-bench certify --bound {100 * bound:g}` goes on where it was stopped.",
        "",
    ]
    rows = []
    for kind in kinds(bound):
        for noisy in (False, True):
            of_kind = [gate for gate in gates if _is(gate, kind.slowdown_fraction, noisy)]
            if not of_kind:
                continue
            verdicts = [gate["verdict"] for gate in of_kind]
            counts = [verdicts.count(verdict) for verdict in (decide.PASS, decide.FAIL, decide.INCONCLUSIVE)]
            rate = scipy.stats.binomtest(counts[1], len(of_kind)).proportion_ci()
            estimates = sorted(gate["estimate_fraction"] for gate in of_kind)
            cells = [
                f"{100 * kind.slowdown_fraction:+.3g}%" if kind.slowdown_fraction else "nothing",
                "busy" if noisy else "idle",
            ]
            cells += [str(number) for number in (len(of_kind), *counts)]
            cells += [f"{rate.low:.1%} to {rate.high:.1%}", f"{estimates[len(estimates) // 2]:+.2%}"]
            rows.append(cells)
    headings = ["planted", "neighbour", "gates", *(decide.PASS, decide.FAIL, decide.INCONCLUSIVE)]
    headings += ["FAIL rate, 95% interval", "median estimate"]
    return "\n".join([*lines, as_markdown(Table.of(headings, rows)), "", _power(gates, bound)]) + "\n"


def _power(gates: list[dict[str, Any]], bound: float) -> str:
    """What gates are worth where pairs scatter as those of identical code did."""
    pairs = [gate["log_ratios"] for gate in gates if not gate["slowdown_fraction"]]
    values = [value for stages in pairs for stage in ("screening", "confirmation") for value in stages[stage]]
    if len(values) < FEW_PAIRS:
        return "Too few gates of identical code to say how small a slowdown is seen."
    deviation = math.sqrt(sum(value**2 for value in values) / len(values))
    rule = decide.TimingRule(bound_fraction=bound)
    passed, _ = power.shares(values, 0.0, rule)
    least = power.fails_from(values, rule)
    sure = f"from one of {least:.1%} on" if least else f"at none up to {power.MOST_BOUNDS * bound:.0%}"
    return (
        f"Pairs of identical code scatter by {deviation:.2%}. In gates that draw from these pairs again, unchanged "
        f"code passes {passed:.0%} of the time, and a slowdown fails in 95 of 100 {sure}."
    )
