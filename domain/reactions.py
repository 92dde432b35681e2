"""What sagas ask when they hear an event: the flow of Restow, in one table.

`react` looks at one event that has just happened and returns the asks that follow from it. They
are decided in the same commit, under names made of the ask's own, so a crash repeats nothing.
"""

from collections.abc import Callable
from typing import Any

from domain import container as ct
from domain import evacuation as ev
from domain import host as h
from domain import migration as mv
from domain import operation as op
from domain.container import GrowDeferred, ReconcileSize
from domain.evacuation import AdvanceEvacuation
from domain.fleet import Fleet
from domain.messages import Command, ContainerId, Event, OperationId
from domain.migration import CallOffMigration, GrantMigration
from domain.operation import AdvanceOperation, AdvanceStep, Stage
from domain.orders import OrderAnswered

React = Callable[[Fleet, Any], tuple[Command, ...]]


def number(saga: str) -> int:
    """Return the number in a saga's id: older sagas are served first."""
    return int(saga[len("op") :])


def wake(fleet: Fleet, container: ContainerId | None) -> tuple[Command, ...]:
    """Let those that wait look again: for this container's layer, and for room to move."""
    if not fleet.waiting:
        return ()
    member = fleet.containers.get(container) if container else None
    key = (member.environment, member.layer) if member else None
    asks: list[Command] = []
    for saga in sorted(fleet.waiting, key=number):
        if saga.startswith("mv"):
            asks.append(GrantMigration(migration=saga))
        elif saga.startswith("ev"):
            asks.append(AdvanceEvacuation(evacuation=saga))
        elif key is None or fleet.waiting[saga] == key:
            asks.append(AdvanceOperation(operation=saga))
    return tuple(asks)


def step_under_way(fleet: Fleet, container: ContainerId, stage: Stage) -> tuple[Command, ...]:
    """Move on the step that waits for this container in `stage`, if there is one."""
    member = fleet.containers.get(container)
    layer = fleet.layers.get((member.environment, member.layer)) if member else None
    if layer is None or layer.operation is None:
        return ()
    step = fleet.operations[layer.operation].step(container)
    if step is None or step.stage is not stage:
        return ()
    return (AdvanceStep(operation=layer.operation, container=container),)


def again(_fleet: Fleet, event: Any) -> tuple[Command, ...]:
    return (AdvanceOperation(operation=event.operation),)


def step_started(_fleet: Fleet, event: op.StepStarted) -> tuple[Command, ...]:
    return (AdvanceStep(operation=event.operation, container=event.container),)


def step_finished(fleet: Fleet, event: op.StepFinished) -> tuple[Command, ...]:
    return (AdvanceOperation(operation=event.operation), *wake(fleet, event.container))


def finished(fleet: Fleet, event: op.OperationFinished) -> tuple[Command, ...]:
    over = fleet.operations[event.operation]
    layer = fleet.layers.get(over.key)
    queue = layer.queue[:1] if layer else ()
    heads = (*queue, *after(fleet, over))
    return (*(AdvanceOperation(operation=name) for name in heads), *wake(fleet, None))


def after(fleet: Fleet, over: op.Operation) -> tuple[OperationId, ...]:
    """Return the operations of other layers whose turn may come when this one is over."""
    home = fleet.environments.get(over.environment)
    layers = [fleet.layers[over.environment, name] for name in home.layers] if home else []
    heads = (layer.queue[0] for layer in layers if layer.queue and layer.name != over.layer)
    return tuple(name for name in heads if fleet.operations[name].after == over.id)


def answered(fleet: Fleet, event: OrderAnswered) -> tuple[Command, ...]:
    """Tell the step that waits for this order; one that waits for another only that it is gone."""
    operation = fleet.operations.get(OperationId(event.saga))
    step = operation.step(event.container) if operation else None
    if operation is None or step is None:
        return ()
    if step.order != event.order and event.container in fleet.containers:
        return ()
    failed = "" if event.done else (event.detail or "the agent gave no reason")
    return (AdvanceStep(operation=operation.id, container=event.container, failed=failed),)


