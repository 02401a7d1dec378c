import dataclasses
import json

import pytest
from rich.console import Console

from bench.profile import page, sentences, show, tables
from bench.profile.against import difference
from bench.profile.model import Memory, to_json
from tests.profile.made import COMPILED, ON_GPU, PROFILE, changed

SLOW = dataclasses.replace(PROFILE.cost, unprofiled_seconds=6e-3)


def test_the_answer_comes_first():
    assert sentences.summary(PROFILE) == [
        "One step of this epoch takes 8.00 ms without a profiler: 75% of it is waiting for the next batch, "
        "19% the optimizer.",
        "It makes 6 operator calls; those that do the network's arithmetic take 2.5% of the time.",
        "Of the samples of the Python side, 70% are in to_tensor itself.",
    ]


def test_a_leak_is_named():
    leaking = changed(memory=dataclasses.replace(PROFILE.memory, growth_bytes=102_400))
    assert sentences.summary(leaking)[-1] == "A leak: 100 steps leave 100 KiB behind, 1 KiB each."
    assert "100 steps leave 100 KiB: a leak." in sentences.memory_sentences(leaking)
    assert "100 steps leave nothing: no leak." in sentences.memory_sentences(PROFILE)


def test_the_profilers_cost_is_stated_and_whether_the_totals_agree():
    text = sentences.trust(PROFILE)
    assert text == (
        "The profiler makes a step 1.25 times as long: 10.0 ms instead of 8.00 ms; its ranges cost 100 µs, each of "
        "2,000 operator events 950 ns. With that taken off, what the 40 traced steps hold adds up to 7.90 ms each, "
        "-1.2% from the unprofiled step."
    )
    assert "THEY DO NOT AGREE within 10%" in sentences.trust(changed(cost=SLOW))


def test_operators_that_add_up_to_twice_the_step_do_not_agree():
    twice = changed(cost=dataclasses.replace(PROFILE.cost, corrected_seconds=16e-3))
    assert not twice.cost.agrees
    assert "THEY DO NOT AGREE" in sentences.trust(twice)


def test_parts_that_are_further_off_are_named():
    phases = [dataclasses.replace(p, corrected_seconds=0.7 * p.unprofiled_seconds) for p in PROFILE.phases]
    assert sentences.trust(changed(phases=[*PROFILE.phases[:2], phases[2]])).endswith(
        " Single parts are further off: optimizer -30%."
    )
    small = [dataclasses.replace(PROFILE.phases[1], unprofiled_seconds=0.1e-3)]
    assert "further off" not in sentences.trust(changed(phases=small))  # 1% of the step


@pytest.mark.parametrize("profile", [PROFILE, COMPILED, ON_GPU, changed(python_stacks={}, memory=Memory())])
def test_the_page_and_the_markdown_say_the_same(profile):
    html, text = page.page(profile, None), show.markdown(profile, None)
    for sentence in [*sentences.summary(profile), sentences.trust(profile)]:
        assert sentence in text
        assert sentence.replace("'", "&#39;") in html
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_a_disagreement_is_a_warning_on_the_page():
    assert 'class="warning"' not in page.page(PROFILE, None)
    assert 'class="warning"' in page.page(changed(cost=SLOW), None)


def test_hot_spots_have_their_line_and_their_numbers():
    _, rows = tables.operator_rows(PROFILE.operators, 8e-3)
    assert rows[0] == ["fetch", "DataLoader: next batch", "1", "5.00 ms", "62%", "-", "-", "train.py:169 train_epoch"]
    assert rows[2] == ["forward", "aten::addmm", "2", "200 µs", "2.5%", "5,081,600", "15 KiB", "model.py:25 forward"]


def test_lines_gather_their_operators():
    _, rows = tables.line_rows(PROFILE)
    assert rows[:2] == [
        ["train.py:169 train_epoch", "1", "5.00 ms", "62%"],
        ["train.py:141 optimizer_step", "5", "1.05 ms", "13%"],
    ]


def test_a_gpus_operators_have_their_device_time():
    busy = changed(operators=[dataclasses.replace(PROFILE.operators[2], device_seconds=0.3e-3)])
    headings, (row,) = tables.operator_rows(busy.operators, 8e-3)
    assert row[headings.index("On the device")] == "300 µs"
    assert "those that do the network's arithmetic take 3.8% of the time" in sentences.summary(busy)[1]


def test_memory_that_shrinks_is_no_leak():
    shrinking = changed(memory=dataclasses.replace(PROFILE.memory, growth_bytes=-8))
    assert "100 steps leave nothing: no leak." in sentences.memory_sentences(shrinking)
    assert not any("leak" in sentence for sentence in sentences.summary(shrinking))


def test_memory_names_the_peak_and_what_is_missing():
    assert sentences.memory_sentences(PROFILE)[0] == (
        "The most memory alive within a step is 351 KiB: input 196 KiB, parameters 155 KiB. Other is what was there "
        "before, such as images as bytes; the picture leaves it out."
    )
    missing = changed(memory=Memory(missing={"holders": "memray is not installed: pip install memray"}))
    assert sentences.memory_sentences(missing) == ["No holders: memray is not installed: pip install memray."]
    assert page.timeline(missing) is None


def test_compiled_code_and_the_device_have_sections_where_there_are_any():
    assert "Graph breaks: model.py:25 forward: call to print." in show.markdown(COMPILED, None)
    assert "Compiled code" not in show.markdown(PROFILE, None)
    assert "| sgemm" in show.markdown(ON_GPU, None)
    assert "fetch: DataLoader" in page.page(ON_GPU, None)


def test_the_terminal_shows_hot_spots_and_the_difference(capsys):
    show.show(PROFILE, difference(PROFILE, ON_GPU), Console(width=100))
    out = capsys.readouterr().out
    assert "DataLoader: next batch" in out
    assert "train.py:169" in out
    assert "A is epoch[cpu-b64-fp32-loader], B is epoch[cuda-b64-fp32-loader]." in out


def test_what_is_missing_is_said_with_its_reason(capsys):
    profile = changed(python_stacks={}, missing={"python": "py-spy is not installed: pip install py-spy"})
    show.show(profile, None, Console(width=100))
    assert "no python: py-spy is not installed" in capsys.readouterr().out
    assert "Not here: py-spy is not installed" in page.page(profile, None)


def test_stacks_of_a_program_that_ran_on_are_said_to_be_so():
    assert "it ran on" in page.page(changed(python_torn=True), None)
    assert "it ran on" not in page.page(PROFILE, None)


@pytest.mark.parametrize(
    ("count", "text"),
    [(12, "12 B"), (15_360, "15 KiB"), (1_267_995, "1.21 MiB"), (3 * 2**30, "3 GiB"), (1020 * 1024, "1,020 KiB")],
)
def test_sizes(count, text):
    assert sentences.size(count) == text


def test_numbers_are_set_to_the_right_and_words_to_the_left():
    rows = [["fetch", "5.0 ms", "-"], ["loss", "<0.01%", "12"], ["(between operators)", "+1 µs", "-"]]
    assert [tables.numeric(rows, column) for column in range(3)] == [False, True, True]
    assert not tables.numeric([], 0)


def test_it_is_plain_json():
    assert json.loads(json.dumps(to_json(PROFILE), allow_nan=False))["operators"][0]["self_seconds"] == 5e-3
