"""The verbs of `fcnn-bench`, one line each into the packages.

Imports nothing heavy before a verb is chosen.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from bench import command
from bench.axes import devices, matrix
from bench.errors import USAGE, BenchError
from bench.parser import TWO_SIDES, Parser, filled_in, sides_apart, verb_first
from fcnn import __version__

USAGE_LINE = "fcnn-bench [VERB] [OPTIONS]"
OVERVIEW = """\
examples:
  fcnn-bench               a report on this machine, CPU and GPU, in a minute;
                           it takes the options of run
  fcnn-bench check main    did my change make training slower or less accurate?

Each verb has its own --help. Exit codes: 0 done or passed; 1 a gate failed;
2 usage; 3 failed, interrupted, or nothing ran; 4 the baseline is missing or not
comparable; 5 inconclusive."""
DATA_HELP = "where the images are (default FCNN_DATA, else the user's cache folder)"
BOUND_HELP = "smallest slowdown to catch, in percent (default 5)"
RESULTS_HELP = "results folder (default results)"
RUN_HELP = "run folder to write to (default the newest one of this machine)"
PROGRAM_HELP = "a program of your own: a file that defines make(device, batch_size, seed), see the README"
T = TypeVar("T")
GATES = ("counts", "timing", "accuracy")


def make_parser() -> Parser:
    """All verbs with their options."""
    parser = Parser(
        prog="fcnn-bench",
        usage=USAGE_LINE,
        description="How fast does a small network train here, on CPU and GPU, and why?",
        epilog=OVERVIEW,
        formatter="RawDescriptionRichHelpFormatter",
    )
    parser.add_argument("--version", action="version", version=f"fcnn-bench {__version__}", help="print it and exit")
    parser.set_defaults(do=_measure, plan="quick")
    # Said by `run --help`.
    matrix.add_options(lambda *names, **options: parser.add_argument(*names, **{**options, "help": argparse.SUPPRESS}))
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", prog="fcnn-bench", parser_class=Parser)
    parser.set_defaults(verbs=verbs.choices)

    def add(name: str, what: str, formatter: str = "RichHelpFormatter") -> Parser:
        made: Parser = verbs.add_parser(
            name,
            help=what,
            usage=f"fcnn-bench {name} [OPTIONS]",
            description=f"{what[:1].upper()}{what[1:]}.",
            formatter=formatter,
        )
        return made

    run = add("run", "measure a matrix of cases: every combination of the values given", "RawTextRichHelpFormatter")
    axes = run.add_argument_group("what is measured; of an option with several values, each")
    matrix.add_axes(filled_in(axes.add_argument))
    filled_in(axes.add_argument)("--program", type=matrix.path, metavar="FILE", help=PROGRAM_HELP)
    matrix.add_effort(filled_in(run.add_argument_group("how much").add_argument))
    places = run.add_argument_group("images and results")
    matrix.add_places(filled_in(places.add_argument))
    places.add_argument("--resume", type=matrix.path, metavar="DIR", help="go on with the run of this folder")
    run.set_defaults(do=_measure, plan="suite")

    report = add("report", "draw tables and page from records or journals, without torch")
    report.add_argument("records", nargs="+", type=matrix.path, metavar="RECORD", help="record.json or run folder")
    report.add_argument(
        "--output", type=matrix.path, metavar="DIR", help="where to write (default beside the first record)"
    )
    report.set_defaults(do=_report)

    compare = add("compare", "compare two records, or several a side: A B, or A1 A2 -- B1 B2")
    compare.add_argument("records", nargs="+", type=matrix.path, metavar="A", help="record.json or run folder")
    compare.add_argument("--with", nargs="+", type=matrix.path, dest="others", help=argparse.SUPPRESS)  # said by `--`
    compare.set_defaults(do=_compare)

    check = add("check", "fail if the working tree is slower or less accurate than a ref")
    check.add_argument(
        "ref", nargs="?", metavar="REF", help="git ref to compare with (default the merge base with the main branch)"
    )
    check.add_argument("--baseline", nargs="+", type=matrix.path, default=[], metavar="RECORD",
                       help="compare with records of this machine in place of a ref; several tell more")  # fmt: skip
    check.add_argument("--bound", type=_percent, default=0.05, metavar="PERCENT", help=BOUND_HELP)
    check.add_argument("--program", type=matrix.path, metavar="FILE", help=f"{PROGRAM_HELP}, in its git repository")
    check.add_argument("--batch", type=matrix.whole, metavar="N", help="its batch size (default 64)")
    check.add_argument("--device", type=_one_device, default=["cpu"], metavar="DEVICE", help="where (default cpu)")
    check.add_argument("--all", action="store_true", help="time every default case, not the step at batch 64 alone")
    check.add_argument("--gates", nargs="+", choices=GATES, help="which gates (default all)")
    check.add_argument("--against-python", metavar="PYTHON",
                       help="run the reference under this interpreter, which needs torch and nothing else: another "
                       "torch, another build; without REF the program is the same on both sides")  # fmt: skip
    check.add_argument("--against-env", action="append", default=[], metavar="NAME=VALUE",
                       help="run the reference with this environment variable; repeatable")  # fmt: skip
    check.add_argument("--data", type=matrix.path, metavar="DIR", help=DATA_HELP)
    check.add_argument("--output", type=matrix.path, default=Path("results/check"), metavar="DIR",
                       help="where to write (default results/check)")  # fmt: skip
    check.set_defaults(do=_check)

    certify = add("certify", "measure the timing gate's own error rates here; hours, resumable")
    certify.add_argument("--bound", type=_percent, default=0.05, metavar="PERCENT", help=BOUND_HELP)
    certify.add_argument("--data", type=matrix.path, metavar="DIR", help=DATA_HELP)
    certify.add_argument("--output", type=matrix.path, default=Path("results/certificate"), metavar="DIR",
                         help="where it goes on and writes (default results/certificate)")  # fmt: skip
    certify.set_defaults(do=_certify)

    profile = add("profile", "where the time and the memory of one case go, operator by operator")
    profile.add_argument("case", nargs="?", metavar="CASE",
                         help="a case's id, as the tables show it (default the tutorial's epoch)")  # fmt: skip
    profile.add_argument("--program", type=matrix.path, metavar="FILE",
                         help=f"{PROGRAM_HELP}; its cases are called like program[cpu-b64] (default)")  # fmt: skip
    profile.add_argument("--against", dest="other", metavar="B",
                         help="what accounts for the difference: another case, or a git ref")  # fmt: skip
    profile.add_argument(
        "--at", dest="ref", metavar="REF", help="profile the program of a git ref, not of the working tree"
    )
    profile.add_argument("--steps", type=matrix.whole, default=40, metavar="N", help="traced steps (default 40)")
    profile.add_argument("--dataset", choices=matrix.DATASETS, help="which images (default MNIST)")
    profile.add_argument("--data", type=matrix.path, metavar="DIR", help=DATA_HELP)
    profile.add_argument("--results", type=matrix.path, default=Path("results"), metavar="DIR", help=RESULTS_HELP)
    profile.add_argument("--run", type=matrix.path, metavar="DIR", help=RUN_HELP)
    profile.set_defaults(do=_profile)

    ladder = add("ladder", "how fast could it be: one change per step, from the tutorial")
    ladder.add_argument("--device", nargs="+", type=_ladder_device, metavar="DEVICE",
                        help="cpu, cuda, or a GPU by its number: cuda:1 (default those that are here)")  # fmt: skip
    ladder.add_argument("--steps", nargs="+", metavar="NAME", help="which steps, beside the tutorial (default all)")
    ladder.add_argument(
        "--epochs", type=matrix.whole, default=3, metavar="N", help="fewest timed epochs per step (default 3)"
    )
    ladder.add_argument("--data", type=matrix.path, metavar="DIR", help=DATA_HELP)
    ladder.add_argument("--results", type=matrix.path, default=Path("results"), metavar="DIR", help=RESULTS_HELP)
    ladder.add_argument("--run", type=matrix.path, metavar="DIR", help=RUN_HELP)
    ladder.add_argument("--resume", type=matrix.path, metavar="DIR", help="go on with the ladder of this folder")
    matrix.refuse_sizes(ladder.add_argument, "the ladder is written by hand for the reference network alone")
    ladder.set_defaults(do=_ladder)

    add("env", "what this machine is, and what would disturb its numbers").set_defaults(do=_env)
    return parser


def _measure(options: argparse.Namespace) -> int:
    from bench.suite.run import resume, run

    chosen = {name: getattr(options, name) for name in matrix.option_names()}
    if options.plan == "suite" and options.resume:
        return resume(options.resume, chosen)
    if program := getattr(options, "program", None):
        chosen |= matrix.of_program(chosen, program)
    elif "program" in (chosen["workload"] or ()):
        raise BenchError(
            "argument --workload: program is one of your own, which has to be named: --program FILE.py", USAGE
        )
    return run(matrix.filled(chosen), options.plan, options.words)


def _report(options: argparse.Namespace) -> int:
    from bench.report.verbs import write_pages

    return write_pages(options.records, options.output)


def _compare(options: argparse.Namespace) -> int:
    from bench.report.verbs import show_comparison

    records, others = options.records, options.others
    if not others and len(records) != 2:
        raise BenchError(TWO_SIDES, USAGE)
    return show_comparison(records, others) if others else show_comparison(records[:1], records[1:])


def _check(options: argparse.Namespace) -> int:
    from bench.gate.own import find
    from bench.gate.sides import environment_of
    from bench.gate.verb import run_check

    if options.ref and options.baseline:
        raise BenchError("check: REF or --baseline, not both (see fcnn-bench check --help)", USAGE)
    program = find(options.program, options.batch or 64, options.device[0]) if options.program else None
    if program and (options.baseline or options.all or options.data):
        raise BenchError("check: --program goes with a REF, and without --baseline, --all and --data", USAGE)
    if options.baseline and options.device != ["cpu"]:
        raise BenchError("check: --device goes with a REF, and not with --baseline", USAGE)
    if options.batch and not program:
        raise BenchError("check: --batch belongs to --program", USAGE)
    environment = environment_of(options.against_python, options.against_env)
    if environment and options.baseline:
        raise BenchError("check: a record has no environment of its own: --baseline, or --against-*, not both", USAGE)
    return run_check(
        options.ref,
        baseline=options.baseline,
        bound=options.bound,
        everything=options.all,
        gates=options.gates,
        data=options.data,
        output=options.output,
        environment=environment,
        program=program,
        device=options.device[0],
    )


def _certify(options: argparse.Namespace) -> int:
    from bench.gate.verb import run_certify

    return run_certify(options.output, options.data, options.bound)


def _profile(options: argparse.Namespace) -> int:
    from bench.profile.verb import ProfileOptions, run_profile

    options.case = options.case or ("program[cpu-b64]" if options.program else "epoch[cpu-b64-fp32-loader]")
    return run_profile(_filled(ProfileOptions, options))


def _ladder(options: argparse.Namespace) -> int:
    from bench.ladder.verb import LadderOptions, run_ladder

    return run_ladder(_filled(LadderOptions, options))


def _one_device(text: str) -> list[str]:
    return [matrix.device(text)]


def _ladder_device(text: str) -> str:
    if matrix.device(text).partition(":")[0] not in ("cpu", "cuda"):
        raise argparse.ArgumentTypeError(f"{text!r}: the ladder is climbed on cpu and cuda")
    return text


def _filled(kind: type[T], options: argparse.Namespace) -> T:
    """What a verb is asked: a dataclass whose fields are its options."""
    return kind(**{field.name: getattr(options, field.name) for field in dataclasses.fields(kind)})  # type: ignore[arg-type]


def _percent(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0.01 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 1 to 100")
    return share


def _env(options: argparse.Namespace) -> int:
    from bench.measure.env import env

    return env()


def main(argv: Sequence[str] | None = None) -> int:
    """`work` with its errors as one line on stderr, and an interruption too."""
    return command.run(lambda: work(list(sys.argv[1:] if argv is None else argv)))


def work(words: list[str]) -> int:
    """Parses and runs; returns the exit code."""
    parser = make_parser()
    options = parser.parse_args(sides_apart(verb_first(parser, words)))
    if getattr(options, "device", None):
        try:
            options.device = devices.choose(options.device)
        except ValueError as error:
            raise BenchError(f"argument --device: {error}", USAGE) from error
    return int(options.do(argparse.Namespace(**vars(options), words=words)))
