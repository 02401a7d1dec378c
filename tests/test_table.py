import io

import pytest
from rich.console import Console
from rich.text import Text

from bench.table import NAME, NUMBER, PROSE, WORDS, Column, Table, as_markdown, on_page, on_terminal
from bench.text import one_line
from tests.hostile import HOSTILE, markdown_cells, page_tags

ROWS = [["step", "1.5", "a longer text\nof two lines"], ["epoch", "-", "short"]]
TABLE = Table.of(["Case", "Time", "Why"], ROWS, Case=NAME, Why=PROSE)


def printed(table, width=100, **how):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(on_terminal(table, **how))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_column_of_numbers_is_known_by_its_cells_and_others_by_what_is_said():
    assert [column.role for column in TABLE.columns] == [NAME, NUMBER, PROSE]
    found = Table.of(["a", "b", "c", "d"], [["x", "(1)", "2 s", "<1%"], ["-", "2", "-", "+3 µs"]])
    assert [column.role for column in found.columns] == [WORDS, WORDS, NUMBER, NUMBER]
    assert Table.of(["a"], []).columns == [Column("a", WORDS)]


def test_a_table_without_some_columns():
    assert TABLE.without("Time") == Table([TABLE.columns[0], TABLE.columns[2]], [[row[0], row[2]] for row in ROWS])


def test_on_a_terminal_numbers_stand_on_the_right_and_running_text_wraps():
    assert printed(TABLE) == [
        "Case   Time  Why",
        "step    1.5  a longer text",
        "             of two lines",
        "epoch     -  short",
    ]
    narrow = printed(TABLE, width=22)
    assert max(map(len, narrow)) <= 22
    assert narrow[1] == "step    1.5  a longer"
    assert printed(TABLE, title="title", headings=False)[0] == "title"


def test_in_markdown_a_name_is_code_and_a_line_break_is_one():
    assert "| `step`" in as_markdown(TABLE)
    assert "a longer text<br>of two lines" in as_markdown(TABLE)
    assert markdown_cells(as_markdown(Table.of(["a"], [["x|y\\"]], a=NAME))) == [["a"], ["x|y\\"]]


def test_a_table_without_rows_is_its_head():
    assert markdown_cells(as_markdown(Table.of(["Name", "Value"], []))) == [["Name", "Value"]]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_is_its_text_whatever_that_is(text):
    table = Table([Column("Name"), Column("Value", NUMBER)], [[text, "1"], ["plain", text]])
    assert markdown_cells(as_markdown(table)) == [["Name", "Value"], [one_line(text), "1"], ["plain", one_line(text)]]
    plain = Table(table.columns, [["a", "1"], ["plain", "b"]])
    assert page_tags(on_page(table)) == page_tags(on_page(plain))


def test_nothing_is_markup_on_a_terminal():
    assert printed(Table([Column("a"), Column("b")], [["[bold]x[/]", Text("[y]")]]))[1] == "[bold]x[/]  [y]"
