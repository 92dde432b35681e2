"""A growth that does not fit: others make room, the container moves itself, or it is refused."""

import pytest

from domain.container import GrowthRefused
from domain.decider import Ask
from domain.environment import CreateEnvironment, RemoveEnvironment
from domain.growth import (
    GROWTH_MAX_MS,
    PLANS_MAX,
    CancelGrowth,
    Growth,
    GrowthMoveBegun,
    GrowthPlanned,
    GrowthSettled,
    GrowthState,
)
from domain.host import CordonHost
from domain.loss import LoseHost
from domain.messages import (
    AskId,
    Code,
    ContainerId,
    GrowthId,
    HostId,
    PublicCommand,
    Tenant,
)
from domain.migration import (
    MigrateContainer,
    MigrationAbandoned,
    MigrationGranted,
    MigrationState,
)
from domain.moves import LiveMove
from domain.operation import CancelOperation, RestartLayer, ScaleNode, SetCloudletLimits
from domain.orders import MigrateOut, ReportHealth
from domain.vertical import FollowUsage
from tests.examples import (
    Scene,
    accepted,
    code,
    facts,
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

NODE1, NODE2, NODE3 = (ContainerId(f"node{n}") for n in (1, 2, 3))
H1, H2 = HostId("h1"), HostId("h2")
GROW = ScaleNode(container="node1", reserved=6)


def beside(name: str, reserved: int, more: int = 1) -> CreateEnvironment:
    return CreateEnvironment(environment=name, layers=(layer(reserved=reserved, count=more),))


def crowded(mine: int = 4, other: int = 3, elsewhere: int = 8) -> Scene:
    """Return a host of 8 cloudlets with node1 and node2 on it, and another one."""
    scene = given(host("h1", cloudlets=8), shop(1, reserved=mine), beside("blog", other))
    scene.ask(host("h2", cloudlets=elsewhere))
    return scene.settle()


def growth(scene: Scene, number: int = 1) -> Growth:
    return scene.fleet.growths[GrowthId(f"gr{number}")]


def where(scene: Scene) -> dict[str, str]:
    return {str(one.id): str(one.host) for one in scene.fleet.containers.values()}


class TestMakingRoom:
    def test_others_are_moved_away_where_that_is_cheaper(self) -> None:
        scene = crowded(mine=4, other=3)

        commit = scene.when(GROW)

        assert accepted(commit).operation == "gr1"
        assert kinds(commit)[:2] == ["GrowthRequested", "GrowthPlanned"]
        moves = (LiveMove(NODE2, H1, H2, 3, 1),)
        assert one(commit, GrowthPlanned) == GrowthPlanned(
            GrowthId("gr1"), "room", H1, moves, 3, (4, 1)
        )
        assert one(commit, GrowthMoveBegun).container == NODE2

    def test_then_it_grows_where_it_is(self) -> None:
        scene = crowded()

        scene.ask(GROW)
        scene.settle()

        assert growth(scene).state is GrowthState.DONE
        assert where(scene) == {"node1": "h1", "node2": "h2"}
        assert scene.container("node1").applied == 6
        assert scene.world.started == {NODE1: 1, NODE2: 1}

    def test_it_moves_itself_where_that_is_cheaper(self) -> None:
        scene = crowded(mine=2, other=6)

        commit = scene.when(GROW)

        planned = one(commit, GrowthPlanned)
        assert (planned.way, planned.cloudlets, planned.other) == ("move", 2, (6, 1))
        scene.settle()
        assert where(scene) == {"node1": "h2", "node2": "h1"}
        assert scene.container("node1").applied == 6

    def test_the_only_way_is_taken_where_there_is_no_other(self) -> None:
        scene = crowded(mine=2, other=6, elsewhere=6)
        scene.ask(beside("full", 1))
        scene.settle()
        assert where(scene)["node3"] == "h2"

        refusal = refused(scene.when(GROW))

        assert refusal.facts == {"free": 0, "needed": 4, "missing": 4, "proven": True}

    def test_what_fits_needs_no_growth(self) -> None:
        scene = crowded()

        assert kinds(scene.when(ScaleNode(container="node1", reserved=5)))[0] == "ContainerScaled"

    def test_several_are_moved_one_after_the_other(self) -> None:
        scene = given(host("h1", cloudlets=12), shop(1, reserved=8), beside("blog", 2, more=2))
        for name in ("h2", "h3"):
            scene.ask(host(name, cloudlets=2))
        scene.settle()

        scene.ask(ScaleNode(container="node1", reserved=12))
        scene.settle()

        assert growth(scene).state is GrowthState.DONE
        assert len(growth(scene).migrations) == 2
        assert scene.container("node1").applied == 12

    def test_never_zero_holds_while_room_is_made(self) -> None:
        scene = crowded()

        scene.ask(GROW)
        scene.ask(RestartLayer(environment="blog", layer="app", accept_downtime=True))
        scene.settle()

        assert growth(scene).state is GrowthState.DONE

    def test_hard_groups_hold(self) -> None:
        scene = given(
            hosts(2, cloudlets=8), shop(2, reserved=5, anti_affinity="hard"), beside("blog", 3)
        )
        assert where(scene)["node3"] == "h1"

        refusal = refused(scene.when(ScaleNode(container="node2", reserved=9)))

        assert refusal.code is Code.CAPACITY_INSUFFICIENT
        scene.ask(ScaleNode(container="node1", reserved=7))
        scene.settle()
        assert where(scene) == {"node1": "h1", "node2": "h2", "node3": "h2"}


class TestAsking:
    def test_refused_without_making_room(self) -> None:
        no = ScaleNode(container="node1", reserved=6, make_room=False)

        refusal = refused(crowded().when(no))

        assert refusal.facts == {"free": 1, "needed": 2}
        assert "make_room=true" in refusal.detail

    def test_refused_with_what_is_missing(self) -> None:
        scene = crowded(elsewhere=2)

        refusal = refused(scene.when(GROW))

        assert refusal.code is Code.CAPACITY_INSUFFICIENT
        assert refusal.facts == {"free": 1, "needed": 2, "missing": 1, "proven": True}
        assert not scene.fleet.growths

    def test_asked_again_while_room_is_made(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        assert unchanged(scene.when(GROW))

    def test_other_limits_take_its_place(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        commit = scene.when(ScaleNode(container="node1", reserved=5))

        assert one(commit, GrowthSettled).outcome is GrowthState.ABANDONED
        scene.settle()
        assert scene.container("node1").applied == 5

    def test_the_limits_that_it_has_take_its_place(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        commit = scene.when(ScaleNode(container="node1", reserved=4, limit=4))

        assert kinds(commit) == ["GrowthSettled"]
        scene.settle()
        assert scene.container("node1").applied == 4

    def test_larger_limits_take_its_place(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        commit = scene.when(ScaleNode(container="node1", reserved=7, limit=8))
        scene.settle()

        assert accepted(commit).operation == "gr2"
        assert [growth(scene, n).state.value for n in (1, 2)] == ["abandoned", "done"]
        assert scene.container("node1").allocated == 7

    def test_it_is_planned_anew_at_once_though_its_own_move_still_waits(self) -> None:
        scene = given(host("h1", cloudlets=8), shop(2, reserved=2), beside("blog", 4))
        scene.ask(host("h2", cloudlets=8))
        ill = ReportHealth(ask=AskId("ill"), host=H1, container=NODE2, healthy=False)
        scene.world.put(Ask(ill.ask, ill))
        scene.ask(GROW)
        first = growth(scene).migration
        assert first is not None
        assert scene.fleet.migrations[first].state is MigrationState.WAITING

        commit = scene.when(ScaleNode(container="node1", reserved=4))

        assert one(commit, MigrationAbandoned).migration == first
        assert one(commit, GrowthPlanned).growth == "gr2"
        well = ReportHealth(ask=AskId("well"), host=H1, container=NODE2, healthy=True)
        scene.world.put(Ask(well.ask, well))
        scene.settle()
        assert growth(scene, 2).state is GrowthState.DONE

    def test_force_waits_for_nobody(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        scene.ask(ScaleNode(container="node1", reserved=6, force=True, reason="now"))

        assert growth(scene).state is GrowthState.ABANDONED
        assert scene.container("node1").allocated == 6


class TestCancelGrowth:
    def test_cancelled(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        commit = scene.when(CancelGrowth(growth="gr1"))

        assert facts(commit) == [
            GrowthSettled(GrowthId("gr1"), NODE1, GrowthState.ABANDONED, "cancelled")
        ]
        scene.settle()
        assert scene.container("node1").allocated == 4

    def test_a_move_that_waits_is_not_begun_any_more(self) -> None:
        scene = crowded()
        scene.ask(RestartLayer(environment="blog", layer="app", accept_downtime=True))
        scene.ask(ScaleNode(container="node1", reserved=6, make_room=True))

        assert refusal_or_waits(scene)

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            (CancelGrowth(growth="gr9"), Code.GROWTH_NOT_FOUND),
            (CancelGrowth(growth="gr1"), Code.GROWTH_ENDED),
        ],
    )
    def test_refused(self, command: PublicCommand, expected: Code) -> None:
        scene = crowded()
        scene.ask(GROW)
        scene.settle()

        assert code(scene.when(command)) is expected

    def test_another_tenants_growth_is_not_there(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        commit = scene.ask(CancelGrowth(growth="gr1"), tenant=Tenant("acme"))

        assert code(commit) is Code.GROWTH_NOT_FOUND
        assert "restow growth list" in refused(commit).detail


def refusal_or_waits(scene: Scene) -> bool:
    """What a step has cannot be moved away now; the container itself goes."""
    planned = growth(scene)
    assert planned.way == "move"
    scene.settle()
    return planned.finished_at == 0 and growth(scene).state is GrowthState.DONE


class TestWhenPlansFail:
    def test_a_move_that_was_reverted_leads_to_another_plan(self) -> None:
        scene = crowded().fail("node2", MigrateOut)

        scene.ask(GROW)
        scene.settle()

        assert growth(scene).plans == 2
        assert growth(scene).state is GrowthState.DONE

    def test_not_for_ever(self) -> None:
        scene = crowded().fail("node2", MigrateOut, times=PLANS_MAX)

        scene.ask(GROW)
        scene.settle()

        assert growth(scene).state is GrowthState.REFUSED
        assert "4 plans were overtaken or failed" in growth(scene).detail
        assert scene.container("node1").allocated == 4

    def test_refused_when_the_room_elsewhere_is_gone(self) -> None:
        scene = crowded().fail("node2", MigrateOut)
        scene.ask(GROW)
        scene.ask(CordonHost(host="h2"))

        scene.settle()

        assert growth(scene).state is GrowthState.REFUSED
        assert (growth(scene).missing, growth(scene).proven) == (1, True)
        assert "keeps" in growth(scene).detail or "no live moves" in growth(scene).detail

    def test_who_was_to_move_may_be_gone(self) -> None:
        scene = given(host("h1", cloudlets=12), shop(1, reserved=8))
        for name in ("blog", "wiki"):
            scene.ask(beside(name, 2))
        for name in ("h2", "h3"):
            scene.ask(host(name, cloudlets=2))
        scene.settle()
        scene.ask(ScaleNode(container="node1", reserved=12))
        scene.ask(RemoveEnvironment(environment="wiki"))

        scene.settle()

        assert growth(scene).state is GrowthState.DONE

    def test_who_was_to_move_may_have_moved(self) -> None:
        scene = given(host("h1", cloudlets=12), shop(1, reserved=8))
        for name in ("blog", "wiki"):
            scene.ask(beside(name, 2))
        for name in ("h2", "h3"):
            scene.ask(host(name, cloudlets=4))
        scene.settle()
        scene.ask(ScaleNode(container="node1", reserved=11))
        first, second = growth(scene).moves
        other = {"h2": "h3", "h3": "h2"}[second.target]
        scene.ask(MigrateContainer(container=str(second.container), target=other))

        scene.settle()

        assert growth(scene).state is GrowthState.DONE
        assert first.container in growth(scene).moves[0].container or growth(scene).plans == 2

    def test_its_time_is_limited(self) -> None:
        scene = crowded()
        scene.world.machines.deaf.add("node2")
        scene.ask(GROW)

        scene.settle()

        assert growth(scene).state is GrowthState.REFUSED
        late = growth(scene).finished_at - growth(scene).requested_at
        assert late == GROWTH_MAX_MS
        assert "not within 600 s: node1 needs 2 cloudlets more, host h1 has 1" in (
            growth(scene).detail
        )
        assert growth(scene).missing == 1

    def test_the_container_may_be_removed(self) -> None:
        scene = crowded()
        scene.ask(GROW)
        scene.ask(RemoveEnvironment(environment="shop"))

        scene.settle()

        assert growth(scene).state is GrowthState.ABANDONED
        assert growth(scene).detail == "node1 was removed"


class TestLostHosts:
    def test_with_its_host_a_growth_is_lost(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        scene.world.outages.strike("h1", None, dead=True)
        scene.ask(LoseHost(host="h1", reason="it burnt"))

        assert growth(scene).state is GrowthState.ABANDONED
        assert growth(scene).detail == "host h1 is lost"
        scene.settle()
        assert scene.container("node1").host == "h2"
        assert scene.container("node1").reserved == 4

    def test_where_the_one_that_makes_room_was_to_go_is_lost_another_plan_is_made(self) -> None:
        scene = crowded()
        scene.ask(host("h3", cloudlets=3))
        scene.ask(GROW)
        target = scene.happened(MigrationGranted)[-1].target

        scene.world.outages.strike(target, None, dead=True)
        scene.ask(LoseHost(host=target, reason="it burnt"))
        scene.settle()

        assert growth(scene).state is GrowthState.DONE
        assert growth(scene).plans == 2
        assert scene.container("node1").applied == 6


class TestWhileItMoves:
    def moving(self) -> Scene:
        """Let node1 be on its way to a host that is roomier, from one that is full."""
        scene = given(host("h1", cloudlets=4), shop(1, reserved=4), host("h2", cloudlets=16))
        scene.ask(MigrateContainer(container="node1"))
        return scene

    def test_it_is_planned_when_it_has_stopped_moving(self) -> None:
        scene = self.moving()

        commit = scene.when(GROW)

        assert kinds(commit) == ["GrowthRequested"]
        assert growth(scene).state is GrowthState.WAITING
        scene.settle()
        assert growth(scene).state is GrowthState.DONE
        assert where(scene) == {"node1": "h2"}

    def test_back_on_its_source_it_moves_for_its_growth(self) -> None:
        scene = self.moving().fail("node1", MigrateOut)
        scene.ask(GROW)

        scene.settle()

        assert growth(scene).way == "move"
        assert growth(scene).state is GrowthState.DONE

    def test_a_migration_that_only_waits_is_waited_for_as_well(self) -> None:
        scene = crowded()
        scene.ask(RestartLayer(environment="shop", layer="app", accept_downtime=True))
        scene.ask(MigrateContainer(container="node1", target="h2"))

        scene.ask(GROW)

        assert growth(scene).state is GrowthState.WAITING
        scene.settle()
        assert growth(scene).state is GrowthState.DONE

    def test_what_was_deferred_makes_room(self) -> None:
        wiki = CreateEnvironment(environment="wiki", layers=(layer(limit=2),))
        scene = given(hosts(3, cloudlets=8), shop(1, reserved=2), beside("blog", 6, more=2), wiki)
        scene.ask(MigrateContainer(container="node1", target=where(scene)["node2"]))
        scene.ask(ScaleNode(container="node1", reserved=7))
        assert scene.container("node1").deferred == (7, 7)
        scene.ask(FollowUsage(container=ContainerId("node4"), cloudlets=2))

        scene.settle()

        assert not scene.happened(GrowthRefused)
        assert growth(scene).state is GrowthState.DONE
        assert scene.container("node1").applied == 7

    def test_what_was_deferred_and_never_fits_is_refused(self) -> None:
        scene = given(hosts(2, cloudlets=8), shop(1, reserved=2), beside("blog", 4))
        scene.ask(MigrateContainer(container="node1", target=where(scene)["node2"]))
        scene.ask(ScaleNode(container="node1", reserved=8))
        scene.ask(beside("wiki", 4))

        scene.settle()

        (refused_,) = scene.happened(GrowthRefused)
        assert "no live moves make room" in refused_.detail

    def test_the_limits_that_it_has_take_the_place_of_what_was_deferred(self) -> None:
        scene = given(hosts(2, cloudlets=8), shop(1, reserved=2), beside("blog", 4))
        scene.ask(MigrateContainer(container="node1", target=where(scene)["node2"]))
        scene.ask(ScaleNode(container="node1", reserved=8))

        commit = scene.when(ScaleNode(container="node1", reserved=2, limit=2))

        assert facts(commit) == [GrowthRefused(NODE1, "other limits were asked for")]
        scene.settle()
        assert scene.container("node1").allocated == 2


class TestLimitsOfALayer:
    LIMITS = SetCloudletLimits(environment="shop", layer="app", reserved=6, delay_s=0)

    def test_a_step_waits_until_there_is_room(self) -> None:
        scene = crowded()

        scene.ask(self.LIMITS)
        scene.settle()

        assert growth(scene).operation == "op3"
        assert growth(scene).state is GrowthState.DONE
        assert scene.operation(3).outcome == "done"
        assert scene.container("node1").applied == 6

    def test_a_step_out_of_dns_is_put_back(self) -> None:
        scene = crowded()

        scene.ask(
            SetCloudletLimits(
                environment="shop",
                layer="app",
                reserved=6,
                remove_from_dns=True,
                accept_downtime=True,
            )
        )
        scene.settle()

        assert scene.operation(3).outcome == "done"
        assert scene.container("node1").operable

    def test_a_step_fails_with_its_growth(self) -> None:
        scene = crowded().fail("node2", MigrateOut, times=PLANS_MAX)

        scene.ask(self.LIMITS)
        scene.settle()

        assert scene.operation(3).outcome == "failed"
        assert "plans were overtaken" in scene.operation(3).over[0].detail
        assert scene.container("node1").operable

    def test_a_cancelled_operation_waits_no_longer(self) -> None:
        scene = crowded()
        scene.ask(self.LIMITS)

        scene.ask(CancelOperation(operation="op3"))

        assert growth(scene).state is GrowthState.ABANDONED
        scene.settle()
        assert scene.operation(3).outcome == "cancelled"
        assert scene.container("node1").allocated == 4

    def test_the_limits_of_a_layer_take_the_place_of_one_containers(self) -> None:
        scene = crowded()
        scene.ask(GROW)

        scene.ask(SetCloudletLimits(environment="shop", layer="app", reserved=7, delay_s=0))
        scene.settle()

        assert [growth(scene, n).state.value for n in (1, 2)] == ["abandoned", "done"]
        assert scene.operation(3).outcome == "done"
        assert scene.container("node1").applied == 7

    def test_the_limits_of_one_container_take_the_place_of_the_layers(self) -> None:
        scene = crowded()
        scene.ask(self.LIMITS)

        scene.ask(ScaleNode(container="node1", reserved=7))
        scene.settle()

        assert scene.operation(3).outcome == "failed"
        assert growth(scene, 2).state is GrowthState.DONE

    def test_a_container_that_is_down_has_its_limits_when_there_is_room(self) -> None:
        scene = crowded()
        scene.world.machines.crash(NODE1)
        scene.settle()

        scene.ask(self.LIMITS)
        scene.settle()

        assert scene.operation(3).outcome == "done"
        assert scene.container("node1").allocated == 6

    def test_a_step_whose_growth_was_deferred_waits_for_room_too(self) -> None:
        scene = given(hosts(3, cloudlets=8), shop(1, reserved=2), beside("blog", 6, more=2))
        scene.ask(MigrateContainer(container="node1", target=where(scene)["node2"]))
        scene.ask(SetCloudletLimits(environment="shop", layer="app", reserved=8, delay_s=0))
        scene.ask(beside("wiki", 2))

        scene.settle()

        (operation,) = [one for one in scene.fleet.operations.values() if one.kind == "limits"]
        assert operation.outcome == "done"
        assert scene.container("node1").applied == 8


class TestWithdrawn:
    def test_a_growth_that_is_over_takes_its_waiting_move_back(self) -> None:
        scene = crowded(mine=2, other=6)
        scene.world.machines.slow["node1"] = 60_000
        scene.ask(GROW)
        move = growth(scene).migration
        assert move is not None
        state = scene.fleet.migrations[move].state
        assert state is MigrationState.MOVING

        scene.ask(CancelGrowth(growth="gr1"))
        scene.settle()

        assert scene.fleet.migrations[move].state is MigrationState.COMPLETED

    def test_taken_back_when_it_waited_for_its_turn(self) -> None:
        scene = given(host("h1", cloudlets=12), shop(1, reserved=6))
        for name in ("blog", "wiki", "docs"):
            scene.ask(beside(name, 2))
        scene.ask(host("h2", cloudlets=12))
        scene.settle()
        scene.ask(MigrateContainer(container="node2", target="h2"))
        scene.ask(MigrateContainer(container="node3", target="h2"))
        scene.ask(ScaleNode(container="node1", reserved=12))
        move = growth(scene).migration
        assert move is not None
        assert scene.fleet.migrations[move].state is MigrationState.WAITING

        commit = scene.when(CancelGrowth(growth="gr1"))

        assert one(commit, MigrationAbandoned).migration == move
        scene.settle()

    def test_what_is_leaving_anyway_may_be_enough(self) -> None:
        scene = given(host("h1", cloudlets=8), shop(1, reserved=6), beside("blog", 2))
        scene.ask(host("h2", cloudlets=8))
        scene.settle()
        scene.ask(MigrateContainer(container="node2", target="h2"))

        commit = scene.when(ScaleNode(container="node1", reserved=8))

        assert one(commit, GrowthPlanned).moves == ()
        assert not growth(scene).migrations
        scene.settle()
        assert growth(scene).state is GrowthState.DONE
        assert growth(scene).plans == 1

    def test_what_was_leaving_and_stays_is_moved(self) -> None:
        scene = given(host("h1", cloudlets=8), shop(1, reserved=6), beside("blog", 2))
        scene.ask(host("h2", cloudlets=8))
        scene.settle().fail("node2", MigrateOut)
        scene.ask(MigrateContainer(container="node2", target="h2"))
        scene.ask(ScaleNode(container="node1", reserved=8))

        scene.settle()

        assert len(growth(scene).migrations) == 1
        assert (growth(scene).plans, growth(scene).state) == (2, GrowthState.DONE)

    def test_one_move_after_another_makes_room_on_the_way(self) -> None:
        """node2 must leave h1; on h2, where it fits, room is made first."""
        scene = given(host("h1", cloudlets=8), shop(1, reserved=5), beside("blog", 3))
        scene.ask(host("h2", cloudlets=4))
        scene.ask(beside("wiki", 2))
        scene.ask(host("h3", cloudlets=2))
        scene.settle()
        assert where(scene)["node3"] == "h2"

        scene.ask(ScaleNode(container="node1", reserved=8))
        scene.settle()

        assert [str(move.target) for move in growth(scene).moves] == ["h3", "h2"]
        assert growth(scene).state is GrowthState.DONE
