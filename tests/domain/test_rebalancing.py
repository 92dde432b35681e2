"""Rebalances: done, refused, asked again; held and stopped; what became pointless is skipped."""

import pytest
from msgspec.structs import replace

from domain.container import ContainerStopped
from domain.environment import CreateEnvironment, RemoveEnvironment
from domain.host import CordonHost, RemoveHost
from domain.loss import LoseHost
from domain.messages import Code, ContainerId, PublicCommand, RebalanceId, Unchanged
from domain.migration import MigrateContainer, MigrationStopped
from domain.moves import MoveOutcome
from domain.operation import RestartLayer, ScaleNode
from domain.orders import MigrateOut
from domain.rebalance import (
    WAIT_MAX_MS,
    Evenness,
    Goal,
    PauseRebalance,
    Rebalance,
    RebalanceFinished,
    RebalanceMoveBegun,
    RebalanceMoveEnded,
    RebalanceRegion,
    RebalanceRequested,
    RebalanceState,
    RebalanceWaiting,
    ResumeRebalance,
    StopRebalance,
)
from tests.examples import (
    Scene,
    accepted,
    code,
    given,
    host,
    hosts,
    kinds,
    layer,
    one,
    refused,
    shop,
    unchanged,
)

EVEN = RebalanceRegion()
ONE_BY_ONE = RebalanceRegion(at_once=1)


def crowded(count: int = 3, **more: object) -> Scene:
    """Return a scene in which h1 carries all containers and h2, h3 are empty."""
    return given(host("h1"), shop(count, **more), host("h2"), host("h3"))


def rb(scene: Scene, number: int = 1) -> Rebalance:
    return scene.fleet.rebalances[RebalanceId(f"rb{number}")]


def outcomes(scene: Scene, number: int = 1) -> dict[str, str]:
    """Return what became of each container."""
    return {one.container: one.outcome.value for one in rb(scene, number).over}


def homes(scene: Scene) -> list[str]:
    return sorted(one.host for one in scene.fleet.containers.values())


class TestRebalanceRegion:
    def test_done(self) -> None:
        scene = crowded(3)

        commit = scene.when(EVEN)

        assert kinds(commit)[0] == "RebalanceRequested"
        assert accepted(commit).operation == "rb1"
        scene.settle()
        assert homes(scene) == ["h1", "h2", "h3"]
        assert set(outcomes(scene).values()) == {"moved"}
        assert (rb(scene).state, rb(scene).outcome) == (RebalanceState.FINISHED, "done")
        assert set(scene.world.started.values()) == {1}, "they were moved live"

    def test_it_is_known_before_how_even_it_will_be(self) -> None:
        scene = crowded(3, reserved=4)

        commit = scene.when(EVEN)

        requested = one(commit, RebalanceRequested)
        assert requested.before == Evenness(1, 3, 0, 37)
        assert requested.planned == Evenness(0, 0, 12, 12)
        assert requested.best
        (notice,) = accepted(commit).notices
        assert notice == (
            "2 moves of 8 cloudlets: uneven layers 1 -> 0, largest skew 3 -> 0,"
            " load 0..37 % -> 12..12 %; no other plan ends more even"
        )
        scene.settle()
        (finished,) = scene.happened(RebalanceFinished)
        assert (finished.moved, finished.after) == (2, requested.planned)

    def test_no_more_moves_than_allowed(self) -> None:
        scene = crowded(6)

        commit = scene.when(RebalanceRegion(moves=2))

        assert len(one(commit, RebalanceRequested).plan) == 2
        scene.settle()
        assert len(outcomes(scene)) == 2

    @pytest.mark.parametrize("at_once", [1, 2])
    def test_no_more_at_once_than_asked_for(self, at_once: int) -> None:
        commit = crowded(4).when(RebalanceRegion(at_once=at_once))

        assert kinds(commit).count("RebalanceMoveBegun") == at_once

    def test_done_between_the_hosts_that_are_named(self) -> None:
        scene = crowded(4)

        scene.ask(RebalanceRegion(hosts=("h1", "h3")))

        scene.settle()
        assert homes(scene) == ["h1", "h1", "h3", "h3"]

    def test_done_within_a_zone(self) -> None:
        scene = given(host("h1"), shop(4), host("h2", zone="b"), host("h3"))

        scene.ask(RebalanceRegion(zone="a"))

        scene.settle()
        assert homes(scene) == ["h1", "h1", "h3", "h3"]

    def test_done_with_the_containers_of_an_environment(self) -> None:
        blog = CreateEnvironment(environment="blog", layers=(layer(count=2),))
        scene = given(host("h1"), shop(2), blog, host("h2"))

        scene.ask(RebalanceRegion(environment="blog"))

        scene.settle()
        assert {scene.container(name).host for name in scene.names()} == {"h1"}
        assert homes(scene) == ["h1", "h1", "h1", "h2"]

    def test_done_offline(self) -> None:
        scene = crowded(2)

        scene.when(RebalanceRegion(live=False))

        scene.settle()
        assert [event.cold for event in scene.happened(RebalanceMoveBegun)] == [True]
        assert len(scene.happened(MigrationStopped)) == 1
        assert len(set(homes(scene))) == 2

    def test_the_load_alone_is_evened(self) -> None:
        big = CreateEnvironment(environment="big", layers=(layer(reserved=12),))
        scene = given(host("h1"), shop(1, reserved=8), big, host("h2"))

        scene.ask(RebalanceRegion(goal=Goal.LOAD))

        scene.settle()
        assert rb(scene).before == Evenness(0, 1, 0, 62)
        assert rb(scene).after == Evenness(0, 1, 25, 37)

    @pytest.mark.parametrize(
        ("ask", "expected", "path"),
        [
            (RebalanceRegion(hosts=("h1", "h9")), Code.HOST_NOT_FOUND, "$.hosts"),
            (RebalanceRegion(environment="none"), Code.ENVIRONMENT_NOT_FOUND, "$.environment"),
            (RebalanceRegion(zone="mars"), Code.REQUEST_INVALID, "$.zone"),
        ],
    )
    def test_refused(self, ask: RebalanceRegion, expected: Code, path: str) -> None:
        refusal = refused(crowded(1).when(ask))

        assert (refusal.code, refusal.path) == (expected, path)

    def test_refused_while_another_goes_on(self) -> None:
        scene = crowded(4)
        scene.ask(EVEN)

        refusal = refused(scene.when(RebalanceRegion(moves=3)))

        assert refusal.code is Code.OPERATION_BUSY
        assert refusal.facts == {"rebalance": "rb1"}

    def test_unchanged_while_it_goes_on(self) -> None:
        scene = crowded(4)
        scene.ask(EVEN)

        assert unchanged(scene.when(EVEN))

    def test_nothing_is_begun_where_it_is_even_and_it_is_said_why(self) -> None:
        scene = crowded(3)
        scene.ask(EVEN)
        scene.settle()

        commit = scene.when(EVEN)

        assert not commit.events
        assert isinstance(commit.answer, Unchanged)
        (notice,) = commit.answer.notices
        assert notice.startswith("nothing to move: no single move of what may move now makes it")

    def test_only_the_latest_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("domain.shifts.REBALANCES_MAX", 2)
        scene = crowded(6)
        for _ in range(4):
            scene.ask(RebalanceRegion(moves=1))
            scene.settle()

        assert sorted(scene.fleet.rebalances) == ["rb3", "rb4"]


