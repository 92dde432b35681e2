"""Rebalances through crashes, lost messages and failing moves: all come to their end."""

import pytest

from domain.environment import CreateEnvironment, LayerSpec
from domain.host import CordonHost, UncordonHost
from domain.messages import ContainerId
from domain.migration import MigrateContainer
from domain.operation import RestartLayer, ScaleLayer
from domain.orders import MigrateOut
from domain.rebalance import (
    PauseRebalance,
    RebalanceMoveBegun,
    RebalanceRegion,
    RebalanceWaiting,
    ResumeRebalance,
    StopRebalance,
)
from restow.simulation.ending import check_end, nothing_is_stuck
from restow.simulation.machines import Nature
from restow.simulation.stories import live
from restow.simulation.wishes import EVENING, WISHES
from restow.simulation.world import World
from tests.examples import host
from tests.simulation.crashing import (
    CALM,
    ECHO,
    Story,
    killed_amid_echoes,
    killed_anywhere,
    lost_anywhere,
)


def crowded(world: World, count: int = 6) -> None:
    """Put a shop on one host, and add empty ones."""
    world.ask(host("h01"), "h01")
    app = LayerSpec(name="app", count=count, reserved=2)
    world.ask(CreateEnvironment(environment="shop", layers=(app,)), "create")
    world.settle()
    for name in ("h02", "h03", "h04"):
        world.ask(host(name, zone="b" if name == "h04" else "a"), name)


def even_out(world: World) -> None:
    crowded(world)
    world.ask(RebalanceRegion(at_once=4), "even")
    world.settle()


def even_out_offline(world: World) -> None:
    crowded(world, count=4)
    world.ask(RebalanceRegion(live=False), "even")
    world.settle()


def one_move_fails(world: World) -> None:
    crowded(world)
    world.machines.faults.append((ContainerId("node2"), MigrateOut))
    world.ask(RebalanceRegion(), "even")
    world.settle()


def overtaken(world: World) -> None:
    """Others move one and remove another while it goes on, and close a host."""
    crowded(world)
    world.ask(RebalanceRegion(at_once=1), "even")
    world.ask(MigrateContainer(container="node3", target="h04"), "move")
    world.pass_(100)
    world.ask(ScaleLayer(environment="shop", layer="app", count=5), "fewer")
    world.ask(CordonHost(host="h02"), "cordon")
    world.settle()
    world.ask(UncordonHost(host="h02"), "uncordon")
    world.ask(RebalanceRegion(), "again")
    world.settle()


def behind_a_restart(world: World) -> None:
    crowded(world)
    world.ask(RebalanceRegion(at_once=1), "even")
    world.ask(RestartLayer(environment="shop", layer="app", delay_s=0), "restart")
    world.settle()


def behind_a_migration(world: World) -> None:
    crowded(world)
    world.ask(RebalanceRegion(moves=2, at_once=1), "even")
    world.pass_(4_000)
    world.ask(MigrateContainer(container="node2", target="h03"), "move")
    world.settle()


def held_and_stopped(world: World) -> None:
    crowded(world)
    world.ask(RebalanceRegion(at_once=1), "even")
    world.pass_(10)
    world.ask(PauseRebalance(rebalance="rb1"), "pause")
    world.settle()
    world.ask(ResumeRebalance(rebalance="rb1"), "resume")
    world.pass_(10)
    world.ask(StopRebalance(rebalance="rb1"), "stop")
    world.settle()


def a_host_is_lost(world: World) -> None:
    crowded(world)
    world.ask(RebalanceRegion(at_once=1), "even")
    world.outages.strike("h03", None, dead=True)
    world.settle()


STORIES: tuple[Story, ...] = (
    even_out,
    even_out_offline,
    one_move_fails,
    overtaken,
    behind_a_restart,
    behind_a_migration,
    held_and_stopped,
    a_host_is_lost,
)
each = pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])


def told(story: Story, nature: Nature = CALM) -> World:
    world = World(1, nature)
    story(world)
    world.check_end()
    nothing_is_stuck(world)
    return world


def outcomes(world: World) -> object:
    """Return what became of every container of every rebalance, whatever came first."""
    return {
        one.id: (one.outcome, sorted((ended.container, ended.outcome) for ended in one.over))
        for one in world.fleet.rebalances.values()
    }


class TestTheStories:
    """They must be what they say, or the crashes below prove nothing."""

    def test_evened(self) -> None:
        world = told(even_out)

        counts = [h.containers for h in world.fleet.hosts.values()]
        assert sorted(counts) == [1, 1, 2, 2]
        assert set(world.started.values()) == {1}, "all were moved live"

    def test_one_failed_and_the_others_moved(self) -> None:
        (one,) = told(one_move_fails).fleet.rebalances.values()

        assert one.outcome == "failed"
        assert sorted(ended.outcome for ended in one.over) == ["failed", "moved", "moved", "moved"]

    def test_what_was_overtaken_was_skipped(self) -> None:
        one, again = told(overtaken).fleet.rebalances.values()

        assert "skipped" in {ended.outcome for ended in one.over}
        assert again.after.uneven == 0

    def test_all_moved_though_they_were_restarted_meanwhile(self) -> None:
        (one,) = told(behind_a_restart).fleet.rebalances.values()

        assert one.outcome == "done"
        assert {ended.outcome for ended in one.over} == {"moved"}

    def test_it_waited_for_a_migration(self) -> None:
        world = told(behind_a_migration)

        (one,) = world.fleet.rebalances.values()
        assert [ended.outcome for ended in one.over] == ["moved", "skipped"]
        assert any(isinstance(fact, RebalanceWaiting) for _, fact in world.happened())

    def test_it_was_stopped(self) -> None:
        (one,) = told(held_and_stopped).fleet.rebalances.values()

        assert one.outcome == "stopped"
        assert {ended.outcome for ended in one.over} == {"moved", "left"}

    def test_nothing_went_to_the_lost_host(self) -> None:
        world = told(a_host_is_lost)

        (one,) = world.fleet.rebalances.values()
        assert {ended.outcome for ended in one.over if ended.target == "h03"} <= {"moved"}
        assert "h03" not in world.truth.values()


@each
class TestCrashes:
    def test_killed_after_any_frame_it_ends_the_same(self, story: Story) -> None:
        whole = told(story)

        for world, crash in killed_anywhere(story, whole):
            assert world.journal == whole.journal, world.story(crash)

    def test_killed_before_any_frame_is_stored_it_ends_the_same(self, story: Story) -> None:
        whole = told(story)

        for world, crash in lost_anywhere(story, whole):
            assert world.journal == whole.journal, world.story(crash)

    def test_killed_amid_repeated_and_lost_messages_it_comes_to_its_end(self, story: Story) -> None:
        whole = told(story, ECHO)

        for world, crash in killed_amid_echoes(story, whole):
            world.check_end()
            nothing_is_stuck(world)
            if story not in {
                overtaken,
                behind_a_migration,
                a_host_is_lost,
            }:  # what others do comes sooner or later
                assert outcomes(world) == outcomes(whole), world.story(crash)


def test_random_worlds_full_of_rebalances_come_to_their_end(seed: int) -> None:
    world = live(seed, (*EVENING * 3, *WISHES))

    check_end(world)
    for one in world.fleet.rebalances.values():
        assert one.finished_at, world.story(str(one))
        begun = [
            fact.container
            for _, fact in world.happened()
            if isinstance(fact, RebalanceMoveBegun) and fact.rebalance == one.id
        ]
        assert len(begun) == len(set(begun)) <= one.budget, world.story(str(one))
