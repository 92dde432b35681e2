"""Evacuations through crashes, lost messages and failing moves: all come to their end."""

from random import Random

import pytest

from domain.environment import CreateEnvironment, LayerSpec
from domain.evacuation import (
    EvacuateHost,
    PauseEvacuation,
    RestoreHost,
    ResumeEvacuation,
    StopEvacuation,
)
from domain.host import HostState, UncordonHost
from domain.messages import Command, ContainerId, HostId
from domain.migration import ARRIVING_MAX, LEAVING_MAX, MOVING_MAX, MigrationState
from domain.operation import RestartLayer
from domain.orders import MigrateOut
from restow.simulation.ending import nothing_is_stuck
from restow.simulation.machines import Nature
from restow.simulation.stories import live
from restow.simulation.wishes import EMPTYING, WISHES, Wish
from restow.simulation.world import World
from tests.simulation.crashing import (
    CALM,
    ECHO,
    Story,
    killed_amid_echoes,
    killed_anywhere,
    lost_anywhere,
)
from tests.simulation.test_crashes import shop

HOSTS = [HostId(f"h{n:02}") for n in range(1, 9)]


def empty_a_host(world: World) -> None:
    shop(world, count=9)
    world.ask(EvacuateHost(host="h01"), "evacuate")
    world.settle()


def empty_two_hosts_at_once(world: World) -> None:
    shop(world, count=9)
    world.ask(EvacuateHost(host="h01"), "first")
    world.ask(EvacuateHost(host="h02", targets=("h03", "h04")), "second")
    world.settle()


def empty_a_host_offline(world: World) -> None:
    shop(world, count=8)
    world.ask(EvacuateHost(host="h01", live=False), "evacuate")
    world.settle()


def empty_while_it_restarts(world: World) -> None:
    shop(world, count=6)
    world.ask(RestartLayer(environment="shop", layer="app", delay_s=0), "restart")
    world.ask(EvacuateHost(host="h01"), "evacuate")
    world.settle()


def there_and_back(world: World) -> None:
    shop(world, count=8)
    world.ask(EvacuateHost(host="h01"), "evacuate")
    world.settle()
    world.ask(UncordonHost(host="h01"), "open")
    world.ask(RestoreHost(host="h01"), "back")
    world.settle()


def nowhere_to_go(world: World) -> None:
    world.hosts(2, cloudlets=8)
    wide = LayerSpec(name="app", count=2, reserved=6)
    world.ask(CreateEnvironment(environment="shop", layers=(wide,)), "create")
    world.settle()
    world.ask(EvacuateHost(host="h01"), "evacuate")
    world.settle()


def stopped_and_asked_again(world: World) -> None:
    shop(world, count=12)
    world.ask(EvacuateHost(host="h01", at_once=1), "evacuate")
    world.pass_(10)
    world.ask(PauseEvacuation(evacuation="ev1"), "pause")
    world.settle()
    world.ask(ResumeEvacuation(evacuation="ev1"), "resume")
    world.ask(StopEvacuation(evacuation="ev1"), "stop")
    world.settle()


STORIES: tuple[Story, ...] = (
    empty_a_host,
    empty_two_hosts_at_once,
    empty_a_host_offline,
    empty_while_it_restarts,
    there_and_back,
    nowhere_to_go,
    stopped_and_asked_again,
)
each = pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])


def told(story: Story, nature: Nature = CALM) -> World:
    world = World(1, nature)
    story(world)
    world.check_end()
    nothing_is_stuck(world)
    return world


def the_end(world: World) -> object:
    """Return what became of every container; when others moved, and so where to, may differ."""
    world.check_end()
    nothing_is_stuck(world)
    return {
        one.id: (one.outcome, sorted((ended.container, ended.outcome) for ended in one.over))
        for one in world.fleet.evacuations.values()
    }


@each
def test_killed_after_any_frame_it_ends_the_same(story: Story) -> None:
    whole = told(story)

    for world, crash in killed_anywhere(story, whole):
        assert world.journal == whole.journal, world.story(crash)


@each
def test_killed_before_any_frame_is_stored_it_ends_the_same(story: Story) -> None:
    whole = told(story)

    for world, crash in lost_anywhere(story, whole):
        assert world.journal == whole.journal, world.story(crash)


@each
def test_killed_amid_repeated_and_lost_messages_it_ends_the_same(story: Story) -> None:
    whole = told(story, ECHO)

    for world, crash in killed_amid_echoes(story, whole):
        assert the_end(world) == the_end(whole), world.story(crash)


def caps_hold(world: World) -> None:
    fleet = world.fleet
    assert len(fleet.moving) <= MOVING_MAX
    assert all(host.leaving <= LEAVING_MAX for host in fleet.hosts.values())
    assert all(host.arriving <= ARRIVING_MAX for host in fleet.hosts.values())


def capped(wish: Wish) -> Wish:
    """Look whether the caps hold whenever somebody wishes something."""

    def looked(world: World, dice: Random) -> Command:
        caps_hold(world)
        return wish(world, dice)

    return looked


MOSTLY = tuple(capped(wish) for wish in (*EMPTYING * 3, *WISHES))


def test_random_worlds_full_of_evacuations_come_to_their_end(seed: int) -> None:
    world = live(seed, MOSTLY)

    world.check_end()
    nothing_is_stuck(world)
    for one in world.fleet.evacuations.values():
        assert one.finished_at, world.story(str(one))
        names = [ended.container for ended in one.over]
        assert len(names) == len(set(names)), world.story(str(one))
    assert not [h for h in world.fleet.hosts.values() if h.state is HostState.EVACUATING]


def test_a_move_that_always_fails_is_tried_three_times_and_elsewhere() -> None:
    world = World(1, Nature(failure=0))
    shop(world, count=6)
    world.machines.faults = [(ContainerId("node1"), MigrateOut)] * 5
    world.ask(EvacuateHost(host="h01"))
    world.settle()

    moves = [one for one in world.fleet.migrations.values() if one.container == "node1"]
    assert [one.state for one in moves] == [MigrationState.REVERTED] * 3
    assert len({one.target for one in moves}) == 3
