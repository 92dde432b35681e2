"""Environments that stand still and run again: done, refused, asked again."""

from domain.certificate import Certificate
from domain.certifier import Certifier
from domain.container import ContainerHalted, ContainerPlaced, ContainerRemoved, ContainerStarted
from domain.environment import (
    AddLayer,
    CreateEnvironment,
    LayerSpec,
    RemoveEnvironment,
    StartEnvironment,
    StopEnvironment,
)
from domain.messages import Code, ContainerId, EnvironmentId
from domain.migration import MigrateContainer, MigrationState
from domain.operation import (
    CancelOperation,
    OperationFinished,
    OperationStarted,
    PauseOperation,
    RestartLayer,
    ResumeOperation,
    ScaleLayer,
    ScaleNode,
    SetCloudletLimits,
    Stage,
    StepAdvanced,
)
from domain.orders import Halt, OrderIssued, RouteIn, RouteOut, Start
from domain.wire import chain, decode_frame
from tests.examples import Scene, accepted, code, facts, given, hosts, refused, shop, unchanged

STOP, START = StopEnvironment(environment="shop"), StartEnvironment(environment="shop")
SHOP = CreateEnvironment(
    environment="shop",
    layers=(LayerSpec(name="bl"), LayerSpec(name="app", count=2), LayerSpec(name="sql")),
)


def state(scene: Scene) -> str:
    return scene.fleet.environments[EnvironmentId("shop")].state.value


def halted(scene: Scene) -> list[str]:
    scene.world.check_end()
    return [one.id for one in scene.fleet.containers.values() if one.halted]


def operable(scene: Scene) -> list[str]:
    scene.world.check_end()
    return [one.id for one in scene.fleet.containers.values() if one.operable]


def certificates(scene: Scene) -> dict[str, Certificate]:
    certifier = Certifier()
    journal = [(decode_frame(data), chain(data)) for data in scene.world.journal]
    return {one.subject: one for frame, hash_ in journal for one in certifier.take(frame, hash_)}


ALL = ["node1", "node2", "node3", "node4"]


