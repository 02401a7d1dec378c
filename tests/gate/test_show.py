import dataclasses
import io
import json
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from bench.console import make, tolerant_streams
from bench.errors import BenchError
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS
from bench.gate.outcome import ERROR, SHOWN, Check, Outcome, worst
from bench.gate.show import (
    FILES,
    as_json,
    junit,
    markdown,
    meaning,
    notes,
    show,
    smaller_is_better,
    summarise_for_ci,
    write,
)
from tests.hostile import HOSTILE, markdown_cells, markdown_shape

PAIR = {"reference_seconds": [1e-3, 1e-3], "candidate_seconds": [1.2e-3, 1.0e-3]}
STEP = "step[cpu-b64-fp32-t1]"
CLONE = "aten::clone 0 -> 1 per step"
FAILED = Outcome("counts", STEP, FAIL, CLONE, [CLONE, "allocations 3 -> 4"])
REFUTED = "a slowdown of 5% is refuted (p = 0.0039)"
TIMED = Outcome("timing", STEP, PASS, REFUTED, raw={"screening": [PAIR]}, seconds=9.5)
CHECK = Check("01234567" + "89abcdef" * 4, "Some CPU, 2 cores", "MNIST", 0.05, [FAILED, TIMED], 20.04)
# Every verdict, another number of each, and what ran beside it.
MIXED = Check(
    CHECK.reference,
    CHECK.machine,
    CHECK.dataset,
    CHECK.bound_fraction,
    [
        FAILED,
        TIMED,
        *(Outcome("timing", f"step[cpu-b{n}-fp32-t1]", INCONCLUSIVE, "neither shown nor refuted") for n in (1, 4, 16)),
        Outcome("timing", "epoch[cpu-b64-fp32-t1]", ERROR, "it was interrupted"),
        Outcome("accuracy", "accuracy[cpu-b64-fp32-t1]", ERROR, "a worker ended", ["its last words | <b>"]),
    ],
    123.4,
    "other processes kept 1.0 cores busy meanwhile",
)


def with_verdicts(*verdicts: str) -> Check:
    return Check("0" * 40, "Some CPU", "MNIST", 0.05, [Outcome("timing", STEP, v, "why") for v in verdicts], 1.0)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "code"),
    [
        ([PASS, PASS], PASS, 0),
        ([PASS, FAIL, ERROR], FAIL, 1),
        ([PASS, ERROR, INCONCLUSIVE], ERROR, 3),
        ([PASS, INCONCLUSIVE], INCONCLUSIVE, 5),
        ([], ERROR, 3),  # nothing passes without evidence
    ],
)
def test_the_worst_outcome_decides(verdicts, verdict, code):
    check = with_verdicts(*verdicts)
    assert worst(verdicts) == verdict
    assert (check.verdict, check.exit_code) == (verdict, code)


@pytest.mark.parametrize("check", [MIXED, with_verdicts(PASS)], ids=["mixed", "passed"])
def test_the_whole_terminal_and_every_file(check, snapshot):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    show(check, console)
    printed = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert "\n".join(["terminal", *printed, *(f"{name}\n{text(check)}" for name, text in FILES.items())]) == snapshot


def test_of_another_environment_it_is_told_what_differs_and_what_was_only_shown(snapshot):
    """On the terminal, where a path may be long, and in Markdown."""
    counts = Outcome("counts", STEP, SHOWN, "2 counts differ, which --gates counts would judge", FAILED.lines)
    python = "/home/somebody/environments/of-the-last-year/bin/python"
    differing = [
        ("interpreter", python, "/usr/bin/python3"),
        ("torch", "2.11.0", "2.14.1"),
        ("MKL_CBWR", "none", "AVX"),
    ]
    check = Check("", "Some CPU, 2 cores", "MNIST", 0.05, [counts, TIMED], 20.04, None, python, differing)
    assert (check.verdict, check.exit_code, meaning(check)) == (PASS, 0, "no slowdown")
    console = Console(file=io.StringIO(), width=80)
    show(check, console)
    assert f"{console.file.getvalue()}\n{markdown(check)}" == snapshot
    alone = dataclasses.replace(check, outcomes=[counts], differing=[])
    assert (alone.verdict, alone.exit_code, meaning(alone)) == (SHOWN, 0, "nothing was judged")
    assert "nothing that was looked at" in markdown(alone)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("timing", "neither a slowdown is shown nor its absence: run it again, or on a quieter machine"),
        (
            "accuracy",
            "neither a loss of accuracy is shown nor its absence",
        ),  # nothing that a quieter machine would tell
    ],
)
def test_what_is_undecided_is_said_of_the_gate_that_did_not_decide(gate, said):
    outcomes = [Outcome("counts", "a step", PASS, "the same"), Outcome(gate, "a step", INCONCLUSIVE, "unclear")]
    check = dataclasses.replace(CHECK, outcomes=outcomes)
    assert (check.verdict, meaning(check)) == (INCONCLUSIVE, said)


