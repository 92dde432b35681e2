"""Live migration: done, refused, asked again; waiting, late, called off."""

import pytest
from msgspec.structs import replace

from domain.container import CapacityForced
from domain.decider import Ask
from domain.environment import CreateEnvironment
from domain.host import CordonHost
from domain.messages import (
    AskId,
    Code,
    ContainerId,
    EnvironmentId,
    HostId,
    LayerName,
    MigrationId,
    OrderId,
)
from domain.migration import (
    ARRIVING_MAX,
    LEAVING_MAX,
    MOVING_MAX,
    CallOffMigration,
    GrantMigration,
    MigrateContainer,
    Migration,
    MigrationAbandoned,
    MigrationCompleted,
    MigrationGranted,
    MigrationOverdue,
    MigrationPhaseReached,
    MigrationRequested,
    MigrationReverted,
    MigrationState,
    MigrationWaiting,
)
from domain.operation import CancelOperation, RestartLayer, ScaleLayer, StepStarted
from domain.orders import CallOff, MigrateOut, OrderIssued, ReportOrder, ReportPhase
from tests.examples import (
    Scene,
    accepted,
    code,
    done,
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


def move(container: str = "node1", **how: object) -> MigrateContainer:
    return MigrateContainer(container=container, **how)  # type: ignore[arg-type]


def migration(scene: Scene, number: int = 1) -> Migration:
    return scene.fleet.migrations[MigrationId(f"mv{number}")]


class TestMigrateContainer:
    def test_done_to_the_best_host(self) -> None:
        scene = given(hosts(3), shop(2))

        commit = scene.when(move())

        assert kinds(commit) == ["MigrationRequested", "MigrationGranted", "OrderIssued"]
        assert one(commit, MigrationGranted).target == "h3"
        assert accepted(commit).operation == "mv1"
        assert accepted(commit).containers == ("node1",)
        scene.settle()
        assert scene.container("node1").host == "h3"
        assert scene.container("node1").moves == 1

    def test_done_to_a_named_host(self) -> None:
        scene = given(hosts(3), shop(2), move(target="h2"))

        assert scene.container("node1").host == "h2"
        assert migration(scene).state is MigrationState.COMPLETED

    def test_it_keeps_running(self) -> None:
        scene = given(hosts(3), shop(2), move())

        assert scene.world.started[NODE1] == 1
        assert scene.container("node1").restarts == 0
        assert scene.container("node1").operable

    def test_its_figures_are_kept(self) -> None:
        scene = given(hosts(3), shop(2), move())

        (completed,) = scene.happened(MigrationCompleted)
        assert 0 < completed.freeze_ms < completed.total_ms
        assert migration(scene).freeze_ms == completed.freeze_ms
        assert [phase for phase, _ in migration(scene).phases] == ["frozen"]

    def test_the_agent_is_told_size_target_and_deadline(self) -> None:
        scene = given(hosts(2), shop(1, reserved=3, limit=5, disk_gib=7))

        commit = scene.when(move(deadline_s=12))

        assert one(commit, OrderIssued).work == MigrateOut(
            MigrationId("mv1"), HostId("h2"), 12_000, 3, 5, 7
        )

    @pytest.mark.parametrize(
        ("ask", "expected", "path"),
        [
            (move("node9"), Code.CONTAINER_NOT_FOUND, "$.container"),
            (move(target="h9"), Code.HOST_NOT_FOUND, "$.target"),
            (move(force=True), Code.REQUEST_INVALID, "$.target"),
            (move(target="h3"), Code.CAPACITY_INSUFFICIENT, "$.target"),
            (move(target="h4"), Code.CAPACITY_INSUFFICIENT, "$.target"),
            (move(target="h5"), Code.CAPACITY_INSUFFICIENT, "$.target"),
            (move(target="h2"), Code.ANTIAFFINITY_VIOLATED, "$.target"),
        ],
    )
    def test_refused(self, ask: MigrateContainer, expected: Code, path: str) -> None:
        fleet = [
            *hosts(2),
            host("h3", cloudlets=2),
            host("h4", disk_gib=1),
            host("h5"),
            CordonHost(host="h5"),
        ]
        scene = given(fleet, shop(2, reserved=4, disk_gib=2, anti_affinity="hard"))

        refusal = refused(scene.when(ask))

        assert (refusal.code, refusal.path) == (expected, path)

    def test_refused_where_no_host_fits(self) -> None:
        refusal = refused(given(hosts(1), shop(1)).when(move()))

        assert refusal.facts["objections"] == {"is its source": 1}

    def test_refused_for_one_that_does_not_run(self) -> None:
        scene = given(hosts(2), shop(1))
        scene.world.machines.crash(NODE1)
        scene.settle()

        assert code(scene.when(move())) is Code.MIGRATION_NOT_POSSIBLE

    def test_unchanged_when_it_is_there_already(self) -> None:
        assert unchanged(given(hosts(2), shop(1)).when(move(target="h1")))

    def test_refused_while_it_moves(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(move())

        refusal = refused(scene.when(move()))

        assert refusal.code is Code.OPERATION_BUSY
        assert refusal.facts == {"migration": "mv1"}


class TestForce:
    def test_in_spite_of_capacity_it_is_its_own_event(self) -> None:
        fleet = [host("h1"), host("h2", cloudlets=2)]
        scene = given(fleet, shop(1, reserved=5))

        commit = scene.when(move(target="h2", force=True, reason="fire"))

        assert one(commit, CapacityForced) == CapacityForced(HostId("h2"), NODE1, 3, "fire")
        scene.settle()
        assert scene.container("node1").host == "h2"

    def test_in_spite_of_a_cordon_it_is_its_own_event(self) -> None:
        scene = given(hosts(2), shop(1), CordonHost(host="h2"))

        commit = scene.when(move(target="h2", force=True, reason="fire"))

        assert one(commit, CapacityForced).cloudlets == 0

    def test_where_nothing_stands_against_it_there_is_nothing_to_say(self) -> None:
        commit = given(hosts(2), shop(1)).when(move(target="h2", force=True, reason="fire"))

        assert "CapacityForced" not in kinds(commit)

    def test_it_is_remembered_while_it_waits(self) -> None:
        scene = given([*hosts(2), host("h3", cloudlets=2)], shop(2, reserved=5))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))

        commit = scene.when(move(target="h3", force=True, reason="fire"))

        assert kinds(commit) == ["MigrationRequested"]
        scene.settle()
        assert scene.happened(CapacityForced) == [CapacityForced(HostId("h3"), NODE1, 3, "fire")]
        assert scene.container("node1").host == "h3"

    def test_disk_holds(self) -> None:
        fleet = [host("h1"), host("h2", disk_gib=1)]
        scene = given(fleet, shop(1, disk_gib=5))

        assert code(scene.when(move(target="h2", force=True))) is Code.CAPACITY_INSUFFICIENT

    def test_hard_groups_hold(self) -> None:
        scene = given(hosts(2), shop(2, anti_affinity="hard"))

        assert code(scene.when(move(target="h2", force=True))) is Code.ANTIAFFINITY_VIOLATED


