"""Plays a command out to its end on the fleet itself, which is put back as it was afterwards.

Every order is answered well after the time that such things take, deadlines pass when they are
due, and nothing else happens. What stands before the sagas of the command (a queue, a claim) is
played too, so far as it lasts; what it does is not part of the story.
"""

import heapq
from collections.abc import Callable, Iterable

import msgspec

from domain.deadlines import DeadlinePassed
from domain.decider import Ask, Recorded
from domain.durations import HEALTHY, Takes, durations, takes
from domain.evacuation import Evacuation, EvacuationState
from domain.facts import Fact
from domain.fleet import Fleet
from domain.growth import Growth
from domain.messages import (
    Answer,
    AskId,
    Command,
    ContainerId,
    EvacuationId,
    Event,
    GrowthId,
    Instant,
    MigrationId,
    OperationId,
    OrderId,
    RebalanceId,
    RecoveryId,
    in_order,
    number_of,
)
from domain.migration import Migration, MigrationState
from domain.operation import Operation, OperationState, Stage
from domain.orders import (
    CallOff,
    MigrateOut,
    Order,
    OrderIssued,
    ReportHealth,
    ReportOrder,
)
from domain.plan import BIRTHS, Source
from domain.rebalance import Rebalance, RebalanceState
from domain.recovery import Recovery, RecoveryState
from domain.streams import stream_of

EVENTS_MAX = 2_000
"""Events up to which a story is played out; of a longer one the rest is reckoned from these."""
PLAY_MS_MAX = 24 * 60 * 60 * 1_000
"""How far ahead a story is played out."""
AHEAD_MAX = 64
"""Sagas of others that are played because the story waits for them."""
THINGS = ("container", "host", "environment", "watch")
"""Streams of what has no story of its own."""

CarryOut = Callable[[Ask, Instant], tuple[Answer, tuple[Recorded[Fact], ...]]]


class Scene(msgspec.Struct, frozen=True, gc=False):
    """What happened at one moment, and what had been waited for until then.

    `ours`: it belongs to the command, and not to what stands before it.
    """

    at: Instant
    what: str
    source: Source
    facts: tuple[Event, ...]
    ours: bool = True


class Due(msgspec.Struct, frozen=True, gc=False):
    """Something that is to be asked when its time comes; `saga` is whose it is, "" of nobody."""

    command: Command
    what: str
    source: Source
    ours: bool
    container: ContainerId = ContainerId("")
    order: OrderId | None = None

    @property
    def counts(self) -> bool:
        """Something of ours comes; a deadline is only there in case that it does not."""
        return self.ours and not isinstance(self.command, DeadlinePassed)


def saga_of(fact: Event) -> str:
    """Return the saga that a fact belongs to, "" where it is about a thing."""
    noun, _, name = stream_of(fact).partition(".")
    if noun not in THINGS:
        return name
    return str(getattr(fact, "saga", ""))


