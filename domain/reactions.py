"""What sagas ask when they hear an event: the flow of Restow, in one table.

`react` looks at one event that has just happened and returns the asks that follow from it. They
are decided in the same commit, under names made of the ask's own, so a crash repeats nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from domain import container as ct
from domain import evacuation as ev
from domain import host as h
from domain import migration as mv
from domain import operation as op
from domain import rebalance as rb
from domain import recovery as rc
from domain.container import GrowDeferred, ReconcileSize
from domain.evacuation import AdvanceEvacuation, StopEvacuation
from domain.fleet import Fleet
from domain.growth import AdvanceGrowth, GrowthPlanned, GrowthSettled, GrowthState
from domain.loss import SettleLost
from domain.messages import (
    Command,
    ContainerId,
    Event,
    HostId,
    MigrationId,
    OperationId,
    RecoveryId,
    in_order,
)
from domain.migration import CallOffMigration, GrantMigration
from domain.operation import AdvanceOperation, AdvanceStep, Stage
from domain.orders import MigrateOut, OrderAnswered
from domain.recovery import AdvanceCase, AdvanceRecovery, BeginRecovery
from domain.trigger import SettleTrigger

React = Callable[[Fleet, Any], tuple[Command, ...]]


LOOK: Mapping[str, Callable[[str], Command]] = {
    "ev": lambda saga: ev.AdvanceEvacuation(evacuation=saga),
    "rc": lambda saga: AdvanceRecovery(recovery=saga),
    "rb": lambda saga: rb.AdvanceRebalance(rebalance=saga),
}
"""How a saga that waits for whatever happens is told to look again, by how it is named."""


def wake(fleet: Fleet, container: ContainerId | None) -> tuple[Command, ...]:
    """Let those that wait look again: for this container's layer, and for room to move."""
    if not fleet.waiting:
        return ()
    member = fleet.containers.get(container) if container else None
    key = (member.environment, member.layer) if member else None
    asks: list[Command] = []
    for saga in in_order(fleet.waiting):
        if saga.startswith("mv"):
            asks.append(GrantMigration(migration=saga))
        elif saga[:2] in LOOK:
            asks.append(LOOK[saga[:2]](saga))
        elif key is None or fleet.waiting[saga] == key:
            asks.append(AdvanceOperation(operation=saga))
    return tuple(asks)


def step_under_way(
    fleet: Fleet, container: ContainerId, stage: Stage, failed: str = ""
) -> tuple[Command, ...]:
    """Move on the step that waits for this container in `stage`, if there is one."""
    member = fleet.containers.get(container)
    layer = fleet.layers.get((member.environment, member.layer)) if member else None
    if layer is None or layer.operation is None:
        return ()
    step = fleet.operations[layer.operation].step(container)
    if step is None or step.stage is not stage:
        return ()
    return (AdvanceStep(operation=layer.operation, container=container, failed=failed),)


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
    fired = (fleet.triggers[name] for name in (layer.triggers if layer else ()))
    return (
        *(SettleTrigger(trigger=t.id, operation=over.id) for t in fired if t.operation == over.id),
        *(AdvanceOperation(operation=name) for name in heads),
        *wake(fleet, None),
    )


def after(fleet: Fleet, over: op.Operation) -> tuple[OperationId, ...]:
    """Return the operations of other layers whose turn may come when this one is over."""
    home = fleet.environments.get(over.environment)
    layers = [fleet.layers[over.environment, name] for name in home.layers] if home else []
    heads = (layer.queue[0] for layer in layers if layer.queue and layer.name != over.layer)
    return tuple(name for name in heads if fleet.operations[name].after == over.id)


def answered(fleet: Fleet, event: OrderAnswered) -> tuple[Command, ...]:
    """Tell the step that waits for this order; one that waits for another only that it is gone."""
    if event.saga.startswith("rc"):
        return case_answered(event)
    operation = fleet.operations.get(OperationId(event.saga))
    step = operation.step(event.container) if operation else None
    if operation is None or step is None:
        return late(fleet, event)
    if step.order != event.order and event.container in fleet.containers:
        return late(fleet, event)
    failed = "" if event.done else (event.detail or "the agent gave no reason")
    return (AdvanceStep(operation=operation.id, container=event.container, failed=failed),)


def late(fleet: Fleet, event: OrderAnswered) -> tuple[Command, ...]:
    """Wake others after an answer that no step waits for: nobody knew whether it is in DNS."""
    one = fleet.containers.get(event.container)
    ours = event.saga.startswith("op") and one is not None and one.operable
    return wake(fleet, event.container) if ours else ()


