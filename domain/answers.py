"""What was answered to whom: every ask has one answer, for as long as it may be repeated."""

from collections import deque

import msgspec

from domain.messages import REMEMBER_MS, Answer, AskId, Instant


class Remembered(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The recorded answer to an ask, and what tells a repeated ask from another one."""

    answer: Answer
    position: int
    fingerprint: bytes
    at: Instant


class Answers:
    """Answers by the id of their ask, forgotten in the order they were given."""

    def __init__(self) -> None:
        self._known: dict[AskId, Remembered] = {}
        self._order: deque[AskId] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, ask: AskId) -> Remembered | None:
        """Return the answer to an ask, or None if it was never asked, or too long ago."""
        return self._known.get(ask)

    def keep(self, ask: AskId, remembered: Remembered) -> None:
        """Remember an answer, and forget those older than `REMEMBER_MS`."""
        self._known[ask] = remembered
        self._order.append(ask)
        oldest = self._order[0]
        while self._known[oldest].at + REMEMBER_MS < remembered.at:
            del self._known[self._order.popleft()]
            oldest = self._order[0]

    def all(self) -> list[tuple[AskId, Remembered]]:
        """Return every remembered answer, oldest first."""
        return [(ask, self._known[ask]) for ask in self._order]
