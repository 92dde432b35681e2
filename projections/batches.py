"""From frames to what changes in a store: lines, and the state to go on from. One fold, no I/O.

A batch is made of whole frames and written in one transaction with its checkpoint. What it holds
depends on the events alone, not on how they were cut into batches: a view that was rebuilt is
the same, row by row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.container import Container, ContainerPlaced, ContainerRemoved, Placing
from domain.contracts.catalogue import COMMANDS
from domain.dead import Letter
from domain.decider import Frame
from domain.environment import Environment, Layer
from domain.evacuation import Evacuation, EvacuationEvent
from domain.facts import Fact, members
from domain.growth import Growth
from domain.host import Host
from domain.loss import Vigil
from domain.messages import Event, Instant, number_of
from domain.migration import Migration
from domain.operation import Operation
from domain.orders import Order
from domain.rebalance import Rebalance
from domain.recovery import Recovery, RecoveryEvent
from domain.tenant import OTHERS, Limits
from domain.trigger import Trigger
from domain.wire import chain, encode_frame
from projections.evacuations import EvacuationStory
from projections.feed import Placed, last_position, placed
from projections.history import audit_line, placement_line
from projections.lines import Line, MigrationLine, OperationLine
from projections.reads import Reads, command_line
from projections.recoveries import RecoveryStory
from projections.stale import STALE, marks_of_stream
from projections.triggers import FiringLine, Told, named
from projections.views import ALL, VIEWS, View, columns

Row = tuple[Any, ...]
"""Key, number, columns, the line as JSON, the line as it stands in lists ("" where no shorter)."""

KEPT: Mapping[str, Any] = {
    "hosts": Host,
    "environments": Environment,
    "networks": str,
    "layers": Layer,
    "containers": Container,
    "operations": Operation,
    "migrations": Migration,
    "evacuations": Evacuation,
    "recoveries": Recovery,
    "growths": Growth,
    "rebalances": Rebalance,
    "growing": str,
    "vigil": Vigil,
    "triggers": Trigger,
    "orders": Order,
    "limits": Limits,
    "dead": Letter,
    "counters": int,
    "ended": str,
    "deadlines": int,
    "waiting": tuple[str, str],
    "moving": str,
    "versions": int,
    "why": Placing,
    "told evacuations": EvacuationStory,
    "told recoveries": RecoveryStory,
    "told firings": FiringLine,
}
"""The tables that the fold goes on from, and what their entries are."""
FOLD = 2
"""Counted up where the same events come to other entries than before."""
SHAPE = chain(
    msgspec.json.encode(
        [
            FOLD,
            msgspec.json.schema_components([*KEPT.values(), *(view.line for view in ALL)]),
            sorted(KEPT),
            [(view.name, list(columns(view))) for view in ALL],
        ],
        order="deterministic",
    )
)
"""A store of another shape is not gone on with: it is built anew."""

_json = msgspec.json.Encoder()
_state = msgspec.msgpack.Encoder()


class Checkpoint(msgspec.Struct, frozen=True):
    """How far a store is: the last event, when that was, and the hash of the frame it is in.

    `quiet` is how many frames without events were taken in after that one.
    """

    position: int = 0
    epoch: int = 0
    at: Instant = Instant(0)
    hash: bytes = b""
    quiet: int = 0

    def after(self, frames: Sequence[Frame[Fact]], at: Instant) -> "Checkpoint":
        """Return how far it is once these frames, of which the last was `at`, are taken in."""
        telling = [n for n, frame in enumerate(frames) if len_of(frame)]
        epoch = frames[-1].epoch
        if not telling:
            return replace(self, epoch=epoch, at=at, quiet=self.quiet + len(frames))
        last = frames[telling[-1]]
        quiet = len(frames) - 1 - telling[-1]
        return Checkpoint(last_position(last), epoch, at, frame_hash(last), quiet)


class Batch(msgspec.Struct, frozen=True):
    """What one transaction writes. `state` None: that entry is gone.

    `told` are the keys of each view's lines, with the line as JSON or None where it is gone.
    """

    checkpoint: Checkpoint
    rows: Mapping[str, list[Row]]
    gone: Mapping[str, list[str]]
    state: list[tuple[str, bytes, bytes | None]]
    events: int

    @property
    def size(self) -> int:
        """How many rows are written or removed."""
        written, gone = map(len, self.rows.values()), map(len, self.gone.values())
        return sum(written) + sum(gone) + len(self.state)

    def told(self) -> Iterator[tuple[str, str, bytes | None]]:
        """Return which lines changed: view, key, and the line as JSON, None where it is gone."""
        for name, rows in self.rows.items():
            yield from ((name, row[0], row[-2]) for row in rows)
        for name, keys in self.gone.items():
            yield from ((name, key, None) for key in keys)


class Kept(msgspec.Struct, frozen=True):
    """What a store holds for the fold to go on from.

    `operations` and `migrations` are the lines that the fold carries on, as JSON, oldest first:
    those that go on and the latest that are over. `commands` is how many there are.
    """

    checkpoint: Checkpoint
    state: Iterable[tuple[str, bytes, bytes]]
    operations: Iterable[bytes]
    migrations: Iterable[bytes]
    commands: int


class Projector:
    """Folds frames into batches. It goes on from what a store keeps, or begins with nothing."""

    def __init__(self, kept: Kept | None = None) -> None:
        self.reads = Reads(events_max=0, forgot=self._forget, commands_max=0)
        self._forgotten: list[tuple[str, str]] = []
        self.checkpoint = Checkpoint()
        self._commands = 0
        self._tables = {id(getattr(self.reads.fleet, name)): name for name in STALE}
        if kept is not None:
            self._restore(kept)

    def take(self, frames: Sequence[Frame[Fact]]) -> Batch:
        """Fold frames that follow each other. Raises `FeedError` where one does not."""
        reads, fleet = self.reads, self.reads.fleet
        marks: dict[tuple[str, Any], None] = {}
        rows: dict[str, list[Row]] = {"event": [], "placement": [], "command": []}
        touched: dict[tuple[str, Any], None] = {}
        if not self.checkpoint.position:
            marks["tenant", OTHERS] = None
        fleet.try_out()
        for frame in frames:
            reads.take(frame)
            for at in placed(frame):
                _touch(at, touched)
                _written_once(at, rows)
            self._answered(frame, rows["command"])
        for table, key, old in fleet.tried():
            name = self._tables.get(id(table))
            if name is None:  # which streams are over is the engine's to know
                continue
            touched[name, key] = None
            marks.update(dict.fromkeys(STALE[name](fleet, key, old)))
        fleet.keep()
        marks.update(self._beside(touched))
        touched.update(dict.fromkeys(self._forgotten))  # no line says less for what is forgotten
        self._forgotten.clear()
        gone = self._tell(marks, rows)
        self.checkpoint = self.checkpoint.after(frames, reads.at)
        state = [self._entry(name, key) for name, key in touched]
        return Batch(self.checkpoint, rows, gone, state, len(rows["event"]))

    def _beside(self, touched: Iterable[tuple[str, Any]]) -> Iterator[tuple[tuple[str, Any], None]]:
        """Yield the lines that change with what the fold keeps beside the fleet."""
        for name, key in touched:
            if name == "versions":
                yield from ((mark, None) for mark in marks_of_stream(self.reads.fleet, key))
            elif name == "told firings" and key in self.reads.firings:
                yield ("firing", key), None

    def _forget(self, table: str, key: str | None) -> None:
        if key is not None:
            self._forgotten.append((table, key))

    def _answered(self, frame: Frame[Fact], rows: list[Row]) -> None:
        position = frame.position - 1
        for commit in frame.commits:
            position += len(commit.events)
            if commit.command in COMMANDS:
                self._commands += 1
                rows.append(row_of(COMMAND, command_line(commit, position), self._commands))

    def _tell(
        self, marks: dict[tuple[str, Any], None], rows: dict[str, list[Row]]
    ) -> dict[str, list[str]]:
        """Tell every marked line anew; return the keys of those that are gone."""
        gone: dict[str, list[str]] = {}
        for name, key in marks:
            view = VIEWS[name]
            if view.tell is None:
                continue
            line = view.tell(self.reads, key)
            if line is None:
                named = key if isinstance(key, str) else "/".join(key)
                gone.setdefault(name, []).append(named)
            else:
                rows.setdefault(name, []).append(row_of(view, line))
        return gone

    def _entry(self, name: str, key: Any) -> tuple[str, bytes, bytes | None]:
        value = self._table(name).get(key)
        return name, _state.encode(key), None if value is None else _state.encode(value)

    def _table(self, name: str) -> dict[Any, Any]:
        match name:
            case "versions":
                return self.reads.versions
            case "why":
                return self.reads.why
            case "told evacuations":
                return self.reads.evacuations
            case "told recoveries":
                return self.reads.recoveries
            case "told firings":
                return self.reads.firings
            case _:
                table: dict[Any, Any] = getattr(self.reads.fleet, name)
                return table

    def _restore(self, kept: Kept) -> None:
        """Take up what a store kept; the fleet's watcher counts along."""
        fleet = self.reads.fleet
        for name, key, value in kept.state:
            table = self._table(name)
            fleet.put(table, _key(key), _decoders[name].decode(value))
        self._in_order()
        self.checkpoint = kept.checkpoint
        self._commands = kept.commands
        self.reads.counts["commands"] = kept.commands
        self.reads.resume(kept.checkpoint.position, kept.checkpoint.epoch, kept.checkpoint.at)
        self.reads.remember(
            map(_operations.decode, kept.operations), map(_migrations.decode, kept.migrations)
        )

    def _in_order(self) -> None:
        """Put what is forgotten oldest first in order of age: a store gives it by its keys."""
        reads = self.reads
        for stories in (reads.evacuations, reads.recoveries):
            _sorted(stories, lambda item: number_of(item[0]))
        _sorted(reads.firings, lambda item: item[1].position)


_decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in KEPT.items()}
_operations = msgspec.json.Decoder(OperationLine)
_migrations = msgspec.json.Decoder(MigrationLine)
EVENT, PLACEMENT, COMMAND = VIEWS["event"], VIEWS["placement"], VIEWS["command"]
_columns = {view.name: attrgetter(*columns(view)) for view in ALL}


def _key(data: bytes) -> str | int | tuple[str, str]:
    return msgspec.msgpack.decode(data, type=str | int | tuple[str, str])


def _sorted(table: dict[str, Any], age: Callable[[tuple[str, Any]], int]) -> None:
    items = sorted(table.items(), key=age)
    table.clear()
    table.update(items)


def _written_once(at: Placed, rows: dict[str, list[Row]]) -> None:
    rows["event"].append(row_of(EVENT, audit_line(at), at.position))
    placement = placement_line(at)
    if placement is not None:
        rows["placement"].append(row_of(PLACEMENT, placement, at.position))


def _touch(at: Placed, touched: dict[tuple[str, Any], None]) -> None:
    """Note what the fold keeps beside the fleet: versions, explanations, stories."""
    fact = at.event.fact
    touched["versions", at.event.stream] = None
    table, member = BESIDE.get(type(fact), NOTHING)
    if table:
        touched[table, getattr(fact, member)] = None
    if isinstance(fact, Told):
        touched["told firings", named(fact, at)] = None


NOTHING = ("", "")
BESIDE: Mapping[type[Event], tuple[str, str]] = {
    ContainerPlaced: ("why", "container"),
    ContainerRemoved: ("why", "container"),
    **dict.fromkeys(members(EvacuationEvent), ("told evacuations", "evacuation")),
    **dict.fromkeys(members(RecoveryEvent), ("told recoveries", "recovery")),
}
"""Which entry beside the fleet an event changes: the table, and the member with its key."""


def row_of(view: View, line: Line, number: int | None = None) -> Row:
    """Return a line as a store keeps it."""
    if number is None:
        number = view.number(line) if view.number else 0
    short = _json.encode(view.brief(line)) if view.brief else b""
    return (view.key(line), number, *_columns[view.name](line), _json.encode(line), short)


def frame_hash(frame: Frame[Fact]) -> bytes:
    """Return what tells a frame from any other."""
    return chain(encode_frame(frame))


def len_of(frame: Frame[Fact]) -> int:
    """Return how many events a frame has."""
    return last_position(frame) - frame.position + 1
