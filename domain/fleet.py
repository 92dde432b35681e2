"""The state of one region: every aggregate by its id, and what is derived from them.

The aggregates are frozen values; the tables that hold them are the one place in the domain that
changes. Every change goes through `put`, which can be taken back: a decision is tried on the
fleet itself, and a refusal or a dry run leaves no trace (`try_out`, `keep`, `undo`).
"""

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from domain.container import Container
from domain.dead import Letter
from domain.environment import Environment, Layer, LayerKey
from domain.evacuation import Evacuation
from domain.growth import Growth
from domain.host import Host
from domain.lease import Seats
from domain.loss import Storm, Vigil
from domain.messages import (
    ContainerId,
    DeadId,
    EnvironmentId,
    EvacuationId,
    GrowthId,
    HostId,
    Instant,
    LayerName,
    MigrationId,
    OperationId,
    OrderId,
    RebalanceId,
    RecoveryId,
    Tenant,
    TriggerId,
)
from domain.migration import Migration, MigrationState
from domain.nouns import STORIES, story_by
from domain.operation import Operation, OperationState
from domain.orders import Order
from domain.rebalance import Rebalance
from domain.recovery import Recovery
from domain.tenant import Limits
from domain.trigger import Trigger

RECENT_MAX = 1_000
"""Operations and migrations that are over and still remembered; older ones are in the journal."""

ALL_LAYERS: LayerKey = (EnvironmentId(""), LayerName(""))
"""What sagas that move many wait for: whatever happens in any layer may let them go on."""

K = TypeVar("K")
V = TypeVar("V")
VIGIL = "hosts"

Undo = list[tuple[dict[Any, Any], Any, Any]]


class Watcher(Protocol):
    """Derives something from hosts and containers, and is told when one changes."""

    def host_changed(self, host: HostId, new: Host | None, /) -> None: ...

    def container_changed(self, old: Container | None, new: Container | None) -> None: ...


