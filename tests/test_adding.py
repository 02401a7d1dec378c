"""What the README's "Add to it" says: each addition is made in a copy of the tree, in the stated number of files.

All of them are made in one copy, which one process then looks at: what is added beside another is added by itself, too.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record.store import write
from tests.data.records import CPU_RECORD

ROOT = Path(__file__).parents[1]
# By what is added: the files, each with the line that the new ones stand before, and these.
ADDITIONS = {
    "device": {
        "bench/axes/devices.py": (
            '        Device("mps", ',
            '        Device("npu", "npu", lambda: "no NPU here", lambda: "NPU", _nothing_to_wait_for),\n',
        )
    },
    "precision": {
        "bench/axes/precisions.py": (
            '        Precision("bf16", ',
            '        Precision("fp8", "8 bits", why_not=lambda device: f"no fp8 on {device}"),\n',
        )
    },
    "feed": {
        "bench/axes/feeds.py": ('        Feed("resident", ', '        Feed("mapped", "a file in memory", _resident),\n')
    },
    "compiler mode": {
        "bench/axes/compilers.py": (
            '        Compiler("default", ',
            '        Compiler("traced", None, lambda device: None),\n',
        )
    },
    "case of the default matrices": {
        "bench/axes/matrix.py": ('        {"workload": ["inference"]},\n', '        {"batch_size": [4711]},\n')
    },
    "calibration": {
        "bench/measure/calibration.py": (
            '    Probe("dispatch", ',
            '    Probe("second_dispatch", "call", _call, _on_cpu),\n',
        )
    },
    "what a worker can be asked": {
        "bench/workers/requests.py": ('    "turn": "bench', '    "pace_again": "bench.workers.turns.pace",\n')
    },
    "condition that disturbs": {
        "bench/measure/conditions.py": (
            '    "turbo": ',
            '    "moon": lambda watched: ("full", "people are restless", "wait for two weeks"),\n',
        )
    },
    "optimizer": {
        "bench/axes/optimizers.py": (
            '        Optimizer("foreach", ',
            '        Optimizer("amsgrad", "with the largest moment", {"amsgrad": True}),\n',
        )
    },
    "axis": {
        "bench/record/measurement.py": ("    num_workers: NonNegativeInt = 0\n", "    shuffled: bool = False\n"),
        "bench/axes/axis.py": (
            '    Axis("num_workers", ',
            '    Axis("shuffled", "shuffled", "Shuffled", "whether it is", mark="shuffled"),\n',
        ),
    },
    "workload": {
        "bench/axes/workloads.py": (
            '        Workload("inference", ',
            '        Workload("loss", "its value", title="Loss"),\n',
        ),
        "bench/workers/workloads.py": (
            "def optimizer(case: Case, ",
            "def loss(case: Case, images: Images) -> Prepared:\n    return _part(case, images, scores_and_loss)\n\n\n",
        ),
    },
    "column": {
        "bench/report/columns.py": (
            '    of_measurement("earlier_runs", ',
            '    of_measurement("blocks", (STEP,), lambda m: len(m.rounds), "Blocks", lambda m: str(len(m.rounds))),\n',
        )
    },
    "exporter": {
        "bench/report/write.py": (
            '    "report.html": ',
            '    "ids.txt": lambda report: "".join(f"{m.id}\\n" for m in report.records[0].measurements),\n',
        )
    },
    "step of the ladder": {
        "bench/ladder/steps.py": (
            "def by_hand(images: ",
            "def again(images: Images, seed: int, device: torch.device) -> Program:\n"
            "    return index_select(images, seed, device)\n\n\n",
        ),
        "bench/ladder/table.py": (
            '            "graph a step",\n',
            '            "again", steps.again, "nothing"),\n        LadderRow(\n',
        ),
    },
    "flag": {
        "bench/measure/validity.py": ('    "profiled": ', '    "unlucky": lambda seen: "it is Friday the 13th",\n'),
        "bench/report/words.py": ('    "profiled": ', '    "unlucky": "the day of the measurement",\n'),
    },
}
FILES = {"axis": 2, "workload": 2, "step of the ladder": 2, "flag": 2}  # of all others, one
LOOK = """
import argparse, dataclasses, json, sys
from pathlib import Path
from bench.axes import matrix
from bench.measure import calibration
from bench.measure.conditions import conditions
from bench.record.model import Beside
from bench.workers.process import ask_once
from fcnn.data import embedded_images
from bench.axes.case import case_id, command_words, parse_id, why_impossible
from bench.record.store import read
from bench.report.words import FLAGS
from bench.report.write import write_report
from bench.ladder.table import STEPS, lines_changed
from bench.measure.validity import CHECKS
from bench.suite import bench_step
from bench.workers.workloads import BUILDERS

