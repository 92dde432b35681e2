"""Emptying a host, and the way back: done, refused, asked again; what cannot go is said."""

import pytest
from msgspec.structs import replace

from domain.container import ContainerStopped
from domain.decider import Ask
from domain.environment import CreateEnvironment
from domain.evacuation import (
    TRIES_MAX,
    WAIT_MAX_MS,
    EvacuateHost,
    Evacuation,
    EvacuationFinished,
    EvacuationMoveBegun,
    EvacuationMoveEnded,
    EvacuationMoveReverted,
    EvacuationRequested,
    EvacuationState,
    EvacuationWaiting,
    PauseEvacuation,
    RestoreHost,
    ResumeEvacuation,
    StopEvacuation,
)
from domain.host import (
    CordonHost,
    HostEvacuated,
    HostEvacuating,
    HostState,
    RemoveHost,
    UncordonHost,
)
from domain.messages import (
    AskId,
    Code,
    Command,
    ContainerId,
    EvacuationId,
    HostId,
    MigrationId,
)
from domain.migration import (
    LEAVING_MAX,
    MOVING_MAX,
    MigrateContainer,
    MigrationState,
    MigrationStopped,
)
from domain.moves import MoveOutcome
from domain.operation import PauseOperation, RestartLayer, ScaleLayer
from domain.orders import MigrateOut, ReportHealth, ReportOrder, Start, Stop
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

H1 = HostId("h1")


def full(count: int = 3, **more: object) -> Scene:
    """Return a scene in which h1 carries all containers and h2, h3 are empty."""
    return given(host("h1"), shop(count, **more), host("h2"), host("h3"))


def ev(scene: Scene, number: int = 1) -> Evacuation:
    return scene.fleet.evacuations[EvacuationId(f"ev{number}")]


def state(scene: Scene, name: str = "h1") -> HostState:
    return scene.fleet.hosts[HostId(name)].state


def outcomes(scene: Scene, number: int = 1) -> dict[str, str]:
    """Return what became of each container."""
    return {one.container: one.outcome.value for one in ev(scene, number).over}


def homes(scene: Scene) -> dict[str, str]:
    return {one.id: one.host for one in scene.fleet.containers.values()}


EVACUATE = EvacuateHost(host="h1")


class TestEvacuateHost:
    def test_done(self) -> None:
        scene = full(3)

        commit = scene.when(EVACUATE)

        assert kinds(commit)[:2] == ["HostEvacuating", "EvacuationRequested"]
        assert accepted(commit).operation == "ev1"
        assert state(scene) is HostState.EVACUATING
        scene.settle()
        assert "h1" not in homes(scene).values()
        assert outcomes(scene) == dict.fromkeys(["node1", "node2", "node3"], "moved")
        assert (ev(scene).state, ev(scene).outcome) == (EvacuationState.FINISHED, "done")
        assert state(scene) is HostState.EVACUATED
        assert set(scene.world.started.values()) == {1}, "they were moved live"

    def test_it_is_known_before_that_it_can_be_done(self) -> None:
        commit = full(3).when(EVACUATE)

        requested = one(commit, EvacuationRequested)
        assert (requested.feasible, requested.missing_cloudlets) == ("feasible", 0)
        assert {str(wanted.target) for wanted in requested.plan} == {"h2", "h3"}
        assert accepted(commit).notices == ("feasible: there is a place for each of 3 containers",)

    def test_an_empty_host_is_evacuated_at_once(self) -> None:
        commit = given(hosts(2)).when(EVACUATE)

        assert kinds(commit) == [
            "HostEvacuating",
            "EvacuationRequested",
            "EvacuationFinished",
            "HostEvacuated",
        ]

    def test_done_to_the_hosts_that_are_named(self) -> None:
        scene = full(3)

        scene.ask(EvacuateHost(host="h1", targets=("h3",)))

        scene.settle()
        assert set(homes(scene).values()) == {"h3"}

    @pytest.mark.parametrize("at_once", [1, LEAVING_MAX])
    def test_no_more_at_once_than_asked_for(self, at_once: int) -> None:
        scene = full(4)

        commit = scene.ask(EvacuateHost(host="h1", at_once=at_once))

        assert kinds(commit).count("EvacuationMoveBegun") == at_once
        scene.settle()
        assert len(outcomes(scene)) == 4

    @pytest.mark.parametrize(
        ("ask", "expected", "path"),
        [
            (EvacuateHost(host="h9"), Code.HOST_NOT_FOUND, "$.host"),
            (EvacuateHost(host="h1", targets=("h2", "h9")), Code.HOST_NOT_FOUND, "$.targets"),
            (EvacuateHost(host="h1", targets=("h1",)), Code.REQUEST_INVALID, "$.targets"),
        ],
    )
    def test_refused(self, ask: EvacuateHost, expected: Code, path: str) -> None:
        refusal = refused(full(1).when(ask))

        assert (refusal.code, refusal.path) == (expected, path)

    def test_refused_where_nobody_there_could_move_anything(self) -> None:
        scene = full(1)
        lost = replace(scene.fleet.hosts[H1], state=HostState.LOST)
        scene.fleet.hosts[H1] = lost

        refusal = refused(scene.world.region.decide(Ask(AskId("x"), EVACUATE), scene.world.now))

        assert refusal.code is Code.MIGRATION_NOT_POSSIBLE

    def test_refused_where_the_way_back_goes_on(self) -> None:
        scene = full(2)
        for command in (EVACUATE, UncordonHost(host="h1")):
            scene.ask(command)
            scene.settle()
        scene.ask(RestoreHost(host="h1"))

        assert code(scene.when(EVACUATE)) is Code.OPERATION_BUSY

    def test_unchanged_while_it_goes_on_and_when_it_is_done(self) -> None:
        scene = full(2)
        scene.ask(EVACUATE)

        assert unchanged(scene.when(EVACUATE))
        scene.settle()
        assert unchanged(scene.when(EVACUATE))

    def test_refused_in_another_way_while_it_goes_on(self) -> None:
        scene = full(2)
        scene.ask(EVACUATE)

        refusal = refused(scene.when(EvacuateHost(host="h1", live=False)))

        assert refusal.code is Code.OPERATION_BUSY
        assert refusal.facts == {"evacuation": "ev1"}


