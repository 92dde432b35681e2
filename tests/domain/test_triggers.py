"""Triggers: set and switched, fired and refused, and what came of it."""

import pytest
from msgspec.structs import replace

from domain.container import ContainerRemoved
from domain.environment import (
    EnvironmentRemoved,
    LayerRemoved,
    RemoveEnvironment,
    RemoveLayer,
    StopEnvironment,
)
from domain.messages import Code, EnvironmentId, Instant, LayerName, OperationId, Tenant, TriggerId
from domain.operation import (
    CancelOperation,
    OperationFinished,
    OperationRequested,
    OperationState,
    RestartLayer,
    ScaleLayer,
)
from domain.orders import Start
from domain.trigger import (
    DisableTrigger,
    EnableTrigger,
    FireTrigger,
    RemoveTrigger,
    Rule,
    SettleTrigger,
    SetTrigger,
    Trigger,
    TriggerDisabled,
    TriggerEnabled,
    TriggerFired,
    TriggerRefused,
    TriggerRemoved,
    TriggerRuleSet,
    TriggerSettled,
)
from domain.triggers import AGAIN_MAX_MS, AGAIN_MS, pause_ms
from restow.simulation.world import START
from tests.examples import (
    Scene,
    accepted,
    code,
    done,
    facts,
    given,
    hosts,
    kinds,
    one,
    refused,
    shop,
    unchanged,
)

ONE = TriggerId("tr1")
SHOP, APP = EnvironmentId("shop"), LayerName("app")
CPU = SetTrigger(
    environment="shop",
    layer="app",
    resource="cpu",
    add_above=70,
    remove_below=30,
    min_count=2,
    max_count=4,
    cooldown_s=60,
)
MORE = FireTrigger(trigger=ONE, count=2, wanted=3, usage=91, since=START, why="usage")


def watched(app: int = 2, **more: int) -> Scene:
    return given(hosts(3, **more), shop(app), CPU)


def trigger(scene: Scene, name: str = "tr1") -> Trigger:
    return scene.fleet.triggers[TriggerId(name)]


class TestSetTrigger:
    def test_done(self) -> None:
        scene = given(hosts(3), shop(2))

        commit = scene.when(CPU)

        rule = Rule("cpu", 70, 30, min_count=2, max_count=4, cooldown_s=60)
        assert facts(commit) == [TriggerRuleSet(ONE, SHOP, APP, rule)]
        assert accepted(commit).notices == ("it is trigger tr1",)
        assert trigger(scene) == Trigger(ONE, SHOP, APP, rule)
        assert scene.fleet.layers[SHOP, APP].triggers == (ONE,)

    def test_asked_twice(self) -> None:
        assert unchanged(watched().when(CPU))

    def test_each_resource_has_one_which_is_changed_when_it_is_set_again(self) -> None:
        scene = watched()

        scene.when(replace(CPU, resource="memory"))
        scene.when(replace(CPU, max_count=6))

        assert list(scene.fleet.triggers) == [ONE, "tr2"]
        assert trigger(scene).rule.max_count == 6

    def test_switched_off_it_stays_so_unless_it_is_said_otherwise(self) -> None:
        scene = given(hosts(3), shop(2), replace(CPU, enabled=False))
        assert not trigger(scene).enabled

        scene.when(replace(CPU, add_above=80))
        assert not trigger(scene).enabled
        scene.when(replace(CPU, add_above=80, enabled=True))
        assert trigger(scene).enabled

    def test_what_it_fired_goes_on_and_what_it_waited_for_does_not(self) -> None:
        scene = watched()
        scene.ask(MORE)

        scene.ask(replace(CPU, max_count=6))

        assert trigger(scene).operation == "op2"

    @pytest.mark.parametrize(
        ("how", "path"),
        [
            ({"add_above": None, "remove_below": None}, "$.add_above"),
            ({"remove_below": 51}, "$.remove_below"),
            ({"add_above": 15, "remove_below": 5}, "$.remove_below"),
            ({"min_count": 5}, "$.max_count"),
            ({"full": 100}, "$.full"),
            ({"min_count": 3}, "$.min_count"),
            ({"min_count": 1, "max_count": 1}, "$.max_count"),
        ],
    )
    def test_refused_what_it_cannot_keep(self, how: dict[str, int | None], path: str) -> None:
        scene = given(hosts(3), shop(2))

        assert refused(scene.when(replace(CPU, **how))).path == path

    def test_refused_where_there_is_no_such_layer_or_it_leaves(self) -> None:
        scene = given(hosts(3), shop(2))

        assert code(scene.when(replace(CPU, layer="sql"))) is Code.LAYER_NOT_FOUND
        assert code(scene.when(replace(CPU, environment="no"))) is Code.ENVIRONMENT_NOT_FOUND
        scene.ask(RemoveEnvironment(environment="shop"))
        assert code(scene.when(CPU)) is Code.ENVIRONMENT_LEAVING

    def test_one_that_is_switched_off_may_be_set_to_any_bounds(self) -> None:
        scene = given(hosts(3), shop(2))

        assert done(scene.when(replace(CPU, min_count=3, enabled=False)))