def resized(fleet: Fleet, event: ct.ContainerResized) -> tuple[Command, ...]:
    """Move a resize step on; a size that changed meanwhile is ordered again."""
    container = fleet.containers[event.container]
    if not container.sized:
        return (ReconcileSize(container=event.container),)
    return resizing(fleet, event.container)


def resizing(fleet: Fleet, container: ContainerId, failed: str = "") -> tuple[Command, ...]:
    """Move a resize step on; other steps wait for the answer to their own order."""
    member = fleet.containers[container]
    operation = fleet.layers[member.environment, member.layer].operation
    step = fleet.operations[operation].step(container) if operation else None
    if step is None or step.planned.kind is not op.StepKind.RESIZE:
        return ()
    return step_under_way(fleet, container, Stage.WORKING, failed)


def scaled(fleet: Fleet, event: ct.ContainerScaled) -> tuple[Command, ...]:
    return (ReconcileSize(container=event.container), *growths(fleet, event.container))


def growths(
    fleet: Fleet, container: ContainerId, migration: MigrationId | None = None
) -> tuple[Command, ...]:
    """Let the growth of this container look again; and, after a migration, all that it is for.

    That is the growth whose plan it belongs to, and those on the host that it has left.
    """
    source = fleet.migrations[migration].source if migration else None
    return tuple(
        AdvanceGrowth(growth=name)
        for name in in_order(fleet.growing)
        if (whose := fleet.growing[name]) == container
        or (migration and fleet.growths[name].migration == migration)
        or (source and fleet.containers[whose].host == source)
    )


def removed(fleet: Fleet, event: ct.ContainerRemoved | rc.ContainerReplaced) -> tuple[Command, ...]:
    return (*growths(fleet, event.container), *look_again(fleet, event))


def cancelled(fleet: Fleet, event: op.OperationCancelled) -> tuple[Command, ...]:
    """Give up what steps of the operation still wait to grow to."""
    every = in_order(fleet.growing)
    mine = (name for name in every if fleet.growths[name].operation == event.operation)
    return (*(AdvanceGrowth(growth=name) for name in mine), *again(fleet, event))


def growth_over(fleet: Fleet, event: GrowthSettled) -> tuple[Command, ...]:
    """Move on the step that waited: it has failed, or there is nothing for a host to do."""
    one = fleet.containers.get(event.container)
    if one is None or fleet.growths[event.growth].operation is None:
        return ()
    if event.outcome is not GrowthState.DONE:
        return resizing(fleet, one.id, event.detail)
    return () if one.running else resizing(fleet, one.id)


def growth_refused(fleet: Fleet, event: ct.GrowthRefused) -> tuple[Command, ...]:
    return resizing(fleet, event.container, event.detail)


def planned(_fleet: Fleet, event: GrowthPlanned) -> tuple[Command, ...]:
    return (AdvanceGrowth(growth=event.growth),)


def abandoned(fleet: Fleet, event: mv.MigrationAbandoned) -> tuple[Command, ...]:
    return (*growths(fleet, event.container, event.migration), *look_again(fleet, event))


def health_changed(fleet: Fleet, event: ct.ContainerHealthChanged) -> tuple[Command, ...]:
    if not event.healthy:
        return ()
    if (case := checking(fleet, event.container)) is not None:
        return (case,)
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
        *growths(fleet, event.container, event.migration),
        *wake(fleet, event.container),
    )


def on_with(_fleet: Fleet, event: Any) -> tuple[Command, ...]:
    return (AdvanceEvacuation(evacuation=event.evacuation),)


def look_again(fleet: Fleet, _event: Any) -> tuple[Command, ...]:
    """Let those look again that wait for anything: there may be room, or a container is free."""
    waiting = in_order(saga for saga in fleet.waiting if saga[:2] in LOOK)
    return tuple(LOOK[saga[:2]](saga) for saga in waiting)


def evens_on(_fleet: Fleet, event: Any) -> tuple[Command, ...]:
    return (rb.AdvanceRebalance(rebalance=event.rebalance),)


def case_answered(event: OrderAnswered) -> tuple[Command, ...]:
    """Tell a recovery that the order it waits for was answered."""
    failed = "" if event.done else (event.detail or "the agent gave no reason")
    case = AdvanceCase(
        recovery=event.saga, container=event.container, order=event.order, failed=failed
    )
    return (case,)


def checking(fleet: Fleet, container: ContainerId) -> AdvanceCase | None:
    """Return what moves the recovery on that waits for a container to be healthy, if one does."""
    member = fleet.containers.get(container)
    recovery = fleet.recoveries.get(RecoveryId(member.claim)) if member else None
    if recovery is None:
        return None
    return AdvanceCase(recovery=recovery.id, container=container)