class TestWhatCannotGo:
    def test_what_can_go_goes_and_the_rest_is_listed_with_what_is_missing(self) -> None:
        scene = given(host("h1", cloudlets=64), shop(3, reserved=10), host("h2", cloudlets=25))

        commit = scene.when(EVACUATE)

        requested = one(commit, EvacuationRequested)
        assert (requested.feasible, requested.missing_cloudlets) == ("infeasible", 5)
        (notice,) = accepted(commit).notices
        assert "5 cloudlets and 0 GiB are missing" in notice
        scene.settle()
        assert sorted(outcomes(scene).values()) == ["failed", "moved", "moved"]
        (finished,) = scene.happened(EvacuationFinished)
        assert (finished.outcome, finished.moved, len(finished.left)) == ("failed", 2, 1)
        assert finished.missing_cloudlets == 5
        assert state(scene) is HostState.EVACUATION_FAILED

    def test_each_has_a_reason_of_its_own(self) -> None:
        scene = given(host("h1"), shop(1, reserved=20), host("h2", cloudlets=4))

        scene.ask(EVACUATE)
        scene.settle()

        (ended,) = ev(scene).left
        assert "0 of 2 hosts fit a container of shop/app (20 cloudlets" in ended.detail

    def test_one_that_has_no_place_takes_nobodys(self) -> None:
        large = CreateEnvironment(environment="wide", layers=(layer(reserved=5),))
        scene = given(host("h1"), shop(2, reserved=3), large, host("h2", cloudlets=7))

        scene.ask(EVACUATE)
        scene.settle()

        assert sum(outcome == "moved" for outcome in outcomes(scene).values()) == 2

    def test_a_failed_one_can_be_asked_for_again_when_there_is_room(self) -> None:
        scene = given(host("h1"), shop(1, reserved=20), host("h2", cloudlets=4))
        scene.ask(EVACUATE)
        scene.settle()
        scene.ask(host("h3"))

        accepted(scene.when(EVACUATE))
        scene.settle()

        assert outcomes(scene, 2) == {"node1": "moved"}
        assert EvacuationId("ev1") not in scene.fleet.evacuations

    def test_one_that_does_not_run_cannot_be_moved_live(self) -> None:
        scene = full(3)
        scene.world.machines.crash(ContainerId("node1"))
        scene.pass_(300)

        scene.ask(EVACUATE)
        scene.settle()

        assert outcomes(scene) == {"node1": "failed", "node2": "moved", "node3": "moved"}
        assert "does not run" in ev(scene).left[0].detail

    def test_a_move_that_fails_is_tried_elsewhere_and_then_given_up(self) -> None:
        scene = given(host("h1"), shop(1), hosts(4)[1:])
        scene.fail("node1", MigrateOut, TRIES_MAX)

        scene.ask(EVACUATE)
        scene.settle()

        tried = [event.target for event in scene.happened(EvacuationMoveBegun)]
        assert len(set(tried)) == TRIES_MAX
        assert len(scene.happened(EvacuationMoveReverted)) == TRIES_MAX - 1
        (ended,) = ev(scene).over
        assert ended.detail == "bad luck (3 tries)"

    def test_a_move_that_fails_once_is_tried_on_the_same_host_where_there_is_no_other(self) -> None:
        scene = given(host("h1"), shop(1), host("h2")).fail("node1", MigrateOut)

        scene.ask(EVACUATE)
        scene.settle()

        assert homes(scene) == {"node1": "h2"}


