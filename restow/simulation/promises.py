"""What Restow promises about the course of things, checked against each event as it happens.

Invariants say what must be true of a fleet; these say what may follow what, and when. They keep
their own notes of the history and share no code with the sagas.
"""

from collections.abc import Callable, Iterator
from typing import Any

from domain import container as ct
from domain import migration as mv
from domain import operation as op
from domain.answers import REMEMBER_OWN_MS
from domain.decider import Ask, Commit
from domain.facts import Fact, members
from domain.fleet import Fleet
from domain.growth import GrowthRequested
from domain.host import HostState
from domain.messages import AskId, ContainerId, Event, Instant, OperationId, Tenant, number_of
from domain.operation import Operation, Outcome, Planned, ScaleLayer, StepKind
from domain.orders import Halt, OrderIssued, Redeploy, Restart, RouteIn, Stop
from domain.rebalance import RebalanceEvent, RebalanceRequested
from domain.region import Region
from domain.trigger import TriggerEvent
from restow.simulation.evening import Evening
from restow.simulation.firings import Firings

ENDS_SERVICE = (Stop, Restart, Redeploy, Halt)
"""What must wait until nobody can know the container from DNS any more."""
UPWARDS = {StepKind.RESTART, StepKind.RESIZE, StepKind.REDEPLOY, StepKind.DEPLOY}
CHECKED = {StepKind.RESTART, StepKind.REDEPLOY}

Check = Callable[["Promises", Fleet, Any, Instant], Iterator[str]]


