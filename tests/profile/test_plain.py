import dataclasses

import pytest
from markdown_it import MarkdownIt

from bench.profile.plain import plain_texts
from bench.text import markdown, one_line
from tests.hostile import HOSTILE, markdown_shape
from tests.profile.made import PROFILE


def test_texts_are_plain_wherever_they_are():
    nested = {"a\nb": ["\x1b[1mc\x1b[0m", ("d\ud800", 1, None)], "case": PROFILE}
    assert plain_texts(nested) == {"a b": ["c", ("d\ufffd", 1, None)], "case": PROFILE}
    changed = dataclasses.replace(PROFILE, operators=[dataclasses.replace(PROFILE.operators[0], name="x\x1b[2K\ty")])
    assert plain_texts(changed).operators[0].name == "x y"


def test_numbers_of_names_that_become_the_same_are_added():
    assert plain_texts({"a b": 1, "a\nb": 2, "c": 4.0}) == {"a b": 3, "c": 4.0}


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_the_text_and_reads_nothing_into_it(text):
    assert markdown_shape(f"x {markdown(text)} x") == markdown_shape("x x x")
    shown = "".join(inner.content for inner in MarkdownIt("commonmark").parseInline(markdown(text))[0].children)
    assert shown == one_line(text)


def test_names_of_programs_stay_readable():
    for name in ("epoch[cpu-b64-fp32]", "train.py:141 optimizer_step", "aten::add", "A step takes 8.00 ms, -1.2%."):
        assert markdown(name) == name
    assert markdown("aten::_fused_adam_ <lambda>") == r"aten::\_fused_adam\_ \<lambda>"