class TestWhatIsWaitedFor:
    def blocked(self) -> Scene:
        """Return a scene in which a paused operation has the container of h1."""
        scene = full(1)
        scene.ask(RestartLayer(environment="shop", layer="app", accept_downtime=True))
        scene.ask(EVACUATE)
        return scene

    def test_a_container_that_an_operation_has_is_waited_for(self) -> None:
        scene = self.blocked()

        (waiting,) = scene.happened(EvacuationWaiting)
        assert waiting.why == "op2 has it"
        assert ev(scene).state is EvacuationState.WAITING
        scene.settle()
        assert outcomes(scene) == {"node1": "moved"}

    def test_not_for_ever(self) -> None:
        scene = full(1)
        scene.world.machines.slow["node1"] = 2 * WAIT_MAX_MS
        scene.ask(MigrateContainer(container="node1", target="h2", deadline_s=3_600))
        scene.ask(EvacuateHost(host="h1"))

        scene.pass_(WAIT_MAX_MS + 1)

        assert ev(scene).state in {EvacuationState.WAITING, EvacuationState.FINISHED}
        scene.settle()
        assert ev(scene).finished_at

    def test_what_is_on_its_way_to_the_host_goes_too(self) -> None:
        scene = full(1)
        scene.ask(MigrateContainer(container="node1", target="h2"))

        scene.ask(EvacuateHost(host="h2"))
        scene.settle()

        assert outcomes(scene) == {"node1": "moved"}
        assert homes(scene)["node1"] != "h2"

    def test_one_that_is_removed_meanwhile_is_gone(self) -> None:
        scene = full(3)
        scene.ask(EvacuateHost(host="h1", at_once=1))
        scene.ask(PauseEvacuation(evacuation="ev1"))

        scene.ask(ScaleLayer(environment="shop", layer="app", count=2))
        scene.settle()
        scene.ask(ResumeEvacuation(evacuation="ev1"))
        scene.settle()

        assert outcomes(scene) == {"node1": "moved", "node2": "moved", "node3": "gone"}
        assert ev(scene).outcome == "done"

    def test_one_that_somebody_moves_meanwhile_has_moved(self) -> None:
        scene = full(2)
        scene.ask(EvacuateHost(host="h1", at_once=1))
        scene.ask(PauseEvacuation(evacuation="ev1"))
        scene.settle()

        scene.ask(MigrateContainer(container="node2"))
        scene.settle()

        ended = next(one for one in ev(scene).over if one.container == "node2")
        assert (ended.outcome, ended.detail) == (MoveOutcome.MOVED, "another migration moved it")

    def test_when_as_many_move_as_may_it_waits(self) -> None:
        busy = MOVING_MAX // LEAVING_MAX
        scene = given(hosts(busy + 1, zones=9, cloudlets=64), shop(3 * busy + 3))
        for name in sorted(scene.fleet.hosts)[:busy]:
            scene.ask(EvacuateHost(host=name, targets=(sorted(scene.fleet.hosts)[busy],)))

        scene.settle()

        assert all(one.finished_at for one in scene.fleet.evacuations.values())

    def test_the_way_back_waits_while_as_many_arrive_as_may(self) -> None:
        scene = given(host("h1"), shop(4), host("h2"), host("h3"), EVACUATE)
        scene.ask(UncordonHost(host="h1"))
        for number in (1, 2):
            scene.ask(MigrateContainer(container=f"node{number}", target="h1"))

        scene.ask(RestoreHost(host="h1"))

        assert ev(scene, 2).why == "2 migrations arrive at h1 (at most 2)"
        scene.settle()
        assert set(homes(scene).values()) == {"h1"}

    def test_where_every_cap_is_taken_it_says_so(self) -> None:
        scene = full(2)
        scene.fleet.moving.update(
            {MigrationId(f"mv{n}"): ContainerId("node1") for n in range(100, 100 + MOVING_MAX)}
        )

        commit = scene.world.region.decide(Ask(AskId("x"), EVACUATE), scene.world.now)

        (waiting,) = [e.fact for e in commit.events if isinstance(e.fact, EvacuationWaiting)]
        assert waiting.why == "16 migrations are under way (at most 16)"