parser = argparse.ArgumentParser()
matrix.add_options(parser.add_argument)
words = sys.argv[3:]
made = matrix.cases(vars(parser.parse_args(words)), "quick", ["cpu"])
record = read(Path(sys.argv[1]))
base = record.measurements[0]
loss = parse_id("loss[cpu-b64-fp32]")
repeat = BUILDERS["loss"](dataclasses.replace(loss, threads=1), embedded_images("no network")).repeat
changed = [
    dataclasses.replace(base, id=case_id(case), case=dataclasses.replace(case, threads=2), flags=[])
    for case in [*made, dataclasses.replace(made[0], shuffled=True), loss,
                 parse_id("step[cpu-b64-fp32-mapped]"), parse_id("step[cpu-b64-fp32-traced]")]
]
record = dataclasses.replace(record, measurements=[*record.measurements, *changed])
problems = write_report([record], Path(sys.argv[2]))
again = next(row for row in STEPS["cuda"] if row.name == "again")
print(json.dumps({
    "ids": [case_id(case) for case in made],
    "commands": [" ".join(command_words(one.case)) for one in changed],
    "read back": all(parse_id(one.id) == dataclasses.replace(one.case, threads=0) for one in changed),
    "reasons": [why_impossible(case, 60_000) for case in made],
    "flags": ["unlucky" in CHECKS, FLAGS.get("unlucky")],
    "problems": problems,
    "workload": [float(repeat()) > 0, hasattr(bench_step, "bench_loss")],
    "matrix": [case_id(case) for case in matrix.cases(vars(parser.parse_args([])), "quick", ["cpu"])],
    "calibrations": [one.name for one in calibration.run("cpu", 1, set())],
    "answer": list(ask_once("pace_again", 60.0, "it", threads=1)),
    "conditions": [[one.name, one.state, one.effect] for one in conditions(Beside(), None)],
    "step": [again.removed, lines_changed(again, "cuda")],
}))
"""
CHOSEN = ["--device", "cpu,npu", "--precision", "fp32", "fp8", "--feed", "mapped", "--optimizer", "amsgrad"]


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """What the copy answers, and the folder of its report."""
    tree, report = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("report")
    for name in ("bench", "fcnn"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for files in ADDITIONS.values():
        for name, (before, lines) in files.items():
            text = (tree / name).read_text("utf-8")
            assert text.count(before) == 1, (name, before)
            (tree / name).write_text(text.replace(before, lines + before), "utf-8")
    builders = tree / "bench/workers/workloads.py"  # the second line of a workload's file
    builders.write_text(builders.read_text("utf-8").replace("epoch, inference)", "epoch, inference, loss)"), "utf-8")
    write(CPU_RECORD, report)
    words = [sys.executable, "-c", LOOK, report / "record.json", report, *CHOSEN]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    ran = subprocess.run(words, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), report


def test_the_number_of_files_is_as_stated():
    assert {name: len(files) for name, files in ADDITIONS.items() if len(files) > 1} == FILES
    text = (ROOT / "README.md").read_text("utf-8").partition("## Add to it")[2].partition("\n## ")[0]
    for name in ADDITIONS:
        files = FILES.get(name, 1)
        assert [line for line in text.splitlines() if name in line and line.rstrip("|").rstrip().endswith(f" {files}")]


@pytest.mark.slow
def test_ids_options_commands_and_reasons_follow(looked_at):
    found, _ = looked_at
    assert found["ids"] == [
        f"step[{device}-b64-{precision}-amsgrad-mapped]" for device in ("cpu", "npu") for precision in ("fp32", "fp8")
    ]
    assert found["reasons"] == [None, "no fp8 on cpu", "no NPU here", "no NPU here"]
    assert found["commands"][-4].endswith("--feed mapped --shuffled --threads 2")
    assert "--compile traced" in found["commands"][-1]
    assert found["read back"]


@pytest.mark.slow
def test_tables_files_and_meanings_follow(looked_at):
    found, report = looked_at
    steps = (report / "tables/steps.csv").read_text("utf-8")
    assert {"blocks", "shuffled"} <= set(steps.partition("\n")[0].split(","))
    text = (report / "report.md").read_text("utf-8")
    assert {"Blocks", "Shuffled"} <= {word.strip() for word in text.split("|")}
    assert "## Loss" in text
    assert "step[cpu-b64-fp32]" in (report / "ids.txt").read_text("utf-8")
    assert found["flags"] == [True, "the day of the measurement"]
    assert found["problems"] == []  # every plot knows what to do with a choice that it has never heard of


@pytest.mark.slow
def test_what_is_measured_follows(looked_at):
    found, _ = looked_at
    assert found["workload"] == [True, True]
    assert found["step"] == ["nothing", 1]
    assert "step[cpu-b4711-fp32]" in found["matrix"]
    assert found["calibrations"] == ["copy", "copy_cached", "second_dispatch", "dispatch"]
    assert found["answer"] == ["core_seconds", "team_seconds"]
    assert ["moon", "full", "people are restless"] in found["conditions"]
