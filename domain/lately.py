"""What was written lately, so that it can be said what has changed since a plan was made.

Kept from commits as they are made or read, forgotten from the oldest on; not part of an image.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from domain.decider import Commit

EVENTS_MAX = 20_000
"""Events that are remembered."""


class Change(msgspec.Struct, frozen=True):
    """One commit, told shortly: where it ended, what was asked by whom, and what it touched."""

    position: int
    command: str
    actor: str
    streams: tuple[str, ...]

    @property
    def line(self) -> str:
        return f"{self.position:,} {self.command} by {self.actor} ({', '.join(self.streams)})"


class Lately:
    """The latest commits that wrote something, with the position each of them ended at."""

    def __init__(self) -> None:
        self._commits: deque[tuple[int, Commit[Any]]] = deque()
        self._events = 0

    def take(self, position: int, commit: Commit[Any]) -> None:
        """Remember a commit whose last event stands at `position`."""
        self._commits.append((position, commit))
        self._events += len(commit.events)
        while self._events > EVENTS_MAX:
            _, oldest = self._commits.popleft()
            self._events -= len(oldest.events)

    def since(self, position: int) -> Iterable[Change]:
        """Give what is remembered of what was written after `position`, newest first."""
        for end, commit in reversed(self._commits):
            if end <= position:
                return
            streams = tuple(dict.fromkeys(event.stream for event in commit.events))
            yield Change(end, commit.command, commit.actor, streams)