class TestOffline:
    def test_a_late_word_of_the_copy_that_is_gone_is_not_believed(self) -> None:
        scene = given(host("h1"), shop(1), host("h2"))
        scene.world.machines.slow["node1"] = 10
        scene.ask(EvacuateHost(host="h1", live=False))
        while not scene.happened(MigrationStopped):
            scene.pass_(5)

        late = ReportHealth(
            ask=AskId("late"), host=H1, container=ContainerId("node1"), healthy=True
        )
        commit = scene.world.put(Ask(AskId("late"), late))

        assert unchanged(commit)
        assert not scene.container("node1").running
        scene.settle()

    def test_one_that_runs_although_its_start_failed_runs(self) -> None:
        scene = given(host("h1"), shop(1), host("h2"))
        scene.ask(EvacuateHost(host="h1", live=False))
        while not scene.happened(MigrationStopped):
            scene.pass_(5)
        (order,) = scene.fleet.orders.values()
        said = ReportOrder(
            ask=AskId("y"), host=order.to, order=order.id, done=False, detail="late", running=True
        )

        commit = scene.world.region.decide(Ask(AskId("y"), said), scene.world.now)

        assert kinds(commit)[:2] == ["ContainerStarted", "MigrationCompleted"]

    def test_stopped_and_started_on_its_target(self) -> None:
        scene = full(2)

        scene.ask(EvacuateHost(host="h1", live=False))
        scene.settle()

        assert "h1" not in homes(scene).values()
        assert set(scene.world.started.values()) == {2}
        assert all(one.operable for one in scene.fleet.containers.values())

    def test_the_target_starts_it_only_when_the_source_has_confirmed(self) -> None:
        scene = full(1)

        commit = scene.ask(EvacuateHost(host="h1", live=False))

        (order,) = scene.fleet.orders.values()
        assert (type(order.work), order.to) == (Stop, "h1")
        assert "EvacuationMoveBegun" in kinds(commit)
        scene.settle()

    def test_one_that_does_not_run_is_moved_and_started(self) -> None:
        scene = full(2)
        scene.world.machines.crash(ContainerId("node1"))
        scene.pass_(300)

        scene.ask(EvacuateHost(host="h1", live=False))
        scene.settle()

        assert set(outcomes(scene).values()) == {"moved"}
        assert all(one.running for one in scene.fleet.containers.values())

    def test_what_the_target_cannot_start_goes_back(self) -> None:
        scene = given(host("h1"), shop(1), host("h2"))
        scene.fail("node1", Start)

        scene.ask(EvacuateHost(host="h1", live=False))
        scene.pass_(2_000)

        scene.settle()
        reverted = [
            m for m in scene.fleet.migrations.values() if m.state is MigrationState.REVERTED
        ]
        assert "h2 could not start it: bad luck" in reverted[0].detail
        assert homes(scene) == {"node1": "h2"}, "the second try"

    def test_what_cannot_be_stopped_stays_and_runs(self) -> None:
        scene = given(host("h1"), shop(1), host("h2"))
        scene.fail("node1", Stop, TRIES_MAX)

        scene.ask(EvacuateHost(host="h1", live=False))
        scene.settle()

        assert outcomes(scene) == {"node1": "failed"}
        assert scene.container("node1").operable
        assert not scene.happened(ContainerStopped)

    def test_never_zero_holds(self) -> None:
        scene = full(2)
        scene.world.machines.sick = {"node1"}
        scene.ask(EvacuateHost(host="h1", live=False))
        scene.pass_(5_000)

        operable = [one.id for one in scene.fleet.containers.values() if one.operable]

        assert operable == ["node2"]


