"""What the tests of the climb share: a machine that was made up, and the words of a short ladder."""

import json
from pathlib import Path

from bench.workers.conversation import WorkerDied, WorkerError
from tests.answers import check_request


class Machine:
    """Where every worker is this process.

    Attributes:
        answers: By name, seconds of an epoch or the words with which the process ends.
        asked: (device, name, seed) in order; the first request of a process has no seed.
        ends_at: A process ends when it is asked for this seed.
        interrupted_at: The name and the seed at which a signal comes.
        interrupted_on: The device on which it comes at the first epoch.
        disturbances: What goes on beside a part of the ladder, by its number.
        unknown: What is not known of the roofline bound.
        caches: The compilers' folders of every process.
    """

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.ends_at = {}
        self.interrupted_at = self.interrupted_on = None
        self.disturbances = {}
        self.open = []
        self.caches = []
        self.watched = 0
        self.importing = self.imported_at_once = 0
        self.unknown = None

    def _answer(self, name, answer):
        self._interrupt(name, None)
        if isinstance(reason := self.answers.get(name), str):
            raise WorkerError(reason)
        return answer

    def _interrupt(self, name, seed, device=None):
        if self.interrupted_at == (name, seed) or (device and device == self.interrupted_on):
            raise KeyboardInterrupt

    def surroundings(machine, device):
        assert device in {"cpu", "cuda"}

        class Surroundings:
            def disturbance(self):
                machine.watched += 1
                return machine.disturbances.get(machine.watched)

        return Surroundings()

    def process(machine, words, environment):
        assert words is None  # a fresh worker
        assert Path(environment["TMPDIR"]).exists()
        machine.caches.append((environment["TORCHINDUCTOR_CACHE_DIR"], environment["TRITON_CACHE_DIR"]))

        class Process:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                machine.open.remove(self.name)

            def begin(self, name, **arguments):
                assert name == "ladder_prepare"
                check_request(name, arguments)
                self.device, self.name = arguments["device"], arguments["step"] or "roofline"
                machine.open.append(self.name)
                machine.importing += 1
                machine.imported_at_once = max(machine.imported_at_once, machine.importing)

            def end(self, limit_seconds):
                assert 0 < limit_seconds < 3600
                machine.importing -= 1
                machine.asked.append((self.device, self.name, None))
                return None if self.name == "roofline" else machine._answer(self.name, None)

            def ask(self, name, limit_seconds, **arguments):
                check_request(name, arguments)
                assert 0 < limit_seconds < 3600
                assert machine.importing == 0  # beside what is measured nothing is imported
                if name == "ladder_bound":
                    return machine._answer(
                        "roofline", {"seconds": 0.05, "bound": "compute", "unknown": machine.unknown}
                    )
                assert name == "ladder_epoch"
                assert "roofline" not in machine.open  # whose process would keep memory of the device
                seed = arguments["seed"]
                machine.asked.append((self.device, self.name, seed))
                machine._interrupt(self.name, seed, self.device)
                if machine.ends_at.get(self.name) == seed:
                    raise WorkerDied("it was killed by SIGKILL, as for lack of memory")
                seconds = machine.answers.get(self.name, 1.0) * (1 + 0.01 * seed)
                return {"seconds": seconds, "with_all_seconds": seconds + 1, "test_accuracy_fraction": 0.931}

        return Process()


def ladders(folder):
    return json.loads((folder / "run" / "ladder.json").read_text())["ladders"]


SHORT = ["ladder", "--run", "run", "--device", "cpu", "--steps", "fused Adam"]
TO_GO_ON = (
    "fcnn-bench: interrupted: the ladder has what was measured by then; to go on: fcnn-bench ladder --resume run\n"
)