class TestSwitching:
    def test_done(self) -> None:
        scene = watched()

        assert facts(scene.when(DisableTrigger(trigger="tr1"))) == [TriggerDisabled(ONE)]
        assert facts(scene.when(EnableTrigger(trigger="tr1"))) == [TriggerEnabled(ONE)]

    def test_asked_twice(self) -> None:
        scene = watched()

        assert unchanged(scene.when(EnableTrigger(trigger="tr1")))
        scene.when(DisableTrigger(trigger="tr1"))
        assert unchanged(scene.when(DisableTrigger(trigger="tr1")))

    def test_refused_what_is_not_there(self) -> None:
        scene = given(hosts(3), shop(2))

        for ask in (EnableTrigger, DisableTrigger, RemoveTrigger):
            assert code(scene.when(ask(trigger="tr1"))) is Code.TRIGGER_NOT_FOUND

    def test_to_switch_on_is_refused_where_its_bounds_are_broken(self) -> None:
        scene = given(hosts(3), shop(2), replace(CPU, min_count=3, enabled=False))

        assert refused(scene.when(EnableTrigger(trigger="tr1"))).path == "$.min_count"

    def test_of_another_tenant_it_is_not_there(self) -> None:
        world = given(hosts(3)).world
        world.ask(shop(2), tenant=Tenant("acme"))
        world.ask(CPU, tenant=Tenant("acme"))
        scene = Scene(world)

        assert code(scene.ask(CPU, tenant=Tenant("bravo"))) is Code.ENVIRONMENT_NOT_FOUND
        foreign = scene.ask(DisableTrigger(trigger="tr1"), tenant=Tenant("bravo"))
        assert code(foreign) is Code.TRIGGER_NOT_FOUND
        assert done(scene.ask(DisableTrigger(trigger="tr1"), tenant=Tenant("acme")))


class TestRemoveTrigger:
    def test_done(self) -> None:
        scene = watched()

        commit = scene.when(RemoveTrigger(trigger="tr1"))

        assert facts(commit) == [TriggerRemoved(ONE, SHOP, APP)]
        assert scene.fleet.triggers == {}
        assert scene.fleet.layers[SHOP, APP].triggers == ()

    def test_asked_twice(self) -> None:
        scene = watched()
        scene.when(RemoveTrigger(trigger="tr1"))

        assert code(scene.when(RemoveTrigger(trigger="tr1"))) is Code.TRIGGER_NOT_FOUND

    def test_what_it_fired_goes_on(self) -> None:
        scene = watched()
        scene.ask(MORE)

        scene.ask(RemoveTrigger(trigger="tr1"))
        scene.settle()

        assert len(scene.names()) == 3
        assert scene.happened(TriggerSettled) == []
        scene.world.check_end()

    @pytest.mark.parametrize(
        "removal",
        [RemoveLayer(environment="shop", layer="app"), RemoveEnvironment(environment="shop")],
    )
    def test_it_goes_with_its_layer(self, removal: RemoveLayer | RemoveEnvironment) -> None:
        scene = watched()
        scene.ask(MORE)
        scene.ask(removal)
        scene.settle()

        assert scene.fleet.triggers == {}
        ends = [type(fact) for _, fact in scene.world.happened()][-3:]
        assert TriggerRemoved in ends
        assert ends.index(TriggerRemoved) < ends.index(LayerRemoved)
        assert (EnvironmentRemoved in ends) == isinstance(removal, RemoveEnvironment)


