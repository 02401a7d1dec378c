"""`fcnn-bench profile`: options in, a page, a trace and a table out."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import fcnn
from bench import console, interruption
from bench.axes.case import Case, parse_id, why_impossible
from bench.axes.devices import DEVICES, choose
from bench.axes.matrix import DATASETS, refuse_given
from bench.errors import DONE, USAGE, BenchError
from bench.gate.trees import trees
from bench.measure import git, settings
from bench.profile import against, compose, page, show
from bench.profile.compose import Source, profile
from bench.profile.destination import destination
from bench.profile.model import Profile, to_json
from bench.record import files, store
from bench.report import later
from bench.suite import own
from bench.workers.images import images, requested
from bench.workers.presence import why_unusable
from fcnn.data import Images

FLAMES = ("python", "operators")  # pictures that are files of their own, too
GPU = re.compile(r"(?<=\[)cuda(:\d+)?(?=-)")  # in a case's id
LINK = 'Where the time of one case goes: <a href="profile.html">profile</a>.'


@dataclass(frozen=True)
class ProfileOptions:
    """What to profile.

    Attributes:
        case: Its id.
        other: What to compare with: another case's id or a git ref; None for nothing.
        ref: Git ref of the program that is profiled; None for the working tree.
        dataset: Which images; None for the usual ones, and where there is a program, which has its own.
        program: A file with a program of the user's own, whose step is profiled; None for the reference.
        run: Folder to write to; None for the newest run of this machine under `results`, or a new one.
    """

    case: str
    other: str | None
    ref: str | None
    steps: int
    dataset: str | None
    data: Path | None
    results: Path
    run: Path | None
    program: Path | None = None


def run_profile(options: ProfileOptions) -> int:
    """Profiles, writes traces/, profile.html, profile.md and profile.json, and prints the hot spots.

    After an interruption the files have what was measured, and of a comparison the first side whatever becomes of the
    second.

    Raises:
        BenchError: There is no such case or program, or it cannot be profiled; nothing is written then. Or not all of
            it could be measured.
        KeyboardInterrupt: Nothing was measured by then.
    """
    if options.program:
        refuse_given([name for name in ("dataset", "data") if getattr(options, name)])
    terminal = console.make()
    case, *others = _cases([options.case, *([options.other] if options.other and "[" in options.other else [])])
    other = others[0] if others else None
    loaded = None if options.program else images(options.dataset or DATASETS[0], options.data)
    for one in (case, *others):
        _check(one, loaded)
    with contextlib.ExitStack() as stack:
        # Both sides, and where it all goes, before a minute is spent on either.
        source = stack.enter_context(_source(options.ref, options.program))
        second = stack.enter_context(
            _source(options.other if options.other and not other else options.ref, options.program)
        )
        stack.enter_context(files.ignored_by_git(options.results))
        shown = destination(options.run, options.results, options.program)
        folder = shown.resolve()
        with interruption.deferred():  # from the first side until all files are in their place
            with store.staged(folder) as staged:
                profiled = _profiled(case, source, options, loaded, staged, terminal)
                compared = None
                if options.other:
                    try:
                        if profiled.interrupted:
                            raise KeyboardInterrupt
                        compared = _profiled(other or case, second, options, loaded, staged, terminal)
                    except (BenchError, KeyboardInterrupt) as error:  # the first side is worth having
                        profiled.missing["comparison"] = str(error) or compose.INTERRUPTED
                difference = against.difference(profiled, compared) if compared else None
                problems = _write(profiled, compared, difference, folder, staged)
                stale = [name for name in _optional(profiled) if not (staged / name).exists()]
            for name in stale:  # of an earlier profile
                (folder / name).unlink(missing_ok=True)
    show.show(profiled, difference, terminal)
    terminal.print(f"\nprofile: {shown}/profile.html", soft_wrap=True)
    for problem in problems:
        console.error(problem)
    if reason := _why_not_all(profiled, compared):
        raise BenchError(reason)
    return DONE


def _why_not_all(profiled: Profile, compared: Profile | None) -> str | None:
    no_comparison = profiled.missing.get("comparison")
    if profiled.interrupted or (compared and compared.interrupted) or no_comparison == compose.INTERRUPTED:
        return "interrupted: the profile has what was measured by then"
    return no_comparison and f"no comparison: {no_comparison}"


def _write(
    profiled: Profile,
    compared: Profile | None,
    difference: against.ProfileDifference | None,
    folder: Path,
    staged: Path,
) -> list[str]:
    """Fills the folder `staged`, which goes into `folder`; the pictures that could not be drawn, with their reasons."""
    pictures = page.pictures(profiled)
    files.write_json(staged / "profile.json", to_json(profiled))
    if compared:
        files.write_json(staged / "profile-b.json", to_json(compared))
    files.write(staged / "profile.md", show.markdown(profiled, difference, pictures))
    for plot in pictures:
        if plot.svg and plot.name in FLAMES:
            files.write(staged / _flame_file(profiled, plot.name), plot.svg)
    files.write(staged / "profile.html", page.page(profiled, difference, pictures))
    later.insert(folder / "report.html", "profile", lambda: LINK, staged / "report.html")
    return [f"picture of {plot.name}: {plot.problem}" for plot in pictures if plot.problem]


def _flame_file(profiled: Profile, name: str) -> str:
    return f"traces/{profiled.trace_file.removesuffix('.json.gz')}-{name}.svg"


def _optional(profiled: Profile) -> list[str]:
    """Files that a profile may lack."""
    return ["profile-b.json", *(_flame_file(profiled, name) for name in FLAMES)]


def _cases(ids: Sequence[str]) -> list[Case]:
    """The cases, whose GPU, named by its number as in `step[cuda:1-b64-fp32]`, is the only one seen from now on."""
    try:
        choose(sorted({gpu[0] for id in ids if (gpu := GPU.search(id))}))
        cases = [parse_id(GPU.sub("cuda", id)) for id in ids]
    except ValueError as error:
        raise BenchError(str(error), USAGE) from error
    return [dataclasses.replace(case, threads=case.threads or settings.default_threads()) for case in cases]


def _check(case: Case, images: Images | None) -> None:
    """Raises BenchError for a case that cannot be profiled: the machine lacks the device, or there is no such case."""
    if case.workload == "accuracy":
        raise BenchError(
            "an accuracy case is epochs and evaluations: profile an epoch, such as epoch[cpu-b64-fp32]", USAGE
        )
    # Whether it works, before its rows are asked what it can do.
    if reason := why_unusable(DEVICES[case.device]):
        raise BenchError(f"nothing to profile: {reason}")
    if reason := why_impossible(case, len(images.train) if images else None):
        raise BenchError(reason, USAGE)


def _profiled(
    case: Case, source: Source, options: ProfileOptions, images: Images | None, staged: Path, terminal: Console
) -> Profile:
    (staged / "traces").mkdir(exist_ok=True)
    asked_images = compose.ImageSource("", "", "", f"{Path(source.program).name} and its own images")
    if images:
        asked_images = compose.ImageSource(
            **requested(images, options.dataset or DATASETS[0], options.data), sha256=images.sha256, label=images.label
        )
    with console.working(terminal) as say:
        return profile(case, source, asked_images, staged / "traces", options.steps, say)


@contextlib.contextmanager
def _source(ref: str | None, program: Path | None) -> Iterator[Source]:
    """The program at a git ref, or as it is installed here, or as it lies in the user's working tree."""
    if program:
        request = own.request(program)
        named = {"program": request["file"], "folder": request["folder"]}
        if ref is None:
            yield Source(Path(request["tree"]), **named)
            return
        with trees(git.top(program.resolve().parent), ref, request["file"]) as sides:
            yield Source(sides.reference, ref, **named)
        return
    if ref is None:
        yield Source(Path(str(fcnn.__file__)).resolve().parents[1])
        return
    with trees(git.top(Path.cwd()), ref) as sides:
        yield Source(sides.reference, ref)
