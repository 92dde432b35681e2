"""The lives of containers as the witness keeps them: when each condition of serving was true."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

NEVER = 1 << 62
"""A position that no journal reaches."""
CONDITIONS = {
    "runs": False,
    "healthy": False,
    "found": False,
    "left alone": True,
    "at home": True,
    "thawed": True,
    "wanted": True,
}
"""What must be true of a container that serves, and whether it is when it is placed."""
MOVES, STEPS = ("migration",), ("operation",)
ANY = (*MOVES, *STEPS)
"""What may have a container."""
Span = tuple[int, int]
"""From a position to another one that is not included."""


class Layer(msgspec.Struct):
    added: int
    leaves: int = NEVER
    containers: list[str] = []


class Life(msgspec.Struct):
    """A container: its layer, from when to when it was there, and what turned at which position."""

    layer: Layer
    placed: int
    removed: int = NEVER
    turns: list[tuple[int, str, bool]] = []
    steps: list[tuple[int, str, str]] = []
    claims: list[tuple[int, str, bool]] = []


def begun(life: Life, at: int, holders: tuple[str, ...] = ANY) -> int:
    """Return when that began which has a container at this position, the position if nothing.

    A migration goes before a step beside it: such a step leaves the container serving.
    """
    for noun in holders:
        claims = ((when, begins) for when, who, begins in life.claims[::-1] if who == noun)
        when, begins = next((one for one in claims if one[0] <= at), (at, False))
        if begins:
            return when
    return at


def spans(life: Life, condition: str) -> list[Span]:
    """Return the intervals of a container's life in which a condition was true, in order."""
    turned = [(at, true) for at, what, true in life.turns if what == condition]
    turned = [(life.placed, CONDITIONS[condition]), *turned, (life.removed, False)]
    return [(a, b) for (a, true), (b, _) in pairwise(turned) if true and a < b]


def both(ones: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return the intervals in which two lists of intervals overlap."""
    found: list[Span] = []
    i = j = 0
    while i < len(ones) and j < len(others):
        start, end = max(ones[i][0], others[j][0]), min(ones[i][1], others[j][1])
        if start < end:
            found.append((start, end))
        if ones[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
    return found


def covers(ones: Iterable[Span], at: int) -> bool:
    return any(start <= at < end for start, end in ones)