class TestPauseResumeStop:
    def test_paused_nothing_more_begins(self) -> None:
        scene = full(4)
        scene.ask(EVACUATE)

        accepted(scene.when(PauseEvacuation(evacuation="ev1")))
        scene.settle()

        assert ev(scene).state is EvacuationState.PAUSED
        assert len(outcomes(scene)) == LEAVING_MAX

    def test_resumed_it_goes_on(self) -> None:
        scene = full(4)
        scene.ask(EVACUATE)
        scene.ask(PauseEvacuation(evacuation="ev1"))
        scene.settle()

        commit = scene.when(ResumeEvacuation(evacuation="ev1"))

        assert kinds(commit).count("EvacuationMoveBegun") == LEAVING_MAX
        scene.settle()
        assert ev(scene).outcome == "done"

    def test_stopped_those_under_way_are_finished_and_the_host_is_cordoned(self) -> None:
        scene = full(4)
        scene.ask(EVACUATE)

        accepted(scene.when(StopEvacuation(evacuation="ev1", reason="not today")))
        scene.settle()

        assert sorted(outcomes(scene).values()) == ["left", "left", "moved", "moved"]
        assert ev(scene).outcome == "stopped"
        assert state(scene) is HostState.CORDONED

    def test_stopped_a_move_that_fails_is_not_tried_again(self) -> None:
        scene = full(1).fail("node1", MigrateOut)
        scene.ask(EVACUATE)
        scene.ask(StopEvacuation(evacuation="ev1"))

        scene.settle()

        assert outcomes(scene) == {"node1": "failed"}

    def test_paused_what_arrives_is_listed_and_not_moved(self) -> None:
        scene = full(1)
        scene.ask(MigrateContainer(container="node1", target="h2"))
        scene.ask(EvacuateHost(host="h2"))
        scene.ask(PauseEvacuation(evacuation="ev1"))

        scene.settle()

        assert ev(scene).state is EvacuationState.PAUSED
        assert [wanted.container for wanted in ev(scene).todo] == ["node1"]
        scene.ask(ResumeEvacuation(evacuation="ev1"))
        scene.settle()
        assert ev(scene).outcome == "done"

    @pytest.mark.parametrize("asking", [PauseEvacuation, ResumeEvacuation, StopEvacuation])
    def test_refused_where_there_is_none_or_it_is_over(
        self, asking: type[PauseEvacuation | ResumeEvacuation | StopEvacuation]
    ) -> None:
        scene = full(1)

        assert code(scene.when(asking(evacuation="ev1"))) is Code.EVACUATION_NOT_FOUND
        scene.ask(EVACUATE)
        scene.settle()
        refusal = refused(scene.when(asking(evacuation="ev1")))
        assert (refusal.code, refusal.facts) == (Code.EVACUATION_ENDED, {"outcome": "done"})

    @pytest.mark.parametrize(
        ("first", "again"),
        [
            (PauseEvacuation, PauseEvacuation),
            (None, ResumeEvacuation),
            (StopEvacuation, StopEvacuation),
            (StopEvacuation, PauseEvacuation),
        ],
    )
    def test_unchanged_where_it_is_so_already(
        self, first: type[PauseEvacuation] | None, again: type[PauseEvacuation]
    ) -> None:
        scene = full(4)
        scene.ask(EVACUATE)
        if first is not None:
            scene.ask(first(evacuation="ev1"))

        assert unchanged(scene.when(again(evacuation="ev1")))


