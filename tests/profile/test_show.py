import dataclasses
import io
import json
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from bench import console
from bench.profile import flame, page, sentences, show, tables
from bench.profile.against import difference
from bench.profile.model import Memory, to_json
from bench.record import files
from bench.report.plot import Plot
from bench.text import one_line, plain
from tests.hostile import HOSTILE, markdown_cells, page_tags, shapes, with_text
from tests.profile.made import COMPILED, ON_GPU, PROFILE, changed
from tests.profile.test_against import FUSED
from tests.report.made import without_drawings

SLOW = dataclasses.replace(PROFILE.cost, unprofiled_seconds=6e-3)
BUSY = "other processes kept 1.0 cores busy meanwhile (trace)"


@pytest.fixture(scope="module")
def drawn():
    """The pictures of the profile, drawn once."""
    return page.pictures(PROFILE)


def paged(profile, against=None, drawn=()):
    return page.page(profile, against, drawn)


def marked_down(profile, against=None, drawn=()):
    return show.markdown(profile, against, drawn)


def shown(profile, against=None):
    terminal = console.make(io.StringIO())
    terminal.width = 100
    show.show(profile, against, terminal)
    return terminal.file.getvalue()


# All that a profile may have, and of its pictures what stands in their place.
WHOLE = changed(
    compiled=COMPILED.compiled,
    kernels=ON_GPU.kernels,
    gaps=ON_GPU.gaps,
    missing={"nothing": "no reason"},
    memory=dataclasses.replace(PROFILE.memory, growth_bytes=102_400, missing={"all": "no reason"}),
)
PLACES = [
    Plot("python", "Python stacks", '<svg aria-label="stacks"></svg>'),
    Plot("operators", "Operators", "", "it could not be drawn: no reason"),
    Plot("memory", "Memory", "<svg></svg>"),
]


def test_the_whole_markdown(snapshot):
    assert marked_down(WHOLE, difference(WHOLE, FUSED), PLACES) == snapshot


def test_the_whole_page(snapshot):
    assert without_drawings(paged(WHOLE, difference(WHOLE, FUSED), PLACES)) == snapshot


def test_the_whole_terminal(snapshot):
    lines = plain(shown(WHOLE, difference(WHOLE, FUSED))).splitlines()  # without colours, which somebody may force
    assert "\n".join(line.rstrip() for line in lines) == snapshot


def test_a_leak_is_named():
    leaking = changed(memory=dataclasses.replace(PROFILE.memory, growth_bytes=102_400))
    assert sentences.summary(leaking)[-1] == "A leak: 100 steps leave 100 KiB behind, 1 KiB each."
    assert "100 steps leave 100 KiB: a leak." in sentences.memory_sentences(leaking)
    assert "100 steps leave nothing: no leak." in sentences.memory_sentences(PROFILE)


def test_totals_that_do_not_agree_are_said_to_be_so():
    assert "AGREE" not in sentences.trust(PROFILE)
    assert "THEY DO NOT AGREE within 10%" in sentences.trust(changed(cost=SLOW))


def test_operators_that_add_up_to_twice_the_step_do_not_agree():
    twice = changed(cost=dataclasses.replace(PROFILE.cost, corrected_seconds=16e-3))
    assert not twice.cost.agrees
    assert "THEY DO NOT AGREE" in sentences.trust(twice)


def test_parts_that_are_further_off_are_named():
    phases = [dataclasses.replace(p, corrected_seconds=0.7 * p.unprofiled_seconds) for p in PROFILE.phases]
    assert sentences.trust(changed(phases=[*PROFILE.phases[:2], phases[2]])).endswith(
        " Single parts are further off: optimizer -30%."
    )
    small = [dataclasses.replace(PROFILE.phases[1], unprofiled_seconds=0.1e-3)]
    assert "further off" not in sentences.trust(changed(phases=small))  # 1% of the step


@pytest.mark.parametrize("profile", [PROFILE, COMPILED, ON_GPU, changed(python_stacks={}, memory=Memory())])
def test_the_page_and_the_markdown_say_the_same(profile):
    html, text = paged(profile), marked_down(profile)
    for sentence in [*sentences.summary(profile), sentences.trust(profile)]:
        assert sentence in text
        assert sentence.replace("'", "&#39;") in html
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_a_disagreement_is_a_warning_on_the_page():
    assert 'class="warning"' not in paged(PROFILE)
    assert 'class="warning"' in paged(changed(cost=SLOW))


