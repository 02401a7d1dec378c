"""The counts gate: exact counters of the candidate against those of the reference. No noise, so no tolerance.

An intended change is accepted by a line in `results/reference/accepted.toml`, reviewed like code:

    [[accepted]]
    case = "step[cpu-b64-fp32-t1]"
    count = "aten::_local_scalar_dense float32"
    reference = 4
    candidate = 5
    reason = "the loss is logged at every step, see issue 12"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import USAGE, BenchError

ACCEPTED_FILE = Path("results/reference/accepted.toml")
# What a difference means to the person who caused it, by the beginning of the count's name. The first that fits.
MEANINGS = (
    ("aten::_local_scalar_dense", "`.item()`, `float()` or `bool()` of a tensor in the step: on a GPU the host waits"),
    ("aten::clone", "a copy of a tensor"),
    ("aten::_to_copy float64", "an upcast to float64"),
    ("aten::_to_copy", "a conversion of number format or device"),
    ("aten::copy_", "a copy into a tensor"),
    ("host_synchronisations", "the host waits for the device"),
    ("host_device", "copies between host and device"),
    ("growth_bytes", "memory that every step leaves behind: a leak, such as losses kept with their graphs"),
    ("saved_tensor_bytes", "what forward keeps for backward; in an evaluation, a missing `no_grad`"),
    ("recompile", "torch.compile compiles again while training: something that it guards on changes"),
    ("graph_break", "torch.compile stops a graph and goes on in Python"),
    ("graphs", "graphs that torch.compile makes"),
    ("flops", "arithmetic of matrix products"),
    ("parameter_bytes", "the model's size or number format"),
    ("optimizer_state_bytes", "what the optimizer keeps"),
    ("peak_allocated_bytes", "the most memory alive at once"),
    ("allocations", "tensors made"),
)


@dataclass(frozen=True)
class Difference:
    """A count that changed; `accepted` is the reason in the file, None if nobody has accepted it."""

    case: str
    count: str
    reference: int
    candidate: int
    accepted: str | None = None

    @property
    def sentence(self) -> str:
        """`aten::clone float32 0 -> 1 a step: a copy of a tensor`."""
        repetition = "evaluation" if self.case.startswith("evaluation") else "step"
        meaning = next((text for start, text in MEANINGS if self.count.startswith(start)), "")
        changed = f"{self.count} {self.reference:,} -> {self.candidate:,} per {repetition}"
        return f"{changed}: {meaning}" if meaning else changed


def flat(counters: Mapping[str, Any]) -> dict[str, int]:
    """Counters as one number a name: ATen calls by name and type, everything else by its own; missing ones left out."""
    by_name = dict(counters.get("aten_calls", {}))
    by_name |= {name: value for name, value in counters.items() if isinstance(value, int)}
    return by_name


def differences(
    case: str, reference: Mapping[str, Any], candidate: Mapping[str, Any], accepted: Sequence[Mapping[str, Any]] = ()
) -> list[Difference]:
    """Every count that is not the same on both sides, the calls first; a call that one side lacks counts as 0.

    What one side does not know is no difference.
    """
    before, after = flat(reference), flat(candidate)
    changed = []
    unknown = {name for side in (reference, candidate) for name, value in side.items() if value is None}
    for name in dict.fromkeys([*after, *before]):
        if name in unknown:  # as of a model that a program does not show
            continue
        sides = before.get(name, 0), after.get(name, 0)
        if sides[0] != sides[1]:
            changed.append(Difference(case, name, *sides, accepted=_reason(case, name, sides, accepted)))
    return changed


def _reason(case: str, name: str, sides: tuple[int, int], accepted: Sequence[Mapping[str, Any]]) -> str | None:
    wanted = {"case": case, "count": name, "reference": sides[0], "candidate": sides[1]}
    for line in accepted:
        if all(line[key] == value for key, value in wanted.items()):
            return str(line["reason"])
    return None


def read_accepted(path: Path) -> list[dict[str, Any]]:
    """The accepted changes in `path`; none if there is no such file.

    Raises:
        BenchError: It is not TOML, or a line lacks a key or its reason.
    """
    try:
        lines = tomllib.loads(path.read_text("utf-8")).get("accepted", [])
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BenchError(f"{path}: {error}", USAGE) from error
    for number, line in enumerate(lines, 1):
        for key, kind in {"case": str, "count": str, "reference": int, "candidate": int, "reason": str}.items():
            if not isinstance(line.get(key), kind) or line[key] == "":
                raise BenchError(f"{path}: accepted change {number} lacks its {key}", USAGE)
    return list(lines)
