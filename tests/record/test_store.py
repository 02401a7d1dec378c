import dataclasses
import json

import pytest

from bench.errors import BenchError
from bench.record import store
from bench.record.measurement import Accuracy, CaseFields, Flag, Measurement
from bench.record.model import Beside, Calibration, Commit, Dataset, Machine, Record, Round, Unmeasured, to_json

CASE = CaseFields(threads=2)
RECORD = Record(
    created_utc="2026-01-02T03:04:05Z",
    command="fcnn-bench",
    duration_seconds=1.5,
    partial=False,
    commit=Commit("0123456789ab", dirty=True),
    machine=Machine("some-cpu-2c", "Some CPU, 2 cores"),
    environment={"hardware": {"cpu": "Some CPU"}, "software": {}, "settings": {"quota": None}},
    dataset=Dataset("MNIST", "MNIST", "0" * 64, 60_000, 10_000),
    measurements=[
        Measurement(
            id="step[cpu-b64-fp32]",
            case=CASE,
            command="fcnn-bench run",
            samples_seconds=[1e-3, 2e-3],
            rounds=[0, 1],
            device_samples_seconds=None,
            block_repetitions=5,
            images_per_repetition=64,
            steps_per_epoch=None,
            last_batch_size=None,
            warmup_seconds=0.1,
            first_call_seconds=0.01,
            accuracy=Accuracy([0], 1, [0.93], [0.94], 0.93, 3, [None]),
            flags=[Flag("wide", "too few")],
        )
    ],
    rounds=[Round(n, "steps", n, 0.2, Beside(others_cores=0.1), None if n else "others were busy") for n in range(2)],
    unmeasured=[Unmeasured("step[cuda-b64-fp32]", dataclasses.replace(CASE, device="cuda"), "impossible", "no GPU")],
)


def folder_name(record):
    data = to_json(record)
    return store.run_folder_name(data["created_utc"], data["machine"], data["commit"])


def written(tmp_path, **changes):
    data = {**to_json(RECORD), **changes}
    path = tmp_path / "record.json"
    path.write_text(json.dumps(data))
    return path


def test_a_record_survives_the_file(tmp_path):
    store.write(RECORD, tmp_path)
    assert store.read(tmp_path) == store.read(tmp_path / "record.json") == RECORD
    assert store.of_json(to_json(RECORD), "the record") == RECORD


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "schema version 99, this program reads version 2"),
        ({"partial": "no"}, "not a valid record: at partial"),
        ({"created_utc": "yesterday"}, "not a valid record: at created_utc"),
        (
            {"created_utc": "2026-02-30T00:00:00Z"},
            "at created_utc: Value error, day is out of range for month",
        ),
        ({"rounds": []}, "not a valid record: at measurements/0/rounds: its samples are not one a round"),
        ({"surprise": 1}, "not a valid record: at surprise: Unexpected"),
        ({"machine": {"slug": "../up", "label": "x"}}, "not a valid record: at machine/slug"),
    ],
)
def test_what_is_not_a_record_is_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises(BenchError) as error:
        store.read(written(tmp_path, **changes))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("samples", [[], [0.0], [-1.0], ["fast"]])
def test_a_measurement_without_real_samples_is_refused(tmp_path, samples):
    data = to_json(RECORD)
    data["measurements"][0]["samples_seconds"] = samples
    with pytest.raises(BenchError, match="samples_seconds"):
        store.read(written(tmp_path, measurements=data["measurements"]))


def test_calibrations_of_all_kinds_survive_and_older_records_have_no_reasons(tmp_path):
    sticks = [
        Calibration("graph_node", "cuda", "node", 1000.0, [1.3e-3], [1.3e-3]),
        Calibration("grid_barrier", "cuda", "barrier", 1.0, [], reason="cuda-bindings is not installed"),
    ]
    data = to_json(dataclasses.replace(RECORD, calibrations=sticks))
    assert store.read(written(tmp_path, calibrations=data["calibrations"])).calibrations == sticks
    older = [{name: value for name, value in y.items() if name != "reason"} for y in data["calibrations"][:1]]
    assert store.read(written(tmp_path, calibrations=older)).calibrations == sticks[:1]


def test_earlier_records_call_their_calibrations_otherwise():
    data = to_json(dataclasses.replace(RECORD, calibrations=[Calibration("copy", "cpu", "byte", 1e6, [1e-3])]))
    earlier = {**data, "yardsticks": data["calibrations"]}
    del earlier["calibrations"]
    assert store.of_json(earlier, "it") == store.of_json(data, "it")