class Play:
    """A command played out. `scenes` are what happens, `story` the facts that are its own."""

    def __init__(self, fleet: Fleet, carry_out: CarryOut, start: Instant) -> None:
        self._fleet = fleet
        self._carry_out = carry_out
        self._durations = durations(fleet)
        self._heap: list[tuple[Instant, int, Due]] = []
        self._number = 0
        self._events = 0
        self._ours_due = 0
        self._ahead: set[str] = set()
        self.own: dict[str, None] = {}
        self.start = self._now = start
        self.scenes: list[Scene] = []
        self.story: list[Event] = []
        self.cut = False

    def out(self, facts: tuple[Event, ...]) -> None:
        """Play out what follows from `facts`, which have just happened."""
        self.own.update(dict.fromkeys(saga for fact in facts if (saga := saga_of(fact))))
        for saga in list(self.own):
            self._outstanding(saga, ours=True)
        self._happened(Scene(self.start, "", "rule", facts))
        while self._heap:
            at, _, due = heapq.heappop(self._heap)
            if self._events > EVENTS_MAX + len(facts) or at - self.start > PLAY_MS_MAX:
                self.cut = True
                return
            self._ours_due -= due.counts
            if not due.ours and self._is_told():
                return
            if not self._is_stale(due):
                self._take(at, due)

    def _is_told(self) -> bool:
        """Say whether all that is ours is over, so that only what others do is left."""
        return not self._ours_due and all(is_over(self._fleet, saga) for saga in self.own)

    def _is_stale(self, due: Due) -> bool:
        """Say whether what is due has lost its sense meanwhile."""
        if isinstance(due.command, DeadlinePassed):
            return self._fleet.deadlines.get(due.command.saga) != due.command.due
        return due.order is not None and due.order not in self._fleet.orders

    def _take(self, at: Instant, due: Due) -> None:
        self._now = at
        before = self._fleet.containers.get(due.container)
        what, source = due.what, due.source
        if isinstance(due.command, DeadlinePassed):
            what, source = self._waited(due.command)
        ask = Ask(AskId(f"plan/{self._number}"), due.command)
        _, events = self._carry_out(ask, at)
        facts = tuple(event.fact for event in events)
        if not facts:
            return
        self._happened(Scene(at, what if due.ours else "queue", source, facts, due.ours))
        after = self._fleet.containers.get(due.container)
        if before is None or after is None or after.healthy or not after.running:
            return
        if (before.running, before.restarts, before.healthy) != (
            after.running,
            after.restarts,
            after.healthy,
        ):
            self._heal(at, after.id, ours=due.ours)

    def _waited(self, command: DeadlinePassed) -> tuple[str, Source]:
        """Say what a deadline that passes was for: a delay, records that live on, or waiting."""
        operation = self._fleet.operations.get(OperationId(command.saga))
        if operation is None:
            return "wait", "rule"
        if operation.state is OperationState.DELAYING and operation.until == command.due:
            return "delay", "setting"
        due = (step.stage for step in operation.steps if step.until == command.due)
        return ("ttl" if Stage.DRAINING in due else "wait"), "rule"

    # What follows from what happened

    def _happened(self, scene: Scene) -> None:
        self.scenes.append(scene)
        self._events += len(scene.facts)
        for fact in scene.facts:
            self._hear(fact, scene)
        touched = dict.fromkeys(saga_of(fact) for fact in scene.facts)
        for saga in touched:
            if saga in self.own or saga in self._ahead:
                self._watch(saga)

    def _hear(self, fact: Event, scene: Scene) -> None:
        saga = saga_of(fact)
        noun, _, verb = str(fact.__struct_config__.tag).partition(".")
        if verb in BIRTHS and noun != "order" and saga and scene.ours:
            self.own[saga] = None
        ours = self.tells(fact, scene)
        if ours:
            self.story.append(fact)
        if isinstance(fact, OrderIssued) and (saga in self.own or saga in self._ahead or not saga):
            order = self._fleet.orders.get(fact.order)
            if order is not None:
                self._send(order, scene.at, ours=ours)

    def tells(self, fact: Event, scene: Scene) -> bool:
        """Say whether a fact belongs to the story: what nobody's saga says, if it is part of ours.

        A container that grows in the story may be given room by what others do.
        """
        saga = saga_of(fact)
        return saga in self.own if saga else scene.ours or self._grows(fact)

    def _grows(self, fact: Event) -> bool:
        container = getattr(fact, "container", None)
        growths = (self._fleet.growths.get(GrowthId(saga)) for saga in self.own)
        return any(growth is not None and growth.container == container for growth in growths)

    def _watch(self, saga: str) -> None:
        """Look when a saga must be looked at next, and what it waits for."""
        due = self._fleet.deadlines.get(saga)
        if due is not None:
            command = DeadlinePassed(saga=saga, due=due)
            self._push(due, Due(command, "", "rule", saga in self.own))
        for other in holders(self._fleet, saga):
            if other not in self.own and other not in self._ahead and len(self._ahead) < AHEAD_MAX:
                self._ahead.add(other)
                self._outstanding(other, ours=False)
                self._watch(other)

    def _outstanding(self, saga: str, *, ours: bool) -> None:
        """Let come what a saga has been waiting for since before the command."""
        operation = self._fleet.operations.get(OperationId(saga))
        steps = operation.steps if operation else ()
        worked_on = {step.planned.container for step in steps}
        waited_for = [
            order
            for order in self._fleet.orders.values()
            if order.saga == saga or order.container in worked_on
        ]
        for order in sorted(waited_for, key=lambda one: number_of(one.id)):
            self._send(order, self.start, ours=ours)
        for step in steps:
            if step.stage is Stage.CHECKING:
                self._heal(self.start, step.planned.container, ours=ours)

    def _send(self, order: Order, at: Instant, *, ours: bool) -> None:
        work = order.work
        how = takes(self._durations, work)
        report = ReportOrder(ask=AskId("plan"), host=order.to, order=order.id, done=True)
        if isinstance(work, MigrateOut):
            report = msgspec.structs.replace(
                report, located=work.target, freeze_ms=how.freeze_ms, total_ms=how.ms
            )
        elif isinstance(work, CallOff):
            report = msgspec.structs.replace(report, located=order.to)
        name = str(work.__struct_config__.tag)
        due = Due(report, name, how.source, ours, order.container, order.id)
        self._push(Instant(at + how.ms), due)

    def _heal(self, at: Instant, name: ContainerId, *, ours: bool) -> None:
        """Let a container become healthy after its usual time."""
        container = self._fleet.containers.get(name)
        if container is None:
            return
        report = ReportHealth(ask=AskId("plan"), host=container.host, container=name, healthy=True)
        how: Takes = self._durations[HEALTHY]
        self._push(Instant(at + how.ms), Due(report, HEALTHY, how.source, ours))

    def _push(self, at: Instant, due: Due) -> None:
        """Have it come at its time; what would have come before anybody looked comes now."""
        self._number += 1
        self._ours_due += due.counts
        heapq.heappush(self._heap, (max(at, self._now), self._number, due))


