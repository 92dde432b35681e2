"""One region as one state machine: ask in, commit out; frame in, the same state out.

The region is the consistency boundary: it has one active engine and one journal. `decide` carries
an ask to its end: its facts change the fleet, sagas react, what they ask is decided in turn, and
all of it is one commit. `absorb` takes in what was decided before; both lead to the same state.
"""

from collections import deque
from typing import Any

import msgspec

from domain.answers import Answers, Remembered, key_of
from domain.chronicle import evolve
from domain.decider import Ask, Commit, Frame, Recorded
from domain.decisions import DECIDE, INSTEAD
from domain.facts import Fact
from domain.fleet import Fleet
from domain.lately import Lately
from domain.messages import (
    Accepted,
    Answer,
    Code,
    Command,
    Instant,
    PublicCommand,
    Refusal,
    Unchanged,
)
from domain.plan import Plan
from domain.planning import Foreseen, foresee, not_as_planned, plan_of
from domain.reactions import react
from domain.streams import stream_named, stream_of
from domain.tenancy import foreign
from domain.wire import COMMIT_BYTES_MAX, size_of

ASKS_MAX = 20_000
"""Asks that one ask may lead to within its commit; more is a saga that runs in a circle."""
EVENTS_MAX = 10_000
"""Events of one commit; as many as this are too large for it, however small they are."""

LOOK_AT_SIZE_FROM = 16
"""Events from which on a commit's size is looked at; fewer are small enough."""
TOO_LARGE = Refusal(
    Code.REQUEST_TOO_LARGE,
    f"this would write more than {COMMIT_BYTES_MAX // 1_024} KiB at once; ask for less at a time",
    "",
    {"maximum_bytes": COMMIT_BYTES_MAX},
)


def too_large(answer: Answer, events: tuple[Recorded[Fact], ...]) -> bool:
    """Say whether a commit of this answer and these events would not pass the bus."""
    few, many = len(events) < LOOK_AT_SIZE_FROM, len(events) > EVENTS_MAX
    return many or (not few and size_of(answer, events) > COMMIT_BYTES_MAX)


class BrokenHistoryError(ValueError):
    """An event of the journal does not follow from those before it in its stream."""

    def __init__(self, event: Recorded[Fact], last: int, position: int) -> None:
        super().__init__(
            f"after position {position}: {event.stream} goes from version {last}"
            f" to {event.version}, {last + 1} was expected"
        )


class Undecided(msgspec.Struct, frozen=True):
    """A command whose turn comes: its name within the commit, and whether it may be refused."""

    command: Command
    name: str
    must: bool


