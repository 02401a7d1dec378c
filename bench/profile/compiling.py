"""What torch.compile makes of a case, from cold: breaks with the user's line, generated kernels, seconds by stage."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bench.measure.compilation import compilations
from bench.profile.model import CompiledCase

# Fields of torch's own metrics (torch._dynamo.utils.CompilationMetrics); a stage contains those that it calls.
STAGES = {
    "Dynamo, Python to a graph, with all that it calls": "dynamo_cumulative_compile_time_us",
    "AOTAutograd, forward and backward graphs, with Inductor for forward": "aot_autograd_cumulative_compile_time_us",
    "backward, compiled when it is first run": "backward_cumulative_compile_time_us",
    "Inductor, graphs to a library, forward and backward": "inductor_cumulative_compile_time_us",
    "of that, generating code and making the library": "inductor_code_gen_cumulative_compile_time_us",
}


def compile_and_watch(run: Callable[[], object]) -> CompiledCase:
    """Runs a few steps of a compiled case that was not compiled yet."""
    import torch._dynamo.utils
    from torch._inductor.utils import run_and_get_code

    torch._dynamo.reset()
    with compilations() as watched:
        _, codes = run_and_get_code(run)
        metrics = torch._dynamo.utils.get_compilation_metrics()
        broken = list(torch._dynamo.utils.graph_break_reasons)
    return CompiledCase(
        graphs=watched.graphs,
        breaks=[_break(reason) for reason in broken] or watched.graph_break_reasons,
        recompiles=watched.recompile_reasons,
        kernels=kernel_names(codes),
        stage_seconds=stage_seconds(metrics),
    )


def _break(note: Any) -> str:
    """`train.py:12 step: why`, of torch's own note on a graph break."""
    # Its first line; what follows explains and gives hints.
    why = next(iter(str(note.reason).strip().splitlines()), "no reason was given")
    frames = list(note.user_stack or [])
    if not frames:
        return why
    last = frames[-1]
    return f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno} {last.name}: {why}"


def kernel_names(codes: list[str]) -> list[str]:
    """Names of the kernels that generated code defines, each once, in its order."""
    names: dict[str, None] = {}
    for code in codes:
        names |= dict.fromkeys(re.findall(r"^(\w+) = async_compile\.", code, re.MULTILINE))
        names |= dict.fromkeys(re.findall(r"^@triton.*?^def (triton_\w+)", code, re.MULTILINE | re.DOTALL))
    return list(names)


def stage_seconds(metrics: list[Any]) -> dict[str, float]:
    """Sums over the compilations."""
    return {stage: sum(getattr(metric, name, None) or 0 for metric in metrics) / 1e6 for stage, name in STAGES.items()}