class TestMoves:
    def test_one_that_fails_is_not_tried_again(self) -> None:
        scene = crowded(3).fail("node1", MigrateOut)

        scene.ask(EVEN)
        scene.settle()

        assert outcomes(scene) == {"node1": "failed", "node2": "moved"}
        assert rb(scene).outcome == "failed"
        assert rb(scene).detail == "node1: bad luck"

    def test_one_that_was_removed_is_gone(self) -> None:
        scene = given(host("h1"), shop(1), CreateEnvironment(environment="blog", layers=(layer(),)))
        for command in (host("h2"), host("h3")):
            scene.ask(command)
        scene.ask(RebalanceRegion(at_once=1, goal=Goal.SPREAD))
        scene.settle()
        assert not scene.fleet.rebalances, "layers of one container are even wherever they are"

        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        last = rb(scene).todo[0].container
        scene.ask(RemoveEnvironment(environment="shop"))
        scene.settle()

        assert outcomes(scene)[last] == "gone"

    def test_one_that_somebody_else_moved_is_skipped(self) -> None:
        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        planned = rb(scene).todo[0]

        scene.ask(MigrateContainer(container=planned.container, target=planned.target))
        scene.settle()

        (ended,) = [e for e in rb(scene).over if e.container == planned.container]
        assert ended.outcome is MoveOutcome.SKIPPED
        assert ended.detail == f"it is on {planned.target} by now, not on h1"

    def test_one_that_has_become_pointless_is_skipped(self) -> None:
        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        last = rb(scene).todo[0]
        stays = {"node1", "node2", "node3"} - {move.container for move in rb(scene).plan}

        scene.ask(MigrateContainer(container=stays.pop(), target=last.target))
        scene.settle()

        (ended,) = [e for e in rb(scene).over if e.container == last.container]
        assert ended.outcome is MoveOutcome.SKIPPED
        assert ended.detail == "it would not make anything more even any more"
        assert sorted(homes(scene)) == ["h1", "h2", "h3"]

    @pytest.mark.parametrize(
        ("command", "why"),
        [
            (CordonHost(host="h3"), "host h3 is cordoned"),
            (RemoveHost(host="h3"), "there is no host h3 any more"),
        ],
    )
    def test_one_whose_target_is_closed_is_skipped(self, command: PublicCommand, why: str) -> None:
        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        assert rb(scene).todo[0].target == "h3"

        scene.ask(command)
        scene.settle()

        assert [ended.detail for ended in rb(scene).over if ended.detail] == [why]
        assert rb(scene).outcome == "done"

    def test_one_whose_target_has_no_room_any_more_is_skipped_and_nothing_forced(self) -> None:
        scene = given(host("h1"), shop(2, reserved=4), host("h2", cloudlets=5))
        scene.ask(CreateEnvironment(environment="late", layers=(layer(reserved=2),)))
        scene.settle()

        commit = scene.when(EVEN)

        assert not commit.events or rb(scene).over == ()
        scene.settle()
        assert all(h.used <= h.cloudlets for h in scene.fleet.hosts.values())

    def test_one_that_stopped_running_is_skipped(self) -> None:
        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        last = rb(scene).todo[0].container
        scene.world.machines.crash(ContainerId(last))
        scene.pass_(300)

        scene.settle()

        assert scene.happened(ContainerStopped)
        (ended,) = [e for e in rb(scene).over if e.container == last]
        assert "does not run" in ended.detail

    def test_nothing_is_carried_away_from_a_host_that_is_lost(self) -> None:
        scene = given(host("h1"), shop(3), hosts(4)[1:])
        scene.ask(RebalanceRegion(at_once=1, live=False))
        assert rb(scene).todo

        scene.world.outages.strike("h1", None, dead=True)
        scene.ask(LoseHost(host="h1", reason="it burns"))
        scene.settle()

        assert not rb(scene).todo
        assert {ended.detail for ended in rb(scene).over} == {"host h1 is lost"}

    def test_one_that_grew_moves_with_all_it_has(self) -> None:
        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        last = rb(scene).todo[0].container
        scene.ask(ScaleNode(container=last, reserved=5))

        scene.settle()

        assert scene.container(last).allocated == 5
        assert outcomes(scene)[last] == "moved"

    def test_what_has_it_is_waited_for(self) -> None:
        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        how = RestartLayer(environment="shop", layer="app", delay_s=0, remove_from_dns=True)
        scene.ask(how)

        scene.settle()

        assert set(outcomes(scene).values()) == {"moved"}
        assert rb(scene).outcome == "done"

    def test_nothing_is_waited_for_for_ever(self) -> None:
        scene = crowded(3)
        scene.ask(ONE_BY_ONE)
        last = rb(scene).todo[0].container
        held = replace(scene.container(last), claim="op9")
        scene.fleet.put(scene.fleet.containers, held.id, held)
        scene.pass_(60_000)
        (waiting,) = scene.happened(RebalanceWaiting)
        assert waiting.why == "op9 has it"

        scene.pass_(WAIT_MAX_MS + 1_000)

        (ended,) = [e for e in rb(scene).over if e.container == last]
        assert (ended.outcome, ended.detail) == (MoveOutcome.SKIPPED, "op9 has it")
        assert rb(scene).outcome == "done"


