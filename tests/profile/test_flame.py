import xml.etree.ElementTree as ElementTree

import pytest

from bench.profile import flame
from bench.profile.flame import WIDTH, svg, tree
from bench.text import one_line
from tests.hostile import HOSTILE

STACKS = {"step;forward;addmm": 60.0, "step;forward": 20.0, "step;backward": 20.0}
NAMESPACE = "{http://www.w3.org/2000/svg}"


def frames(text: str) -> dict[str, tuple[float, float, float]]:
    """Left, top and width by the frame's title."""
    places = {}
    for group in ElementTree.fromstring(text).iter(f"{NAMESPACE}g"):
        rect = group.find(f"{NAMESPACE}rect")
        name = group.findtext(f"{NAMESPACE}title").rpartition(": ")[0]
        places[name] = tuple(float(rect.get(key)) for key in ("x", "y", "width"))
    return places


def test_a_frame_holds_its_own_and_what_it_calls():
    root = tree(STACKS)
    assert root.value == 100
    assert root.children["step"].children["forward"].value == 80
    assert max(frame.row for frame in flame.frames(root, 0)) == 3


def test_width_is_share_and_children_lie_within_their_parent():
    places = frames(svg(STACKS, "title"))
    assert places["all"][2] == pytest.approx(WIDTH, abs=1)
    assert places["forward"][2] == pytest.approx(0.8 * WIDTH, abs=1)
    assert places["addmm"][2] == pytest.approx(0.6 * WIDTH, abs=1)
    left, top, width = places["addmm"]
    parent = places["forward"]
    assert parent[0] <= left
    assert left + width <= parent[0] + parent[2] + 0.5
    assert top > parent[1]
    assert places["backward"][0] + places["backward"][2] <= places["forward"][0] + 0.5


def test_what_is_too_narrow_to_see_is_not_drawn():
    places = frames(svg({"wide": 1e6, "narrow;below": 1.0}, "title"))
    assert set(places) == {"all", "wide"}


def test_names_are_text_and_not_markup():
    text = svg({"<genexpr> & more": 1.0}, 'a "title"')
    assert "<genexpr>" not in text
    assert "<genexpr> & more" in frames(text)
    assert "script" not in text


def test_nothing_sampled_is_an_empty_picture():
    assert set(frames(svg({}, "title"))) == {"all"}


@pytest.mark.parametrize("text", HOSTILE)
def test_any_name_is_well_formed_and_stays_a_name(text):
    places = frames(svg({f"{text};{text}": 1.0, "other": 1.0}, text))
    assert set(places) == {"all", "other", *map(one_line, text.split(";"))}


def test_a_stack_may_be_deeper_than_pythons_own():
    assert len(frames(svg({";".join(map(str, range(5000))): 1.0}, "deep"))) == 5001