class Region:
    """All that one region knows. `position` is that of the last event, `at` its time."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.answers = Answers()
        self.versions: dict[str, int] = {}
        self.position = 0
        self.epoch = 0
        self.at = Instant(0)
        self.lately = Lately()

    def decide(self, ask: Ask, now: Instant) -> Commit[Fact]:
        """Carry `ask` to its end and remember the answer. The caller appends the commit."""
        at = Instant(max(now, self.at))
        against = self._not_as_planned(ask, at)
        if against is not None:
            return self._commit(ask, at, against, ())
        answer, events = self._try(ask, at, keep=True)
        for event in events:
            self.versions[event.stream] = event.version
        return self._commit(ask, at, answer, events)

    def refuse(self, ask: Ask, refusal: Refusal, now: Instant) -> Commit[Fact]:
        """Answer `ask` with a refusal that was not decided here, and remember that."""
        return self._commit(ask, Instant(max(now, self.at)), refusal, ())

    def _commit(
        self, ask: Ask, at: Instant, answer: Answer, events: tuple[Recorded[Fact], ...]
    ) -> Commit[Fact]:
        commit = Commit(
            ask.id,
            ask.actor,
            ask.cause,
            at,
            answer,
            events,
            str(ask.command.__struct_config__.tag),
            ask.tenant,
            ask.fingerprint,
            ask.reason,
        )
        self.remember(commit)
        return commit

    def plan(self, ask: Ask, now: Instant) -> tuple[Answer, Plan | None]:
        """Say what `decide` would do and what would follow, and leave no trace.

        There is no plan of what would be refused.
        """
        at = Instant(max(now, self.at))
        seen = self._foresee(ask, at)
        against = self._not_as_planned(ask, at, seen)
        if against is not None or not isinstance(ask.command, PublicCommand):
            return against or seen.answer, None
        return seen.answer, plan_of(seen, ask.command, self.position)

    def _not_as_planned(
        self, ask: Ask, at: Instant, seen: Foreseen | None = None
    ) -> Refusal | None:
        """Refuse an ask that would not do what it names; what is against the ask goes first."""
        if ask.expect_plan is None or self._refuse(ask, at) is not None:
            return None
        return not_as_planned(ask, seen or self._foresee(ask, at), self.position, self.lately)

    def _foresee(self, ask: Ask, at: Instant) -> Foreseen:
        """Play an ask out to its end on the fleet, and take all of it back."""
        self.fleet.try_out()
        try:
            return foresee(self.fleet, self._carry_out, ask, at)
        finally:
            self.fleet.undo()

    def try_out(self, ask: Ask, now: Instant) -> tuple[Answer, tuple[Fact, ...]]:
        """Say what `decide` would write at once, and leave no trace."""
        answer, events = self._try(ask, Instant(max(now, self.at)), keep=False)
        return answer, tuple(event.fact for event in events)

    def _try(
        self, ask: Ask, at: Instant, *, keep: bool
    ) -> tuple[Answer, tuple[Recorded[Fact], ...]]:
        """Carry an ask out on the fleet, and take it back unless it is to be kept.

        What is refused may be decided as something else instead, so that the refusal is a fact.
        """
        answer, events = self._try_once(ask, at, keep=keep)
        instead = INSTEAD.get(type(ask.command))
        if instead is None or not isinstance(answer, Refusal):
            return answer, events
        told = msgspec.structs.replace(ask, command=instead(ask.command, answer))
        return self._try_once(told, at, keep=keep)

    def _try_once(
        self, ask: Ask, at: Instant, *, keep: bool
    ) -> tuple[Answer, tuple[Recorded[Fact], ...]]:
        """Carry an ask out, and take it back unless it is to be kept.

        A bug leaves no trace either: its exception goes on, the fleet is as it was.
        """
        kept = False
        self.fleet.try_out()
        try:
            answer, events = self._carry_out(ask, at)
            kept = keep and not isinstance(answer, Refusal)
        finally:
            if kept:
                self.fleet.keep()
            else:
                self.fleet.undo()
        return answer, () if isinstance(answer, Refusal) else events

    def _carry_out(self, ask: Ask, at: Instant) -> tuple[Answer, tuple[Recorded[Fact], ...]]:
        """Decide an ask and all that follows from it, on the fleet as it is."""
        answer, events = self._decide(ask, at)
        large = not isinstance(answer, Refusal) and too_large(answer, events)
        return (TOO_LARGE, ()) if large else (answer, events)

    def _decide(self, ask: Ask, at: Instant) -> tuple[Answer, tuple[Recorded[Fact], ...]]:
        refusal = self._refuse(ask, at)
        if refusal is not None:
            return refusal, ()
        events: list[Recorded[Fact]] = []
        versions: dict[str, int] = {}
        accepted: list[Accepted] = []
        turn = deque([Undecided(ask.command, "", must=True)])
        for _ in range(ASKS_MAX):
            if not turn or len(events) > EVENTS_MAX:
                return self._answer(ask, accepted, events, versions), tuple(events)
            now = turn.popleft()
            outcome = DECIDE[type(now.command)](self.fleet, now.command, ask, at)
            if isinstance(outcome, Refusal):
                if now.must:
                    return outcome, ()
                message = f"a saga's ask was refused: {now.command} {outcome}"
                raise AssertionError(message)
            if now.must and outcome.answer is not None:
                accepted.append(outcome.answer)
            asked: list[tuple[Command, bool]] = [(command, now.must) for command in outcome.then]
            for fact in outcome.facts:
                recorded = self._record(fact, versions, now.name)
                events.append(recorded)
                evolve(self.fleet, recorded.fact, at)
                asked.extend((command, False) for command in react(self.fleet, fact))
            turn.extend(
                Undecided(command, f"{now.name}/{n}", must)
                for n, (command, must) in enumerate(asked)
            )
        message = f"{ask.id} led to more than {ASKS_MAX} asks"
        raise AssertionError(message)

    def _record(self, fact: Any, versions: dict[str, int], name: str) -> Recorded[Fact]:
        stream = stream_of(fact)
        version = versions.get(stream, self.versions.get(stream, 0)) + 1
        versions[stream] = version
        return Recorded(stream, version, fact, name)

    def _refuse(self, ask: Ask, at: Instant) -> Refusal | None:
        """Return what is against the ask itself, whatever it asks."""
        if ask.expires is not None and at > ask.expires:
            return Refusal(
                Code.COMMAND_EXPIRED,
                f"the command expired {at - ask.expires} ms ago; send it again under a new id",
                "$.expires_at",
                {"late_ms": at - ask.expires},
            )
        not_theirs = foreign(self.fleet, ask)
        if not_theirs is not None:
            return not_theirs
        if ask.expect_version is not None:
            stream = stream_named(ask.command)
            version = self.versions.get(stream, 0)
            if version != ask.expect_version:
                return Refusal(
                    Code.VERSION_CONFLICT,
                    f"{stream} is at version {version}, not {ask.expect_version};"
                    " read it again and decide anew",
                    "$.expect_version",
                    {"version": version, "expected": ask.expect_version},
                )
        return None

    def _answer(
        self,
        ask: Ask,
        accepted: list[Accepted],
        events: list[Recorded[Fact]],
        versions: dict[str, int],
    ) -> Answer:
        stream = stream_named(ask.command)
        version = versions.get(stream, self.versions.get(stream, 0))
        notices = tuple(note for answer in accepted for note in answer.notices)
        if not events:
            return Unchanged(version, notices)
        operations = tuple(answer.operation for answer in accepted if answer.operation)
        containers = tuple(name for answer in accepted for name in answer.containers)
        first = operations[0] if operations else ""
        return Accepted(first, operations, version, containers, notices)

    def absorb(self, frame: Frame[Fact]) -> None:
        """Take in a frame of the journal: what was decided, by whoever wrote it.

        Raises `BrokenHistoryError` where an event is not the next one of its stream.
        """
        self.epoch = frame.epoch
        versions = self.versions
        fleet = self.fleet
        for commit in frame.commits:
            at = commit.at
            for event in commit.events:
                stream, version = event.stream, event.version
                if version != versions.get(stream, 0) + 1:
                    raise BrokenHistoryError(event, versions.get(stream, 0), self.position)
                versions[stream] = version
                evolve(fleet, event.fact, at)
            self.remember(commit)

    def remember(self, commit: Commit[Fact]) -> None:
        """Note that a commit stands: where it ends, and its answer. What is over is forgotten."""
        for stream in self.fleet.let_go():
            del self.versions[stream]
        self.at = commit.at
        if commit.events:
            self.position += len(commit.events)
            self.lately.take(self.position, commit)
        remembered = Remembered(commit.answer, self.position, commit.fingerprint, commit.at)
        self.answers.keep(key_of(commit.ask, commit.tenant), commit.command, remembered)
