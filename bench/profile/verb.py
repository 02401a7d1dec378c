"""`fcnn-bench profile`: options in, a page, a trace and a table out; a user's error is one line."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import fcnn
from bench.axes.case import Case, parse_id, why_impossible
from bench.gate.trees import TreeError, git, trees
from bench.measure import facts, settings
from bench.profile import against, compose, page, show
from bench.profile.compose import ProfileError, Source, profile
from bench.profile.model import Profile, to_json
from bench.record import store
from bench.report import later
from bench.suite.fresh import requested
from fcnn.data import DataError, Images, load_images

DONE, USAGE, BROKEN, NOT_COMPARABLE = 0, 2, 3, 4
LINK = 'Where the time of one case goes: <a href="profile.html">profile</a>.'


@dataclass(frozen=True)
class Asked:
    """What to profile.

    Attributes:
        case: Its id.
        other: What to compare with: another case's id or a git ref; None for nothing.
        ref: Git ref of the program that is profiled; None for the working tree.
        run: Folder to write to; None for the newest run of this machine under `results`, or a new one.
    """

    case: str
    other: str | None
    ref: str | None
    steps: int
    dataset: str
    data: Path | None
    results: Path
    run: Path | None


def run_profile(asked: Asked) -> int:
    """Profiles, writes traces/, profile.html, profile.md and profile.json, and prints the hot spots."""
    console = Console(highlight=False)
    try:
        settings.use_threads(settings.default_threads())
        case = _case(asked.case)
        other = _case(asked.other) if asked.other and "[" in asked.other else None
        images = load_images(asked.dataset, asked.data)
        for one in (case, *([other] if other else [])):
            if reason := _why_not(one, images):
                raise ValueError(f"{reason}")
        shown = _folder(asked)
        folder = shown.resolve()
        with contextlib.ExitStack() as stack:
            # Both sides, and where it all goes, before a minute is spent on either.
            source = stack.enter_context(_source(asked.ref))
            second = stack.enter_context(_source(asked.other if asked.other and not other else asked.ref))
            staged = stack.enter_context(store.staged(folder))
            found = _profiled(case, source, asked, images, staged, console)
            difference = None
            if asked.other:
                compared = _profiled(other or case, second, asked, images, staged, console)
                difference = against.difference(found, compared)
                (staged / "profile-b.json").write_text(_json(compared), "utf-8")
            _write(found, difference, folder, staged)
        if not asked.other:
            (folder / "profile-b.json").unlink(missing_ok=True)  # of an earlier comparison
    except (ValueError, DataError) as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return USAGE
    except TreeError as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return NOT_COMPARABLE
    except (ProfileError, OSError) as error:
        print(f"fcnn-bench: {error}", file=sys.stderr)
        return BROKEN
    show.show(found, difference, console)
    console.print(f"\nprofile: {shown}/profile.html", soft_wrap=True)
    return DONE


def _write(found: Profile, difference: against.Difference | None, folder: Path, staged: Path) -> None:
    (staged / "profile.json").write_text(_json(found), "utf-8")
    (staged / "profile.md").write_text(show.markdown(found, difference), "utf-8")
    for name, text in page.pictures(found).items():
        (staged / "traces" / f"{found.trace_file.removesuffix('.json.gz')}-{name}.svg").write_text(text, "utf-8")
    (staged / "profile.html").write_text(page.page(found, difference), "utf-8")
    later.insert(folder / "report.html", "profile", LINK, staged / "report.html")


def _case(text: str) -> Case:
    case = parse_id(text)
    return dataclasses.replace(case, threads=case.threads or settings.default_threads())


def _why_not(case: Case, images: Images) -> str | None:
    if case.workload == "accuracy":
        return "an accuracy case is epochs and evaluations: profile an epoch, such as epoch[cpu-b64-fp32]"
    return why_impossible(case, len(images.train))


def _profiled(case: Case, source: Source, asked: Asked, images: Images, staged: Path, console: Console) -> Profile:
    (staged / "traces").mkdir(exist_ok=True)
    asked_images = compose.Images(
        **requested(images, asked.dataset, asked.data), sha256=images.sha256, label=images.label
    )
    with console.status("") as status:

        def say(what: str) -> None:
            status.update(f"{what} ...")

        return profile(case, source, asked_images, staged / "traces", asked.steps, say)


@contextlib.contextmanager
def _source(ref: str | None) -> Iterator[Source]:
    """The program at a git ref, or as it is installed here."""
    if ref is None:
        yield Source(Path(str(fcnn.__file__)).resolve().parents[1])
        return
    root = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
    with trees(root, ref) as sides:
        yield Source(sides.reference, ref)


def _folder(asked: Asked) -> Path:
    if asked.run:
        return asked.run
    slug = facts.machine(["cpu", "cuda"]).slug
    if newest := store.newest_run(asked.results, slug):
        return newest
    commit = facts.commit(Path(__file__).parent)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return asked.results / slug / f"{stamp}_{commit.id[:8] if commit else 'nocommit'}"


def _json(found: Profile) -> str:
    return json.dumps(to_json(found), indent=1, allow_nan=False) + "\n"
