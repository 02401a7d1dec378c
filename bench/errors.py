"""The one error of the suite, the exit codes, and the reason that stands in an error of somebody else's.

What a user can cause or mend is raised as a `BenchError` with its exit code; `bench.command` makes a line of it.
Subclasses exist only where a caller has to tell one kind from another.
"""

from __future__ import annotations

import re

DONE, FAILED, USAGE, BROKEN, NOT_COMPARABLE, INCONCLUSIVE = range(6)


class BenchError(Exception):
    """Why a command ends without a result.

    Args:
        message: One line for the user: the thing, the reason, the remedy.
        exit_code: What the process returns; the class's own if it is not given.
    """

    exit_code = BROKEN

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code


def not_comparable(message: str) -> BenchError:
    """That what something is to be compared with is missing, or is of another kind."""
    return BenchError(message, NOT_COMPARABLE)


# What torch, its compiler, its loader and Python say about an error, and not what the error is.
_HINT = re.compile(
    r"set TORCH|for (even )?more developer context|to (log|see|fix|suppress|debug)\b|you can suppress|hint:|"
    r"for debugging|compile with `?TORCH|warning:|\w+Warning:|the above exception|during handling of|"
    r"details are lost|rerunning with|please (report|include|file)|note:|explanation:|developer debug|"
    r"for more details|\^+$|\s*~+\^*~*$|command( was)?:|output:|stack ?trace|process \S+Process-|exception ignored",
    re.IGNORECASE,
)
# A compiler's, a linker's or the loader of shared libraries' own word, wherever it stands in what they say.
_TOOL = re.compile(
    r"(?:^|[\s:])(?:fatal error|error):\s*\S|undefined reference|cannot find -l|cannot open shared object|"
    r"cannot open include file|no space left|undefined symbol|not found \(required by",
    re.IGNORECASE,
)
_RAISED = re.compile(
    r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Failure|Unsupported|Failed|Timeout|Break|Compiler)\b(: |$)"
)
# First lines that announce the reason and do not hold it.
_ANNOUNCEMENT = re.compile(
    r"^(?:[\w.]+: )*(?:backend='?\w+'? raised:?$|caught .* in .* process|c\+\+ compile error|"
    r"dataloader worker .* exited)",
    re.IGNORECASE,
)


def reason_in(text: str) -> str:
    """The line that says why, of what a failed program has printed or of a long message; empty if there is none.

    The compiler's or the loader's own error if there is one, else the last exception, else the last line that is not
    a hint about how to see more.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    lines = [line for before, line in zip(["", *lines], lines, strict=False) if before.lower() != "command:"]
    tools = [line for line in lines if _TOOL.search(line) and not _announces(line)]
    raised = [line for line in lines if _RAISED.match(line) and not _announces(line)]
    rest = [line for line in lines if not _HINT.match(line) and not _announces(line)]
    for candidates, at in ((tools, 0), (raised, -1), (rest, -1), (lines, 0)):
        if candidates:
            return candidates[at]
    return ""


def _announces(line: str) -> bool:
    return bool(_ANNOUNCEMENT.match(line))


def reason_of(error: BaseException) -> str:
    """`ValueError: why` of any exception, on one line, its message's own reason in place of a hint."""
    if isinstance(error, BenchError):
        return str(error)  # is a reason
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # an error whose message fails is still one
        text = ""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return name
    first = lines[0].strip()
    if len(lines) > 1 and (_announces(first) or any(_TOOL.search(line) for line in lines[1:])):
        inner = reason_in("\n".join(lines))
        return inner if _RAISED.match(inner) else f"{name}: {inner}"
    return f"{name}: {first}"
