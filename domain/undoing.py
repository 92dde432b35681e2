"""What commands changed of what is intended, and whether that can be taken back.

Two kinds of commits are told apart: those that are meant, with all that the sagas did that they
began, and all others. What the first changed and nobody else has changed since can be undone.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from domain.chronicle import evolve
from domain.contracts.catalogue import COMMANDS
from domain.decider import Commit, Recorded
from domain.facts import Fact
from domain.fleet import Fleet
from domain.intents import NOUNS, THERE, Intent, changed, find, intents, name_of, same
from domain.messages import Instant
from domain.nouns import STORIES, TABLES

Meant = Callable[[int, Commit[Fact]], bool]


class Asked(msgspec.Struct, frozen=True):
    """A commit: its last position, what was asked, by whom, and why."""

    position: int
    at: Instant
    command: str
    actor: str
    ask: str
    reason: str = ""


class Drift(msgspec.Struct):
    """What became of one intent: as it was, as those that are meant left it, and as it is.

    `since` is who else changed it after them.
    """

    old: Any
    new: Any
    now: Any = None
    since: Asked | None = None


class Undoing:
    """Takes in commits from a moment on, and remembers what those that are meant changed."""

    def __init__(self, fleet: Fleet, meant: Meant) -> None:
        self.fleet = fleet
        self.asked: list[Asked] = []
        self.drifts: dict[Intent, Drift] = {}
        self.sagas: dict[str, None] = {}
        self._made: set[str] = set()
        self._begun: dict[str, Asked] = {}
        self._meant = meant
        self._nouns = {id(getattr(fleet, TABLES[noun])): noun for noun in NOUNS}

    def take(self, position: int, commit: Commit[Fact]) -> None:
        """Take in the next commit, whose last event is at `position`."""
        root = self._meant(position, commit)
        asked = self._whose(commit, asked_of(position, commit))
        ours = self._ours(commit, root=root)
        for event in commit.events:
            mine = owner(ours, event.asked)
            for intent, old, new in self._evolve(event, commit.at):
                if intent.noun == "container" and (mine or intent.member == THERE):
                    self._note_container(intent, old, new, mine=mine)
                else:
                    self._note(intent, old, new, None if mine else asked)
        if root:
            self.asked.append(asked_of(position, commit))

    def _whose(self, commit: Commit[Fact], asked: Asked) -> Asked:
        """Return what was asked that led to a commit: what the first of its sagas was begun by."""
        sagas = [event for event in commit.events if is_saga(event.stream)]
        if asked.command not in COMMANDS:
            begun = (self._begun[event.stream] for event in sagas if event.stream in self._begun)
            asked = next(begun, asked)
        for event in sagas:
            if event.version == 1:
                self._begun.setdefault(event.stream, asked)
        return asked

    def _ours(self, commit: Commit[Fact], *, root: bool) -> dict[str, bool]:
        """Say of each ask in a commit whose it is: that of a saga, or of what led to it."""
        sagas = [(event, event.stream) for event in commit.events if is_saga(event.stream)]
        ours = {"": root or any(stream in self.sagas for _, stream in sagas)}
        for event, stream in sagas:
            if event.version == 1 and owner(ours, event.asked):
                self.sagas[stream] = None
            if event.asked:
                ours.setdefault(event.asked, stream in self.sagas)
        return ours

    def _evolve(self, event: Recorded[Fact], at: Instant) -> Iterator[tuple[Intent, Any, Any]]:
        """Let an event be so, and return each intent that it changed, as it was and as it is."""
        self.fleet.try_out()
        evolve(self.fleet, event.fact, at)
        old: dict[tuple[int, Any], tuple[dict[Any, Any], Any]] = {}
        for table, key, one in self.fleet.tried():
            if id(table) in self._nouns:
                old.setdefault((id(table), key), (table, one))
        self.fleet.keep()
        for (kind, key), (table, was) in old.items():
            noun, now = self._nouns[kind], table.get(key)
            before, after = intents(was), intents(now)
            name = name_of(noun, key, was or now)
            for member in changed(before, after):
                yield Intent(noun, name, member), before.get(member), after.get(member)

    def _note(self, intent: Intent, old: Any, new: Any, other: Asked | None) -> None:
        """Remember a change by those that are meant, or by somebody else after them."""
        drift = self.drifts.get(intent)
        if other is None:
            if drift is None:
                if not self._is_new(intent):
                    self.drifts[intent] = Drift(old, new)
            else:
                drift.new = new
            return
        if drift is not None:
            drift.since = other
        if other.command in COMMANDS:
            for whole in around(intent):
                made = self.drifts.get(whole)
                if made is not None and made.old is None:
                    made.since = other

    def _note_container(self, intent: Intent, old: Any, new: Any, *, mine: bool) -> None:
        """Remember a change of a container that stays; how many there are is its layer's intent."""
        if intent.member != THERE:
            if intent.name not in self._made:
                self._note(intent, old, new, None)
        elif mine and old is None:
            self._made.add(intent.name)
        elif mine:
            for one in [one for one in self.drifts if one.whose == intent.whose]:
                del self.drifts[one]

    def _is_new(self, intent: Intent) -> bool:
        """Say whether its aggregate was made by those that are meant, and goes as a whole."""
        whole = self.drifts.get(msgspec.structs.replace(intent, member=THERE))
        return intent.member != THERE and whole is not None and whole.old is None

    def going_on(self) -> list[str]:
        """Return the sagas that are meant and not over: `operation.op3`."""
        return [name for name in self.sagas if not over(self.fleet, name)]

    def unlike(self, other: Fleet | None = None) -> dict[Intent, Drift]:
        """Return the intents that are not as they were before those that are meant.

        They are looked up in this fleet, or in another in which something was done about it; there
        what is intended with a container may have gone with it.
        """
        fleet = self.fleet if other is None else other
        unlike: dict[Intent, Drift] = {}
        for intent, drift in self.drifts.items():
            one = find(fleet, intent.noun, intent.name)
            now = intents(one).get(intent.member)
            went = other is not None and intent.noun == "container" and one is None
            if not went and not same(intent.member, drift.old, now):
                unlike[intent] = msgspec.structs.replace(drift, now=now)
        return unlike


def asked_of(position: int, commit: Commit[Fact]) -> Asked:
    return Asked(position, commit.at, commit.command, commit.actor, commit.ask, commit.reason)


def is_saga(stream: str) -> bool:
    return stream.partition(".")[0] in STORIES


def owner(ours: Mapping[str, bool], asked: str) -> bool:
    """Say whether an ask within a commit is meant: as itself, or as the nearest that led to it."""
    while asked not in ours:
        asked = asked.rpartition("/")[0]
    return ours[asked]


def around(intent: Intent) -> Iterator[Intent]:
    """Return what an intent is part of: what is taken away with it would take it along."""
    if intent.member != THERE:
        yield Intent(intent.noun, intent.name, THERE)
    if intent.noun in {"layer", "trigger"}:
        layer = intent.name.partition(" ")[0]
        yield Intent("layer", layer, THERE)
        yield Intent("environment", layer.partition("/")[0], THERE)


def over(fleet: Fleet, stream: str) -> bool:
    """Say whether a saga is over, be it remembered or not."""
    noun, _, name = stream.partition(".")
    table: dict[str, Any] = getattr(fleet, STORIES[noun])
    one = table.get(name)
    return one is None or bool(one.finished_at)
