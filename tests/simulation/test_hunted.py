"""Bugs that were hunted down once, each with the smallest story that shows it."""

from collections.abc import Callable

from domain.container import ContainerHalted
from domain.decider import Ask
from domain.deployment import RedeployLayer
from domain.environment import (
    CreateEnvironment,
    RemoveEnvironment,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuation import EvacuateHost
from domain.fleet import ALL_LAYERS, Fleet
from domain.growth import AdvanceGrowth, GrowthRequested, begin
from domain.host import RemoveHost
from domain.layers import NOTICES_MAX
from domain.messages import (
    AskId,
    Code,
    ContainerId,
    GrowthId,
    Instant,
    OperationId,
    PublicCommand,
    Refusal,
    Tenant,
)
from domain.migration import MigrateContainer, MigrationAbandoned, MigrationReverted
from domain.operation import (
    CancelOperation,
    OperationCancelled,
    OperationState,
    RestartLayer,
    ScaleLayer,
    ScaleNode,
)
from domain.orders import Halt, Redeploy, RouteIn, RouteOut, Start, Stop, Work
from domain.reactions import cancelled, wake
from restow.simulation.ending import check_end
from tests.examples import Scene, accepted, code, done, given, host, hosts, layer, refused, shop

LATE = 140_000
"""Later than a step waits for an answer, in milliseconds."""


def restart(*, delay_s: int = 0, surge: bool = False, ask: bool = False) -> RestartLayer:
    return RestartLayer(
        environment="shop",
        layer="app",
        delay_s=delay_s,
        surge=surge,
        ask=ask,
        on_failure="continue",
    )


def redeploy(image: str) -> RedeployLayer:
    return RedeployLayer(
        environment="shop", layer="app", image=image, delay_s=0, on_failure="continue"
    )


def by(scene: Scene, tenant: str, command: PublicCommand, name: str = "t") -> Code | None:
    """Ask as a tenant; return the code of the refusal, if it is one."""
    ask = Ask(AskId(name), command, tenant=Tenant(tenant), expect_version=command.expect_version)
    commit = scene.world.put(ask)
    return code(commit) if isinstance(commit.answer, Refusal) else None


def unhear(scene: Scene, work: type[Work]) -> Callable[[], None]:
    """Let nobody hear the answers to orders of a kind, until what is returned is called."""
    machines = scene.world.machines
    machines.unheard.add(work)

    def hear() -> None:
        machines.unheard.clear()
        for report in machines.answered_unheard:
            scene.world.report(report)
        machines.answered_unheard.clear()

    return hear


class TestMigrations:
    def test_one_that_waits_for_a_host_that_is_removed_ends_at_once(self) -> None:
        scene = given(hosts(4), shop(3))
        scene.ask(restart(delay_s=5))
        claimed = next(c.id for c in scene.fleet.containers.values() if c.claim)
        target = next(h.id for h in scene.fleet.hosts.values() if not h.containers)
        assert done(scene.ask(MigrateContainer(container=claimed, target=target)))

        scene.ask(RemoveHost(host=target))
        scene.settle()

        (abandoned,) = scene.happened(MigrationAbandoned)
        assert f"there is no host {target}" in abandoned.detail

    def test_a_container_that_a_late_stop_took_away_does_not_move_on(self) -> None:
        scene = given(hosts(4), shop(3))
        hear = unhear(scene, Stop)
        scene.ask(ScaleLayer(environment="shop", layer="app", by=-1))
        scene.pass_(LATE)
        scene.world.machines.deaf.add("node3")
        assert done(scene.ask(MigrateContainer(container="node3", deadline_s=300)))

        hear()
        scene.world.machines.deaf.clear()
        scene.settle()

        assert "node3" not in scene.fleet.containers
        assert [one.detail for one in scene.happened(MigrationReverted)] == ["it was removed"]
        scene.world.check_end()

    def test_a_late_stop_takes_nothing_away_that_was_started_again_meanwhile(self) -> None:
        scene = given(hosts(4), shop(3))
        hear = unhear(scene, Stop)
        scene.ask(ScaleLayer(environment="shop", layer="app", by=-1))
        scene.pass_(LATE)
        assert scene.operation(2).outcome == "failed"
        scene.ask(restart())
        scene.settle()

        hear()
        scene.settle()

        assert scene.names() == ("node1", "node2", "node3")
        scene.world.check_end()

    def test_what_was_never_started_moves_cold_and_is_started_there_by_whom_it_waits_for(
        self,
    ) -> None:
        scene = given(hosts(4), shop(2))
        scene.ask(restart(delay_s=30))
        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))
        was = scene.container("node3").host

        scene.ask(EvacuateHost(host=was, live=False))
        scene.pass_(10_000)

        moved = scene.container("node3")
        assert (moved.host != was, moved.running, moved.claim) == (True, False, "")
        scene.settle()
        assert scene.container("node3").operable
        scene.world.check_end()

    def test_what_moves_cold_and_will_never_be_started_goes(self) -> None:
        scene = given(hosts(4), shop(2))
        scene.ask(restart(delay_s=30))
        more = accepted(scene.ask(ScaleLayer(environment="shop", layer="app", by=1))).operation
        scene.ask(EvacuateHost(host=scene.container("node3").host, live=False))
        scene.pass_(1)
        assert scene.container("node3").target

        scene.ask(CancelOperation(operation=more))
        scene.settle()

        assert scene.names() == ("node1", "node2")
        scene.world.check_end()


