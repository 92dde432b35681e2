"""Random worlds: whatever is asked and whatever goes wrong, all comes to an end as it must.

Every seed is one world; invariants are checked after every event while it lives. `--seeds` says
how many worlds, `--seed` replays one.
"""

import pytest

from restow.simulation import engines
from restow.simulation.ending import check_end
from restow.simulation.shrinking import wrong_with
from restow.simulation.stories import Story, live
from restow.simulation.wishes import FIRST

BANK = (
    23,  # a cancelled operation left containers behind that it never started
    48,  # with its downtime accepted, a removed container kept its record in DNS
    124,  # the same, after the engine was killed between the step and its order
    145,  # the same, with another container of the layer under a claim
)
"""Seeds of the first wishes that once found a bug, and what it was."""
OF_ALL_WISHES = (
    603610,  # the record of who was removed by a late answer could not be taken away: it stayed
    601516,  # a trigger fired by what was seen before its layer was scaled, in a circle for ever
    520394,  # placed while its environment stood still, started by a deployment: nothing is wrong
    424564,  # with accepted downtime one was removed while the other moved: no excuse
    424019,  # one fell ill while out of DNS for new limits, was put back and counted well
    345625,  # what stood still by an order of long ago was put into DNS: its removal was unsure
    332307,  # a host that had been removed took an order of before, for no lease held it back
    320516,  # one was seen to run before its start was answered: nobody knew from what it runs
    318665,  # a rebalance carried a container away, offline, from a host that was lost
    310246,  # other limits took the place of a growth whose own move waited: nobody looked again
    206569,  # a removal came true late, of what was back in DNS: its record stayed
    114096,  # one that serves though its step failed was said to have been left down
    112735,  # a step of accepted downtime failed and left its container out of DNS: no excuse
    109913,  # a plan was made, and the same one a moment later was another; a step of it took < 0
)


def test_everything_comes_to_its_end(seed: int) -> None:
    world = live(seed)

    check_end(world)


@pytest.mark.parametrize("known", BANK)
def test_what_was_a_bug_once_is_none_again(known: int) -> None:
    world = live(known, FIRST)

    check_end(world)


@pytest.mark.parametrize("known", OF_ALL_WISHES)
def test_what_was_a_bug_of_all_wishes_is_none_again(known: int) -> None:
    world = live(known)

    check_end(world)


@pytest.mark.parametrize("seed_of_both", [3, 17])
def test_the_same_seed_lives_the_same_life(seed_of_both: int) -> None:
    assert live(seed_of_both).journal == live(seed_of_both).journal


def test_a_world_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "FRAMES_MAX", 20)
    assert "20 frames and no end" in wrong_with(Story(0))
