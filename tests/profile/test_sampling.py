import os
import stat

import pytest

from bench.errors import BenchError
from bench.profile import sampling
from bench.profile.sampling import Sampled, read_stacks, sample

RAW = """\
<module> (child.py);main (child.py);_loop (child.py);train_epoch (fcnn/train.py);__next__ (dataloader.py) 12
<module> (child.py);main (child.py);_loop (child.py);train_epoch (fcnn/train.py);__next__ (dataloader.py) 3
<module> (child.py);main (child.py);_loop (child.py);_repeat (tracing.py);train_step (fcnn/train.py) 5
<module> (child.py);_find_and_load (<frozen importlib._bootstrap>) 40
torn line
"""
posix = pytest.mark.skipif(os.name != "posix", reason="stands in for py-spy by a shell script")


def test_stacks_begin_with_the_training_loop_and_imports_are_left_out():
    assert read_stacks(RAW) == {
        "train_epoch (fcnn/train.py);__next__ (dataloader.py)": 15,
        "train_step (fcnn/train.py)": 5,
    }


class Quiet:
    """Surroundings in which nothing else is busy, or something is."""

    reason: str | None = None

    def disturbance(self):
        return self.reason


@pytest.fixture
def py_spy(monkeypatch, tmp_path):
    """Puts a shell script in the place of py-spy and of the process that it looks at, and samples by it."""
    monkeypatch.setattr(sampling, "Surroundings", Quiet)
    monkeypatch.setattr(Quiet, "reason", None)

    def run(text):
        file = tmp_path / "py-spy"
        file.write_text(f"#!/bin/sh\nwhile [ $1 != --output ]; do tried=$1; shift; done\n{text.format(out='$2')}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sampling, "program", lambda: str(file))
        return sample([], {"what": "loop"}, tmp_path, 0.1)

    return run


LOOKS = """read loop; echo some noise; echo '{{"value": null}}'
read end; echo "$loop $end" >&2
printf 'train_step (fcnn/train.py);caf\\303\\251 7\\ntrain_step (fcnn/train.py);\\377 1\\n' > {out}"""


@posix
def test_samples_are_those_of_the_request_and_any_bytes_are_read(py_spy):
    assert py_spy(LOOKS) == Sampled({"train_step (fcnn/train.py);café": 7, "train_step (fcnn/train.py);\ufffd": 1})


@posix
def test_both_leave_their_temporary_files_where_they_are_told_to(py_spy, tmp_path):
    looks = """echo '{{"value": null}}'; read loop; read end; echo "train_step;$TMPDIR 1" > {out}"""
    assert py_spy(looks).stacks == {f"train_step;{tmp_path}": 1}


@posix
def test_what_goes_on_beside_the_samples_is_kept(py_spy, monkeypatch):
    monkeypatch.setattr(Quiet, "reason", "planted load")
    assert py_spy(LOOKS).disturbed == "planted load"


def test_without_py_spy_the_reason_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(sampling, "program", lambda: None)
    with pytest.raises(BenchError, match="py-spy is not installed: pip install py-spy"):
        sample([], {}, tmp_path, 1.0)


@posix
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo 'Error: Permission Denied' >&2; exit 1", "py-spy saw nothing of the process: Error: Permission Denied"),
        ("""echo '{{"error": "ValueError: why"}}'""", "py-spy saw nothing of the process: ValueError: why"),
        (
            """echo '{{"value": null}}'; read loop; read end; echo 'Error: no' >&2""",
            "py-spy wrote nothing: Error: no",
        ),
        ("""echo '{{"value": null}}'; read loop; read end; echo 'main (x.py) 3' > {out}""", "py-spy saw no step"),
        ("exec no-such-program-at-all", "no-such-program-at-all: not found"),
    ],
)
def test_the_reason_is_py_spys_or_the_processs_own(py_spy, text, reason):
    with pytest.raises(BenchError, match=reason):
        py_spy(text)


RUNS_ON = """case "$tried" in
  --nonblocking) read loop; echo '{{"value": null}}'; read end; echo 'train_step (fcnn/train.py) 7' > {out} ;;
  *) exit 1 ;;
esac"""


@posix
def test_if_py_spy_cannot_stop_the_process_it_looks_while_that_runs(py_spy):
    assert py_spy(RUNS_ON) == Sampled({"train_step (fcnn/train.py)": 7}, torn=True)


@pytest.mark.slow
@posix
def test_a_py_spy_that_never_ends_is_ended(py_spy, monkeypatch):
    monkeypatch.setattr(sampling, "START_SECONDS", 0.1)
    with pytest.raises(BenchError, match="gave no answer within 0 s, and its process was ended"):
        py_spy("sleep 600")


@pytest.mark.slow
@posix
def test_a_py_spy_that_hangs_at_its_end_is_ended(py_spy, monkeypatch):
    monkeypatch.setattr(sampling, "START_SECONDS", 0.1)
    with pytest.raises(BenchError, match="py-spy"):
        py_spy("""echo '{{"value": null}}'; read loop; read end; sleep 600""")