class TestSteering:
    def test_paused_and_resumed(self) -> None:
        scene = crowded(4)
        scene.ask(ONE_BY_ONE)

        assert accepted(scene.when(PauseRebalance(rebalance="rb1"))).operation == "rb1"
        scene.settle()
        assert rb(scene).state is RebalanceState.PAUSED
        assert len(rb(scene).over) == 1
        accepted(scene.when(ResumeRebalance(rebalance="rb1")))
        scene.settle()
        assert rb(scene).outcome == "done"

    def test_stopped(self) -> None:
        scene = crowded(4)
        scene.ask(ONE_BY_ONE)

        accepted(scene.when(StopRebalance(rebalance="rb1", reason="not today")))
        scene.settle()

        assert rb(scene).outcome == "stopped"
        assert sorted(set(outcomes(scene).values())) == ["left", "moved"]

    @pytest.mark.parametrize("twice", [PauseRebalance, ResumeRebalance, StopRebalance])
    def test_asked_twice(self, twice: type[PauseRebalance]) -> None:
        scene = crowded(4)
        scene.ask(ONE_BY_ONE)
        scene.ask(twice(rebalance="rb1"))

        assert unchanged(scene.when(twice(rebalance="rb1")))

    @pytest.mark.parametrize("shape", [PauseRebalance, ResumeRebalance, StopRebalance])
    def test_refused(self, shape: type[PauseRebalance]) -> None:
        scene = crowded(2)
        scene.ask(EVEN)
        scene.settle()

        assert code(scene.when(shape(rebalance="rb9"))) is Code.REBALANCE_NOT_FOUND
        assert code(scene.when(shape(rebalance="rb1"))) is Code.REBALANCE_ENDED

    def test_what_stops_is_not_paused(self) -> None:
        scene = crowded(4)
        scene.ask(ONE_BY_ONE)
        scene.ask(StopRebalance(rebalance="rb1"))

        assert unchanged(scene.when(PauseRebalance(rebalance="rb1")))


def test_a_tenant_may_not() -> None:
    scene = given(hosts(2), shop(2))

    assert code(scene.ask(EVEN, tenant="acme")) is Code.AUTH_DENIED


def test_each_outcome_is_said_once() -> None:
    scene = crowded(6)
    scene.ask(RebalanceRegion(at_once=4))
    scene.settle()

    names = [event.container for event in scene.happened(RebalanceMoveEnded)]
    assert len(names) == len(set(names)) == len(rb(scene).plan)
