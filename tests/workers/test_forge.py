"""Forked workers: each by itself, killed and gone at the end, and why one has died."""

import os
import signal

import psutil
import pytest

from bench.workers.conversation import NoAnswer, WorkerDied, WorkerError
from bench.workers.forge import Forge

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="no process can be forked here")]
STEP = {
    "workload": "step", "device": "cpu", "batch_size": 16, "precision": "fp32", "compiler": "off", "optimizer": "adam",
    "feed": "resident", "threads": 1,
}  # fmt: skip


def test_a_worker_prepares_a_case_and_takes_its_turns(forge):
    with forge.worker() as worker:
        prepared = worker.ask("prepare", id="a", case=STEP, warm_seconds=0.0)
        seconds, device, graphs = worker.ask("turn", id="a", repetitions=3)
    assert prepared["warmup_seconds"] >= prepared["first_call_seconds"] > 0
    assert seconds > 0
    assert (device, graphs) == (None, 0)


def test_workers_know_nothing_of_each_other(forge):
    with forge.worker() as one, forge.worker() as other:
        one.ask("prepare", id="a", case=STEP, warm_seconds=0.0)
        with pytest.raises(WorkerError, match=r"^KeyError: 'a'$"):
            other.ask("turn", id="a", repetitions=1)
        assert one.pid != other.pid


def test_a_worker_is_gone_at_the_end(forge):
    with forge.worker() as worker:
        worker.ask("devices")
        pid = worker.pid
    assert not psutil.pid_exists(pid)


def test_one_that_was_killed_is_told_from_one_that_hangs(forge):
    with forge.worker("the candidate") as worker:
        os.kill(worker.pid, signal.SIGKILL)
        died = r"^the candidate died while it was asked to devices: it was killed by SIGKILL, as for lack of memory$"
        with pytest.raises(WorkerDied, match=died):
            worker.ask("devices")
    with forge.worker("the candidate") as worker:
        worker.stop()
        with pytest.raises(NoAnswer, match=r"^the candidate, while it was asked to devices, gave no answer within 0 s"):
            worker.ask("devices", 0.01)


def test_a_program_of_the_users_own_that_ends_its_process_is_named(forge, tmp_path):
    (tmp_path / "ends.py").write_text("import os\n\n\ndef make(device, batch_size, seed):\n    os._exit(7)\n")
    died = r"^ends\.py: its process died while it was made and warmed up: it ended with exit code 7$"
    with forge.worker("the survey") as worker:
        worker.ask("own", tree=str(tmp_path), file="ends.py", folder=str(tmp_path))
        with pytest.raises(WorkerDied, match=died):
            worker.ask("own_facts", case={**STEP, "workload": "program"})


def test_a_stopped_worker_goes_on(forge):
    with forge.worker() as worker:
        worker.stop()
        worker.begin("devices")
        worker.go_on()
        assert "cpu" in worker.end()


def test_an_answer_that_nobody_waited_for_is_no_workers_number(forge):
    """As after an interruption while a worker's end was asked for."""
    with forge.worker() as worker:
        forge._number += 1
        forge._control.sendall(b"[%d, %d]" % (forge._number, worker.pid))
        with forge.worker() as other:
            assert other.ask("devices")
            assert psutil.Process(other.pid).ppid() == forge._process.pid


def test_images_that_cannot_be_had_are_the_forges_reason(tmp_path):
    with (
        Forge({"file": str(tmp_path / "none.pt")}, passive=True) as broken,
        pytest.raises(WorkerError, match="No such file"),
    ):
        broken.wait()


def test_a_forge_that_dies_says_so():
    with Forge({"dataset": "embedded"}, passive=True) as dying:
        os.kill(dying._process.pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="the process that forks the workers died: it was killed by SIGKILL"):
            dying.wait()