class Fleet:
    """Tables of aggregates. Read them freely; change them only through `put`.

    `deadlines` holds the earliest moment at which each running saga must be looked at;
    `waiting` the sagas that wait for room, for a lock or for another container to be operable.
    """

    def __init__(self) -> None:
        self.hosts: dict[HostId, Host] = {}
        self.environments: dict[EnvironmentId, Environment] = {}
        self.networks: dict[int, EnvironmentId] = {}
        self.layers: dict[LayerKey, Layer] = {}
        self.containers: dict[ContainerId, Container] = {}
        self.operations: dict[OperationId, Operation] = {}
        self.migrations: dict[MigrationId, Migration] = {}
        self.evacuations: dict[EvacuationId, Evacuation] = {}
        self.recoveries: dict[RecoveryId, Recovery] = {}
        self.vigil: dict[str, Vigil] = {}
        self.growths: dict[GrowthId, Growth] = {}
        self.growing: dict[GrowthId, ContainerId] = {}
        self.rebalances: dict[RebalanceId, Rebalance] = {}
        self.triggers: dict[TriggerId, Trigger] = {}
        self.orders: dict[OrderId, Order] = {}
        self.limits: dict[Tenant, Limits] = {}
        self.dead: dict[DeadId, Letter] = {}
        self.counters: dict[str, int] = {}
        self.ended: dict[int, OperationId | MigrationId | GrowthId] = {}
        self.deadlines: dict[str, Instant] = {}
        self.waiting: dict[str, LayerKey] = {}
        self.moving: dict[MigrationId, ContainerId] = {}
        self.forgotten: dict[str, str] = {}
        """Streams in which nothing will ever happen again, until `let_go` is called."""
        self.watcher: Watcher | None = None
        self._undo: Undo | None = None

    def put(self, table: dict[Any, Any], key: object, value: object) -> None:
        """Set (or with None: remove) one entry, remembering how to take it back."""
        if self._undo is not None:
            self._undo.append((table, key, table.get(key)))
        self._set(table, key, value)

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        if self.watcher is not None:
            if table is self.hosts:
                self.watcher.host_changed(key, value)
            elif table is self.containers:
                self.watcher.container_changed(table.get(key), value)
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value

    def try_out(self) -> None:
        """Remember every change from now on, until `keep` or `undo`."""
        self._undo = []

    def keep(self) -> None:
        """Let what was tried out stand."""
        self._undo = None

    def undo(self) -> None:
        """Take back what was tried out, newest first."""
        changes, self._undo = self._undo or [], None
        for table, key, old in reversed(changes):
            self._set(table, key, old)

    def before(self, table: dict[K, V]) -> dict[K, V | None]:
        """Return what has been tried out in one table: the entries as they were before."""
        found: dict[K, V | None] = {}
        for changed, key, old in self._undo or ():
            if changed is table:
                found.setdefault(key, old)
        return found

    def tried(self) -> Iterator[tuple[dict[Any, Any], Any, Any]]:
        """Return what has been tried out: table, key, and the entry before; oldest first."""
        return iter(self._undo or ())

    def next_number(self, counter: str) -> int:
        """Return the number that the next container, operation or migration will have."""
        return self.counters.get(counter, 0) + 1

    def put_operation(self, operation: Operation) -> None:
        """Keep an operation, and what is derived from it."""
        self.put(self.operations, operation.id, operation)
        due = _due_of_operation(operation)
        self._watch(operation.id, due)
        waits = operation.state is OperationState.WAITING
        self._await(operation.id, operation.key if waits else None)

    def put_migration(self, migration: Migration) -> None:
        """Keep a migration, and what is derived from it."""
        self.put(self.migrations, migration.id, migration)
        over = migration.finished_at > 0
        self._watch(migration.id, None if over else migration.until or None)
        container = self.containers.get(migration.container)
        waits = migration.state is MigrationState.WAITING and container is not None
        key = (container.environment, container.layer) if container and waits else None
        self._await(migration.id, key)
        under_way = migration.state in {MigrationState.MOVING, MigrationState.CALLING_OFF}
        if under_way != (migration.id in self.moving):
            self.put(self.moving, migration.id, migration.container if under_way else None)

    def put_evacuation(self, evacuation: Evacuation) -> None:
        """Keep an evacuation, and what is derived from it; it hears of everything until over."""
        self.put(self.evacuations, evacuation.id, evacuation)
        over = evacuation.finished_at > 0
        self._watch(evacuation.id, None if over else evacuation.until or None)
        self._await(evacuation.id, None if over else ALL_LAYERS)

    def put_recovery(self, recovery: Recovery) -> None:
        """Keep a recovery, and what is derived from it; it hears of everything until it is over."""
        self.put(self.recoveries, recovery.id, recovery)
        self._watch(recovery.id, recovery.due)
        self._await(recovery.id, None if recovery.finished_at else ALL_LAYERS)

    def put_rebalance(self, rebalance: Rebalance) -> None:
        """Keep a rebalance, and what is derived from it; it hears of everything until over."""
        self.put(self.rebalances, rebalance.id, rebalance)
        over = rebalance.finished_at > 0
        self._watch(rebalance.id, None if over else rebalance.until or None)
        self._await(rebalance.id, None if over else ALL_LAYERS)

    @property
    def seats(self) -> Seats:
        """The jurors of the watch over hosts."""
        vigil = self.vigil.get(VIGIL)
        return vigil.seats if vigil else Seats()

    @property
    def storm(self) -> Storm | None:
        """The alarm that stands because too many hosts are silent, if one does."""
        vigil = self.vigil.get(VIGIL)
        return vigil.storm if vigil else None

    def put_growth(self, growth: Growth) -> None:
        """Keep a growth, and what is derived from it."""
        self.put(self.growths, growth.id, growth)
        over = growth.finished_at > 0
        self._watch(growth.id, None if over else growth.until)
        if over == (growth.id in self.growing):
            self.put(self.growing, growth.id, None if over else growth.container)

    def growth_of(self, container: ContainerId) -> Growth | None:
        """Return the growth of a container that is not over, if there is one."""
        names = (name for name, whose in self.growing.items() if whose == container)
        name = next(names, None)
        return self.growths[name] if name else None

    def _watch(self, saga: str, due: Instant | None) -> None:
        if self.deadlines.get(saga) != due:
            self.put(self.deadlines, saga, due)

    def _await(self, saga: str, key: LayerKey | None) -> None:
        if self.waiting.get(saga) != key:
            self.put(self.waiting, saga, key)

    def retire(self, saga: OperationId | MigrationId | GrowthId) -> None:
        """Note that a saga is over, and forget the oldest one beyond `RECENT_MAX`."""
        last = self.next_number("ended")
        self.put(self.counters, "ended", last)
        self.put(self.ended, last, saga)
        oldest = self.ended.get(last - RECENT_MAX)
        if oldest is not None:
            self.put(self.ended, last - RECENT_MAX, None)
            noun = story_by(oldest)
            self.put(getattr(self, STORIES[noun]), oldest, None)
            self._forget(f"{noun}.{oldest}")

    def forget_removed(self, container: ContainerId) -> None:
        """Forget the stream of a container that is gone, once none of its orders is under way."""
        if not any(order.container == container for order in self.orders.values()):
            self._forget(f"container.{container}")

    def _forget(self, stream: str) -> None:
        self.put(self.forgotten, stream, stream)

    def let_go(self) -> tuple[str, ...]:
        """Return the streams that were forgotten since this was called last."""
        gone = tuple(self.forgotten)
        self.forgotten.clear()
        return gone


def _due_of_operation(operation: Operation) -> Instant | None:
    """Return when the operation must be looked at: its own deadline or that of a step."""
    if operation.state is OperationState.FINISHED:
        return None
    dues = [step.until for step in operation.steps if step.until]
    if operation.until:
        dues.append(operation.until)
    return min(dues, default=None)