def test_junit_skips_what_showed_nothing():
    unclear = ElementTree.fromstring(junit(with_verdicts(INCONCLUSIVE, ERROR)))
    assert [child.tag for case in unclear for child in case] == ["skipped", "error"]


def test_times_for_a_dashboard_are_of_the_candidate():
    (entry,) = json.loads(smaller_is_better(CHECK))
    assert (entry["name"], entry["unit"], entry["value"]) == (STEP, "s", pytest.approx(1.1e-3))


def test_json_has_every_raw_value_and_no_infinity():
    endless = Outcome("timing", STEP, PASS, "why", raw={"low": float("-inf"), "screening": [PAIR]})
    data = json.loads(as_json(Check("0" * 40, "Some CPU", "MNIST", 0.05, [endless], 1.0)))
    assert data["verdict"] == "PASS"
    assert data["outcomes"][0]["raw"] == {"low": None, "screening": [PAIR]}


def test_files_and_the_summary_of_a_github_job(tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    write(CHECK, tmp_path / "out")
    assert summarise_for_ci(CHECK) is None
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"check.md", "check.json", "junit.xml", "smaller-is-better.json"}
    assert summary.read_text() == "before\n" + markdown(CHECK)


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (["counts"], "no changed count"),
        (["timing", "accuracy"], "no slowdown and no change of accuracy"),
        (["counts", "timing", "accuracy"], "no changed count, no slowdown and no change of accuracy"),
    ],
)
def test_a_pass_speaks_of_the_gates_that_ran(gates, said):
    check = Check("0" * 40, "Some CPU", "MNIST", 0.05, [Outcome(gate, STEP, PASS, "why") for gate in gates], 1.0)
    assert meaning(check) == said
    left_out = [gate for gate in ("counts", "timing", "accuracy") if gate not in gates]
    assert notes(check) == ([f"Not checked: {', '.join(left_out)}."] if left_out else [])


# A terminal's colours, half a surrogate pair, what XML forbids, what Markdown and HTML take for their own.
WILD = "\x1b[31mred\x1b[0m \x00 \ud800 \ufffe <script> & a|b `code` \n\n# heading [/bold] ]]> é µ"


def _said_by(text: str) -> Check:
    said = Outcome("counts", f"step[{text}]", ERROR, text, [text, "another"], raw={text: text})
    return Check(text, text, text, 0.05, [said, TIMED], 1.0, text, text, [(text, text, text)])


def test_whatever_a_program_says_every_file_is_read_by_strict_readers(tmp_path):
    write(_said_by(WILD), tmp_path)
    texts = {name: (tmp_path / name).read_bytes().decode("utf-8") for name in FILES}
    assert not [text for text in texts.values() if set(text) & set("\x1b\x00\ufffe")]
    (case, _) = ElementTree.fromstring(texts["junit.xml"])
    assert case.find("error").get("message").startswith("red")
    for name in ("check.json", "smaller-is-better.json"):
        assert not set("\ud800") & set(str(json.loads(texts[name])))


@pytest.mark.parametrize("text", [WILD, *HOSTILE])
def test_whatever_a_program_says_is_no_markdown(text):
    made = markdown(_said_by(text))
    shapes = [markdown_shape(one) for one in (made, markdown(_said_by("x")))]
    assert len({tuple(kind for kind in shape if kind != "code_inline") for shape in shapes}) == 1
    assert [len(row) for row in markdown_cells(made)] == [4, 4, 4, 3, 3]


def test_data_is_no_markup_on_the_terminal(capsys):
    wild = Outcome("counts", "step[/b]", ERROR, "why [bold]this[/nothing]")
    with tolerant_streams():
        show(Check("[red]", "Some CPU", "MNIST", 0.05, [wild], 1.0), make())
    out = capsys.readouterr().out
    assert "step[/b]" in out
    assert "why [bold]this[/nothing]" in out
    assert "against [red] in" in out


def test_a_jobs_summary_that_cannot_be_written_is_a_reason_and_no_verdict(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    assert "cannot be written" in summarise_for_ci(CHECK)


def test_files_that_cannot_be_written_are_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        write(CHECK, tmp_path / "file")
