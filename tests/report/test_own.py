import dataclasses
import io

import pytest
from rich.console import Console

from bench.analyse.cells import cells
from bench.cli import main
from bench.record import store
from bench.record.measurement import Flag
from bench.record.model import Dataset, Program
from bench.report import captions, tables
from bench.report.columns import COLUMNS
from bench.report.headlines import answer, headlines
from bench.report.markdown import markdown
from bench.report.sentences import findings
from bench.report.terminal import show
from tests.data.measurements import case, gap, measured
from tests.data.records import CPU_RECORD

OWN = Dataset("training.py", "training.py and its own images", "c" * 64, 0, 0)


def record(*measurements, lacks=(), **changes):
    program = Program("of mine/training.py", "d" * 64, None, list(lacks))
    missing = [gap(case("program", "cuda", 16))]
    return dataclasses.replace(
        CPU_RECORD, program=program, dataset=OWN, measurements=list(measurements), unmeasured=missing, **changes
    )


def named(measurement, id):
    return dataclasses.replace(measurement, id=id)


def program_record(**changes):
    steps = [named(measured(case("program", "cpu", n), s, phases=None), f"program[cpu-b{n}]")
             for n, s in ((16, 1e-3), (256, 4e-3))]  # fmt: skip
    return record(*steps, **changes)


def test_the_first_screen_is_of_it_alone(snapshot):
    of_it = program_record()
    assert "\n".join([*answer(of_it), *(f"{topic}: {text}" for topic, text in headlines(of_it))]) == snapshot


def test_what_it_decides_itself_is_in_no_table_and_its_bound_is_not_claimed():
    of_it = program_record()
    shown = [table for view in tables.VIEWS if (table := tables.table(of_it, view))]
    headings = {column.name for table in shown for column in table.columns}
    assert not headings & {"precision", "compiler", "optimizer", "feed", "hidden_size"}
    assert not any(word in table.agreed for table in shown for word in ("fp32", "adam", "resident"))
    assert all(cell.roofline is None for cell in cells(of_it) if cell.measurement)
    assert "what number format it has" in next(cell.why_no_roofline for cell in cells(of_it))


def test_what_it_lacks_is_said_with_what_is_not_known_for_it():
    of_it = program_record(lacks=["images_per_step", "evaluate", "model", "optimizer"])
    assert captions.title(of_it) == "How fast does training.py train?"
    assert captions.subject(of_it) == (
        "Training steps of a program of your own, of mine/training.py, with its own images. It has no images_per_step, "
        "so images per second are not known; no model, so the bytes of its parameters are not known; no optimizer, so "
        "the bytes of its optimizer's state are not known."
    )
    with_optimizer = program_record(lacks=["model"])  # which has the parameters
    assert captions.subject(with_optimizer).endswith("with its own images.")
    assert captions.subject(program_record()).endswith("with its own images.")
    assert captions.title(CPU_RECORD) == captions.TITLE


def test_a_terminal_says_what_it_lacks():
    for lacks in (["images_per_step", "evaluate"], []):
        out = io.StringIO()
        show(program_record(lacks=lacks), Console(file=out, width=120, color_system=None))
        said = "Missing     The program has no images_per_step, so images per second are not known."
        assert (said in out.getvalue()) is bool(lacks)


def test_a_gpu_is_set_beside_the_cpu_batch_by_batch():
    gpu = [named(measured(case("program", "cuda", n), s, phases=None), f"program[cuda-b{n}]")
           for n, s in ((16, 2e-3), (256, 1e-3))]  # fmt: skip
    both = program_record()
    both = dataclasses.replace(both, measurements=[*both.measurements, *gpu], unmeasured=[])
    _, where = answer(both)
    assert where.startswith("At batch 16 the CPU is the faster: a step on the GPU takes 2.0")
    assert "; at batch 256 the GPU is the faster: a step on the CPU takes 4.0" in where


def with_images(*counts, **changes):
    steps = program_record().measurements
    steps = [dataclasses.replace(m, images_per_repetition=n) for m, n in zip(steps, counts, strict=True)]
    return record(*steps, **changes)


@pytest.mark.parametrize(
    ("counts", "ending"),
    [
        ((16, 256), ", for 16 times as many images."),
        ((32, 32), ", for as many images, 32: the program takes no notice of batch_size."),
        ((None, None), " on the CPU."),
    ],
)
def test_how_many_more_images_a_larger_batch_has_is_the_programs_word(counts, ending):
    assert dict(headlines(with_images(*counts)))["Batch size"].endswith(ending)


def test_where_no_gpu_was_asked_for_the_command_that_asks_is_told():
    none = dataclasses.replace(program_record(), unmeasured=[])
    assert answer(none)[1].endswith("none was asked for. Run it with --device cuda on a machine that has one.")


def test_what_is_flagged_is_no_reason():
    small, large = program_record().measurements
    texts = dict(headlines(record(small, dataclasses.replace(large, flags=[Flag("contended", "others were busy")]))))
    assert "at batch 16 on the CPU" in texts["Why"]


def test_what_it_decides_itself_is_no_value_in_the_tables_of_numbers():
    (cell, _) = (cell for cell in cells(program_record()) if cell.measurement)
    values = {column.name: column.raw(cell) for column in COLUMNS if column.axis and column.raw}
    assert (values["workload"], values["device"], values["batch_size"]) == ("program", "cpu", 16)
    assert {values[name] for name in ("precision", "compiler", "optimizer", "feed", "hidden_size")} == {None}


def test_the_words_of_columns_that_it_has_not_are_not_explained():
    own, reference = (dict(captions.how_to_read([one])) for one in (program_record(), CPU_RECORD))
    assert {"× roofline", "× eager fp32 CPU", "Sum ÷ unmarked"} <= reference.keys() - own.keys()
    assert {"Time", "Sample", "Flag"} <= own.keys() & reference.keys()


def test_two_programs_are_not_shown_as_one(tmp_path, capsys):
    other = dataclasses.replace(program_record(), program=Program("other.py", "e" * 64, None, []))
    for name, one in (("a", program_record()), ("b", other), ("c", CPU_RECORD)):
        (tmp_path / name).mkdir()
        store.write(one, tmp_path / name)
    for verb in ("report", "compare"):
        assert main([verb, str(tmp_path / "a"), str(tmp_path / "b")]) == 4
        assert "these are of different programs: training.py and other.py" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "c")]) == 4
    assert "training.py and the reference" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], [Flag("wide", "planted")]])
def test_batches_are_compared_where_both_count(flags):
    small, large = program_record().measurements
    texts = dict(headlines(record(small, dataclasses.replace(large, flags=flags))))
    assert ("Batch size" in texts) is (not flags)


def test_a_files_name_is_no_markup():
    named = dataclasses.replace(program_record(), program=Program("__main__.py", "d" * 64, None, []))
    text = markdown([named], [])
    assert text.startswith("# How fast does \\_\\_main\\_\\_.py train?")


def test_its_report_has_nothing_of_the_reference():
    of_it = program_record()
    text = markdown([of_it], []).partition("## How to read this")[0]
    assert "torch.compile" not in text
    assert "784" not in text
    assert {finding.topic for finding in findings([of_it])} == {"Measured", "CPU or GPU", "Why"}
