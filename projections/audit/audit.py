"""The audit: every fact of the journal, kept by the library and read by stream and version.

It is fed whole frames. The events of a frame and how far the journal was followed are stored in
one transaction, so each is stored once, however often it comes; what does not follow is refused.
Notification ids of the library are positions of the journal.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import ProcessRecorder, StoredEvent, Tracking
from eventsourcing.utils import Environment, EnvType
from typing_extensions import override

from domain.chronicle import evolve
from domain.decider import Frame
from domain.facts import Fact, tag
from domain.fleet import Fleet
from domain.messages import Code, Instant, Refusal
from domain.nouns import TABLES
from projections.aggregates import spelled
from projections.audit.fold import Known, projector
from projections.audit.mapper import Entry, FactMapper, stored
from projections.feed import Placed, last_position, placed

JOURNAL = "journal"
"""The library's name for what is followed."""
EVENTS_A_TRANSACTION = 1_000
"""A transaction ends with the frame that reaches it."""
PAGE = 1_000
"""Events read at a time for a fold of everything."""


class AuditGapError(ValueError):
    """A frame does not follow what was taken in before. Nothing of it was stored."""


class AuditDamagedError(RuntimeError):
    """The audit's file is not what was written to it. Take a new one and feed it from the start."""


class HistoryLine(msgspec.Struct, frozen=True):
    """One event of a stream, as it is shown."""

    version: int
    position: int
    at: Instant
    tag: str
    fact: dict[str, Any]
    ask: str
    actor: str
    cause: str
    command: str
    tenant: str
    reason: str