class TestLateAnswers:
    def test_what_was_started_from_is_what_the_last_order_said(self) -> None:
        scene = given(hosts(4), shop(2))
        hear = unhear(scene, Redeploy)
        scene.ask(redeploy("restow/counter:1"))
        scene.pass_(LATE)
        scene.world.machines.unheard.clear()
        scene.ask(redeploy("restow/counter:2"))
        scene.settle()

        hear()
        scene.settle()

        images = [one.software.image for one in scene.fleet.containers.values() if one.software]
        assert images == ["restow/counter:2"] * 2
        scene.world.check_end()

    def test_a_halt_that_comes_true_when_its_environment_runs_again_is_a_failure(self) -> None:
        scene = given(hosts(4), shop(2))
        hear = unhear(scene, Halt)
        scene.ask(StopEnvironment(environment="shop"))
        scene.pass_(LATE)
        scene.ask(StartEnvironment(environment="shop"))
        scene.pass_(1)
        assert scene.container("node1").operable

        hear()
        scene.settle()

        one = scene.container("node1")
        assert (one.running, one.halted, one.introduced) == (False, False, True)
        scene.world.check_end()


class TestDns:
    def test_one_that_first_failed_to_start_is_made_findable_by_a_restart(self) -> None:
        scene = given(hosts(3))
        scene.fail("node2", Start).ask(shop(3))
        scene.settle()
        assert not scene.container("node2").running

        scene.ask(restart())
        scene.settle()

        assert scene.container("node2").operable

    def test_with_its_downtime_accepted_what_is_removed_leaves_no_record(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", RouteIn, times=9)
        scene.ask(restart())
        scene.settle()
        assert not scene.container("node1").routed
        scene.ask(ScaleLayer(environment="shop", layer="app", count=1, accept_downtime=True))

        scene.settle()

        assert scene.names() == ("node1",)
        assert not scene.world.machines.records

    def test_one_of_which_nobody_knows_whether_it_is_there_does_not_count(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", RouteIn)
        hear = unhear(scene, RouteOut)
        scene.ask(restart())
        scene.pass_(LATE)

        assert not scene.container("node1").operable
        assert scene.world.machines.records == {"node2"}
        scene.settle()
        assert scene.operation(2).outcome == "failed"
        hear()
        scene.world.check_end()

    def test_what_left_dns_by_a_late_answer_is_known_for_a_while_too(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", RouteIn)
        hear = unhear(scene, RouteOut)
        scene.ask(restart())
        scene.pass_(LATE)
        scene.ask(CancelOperation(operation="op2"))

        hear()
        scene.ask(StopEnvironment(environment="shop"))
        assert not [order for order in scene.fleet.orders.values() if order.container == "node1"]
        scene.settle()

        halted = [event.container for event in scene.happened(ContainerHalted)]
        assert sorted(halted) == ["node1", "node2"]
        scene.world.check_end()


class TestCancelled:
    def test_an_operation_that_asks_may_be_cancelled(self) -> None:
        scene = given(hosts(4), shop(3))
        asked = accepted(scene.ask(restart(ask=True, surge=True))).operation
        scene.settle()
        assert scene.operation(2).state is OperationState.ASKING

        scene.ask(CancelOperation(operation=asked))
        scene.settle()

        assert scene.operation(2).outcome == "cancelled"
        assert len(scene.names()) == 3

    def test_what_a_queued_operation_was_to_start_goes_with_it(self) -> None:
        scene = given(hosts(4), shop(3))
        scene.ask(restart(delay_s=30))
        surge = accepted(scene.ask(restart(surge=True))).operation
        more = accepted(scene.ask(ScaleLayer(environment="shop", layer="app", by=1))).operation

        for operation in (surge, more):
            scene.ask(CancelOperation(operation=operation))
        scene.settle()

        assert scene.names() == ("node1", "node2", "node3")
        scene.world.check_end()

    def test_what_another_operation_is_starting_stays(self) -> None:
        scene = given(hosts(3))
        scene.ask(shop(2))
        scene.ask(StopEnvironment(environment="shop"))
        start = accepted(scene.ask(StartEnvironment(environment="shop"))).operation

        scene.ask(CancelOperation(operation=start))
        scene.settle()

        assert scene.names() == ("node1", "node2")
        scene.world.check_end()

    def test_what_another_operation_will_start_stays(self) -> None:
        scene = given(hosts(4), shop(2))
        scene.ask(restart(delay_s=30))
        accepted(scene.ask(ScaleLayer(environment="shop", layer="app", by=1)))
        scene.ask(StopEnvironment(environment="shop"))
        start = accepted(scene.ask(StartEnvironment(environment="shop"))).operation

        scene.ask(CancelOperation(operation=start))
        scene.settle()

        assert scene.names() == ("node1", "node2", "node3")

    def test_what_was_placed_while_its_environment_stood_still_stays_and_others_start_it(
        self,
    ) -> None:
        scene = given(hosts(4), shop(2))
        scene.ask(StopEnvironment(environment="shop"))
        assert done(scene.ask(ScaleLayer(environment="shop", layer="app", by=1)))
        start = accepted(scene.ask(StartEnvironment(environment="shop"))).operation
        scene.ask(CancelOperation(operation=start))
        scene.ask(restart())

        scene.settle()

        assert scene.container("node3").operable
        check_end(scene.world)

    def test_what_may_yet_start_though_its_step_gave_up_stays(self) -> None:
        scene = given(hosts(3))
        scene.world.machines.deaf.add("node1")
        scene.ask(shop(2))
        scene.pass_(LATE)
        scene.ask(StopEnvironment(environment="shop"))
        start = accepted(scene.ask(StartEnvironment(environment="shop"))).operation

        scene.ask(CancelOperation(operation=start))
        scene.world.machines.deaf.clear()
        scene.settle()

        assert scene.names() == ("node1", "node2")
        scene.world.check_end()


class TestTenants:
    def test_an_id_that_another_uses_means_nothing(self) -> None:
        """A deadline, a report and another tenant's command each keep their own answer."""
        scene = given(hosts(4), shop(3))
        scene.ask(restart(delay_s=30))
        scene.pass_(8_000)
        saga, at = next(iter(scene.fleet.deadlines.items()))
        squat = restart()

        assert by(scene, "due", squat, f"{saga}/{at}") is Code.ENVIRONMENT_NOT_FOUND
        assert by(scene, "evil", squat, f"due-{saga}") is Code.ENVIRONMENT_NOT_FOUND
        scene.settle()

        assert scene.operation(2).outcome == "done"

    def test_a_tenant_named_like_a_host_cannot_answer_for_it(self) -> None:
        scene = given(hosts(4), shop(3))
        scene.ask(restart())
        order = next(iter(scene.fleet.orders.values()))

        assert by(scene, order.to, restart(), f"{order.id}/r") is Code.ENVIRONMENT_NOT_FOUND
        scene.settle()

        assert scene.operation(2).outcome == "done"

    def test_force_is_not_for_them(self) -> None:
        scene = given(hosts(2))
        assert by(scene, "t1", CreateEnvironment(environment="e", layers=(layer(),)), "c") is None
        forced = ScaleNode(container="node1", reserved=4_000, force=True, reason="mine")

        assert by(scene, "t1", forced) is Code.AUTH_DENIED

    def test_how_often_a_foreign_environment_changed_is_not_told(self) -> None:
        scene = given(hosts(2), shop(2))
        taken = CreateEnvironment(environment="shop", layers=(layer(),), expect_version=7)

        assert by(scene, "t1", taken) is Code.ENVIRONMENT_EXISTS


class TestBounds:
    def test_of_many_notices_it_is_only_said_how_many(self) -> None:
        links = {f"a{n}": "localhost" for n in range(200)}
        commit = given(hosts(2)).ask(shop(2, variables=links))

        notices = accepted(commit).notices
        assert len(notices) == NOTICES_MAX + 1
        assert notices[-1] == "and 180 more of the kind"

    def test_no_host_is_called_what_dns_and_balancer_are_called(self) -> None:
        assert refused(given().ask(host("routing"))).path == "$.host"


class TestLeavingLayers:
    def test_one_whose_last_container_goes_late_goes_too(self) -> None:
        scene = given(hosts(3), shop(1))
        hear = unhear(scene, Stop)
        scene.ask(RemoveEnvironment(environment="shop"))
        scene.pass_(LATE)
        assert scene.operation(2).outcome == "failed"

        hear()
        scene.settle()

        assert not scene.fleet.environments
        scene.world.check_end()

    def test_the_record_of_a_container_that_goes_late_goes_too(self) -> None:
        scene = given(hosts(3), shop(2))
        hear = unhear(scene, Stop)
        scene.ask(ScaleLayer(environment="shop", layer="app", count=1))
        scene.pass_(LATE)
        assert scene.operation(2).outcome == "failed"
        assert scene.world.machines.records == {"node1", "node2"}

        hear()
        scene.settle()

        assert scene.world.machines.records == set(scene.fleet.containers) == {"node1"}
        assert not scene.fleet.orders
        scene.world.check_end()


class TestTurns:
    def test_who_waits_looks_again_in_turn_whatever_was_tried_out_meanwhile(self) -> None:
        """A plan that was played out and taken back leaves the table in another order."""
        first, second = Fleet(), Fleet()
        for name in ("ev1", "mv1", "op2"):
            first.put(first.waiting, name, ALL_LAYERS)
        for name in ("op2", "mv1", "ev1"):
            second.put(second.waiting, name, ALL_LAYERS)

        assert wake(first, None) == wake(second, None)


def test_who_waits_to_grow_looks_in_turn_also_after_something_was_tried_out():
    fleet, operation = Fleet(), OperationId("op1")
    for number in range(2, 12):
        asked = GrowthRequested(
            GrowthId(f"gr{number}"), ContainerId(f"node{number}"), 1, 4, Instant(9), operation
        )
        fleet.put_growth(begin(asked, (1, 1), Instant(0)))
    fleet.try_out()
    fleet.put(fleet.growing, "gr2", None)
    fleet.undo()

    asks = cancelled(fleet, OperationCancelled(operation))

    looking = [ask.growth for ask in asks if isinstance(ask, AdvanceGrowth)]
    assert looking == [f"gr{number}" for number in range(2, 12)]