class TestWaiting:
    def busy(self) -> Scene:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
        return scene

    def test_one_that_is_being_restarted_moves_afterwards(self) -> None:
        scene = self.busy()

        commit = scene.when(move())

        assert one(commit, MigrationRequested).waits_for == "op2 has node1"
        scene.settle()
        assert migration(scene).state is MigrationState.COMPLETED
        assert scene.operation(2).outcome == "done"

    def test_what_it_waits_for_is_said_anew_when_it_is_something_else(self) -> None:
        scene = self.busy()
        scene.ask(move())
        assert migration(scene).waits_for == "op2 has node1"
        while scene.container("node1").claim == "op2":
            scene.pass_(100)

        only = "node1 is the only operable container of shop/app (2 in all)"
        assert migration(scene).waits_for == only
        scene.settle()
        assert [said.waits_for for said in scene.happened(MigrationWaiting)] == [only]
        assert migration(scene).state is MigrationState.COMPLETED

    def test_where_no_host_has_room_any_more_it_says_so_once(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=20))
        other = scene.container("node2").host
        scene.ask(move("node1", target=other))
        scene.ask(CordonHost(host=other))
        scene.pass_(15_000)

        said = [one.waits_for for one in scene.happened(MigrationWaiting)]
        assert said == [f"{other} cannot take node1 now"]

    def test_refused_where_it_may_not_wait(self) -> None:
        assert code(self.busy().when(move(queue=False))) is Code.OPERATION_BUSY

    def test_the_last_operable_one_waits_or_is_refused(self) -> None:
        scene = self.busy()

        assert code(scene.when(move("node2", queue=False))) is Code.AVAILABILITY_WOULD_BREAK
        waits = one(scene.when(move("node2")), MigrationRequested).waits_for
        assert waits == "node2 is the only operable container of shop/app (2 in all)"

    def test_the_only_container_of_a_layer_may_move(self) -> None:
        assert "MigrationGranted" in kinds(given(hosts(2), shop(1)).when(move(queue=False)))

    def test_of_many_that_leave_one_host_some_wait(self) -> None:
        fleet = [host("h1", cloudlets=64), *hosts(8)[1:]]
        scene = given(fleet, shop(4, policy="pack"))
        source = scene.container("node1").host
        assert {c.host for c in scene.fleet.containers.values()} == {source}
        targets = [name for name in scene.fleet.hosts if name != source]
        for number in range(1, LEAVING_MAX + 2):
            scene.ask(move(f"node{number}", target=targets[number]))

        waits = migration(scene, LEAVING_MAX + 1).waits_for

        assert waits == f"{LEAVING_MAX} migrations leave {source} (at most {LEAVING_MAX})"
        scene.settle()
        assert migration(scene, LEAVING_MAX + 1).state is MigrationState.COMPLETED

    def test_of_many_that_arrive_at_one_host_some_wait(self) -> None:
        scene = given([*hosts(4), host("h9")], shop(4), CordonHost(host="h1"))
        movers = [c.id for c in scene.fleet.containers.values() if c.host != "h9"]
        for name in movers[: ARRIVING_MAX + 1]:
            scene.ask(move(name, target="h9"))

        waits = migration(scene, ARRIVING_MAX + 1).waits_for

        assert waits == f"{ARRIVING_MAX} migrations arrive at h9 (at most {ARRIVING_MAX})"
        scene.settle()
        assert all(one.finished_at for one in scene.fleet.migrations.values())

    def test_of_many_in_a_region_some_wait(self) -> None:
        count = MOVING_MAX + 2
        scene = given(hosts(2 * count, cloudlets=2), shop(count))
        free = [one.id for one in scene.fleet.hosts.values() if not one.containers]
        for number, target in zip(range(1, count + 1), free, strict=True):
            scene.ask(move(f"node{number}", target=target))

        waits = [one.waits_for for one in scene.fleet.migrations.values() if one.waits_for]

        assert waits == [f"{MOVING_MAX} migrations are under way (at most {MOVING_MAX})"] * 2
        scene.settle()
        states = {one.state for one in scene.fleet.migrations.values()}
        assert states == {MigrationState.COMPLETED}

    def test_what_it_waits_for_and_does_not_come_is_waited_for_ten_minutes(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(ContainerId("node2"))
        scene.settle()
        scene.ask(move())

        scene.settle()

        (abandoned,) = scene.happened(MigrationAbandoned)
        assert abandoned.detail.startswith("waited too long: node1 is the only operable")
        assert migration(scene).state is MigrationState.ABANDONED
        assert scene.container("node1").migration is None

    def test_room_that_is_gone_when_its_turn_comes_is_waited_for_too(self) -> None:
        scene = self.busy()
        scene.ask(move(target="h3"))
        scene.ask(CordonHost(host="h3"))

        scene.settle()

        (abandoned,) = scene.happened(MigrationAbandoned)
        assert "host h3 is cordoned" in abandoned.detail

    def test_one_that_is_removed_meanwhile_does_not_move(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(ScaleLayer(environment="shop", layer="app", count=2))
        assert done(scene.ask(move("node3")))

        scene.settle()

        (abandoned,) = scene.happened(MigrationAbandoned)
        assert abandoned.detail == "the container does not run any more"
        assert "node3" not in scene.fleet.containers

    def test_one_that_dies_meanwhile_does_not_move(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
        scene.ask(move("node1", target="h2"))
        scene.pass_(1)
        scene.world.machines.crash(ContainerId("node1"))
        scene.settle()

        assert migration(scene).finished_at

    def test_an_operation_waits_for_the_one_that_moves(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(move())

        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))

        assert scene.operation(2).detail == "mv1 has node1"
        scene.settle()
        assert scene.operation(2).outcome == "done"

    def test_the_oldest_is_served_first(self) -> None:
        scene = self.busy()
        for name in ("node1", "node2"):
            scene.ask(move(name))

        scene.settle()

        granted = [fact.migration for fact in scene.happened(MigrationGranted)]
        assert granted == ["mv1", "mv2"]


class TestEnding:
    def test_one_that_fails_runs_on_its_source(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", MigrateOut)

        scene.ask(move())
        scene.settle()

        (reverted,) = scene.happened(MigrationReverted)
        assert reverted.detail == "bad luck"
        assert scene.container("node1").host == "h1"
        assert scene.container("node1").operable

    def test_one_without_a_report_is_called_off_and_asked_after(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.unheard.add(MigrateOut)
        scene.ask(move())

        scene.settle()

        (overdue,) = scene.happened(MigrationOverdue)
        assert overdue.why == "no report within 30 s and the slack after it"
        assert [o.work for o in scene.happened(OrderIssued)][-1] == CallOff(MigrationId("mv1"))

    def test_called_off_too_late_it_is_where_it_went(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.unheard.add(MigrateOut)
        scene.ask(move())
        scene.settle()

        assert migration(scene).state is MigrationState.COMPLETED
        assert scene.container("node1").host == "h3"

    def test_the_report_of_one_that_was_called_off_changes_nothing_any_more(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.unheard.add(MigrateOut)
        scene.ask(move())
        scene.settle()
        before = scene.container("node1")
        (late,) = scene.world.machines.answered_unheard

        commit = scene.world.ask(late)

        assert kinds(commit) == ["OrderAnswered"]
        assert scene.container("node1") == before

    def test_without_a_reason_it_is_said_that_there_is_none(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", MigrateOut)
        scene.world.machines.excuse = ""

        scene.ask(move())
        scene.settle()

        assert migration(scene).detail == "the source agent gave no reason"

    def test_it_ends_exactly_once(self) -> None:
        scene = given(hosts(3), shop(2), move())
        again = ReportOrder(
            ask=AskId("again"),
            host=HostId("h1"),
            order=OrderId("or5"),
            done=False,
            located=HostId("h1"),
        )

        assert unchanged(scene.world.ask(again))


class TestPhases:
    def report(self, phase: str = "copying", host_: str = "h1", name: str = "a") -> ReportPhase:
        return ReportPhase(
            ask=name,  # type: ignore[arg-type]
            host=HostId(host_),
            migration=MigrationId("mv1"),
            phase=phase,
            after_ms=5,
        )

    def test_noted_from_either_host(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(move())

        scene.ask(self.report())
        scene.ask(self.report("resumed", "h3"))

        noted = [fact.phase for fact in scene.happened(MigrationPhaseReached)]
        assert noted == ["copying", "resumed"]

    @pytest.mark.parametrize("who", ["h2", "h9"])
    def test_not_from_others(self, who: str) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(move())

        assert unchanged(scene.ask(self.report(host_=who)))

    def test_once_each(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(move())
        scene.ask(self.report())

        assert unchanged(scene.ask(self.report(name="b")))

    def test_not_after_the_end(self) -> None:
        assert unchanged(given(hosts(3), shop(2), move()).ask(self.report("reachable")))

    def test_not_of_a_migration_that_is_not_known(self) -> None:
        assert unchanged(given().ask(self.report()))


class TestInternalAsks:
    """What sagas ask is harmless when it comes again or too late."""

    def test_granting_what_moves_already_or_is_not_known(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(move())

        assert unchanged(scene.ask(GrantMigration(migration="mv1")))
        assert unchanged(scene.ask(GrantMigration(migration="mv9")))

    def test_calling_off_what_is_over_or_is_not_known(self) -> None:
        scene = given(hosts(3), shop(2), move())

        assert unchanged(scene.ask(CallOffMigration(migration="mv1")))
        assert unchanged(scene.ask(CallOffMigration(migration="mv9")))

    def test_granting_what_is_there_already(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))
        scene.ask(move(target="h3"))
        moved = scene.container("node1")
        scene.fleet.put(scene.fleet.containers, moved.id, replace(moved, host=HostId("h3")))

        ask = Ask(AskId("look"), GrantMigration(migration="mv1"))
        commit = scene.world.region.decide(ask, scene.world.now)

        assert one(commit, MigrationAbandoned).detail == "the container is there already"


def test_two_moves_at_once_never_meet_in_a_hard_group() -> None:
    scene = given(hosts(3), shop(2, anti_affinity="hard"))
    first = scene.when(move("node1"))
    second = scene.when(move("node2"))

    assert one(first, MigrationGranted).target == "h3"
    assert code(second) is Code.ANTIAFFINITY_VIOLATED


def test_a_move_after_a_cancelled_restart_begins_at_once() -> None:
    scene = given(hosts(3), shop(2))
    scene.ask(RestartLayer(environment="shop", layer="app", delay_s=300))
    scene.pass_(30_000)
    scene.ask(CancelOperation(operation="op2"))

    assert "MigrationGranted" in kinds(scene.when(move()))
    assert scene.happened(StepStarted)


def test_both_are_charged_while_it_moves_and_one_after() -> None:
    scene = given(hosts(2), CreateEnvironment(environment="shop", layers=(layer(reserved=4),)))
    scene.ask(move())
    assert [one.used for one in scene.fleet.hosts.values()] == [4, 4]
    assert [one.used_disk for one in scene.fleet.hosts.values()] == [1, 1]

    scene.settle()

    assert [one.used for one in scene.fleet.hosts.values()] == [0, 4]
    assert scene.fleet.layers[EnvironmentId("shop"), LayerName("app")].containers == ("node1",)
    assert unchanged(scene.when(move(target="h2")))
