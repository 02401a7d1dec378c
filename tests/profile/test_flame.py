import xml.etree.ElementTree as ElementTree

import pytest

from bench.profile.flame import WIDTH, depth, svg, tree

STACKS = {"step;forward;addmm": 60.0, "step;forward": 20.0, "step;backward": 20.0}
NAMESPACE = "{http://www.w3.org/2000/svg}"


def frames(text: str) -> dict[str, tuple[float, float, float]]:
    """Left, top and width by the frame's title."""
    found = {}
    for group in ElementTree.fromstring(text).iter(f"{NAMESPACE}g"):
        rect = group.find(f"{NAMESPACE}rect")
        name = group.findtext(f"{NAMESPACE}title").rpartition(": ")[0]
        found[name] = tuple(float(rect.get(key)) for key in ("x", "y", "width"))
    return found


def test_a_frame_holds_its_own_and_what_it_calls():
    root = tree(STACKS)
    assert root.value == 100
    assert root.children["step"].children["forward"].value == 80
    assert depth(root, 0) == 4


def test_width_is_share_and_children_lie_within_their_parent():
    found = frames(svg(STACKS, "title"))
    assert found["all"][2] == pytest.approx(WIDTH, abs=1)
    assert found["forward"][2] == pytest.approx(0.8 * WIDTH, abs=1)
    assert found["addmm"][2] == pytest.approx(0.6 * WIDTH, abs=1)
    left, top, width = found["addmm"]
    parent = found["forward"]
    assert parent[0] <= left
    assert left + width <= parent[0] + parent[2] + 0.5
    assert top > parent[1]
    assert found["backward"][0] + found["backward"][2] <= found["forward"][0] + 0.5


def test_what_is_too_narrow_to_see_is_not_drawn():
    found = frames(svg({"wide": 1e6, "narrow;below": 1.0}, "title"))
    assert set(found) == {"all", "wide"}


def test_names_are_text_and_not_markup():
    text = svg({"<genexpr> & more": 1.0}, 'a "title"')
    assert "<genexpr>" not in text
    assert "<genexpr> & more" in frames(text)
    assert "script" not in text


def test_nothing_sampled_is_an_empty_picture():
    assert set(frames(svg({}, "title"))) == {"all"}
