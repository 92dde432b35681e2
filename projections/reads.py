"""What is read: the region as it is, and for a while what the region itself forgets.

`Reads` takes the frames of the journal in order and keeps the fleet, the story of every operation
and migration, the latest commands with their answers and the latest events. It holds nothing that
the journal does not: built again from the start it is the same.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import ClassVar

import msgspec
from msgspec import Raw

from domain.chronicle import evolve
from domain.container import Container, ContainerPlaced, ContainerRemoved, Placing
from domain.contracts.catalogue import COMMANDS
from domain.decider import Commit, Frame
from domain.evacuation import EvacuationEvent
from domain.facts import Fact, members, tag
from domain.fleet import Fleet
from domain.host import Host
from domain.messages import Accepted, ContainerId, Event, HostId, Instant, Refusal, Unchanged
from domain.migration import MigrationRequested
from domain.occupancy import Occupancy
from domain.operation import OperationRequested
from domain.recovery import RecoveryEvent
from projections import evacuations, recoveries
from projections.cloudevents import data
from projections.evacuations import EvacuationStory
from projections.feed import FeedError, Placed, last_position, placed
from projections.lines import CommandLine, EventLine, MigrationLine, OperationLine
from projections.recoveries import RecoveryStory
from projections.stories import (
    MIGRATION,
    OPERATION,
    migration_requested,
    next_migration,
    next_operation,
    operation_requested,
)
from projections.triggers import Firings, Told, tell

COMMANDS_MAX = 10_000
"""Commands that are kept with their answers; older ones are in the journal."""
EVENTS_MAX = 100_000
"""Events that can be listed; older ones are in the journal, and in EVT."""
STORIES_MAX = 10_000
"""Operations, and likewise migrations, that are over and still kept."""

_placing = msgspec.msgpack.Decoder(Placing)


def untold(_table: str, _key: str | None) -> None:
    """Be told of what is forgotten, and do nothing."""


class Reads:
    """A view of one region. Read its tables freely; change it only through `take`."""

    def __init__(
        self,
        events_max: int | None = None,
        forgot: Callable[[str, str | None], None] = untold,
        commands_max: int | None = None,
    ) -> None:
        """`forgot` is told of a story that is kept no more: the table, and which (None: none).

        So many events and commands are kept at most, None: the usual number of them.
        """
        self.fleet = Fleet()
        self.fleet.watcher = self
        self.versions: dict[str, int] = {}
        """Of every stream in which something may happen yet."""
        self.why: dict[ContainerId, Placing | Raw] = {}
        """Why each container is where it is; as bytes where nobody asked since a keyframe."""
        self.operations: dict[str, OperationLine] = {}
        self.migrations: dict[str, MigrationLine] = {}
        self.evacuations: dict[str, EvacuationStory] = {}
        self.recoveries: dict[str, RecoveryStory] = {}
        self.firings: Firings = {}
        self.commands: OrderedDict[str, CommandLine] = OrderedDict()
        """By `command_key`: two tenants may use one id."""
        self.counts: Counter[str] = Counter()
        self.heard: dict[HostId, Instant] = {}
        self.position = 0
        self.epoch = 0
        self.at = Instant(0)
        self._events: deque[Placed] = deque(maxlen=EVENTS_MAX if events_max is None else events_max)
        self._occupancy: Occupancy | None = None
        self._commands_max = COMMANDS_MAX if commands_max is None else commands_max
        self._forgot = forgot
        self._over: dict[str, deque[str]] = {"operation": deque(), "migration": deque()}

    def take(self, frame: Frame[Fact]) -> None:
        """Take in the next frame. Raises `FeedError` if it does not follow; nothing is changed."""
        if frame.position != self.position + 1:
            message = f"a frame at position {frame.position} came after position {self.position}"
            raise FeedError(message)
        self.epoch = frame.epoch
        for at in placed(frame):
            self._take(at)
        for (
            stream
        ) in self.fleet.let_go():  # a story keeps its own version for as long as it is told
            del self.versions[stream]
            self._forgot("versions", stream)
        self._answers(frame)
        self.position = last_position(frame)

    def _take(self, at: Placed) -> None:
        fact = at.event.fact
        self.versions[at.event.stream] = at.event.version
        self._events.append(at)
        evolve(self.fleet, fact, at.commit.at)
        carry_on = self._told.get(type(fact))
        if carry_on is not None:
            carry_on(self, fact, at)

    def _placed(self, fact: ContainerPlaced, _at: Placed) -> None:
        self.why[fact.container] = fact.why

    def _removed(self, fact: ContainerRemoved, _at: Placed) -> None:
        self.why.pop(fact.container, None)

    def _operation_requested(self, fact: OperationRequested, at: Placed) -> None:
        self.operations[fact.operation] = operation_requested(fact, at)
        self.counts["operations_running"] += 1

    def _operation(self, _fact: Fact, at: Placed) -> None:
        name = at.event.stream.partition(".")[2]
        self.operations[name] = next_operation(self.operations[name], at)
        self._close("operation", self.operations, name)

    def _migration_requested(self, fact: MigrationRequested, at: Placed) -> None:
        self.migrations[fact.migration] = migration_requested(fact, at)
        self.counts["migrations_running"] += 1

    def _migration(self, _fact: Fact, at: Placed) -> None:
        name = at.event.stream.partition(".")[2]
        self.migrations[name] = next_migration(self.migrations[name], at)
        self._close("migration", self.migrations, name)

    def _evacuation(self, fact: EvacuationEvent, at: Placed) -> None:
        oldest = evacuations.told(self.evacuations, fact, at, STORIES_MAX)
        self._forgot("told evacuations", oldest)

    def _recovery(self, fact: RecoveryEvent, at: Placed) -> None:
        oldest = recoveries.told(self.recoveries, fact, at, STORIES_MAX)
        self._forgot("told recoveries", oldest)

    def _firing(self, fact: Told, at: Placed) -> None:
        self._forgot("told firings", tell(self.firings, fact, at))

    _told: ClassVar[Mapping[type[Event], Callable[..., None]]] = {
        **dict.fromkeys(OPERATION, _operation),
        **dict.fromkeys(MIGRATION, _migration),
        **dict.fromkeys(members(EvacuationEvent), _evacuation),
        **dict.fromkeys(members(RecoveryEvent), _recovery),
        **dict.fromkeys(members(Told), _firing),
        OperationRequested: _operation_requested,
        MigrationRequested: _migration_requested,
        ContainerPlaced: _placed,
        ContainerRemoved: _removed,
    }
    """What is carried on beside the fleet, by the kind of event."""

    def _close(
        self, noun: str, table: dict[str, OperationLine] | dict[str, MigrationLine], name: str
    ) -> None:
        """If the story is over, note that, and forget the oldest one beyond `STORIES_MAX`."""
        if not table[name].finished_at:
            return
        self.counts[f"{noun}s_running"] -= 1
        over = self._over[noun]
        over.append(name)
        if len(over) > STORIES_MAX:
            del table[over.popleft()]

    def _answers(self, frame: Frame[Fact]) -> None:
        position = frame.position - 1
        for commit in frame.commits:
            position += len(commit.events)
            self.at = commit.at
            if commit.command in COMMANDS:
                self.counts["commands"] += 1
                if self._commands_max:
                    self._answer(command_line(commit, position))

    def _answer(self, line: CommandLine) -> None:
        key = command_key(line)
        self.commands[key] = line
        self.commands.move_to_end(key)  # an id of long ago may be used again: it is the latest
        if len(self.commands) > self._commands_max:
            self.commands.popitem(last=False)

    def resume(self, position: int, epoch: int, at: Instant) -> None:
        """Go on after `position`; the tables are already as they were then."""
        self.position, self.epoch, self.at = position, epoch, at

    def keep_events(self) -> None:
        """Keep events from now on, where none were kept."""
        self._events = deque(self._events, EVENTS_MAX)

    def remember(
        self, operations: Iterable[OperationLine], migrations: Iterable[MigrationLine]
    ) -> None:
        """Take up stories that were told before, oldest first, and count those that go on."""
        self.operations = {line.id: line for line in operations}
        self.migrations = {line.id: line for line in migrations}
        for noun, table in (("operation", self.operations), ("migration", self.migrations)):
            over = sorted((x for x in table.values() if x.finished_at), key=lambda x: x.finished_at)
            self._over[noun].extend(line.id for line in over)
            self.counts[f"{noun}s_running"] = len(table) - len(over)

    def host_changed(self, host: HostId, new: Host | None) -> None:
        """Count nothing: hosts are few; only the occupancy, if there is one, looks again."""
        if self._occupancy is not None:
            self._occupancy.host_changed(host, new)

    def container_changed(self, old: Container | None, new: Container | None) -> None:
        """Keep count of the operable containers; there may be a million."""
        was, now = old is not None and old.operable, new is not None and new.operable
        self.counts["operable"] += now - was
        if self._occupancy is not None:
            self._occupancy.container_changed(old, new)

    def occupancy(self) -> Occupancy:
        """Return the fleet as placement sees it; made when first asked for, then kept up."""
        if self._occupancy is None:
            self._occupancy = Occupancy(self.fleet)
        self._occupancy.refresh()
        return self._occupancy

    def heard_at(self, host: HostId) -> Instant:
        """Return when a host last said that it is there; this alone is not of the journal."""
        return self.heard.get(host, Instant(0))

    def totals(self) -> dict[str, int]:
        """Return how many there are of what."""
        fleet = self.fleet
        return {
            "hosts": len(fleet.hosts),
            "hosts_lost": sum(host.lost for host in fleet.hosts.values()),
            "environments": len(fleet.environments),
            "layers": len(fleet.layers),
            "containers": len(fleet.containers),
            "operable": self.counts["operable"],
            "operations_running": self.counts["operations_running"],
            "migrations_running": self.counts["migrations_running"],
            "orders_outstanding": len(fleet.orders),
            "dead_letters": len(fleet.dead),
            "tenants_limited": len(fleet.limits),
            "commands": self.counts["commands"],
            "events": self.position,
        }

    def why_of(self, container: ContainerId) -> Placing | None:
        """Return why a container is where it is; None if that is not known."""
        why = self.why.get(container)
        return _placing.decode(why) if isinstance(why, Raw) else why

    def version(self, noun: str, name: str) -> int:
        """Return the version of a stream, 0 where there is none."""
        return self.versions.get(f"{noun}.{name}", 0)

    def events_after(self, position: int) -> Iterator[Placed]:
        """Return the events that are kept beyond `position`, oldest first."""
        first = self._events[0].position if self._events else 1
        return islice(self._events, max(0, position + 1 - first), None)

    def events_latest_first(self) -> Iterator[Placed]:
        """Return the events that are kept, newest first."""
        return reversed(self._events)


def command_key(line: CommandLine) -> str:
    """Return what names a command: its tenant and its id, `/<id>` for the operator's."""
    return f"{line.tenant}/{line.id}"


