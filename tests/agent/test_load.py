"""A simulated container uses what its variable LOAD says."""

import pytest

from handlers.agent.load import Load, load_of
from handlers.agent.runtime import RuntimeFailedError


def test_a_number_is_a_steady_load() -> None:
    load = load_of({"LOAD": "2.5"})
    assert load is not None
    assert [load.at(age) for age in (0, 7, 99_999)] == [2.5, 2.5, 2.5]


def test_a_wave_rises_and_falls_once_in_its_period() -> None:
    load = load_of({"LOAD": "1..6/20s"})
    assert load == Load(1, 6, 20_000)
    assert [load.at(age) for age in (0, 5_000, 10_000, 15_000, 20_000)] == [1, 3.5, 6, 3.5, 1]


def test_by_the_clock_all_rise_together_whatever_their_age() -> None:
    load = load_of({"LOAD": "1..6/20s@5s"})
    assert load == Load(1, 6, 20_000, 5_000)
    assert [load.at(age, 0) for age in (0, 7_000)] == [3.5, 3.5]
    assert [load.at(0, clock) for clock in (5_000, 15_000)] == [6, 1]


def test_without_the_variable_there_is_none() -> None:
    assert load_of({"OTHER": "1"}) is None


@pytest.mark.parametrize(
    "text", ["", "much", "-1", "1..6", "1..6/0s", "1..6/20", "1..6/9s@", "3@1s", "1\n", "1e9"]
)
def test_anything_else_fails_and_says_what_it_must_be(text: str) -> None:
    with pytest.raises(RuntimeFailedError, match=r"must be cloudlets, like 3 or 1\.\.6/20s"):
        load_of({"LOAD": text})