class TestFireTrigger:
    def test_done(self) -> None:
        scene = watched()

        commit = scene.ask(MORE)

        fired = one(commit, TriggerFired)
        assert fired == TriggerFired(ONE, SHOP, APP, "cpu", "op2", 2, 3, 91, START, "usage")  # type: ignore[arg-type]
        assert one(commit, OperationRequested).operation == "op2"
        assert accepted(commit).operation == "op2"
        assert trigger(scene).operation == "op2"
        scene.settle()
        assert len(scene.names()) == 3
        assert len(scene.happened(TriggerFired)) == 1

    def test_what_came_of_it_is_written_and_begins_the_cooldown(self) -> None:
        scene = watched()
        scene.ask(MORE)
        scene.settle()

        (settled,) = scene.happened(TriggerSettled)
        ended = next(at for at, fact in scene.world.happened() if isinstance(fact, TriggerSettled))
        assert settled == TriggerSettled(ONE, "op2", "done", 3, Instant(ended + 60_000))  # type: ignore[arg-type]
        assert (trigger(scene).operation, trigger(scene).tries) == (None, 0)

    def test_asked_twice_while_it_is_under_way_and_in_its_cooldown(self) -> None:
        scene = watched()
        scene.ask(MORE)

        again = replace(MORE, count=3, wanted=4)
        assert unchanged(scene.ask(again))
        scene.settle()
        assert unchanged(scene.ask(again))
        scene.pass_(60_000)
        assert "TriggerFired" in kinds(scene.ask(replace(again, since=scene.world.now)))

    def test_no_other_trigger_of_the_layer_fires_meanwhile(self) -> None:
        scene = watched()
        scene.ask(replace(CPU, resource="memory"))
        scene.ask(MORE)
        other = replace(MORE, trigger=TriggerId("tr2"), count=3, wanted=2)

        assert unchanged(scene.ask(other))
        scene.settle()
        assert unchanged(scene.ask(other))

    def test_it_removes_by_the_same_rules_as_people(self) -> None:
        scene = watched(app=3)

        scene.ask(replace(MORE, count=3, wanted=2, usage=12))
        scene.settle()

        assert scene.names() == ("node1", "node2")
        assert len(scene.happened(ContainerRemoved)) == 1

    def test_of_what_is_not_so_any_more_nothing_follows(self) -> None:
        scene = watched()

        assert unchanged(scene.ask(replace(MORE, count=3)))
        assert unchanged(scene.ask(replace(MORE, trigger=TriggerId("tr9"))))
        scene.ask(DisableTrigger(trigger="tr1"))
        assert unchanged(scene.ask(MORE))

    def test_a_layer_that_stands_still_or_leaves_is_left_alone(self) -> None:
        scene = watched()
        scene.ask(StopEnvironment(environment="shop"))
        assert unchanged(scene.ask(MORE))
        scene.ask(RemoveEnvironment(environment="shop"))
        assert unchanged(scene.ask(MORE))

    def test_refused_at_its_bounds_and_written_down(self) -> None:
        scene = watched(app=4)
        beyond = replace(MORE, count=4, wanted=5)

        commit = scene.ask(beyond)

        told = one(commit, TriggerRefused)
        assert (told.code, told.wanted) == (Code.LIMITS_OUT_OF_RANGE.value, 5)
        assert told.until == scene.world.now + AGAIN_MS
        assert "max_count" in told.detail
        assert trigger(scene).tries == 1
        assert unchanged(scene.ask(beyond))

    def test_refused_to_add_it_may_still_remove_and_begins_anew(self) -> None:
        scene = watched(app=4)
        scene.ask(replace(MORE, count=4, wanted=5))

        scene.ask(replace(MORE, count=4, wanted=3))

        assert len(scene.happened(TriggerFired)) == 1
        assert trigger(scene).again_at == 0

    def test_refused_without_room_and_tried_again_later_and_later(self) -> None:
        scene = watched(cloudlets=1)
        waits = []
        scene.ask(replace(CPU, max_count=9))
        scene.ask(replace(MORE, count=2, wanted=3))
        scene.settle()
        scene.pass_(60_000)
        for _ in range(4):
            told = one(scene.ask(replace(MORE, count=3, wanted=4)), TriggerRefused)
            assert told.code == Code.CAPACITY_INSUFFICIENT.value
            waits.append(told.until - scene.world.now)
            scene.pass_(waits[-1])

        assert waits == [AGAIN_MS, 2 * AGAIN_MS, 4 * AGAIN_MS, 8 * AGAIN_MS]
        assert pause_ms(1_000) == AGAIN_MAX_MS
        assert len(scene.names()) == 3
        scene.world.check_end()

    def test_refused_behind_another_operation_for_it_never_waits(self) -> None:
        scene = watched()
        scene.ask(RestartLayer(environment="shop", layer="app"))

        told = one(scene.ask(MORE), TriggerRefused)

        assert told.code == Code.OPERATION_BUSY.value
        assert scene.fleet.layers[SHOP, APP].queue == ()

    def test_to_set_or_switch_it_on_ends_the_waiting(self) -> None:
        for ask in (replace(CPU, max_count=8), EnableTrigger(trigger="tr1")):
            scene = watched(app=4)
            scene.ask(replace(MORE, count=4, wanted=5))
            scene.ask(DisableTrigger(trigger="tr1"))
            scene.ask(ask)

            assert (trigger(scene).again_at, trigger(scene).tries) == (0, 0)

    def test_what_failed_rests_longer_than_the_cooldown(self) -> None:
        scene = given(hosts(3), shop(2), replace(CPU, cooldown_s=1)).fail("node3", Start)

        scene.ask(MORE)
        scene.settle()

        (told,) = scene.happened(TriggerSettled)
        assert told.outcome == "failed"
        assert told.detail
        at = next(at for at, fact in scene.world.happened() if fact == told)
        assert told.until - at == AGAIN_MS
        assert trigger(scene).tries == 1

    def test_cancelled_it_is_settled_too(self) -> None:
        scene = watched(app=4)
        scene.ask(replace(MORE, count=4, wanted=3))
        scene.ask(CancelOperation(operation="op2"))
        scene.settle()

        (told,) = scene.happened(TriggerSettled)
        assert told.outcome == "cancelled"
        assert scene.operation(2).state is OperationState.FINISHED
        assert len(scene.happened(OperationFinished)) == 2


class TestSettleTrigger:
    def test_asked_again_nothing_is_written(self) -> None:
        scene = watched()
        scene.ask(MORE)
        scene.settle()

        assert unchanged(scene.ask(SettleTrigger(trigger=ONE, operation=OperationId("op2"))))


class TestScaleLayer:
    def test_refused_what_a_trigger_would_undo(self) -> None:
        scene = watched()
        beyond = ScaleLayer(environment="shop", layer="app", count=5)

        why = refused(scene.when(beyond))

        assert why.code is Code.LIMITS_OUT_OF_RANGE
        assert "restow trigger disable tr1" in why.detail
        scene.when(DisableTrigger(trigger="tr1"))
        assert done(scene.when(beyond))

    def test_within_its_bounds_people_scale_as_before(self) -> None:
        scene = watched()

        assert done(scene.when(ScaleLayer(environment="shop", layer="app", count=4)))
