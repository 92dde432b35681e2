"""The settled questions of product.md that are built so far, each by its number."""

from collections.abc import Iterable

import msgspec
import pytest

from domain.container import (
    CapacityForced,
    ContainerHealthChanged,
    ContainerPlaced,
    ContainerRestarted,
    ContainerRouted,
    ContainerUnrouted,
)
from domain.environment import CreateEnvironment, RemoveLayer
from domain.host import CordonHost, UncordonHost
from domain.messages import Code, ContainerId, Event, Instant
from domain.migration import MigrateContainer, MigrationCompleted, MigrationState
from domain.operation import (
    GRACE_MS,
    TTL_MS,
    DelayStarted,
    OperationWaiting,
    RestartLayer,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
    StepFinished,
    StepKind,
    StepStarted,
)
from domain.orders import OrderIssued, Restart, RouteIn, RouteOut, Stop
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
)


def restart(delay_s: int = 0, **how: object) -> RestartLayer:
    ask = {"environment": "shop", "layer": "app", "delay_s": delay_s, **how}
    return RestartLayer(**ask)  # type: ignore[arg-type]


def times(scene: Scene, *kinds_of: type[Event]) -> list[tuple[Instant, Event]]:
    """Return when events of these kinds happened since the operation after the opening."""
    story = scene.world.happened()
    since = next(n for n, (_, e) in enumerate(story) if getattr(e, "operation", "") == "op2")
    return [(at, e) for at, e in story[since:] if isinstance(e, kinds_of)]


def placed(scene: Scene) -> Iterable[str]:
    return [fact.host for fact in scene.happened(ContainerPlaced)]


class TestSettled1SequentialOrderAndDelay:
    def test_settled_1_order_is_ascending_container_number(self) -> None:
        scene = given(hosts(4), shop(12), restart())

        numbers = [int(f.container[4:]) for f in scene.happened(ContainerRestarted)]
        assert numbers == list(range(1, 13))

    @pytest.mark.parametrize("count", [2, 3, 5])
    def test_settled_1_n_containers_have_n_minus_1_delays(self, count: int) -> None:
        scene = given(hosts(3), shop(count), restart(delay_s=10))

        assert len(scene.happened(DelayStarted)) == count - 1
        last = times(scene, DelayStarted, StepFinished)[-1][1]
        assert isinstance(last, StepFinished)

    def test_settled_1_the_delay_runs_from_healthy_to_the_start_of_the_next(self) -> None:
        scene = given(hosts(3), shop(3), restart(delay_s=10))

        healthy = [at for at, _ in times(scene, ContainerHealthChanged)]
        begun = [at for at, _ in times(scene, StepStarted)]
        assert [b - h for h, b in zip(healthy, begun[1:], strict=False)] == [10_000, 10_000]

    def test_settled_1_delay_0_is_back_to_back_and_never_parallel(self) -> None:
        scene = given(hosts(3), shop(3), restart(delay_s=0))

        story = [type(e).__name__ for _, e in times(scene, StepStarted, StepFinished)]
        assert story == ["StepStarted", "StepFinished"] * 3
        moments = [at for at, _ in times(scene, StepStarted, StepFinished)]
        assert moments[1] == moments[2]
        assert scene.happened(DelayStarted) == []

    @pytest.mark.parametrize("delay_s", [-1, 301])
    def test_settled_1_minus_1_and_301_are_refused(self, delay_s: int) -> None:
        body = {"type": "layer.restart", "environment": "shop", "layer": "app", "delay_s": delay_s}

        with pytest.raises(msgspec.ValidationError, match=r"int` (>= 0|<= 300) - at `\$\.delay_s`"):
            msgspec.json.decode(msgspec.json.encode(body), type=RestartLayer)

    def test_settled_1_the_default_is_30_seconds(self) -> None:
        scene = given(hosts(3), shop(2))

        scene.ask(RestartLayer(environment="shop", layer="app"))
        scene.settle()

        (delay,) = times(scene, DelayStarted)
        healthy = times(scene, ContainerHealthChanged)[0][0]
        assert isinstance(delay[1], DelayStarted)
        assert delay[1].until - healthy == 30_000


