"""Scaling one container, a layer's limits, a layer out and in: done, refused, asked again."""

import pytest

from domain.container import (
    CapacityForced,
    ContainerPlaced,
    ContainerResized,
    ContainerRouted,
    ContainerScaled,
    GrowthDeferred,
    GrowthRefused,
)
from domain.decider import Ask
from domain.environment import CreateEnvironment, LayerLimitsSet
from domain.host import RelabelHost
from domain.messages import AskId, Code, ContainerId, EnvironmentId, HostId, LayerName
from domain.migration import MigrateContainer
from domain.operation import (
    HEALTH_MAX_MS,
    OperationRequested,
    PauseOperation,
    RestartLayer,
    RollbackStarted,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
    StepKind,
    StepStarted,
)
from domain.orders import OrderIssued, ReportHealth, Resize, Start, Stop
from domain.sequence import roll_back
from tests.examples import (
    Scene,
    accepted,
    code,
    done,
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

NODE1 = ContainerId("node1")
H1 = HostId("h1")
SHOP = EnvironmentId("shop")
APP = LayerName("app")


def limits_of(scene: Scene) -> dict[str, tuple[int, int]]:
    return {c.id: (c.reserved, c.limit) for c in scene.fleet.containers.values()}


class TestScaleNode:
    def test_done(self) -> None:
        scene = given(hosts(1), shop(1))

        commit = scene.when(ScaleNode(container="node1", reserved=4, limit=8))

        assert facts(commit)[0] == ContainerScaled(NODE1, 4, 8, 4)
        assert one(commit, OrderIssued).work == Resize(4, 8)
        assert scene.fleet.hosts[H1].used == 4

    def test_its_host_follows_without_a_restart(self) -> None:
        scene = given(hosts(1), shop(1), ScaleNode(container="node1", reserved=4))

        assert scene.happened(ContainerResized)[-1] == ContainerResized(NODE1, 4, 4)
        assert scene.container("node1").applied == 4
        assert scene.world.started[NODE1] == 1

    def test_a_limit_alone_reaches_the_host_too(self) -> None:
        scene = given(hosts(1), shop(1))

        commit = scene.when(ScaleNode(container="node1", limit=9))

        assert one(commit, OrderIssued).work == Resize(1, 9)
        scene.settle()
        assert scene.world.machines.sizes[NODE1] == (1, 9)

    def test_what_is_reserved_raises_the_limit_with_it(self) -> None:
        commit = given(hosts(1), shop(1)).when(ScaleNode(container="node1", reserved=4))

        assert facts(commit)[0] == ContainerScaled(NODE1, 4, 4, 4)

    def test_scaled_down(self) -> None:
        scene = given(hosts(1), shop(1, reserved=6))

        scene.when(ScaleNode(container="node1", reserved=2))

        assert scene.fleet.hosts[H1].used == 2

    @pytest.mark.parametrize(
        ("ask", "expected", "path"),
        [
            (ScaleNode(container="node1"), Code.REQUEST_INVALID, "$.reserved"),
            (
                ScaleNode(container="node1", reserved=5, limit=4),
                Code.LIMITS_OUT_OF_RANGE,
                "$.limit",
            ),
            (ScaleNode(container="node9", limit=4), Code.CONTAINER_NOT_FOUND, "$.container"),
            (ScaleNode(container="node1", reserved=9), Code.CAPACITY_INSUFFICIENT, "$.reserved"),
        ],
    )
    def test_refused(self, ask: ScaleNode, expected: Code, path: str) -> None:
        refusal = refused(given(hosts(1, cloudlets=8), shop(1)).when(ask))

        assert (refusal.code, refusal.path) == (expected, path)

    def test_a_refusal_says_how_much_is_free_and_how_much_was_wanted(self) -> None:
        scene = given(hosts(1, cloudlets=8), shop(1))

        refusal = refused(scene.when(ScaleNode(container="node1", reserved=9)))

        assert refusal.facts == {"free": 7, "needed": 8, "missing": 1, "proven": True}

    def test_unchanged_when_it_is_so_already(self) -> None:
        scale = ScaleNode(container="node1", reserved=4, limit=8)

        assert unchanged(given(hosts(1), shop(1), scale).when(scale))

    def test_a_size_that_changes_while_the_host_is_at_it_is_ordered_again(self) -> None:
        scene = given(hosts(1), shop(1))
        scene.ask(ScaleNode(container="node1", reserved=4))

        second = scene.when(ScaleNode(container="node1", reserved=6))

        assert kinds(second) == ["ContainerScaled"]
        scene.settle()
        assert scene.world.machines.sizes[NODE1] == (6, 6)

    def test_what_the_host_refused_is_ordered_again_after_a_while(self) -> None:
        scene = given(hosts(1), shop(1)).fail("node1", Resize, times=2)

        scene.ask(ScaleNode(container="node1", reserved=4))
        scene.settle()

        assert len([o for o in scene.happened(OrderIssued) if isinstance(o.work, Resize)]) == 3
        assert scene.container("node1").sized
        assert not scene.fleet.deadlines

    def test_what_was_refused_and_is_not_wanted_any_more_is_not_ordered_again(self) -> None:
        scene = given(hosts(1), shop(1)).fail("node1", Resize)
        scene.ask(ScaleNode(container="node1", reserved=4))
        scene.pass_(2_000)
        assert scene.fleet.deadlines

        scene.ask(ScaleNode(container="node1", reserved=1, limit=1))

        assert not scene.fleet.deadlines

    def test_a_container_that_died_is_given_its_size_when_it_starts(self) -> None:
        scene = given(hosts(1), shop(1))
        scene.world.machines.crash(NODE1)
        scene.settle()

        commit = scene.when(ScaleNode(container="node1", reserved=4))

        assert kinds(commit) == ["ContainerScaled"]
        scene.ask(RestartLayer(environment="shop", layer="app", accept_downtime=True))
        scene.settle()
        assert scene.world.machines.sizes[NODE1] == (4, 4)


class TestScaleNodeByForce:
    def force(self, reserved: int) -> ScaleNode:
        return ScaleNode(container="node1", reserved=reserved, force=True, reason="sale")

    def test_the_excess_is_its_own_event(self) -> None:
        scene = given(hosts(1, cloudlets=8), shop(1))

        commit = scene.when(self.force(11))

        assert facts(commit)[0] == CapacityForced(H1, NODE1, 3, "sale")
        assert scene.fleet.hosts[H1].free == -3

    def test_no_event_where_there_is_room(self) -> None:
        commit = given(hosts(1, cloudlets=8), shop(1)).when(self.force(8))

        assert kinds(commit) == ["ContainerScaled", "OrderIssued"]

    def test_forced_twice_the_excess_is_not_counted_twice(self) -> None:
        scene = given(hosts(1, cloudlets=8), shop(1), self.force(11))

        assert one(scene.when(self.force(12)), CapacityForced).cloudlets == 4
        assert scene.fleet.hosts[H1].forced == 4

    def test_both_hosts_of_one_that_moves_are_forced(self) -> None:
        scene = given(hosts(2, cloudlets=8), shop(1))
        scene.ask(MigrateContainer(container="node1"))

        commit = scene.when(self.force(10))

        forced = [fact for fact in facts(commit) if isinstance(fact, CapacityForced)]
        assert [(fact.host, fact.cloudlets) for fact in forced] == [("h1", 2), ("h2", 2)]

    def test_on_an_overloaded_host_less_is_always_possible(self) -> None:
        scene = given(hosts(1, cloudlets=8), shop(1), self.force(12))

        commit = scene.when(ScaleNode(container="node1", reserved=10))

        assert one(commit, ContainerScaled).allocated == 10

    def test_on_an_overloaded_host_more_is_refused(self) -> None:
        scene = given(hosts(1, cloudlets=8), shop(1), self.force(12))

        assert code(scene.when(ScaleNode(container="node1", reserved=13))) is (
            Code.CAPACITY_INSUFFICIENT
        )

    def test_on_an_overloaded_host_a_limit_may_change(self) -> None:
        scene = given(hosts(1, cloudlets=8), shop(1), self.force(12))

        assert done(scene.when(ScaleNode(container="node1", limit=20)))


class TestSetCloudletLimits:
    def limits(self, reserved: int | None = None, **more: object) -> SetCloudletLimits:
        ask = {"environment": "shop", "layer": "app", "reserved": reserved, "delay_s": 0, **more}
        return SetCloudletLimits(**ask)  # type: ignore[arg-type]

    def test_done(self) -> None:
        scene = given(hosts(3), shop(2))

        commit = scene.when(self.limits(3, limit=6))

        assert facts(commit)[0] == LayerLimitsSet(SHOP, APP, 3, 6)
        scene.settle()
        assert limits_of(scene) == {"node1": (3, 6), "node2": (3, 6)}
        assert scene.operation(2).outcome == "done"

    def test_nobody_is_restarted_or_taken_out_of_dns(self) -> None:
        scene = given(hosts(3), shop(2), self.limits(3))

        assert set(scene.world.started.values()) == {1}
        assert not [line for line in scene.world.trace if "ContainerUnrouted" in line]

    def test_those_that_are_added_later_have_them_too(self) -> None:
        scene = given(hosts(3), shop(2), self.limits(3, limit=6))

        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))

        assert limits_of(scene)["node3"] == (3, 6)

    def test_only_those_that_differ_are_touched(self) -> None:
        scene = given(hosts(3), shop(2), ScaleNode(container="node1", reserved=3))

        commit = scene.when(self.limits(3))

        assert [planned.container for planned in one(commit, OperationRequested).plan] == ["node2"]

    def test_refused_where_there_is_no_such_layer(self) -> None:
        assert code(given(hosts(1), shop(1)).when(self.limits(3, layer="sql"))) is (
            Code.LAYER_NOT_FOUND
        )

    @pytest.mark.parametrize("wrong", [{}, {"reserved": 4, "limit": 3}])
    def test_refused_with_limits_that_are_none(self, wrong: dict[str, int]) -> None:
        refusal = refused(given(hosts(1), shop(1)).when(self.limits(**wrong)))

        assert refusal.code in {Code.REQUEST_INVALID, Code.LIMITS_OUT_OF_RANGE}

    def test_refused_for_one_container_that_would_leave_dns(self) -> None:
        ask = self.limits(3, remove_from_dns=True)

        assert code(given(hosts(1), shop(1)).when(ask)) is Code.AVAILABILITY_WOULD_BREAK

    def test_unchanged_when_all_are_so_already(self) -> None:
        assert unchanged(given(hosts(3), shop(2), self.limits(3)).when(self.limits(3)))

    def test_asked_again_after_a_failure_it_does_the_rest(self) -> None:
        scene = given(hosts(2, cloudlets=8), shop(2), ScaleNode(container="node2", reserved=8))
        scene.ask(CreateEnvironment(environment="full", layers=(layer(reserved=6),)))
        scene.settle()
        first = self.limits(3, on_failure="continue")
        scene.ask(first)
        scene.settle()
        assert limits_of(scene)["node1"] == (1, 1)
        scene.world.ask(MigrateContainer(container="node3"))
        scene.settle()

        commit = scene.when(self.limits(2))

        assert accepted(commit).operation

    def test_back_again_while_it_is_under_way_takes_everybody_back(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(self.limits(3, delay_s=10))
        scene.pass_(2_000)

        scene.ask(self.limits(1, limit=1))
        scene.settle()

        assert set(limits_of(scene).values()) == {(1, 1)}

    def test_one_that_does_not_run_gets_them_at_once(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(NODE1)
        scene.settle()

        scene.ask(self.limits(3))
        scene.pass_(5_000)

        assert scene.operation(2).outcome == "done"

    def test_what_does_not_fit_fails_its_step(self) -> None:
        scene = given(hosts(2, cloudlets=8), shop(2), host("h3", cloudlets=4))
        scene.ask(self.limits(9))
        scene.settle()

        operation = scene.operation(2)
        assert operation.outcome == "failed"
        assert "has 7 cloudlets free, node1 needs 8 more" in operation.detail

    def test_what_does_not_fit_puts_its_container_back_into_dns(self) -> None:
        scene = given(hosts(2, cloudlets=8), shop(2), self.limits(9, remove_from_dns=True))

        assert scene.operation(2).outcome == "failed"
        assert scene.container("node1").operable

    def ill_meanwhile(self, delay_ms: int) -> Scene:
        """Set limits out of DNS, the first falling ill; pass so much time after its resize."""
        scene = given(hosts(3), shop(2))
        scene.ask(self.limits(3, remove_from_dns=True, delay_s=5))
        self.say(scene, healthy=False)
        while not scene.container("node1").reserved == scene.container("node1").applied == 3:
            scene.pass_(500)
        return scene.pass_(delay_ms)

    def say(self, scene: Scene, *, healthy: bool) -> None:
        name = f"well {healthy}"
        host = scene.container("node1").host
        said = ReportHealth(ask=AskId(name), host=host, container=NODE1, healthy=healthy)
        scene.world.put(Ask(said.ask, said))

    def test_one_that_fell_ill_is_put_into_dns_again_when_it_is_well(self) -> None:
        scene = self.ill_meanwhile(2_000)
        assert scene.operation(2).step(NODE1) is not None
        assert not scene.container("node1").routed
        self.say(scene, healthy=True)
        well = scene.world.now
        while not scene.container("node2").claim:
            assert not scene.operation(2).finished_at
            scene.pass_(100)
        assert scene.container("node1").operable
        assert scene.world.now - well >= 5_000
        assert scene.settle().operation(2).outcome == "done"

    def test_one_that_stays_ill_fails_its_step_and_is_found_as_before(self) -> None:
        scene = self.ill_meanwhile(HEALTH_MAX_MS).settle()
        assert scene.operation(2).outcome == "failed"
        assert "not healthy within 120 s" in scene.operation(2).detail
        assert scene.container("node1").routed
        assert scene.container("node2").reserved == 1

    def test_one_that_never_served_is_not_put_into_dns_for_it(self) -> None:
        scene = given(hosts(2)).fail("node2", Start)
        scene.ask(shop(2))
        scene.settle().ask(self.limits(reserved=2))

        scene.settle()
        assert scene.container("node2").reserved == 2
        assert "node2" not in {fact.container for fact in scene.happened(ContainerRouted)}


class TestRollback:
    def fleet(self) -> Scene:
        """Give a layer of three, the last of which has no room to grow."""
        scene = given(hosts(3, cloudlets=8), shop(3, anti_affinity="hard"))
        full = CreateEnvironment(environment="full", layers=(layer(reserved=6),))
        scene.ask(full)
        scene.settle()
        beside = scene.container("node4").host
        assert beside == "h1"
        scene.world.ask(MigrateContainer(container="node4", target="h3"))
        scene.settle()
        return scene

    def limits(self) -> SetCloudletLimits:
        return SetCloudletLimits(
            environment="shop", layer="app", reserved=4, delay_s=0, on_failure="rollback"
        )

    def test_what_was_done_is_undone_newest_first(self) -> None:
        scene = self.fleet()
        scene.ask(self.limits())
        scene.settle()

        (rollback,) = scene.happened(RollbackStarted)
        undone = [(step.container, step.reserved, step.limit) for step in rollback.plan]
        assert undone == [("node2", 1, 1), ("node1", 1, 1)]
        assert scene.operation(3).outcome == "rolled_back"
        assert set(list(limits_of(scene).values())[:3]) == {(1, 1)}

    def test_the_layer_goes_back_too(self) -> None:
        scene = self.fleet()
        scene.ask(self.limits())
        scene.settle()

        spec = scene.fleet.layers[SHOP, APP].spec
        assert (spec.reserved, spec.limit) == (1, 1)

    def test_the_layer_stays_as_someone_else_has_set_it_meanwhile(self) -> None:
        scene = self.fleet()
        scene.ask(self.limits())
        scene.ask(SetCloudletLimits(environment="shop", layer="app", reserved=2, delay_s=0))
        scene.settle()

        assert set(list(limits_of(scene).values())[:3]) == {(2, 4)}
        assert scene.fleet.layers[SHOP, APP].spec.reserved == 2

    def test_the_one_that_failed_half_way_goes_back_too(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node2", Resize, times=30)

        scene.ask(self.limits())
        scene.settle()

        assert scene.operation(2).outcome == "rolled_back"
        assert set(limits_of(scene).values()) == {(1, 1)}
        assert [host.used for host in scene.fleet.hosts.values()] == [1, 1, 0]

    def test_one_that_is_gone_is_left_out(self) -> None:
        scene = self.fleet()
        scene.ask(self.limits())
        scene.pass_(1)
        scene.ask(PauseOperation(operation="op3"))
        scene.pass_(10_000)
        assert scene.operation(3).over

        scene.fleet.put(scene.fleet.containers, ContainerId("node1"), None)
        scene.world.region.fleet.watcher = None
        rollback = roll_back(scene.fleet, scene.operation(3))[0]
        assert isinstance(rollback, RollbackStarted)
        assert rollback.plan == ()


class TestScaleLayer:
    def scale(self, **how: object) -> ScaleLayer:
        ask = {"environment": "shop", "layer": "app", **how}
        return ScaleLayer(**ask)  # type: ignore[arg-type]

    def test_out_to_a_count(self) -> None:
        scene = given(hosts(3), shop(2))

        commit = scene.when(self.scale(count=4))

        assert accepted(commit).containers == ("node3", "node4")
        placed = [fact for fact in facts(commit) if isinstance(fact, ContainerPlaced)]
        assert [fact.number for fact in placed] == [3, 4]
        scene.settle()
        assert all(scene.container(name).operable for name in scene.names())

    def test_out_by_a_number(self) -> None:
        scene = given(hosts(3), shop(2), self.scale(by=3))

        assert len(scene.names()) == 5

    def test_in_to_a_count(self) -> None:
        scene = given(hosts(3), shop(4))

        commit = scene.when(self.scale(count=2))

        assert accepted(commit).containers == ("node4", "node3")
        scene.settle()
        assert scene.names() == ("node1", "node2")

    @pytest.mark.parametrize("how", [{}, {"count": 2, "by": 1}])
    def test_refused_without_a_number_or_with_two(self, how: dict[str, int]) -> None:
        assert code(given(hosts(1), shop(1)).when(self.scale(**how))) is Code.REQUEST_INVALID

    @pytest.mark.parametrize("by", [-2, -3, 999])
    def test_refused_beyond_what_a_layer_can_have(self, by: int) -> None:
        refusal = refused(given(hosts(2), shop(2)).when(self.scale(by=by)))

        assert refusal.code is Code.LIMITS_OUT_OF_RANGE
        assert refusal.facts == {"minimum": 1, "maximum": 1_000, "containers": 2}

    def test_refused_where_one_has_no_room_and_none_is_added(self) -> None:
        scene = given(hosts(2, cloudlets=4), shop(2))

        assert code(scene.when(self.scale(by=7))) is Code.CAPACITY_INSUFFICIENT
        assert scene.names() == ("node1", "node2")

    def test_refused_where_there_is_no_such_layer(self) -> None:
        assert code(given(hosts(1), shop(1)).when(self.scale(layer="x", by=1))) is (
            Code.LAYER_NOT_FOUND
        )

    @pytest.mark.parametrize("how", [{"count": 2}, {"by": 0}])
    def test_unchanged_when_it_has_as_many(self, how: dict[str, int]) -> None:
        assert unchanged(given(hosts(2), shop(2)).when(self.scale(**how)))

    def test_to_a_count_asked_twice_it_is_done_once(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(self.scale(count=4))

        assert unchanged(scene.when(self.scale(count=4)))

    def test_those_that_are_leaving_do_not_count(self) -> None:
        scene = given(hosts(3), shop(4))
        scene.ask(self.scale(count=2))
        scene.pass_(300)

        assert unchanged(scene.when(self.scale(count=2)))
        out = scene.when(self.scale(count=3))
        assert accepted(out).containers == ("node5",)
        scene.settle()
        assert scene.names() == ("node1", "node2", "node5")

    def test_one_that_is_not_removed_stays(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node3", Stop)

        scene.ask(self.scale(count=1))
        scene.settle()

        assert scene.operation(2).outcome == "failed"
        assert scene.names() == ("node1", "node2", "node3")
        assert scene.container("node3").operable

    def test_steps_of_a_scale_in_come_one_by_one(self) -> None:
        scene = given(hosts(3), shop(4))
        scene.ask(self.scale(count=1))

        scene.pass_(1)

        assert len(scene.operation(2).steps) == 1
        started = [step for step in scene.happened(StepStarted) if step.kind is StepKind.REMOVE]
        assert [step.container for step in started] == ["node4"]


class TestGrowthWhileMoving:
    """A growth during the copy charges both hosts; what does not fit the target is not lost."""

    def moving(self, target_free: int) -> Scene:
        fleet = [host("h1", cloudlets=32), host("h2", cloudlets=1 + target_free)]
        scene = given(fleet, shop(1))
        assert scene.container("node1").host == "h1"
        scene.ask(MigrateContainer(container="node1", target="h2"))
        return scene

    def test_what_fits_both_is_charged_to_both(self) -> None:
        scene = self.moving(target_free=8)

        scene.when(ScaleNode(container="node1", reserved=5))

        assert [one.used for one in scene.fleet.hosts.values()] == [5, 5]
        scene.settle()
        assert [one.used for one in scene.fleet.hosts.values()] == [0, 5]

    def test_what_does_not_fit_the_target_ends_the_move_and_grows_after_it(self) -> None:
        scene = self.moving(target_free=2)

        commit = scene.when(ScaleNode(container="node1", reserved=5))

        assert facts(commit)[0] == GrowthDeferred(NODE1, 5, 5)
        assert "MigrationOverdue" in kinds(commit)
        scene.settle()
        assert scene.container("node1").allocated == 5
        assert scene.container("node1").host == "h1"
        assert scene.world.machines.sizes[NODE1] == (5, 5)

    def test_what_does_not_fit_where_it_ends_up_is_refused_and_said(self) -> None:
        scene = self.moving(target_free=2)
        scene.ask(ScaleNode(container="node1", reserved=5))
        scene.ask(RelabelHost(host="h1", labels={"zone": "b"}))
        other = CreateEnvironment(environment="big", layers=(layer(reserved=31),))
        assert done(scene.ask(other))

        scene.settle()

        (refusal,) = scene.happened(GrowthRefused)
        assert "has 0 cloudlets free, node1 needs 4 more" in refusal.detail
        assert scene.container("node1").deferred is None

    def test_what_was_deferred_may_be_taken_back(self) -> None:
        scene = self.moving(target_free=2)
        scene.ask(ScaleNode(container="node1", reserved=5))

        scene.ask(ScaleNode(container="node1", reserved=2))
        scene.settle()

        assert scene.container("node1").allocated == 2
