"""What feasibility says before anything moves is what the saga then achieves.

In a calm world: nothing fails, nobody asks for anything else. `--seeds` says how many worlds.
"""

from collections import Counter
from functools import cache
from random import Random

import pytest

from domain.environment import CreateEnvironment, LayerSpec
from domain.evacuation import EvacuateHost, Evacuation
from domain.feasibility import Verdict, can_leave
from domain.host import CordonHost, HostState
from domain.messages import EvacuationId, HostId
from domain.moves import MoveOutcome
from restow.simulation.ending import nothing_is_stuck
from restow.simulation.world import World
from tests.examples import host

HOME = HostId("h01")
OTHERS = ("h02", "h03", "h04", "h05")


def crowded(seed: int) -> tuple[World, Random]:
    """Return a world in which much is on one host, and others have little room for it."""
    dice = Random(f"feasible {seed}")
    world = World(seed)
    world.ask(host("h01", cloudlets=dice.choice([16, 24])))
    alone = [layer(dice, n) for n in range(dice.randint(1, 5))]
    world.ask(CreateEnvironment(environment="shop", layers=tuple(alone)))
    world.settle()
    for name in OTHERS[: dice.randint(1, len(OTHERS))]:
        cloudlets, disk = dice.randint(2, 12), dice.choice([8, 20])
        world.ask(host(name, cloudlets=cloudlets, disk_gib=disk))
    spread = tuple(layer(dice, n) for n in range(dice.randint(0, 2)))
    if spread:
        world.ask(CreateEnvironment(environment="blog", layers=spread))
    if dice.random() < 0.2:
        world.ask(CordonHost(host="h02"))
    world.settle()
    return world, dice


def layer(dice: Random, number: int) -> LayerSpec:
    hard = dice.random() < 0.4
    return LayerSpec(
        name=f"l{number}",
        count=1 if hard else dice.randint(1, 3),
        reserved=dice.randint(1, 6),
        disk_gib=dice.randint(1, 6),
        anti_affinity="hard" if hard else "soft",
        groups=("db",) if dice.random() < 0.3 else (),
    )


@cache
def emptied(seed: int) -> tuple[Verdict, Evacuation, World]:
    """Ask whether it can be emptied, then empty it."""
    world, dice = crowded(seed)
    known = [str(name) for name in world.fleet.hosts if name != HOME]
    targets = tuple(dice.sample(known, dice.randint(1, len(known)))) if dice.random() < 0.3 else ()
    verdict = can_leave(world.fleet, HOME, [HostId(name) for name in targets])
    live = dice.random() < 0.7
    world.ask(EvacuateHost(host=HOME, targets=targets, live=live))
    world.settle()
    world.check_end()
    nothing_is_stuck(world)
    return verdict, world.fleet.evacuations[EvacuationId("ev1")], world


def test_what_is_said_is_what_is_achieved(seed: int) -> None:
    verdict, evacuation, world = emptied(seed)
    moved = [one for one in evacuation.over if one.outcome is MoveOutcome.MOVED]

    assert (verdict.answer == "feasible") == (evacuation.outcome == "done"), world.story(
        str(verdict)
    )
    assert verdict.answer != "unknown", "these worlds are small enough"
    assert len(moved) >= len(verdict.places), world.story(str(verdict))
    assert len(moved) + len(evacuation.left) == len(verdict.places) + len(verdict.left)
    if verdict.answer == "feasible":
        assert {(one.container, one.target) for one in moved} == set(verdict.places)
        assert not world.fleet.hosts[HOME].containers
    else:
        assert evacuation.left
        assert verdict.missing_cloudlets + verdict.missing_disk_gib > 0 or verdict.why
        assert world.fleet.hosts[HOME].state is HostState.EVACUATION_FAILED


def test_both_answers_occur() -> None:
    answers = Counter(emptied(seed)[0].answer for seed in range(60))

    assert min(answers["feasible"], answers["infeasible"]) > 10


@pytest.mark.parametrize("nth", range(20))
def test_what_is_missing_is_never_more_than_what_stayed_holds(nth: int) -> None:
    verdict, evacuation, world = emptied(nth)
    left = [world.fleet.containers[one.container] for one in evacuation.left]

    assert verdict.missing_cloudlets <= sum(one.allocated for one in left)