class TestSettled2LayerOfOne:
    def test_settled_2_restart_of_one_container_is_refused(self) -> None:
        refusal = refused(given(hosts(1), shop(1)).when(restart()))

        assert refusal.code is Code.AVAILABILITY_WOULD_BREAK
        assert "surge=true" in refusal.detail
        assert "accept_downtime=true" in refusal.detail

    def test_settled_2_with_surge_one_is_operable_all_the_time(self) -> None:
        scene = given(hosts(2), shop(1))
        scene.ask(restart(surge=True))
        opened = len(scene.world.journal)

        scene.settle()

        assert scene.operation(2).outcome == "done"
        assert scene.world.started[ContainerId("node1")] == 2
        assert min(scene.world.operable("shop", "app")[opened:]) == 1

    def test_settled_2_with_accepted_downtime_it_restarts(self) -> None:
        scene = given(hosts(1), shop(1), restart(accept_downtime=True))

        assert scene.operation(2).outcome == "done"
        assert scene.happened(ContainerUnrouted) == []

    def test_settled_2_simultaneous_accepts_downtime(self) -> None:
        scene = given(hosts(1), shop(1), restart(mode="simultaneous"))

        assert scene.operation(2).outcome == "done"

    def test_settled_2_nothing_waits_for_ever(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(ContainerId("node2"))
        scene.settle()

        scene.ask(restart())
        scene.settle()

        (waiting,) = scene.happened(OperationWaiting)
        assert waiting.why == "node1 is the only operable container of shop/app (2 in all)"
        assert scene.operation(2).outcome == "failed"


class TestSettled3NeverZero:
    def test_settled_3_at_every_position_one_is_operable(self) -> None:
        scene = given(hosts(3), shop(2))
        opened = len(scene.world.journal)
        scene.ask(restart())
        scene.ask(MigrateContainer(container="node2"))
        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))
        scene.ask(ScaleLayer(environment="shop", layer="app", by=-1))
        scene.settle()

        assert min(scene.world.operable("shop", "app")[opened:]) == 1

    def test_settled_3_restart_and_migration_share_one_budget(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(MigrateContainer(container="node1"))

        scene.ask(restart())

        assert scene.operation(2).steps == ()
        scene.settle()
        assert scene.operation(2).outcome == "done"

    def test_settled_3_scale_in_counts_against_it(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(ContainerId("node1"))
        scene.settle()

        scene.ask(ScaleLayer(environment="shop", layer="app", by=-1))

        assert "node2 is the only operable" in scene.operation(2).detail

    def test_settled_3_a_limit_change_counts_against_it_when_it_leaves_dns(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(ContainerId("node2"))
        scene.settle()
        ask = SetCloudletLimits(
            environment="shop", layer="app", reserved=2, remove_from_dns=True, delay_s=0
        )

        scene.ask(ask)

        assert "node1 is the only operable" in scene.operation(2).detail

    def test_settled_3_one_that_was_down_takes_nothing_away(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(ContainerId("node1"))
        scene.settle()

        scene.ask(restart())

        assert [step.planned.container for step in scene.operation(2).steps] == ["node1"]

    def test_settled_3_a_container_that_was_out_of_dns_is_not_put_in(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node1", RouteIn)
        scene.ask(restart())
        scene.settle()
        assert not scene.container("node1").routed

        scene.ask(restart())
        scene.settle()

        assert scene.operation(3).outcome == "done"
        assert scene.container("node1").restarts == 2
        assert not scene.container("node1").routed


class TestSettled4FailedSteps:
    def test_settled_4_a_failed_restart_leaves_the_old_one_running_and_serving(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", Restart)

        scene.ask(restart())
        scene.settle()

        assert scene.operation(2).outcome == "failed"
        assert scene.container("node1").operable
        assert scene.container("node1").restarts == 0

    def test_settled_4_an_unhealthy_old_one_is_checked_before_it_serves(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node1", Restart)
        scene.world.machines.well[ContainerId("node1")] = False
        scene.world.hello()
        assert not scene.container("node1").healthy

        scene.ask(restart())
        scene.pass_(5_000)
        assert scene.operation(2).steps[0].failed == "restart failed: bad luck"
        scene.world.machines.well[ContainerId("node1")] = True
        scene.settle()

        assert scene.operation(2).detail == "restart failed: bad luck"
        assert scene.container("node1").operable

    def test_settled_4_where_the_old_one_could_not_be_put_back_that_is_known(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", Restart)
        scene.world.machines.fatal.add("node1")

        scene.ask(restart())
        scene.settle()

        assert scene.operation(2).outcome == "failed"
        assert not scene.container("node1").running

    def test_settled_4_stop_is_the_default(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node1", Restart)

        scene.ask(restart())
        scene.settle()

        assert scene.happened(ContainerRestarted) == []


class TestSettled5Dns:
    def test_settled_5_the_last_record_of_a_layer_is_never_removed(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", RouteIn)
        scene.ask(restart())
        scene.settle()
        assert not scene.container("node1").routed

        scene.ask(restart(accept_downtime=True))
        scene.settle()

        after = [o for o in scene.happened(OrderIssued) if o.saga == "op3"]
        assert not [o for o in after if isinstance(o.work, RouteOut)]
        assert scene.world.machines.records == {"node2"}

    def test_settled_5_it_goes_only_with_the_layer(self) -> None:
        scene = given(hosts(3), shop(2), RemoveLayer(environment="shop", layer="app"))

        assert scene.world.machines.records == set()

    def test_settled_5_between_out_of_dns_and_restart_the_ttl_and_a_grace_pass(self) -> None:
        scene = given(hosts(3), shop(2), restart())

        out = [at for at, _ in times(scene, ContainerUnrouted)]
        work = [at for at, e in times(scene, OrderIssued) if is_work(e, Restart)]
        assert [w - o for o, w in zip(out, work, strict=True)] == [TTL_MS + GRACE_MS] * 2

    def test_settled_5_between_out_of_dns_and_removal_too(self) -> None:
        scene = given(hosts(3), shop(2), ScaleLayer(environment="shop", layer="app", by=-1))

        ((out, _),) = times(scene, ContainerUnrouted)
        (work,) = [at for at, e in times(scene, OrderIssued) if is_work(e, Stop)]
        assert work - out == TTL_MS + GRACE_MS

    def test_settled_5_the_records_are_its_own_name_and_that_of_its_layer(self) -> None:
        scene = given(hosts(3), shop(2), restart())

        (first, *_) = [o.work for o in scene.happened(OrderIssued) if isinstance(o.work, RouteOut)]
        assert first.names == ("node1-shop.restow.internal", "app.shop.restow.internal")


def is_work(event: Event, kind: type) -> bool:
    return isinstance(event, OrderIssued) and isinstance(event.work, kind)


class TestSettled6Migration:
    def test_settled_6_past_the_deadline_it_is_back_on_its_source(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(MigrateContainer(container="node1", deadline_s=1))
        scene.settle()

        assert [one.state for one in scene.fleet.migrations.values()] == [MigrationState.REVERTED]
        assert scene.container("node1").host == "h1"

    def test_settled_6_the_default_deadline_is_30_seconds(self) -> None:
        scene = given(hosts(3), shop(2))

        scene.ask(MigrateContainer(container="node1"))

        assert [one.deadline_ms for one in scene.fleet.migrations.values()] == [30_000]

    def test_settled_6_downtime_is_another_figure_than_total_time(self) -> None:
        scene = given(hosts(3), shop(2), MigrateContainer(container="node1"))

        (completed,) = scene.happened(MigrationCompleted)
        assert completed.freeze_ms < completed.total_ms


class TestSettled7BothHostsAreCharged:
    def test_settled_7_while_it_moves_both_are_charged(self) -> None:
        scene = given(hosts(2), shop(1, reserved=4))

        scene.ask(MigrateContainer(container="node1"))

        assert [one.used for one in scene.fleet.hosts.values()] == [4, 4]

    def test_settled_7_a_growth_during_the_copy_charges_both(self) -> None:
        scene = given(hosts(2), shop(1))
        scene.ask(MigrateContainer(container="node1"))

        scene.ask(ScaleNode(container="node1", reserved=6))

        assert [one.used for one in scene.fleet.hosts.values()] == [6, 6]

    def test_settled_7_a_growth_that_does_not_fit_the_target_is_not_lost(self) -> None:
        scene = given([host("h1"), host("h2", cloudlets=4)], shop(1))
        scene.ask(MigrateContainer(container="node1"))

        scene.ask(ScaleNode(container="node1", reserved=6))
        scene.settle()

        assert scene.container("node1").allocated == 6
        assert [one.used for one in scene.fleet.hosts.values()] == [6, 0]


class TestSettled8Evenly:
    def test_settled_8_over_hosts_the_counts_differ_by_at_most_one(self) -> None:
        scene = given(hosts(4), shop(10))

        counts = [list(placed(scene)).count(name) for name in scene.fleet.hosts]
        assert max(counts) - min(counts) <= 1

    def test_settled_8_then_over_zones(self) -> None:
        scene = given(hosts(6, zones=3), shop(4))

        zones = [scene.fleet.hosts[c.host].zone for c in scene.fleet.containers.values()]
        assert sorted(zones.count(zone) for zone in "abc") == [1, 1, 2]

    def test_settled_8_then_the_same_for_the_environment(self) -> None:
        layers = tuple(layer(name) for name in ("a", "b", "c", "d"))
        scene = given(hosts(4), CreateEnvironment(environment="shop", layers=layers))

        assert sorted(placed(scene)) == ["h1", "h2", "h3", "h4"]

    def test_settled_8_a_hard_group_is_refused_where_it_cannot_hold(self) -> None:
        refusal = refused(given(hosts(2)).when(shop(3, anti_affinity="hard")))

        assert refusal.code is Code.ANTIAFFINITY_VIOLATED
        assert refusal.facts["objections"] == {"anti-affinity layer app": 2}
        assert "make the group soft" in refusal.detail

    def test_settled_8_a_soft_group_is_only_preferred(self) -> None:
        assert done(given(hosts(2)).when(shop(3, anti_affinity="soft")))

    def test_settled_8_a_hard_group_across_layers(self) -> None:
        ask = CreateEnvironment(
            environment="shop",
            layers=(layer("sql", groups=("db",)), layer("nosql", groups=("db",))),
            groups={"db": "hard"},
        )

        assert code(given(hosts(1)).when(ask)) is Code.ANTIAFFINITY_VIOLATED
        assert done(given(hosts(2)).when(ask))

    def test_settled_8_a_soft_group_across_layers(self) -> None:
        ask = CreateEnvironment(
            environment="shop",
            layers=(
                layer("sql", groups=("db",), policy="pack"),
                layer("nosql", groups=("db",), policy="pack"),
            ),
            groups={"db": "soft"},
        )

        scene = given(hosts(2), ask)
        assert sorted(placed(scene)) == ["h1", "h2"]

    def test_settled_8_a_hard_group_holds_while_things_move(self) -> None:
        scene = given(hosts(3), shop(2, anti_affinity="hard"))
        scene.ask(MigrateContainer(container="node1"))

        grown = scene.when(ScaleLayer(environment="shop", layer="app", by=1))

        assert code(grown) is Code.ANTIAFFINITY_VIOLATED


class TestSettled9OneOperationAtATime:
    def test_settled_9_a_second_one_is_queued(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(restart())
        scene.ask(restart(mode="simultaneous"))

        assert scene.operation(3).steps == ()
        scene.settle()
        assert scene.operation(3).outcome == "done"

    def test_settled_9_or_refused(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(restart())

        refusal = refused(scene.when(restart(queue=False)))

        assert refusal.code is Code.OPERATION_BUSY
        assert refusal.facts == {"operation": "op2"}

    def test_settled_9_refused_scale_out_places_nothing(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(restart())

        refusal = refused(
            scene.when(ScaleLayer(environment="shop", layer="app", by=1, queue=False))
        )

        assert refusal.code is Code.OPERATION_BUSY
        assert len(scene.fleet.containers) == 2

    def test_settled_9_they_take_their_turn_in_order(self) -> None:
        scene = given(hosts(3), shop(2))
        for _ in range(3):
            scene.ask(restart())
        scene.settle()

        begun = [f.operation for f in scene.happened(StepStarted) if f.kind is StepKind.RESTART]
        assert begun == ["op2", "op2", "op3", "op3", "op4", "op4"]

    def test_settled_9_another_layer_is_not_concerned(self) -> None:
        layers = (layer("app", count=2), layer("sql", count=2))
        scene = given(hosts(3), CreateEnvironment(environment="shop", layers=layers))
        scene.ask(restart())

        assert "StepStarted" in kinds(scene.when(restart(layer="sql")))


class TestSettled10:
    def test_settled_10_a_host_that_is_cordoned_receives_nothing(self) -> None:
        scene = given(hosts(2), CordonHost(host="h1"), shop(4))

        assert set(placed(scene)) == {"h2"}
        scene.ask(UncordonHost(host="h1"))
        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))
        assert list(placed(scene))[-1] == "h1"


class TestSettled11ScaleIn:
    def victims(self, scene: Scene, **how: object) -> tuple[str, ...]:
        ask = {"environment": "shop", "layer": "app", **how}
        return accepted(scene.when(ScaleLayer(**ask))).containers  # type: ignore[arg-type]

    def test_settled_11_takes_the_newest_first(self) -> None:
        assert self.victims(given(hosts(3), shop(5)), by=-2) == ("node5", "node4")

    def test_settled_11_skew_takes_whose_removal_evens_the_spread(self) -> None:
        scene = given(hosts(3), shop(4), MigrateContainer(container="node2", target="h1"))
        assert [scene.container(f"node{n}").host for n in (1, 2, 4)] == ["h1", "h1", "h1"]

        assert self.victims(scene, by=-1, victim="skew") == ("node4",)
        assert self.victims(scene, by=-1, victim="skew") == ("node2",)

    def test_settled_11_skew_looks_at_zones_after_hosts(self) -> None:
        scene = given([host("h1", "a"), host("h2", "b"), host("h3", "b")], shop(3))

        assert [scene.container(f"node{n}").host for n in (1, 2, 3)] == ["h1", "h2", "h3"]
        assert self.victims(scene, by=-1, victim="skew") == ("node3",)

    @pytest.mark.parametrize("victim", ["newest", "skew"])
    def test_settled_11_the_master_is_never_taken_while_others_remain(self, victim: str) -> None:
        scene = given(hosts(1), shop(4))

        assert "node1" not in self.victims(scene, count=1, victim=victim)


class TestSettled12Force:
    def test_settled_12_force_is_its_own_event_with_its_reason(self) -> None:
        scene = given(hosts(1, cloudlets=4), shop(1))

        commit = scene.when(ScaleNode(container="node1", reserved=6, force=True, reason="sale"))

        forced = one(commit, CapacityForced)
        assert (forced.cloudlets, forced.reason) == (2, "sale")
        assert facts(commit)[0] == forced

    def test_settled_12_without_it_the_host_is_not_overloaded(self) -> None:
        scene = given(hosts(1, cloudlets=4), shop(1))

        assert code(scene.when(ScaleNode(container="node1", reserved=6))) is (
            Code.CAPACITY_INSUFFICIENT
        )


def test_a_container_is_found_again_after_each_step() -> None:
    scene = given(hosts(3), shop(2), restart())

    routed = [fact.container for fact in scene.happened(ContainerRouted)]
    assert sorted(routed) == ["node1", "node1", "node2", "node2"]