def command_line(commit: Commit[Fact], position: int) -> CommandLine:
    """Return the line of a command; `position` is that of the last event once it was answered."""
    refusal = commit.answer if isinstance(commit.answer, Refusal) else None
    return CommandLine(
        id=commit.ask,
        command=commit.command,
        actor=commit.actor,
        tenant=commit.tenant,
        at=commit.at,
        answer=answer(commit),
        code=refusal.code.value if refusal else "",
        detail=refusal.detail if refusal else "",
        operations=operations(commit),
        reason=commit.reason,
        events=len(commit.events),
        position=position,
    )


def operations(commit: Commit[Fact]) -> tuple[str, ...]:
    """Return the operations or migrations that carry a command on."""
    if not isinstance(commit.answer, Accepted):
        return ()
    one = (commit.answer.operation,) if commit.answer.operation else ()
    return commit.answer.operations or one


def answer(commit: Commit[Fact]) -> str:
    """Return what became of an ask; `accepted`: an operation or migration carries it on."""
    match commit.answer:
        case Refusal():
            return "refused"
        case Unchanged():
            return "unchanged"
        case Accepted(operation=operation):
            return "accepted" if operation else "done"


def event_line(at: Placed) -> EventLine:
    """Return the line of one event."""
    commit, event = at.commit, at.event
    return EventLine(
        position=at.position,
        at=commit.at,
        stream=event.stream,
        version=event.version,
        type=tag(event.fact),
        data=data(event.fact),
        ask=commit.ask + event.asked,
        actor=commit.actor,
    )
