import os
import stat

import pytest

from bench.profile import sampling
from bench.profile.sampling import SamplingError, read_stacks, sample

RAW = """\
<module> (child.py);main (child.py);_loop (child.py);train_epoch (fcnn/train.py);__next__ (dataloader.py) 12
<module> (child.py);main (child.py);_loop (child.py);train_epoch (fcnn/train.py);__next__ (dataloader.py) 3
<module> (child.py);main (child.py);_loop (child.py);_repeat (tracing.py);train_step (fcnn/train.py) 5
<module> (child.py);_find_and_load (<frozen importlib._bootstrap>) 40
torn line
"""


def test_stacks_begin_with_the_training_loop_and_imports_are_left_out():
    assert read_stacks(RAW) == {
        "train_epoch (fcnn/train.py);__next__ (dataloader.py)": 15,
        "train_step (fcnn/train.py)": 5,
    }


def script(folder, text):
    file = folder / "py-spy"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_without_py_spy_the_reason_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(sampling, "program", lambda: None)
    with pytest.raises(SamplingError, match="py-spy is not installed: pip install py-spy"):
        sample([], "", tmp_path / "out", tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="stands in for py-spy by a shell script")
def test_what_py_spy_says_is_passed_on(monkeypatch, tmp_path):
    found = script(tmp_path, "echo 'Error: Permission Denied' >&2; exit 1")
    monkeypatch.setattr(sampling, "program", lambda: found)
    with pytest.raises(SamplingError, match="could not look into the process: Error: Permission Denied"):
        sample([], "", tmp_path / "out", tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="stands in for py-spy by a shell script")
def test_a_process_without_steps_is_no_picture(monkeypatch, tmp_path):
    found = script(tmp_path, f"echo 'main (x.py) 3' > {tmp_path}/out")
    monkeypatch.setattr(sampling, "program", lambda: found)
    with pytest.raises(SamplingError, match="saw no step"):
        sample([], "", tmp_path / "out", tmp_path)