def started(fleet: Fleet, event: ct.ContainerStarted) -> tuple[Command, ...]:
    """Give it its size where it was only seen to run."""
    sized = fleet.containers[event.container].sized
    return () if sized else (ReconcileSize(container=event.container),)


def stopped(fleet: Fleet, event: ct.ContainerStopped) -> tuple[Command, ...]:
    case = checking(fleet, event.container)
    return () if case is None else (case,)


def recovery_on(_fleet: Fleet, event: Any) -> tuple[Command, ...]:
    return (AdvanceRecovery(recovery=event.recovery),)


def recovery_ended(fleet: Fleet, event: rc.RecoveryEnded) -> tuple[Command, ...]:
    return (AdvanceRecovery(recovery=event.recovery), *wake(fleet, event.container))


def host_lost(fleet: Fleet, event: h.HostLost) -> tuple[Command, ...]:
    """End what touches a lost host, then restart elsewhere what it carried."""
    moving = [
        name
        for name in fleet.moving
        if event.host in (fleet.migrations[name].source, fleet.migrations[name].target)
    ]
    waiting = [
        order.work.migration
        for order in fleet.orders.values()
        if isinstance(order.work, MigrateOut) and order.work.target == event.host
    ]
    settling = (
        SettleLost(migration=name, host=event.host) for name in in_order({*moving, *waiting})
    )
    emptying = (
        StopEvacuation(evacuation=one.id, reason=f"host {event.host} is lost")
        for one in fleet.evacuations.values()
        if one.host == event.host and not one.finished_at
    )
    steps = steps_on(fleet, event.host)
    growing = tuple(
        AdvanceGrowth(growth=name)
        for name in in_order(fleet.growing)
        if on_host(fleet, fleet.growing[name], event.host)
    )
    return (*settling, *emptying, *steps, *growing, BeginRecovery(host=event.host))


def steps_on(fleet: Fleet, host: HostId) -> tuple[Command, ...]:
    """Fail the steps that wait for something a lost host will not do; orders are answered."""
    waits = {Stage.CHECKING, Stage.WORKING}
    why = f"host {host} is lost"
    return tuple(
        AdvanceStep(operation=operation.id, container=step.planned.container, failed=why)
        for operation in map(fleet.operations.__getitem__, in_order(fleet.operations))
        for step in operation.steps
        if step.stage in waits and on_host(fleet, step.planned.container, host)
    )


def on_host(fleet: Fleet, name: ContainerId, host: HostId) -> bool:
    container = fleet.containers.get(name)
    return container is not None and container.host == host


def host_returned(fleet: Fleet, event: h.HostReturned) -> tuple[Command, ...]:
    return (*wake(fleet, None), BeginRecovery(host=event.host))


REACT: dict[type[Event], React] = {
    ev.EvacuationRequested: on_with,
    ev.EvacuationExtended: on_with,
    ev.EvacuationMoveBegun: on_with,
    ev.EvacuationMoveReverted: on_with,
    ev.EvacuationMoveEnded: on_with,
    ev.EvacuationResumed: on_with,
    ev.EvacuationStopped: on_with,
    rb.RebalanceRequested: evens_on,
    rb.RebalanceMoveBegun: evens_on,
    rb.RebalanceMoveEnded: evens_on,
    rb.RebalanceResumed: evens_on,
    rb.RebalanceStopped: evens_on,
    h.HostLost: host_lost,
    h.HostReturned: host_returned,
    h.HostRegistered: look_again,
    h.HostUncordoned: look_again,
    ct.ContainerRemoved: removed,
    ct.ContainerStarted: started,
    ct.ContainerStopped: stopped,
    mv.MigrationAbandoned: abandoned,
    rc.RecoveryBegun: recovery_on,
    rc.RecoveryStarting: recovery_on,
    rc.RecoveryFailed: recovery_on,
    rc.RecoveryEnded: recovery_ended,
    rc.ContainerReplaced: removed,
    op.OperationStarted: again,
    op.OperationResumed: again,
    op.OperationCancelled: cancelled,
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
    GrowthPlanned: planned,
    GrowthSettled: growth_over,
    ct.GrowthRefused: growth_refused,
}


def react(fleet: Fleet, event: Event) -> tuple[Command, ...]:
    """Return what is asked because `event` happened."""
    reaction = REACT.get(type(event))
    return reaction(fleet, event) if reaction is not None else ()
