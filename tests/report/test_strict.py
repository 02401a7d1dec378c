"""Whatever a record holds, and whatever is configured around it, the report stands and strict readers take it."""

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench.cli import main
from bench.record import store
from bench.record.measurement import Flag
from bench.record.model import Dataset, Machine, Unmeasured
from bench.report import plots as plots_module
from bench.report.write import write_report
from tests.data.records import CPU_RECORD, only
from tests.hostile import markdown_cells, page_tags
from tests.report.made import SMALL, STEP

ROOT = Path(__file__).parents[2]
# A terminal's colours, half a surrogate pair, what XML forbids, what Markdown, HTML, mathtext and rich take for theirs.
WILD = "\x1b[31mred\x1b[0m \x00 \ud800 \ufffe <script>x</script> & a|b `code` $x_1^ \n# heading [/bold] ]]> é µ"


def wild_record():
    ours = SMALL[0]
    step, *others = ours.measurements
    step = dataclasses.replace(step, command=f"fcnn-bench run '{WILD}'", flags=[Flag("cold", WILD)])
    gap = Unmeasured("step[cuda-b64-fp32]", dataclasses.replace(step.case, device="cuda"), "failed", WILD)
    environment = {group: {**values, "wild": WILD} for group, values in ours.environment.items()}
    return dataclasses.replace(
        ours,
        command=WILD,
        machine=Machine("wild", WILD),
        dataset=Dataset("MNIST", WILD, "a" * 64, 60_000, 10_000, WILD),
        environment=environment,
        measurements=[step, *others],
        unmeasured=[gap],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wild")
    assert write_report([wild_record()], folder) == []
    return folder


def test_no_file_holds_what_no_document_may(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert len(paths) > 10
    for path in paths:
        text = path.read_bytes().decode("utf-8")
        assert not set(text) & set("\x1b\x00\ufffe"), path.name


def test_the_page_is_balanced_and_has_no_element_of_the_records(folder):
    tags = {tag for tag, _ in page_tags((folder / "report.html").read_text("utf-8"))}
    assert "table" in tags
    assert "script" not in tags


def test_plots_are_xml(folder):
    for path in (folder / "plots").iterdir():
        assert ElementTree.fromstring(path.read_text("utf-8")).tag.endswith("svg")


def test_tables_have_as_many_cells_as_headings(folder):
    for path in (folder / "tables").iterdir():
        with path.open(encoding="utf-8", newline="") as file:
            heading, *rows = csv.reader(file, strict=True)
        assert {len(row) for row in rows} == {len(heading)}, path.name
    assert markdown_cells((folder / "report.md").read_text("utf-8"))


def test_a_record_with_all_that_is_written_and_read_again_without_escapes(tmp_path):
    store.write(wild_record(), tmp_path)
    assert store.read(tmp_path).machine.label.startswith("red � � � <script>x</script> & a|b `code` $x_1^ \n# heading")


def test_ids_and_labels_are_no_markup_when_records_are_compared(tmp_path, capsys):
    record = dataclasses.replace(STEP, machine=Machine("x", "Some [/b] CPU"))
    later = dataclasses.replace(record, created_utc="2026-11-21T00:00:00Z")
    folders = [tmp_path / name for name in ("a", "b")]
    for folder, one in zip(folders, (record, later), strict=True):
        folder.mkdir()
        store.write(one, folder)
    assert main(["compare", *map(str, folders)]) == 0
    out = capsys.readouterr().out
    assert "Some [/b] CPU" in out
    assert "step[cpu-b64-fp32]" in out


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("words", [["report"], ["compare"]])
def test_a_number_that_is_none_is_refused_with_its_place(tmp_path, number, words, capsys):
    store.write(STEP, tmp_path)
    file = tmp_path / "record.json"
    text = re.sub(r'("samples_seconds": \[\s*)[^,]+', rf"\g<1>{number}", file.read_text("utf-8"), count=1)
    file.write_text(text, "utf-8")
    assert main([*words, *[str(tmp_path)] * (1 + (words == ["compare"]))]) == 3
    err = capsys.readouterr().err
    assert "at measurements/0/samples_seconds/0: NaN and infinities are no numbers" in err
    assert err.count("\n") == 1


def test_a_plot_that_fails_costs_itself_alone(tmp_path, monkeypatch):
    def fails(found):
        raise RuntimeError("latex could not be found")

    monkeypatch.setattr(plots_module, "_epochs", fails)
    (problem,) = write_report([only(CPU_RECORD, "step[cpu-b64-fp32]", "epoch[cpu-b64-fp32]")], tmp_path)
    assert problem == "plot epochs: it could not be drawn: RuntimeError: latex could not be found"
    assert {path.stem for path in (tmp_path / "plots").iterdir()} == {"accounts", "steps"}
    for name in ("report.html", "report.md"):
        assert "There is no plot: it could not be drawn: RuntimeError: latex could not be found" in (
            tmp_path / name
        ).read_text("utf-8")


DRAW = """
import json
from bench.report.plots import plots
from tests.report.made import SMALL
print(json.dumps({plot.name: plot.svg or plot.problem for plot in plots(SMALL)}))
"""


@pytest.mark.slow
def test_what_is_configured_for_matplotlib_changes_nothing(report, tmp_path):
    """A configuration in the current folder, as matplotlib finds it first, and an unknown backend.

    Another process, so no order of hashes does, either.
    """
    rc = "text.usetex: True\nfont.size: 40\nsvg.fonttype: path\naxes.facecolor: red\nlines.linewidth: 9\n"
    (tmp_path / "matplotlibrc").write_bytes(f"{rc}# caf\xe9\n".encode("latin-1"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    environment |= {"PYTHONPATH": str(ROOT), "MPLBACKEND": "module://nonsense"}
    words = [sys.executable, "-c", DRAW]
    run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {path.stem: path.read_text("utf-8") for path in (report / "plots").iterdir()}


def test_a_folder_that_was_deleted_holds_no_configuration(monkeypatch):
    from bench.report import drawing

    def gone() -> Path:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(drawing.Path, "cwd", gone)
    reached = []
    with drawing._own_configuration():
        reached.append("imported")
    assert reached == ["imported"]
