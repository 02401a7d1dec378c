import os
import stat

import pytest

from bench.profile import sampling
from bench.profile.sampling import Sampled, SamplingError, read_stacks, sample

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
        sample([], "", tmp_path / "out", tmp_path, 1.0)


@pytest.mark.skipif(os.name != "posix", reason="stands in for py-spy by a shell script")
def test_what_py_spy_says_is_passed_on(monkeypatch, tmp_path):
    found = script(tmp_path, "echo 'Error: Permission Denied' >&2; exit 1")
    monkeypatch.setattr(sampling, "program", lambda: found)
    with pytest.raises(SamplingError, match="could not look into the process: Error: Permission Denied"):
        sample([], "", tmp_path / "out", tmp_path, 1.0)


@pytest.mark.skipif(os.name != "posix", reason="stands in for py-spy by a shell script")
def test_a_process_without_steps_is_no_picture(monkeypatch, tmp_path):
    found = script(tmp_path, f"echo 'main (x.py) 3' > {tmp_path}/out")
    monkeypatch.setattr(sampling, "program", lambda: found)
    with pytest.raises(SamplingError, match="saw no step"):
        sample([], "", tmp_path / "out", tmp_path, 1.0)


HANGS = """case "$*" in
  *--nonblocking*) echo 'train_step (fcnn/train.py) 7' > {out} ;;
  *) sleep 600 ;;
esac"""


@pytest.mark.skipif(os.name != "posix", reason="stands in for py-spy by a shell script")
def test_if_py_spy_hangs_the_process_is_looked_at_while_it_runs(monkeypatch, tmp_path):
    found = script(tmp_path, HANGS.format(out=tmp_path / "out"))
    monkeypatch.setattr(sampling, "program", lambda: found)
    monkeypatch.setattr(sampling, "START_SECONDS", 0.2)
    assert sample([], "", tmp_path / "out", tmp_path, 0.1) == Sampled({"train_step (fcnn/train.py)": 7}, torn=True)


@pytest.mark.skipif(os.name != "posix", reason="stands in for py-spy by a shell script")
def test_a_py_spy_that_never_ends_is_ended(monkeypatch, tmp_path):
    found = script(tmp_path, "sleep 600")
    monkeypatch.setattr(sampling, "program", lambda: found)
    monkeypatch.setattr(sampling, "START_SECONDS", 0.1)
    with pytest.raises(SamplingError, match="still not done after 0 s, and was ended"):
        sample([], "", tmp_path / "out", tmp_path, 0.1)
