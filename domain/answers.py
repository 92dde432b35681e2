"""What was answered to whom: every ask has one answer, for as long as it may be repeated.

Commands may be repeated for a day. Reports and deadlines come from our own processes, which
repeat them within seconds; their answers are kept for minutes.
"""

from collections import deque

import msgspec

from domain.messages import REMEMBER_MS, Answer, AskId, Instant, Tenant

REMEMBER_OWN_MS = 10 * 60 * 1_000
OPERATOR = Tenant("")
OWN = ("agent.", "deadline.")
"""How the names of asks begin that come from our own processes."""


def key_of(ask: AskId, tenant: Tenant) -> AskId:
    """Return what an ask is remembered by, so that ids of tenants do not meet.

    No id that a client chose has a blank, and no name of a host, with which reports begin, an @.
    """
    return AskId(f"@{tenant} {ask}") if tenant else ask


class Remembered(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The recorded answer to an ask, and what tells a repeated ask from another one."""

    answer: Answer
    position: int
    fingerprint: bytes
    at: Instant


Known = list[tuple[AskId, Remembered]]


class Answers:
    """Answers by the id of their ask, forgotten in the order they were given."""

    def __init__(self, commands: Known | None = None, own: Known | None = None) -> None:
        self._known = dict([*(commands or ()), *(own or ())])
        self._commands = deque(ask for ask, _ in commands or ())
        self._own = deque(ask for ask, _ in own or ())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, ask: AskId, tenant: Tenant = OPERATOR) -> Remembered | None:
        """Return the answer to an ask, or None if it was never asked, or too long ago."""
        return self._known.get(key_of(ask, tenant))

    def keep(self, ask: AskId, command: str, remembered: Remembered) -> None:
        """Remember an answer to a command of this name, and forget those that are too old."""
        self._known[ask] = remembered
        if command.startswith(OWN):
            self._own.append(ask)
        else:
            self._commands.append(ask)
        self._forget(self._own, remembered.at - REMEMBER_OWN_MS)
        self._forget(self._commands, remembered.at - REMEMBER_MS)

    def _forget(self, order: deque[AskId], before: int) -> None:
        while order and self._known[order[0]].at < before:
            del self._known[order.popleft()]

    def commands(self) -> Known:
        """Return the answers to commands, oldest first."""
        return [(ask, self._known[ask]) for ask in self._commands]

    def own(self) -> Known:
        """Return the answers to reports and deadlines, oldest first."""
        return [(ask, self._known[ask]) for ask in self._own]
