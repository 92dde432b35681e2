"""What changed between two moments, and which commits changed it: the difference of two folds."""

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.chronicle import evolve
from domain.decider import Commit
from domain.facts import Fact
from domain.fleet import Fleet
from domain.messages import Instant
from projections.aggregates import NOUNS, named, spelled

CAUSES_MAX = 20
"""Commits that are told of one aggregate: the first ones and the last."""


class Cause(msgspec.Struct, frozen=True):
    """A commit that changed something: where it ends, what was asked, by whom and why."""

    position: int
    at: Instant
    command: str
    actor: str
    ask: str
    tenant: str = ""
    reason: str = ""


class Change(msgspec.Struct, frozen=True):
    """One member of an aggregate, as it was and as it is."""

    path: str
    old: Any
    new: Any


class Difference(msgspec.Struct, frozen=True):
    """What became of one aggregate. `kind`: added, removed or changed; `commits` changed it.

    Of very many `causes` those in the middle are left out.
    """

    id: str
    kind: str
    changes: tuple[Change, ...]
    commits: int
    causes: tuple[Cause, ...]


class Differing:
    """Folds commits into a fleet and remembers what was before each change, and who made it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._nouns = {id(getattr(fleet, table)): noun for table, noun in NOUNS.items()}
        self._before: dict[tuple[str, Any], Any] = {}
        self._causes: dict[tuple[str, Any], list[Cause]] = {}

    def take(self, position: int, commit: Commit[Fact]) -> None:
        """Take in the next commit, whose last event is at `position`."""
        fleet = self._fleet
        fleet.try_out()
        for event in commit.events:
            evolve(fleet, event.fact, commit.at)
        touched: dict[tuple[str, Any], None] = {}
        for table, key, old in fleet.tried():
            noun = self._nouns.get(id(table))
            if noun is not None:
                self._before.setdefault((noun, key), old)
                touched[noun, key] = None
        fleet.keep()
        cause = cause_of(position, commit)
        for place in touched:
            self._causes.setdefault(place, []).append(cause)

    def told(self) -> Iterator[Difference]:
        """Return every difference, in the order in which they began."""
        tables = {noun: getattr(self._fleet, table) for table, noun in NOUNS.items()}
        for (noun, key), old in self._before.items():
            new = tables[noun].get(key)
            changes = tuple(changes_of(spelled(old), spelled(new)))
            if not changes:
                continue
            kind = "added" if old is None else "removed" if new is None else "changed"
            causes = self._causes[noun, key]
            yield Difference(named(noun, key), kind, changes, len(causes), some(causes))


def cause_of(position: int, commit: Commit[Fact]) -> Cause:
    """Return what is told of a commit."""
    return Cause(
        position,
        commit.at,
        commit.command,
        commit.actor,
        commit.ask,
        commit.tenant,
        commit.reason,
    )


def some(causes: list[Cause]) -> tuple[Cause, ...]:
    """Return all of a few causes, the ends of many."""
    half = CAUSES_MAX // 2
    return tuple(causes if len(causes) <= CAUSES_MAX else [*causes[:half], *causes[-half:]])


def changes_of(old: Any, new: Any, path: str = "") -> Iterator[Change]:
    """Return which members are not the same, deep down."""
    kinds: Any = (old.__class__, new.__class__)
    if kinds == (dict, dict):
        for name in dict.fromkeys((*old, *new)):
            inner = f"{path}.{name}" if path else str(name)
            yield from changes_of(old.get(name), new.get(name), inner)
    elif kinds == (list, list) and len(old) == len(new):
        for n, pair in enumerate(zip(old, new, strict=True)):
            yield from changes_of(*pair, f"{path}[{n}]")
    elif old != new:
        yield Change(path, old, new)