def test_a_gpus_operators_have_their_device_time():
    busy = changed(operators=[dataclasses.replace(PROFILE.operators[2], device_seconds=0.3e-3)])
    found = tables.hot_spots(busy)
    headings = [column.heading for column in found.columns]
    assert found.rows[0][headings.index("On the device")] == "300 µs"
    assert "matrix products and convolutions take 3.8% of the time" in sentences.summary(busy)[1]


def test_shares_are_of_what_all_of_them_add_up_to():
    """Where the machine was slower during the trace than else, they are not more than all of it."""
    slow = dataclasses.replace(PROFILE.cost, unprofiled_seconds=4e-3, corrected_seconds=7.9e-3)
    share = tables.hot_spots(changed(cost=slow)).rows[0][4]
    assert share == tables.hot_spots(PROFILE).rows[0][4] == "63%"
    assert tables.lines(changed(cost=slow)).rows[0][3] == "63%"
    assert [row[2] for row in tables.parts(PROFILE).rows] == ["75%", "6.2%", "19%"]


def test_memory_that_shrinks_is_no_leak():
    shrinking = changed(memory=dataclasses.replace(PROFILE.memory, growth_bytes=-8))
    assert "100 steps leave nothing: no leak." in sentences.memory_sentences(shrinking)
    assert not any("leak" in sentence for sentence in sentences.summary(shrinking))


def test_addresses_that_are_reserved_are_not_called_memory():
    large = changed(memory=dataclasses.replace(PROFILE.memory, process_peak_bytes=2**31, reserved_bytes=12 * 2**30))
    (line,) = (line for line in sentences.memory_sentences(large) if "at its peak" in line)
    assert line == (
        "From the building of the case on, the process allocated 2 GiB at its peak. Beside it, 12 GiB of addresses are "
        "reserved, which is no memory."
    )


def test_memory_that_was_not_measured_has_a_reason_and_no_picture(drawn):
    missing = changed(memory=Memory(missing={"holders": "memray is not installed: pip install memray"}))
    assert sentences.memory_sentences(missing) == ["No holders: memray is not installed: pip install memray."]
    assert "memory" in {plot.name for plot in drawn}
    assert "memory" not in {plot.name for plot in page.pictures(missing)}


def test_compiled_code_and_the_device_have_sections_where_there_are_any():
    for write in (marked_down, paged):
        for title, profile in {"Compiled code": COMPILED, "sgemm": ON_GPU}.items():
            assert title in write(profile)
            assert title not in write(PROFILE)


def test_what_is_missing_is_said_with_its_reason():
    profile = changed(python_stacks={}, missing={"python": "py-spy is not installed: pip install py-spy"})
    assert "no python: py-spy is not installed" in shown(profile)
    assert "Not here: py-spy is not installed" in paged(profile)
    assert "No python: py-spy is not installed" in marked_down(profile)


def test_stacks_of_a_program_that_ran_on_are_said_to_be_so():
    assert "it ran on" in paged(changed(python_torn=True))
    assert "it ran on" not in paged(PROFILE)


@pytest.mark.parametrize(
    ("count", "text"),
    [(12, "12 B"), (15_360, "15 KiB"), (1_267_995, "1.21 MiB"), (3 * 2**30, "3 GiB"), (1020 * 1024, "1,020 KiB")],
)
def test_sizes(count, text):
    assert sentences.size(count) == text


def test_it_is_plain_json():
    assert json.loads(json.dumps(to_json(PROFILE), allow_nan=False))["operators"][0]["self_seconds"] == 5e-3


def test_parts_that_took_longer_when_they_were_timed_are_no_more_than_the_whole():
    slower = [dataclasses.replace(one, unprofiled_seconds=2 * one.unprofiled_seconds) for one in PROFILE.phases]
    assert sentences.summary(changed(phases=slower))[0] == sentences.summary(PROFILE)[0]


DISTURBED = changed(disturbed=BUSY)
NOTICE = (
    f"Disturbed: {BUSY}. These numbers are of that mixture and not of the program: end the other processes or lift the "
    "quota, and profile again."
)
VERDICTS = ("75% of it is", "matrix products", "70% are in to_tensor")


