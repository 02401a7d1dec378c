import json
from dataclasses import dataclass, field

import pytest

from bench.record.model import Record
from bench.record.typed import converted


@dataclass(frozen=True)
class Inner:
    count: int
    seconds: float | None = None


@dataclass(frozen=True)
class Outer:
    name: str
    inner: list[Inner] = field(default_factory=list)


def test_what_fits_is_of_its_type():
    data = {"name": "a", "inner": [{"count": 1, "seconds": 2}, {"count": 2}]}
    assert converted(Outer, data) == Outer("a", [Inner(1, 2.0), Inner(2)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "at name: Field required"),
        ({"name": 1}, "at name: Input should be a valid string (is 1)"),
        ({"name": "a", "more": 1}, "at more: Unexpected keyword argument (is 1)"),
        ({"name": "a", "inner": [{"count": 1}, {"count": 1, "more": 1}]}, "at inner/1/more: Unexpected keyword"),
        ({"name": "a", "inner": [{"count": 1.0}]}, "at inner/0/count: Input should be a valid integer (is 1.0)"),
        ({"name": "a", "inner": [{"count": True}]}, "at inner/0/count: Input should be a valid integer (is True)"),
        (
            {"name": "a", "inner": [{"count": 1, "seconds": float("nan")}]},
            "at inner/0/seconds: Input should be a fin",
        ),
        ({"name": "a", "inner": [{"count": 1, "seconds": "2"}]}, "at inner/0/seconds: Input should be a valid number"),
        ([], "at the top level: Input should be an object"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(data, message):
    with pytest.raises(ValueError, match=r"^at ") as error:
        converted(Outer, data)
    assert str(error.value).startswith(message)


def test_a_fault_is_one_short_line():
    with pytest.raises(ValueError, match=r"^at name: ") as error:
        converted(Outer, {"name": ["\n\x1b[31m" * 1000]})
    assert len(str(error.value)) <= 160
    assert not {"\n", "\x1b"} & set(str(error.value))


def test_the_types_can_be_written_down_as_a_schema():
    from pydantic import TypeAdapter

    schema = TypeAdapter(Record).json_schema()
    assert schema["$defs"]["Measurement"]["properties"]["samples_seconds"]["items"] == {
        "exclusiveMinimum": 0,
        "type": "number",
    }
    json.dumps(schema)
