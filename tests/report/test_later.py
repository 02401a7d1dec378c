import pytest

from bench.report.later import insert


def test_what_is_added_replaces_what_was_added_before(tmp_path):
    report, target = tmp_path / "report.html", tmp_path / "new.html"
    report.write_text("<p><!-- a -->old\n<b>text</b><!-- /a --> and <!-- b --><!-- /b --></p>")
    insert(report, "a", lambda: r"new \1", target)
    assert target.read_text() == r"<p><!-- a -->new \1<!-- /a --> and <!-- b --><!-- /b --></p>"
    insert(target, "b", lambda: "more", target)
    assert "<!-- b -->more<!-- /b -->" in target.read_text()


def test_without_a_place_nothing_is_written(tmp_path):
    (tmp_path / "report.html").write_text("<p>an older report</p>")
    for name in ("report.html", "none.html"):
        insert(tmp_path / name, "a", lambda: "text", tmp_path / "new.html")
    assert not (tmp_path / "new.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["profile", "ladder"])
def test_the_report_has_the_places(report, tmp_path, name):
    insert(report / "report.html", name, lambda: "added", tmp_path / "new.html")
    assert f"<!-- {name} -->added<!-- /{name} -->" in (tmp_path / "new.html").read_text("utf-8")