def test_a_disturbed_profile_says_so_before_any_number_and_gives_no_verdict():
    text, html, out = marked_down(DISTURBED), paged(DISTURBED), " ".join(shown(DISTURBED).split())
    assert text.splitlines()[2] == f"> **Note.** {NOTICE}"
    assert out.startswith(NOTICE)
    assert f'<p class="warning" role="note">{NOTICE}</p>' in html
    assert html.index(NOTICE) < html.index("8.00 ms")
    for words in VERDICTS:
        assert words in marked_down(PROFILE)
        assert words not in text + html + out
    for table in (tables.parts(PROFILE), tables.hot_spots(PROFILE)):
        assert table.rows in [rows[-len(table.rows) :] for rows in _tables_of(text)]
    assert "Disturbed" not in marked_down(PROFILE) + paged(PROFILE) + shown(PROFILE)


def _tables_of(text):
    """The rows of every table so far, for each line of it."""
    rows = markdown_cells(text)
    return [rows[:end] for end in range(len(rows) + 1)]


def test_a_leak_is_no_matter_of_time():
    leaking = changed(disturbed=BUSY, memory=dataclasses.replace(PROFILE.memory, growth_bytes=102_400))
    assert sentences.summary(leaking) == ["A leak: 100 steps leave 100 KiB behind, 1 KiB each."]


@pytest.mark.parametrize(("a", "b"), [(DISTURBED, PROFILE), (PROFILE, DISTURBED), (DISTURBED, DISTURBED)])
def test_of_two_profiles_either_that_is_disturbed_takes_the_verdict(a, b):
    between = difference(a, b)
    assert sentences.difference_sentence(between) == f"A is {a.source}, B is {b.source}."
    text = marked_down(a, between)
    assert text.splitlines()[2].startswith("> **Note.** Disturbed: in ")
    assert (f"in A, {BUSY}" in text, f"in B, {BUSY}" in text) == (a is DISTURBED, b is DISTURBED)
    assert "differs the most" not in text + paged(a, between) + shown(a, between)
    assert ["optimizer", "Adam.step", "1", "1", "1.00 ms", "1.00 ms", "+0 s"] in markdown_cells(text)


FULL = dataclasses.replace(WHOLE, disturbed=BUSY)


def written(text):
    """The page, the Markdown and the pictures of a profile with `text` behind all its texts."""
    profile = with_text(FULL, text, keep=("case", "trace_file"))
    pictures, against = page.pictures(profile), difference(profile, profile)
    return profile, paged(profile, against, pictures), marked_down(profile, against, pictures), pictures


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    """The elements of both where the texts are harmless."""
    _, *texts, _ = written("x")
    return shapes(*texts, tmp_path_factory.mktemp("harmless"))


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_an_exporter(text, harmless, tmp_path):
    """The same elements as those of harmless text, and the text itself where it belongs."""
    profile, *texts, pictures = written(text)
    assert shapes(*texts, tmp_path) == harmless
    assert f"fetch{one_line(text)}" in [row[0] for row in markdown_cells(texts[1])]
    files.write_json(tmp_path / "profile.json", to_json(profile))
    read = json.loads((tmp_path / "profile.json").read_bytes().decode("utf-8"), parse_constant=pytest.fail)
    assert read["operators"][0]["name"].startswith(FULL.operators[0].name)
    assert {plot.name for plot in pictures if plot.svg} == {"python", "operators", "memory"}
    for plot in pictures:
        files.write(tmp_path / "picture.svg", plot.svg)
        ElementTree.parse(tmp_path / "picture.svg")
    assert "\x1b" not in shown(profile, difference(profile, profile))


def broken(*_):
    raise RuntimeError("planted")


def test_a_picture_that_fails_costs_that_picture_only(monkeypatch):
    monkeypatch.setattr(flame, "svg", broken)
    pictures = page.pictures(PROFILE)
    assert {plot.name for plot in pictures if plot.svg} == {"memory"}
    assert {plot.name for plot in pictures if plot.problem} == {"python", "operators"}
    text = show.markdown(PROFILE, None, pictures)
    assert "No picture of operators: it could not be drawn: RuntimeError: planted." in text
    html = page.page(PROFILE, None, pictures)
    assert html.count("There is no picture: it could not be drawn: RuntimeError: planted") == 2
    assert page_tags(html)


def test_without_matplotlib_the_flame_graphs_are_there(monkeypatch):
    monkeypatch.delitem(sys.modules, "bench.report.drawing", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    pictures = {plot.name: plot for plot in page.pictures(PROFILE)}
    assert pictures["python"].svg
    assert pictures["operators"].svg
    assert "matplotlib" in pictures["memory"].problem
