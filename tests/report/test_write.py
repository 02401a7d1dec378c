import dataclasses
import re

import pytest

from bench.analyse.trust import DERIVED
from bench.measure.validity import CHECKS
from bench.record.measurement import Flag
from bench.report import captions
from bench.report.markdown import markdown
from bench.report.page import page
from bench.report.plots import plots, where
from bench.report.words import FLAGS
from bench.report.write import write_report
from tests.data.measurements import case, measured
from tests.data.records import CPU_RECORD, FALLBACK_RECORD, GPU_RECORD, bare, flagged, only
from tests.hostile import markdown_cells, page_tags
from tests.report.made import SMALL, STEP, without_drawings

NO_NUMBER = [dataclasses.replace(CPU_RECORD, measurements=[])]


@pytest.fixture(scope="module")
def texts(report):
    """The page and the Markdown."""
    return [(report / name).read_text("utf-8") for name in ("report.html", "report.md")]


def bytes_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_whole_markdown(texts, snapshot):
    assert texts[1] == snapshot


def test_the_whole_page(texts, snapshot):
    assert without_drawings(texts[0]) == snapshot


def test_all_files_are_there(report, snapshot):
    assert "\n".join(sorted(bytes_of(report))) == snapshot


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(report, tmp_path):
    write_report(SMALL, tmp_path)
    assert bytes_of(tmp_path) == bytes_of(report)


KINDS = {
    "three": [*SMALL, dataclasses.replace(STEP, dataset=FALLBACK_RECORD.dataset)],
    "bare": [bare(record) for record in SMALL],
    "one step": [STEP],
    "no number": NO_NUMBER,
}


@pytest.mark.slow
@pytest.mark.parametrize("records", KINDS.values(), ids=KINDS)
def test_every_kind_of_record_has_a_page_and_markdown_that_readers_take(records):
    assert page_tags(page(records, []))
    assert markdown_cells(markdown(records, [])) or records is NO_NUMBER  # of which there is no table


def test_a_record_without_a_number_has_a_report_without_plots(tmp_path):
    assert write_report(NO_NUMBER, tmp_path) == []
    assert {"report.html", "report.md", "tables/not_measured.csv"} <= bytes_of(tmp_path).keys()
    assert not list((tmp_path / "plots").iterdir())


def test_every_number_has_its_command_in_the_page_and_in_a_table(texts, report):
    csv = (report / "tables" / "samples.csv").read_text("utf-8")
    for text in (texts[0], csv):
        for record in SMALL:
            for measurement in record.measurements:
                assert measurement.id in text
                assert measurement.command in text


def test_no_line_of_the_markdown_is_too_long_for_a_terminal():
    text = markdown(SMALL, [])
    assert [line for line in text.split("\n") if len(line) > 120 and not line.startswith("![")] == []


def test_every_gap_says_why_in_page_and_markdown(texts):
    for text in texts:
        for gap in SMALL[0].unmeasured:
            assert gap.id in text
        assert "RuntimeError: out of patience" in text
        assert "no CUDA GPU here" in text


def test_the_page_is_one_small_file_that_fetches_nothing(texts):
    html = texts[0]
    assert len(html.encode()) < 1_000_000
    assert "<script" not in html
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:,)[^"']*""", html.replace("xlink:href=", ""))
    assert not re.findall(r"url\((?!#)", html)
    assert html.count("<svg") == 5


def test_ids_in_the_page_are_unique_and_links_lead_somewhere(texts):
    html = texts[0]
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_elsewhere_is_marked(texts):
    html, text = texts
    tables = text.count("*Measured elsewhere · Synthetic GPU")
    assert html.count("Measured elsewhere</span>") > tables > 2
    assert "Measured elsewhere" not in markdown([STEP], []) + page([STEP], [])


def test_text_from_the_record_is_escaped():
    nasty = dataclasses.replace(
        STEP,
        command="fcnn-bench --data '<b>&'",
        dataset=dataclasses.replace(STEP.dataset, label="<script>alert(1)</script>"),
    )
    html = page([nasty], [])
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "&lt;b&gt;&amp;" in html


def test_partial_and_fallback_are_said_at_the_top():
    for change in ({"partial": True}, {"dataset": FALLBACK_RECORD.dataset}):
        records = [dataclasses.replace(STEP, **change)]
        html, text = page(records, []), markdown(records, [])
        assert html.index('class="warning"') < html.index('class="findings"')
        assert text.index("> **Note.** ") < text.index("- **Measured**")
    assert 'class="warning"' not in page([STEP], [])


def test_the_flags_that_occur_are_explained():
    html = page([SMALL[0], flagged(STEP, STEP.measurements[0].id, Flag("moonphase", "the moon was full"))], [])
    assert "There was no warm-up, so first calls" in html
    assert "The moon was full." in html
    assert "torch.compile made new graphs" not in html


def test_every_flag_that_the_suite_raises_has_a_meaning():
    assert {*CHECKS, *DERIVED, "contended", "gpu-shared", "throttled", "drift"} == set(FLAGS)


def test_plots_say_in_text_what_they_show(report):
    drawn = {path.stem: path.read_text("utf-8") for path in (report / "plots").iterdir()}
    for label in ("here cpu fp32", "elsewhere cuda fp32 max-autotune", "16,384", "1 ms"):
        assert f">{label}<" in drawn["steps"]
    for label in ("here · cpu · forward + backward", "391 µs"):
        assert f">{label}<" in drawn["parts"]
    assert ">elsewhere · cuda · resident<" in drawn["epochs"]
    assert "> target 93%<" in drawn["accuracy"]


def test_a_line_says_which_record_it_is_of():
    three = [CPU_RECORD, GPU_RECORD, FALLBACK_RECORD]
    assert [where(three, one) for one in three] == ["here", "elsewhere 1", "elsewhere 2"]
    assert "; elsewhere 2: Some CPU" in captions.key(three)
    assert [where(three[:count], CPU_RECORD) for count in (1, 2)] == ["", "here"]


def test_lines_that_differ_in_threads_say_so():
    both = [dataclasses.replace(measured(case(threads=n), 4e-4), id=str(n)) for n in (1, 2)]
    for plot in plots([dataclasses.replace(CPU_RECORD, measurements=both)]):
        assert "2 threads" in plot.svg


def test_flagged_bars_are_outlined_and_named(report):
    one = only(CPU_RECORD, "epoch[cpu-b64-fp32]", "epoch[cpu-b64-fp32-loader]")
    (marked,) = plots([flagged(one, "epoch[cpu-b64-fp32]")])
    assert "(cold)" in marked.svg
    assert "(cold)" not in (report / "plots" / "epochs.svg").read_text("utf-8")


def test_parts_of_another_batch_are_drawn_where_64_is_missing():
    record = dataclasses.replace(
        CPU_RECORD, measurements=[measured(case(name, batch=1024), 1e-3) for name in ("forward", "step")]
    )
    assert [plot.name for plot in plots([record])] == ["accounts", "steps", "parts"]
    assert plots([dataclasses.replace(CPU_RECORD, measurements=[])]) == []