def saga_at(
    fleet: Fleet, saga: str
) -> Operation | Migration | Evacuation | Recovery | Growth | Rebalance | None:
    """Return a saga by its name; None where it is long over."""
    return (
        fleet.operations.get(OperationId(saga))
        or fleet.migrations.get(MigrationId(saga))
        or fleet.evacuations.get(EvacuationId(saga))
        or fleet.recoveries.get(RecoveryId(saga))
        or fleet.growths.get(GrowthId(saga))
        or fleet.rebalances.get(RebalanceId(saga))
    )


def is_over(fleet: Fleet, saga: str) -> bool:
    one = saga_at(fleet, saga)
    return one is None or one.finished_at > 0


def holders(fleet: Fleet, saga: str) -> Iterable[str]:
    """Give the sagas that a saga waits for, as far as that can be told."""
    operation = fleet.operations.get(OperationId(saga))
    if operation is not None:
        yield from before_operation(fleet, operation)
        every = in_order(fleet.growing)
        yield from (name for name in every if fleet.growths[name].operation == saga)
    migration = fleet.migrations.get(MigrationId(saga))
    if migration is not None and migration.state is MigrationState.WAITING:
        yield from before_migration(fleet, migration)
    evacuation = fleet.evacuations.get(EvacuationId(saga))
    if evacuation is not None and evacuation.state is EvacuationState.WAITING:
        yield from before_moves(fleet, (wanted.container for wanted in evacuation.todo))
    recovery = fleet.recoveries.get(RecoveryId(saga))
    if recovery is not None and recovery.state is RecoveryState.WAITING:
        yield from before_recovery(fleet, recovery)
    rebalance = fleet.rebalances.get(RebalanceId(saga))
    if rebalance is not None and rebalance.state is RebalanceState.WAITING:
        yield from before_moves(fleet, (move.container for move in rebalance.todo))
    growth = fleet.growths.get(GrowthId(saga))
    if growth is not None and not growth.finished_at:
        yield from before_growth(fleet, growth)


def before_growth(fleet: Fleet, growth: Growth) -> Iterable[str]:
    """Give the move that it waits for, and what moves already: that may make room as well."""
    container = fleet.containers.get(growth.container)
    moves = (growth.migration, container.migration if container else None)
    yield from dict.fromkeys(str(move) for move in moves if move)
    if growth.migration is None:
        yield from sorted(fleet.moving, key=number_of)


def before_operation(fleet: Fleet, operation: Operation) -> Iterable[str]:
    """Give what a queued operation stands behind, or who has what a waiting one needs."""
    layer = fleet.layers.get(operation.key)
    if layer is None:
        return
    if operation.state is OperationState.QUEUED:
        if layer.operation is not None:
            yield layer.operation
        for other in layer.queue:
            if other == operation.id:
                return
            yield other
    elif operation.state is OperationState.WAITING:
        claims = (fleet.containers[name].claim for name in layer.containers)
        yield from (claim for claim in claims if claim)


def before_moves(fleet: Fleet, names: Iterable[ContainerId]) -> Iterable[str]:
    """Give who has the containers that are to move, and the migrations that may make room."""
    for name in names:
        container = fleet.containers.get(name)
        if container is not None and (container.claim or container.migration):
            yield container.claim or str(container.migration)
    yield from sorted(fleet.moving, key=number_of)


def before_recovery(fleet: Fleet, recovery: Recovery) -> Iterable[str]:
    """Give who has the containers that are to be restarted."""
    for fallen in recovery.todo:
        container = fleet.containers.get(fallen.container)
        if container is not None and (container.claim or container.migration):
            yield container.claim or str(container.migration)


def before_migration(fleet: Fleet, migration: Migration) -> Iterable[str]:
    """Give who has the container, and the migrations that fill what may move at once."""
    container = fleet.containers.get(migration.container)
    if container is not None and container.claim:
        yield container.claim
    yield from sorted(fleet.moving, key=number_of)