class TestRestoreHost:
    def away(self, count: int = 2, *more: Command) -> Scene:
        """Return a scene in which h1 was emptied and takes containers again."""
        scene = full(count)
        for command in (EVACUATE, UncordonHost(host="h1"), *more):
            scene.ask(command)
            scene.settle()
        return scene

    def test_done(self) -> None:
        scene = self.away(3)

        commit = scene.when(RestoreHost(host="h1"))

        assert accepted(commit).operation == "ev2"
        scene.settle()
        assert set(homes(scene).values()) == {"h1"}
        assert ev(scene, 2).outcome == "done"
        assert state(scene) is HostState.ACTIVE

    def test_what_was_moved_since_is_left_alone(self) -> None:
        scene = self.away(2)
        moved = scene.container("node1").host
        elsewhere = "h3" if moved == "h2" else "h2"
        scene.ask(MigrateContainer(container="node1", target=elsewhere))
        scene.settle()

        scene.ask(RestoreHost(host="h1"))
        scene.settle()

        assert homes(scene) == {"node1": elsewhere, "node2": "h1"}

    def test_what_does_not_fit_any_more_fails_and_says_why(self) -> None:
        wide = CreateEnvironment(environment="wide", layers=(layer(reserved=32),))
        scene = self.away(1, wide)

        scene.ask(RestoreHost(host="h1"))
        scene.settle()

        (ended,) = ev(scene, 2).over
        assert ended.outcome is MoveOutcome.FAILED
        assert "host h1 has 0 cloudlets free" in ended.detail
        assert ev(scene, 2).outcome == "failed"

    def test_refused_where_the_host_is_unknown_or_was_not_evacuated(self) -> None:
        scene = full(1)

        assert code(scene.when(RestoreHost(host="h9"))) is Code.HOST_NOT_FOUND
        assert code(scene.when(RestoreHost(host="h1"))) is Code.EVACUATION_NOT_FOUND

    def test_refused_while_it_is_emptied_and_while_it_takes_nothing(self) -> None:
        scene = full(1)
        scene.ask(EVACUATE)

        assert code(scene.when(RestoreHost(host="h1"))) is Code.OPERATION_BUSY
        scene.settle()
        refusal = refused(scene.when(RestoreHost(host="h1")))
        assert refusal.code is Code.MIGRATION_NOT_POSSIBLE
        assert "restow host uncordon h1" in refusal.detail

    def test_unchanged_while_it_goes_on_and_when_all_are_back(self) -> None:
        scene = self.away(1)
        scene.ask(RestoreHost(host="h1"))

        assert unchanged(scene.when(RestoreHost(host="h1")))
        scene.settle()
        assert unchanged(scene.when(RestoreHost(host="h1")))

    def test_a_host_that_is_removed_meanwhile_is_no_home(self) -> None:
        scene = self.away(3)
        scene.ask(RestoreHost(host="h1", at_once=1))
        scene.ask(PauseEvacuation(evacuation="ev2"))
        scene.settle()
        for command in (MigrateContainer(container="node1"), RemoveHost(host="h1")):
            scene.ask(command)
            scene.settle()

        scene.ask(ResumeEvacuation(evacuation="ev2"))
        scene.settle()

        assert sorted(outcomes(scene, 2).values()) == ["failed", "failed", "moved"]

    def test_stopped_the_host_stays_as_it_is(self) -> None:
        scene = self.away(4)
        scene.ask(RestoreHost(host="h1"))

        scene.ask(StopEvacuation(evacuation="ev2"))
        scene.settle()

        assert state(scene) is HostState.ACTIVE
        assert ev(scene, 2).outcome == "stopped"


class TestTheHost:
    def test_while_it_is_emptied_it_cannot_be_uncordoned(self) -> None:
        scene = full(1)
        scene.ask(EVACUATE)

        refusal = refused(scene.when(UncordonHost(host="h1")))

        assert (refusal.code, refusal.facts) == (Code.OPERATION_BUSY, {"evacuation": "ev1"})
        assert unchanged(scene.when(CordonHost(host="h1")))

    def test_it_receives_nothing_from_the_first_commit_on(self) -> None:
        scene = given(host("h1"), shop(1))

        commit = scene.ask(EVACUATE)

        assert isinstance(commit.events[0].fact, HostEvacuating)
        refusal = refused(scene.when(shop(1).__class__(environment="b", layers=(layer(),))))
        assert "1 evacuating" in refusal.detail or "1 evacuation_failed" in refusal.detail

    def test_emptied_it_can_be_removed_and_its_evacuation_is_forgotten(self) -> None:
        scene = full(1)
        scene.ask(EVACUATE)
        scene.settle()

        accepted(scene.when(RemoveHost(host="h1")))

        assert not scene.fleet.evacuations
        assert scene.happened(HostEvacuated)

    def test_two_at_once_each_come_to_their_end(self) -> None:
        scene = given(hosts(3), shop(6))

        for name in ("h1", "h2"):
            scene.ask(EvacuateHost(host=name))
        scene.settle()

        assert set(homes(scene).values()) == {"h3"}


def test_every_end_of_a_container_is_said_once() -> None:
    scene = full(4)
    scene.ask(EVACUATE)
    scene.ask(PauseOperation(operation="op1"))
    scene.settle()

    ended = [event.container for event in scene.happened(EvacuationMoveEnded)]
    assert sorted(ended) == ["node1", "node2", "node3", "node4"]