class TestStopEnvironment:
    def test_done_with_an_operation_on_each_layer(self) -> None:
        scene = given(hosts(3), SHOP)

        commit = scene.when(STOP)

        assert accepted(commit).operations == ("op4", "op5", "op6")
        scene.settle()
        assert halted(scene) == ALL
        assert not scene.world.truth
        assert not scene.world.machines.records
        assert state(scene) == "stopped"

    def test_each_is_out_of_dns_before_it_is_halted(self) -> None:
        scene = given(hosts(3), SHOP, STOP)

        works = [
            (fact.container, type(fact.work))
            for fact in scene.happened(OrderIssued)
            if fact.saga in {"op4", "op5", "op6"}
        ]
        for name in ALL:
            assert [work for one, work in works if one == name] == [RouteOut, Halt]
        drained = [s.container for s in scene.happened(StepAdvanced) if s.stage is Stage.DRAINING]
        assert sorted(drained) == ALL

    def test_nothing_is_removed_and_what_is_reserved_stays(self) -> None:
        before, after = given(hosts(3), SHOP), given(hosts(3), SHOP, STOP)

        assert after.happened(ContainerRemoved) == []
        assert after.fleet.hosts == before.fleet.hosts

    def test_unchanged_when_it_is_stopped_or_stopping(self) -> None:
        scene = given(hosts(3), SHOP)
        scene.ask(STOP)

        assert unchanged(scene.when(STOP))
        scene.settle()
        assert unchanged(scene.when(STOP))

    def test_asked_again_it_stops_what_a_failure_left_running(self) -> None:
        scene = given(hosts(3), SHOP).fail("node2", Halt)
        scene.ask(STOP)
        scene.settle()
        assert operable(scene) == ["node2"]

        commit = scene.when(STOP)

        assert accepted(commit).operation == "op7"
        scene.settle()
        assert halted(scene) == ALL

    def test_refused_where_there_is_none_or_it_is_being_removed(self) -> None:
        assert code(given().when(STOP)) is Code.ENVIRONMENT_NOT_FOUND
        scene = given(hosts(1), shop(1))
        scene.ask(RemoveEnvironment(environment="shop"))
        assert code(scene.when(STOP)) is Code.ENVIRONMENT_LEAVING

    def test_it_waits_for_the_operation_at_work_on_a_layer(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))

        scene.ask(STOP)
        scene.settle()

        assert scene.operation(2).outcome == "done"
        assert halted(scene) == ["node1", "node2"]

    def test_a_migration_that_waits_is_abandoned(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
        scene.ask(MigrateContainer(container="node1"))
        scene.ask(STOP)
        scene.settle()

        (migration,) = scene.fleet.migrations.values()
        assert migration.state in {MigrationState.ABANDONED, MigrationState.COMPLETED}
        assert halted(scene) == ["node1", "node2"]

    def test_one_whose_host_does_not_answer_runs_on_and_is_stopped_when_asked_again(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.deaf.add("node2")
        scene.ask(STOP)
        scene.settle()
        assert scene.operation(2).outcome == "failed"
        assert [one.id for one in scene.fleet.containers.values() if one.running] == ["node2"]
        scene.world.machines.deaf.clear()

        scene.ask(STOP)

        assert halted(scene.settle()) == ["node1", "node2"]
        assert not scene.world.machines.records

    def test_paused_it_begins_nothing_more_and_cancelled_it_leaves_the_rest_running(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
        scene.ask(STOP)
        scene.ask(PauseOperation(operation="op3"))
        scene.settle()
        assert operable(scene) == ["node1", "node2"]

        scene.ask(ResumeOperation(operation="op3"))
        assert halted(scene.settle()) == ["node1", "node2"]

    def test_cancelled_while_it_waits_all_runs_on_until_it_is_asked_again(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
        scene.ask(STOP)
        scene.ask(CancelOperation(operation="op3"))
        assert operable(scene.settle()) == ["node1", "node2"]

        scene.ask(STOP)

        assert halted(scene.settle()) == ["node1", "node2"]

    def test_its_certificate_says_that_downtime_was_accepted_and_of_no_failure(self) -> None:
        scene = given(hosts(3), shop(2), STOP)

        (zero,) = certificates(scene)["op2"].zeros
        assert zero.excuses == ("accepted downtime of op2",)

    def test_one_that_was_down_is_halted_too(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(ContainerId("node1"))
        scene.settle()

        scene.ask(STOP)
        scene.settle()

        assert halted(scene) == ["node1", "node2"]
        assert len(scene.happened(ContainerHalted)) == 2


class TestAStoppedEnvironment:
    def test_restart_and_migration_are_refused_with_the_way_on(self) -> None:
        scene = given(hosts(3), shop(2), STOP)

        for ask in (
            RestartLayer(environment="shop", layer="app"),
            MigrateContainer(container="node1"),
            SetCloudletLimits(environment="shop", layer="app", reserved=2, surge=True),
        ):
            refusal = refused(scene.when(ask))
            assert refusal.code is Code.ENVIRONMENT_STOPPED
            assert "restow env start shop" in refusal.detail

    def test_what_is_added_is_placed_and_starts_with_it(self) -> None:
        scene = given(hosts(3), shop(2), STOP)

        commit = scene.when(ScaleLayer(environment="shop", layer="app", by=1))

        assert accepted(commit).notices == ("environment shop is stopped; they start with it",)
        assert [type(fact) for fact in facts(commit)] == [ContainerPlaced]
        scene.ask(AddLayer(environment="shop", layer=LayerSpec(name="sql")))
        assert halted(scene.settle()) == ["node1", "node2", "node3", "node4"]
        scene.ask(START)
        assert operable(scene.settle()) == ["node1", "node2", "node3", "node4"]

    def test_it_can_be_scaled_in_and_its_limits_changed(self) -> None:
        scene = given(hosts(3), shop(3), STOP)
        scene.ask(ScaleLayer(environment="shop", layer="app", count=2))
        scene.ask(SetCloudletLimits(environment="shop", layer="app", reserved=2, limit=4))
        scene.ask(ScaleNode(container="node1", reserved=3))
        scene.settle()

        assert scene.names() == ("node1", "node2")
        scene.ask(START)
        assert operable(scene.settle()) == ["node1", "node2"]
        assert scene.container("node2").applied == 2

    def test_one_that_has_never_run_is_not_put_into_dns_by_other_limits(self) -> None:
        scene = given(hosts(3), shop(2), STOP)
        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))

        scene.ask(SetCloudletLimits(environment="shop", layer="app", reserved=2, limit=4))

        assert halted(scene.settle()) == ["node1", "node2", "node3"]
        assert not scene.world.machines.records

    def test_it_can_be_removed(self) -> None:
        scene = given(hosts(3), SHOP, STOP, RemoveEnvironment(environment="shop"))

        assert not scene.fleet.environments
        assert not any(host.used for host in scene.fleet.hosts.values())


class TestStartEnvironment:
    def test_done_layer_after_layer(self) -> None:
        scene = given(hosts(3), SHOP, STOP)

        commit = scene.when(START)

        assert accepted(commit).operations == ("op7", "op8", "op9")
        scene.settle()
        assert operable(scene) == ALL
        assert state(scene) == "active"
        story = [
            (type(fact).__name__, fact.operation)
            for _, fact in scene.world.happened()
            if isinstance(fact, OperationStarted | OperationFinished)
        ]
        assert story[-6:] == [
            (kind, name)
            for name in ("op7", "op8", "op9")
            for kind in ("OperationStarted", "OperationFinished")
        ]

    def test_all_that_a_container_has_is_as_before(self) -> None:
        how = {"volumes": ("/data",), "variables": {"DB": "sql"}, "ports": (80,), "limit": 8}
        scene = given(hosts(3), shop(2, **how), STOP, START)

        starts = [fact for fact in scene.happened(OrderIssued) if isinstance(fact.work, Start)]
        first, again = starts[:2], starts[2:]
        assert [(o.to, o.container, o.work) for o in again] == [
            (o.to, o.container, o.work) for o in first
        ]
        assert isinstance(again[0].work, Start)
        assert again[0].work.volumes == ("/data",)

    def test_cancelled_it_removes_nothing_and_can_be_asked_again(self) -> None:
        scene = given(hosts(3), SHOP, STOP)
        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))
        scene.ask(START)
        scene.ask(CancelOperation(operation="op8"))
        scene.settle()
        assert scene.happened(ContainerRemoved) == []
        assert halted(scene) == ["node2", "node3", "node5"]

        scene.ask(START)

        assert operable(scene.settle()) == [*ALL, "node5"]

    def test_what_is_not_to_queue_is_told_what_it_would_wait_for(self) -> None:
        scene = given(hosts(3), SHOP, STOP)
        scene.ask(START)

        refusal = refused(scene.when(RestartLayer(environment="shop", layer="app", queue=False)))

        assert (refusal.code, refusal.facts) == (Code.OPERATION_BUSY, {"operation": "op8"})
        assert "operation op8" in refusal.detail

    def test_asked_while_it_is_still_stopping_it_starts_after_that(self) -> None:
        scene = given(hosts(3), SHOP)
        scene.ask(STOP)

        scene.ask(START)

        assert operable(scene.settle()) == ALL
        assert len(scene.happened(ContainerHalted)) == 4

    def test_a_layer_that_fails_does_not_keep_the_next_from_starting(self) -> None:
        scene = given(hosts(3), SHOP, STOP).fail("node1", Start)

        scene.ask(START)

        assert operable(scene.settle()) == ["node2", "node3", "node4"]

    def test_asked_again_it_starts_what_does_not_run(self) -> None:
        scene = given(hosts(3), SHOP, STOP).fail("node1", Start)
        scene.ask(START)
        scene.settle()

        scene.when(START)

        assert operable(scene.settle()) == ALL

    def test_asked_again_it_puts_back_into_dns_what_a_failure_left_out(self) -> None:
        scene = given(hosts(3), SHOP).fail("node2", RouteIn)
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0, on_failure="continue"))
        scene.settle()
        assert operable(scene) == ["node1", "node3", "node4"]
        starts = len(scene.happened(ContainerStarted))

        commit = scene.when(START)

        assert accepted(commit).operations == ("op5",)
        assert operable(scene.settle()) == ALL
        assert len(scene.happened(ContainerStarted)) == starts
        assert unchanged(scene.when(START))

    def test_another_operation_does_not_put_it_back(self) -> None:
        scene = given(hosts(3), SHOP).fail("node2", RouteIn)
        how = RestartLayer(environment="shop", layer="app", delay_s=0, on_failure="continue")
        scene.ask(how)
        scene.settle()

        scene.ask(how)
        scene.settle()

        assert operable(scene) == ["node1", "node3", "node4"]

    def test_what_runs_out_of_dns_and_is_not_healthy_is_said_and_stays_out(self) -> None:
        scene = given(hosts(3), SHOP)
        scene.world.machines.sick.add("node2")
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0, on_failure="continue"))
        scene.settle()

        scene.ask(START)
        scene.settle()

        assert operable(scene) == ["node1", "node3", "node4"]
        (last,) = [one for one in scene.happened(OperationFinished) if one.operation == "op5"]
        assert last.outcome == "failed"

    def test_unchanged_where_all_runs(self) -> None:
        assert unchanged(given(hosts(3), SHOP).when(START))

    def test_refused_where_there_is_none_or_it_is_being_removed(self) -> None:
        assert code(given().when(START)) is Code.ENVIRONMENT_NOT_FOUND
        scene = given(hosts(1), shop(1))
        scene.ask(RemoveEnvironment(environment="shop"))
        assert code(scene.when(START)) is Code.ENVIRONMENT_LEAVING


def test_a_restart_that_finds_a_container_halted_puts_it_back_into_dns() -> None:
    """Stopped, started, that cancelled, and the restart that was asked for goes on: it serves."""
    scene = given(hosts(3), shop(2))
    scene.ask(STOP)
    scene.ask(START)
    scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0, accept_downtime=True))
    scene.ask(CancelOperation(operation="op3"))
    scene.settle()

    assert operable(scene) == ["node1", "node2"]
    assert scene.world.machines.records == {ContainerId("node1"), ContainerId("node2")}
