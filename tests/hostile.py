"""Texts that break what is careless, and readers that do not forgive."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from bench.record import files

# Each ends in what would swallow the text behind it, if that were not data.
HOSTILE = [
    "</td><script>alert(1)</script>&amp;|`a`$b$*c*_d_~e~[f](g)\\|\\",
    "\x1b[31mred\x1b[0m\r\nnext line\x00\x9b\x7f\ud800\ufffe\x1b[",
    "title\x1b]0;",
    '"\' onload="x" <!-- a --> ]]> ```',
]


def with_text(value: Any, text: str, keep: tuple[str, ...] = ()) -> Any:
    """`value` with `text` behind every text in it, dataclasses' and dictionaries' too, but for the fields `keep`."""
    if isinstance(value, str):
        return value + text
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name not in keep]
        return dataclasses.replace(value, **{name: with_text(getattr(value, name), text, keep) for name in names})
    if isinstance(value, list):
        return [with_text(inner, text, keep) for inner in value]
    if isinstance(value, dict):
        return {with_text(key, text, keep): with_text(inner, text, keep) for key, inner in value.items()}
    return value


class _Tags(HTMLParser):
    VOID = ("meta", "link", "br", "img", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, [name for name, _ in attrs]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_tags(page: str) -> list[tuple[str, list[str]]]:
    """All tags of a page with the names of their attributes; raises if one is not closed, or closed in vain.

    A flame graph's are left out, whose number is that of the frames; they are of known kinds.
    """
    reader = _Tags()
    reader.feed(page)
    reader.close()
    assert not reader.open
    assert {name for _, names in reader.tags for name in names} & {"onload", "src"} == set()
    return [(tag, names) for tag, names in reader.tags if tag not in ("g", "rect", "title", "text")]


def markdown_shape(text: str) -> list[str]:
    """The kinds of all Markdown elements, running text left out: what of it is markup."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    kinds = [inner.type for token in tokens for inner in (token, *(token.children or []))]
    return [kind for kind in kinds if kind not in ("text", "text_special", "softbreak")]


def shapes(html: str, markdown: str, folder: Path) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The elements of a page and of a Markdown text, as who opens their files in `folder` finds them."""
    for name, text in (("html", html), ("md", markdown)):
        files.write(folder / name, text)
    return page_tags((folder / "html").read_text("utf-8")), markdown_shape((folder / "md").read_text("utf-8"))


def markdown_cells(text: str) -> list[list[str]]:
    """The rows of all tables as a reader shows them; raises if a line has more or fewer cells than its table's head."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({re.sub(r"\\.", "", line).count("|") for line in table.splitlines()}) == 1
    rows: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append("".join(inner.content for inner in tokens[at + 1].children or []))
    return rows