class Audit(Application[str]):
    """Facts by stream and version. All methods block; any thread may call them. Close it."""

    name = "Audit"

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises `AuditDamagedError`, or the library's errors."""
        super().__init__(
            {
                "PERSISTENCE_MODULE": "eventsourcing.sqlite",
                "SQLITE_DBNAME": str(path.absolute()),
                "ORIGINATOR_ID_TYPE": "text",
            }
        )
        fed = self.checkpoint()
        held = self._recorder.max_notification_id() or 0
        if not fed <= held <= self.checkpoint():  # another process may be feeding it just now
            message = f"{path} holds {held} events, and was fed {fed}"
            raise AuditDamagedError(message)

    @override
    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Look at nothing but what is given: the process may have a persistence of its own."""
        return Environment(name, env)

    @override
    def construct_mapper(self) -> FactMapper:
        self._facts = FactMapper(self.construct_transcoder())
        return self._facts

    @override
    def construct_recorder(self) -> ProcessRecorder:
        self._recorder = self.factory.process_recorder()
        return self._recorder

    def checkpoint(self) -> int:
        """Return the position of the last event taken in, 0 if there is none."""
        return self._recorder.max_tracking_id(JOURNAL) or 0

    def take(self, frame: Frame[Fact]) -> None:
        """Take in one frame. Raises as `take_many` does."""
        self.take_many((frame,))

    def take_many(self, frames: Iterable[Frame[Fact]]) -> None:
        """Take in frames that follow each other; those it has already are passed over.

        Raises `AuditGapError` where one is missing; frames before it may be stored or not. The
        library's `IntegrityError` is raised, and nothing stored, if someone else feeds the file.
        """
        taken = self.checkpoint()
        batch: list[StoredEvent] = []
        for frame in frames:
            last = last_position(frame)
            if last <= taken + len(batch):
                continue
            if frame.position != taken + len(batch) + 1:
                message = (
                    f"the audit has events up to {taken + len(batch)};"
                    f" a frame with events {frame.position} to {last} does not follow"
                )
                raise AuditGapError(message)
            batch.extend(stored(entry(event)) for event in placed(frame))
            if len(batch) >= EVENTS_A_TRANSACTION:
                taken = self._store(taken, batch)
                batch = []
        if batch:
            self._store(taken, batch)

    def _store(self, taken: int, batch: list[StoredEvent]) -> int:
        last = taken + len(batch)
        ids = self._recorder.insert_events(batch, tracking=Tracking(JOURNAL, last))
        if not ids or (ids[0], ids[-1]) != (taken + 1, last):
            message = f"events {taken + 1} to {last} were stored as {ids and (ids[0], ids[-1])}"
            raise AuditDamagedError(message)
        return last

    def show(self, stream: str, version: int | None = None) -> Known | Refusal:
        """Return what a stream says of its aggregate, now or after `version` events."""
        return self._checked(stream, version)

    def exact(self, stream: str, version: int | None = None) -> Known | Refusal:
        """Return what the region knew of an aggregate right after `version` events of its stream.

        Folds everything before too: some seconds for a million events.
        """
        known = self._checked(stream, version)
        if isinstance(known, Refusal):
            return known
        noun, _, name = stream.partition(".")
        found = getattr(self.fleet(known.position), TABLES[noun]).get(name)
        state = None if found is None else spelled(found)
        return msgspec.structs.replace(known, state=state, folded_by="domain")

    def fleet(self, position: int | None = None) -> Fleet:
        """Fold every event up to `position`, by default all of them."""
        fleet = Fleet()
        for one in self._entries(position):
            evolve(fleet, one.fact, one.at)
        fleet.let_go()
        return fleet

    def history(self, stream: str, after: int = 0) -> list[HistoryLine]:
        """Return the events of a stream beyond version `after`, in order; [] if there are none."""
        events = self._recorder.select_events(stream, gt=after)
        return [history_line(self._facts.to_domain_event(event)) for event in events]

    def _checked(self, stream: str, version: int | None) -> Known | Refusal:
        try:
            known: Known = self.repository.get(
                stream, version=version, projector_func=projector(stream)
            )
        except AggregateNotFoundError:
            return self._unknown(stream, version)
        return known if version in {None, known.version} else self._unknown(stream, version)

    def _unknown(self, stream: str, version: int | None) -> Refusal:
        newest = self._recorder.select_events(stream, desc=True, limit=1)
        if not newest:
            up_to = self.checkpoint()
            return Refusal(
                Code.REQUEST_INVALID,
                f"there is no stream {stream!r} in the journal up to position {up_to};"
                " streams are named like container.node17",
                "$.stream",
                {"position": up_to},
            )
        last = newest[0].originator_version
        return Refusal(
            Code.REQUEST_INVALID,
            f"{stream} has versions 1 to {last}, and not {version}",
            "$.version",
            {"minimum": 1, "maximum": last},
        )

    def _entries(self, up_to: int | None) -> Iterator[Entry]:
        start = 1
        while page := self._recorder.select_notifications(start, PAGE, up_to):
            for notification in page:
                yield self._facts.to_domain_event(notification)
            start = page[-1].id + 1


def entry(event: Placed) -> Entry:
    """Return what is kept of an event of the journal."""
    commit, recorded = event.commit, event.event
    return Entry(
        recorded.stream,
        recorded.version,
        event.position,
        commit.at,
        commit.ask + recorded.asked,
        commit.actor,
        commit.cause,
        commit.command,
        commit.tenant,
        commit.reason,
        recorded.fact,
    )


def history_line(one: Entry) -> HistoryLine:
    """Return an entry as it is shown."""
    return HistoryLine(
        one.originator_version,
        one.position,
        one.at,
        tag(one.fact),
        {k: v for k, v in msgspec.to_builtins(one.fact).items() if k != "t"},
        one.ask,
        one.actor,
        one.cause,
        one.command,
        one.tenant,
        one.reason,
    )


class AuditFeed:
    """Feeds an audit from an asyncio loop, which it does not hold up; a `feed.Auditor`."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def take_many(self, frames: Sequence[Frame[Fact]]) -> None:
        """Take in frames, as `Audit.take_many`."""
        await asyncio.to_thread(self._audit.take_many, frames)


def open_audit(path: Path, *, create: bool = True) -> Audit:
    """Open an audit. Raises `FileNotFoundError` where there is none and none is to be made."""
    if not create and not path.is_file():
        message = f"there is no audit at {path}; it is written while the engine runs"
        raise FileNotFoundError(message)
    return Audit(path)