class Promises:
    """Notes of a history: when what began, became healthy (`well`: first in its step), left DNS."""

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._answered: dict[tuple[Tenant, AskId], Instant] = {}
        self._began: dict[ContainerId, Instant] = {}
        self._healthy: dict[ContainerId, Instant] = {}
        self._well: dict[ContainerId, Instant] = {}
        self._worked: dict[ContainerId, Instant] = {}
        self._unrouted: dict[ContainerId, Instant] = {}
        self._waits: dict[str, ContainerId] = {}
        self._rests: dict[str, Instant] = {}
        self._told: set[OperationId] = set()
        self._firings = Firings()
        self._evening = Evening()

    def asked(self, _region: Region, commit: Commit[Fact]) -> Iterator[str]:
        """Check that an ask is answered once."""
        key = (commit.tenant, commit.ask)
        if commit.at - self._answered.get(key, Instant(-REMEMBER_OWN_MS)) < REMEMBER_OWN_MS:
            yield f"ask {commit.ask} is answered twice"
        self._answered[key] = commit.at

    def broken_by(self, fleet: Fleet, fact: Fact, at: Instant) -> Iterator[str]:
        """Give what is not kept when `fact` happens to the fleet as it is; then note it."""
        check = CHECKS.get(type(fact))
        if check is not None:
            yield from check(self, fleet, fact, at)

    def _new(self, kind: str, name: str) -> Iterator[str]:
        """Check that an id is new; numbers only grow."""
        if number_of(name) <= self._highest.get(kind, 0):
            yield f"{name} is used again"
        self._highest[kind] = number_of(name)

    def placed(self, fleet: Fleet, fact: ct.ContainerPlaced, _at: Instant) -> Iterator[str]:
        yield from self._new("container", fact.container)
        if fleet.hosts[fact.host].state is not HostState.ACTIVE:
            yield f"{fact.container} is placed on {fact.host}, which takes none"

    def requested(self, _fleet: Fleet, fact: op.OperationRequested, _at: Instant) -> Iterator[str]:
        yield from self._new("operation", fact.operation)
        yield from self._firings.requested(fact)

    def triggered(self, fleet: Fleet, fact: TriggerEvent, at: Instant) -> Iterator[str]:
        yield from self._firings.happened(fleet, fact, at)

    def evened(self, fleet: Fleet, fact: RebalanceEvent, _at: Instant) -> Iterator[str]:
        if isinstance(fact, RebalanceRequested):
            yield from self._new("rebalance", fact.rebalance)
        yield from self._evening.happened(fleet, fact)

    def issued(self, fleet: Fleet, fact: OrderIssued, at: Instant) -> Iterator[str]:
        yield from self._new("order", fact.order)
        one = fleet.containers.get(fact.container)
        if one is None:
            return  # it is gone; a host is only asked about a migration of it
        if isinstance(fact.work, RouteIn) and not one.introduced and not one.running:
            yield f"{fact.container} is put into DNS and never served"
        left = self._unrouted.get(fact.container)
        ends = isinstance(fact.work, ENDS_SERVICE) and fact.saga.startswith("op")
        if left is None or not ends or not one.running:
            return
        if at < left + op.TTL_MS:
            yield f"{fact.container} is taken down {at - left} ms after it left DNS"

    def waits(self, _fleet: Fleet, fact: op.OperationWaiting, _at: Instant) -> Iterator[str]:
        self._waits[fact.operation] = fact.container
        yield from ()

    def not_woken(self, fleet: Fleet) -> Iterator[str]:
        """Give operations that wait though nothing stands in their way any more."""
        for saga in fleet.waiting:
            operation = fleet.operations.get(OperationId(saga))
            one = fleet.containers.get(self._waits.get(saga, ContainerId("")))
            if operation is None or operation.paused or one is None:
                continue
            if fleet.hosts[one.host].lost:
                continue
            layer = fleet.layers[operation.key]
            others = (fleet.containers[name] for name in layer.containers if name != one.id)
            if one.claim in {"", saga} and any(other.operable for other in others):
                yield f"{saga} waits for nothing: {operation.detail}"

    def stalled(self, fleet: Fleet) -> Iterator[str]:
        """Give growths that wait though nothing moves that they could wait for."""
        leaving = {fleet.containers[whose].host for whose in fleet.moving.values()}
        for name, whose in fleet.growing.items():
            one = fleet.containers.get(whose)
            migration = fleet.growths[name].migration
            move = fleet.migrations.get(migration) if migration else None
            under_way = move is not None and not move.finished_at
            if one is None or not (under_way or one.migration or one.host in leaving):
                yield f"{name} waits for nothing: {fleet.growths[name].state}"

    def growth(self, _fleet: Fleet, fact: GrowthRequested, _at: Instant) -> Iterator[str]:
        yield from self._new("growth", fact.growth)

    def begun(self, fleet: Fleet, fact: op.OperationStarted, _at: Instant) -> Iterator[str]:
        layer = fleet.layers[fleet.operations[fact.operation].key]
        if fact.operation in layer.queue and layer.queue[0] != fact.operation:
            yield f"{fact.operation} begins before {layer.queue[0]}, which was there first"

    def step_started(self, fleet: Fleet, fact: op.StepStarted, at: Instant) -> Iterator[str]:
        operation = fleet.operations[fact.operation]
        mine = (p for p in operation.todo if p.container == fact.container)
        planned = next(p for p in mine if p.kind is fact.kind)
        yield from not_to_begin(operation, planned)
        if operation.settings.sequential:
            yield from self._in_turn(operation, planned, at)
        self._began[fact.container] = at
        self._told.discard(fact.operation)

    def told(self, _fleet: Fleet, fact: op.OperationResumed, _at: Instant) -> Iterator[str]:
        self._told.add(fact.operation)
        yield from ()

    def _in_turn(self, operation: Operation, planned: Planned, at: Instant) -> Iterator[str]:
        """Check that a step begins after those before it, and after the delay."""
        if operation.steps:
            yield f"{operation.id} has two steps at once"
        last = operation.over[-1] if operation.over else None
        if last is None or planned.surge or last.planned.surge or operation.rolling_back:
            return
        name, before = planned.container, last.planned.container
        if planned.kind in UPWARDS and number_of(name) <= number_of(before):
            yield f"{operation.id} works on {name} after {before}"
        if last.outcome is Outcome.SKIPPED:
            return
        if operation.settings.ask:
            if operation.id not in self._told:
                yield f"{operation.id} begins with {name} after {before}, and nobody said so"
            return
        rested = at - self._rests.get(operation.id, Instant(0))
        if rested < operation.settings.delay_ms:
            yield f"{operation.id} begins with {name} {rested} ms after {before} was healthy"

    def step_finished(self, fleet: Fleet, fact: op.StepFinished, _at: Instant) -> Iterator[str]:
        step = fleet.operations[fact.operation].step(fact.container)
        began = self._began.get(fact.container, Instant(0))
        self._rests[fact.operation] = max(began, self._well.get(fact.container, began))
        if step is None or fact.outcome is not Outcome.DONE or step.planned.kind not in CHECKED:
            return
        for what, when in (("carried out", self._worked), ("healthy", self._healthy)):
            if when.get(fact.container, Instant(-1)) < began:
                yield f"the step of {fact.container} is done, and it was not {what}"

    def rolled_back(self, fleet: Fleet, fact: op.RollbackStarted, _at: Instant) -> Iterator[str]:
        planned = {one.container for one in fact.plan}
        for step in fleet.operations[fact.operation].over:
            name = step.planned.container
            one = fleet.containers.get(name)
            if step.planned.kind is not StepKind.RESIZE or one is None or not any(step.before):
                continue
            if (one.reserved, one.limit) != step.before and name not in planned:
                yield f"{fact.operation} rolls back without {name}"

    def migrating(self, _fleet: Fleet, fact: mv.MigrationRequested, _at: Instant) -> Iterator[str]:
        yield from self._new("migration", fact.migration)

    def granted(self, fleet: Fleet, fact: mv.MigrationGranted, _at: Instant) -> Iterator[str]:
        target, source = fleet.hosts[fact.target], fleet.hosts[fact.source]
        forced = fleet.migrations[fact.migration].forced
        if target.state is not HostState.ACTIVE and not forced:
            yield f"{fact.container} moves to {target.id}, which takes none"
        if source.leaving >= mv.LEAVING_MAX or target.arriving >= mv.ARRIVING_MAX:
            yield f"too many move from {source.id} to {target.id}"
        claim = fleet.containers[fact.container].claim
        if claim:
            yield f"{fact.container} moves while {claim} has it"

    def healthy(self, _fleet: Fleet, fact: ct.ContainerHealthChanged, at: Instant) -> Iterator[str]:
        if fact.healthy:
            self._healthy[fact.container] = at
            if self._well.get(fact.container, Instant(-1)) < self._began.get(fact.container, at):
                self._well[fact.container] = at
        yield from ()

    def worked(self, _fleet: Fleet, fact: Any, at: Instant) -> Iterator[str]:
        self._worked[fact.container] = at
        yield from ()

    def left_dns(self, _fleet: Fleet, fact: ct.ContainerUnrouted, at: Instant) -> Iterator[str]:
        self._unrouted[fact.container] = at
        yield from ()

    def routed(self, _fleet: Fleet, fact: ct.ContainerRouted, _at: Instant) -> Iterator[str]:
        self._unrouted.pop(fact.container, None)
        yield from ()


