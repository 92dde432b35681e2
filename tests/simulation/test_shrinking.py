"""A story that goes wrong becomes small: nothing can be left out of it without it going well."""

import pytest

from domain import sequence
from restow.simulation.shrinking import less, shrink, title, wrong_with
from restow.simulation.stories import Story, play, wishes_of


@pytest.fixture
def _careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a bug: nobody looks whether another container is operable."""
    monkeypatch.setattr(sequence, "obstacle", lambda _fleet, _container: "")


@pytest.mark.usefixtures("_careless")
def test_a_story_that_goes_wrong_becomes_small() -> None:
    whole = next(story for story in map(Story, range(200)) if wrong_with(story))

    small = shrink(whole)

    assert "without an operable container" in wrong_with(small)
    assert not any(wrong_with(one) for one in less(small))
    assert len(small.skipped) > wishes_of(whole.seed) // 2
    assert title(small).startswith(f"seed {whole.seed}, wishes ")


def test_without_a_wish_the_others_are_as_they_were() -> None:
    whole = play(Story(5))
    last = wishes_of(5) - 1

    less_one = play(Story(5, skipped=frozenset({last})))

    same = sum(a == b for a, b in zip(whole.journal, less_one.journal, strict=False))
    assert 0 < same < len(whole.journal)
    assert whole.journal[:same] == less_one.journal[:same]


def test_a_story_without_any_harm_goes_well() -> None:
    harms = frozenset({"failure", "repeat", "kill", "loss", "late", "forget"})

    assert wrong_with(Story(3, without=harms)) == ""