def test_missing_truncated_and_binary_files_are_refused(tmp_path):
    with pytest.raises(BenchError, match="there is no such file"):
        store.read(tmp_path / "none.json")
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BenchError, match="is no JSON"):
        store.read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="is no JSON"):
        store.read(path)


def test_nan_never_reaches_a_file(tmp_path):
    with pytest.raises(BenchError, match="at duration_seconds: Input should be a finite number"):
        store.write(dataclasses.replace(RECORD, duration_seconds=float("nan")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_run_folder_names_machine_time_and_commit():
    assert str(folder_name(RECORD)) == "some-cpu-2c/20260102T030405Z_01234567-dirty"
    nowhere = dataclasses.replace(RECORD, commit=None)
    assert str(folder_name(nowhere)) == "some-cpu-2c/20260102T030405Z_nocommit"


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "machine" / "run"
    with store.atomic_folder(target) as staging:
        (staging / "a").write_text("whole")
        assert not target.exists()
    assert [p.name for p in target.parent.iterdir()] == ["run"]
    assert (target / "a").read_text() == "whole"


def test_after_an_error_nothing_is_left(tmp_path):
    def interrupted() -> None:
        with store.atomic_folder(tmp_path / "run") as staging:
            (staging / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_in_the_same_second_both_stay(tmp_path):
    for _ in range(3):
        with store.atomic_folder(store.free_name(tmp_path / "run")):
            pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "run.2", "run.3"]


def test_an_existing_run_is_never_replaced(tmp_path):
    with store.atomic_folder(tmp_path / "run") as staging:
        (staging / "first").touch()

    def again() -> None:
        with store.atomic_folder(tmp_path / "run"):
            pass

    with pytest.raises(BenchError, match="exists already"):
        again()
    assert [p.name for p in tmp_path.rglob("*")] == ["run", "first"]


def test_an_unwritable_place_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    def write() -> None:
        with store.atomic_folder(tmp_path / "file" / "run"):
            pass

    with pytest.raises(BenchError, match="cannot be written"):
        write()


def test_reference_records_are_found_by_machine(tmp_path):
    for slug in ("b-gpu", "a-cpu"):
        folder = tmp_path / "reference" / slug
        folder.mkdir(parents=True)
        store.write(dataclasses.replace(RECORD, machine=Machine(slug, slug)), folder)
    assert [record.machine.slug for record in store.reference_records(tmp_path)] == ["a-cpu", "b-gpu"]
    assert store.reference_records(tmp_path / "nowhere") == []


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_files_move_in_whole_and_only_at_the_end(tmp_path):
    with store.staged(tmp_path / "run") as staging:
        (staging / "a").write_text("1")
        assert files(tmp_path / "run") == {f"{staging.name}/a"}
    assert files(tmp_path / "run") == {"a"}


def test_after_an_error_nothing_is_left_of_what_was_staged(tmp_path):
    def fails(folder):
        with store.staged(folder) as staging:
            (staging / "a").write_text("1")
            raise ValueError("planted")

    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "kept").write_text("")
    for name in ("new", "there", "results/machine/run", "there/results/run"):
        with pytest.raises(ValueError, match="planted"):
            fails(tmp_path / name)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["there", "there/kept"]


ADDED = ("rounds", "recompilations", "timed_steps", "earlier", "device_use", "start_ups")


def version_1():
    data = to_json(RECORD)
    old = [{"warmup_blocks": 3, **{k: v for k, v in m.items() if k not in ADDED}} for m in data["measurements"]]
    rest = {name: value for name, value in data.items() if name != "rounds"}
    return {**rest, "schema_version": 1, "timing_rule_version": 1, "measurements": old}


def test_a_record_of_version_1_is_shown_with_a_round_for_every_sample(tmp_path):
    found = store.read(written(tmp_path, **version_1(), rounds=[]))
    assert found.timing_rule_version == 1
    assert found.measurements == [dataclasses.replace(RECORD.measurements[0], rounds=[0, 1])]
    assert [(one.number, one.seconds, one.disturbed) for one in found.rounds] == [(0, 5e-3, None), (1, 10e-3, None)]


def test_two_cases_of_version_1_have_no_round_in_common():
    data = version_1()
    data["measurements"] *= 2
    first, second = store.of_json(data, "a record").measurements
    assert not set(first.rounds) & set(second.rounds)


@pytest.mark.parametrize("measurements", [None, [None], [{"samples_seconds": 1}]])
def test_what_only_says_that_it_is_of_version_1_is_refused_in_one_line(measurements):
    with pytest.raises(BenchError, match=r"^a record: "):
        store.of_json({**version_1(), "measurements": measurements}, "a record")