CHECKS: dict[type[Event], Check] = {
    ct.ContainerPlaced: Promises.placed,
    ct.ContainerStarted: Promises.worked,
    ct.ContainerRestarted: Promises.worked,
    ct.ContainerRedeployed: Promises.worked,
    ct.ContainerHealthChanged: Promises.healthy,
    ct.ContainerUnrouted: Promises.left_dns,
    ct.ContainerRouted: Promises.routed,
    OrderIssued: Promises.issued,
    op.OperationRequested: Promises.requested,
    op.OperationStarted: Promises.begun,
    op.OperationWaiting: Promises.waits,
    op.StepStarted: Promises.step_started,
    op.StepFinished: Promises.step_finished,
    op.OperationResumed: Promises.told,
    op.RollbackStarted: Promises.rolled_back,
    mv.MigrationRequested: Promises.migrating,
    mv.MigrationGranted: Promises.granted,
    GrowthRequested: Promises.growth,
    **dict.fromkeys(members(TriggerEvent), Promises.triggered),
    **dict.fromkeys(members(RebalanceEvent), Promises.evened),
}


def not_to_begin(operation: Operation, planned: Planned) -> Iterator[str]:
    """Give why a step of an operation must not begin, whatever the fleet is like."""
    retires = planned.surge and planned.kind is StepKind.REMOVE
    if operation.paused:
        yield f"{operation.id} is paused and begins with {planned.container}"
    if retires or operation.rolling_back:
        return
    if operation.cancelled:
        yield f"{operation.id} is cancelled and begins with {planned.container}"
    failed = any(step.outcome is Outcome.FAILED for step in operation.over)
    if failed and operation.settings.on_failure != "continue":
        yield f"{operation.id} has failed and begins with {planned.container}"


def answered_well(fleet: Fleet, ask: Ask, commit: Commit[Fact]) -> Iterator[str]:
    """Check what an ask led to, in the fleet as it was before; the victims of a scale-in so far."""
    command = ask.command
    if getattr(command, "queue", True) is False:
        yield from queued(commit)
    if not isinstance(command, ScaleLayer) or command.victim != "newest":
        return
    going = {
        one.container
        for operation in fleet.operations.values()
        for one in (*operation.todo, *(step.planned for step in operation.steps))
        if one.kind is StepKind.REMOVE
    }
    for event in commit.events:
        fact = event.fact
        if isinstance(fact, op.OperationRequested) and fact.kind == "scale-in":
            victims = {one.container for one in fact.plan}
            layer = fleet.layers[fact.environment, fact.layer]
            staying = set(layer.containers) - victims - going
            if max(map(number_of, staying)) > min(map(number_of, victims)):
                yield f"{fact.operation} takes {sorted(victims)} and keeps {sorted(staying)}"


def queued(commit: Commit[Fact]) -> Iterator[str]:
    """Give what waits of that which an ask began."""
    for event in commit.events:
        fact = event.fact
        if isinstance(fact, op.OperationRequested) and fact.behind is not None:
            yield f"{fact.operation} waits behind {fact.behind}, though it is not to queue"
        if isinstance(fact, mv.MigrationRequested) and fact.waits_for:
            yield f"{fact.migration} waits ({fact.waits_for}), though it is not to queue"


def foreign_to(fleet: Fleet, ask: Ask) -> str:
    """Return whose the thing is that a tenant's command names, if it is another one's."""
    command = ask.command
    environment = getattr(command, "environment", "")
    container = fleet.containers.get(ContainerId(getattr(command, "container", "")))
    operation = next(
        (one for name, one in fleet.operations.items() if name == getattr(command, "operation", 0)),
        None,
    )
    named = getattr(command, "trigger", "")
    trigger = next((one for name, one in fleet.triggers.items() if name == named), None)
    found = (container, operation, trigger)
    environment = next((one.environment for one in found if one), environment)
    home = next((one for name, one in fleet.environments.items() if name == environment), None)
    if home is None or not ask.tenant or home.tenant == ask.tenant:
        return ""
    return str(home.tenant) or "an operator"
