"""Yesterday's events, and how each becomes today's.

An event's tag and the bytes once written with it stay readable for ever. When the meaning of an
event changes, today's class gets a new tag; the old shape moves here, keeps its old tag, and says
with `upcast` what it is today. `tests/wire/golden` holds bytes of every shape ever released.
"""

from typing import Protocol, runtime_checkable

from domain.messages import Event


@runtime_checkable
class Old(Protocol):
    """A shape that is only read any more."""

    def upcast(self) -> Event:
        """Return the same fact in today's shape."""
        ...


LEGACY: tuple[type[Event], ...] = ()
"""Old shapes, oldest first; each has an `upcast`. None yet: nothing was ever changed."""
