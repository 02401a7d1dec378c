"""The verbs of `fcnn-bench`, one line each into the rooms.

Imports nothing heavy before a verb is chosen.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench import command
from bench.axes import devices, matrix
from bench.errors import USAGE, BenchError
from bench.text import one_line
from fcnn import __version__

OVERVIEW = """\
Without a verb: a CPU-versus-GPU report in at most a minute, with a plan and its expected time first.

Exit codes: 0 done or passed; 1 a gate failed; 2 usage; 3 the harness failed, was interrupted or nothing ran;
4 the baseline is missing or not comparable; 5 inconclusive."""
T = TypeVar("T")
GATES = ("counts", "timing", "accuracy")


class Parser(argparse.ArgumentParser):
    """Errors are one line that says what is wrong and where help is.

    Attributes:
        arguments: What was declared, in its order.
    """

    def __init__(self, **options: Any) -> None:
        self.arguments: list[argparse.Action] = []
        super().__init__(allow_abbrev=False, **options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Declares an option or a positional argument."""
        self.arguments.append(super().add_argument(*names, **options))
        return self.arguments[-1]

    def error(self, message: str) -> None:  # type: ignore[override]
        """Prints the line and exits with the usage code."""
        self.exit(USAGE, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")


def make_parser() -> Parser:
    """All verbs with their options."""
    parser = Parser(
        prog="fcnn-bench",
        description="How fast does a small network train here, on CPU and GPU, and why.",
        epilog=OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fcnn-bench {__version__}")
    parser.set_defaults(do=_measure, plan="quick")
    matrix.add_options(parser.add_argument)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)

    parser.set_defaults(verbs=verbs.choices)

    run = verbs.add_parser("run", help="measure a chosen matrix: every combination of the values given")
    matrix.add_options(run.add_argument)
    run.add_argument("--resume", type=matrix.path, metavar="DIR", help="go on with the run of this folder")
    run.set_defaults(do=_measure, plan="suite")

    report = verbs.add_parser("report", help="draw the tables and the page from records, without torch")
    report.add_argument("records", nargs="+", type=matrix.path, metavar="RECORD", help="record.json or run folder")
    report.add_argument(
        "--output", type=matrix.path, metavar="DIR", help="where to write; default: beside the first record"
    )
    report.set_defaults(do=_report)

    compare = verbs.add_parser("compare", help="records side by side, with intervals: compare A B, or several a side")
    compare.add_argument("records", nargs="+", type=matrix.path, metavar="A", help="record.json or run folder")
    compare.add_argument(
        "--with", nargs="+", type=matrix.path, dest="others", metavar="B", help="those that all A are compared with"
    )
    compare.set_defaults(do=_compare)

    check = verbs.add_parser("check", help="the regression gates: the working tree against a git ref; for CI")
    check.add_argument("ref", nargs="?", metavar="REF", help="default: the merge base with the main branch")
    check.add_argument("--baseline", nargs="+", type=matrix.path, default=[], metavar="RECORD",
                       help="against records of this machine in place of a ref; several tell more")  # fmt: skip
    check.add_argument("--bound", type=_percent, default=0.05, metavar="PERCENT", help="slowdown not to pass (5)")
    check.add_argument("--all", action="store_true", help="time every default case, not the step at batch 64 alone")
    check.add_argument("--gates", nargs="+", choices=GATES, default=list(GATES), help="which; default: all")
    check.add_argument("--data", type=matrix.path, metavar="DIR", help="data root; else FCNN_DATA, else the cache")
    check.add_argument(
        "--output", type=matrix.path, default=Path("results/check"), metavar="DIR", help="(results/check)"
    )
    check.set_defaults(do=_check)

    certify = verbs.add_parser("certify", help="the timing gate's own error rates on this machine; hours, resumable")
    certify.add_argument("--data", type=matrix.path, metavar="DIR", help="data root; else FCNN_DATA, else the cache")
    certify.add_argument("--output", type=matrix.path, default=Path("results/certificate"), metavar="DIR",
                         help="where it goes on, and what it writes (results/certificate)")  # fmt: skip
    certify.set_defaults(do=_certify)

    profile = verbs.add_parser("profile", help="where the time and the memory of one case go")
    profile.add_argument("case", nargs="?", default="epoch[cpu-b64-fp32-loader]", metavar="CASE",
                         help="a case's id as the tables show it (the tutorial's epoch)")  # fmt: skip
    profile.add_argument("--against", dest="other", metavar="B",
                         help="what accounts for the difference: another case, or a git ref")  # fmt: skip
    profile.add_argument(
        "--at", dest="ref", metavar="REF", help="profile the program of a git ref, not of the working tree"
    )
    profile.add_argument("--steps", type=matrix.whole, default=40, metavar="N", help="traced steps (40)")
    profile.add_argument("--dataset", choices=matrix.DATASETS, default="MNIST", help="which images (MNIST)")
    profile.add_argument("--data", type=matrix.path, metavar="DIR", help="data root; else FCNN_DATA, else the cache")
    profile.add_argument(
        "--results", type=matrix.path, default=Path("results"), metavar="DIR", help="results folder (results)"
    )
    profile.add_argument("--run", type=matrix.path, metavar="DIR",
                         help="run folder to write to; default: the newest one of this machine")  # fmt: skip
    profile.set_defaults(do=_profile)

    ladder = verbs.add_parser(
        "ladder", help="how fast could this be? One change a rung, from the tutorial to the floor"
    )
    ladder.add_argument("--device", nargs="+", type=_ladder_device, metavar="DEVICE",
                        help="cpu, cuda, or a GPU by its number (cuda:1); default: those that are here")  # fmt: skip
    ladder.add_argument("--rungs", nargs="+", metavar="NAME", help="which, beside the tutorial; default: all")
    ladder.add_argument(
        "--epochs", type=matrix.whole, default=3, metavar="N", help="fewest timed epochs per rung (default 3)"
    )
    ladder.add_argument("--data", type=matrix.path, metavar="DIR", help="data root; else FCNN_DATA, else the cache")
    ladder.add_argument(
        "--results", type=matrix.path, default=Path("results"), metavar="DIR", help="results folder (results)"
    )
    ladder.add_argument("--run", type=matrix.path, metavar="DIR",
                        help="run folder to write to; default: the newest one of this machine")  # fmt: skip
    ladder.add_argument("--resume", type=matrix.path, metavar="DIR", help="go on with the ladder of this folder")
    matrix.refuse_sizes(ladder.add_argument, "the ladder is written by hand for the reference network alone")
    ladder.set_defaults(do=_ladder)

    env = verbs.add_parser("env", help="what this machine is, and what would make its numbers untrustworthy")
    env.set_defaults(do=_env)
    return parser


def _measure(options: argparse.Namespace) -> int:
    from bench.suite.run import resume, run

    chosen = {name: getattr(options, name) for name in matrix.option_names()}
    if options.plan == "suite" and options.resume:
        return resume(options.resume, chosen)
    return run(chosen, options.plan, options.words)


def _report(options: argparse.Namespace) -> int:
    from bench.report.verbs import write_pages

    return write_pages(options.records, options.output)


def _compare(options: argparse.Namespace) -> int:
    from bench.report.verbs import show_comparison

    records, others = options.records, options.others
    if not others and len(records) != 2:
        raise BenchError("compare: two records, or A ... --with B ... (see fcnn-bench compare --help)", USAGE)
    return show_comparison(records, others) if others else show_comparison(records[:1], records[1:])


def _check(options: argparse.Namespace) -> int:
    from bench.gate.verb import run_check

    if options.ref and options.baseline:
        raise BenchError("check: REF or --baseline, not both (see fcnn-bench check --help)", USAGE)
    return run_check(
        options.ref,
        baseline=options.baseline,
        bound=options.bound,
        everything=options.all,
        gates=options.gates,
        data=options.data,
        output=options.output,
    )


def _certify(options: argparse.Namespace) -> int:
    from bench.gate.verb import run_certify

    return run_certify(options.output, options.data)


def _profile(options: argparse.Namespace) -> int:
    from bench.profile.verb import ProfileOptions, run_profile

    return run_profile(_filled(ProfileOptions, options))


def _ladder(options: argparse.Namespace) -> int:
    from bench.ladder.verb import LadderOptions, run_ladder

    return run_ladder(_filled(LadderOptions, options))


def _ladder_device(text: str) -> str:
    if matrix.device(text).partition(":")[0] not in ("cpu", "cuda"):
        raise argparse.ArgumentTypeError(f"{text!r}: the ladder is climbed on cpu and cuda")
    return text


def _filled(kind: type[T], options: argparse.Namespace) -> T:
    """What a verb is asked: a dataclass whose fields are its options."""
    return kind(**{field.name: getattr(options, field.name) for field in dataclasses.fields(kind)})  # type: ignore[arg-type]


def _percent(text: str) -> float:
    try:
        found = float(text.removesuffix("%")) / 100
    except ValueError:
        found = 0.0
    if not 0.01 <= found <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 1 to 100")
    return found


def _env(options: argparse.Namespace) -> int:
    from bench.measure.env import env

    return env()


def verb_first(parser: Parser, words: Sequence[str]) -> list[str]:
    """`words` with the verb in front of the options that stand before it, so that these mean the same in both places.

    What a verb does not know it then refuses, as it does behind it.
    """
    verbs = parser.get_default("verbs")
    takes_one = {name for action in parser.arguments if action.nargs is None for name in action.option_strings}
    at = 0
    while at < len(words):
        if words[at] in takes_one:
            at += 1  # its value, which may be called like a verb
        elif words[at] in verbs:
            return [words[at], *words[:at], *words[at + 1 :]]
        elif words[at] == "--":
            break
        at += 1
    return list(words)


def main(argv: Sequence[str] | None = None) -> int:
    """`work` with its errors as one line on stderr, and an interruption too."""
    return command.run(lambda: work(list(sys.argv[1:] if argv is None else argv)))


def work(words: list[str]) -> int:
    """Parses and runs; returns the exit code."""
    parser = make_parser()
    options = parser.parse_args(verb_first(parser, words))
    if getattr(options, "device", None):
        try:
            options.device = devices.choose(options.device)
        except ValueError as error:
            raise BenchError(f"argument --device: {error}", USAGE) from error
    return int(options.do(argparse.Namespace(**vars(options), words=words)))
