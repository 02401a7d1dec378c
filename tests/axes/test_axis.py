import dataclasses
import itertools

import pytest

from bench.axes.axis import AXES, hyperparameters, nearest
from bench.record.measurement import CaseFields
from fcnn.hyperparameters import REFERENCE
from tests.axes.test_case import changed


def test_every_field_of_a_case_is_an_axis():
    assert {axis.field for axis in AXES} == {field.name for field in dataclasses.fields(CaseFields)}
    for axis in AXES:
        assert axis.rows is None or axis.default in axis.rows


def test_what_an_axis_sets_of_the_network_is_by_default_the_references():
    for axis in AXES:
        if axis.hyperparameter:
            assert axis.default == getattr(REFERENCE, axis.hyperparameter)
    assert hyperparameters(changed()) == {}
    assert hyperparameters(changed(hidden_size=20)) == {"hidden_size": 20}


def some_values(axis):
    if axis.rows is not None:
        return list(axis.rows)
    return [False, True] if isinstance(axis.default, bool) else [axis.default, 7]


def test_no_word_of_an_id_is_of_two_axes():
    words = [(axis.word(value), axis.field) for axis in AXES[1:] for value in some_values(axis)]
    for (one, of_one), (other, of_other) in itertools.combinations(words, 2):
        assert not one or one != other or of_one == of_other


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.field)
def test_a_word_is_read_as_what_it_was_made_of(axis):
    for value in some_values(axis):
        if word := axis.word(value):
            assert axis.value(word) == value
    assert axis.value("") is None
    assert axis.value("nonsense") is None
    assert axis.value(f"{axis.mark}0") is None


def test_a_misspelt_word_has_the_nearest_one_and_another_has_none():
    assert nearest("fuesd", ["adam", "fused"]) == ": did you mean fused?"
    assert nearest("sgd", ["adam", "fused"]) == ""
