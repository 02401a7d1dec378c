import pytest

from bench.text import code, counted, fact_name, fact_value, one_line, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;file:///x\x1b\\link", "link"),
        ("bell \x07 null \x00", "bell � null �"),
        ("half \ud800 and \udcff", "half � and �"),
        ("noncharacters \ufffe\uffff\ufdd0", "noncharacters ���"),
        ("tab\tand\nline stay: é µ × 😀", "tab\tand\nline stay: é µ × 😀"),
    ],
)
def test_what_no_document_may_hold_is_replaced(text, shown):
    assert plain(text) == shown


def test_a_line_stays_one():
    assert one_line(" a\r\nb\u2028c\x1b[2K ") == "a b c"
    assert one_line("/a  folder/with two spaces") == "/a  folder/with two spaces"


def test_one_case_and_more():
    assert (counted(1, "case"), counted(2, "case"), counted(0, "case")) == ("1 case", "2 cases", "0 cases")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a|b", "`a|b`"), ("with `ticks`", "`` with `ticks` ``"), ("a ```\nb", "```` a ``` b ````")],
)
def test_code_in_markdown_ends_where_the_text_does(text, shown):
    assert code(text) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("cuda_sm_clock_max_hertz", 1.98e9, ("cuda sm clock max", "1,980 MHz")),
        ("cuda_power_limit_watts", 700.0, ("cuda power limit", "700 W")),
        ("cuda_power_limit_watts", "not known: Not Supported", ("cuda power limit", "not known: Not Supported")),
        ("memory_bytes", 17, ("memory", "17")),
    ],
)
def test_a_fact_is_named_without_its_unit_and_shown_with_it(name, value, shown):
    assert (fact_name(name), fact_value(name, value)) == shown
