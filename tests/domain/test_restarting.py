"""Restarts, and what may be done to an operation under way: done, refused, asked again."""

import pytest

from domain.container import (
    ContainerRestarted,
    ContainerRouted,
    ContainerStopped,
    ContainerUnrouted,
)
from domain.messages import Code, ContainerId
from domain.operation import (
    CancelOperation,
    DelayStarted,
    OperationAsked,
    OperationCancelled,
    OperationFinished,
    OperationPaused,
    OperationRequested,
    OperationResumed,
    OperationState,
    Outcome,
    PauseOperation,
    RestartLayer,
    ResumeOperation,
    ScaleLayer,
    Stage,
    StepAdvanced,
    StepFinished,
    StepKind,
    StepStarted,
)
from domain.orders import OrderIssued, Restart, RouteIn, RouteOut, Start
from tests.examples import Scene, code, done, facts, given, hosts, one, refused, shop, unchanged


def restart(**how: object) -> RestartLayer:
    ask = {"environment": "shop", "layer": "app", "delay_s": 0, **how}
    return RestartLayer(**ask)  # type: ignore[arg-type]


def restarted(scene: Scene) -> list[str]:
    """Return which containers were restarted, in order."""
    return [fact.container for fact in scene.happened(ContainerRestarted)]


class TestRestartLayer:
    def test_done_one_by_one_in_ascending_number(self) -> None:
        scene = given(hosts(3), shop(3), restart())

        assert restarted(scene) == ["node1", "node2", "node3"]
        assert scene.operation(2).outcome == "done"
        assert all(scene.container(name).operable for name in scene.names())

    def test_the_next_one_only_when_the_last_is_healthy_and_in_dns(self) -> None:
        scene = given(hosts(3), shop(3), restart())

        story = [fact for _, fact in scene.world.happened()][-80:]
        begun = [n for n, fact in enumerate(story) if isinstance(fact, StepStarted)]
        back = [n for n, fact in enumerate(story) if isinstance(fact, ContainerRouted)]
        assert begun[1] > back[0]
        assert begun[2] > back[1]

    def test_done_all_at_once(self) -> None:
        scene = given(hosts(3), shop(3))

        commit = scene.when(restart(mode="simultaneous"))

        orders = [f for f in facts(commit) if isinstance(f, OrderIssued)]
        assert [order.work for order in orders] == [Restart(), Restart(), Restart()]
        scene.settle()
        assert scene.operation(2).outcome == "done"

    def test_refused_where_there_is_no_such_layer(self) -> None:
        assert code(given(hosts(1), shop(1)).when(restart(layer="x"))) is Code.LAYER_NOT_FOUND

    def test_refused_with_a_rollback_for_there_is_nothing_to_go_back_to(self) -> None:
        assert refused(given(hosts(2), shop(2)).when(restart(on_failure="rollback"))).path == (
            "$.on_failure"
        )

    def test_asked_twice_it_queues_and_restarts_twice(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(restart())

        commit = scene.when(restart())

        assert one(commit, OperationRequested).behind == "op2"
        scene.settle()
        assert restarted(scene) == ["node1", "node2", "node1", "node2"]

    def test_with_surge_a_further_container_comes_first_and_goes_last(self) -> None:
        scene = given(hosts(3), shop(2), restart(surge=True))

        steps = [step for step in scene.happened(StepStarted) if step.operation == "op2"]
        assert [(step.container, step.kind) for step in steps] == [
            ("node3", StepKind.START),
            ("node1", StepKind.RESTART),
            ("node2", StepKind.RESTART),
            ("node3", StepKind.REMOVE),
        ]
        assert scene.names() == ("node1", "node2")

    def test_refused_with_surge_where_there_is_no_room_for_it(self) -> None:
        scene = given(hosts(1, cloudlets=2), shop(2))

        assert code(scene.when(restart(surge=True))) is Code.CAPACITY_INSUFFICIENT

    def test_a_surge_container_that_does_not_start_goes_and_nobody_is_restarted(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node3", Start)

        scene.ask(restart(surge=True))
        scene.settle()

        assert scene.operation(2).outcome == "failed"
        assert restarted(scene) == []
        assert scene.names() == ("node1", "node2")

    def test_a_container_that_is_gone_by_then_is_skipped_without_a_delay(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(ScaleLayer(environment="shop", layer="app", count=2))
        scene.ask(restart(delay_s=5))
        scene.settle()

        over = [(step.planned.container, step.outcome) for step in scene.operation(3).over]
        assert over == [
            ("node1", Outcome.DONE),
            ("node2", Outcome.DONE),
            ("node3", Outcome.SKIPPED),
        ]

    def test_without_leaving_dns(self) -> None:
        scene = given(hosts(3), shop(2), restart(remove_from_dns=False))

        assert scene.happened(ContainerUnrouted) == []
        assert restarted(scene) == ["node1", "node2"]


class TestAStepThatFails:
    def test_stop_leaves_the_rest_alone(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node2", Restart)

        scene.ask(restart())
        scene.settle()

        operation = scene.operation(2)
        assert operation.outcome == "failed"
        assert operation.detail == "restart failed: bad luck"
        assert restarted(scene) == ["node1"]
        assert scene.happened(OperationFinished)[-1].failed == 1

    def test_continue_goes_on(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node2", Restart)

        scene.ask(restart(on_failure="continue"))
        scene.settle()

        finished = scene.happened(OperationFinished)[-1]
        assert (finished.outcome, finished.done, finished.failed) == ("failed", 2, 1)
        assert restarted(scene) == ["node1", "node3"]

    def test_an_order_without_an_answer_fails_its_step(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.deaf.add("node1")

        scene.ask(restart(remove_from_dns=False))
        scene.settle()

        assert scene.operation(2).detail == "restart failed: no answer within 130 s"

    def test_one_that_does_not_become_healthy_fails_its_step(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.sick.add("node1")

        scene.ask(restart())
        scene.settle()

        assert scene.operation(2).detail == "not healthy within 120 s"
        assert not scene.container("node1").operable

    def test_a_removal_from_dns_that_cannot_be_confirmed_stops_before_the_restart(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", RouteOut)

        scene.ask(restart())
        scene.settle()

        assert scene.operation(2).detail == (
            "its removal from DNS could not be confirmed: bad luck"
        )
        assert restarted(scene) == []

    def test_after_a_removal_that_was_confirmed_too_late_it_is_back_in_dns(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.slow["node1"] = 140_000

        scene.ask(restart())
        scene.settle()

        assert "could not be confirmed: no answer" in scene.operation(2).detail
        assert scene.container("node1").routed
        assert scene.container("node1").operable

    @pytest.mark.parametrize(
        ("cut", "said"), [(0, ""), (1, "1 session cut"), (3, "3 sessions cut")]
    )
    def test_sessions_that_were_cut_are_counted_and_said(self, cut: int, said: str) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.clinging["node1"] = cut

        scene.ask(restart())
        scene.settle()

        assert [fact.cut for fact in scene.happened(ContainerUnrouted)] == [cut, 0]
        assert [fact.detail for fact in scene.happened(StepFinished)][-2:] == [said, ""]

    def test_the_router_is_told_ports_and_that_the_layers_last_record_stays(self) -> None:
        scene = given(hosts(3), shop(2), restart())

        works = [fact.work for fact in scene.happened(OrderIssued)]
        outs = [work for work in works if isinstance(work, RouteOut)]
        assert [work.keep_last for work in outs] == [True, True]
        names = ("node1-shop.restow.internal", "app.shop.restow.internal")
        assert outs[0].names == names
        (spec,) = (layer.spec for layer in scene.fleet.layers.values())
        assert (outs[0].ports, outs[0].stateful) == (spec.ports, spec.stateful)

    def test_a_return_into_dns_that_cannot_be_confirmed_is_said(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", RouteIn)

        scene.ask(restart())
        scene.settle()

        assert scene.operation(2).detail == "its return into DNS could not be confirmed: bad luck"

    def test_a_host_that_gives_no_reason(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", Restart)
        scene.world.machines.excuse = ""

        scene.ask(restart())
        scene.settle()

        assert scene.operation(2).detail == "restart failed: the agent gave no reason"


class TestPauseOperation:
    def test_done_and_the_step_under_way_is_finished(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(restart())
        scene.pass_(100)

        commit = scene.when(PauseOperation(operation="op2"))

        assert facts(commit) == [OperationPaused(scene.operation(2).id)]
        scene.settle()
        assert restarted(scene) == ["node1"]
        assert scene.operation(2).state is not OperationState.FINISHED

    def test_refused_where_there_is_none(self) -> None:
        assert code(given().when(PauseOperation(operation="op1"))) is Code.OPERATION_NOT_FOUND

    def test_refused_when_it_is_over(self) -> None:
        refusal = refused(given(hosts(1), shop(1)).when(PauseOperation(operation="op1")))

        assert refusal.code is Code.OPERATION_ENDED
        assert refusal.facts == {"outcome": "done"}

    def test_unchanged_when_paused(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(restart())
        scene.ask(PauseOperation(operation="op2"))

        assert unchanged(scene.when(PauseOperation(operation="op2")))

    def test_a_queued_one_does_not_begin(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(restart())
        scene.ask(restart())
        scene.ask(PauseOperation(operation="op3"))
        scene.settle()

        assert len(restarted(scene)) == 2
        scene.ask(ResumeOperation(operation="op3"))
        scene.settle()
        assert len(restarted(scene)) == 4


class TestResumeOperation:
    def test_done(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(restart())
        scene.ask(PauseOperation(operation="op2"))
        scene.settle()

        commit = scene.when(ResumeOperation(operation="op2"))

        assert facts(commit)[0] == OperationResumed(scene.operation(2).id)
        scene.settle()
        assert restarted(scene) == ["node1", "node2", "node3"]

    def test_refused_where_there_is_none(self) -> None:
        assert code(given().when(ResumeOperation(operation="op1"))) is Code.OPERATION_NOT_FOUND

    def test_refused_when_it_is_over(self) -> None:
        resume = ResumeOperation(operation="op1")

        assert code(given(hosts(1), shop(1)).when(resume)) is Code.OPERATION_ENDED

    def test_unchanged_when_it_goes_on_anyway(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(restart())

        assert unchanged(scene.when(ResumeOperation(operation="op2")))

    def test_it_answers_an_operation_that_asks_between_steps(self) -> None:
        scene = given(hosts(3), shop(3), restart(ask=True))

        for steps in (1, 2):
            assert len(restarted(scene)) == steps
            assert scene.operation(2).state is OperationState.ASKING
            scene.ask(ResumeOperation(operation="op2"))
            scene.settle()

        assert len(scene.happened(OperationAsked)) == 2
        assert scene.operation(2).outcome == "done"

    def test_a_delay_that_has_passed_while_paused_is_not_waited_for_again(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(restart(delay_s=30))
        while not scene.happened(DelayStarted):
            scene.pass_(1_000)
        scene.ask(PauseOperation(operation="op2"))
        scene.pass_(60_000)

        commit = scene.when(ResumeOperation(operation="op2"))

        assert one(commit, StepStarted).container == "node2"


class TestCancelOperation:
    def test_done_and_what_was_done_stays_done(self) -> None:
        scene = given(hosts(3), shop(3))
        scene.ask(restart())
        scene.pass_(100)

        commit = scene.when(CancelOperation(operation="op2"))

        assert facts(commit) == [OperationCancelled(scene.operation(2).id)]
        scene.settle()
        assert restarted(scene) == ["node1"]
        assert scene.operation(2).outcome == "cancelled"

    def test_refused_where_there_is_none(self) -> None:
        assert code(given().when(CancelOperation(operation="op1"))) is Code.OPERATION_NOT_FOUND

    def test_refused_when_it_is_over(self) -> None:
        cancel = CancelOperation(operation="op1")

        assert code(given(hosts(1), shop(1)).when(cancel)) is Code.OPERATION_ENDED

    def test_unchanged_when_cancelled(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(restart())
        scene.ask(CancelOperation(operation="op2"))

        assert unchanged(scene.when(CancelOperation(operation="op2")))

    def test_a_queued_one_ends_at_once(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(restart())
        scene.ask(restart())

        commit = scene.when(CancelOperation(operation="op3"))

        assert one(commit, OperationFinished).outcome == "cancelled"
        scene.settle()
        assert len(restarted(scene)) == 2

    @pytest.mark.parametrize("how", [{"ask": True}, {"delay_s": 300}])
    def test_between_two_steps_it_ends_at_once(self, how: dict[str, object]) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(restart(**how))
        scene.pass_(30_000)

        over = one(scene.when(CancelOperation(operation="op2")), OperationFinished)

        assert over.outcome == "cancelled"

    def test_a_paused_one_ends_too(self) -> None:
        scene = given(hosts(2), shop(2))
        scene.ask(restart())
        scene.ask(PauseOperation(operation="op2"))
        scene.settle()

        assert done(scene.when(CancelOperation(operation="op2")))
        assert scene.operation(2).outcome == "cancelled"

    def test_its_surge_container_goes(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(restart(surge=True))
        scene.pass_(100)

        scene.ask(CancelOperation(operation="op2"))
        scene.settle()

        assert restarted(scene) == []
        assert scene.names() == ("node1", "node2")
        assert scene.operation(2).outcome == "cancelled"


class TestReports:
    def test_a_late_answer_is_not_taken_for_that_of_another_order(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.slow["node3"] = 140_000

        scene.ask(restart(surge=True))
        scene.settle()

        assert scene.operation(2).outcome == "failed"
        assert scene.names() == ("node1", "node2")
        assert "node3" not in scene.world.truth

    def test_a_container_that_dies_is_known_to_be_down(self) -> None:
        scene = given(hosts(3), shop(2))

        scene.world.machines.crash(ContainerId("node1"))
        scene.settle()

        assert [fact.container for fact in scene.happened(ContainerStopped)] == ["node1"]
        assert not scene.container("node1").operable

    def test_every_stage_that_waits_has_a_deadline(self) -> None:
        scene = given(hosts(3), shop(2), restart())

        stages = [step for step in scene.happened(StepAdvanced) if step.operation == "op2"]
        assert [step.stage for step in stages[:5]] == [
            Stage.UNROUTING,
            Stage.DRAINING,
            Stage.WORKING,
            Stage.CHECKING,
            Stage.ROUTING,
        ]
        assert all(step.until for step in stages)
