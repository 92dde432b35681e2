"""Races: many move, are placed and are emptied away at once, and no two of a hard group ever meet.

A tight fleet, layers that keep their containers apart, and a crowd that asks without waiting for an
answer. The invariants (`hard_groups_hold`: a container that moves counts on both hosts) are checked
after every event; here also where the containers really are, which the engine only hears of.
`--seeds 10000` runs ten thousand of them.
"""

from collections import Counter
from random import Random

from domain.environment import CreateEnvironment, LayerSpec
from domain.evacuation import EvacuateHost, RestoreHost, StopEvacuation
from domain.host import UncordonHost
from domain.messages import Command, ContainerId, HostId
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer
from domain.placement import wish_for
from restow.simulation.ending import nothing_is_stuck
from restow.simulation.machines import Nature
from restow.simulation.world import World

HARD = ("web", "sql", "cache")
"""Layers that keep apart: `web` and `sql` by themselves, `sql` and `cache` from each other."""


def crowd(seed: int) -> tuple[World, Random]:
    """Return a fleet with barely more hosts than containers that must be apart."""
    dice = Random(f"race {seed}")
    nature = Nature(
        failure=dice.choice([0, 0.2, 0.5]),
        repeat=dice.choice([0, 0.3]),
        loss=dice.choice([0, 0.2]),
        kill=dice.choice([0, 0.02]),
    )
    world = World(seed, nature)
    size = dice.randint(4, 7)
    world.hosts(size, cloudlets=dice.choice([4, 8]))
    layers = (
        LayerSpec(name="web", count=dice.randint(1, size - 2), anti_affinity="hard"),
        LayerSpec(name="sql", count=dice.randint(1, 2), anti_affinity="hard", groups=("data",)),
        LayerSpec(name="cache", count=1, groups=("data",)),
        LayerSpec(name="any", count=dice.randint(1, 3)),
    )
    world.ask(CreateEnvironment(environment="shop", groups={"data": "hard"}, layers=layers))
    world.settle()
    return world, dice


def wish(world: World, dice: Random) -> Command:
    """Return what somebody in the crowd wants."""
    host = dice.choice(sorted(world.fleet.hosts))
    draw = dice.random()
    if draw < 0.5:
        return MigrateContainer(
            container=dice.choice(sorted(world.fleet.containers) or ["node1"]),
            target=dice.choice([None, host]),
            queue=dice.random() < 0.8,
            deadline_s=dice.choice([1, 3, 30]),
            force=dice.random() < 0.1,
            reason="a race",
        )
    if draw < 0.7:
        by = dice.choice([-1, 1, 2])
        return ScaleLayer(environment="shop", layer=dice.choice((*HARD, "any")), by=by)
    if draw < 0.85:
        return EvacuateHost(host=host, live=dice.random() < 0.7)
    return dice.choice(
        [
            UncordonHost(host=host),
            UncordonHost(host=host),
            RestoreHost(host=host),
            StopEvacuation(evacuation="ev1"),
            RestartLayer(environment="shop", layer=dice.choice(HARD), surge=True, delay_s=0),
        ]
    )


def meetings(world: World) -> list[str]:
    """Return who is in truth, or may come to be, on one host with another of its hard group."""
    fleet = world.fleet
    found: Counter[tuple[object, HostId]] = Counter()
    for name, where in world.truth.items():
        one = fleet.containers.get(ContainerId(name))
        if one is None:
            continue
        places = {where, one.host, one.target or one.host}
        groups = wish_for(fleet, fleet.layers[one.environment, one.layer]).hard
        found.update((group, place) for group in groups for place in places)
    return [f"{count} of {group} on {host}" for (group, host), count in found.items() if count > 1]


def test_no_two_of_a_hard_group_ever_meet(seed: int) -> None:
    world, dice = crowd(seed)

    for _ in range(dice.randint(10, 30)):
        world.ask(wish(world, dice))
        world.pass_(dice.choice([0, 0, 0, 5, 100, 1_000]))
        assert not meetings(world), world.story(*meetings(world))
    for name in sorted(world.fleet.hosts):
        world.ask(UncordonHost(host=name))
    world.settle()

    assert not meetings(world), world.story(*meetings(world))
    world.check_end()
    nothing_is_stuck(world)


def test_the_races_are_races() -> None:
    """Several are under way at once, some fail, some hosts are emptied: else nothing was tried."""
    most, moved, reverted, emptied = 0, 0, 0, 0
    for seed in range(30):
        world, dice = crowd(seed)
        for _ in range(25):
            world.ask(wish(world, dice))
            world.pass_(dice.choice([0, 5, 1_000]))
            most = max(most, len(world.fleet.moving))
        world.settle()
        states = Counter(one.state.value for one in world.fleet.migrations.values())
        moved += states["completed"]
        reverted += states["reverted"]
        emptied += world.fleet.counters.get("evacuation", 0)

    assert most >= 4
    assert min(moved, reverted, emptied) > 30
