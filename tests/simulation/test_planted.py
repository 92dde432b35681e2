"""Every bug that is planted is noticed by some world, long before ten minutes of processor time."""

import pytest

from restow.simulation.shrinking import wrong_with
from restow.simulation.stories import Story
from tests.simulation.planted import hunt, known, planted
from tests.simulation.planting import PLANTED

CPU_MAX_S = 600


def test_there_are_enough_of_them() -> None:
    assert len(PLANTED) >= 30
    assert all(bug.__doc__ for bug in PLANTED.values())


def test_the_page_tells_of_each_in_which_world_it_showed() -> None:
    assert list(known()) == list(PLANTED)


@pytest.mark.timeout(CPU_MAX_S)
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_noticed(bug: str) -> None:
    """Begin with the world that is known; it may be another one since worlds changed."""
    caught = hunt(bug, worlds=1, first=known()[bug]) or hunt(bug)

    assert caught is not None, f"{bug} hides in all worlds"
    assert caught.cpu_s < CPU_MAX_S
    assert not wrong_with(Story(caught.seed)), "without it that world is as it must be"


def test_a_bug_is_gone_when_it_was_seen() -> None:
    with planted("steps_do_not_look_for_another"):
        pass

    assert not wrong_with(Story(3))