def resized(fleet: Fleet, event: ct.ContainerResized) -> tuple[Command, ...]:
    """Move a resize step on; a size that changed meanwhile is ordered again."""
    container = fleet.containers[event.container]
    if not container.sized:
        return (ReconcileSize(container=event.container),)
    return resizing(fleet, event.container)


def resizing(fleet: Fleet, container: ContainerId) -> tuple[Command, ...]:
    """Move a resize step on; other steps wait for the answer to their own order."""
    member = fleet.containers[container]
    operation = fleet.layers[member.environment, member.layer].operation
    step = fleet.operations[operation].step(container) if operation else None
    if step is None or step.planned.kind is not op.StepKind.RESIZE:
        return ()
    return step_under_way(fleet, container, Stage.WORKING)


def scaled(_fleet: Fleet, event: ct.ContainerScaled) -> tuple[Command, ...]:
    return (ReconcileSize(container=event.container),)


def health_changed(fleet: Fleet, event: ct.ContainerHealthChanged) -> tuple[Command, ...]:
    if not event.healthy:
        return ()
    moved_on = step_under_way(fleet, event.container, Stage.CHECKING)
    return (*moved_on, *wake(fleet, event.container))


def routed(fleet: Fleet, event: ct.ContainerRouted) -> tuple[Command, ...]:
    return wake(fleet, event.container)


def deferred(fleet: Fleet, event: ct.GrowthDeferred) -> tuple[Command, ...]:
    migration = fleet.containers[event.container].migration
    return (CallOffMigration(migration=migration),) if migration else ()


def settled(
    fleet: Fleet, event: mv.MigrationCompleted | mv.MigrationReverted
) -> tuple[Command, ...]:
    """After a migration: what was deferred, the size on the new host, and whoever waits."""
    return (
        GrowDeferred(container=event.container),
        ReconcileSize(container=event.container),
        *wake(fleet, event.container),
    )


def on_with(_fleet: Fleet, event: Any) -> tuple[Command, ...]:
    return (AdvanceEvacuation(evacuation=event.evacuation),)


def look_again(fleet: Fleet, _event: Any) -> tuple[Command, ...]:
    """Let evacuations look again: there may be room now, or a container that is free."""
    return tuple(
        AdvanceEvacuation(evacuation=one)
        for one in sorted((saga for saga in fleet.waiting if saga.startswith("ev")), key=number)
    )


REACT: dict[type[Event], React] = {
    ev.EvacuationRequested: on_with,
    ev.EvacuationExtended: on_with,
    ev.EvacuationMoveBegun: on_with,
    ev.EvacuationMoveReverted: on_with,
    ev.EvacuationMoveEnded: on_with,
    ev.EvacuationResumed: on_with,
    ev.EvacuationStopped: on_with,
    h.HostRegistered: look_again,
    h.HostUncordoned: look_again,
    ct.ContainerRemoved: look_again,
    mv.MigrationAbandoned: look_again,
    op.OperationStarted: again,
    op.OperationResumed: again,
    op.OperationCancelled: again,
    op.RollbackStarted: again,
    op.StepStarted: step_started,
    op.StepFinished: step_finished,
    op.OperationFinished: finished,
    OrderAnswered: answered,
    ct.ContainerResized: resized,
    ct.ContainerScaled: scaled,
    ct.ContainerHealthChanged: health_changed,
    ct.ContainerRouted: routed,
    ct.GrowthDeferred: deferred,
    mv.MigrationCompleted: settled,
    mv.MigrationReverted: settled,
}


def react(fleet: Fleet, event: Event) -> tuple[Command, ...]:
    """Return what is asked because `event` happened."""
    reaction = REACT.get(type(event))
    return reaction(fleet, event) if reaction is not None else ()
