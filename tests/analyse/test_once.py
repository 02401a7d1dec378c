from dataclasses import dataclass, field, replace

from bench.analyse.once import once_a_record


@dataclass(frozen=True)
class Fake:
    name: str
    asked: list[object] = field(default_factory=list)


@once_a_record
def derived(what: object, record: Fake) -> list[object]:
    record.asked.append(what)
    return [what]


def test_what_is_derived_of_a_record_is_derived_once_for_each_argument():
    record = Fake("a")
    one, other = ["one"], ["one"]  # equal, and two
    assert derived(one, record) is derived(one, record)
    assert derived(other, record) is not derived(one, record)
    assert record.asked == [one, other]


def test_another_record_is_another_even_where_it_is_made_of_the_first():
    record = Fake("a")
    derived("x", record)
    changed = replace(record, name="b", asked=[])
    derived("x", changed)
    assert changed.asked == ["x"]
    assert record == replace(record)  # what is kept is no part of it


def test_an_argument_that_is_gone_is_not_mistaken_for_a_new_one_in_its_place():
    record = Fake("a")
    for number in range(100):
        assert derived([number], record) == [[number]]
