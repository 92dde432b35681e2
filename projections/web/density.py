"""How dense history is: events of every stretch of time, from the first event to the last.

The journal's time never goes back and its positions are counted without a gap, so where a stretch
ends is found by halving, and nothing has to be counted one by one.
"""

from collections.abc import Awaitable, Callable

import msgspec

from domain.messages import Instant
from projections.stores import Reader
from projections.views import VIEWS

BUCKETS_MAX = 500
BUCKETS = 120

At = Callable[[int], Awaitable[Instant]]
"""Returns when the event at a position happened."""

_at = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Bucket(msgspec.Struct, frozen=True):
    """A stretch of time: `events` in it, and the last position that there was at its end."""

    at: Instant
    events: int
    position: int


class Density(msgspec.Struct, frozen=True):
    """All of history up to `position`, in stretches of `width_ms`; none where nothing happened."""

    position: int
    begin: Instant
    end: Instant
    width_ms: int
    buckets: list[Bucket]


def seen_by(reader: Reader) -> At:
    """Return how a reader of the views tells when an event happened."""

    async def at(position: int) -> Instant:
        line = await reader.get(VIEWS["event"], str(position))
        if line is None:
            message = f"the views have no event {position:,} of those that they count"
            raise LookupError(message)
        return Instant(msgspec.json.decode(_at.decode(line)["at"], type=int))

    return at


async def density(at: At, last: int, buckets: int) -> Density:
    """Count the events from position 1 to `last`, in so many stretches of time at most."""
    if not last:
        return Density(0, Instant(0), Instant(0), 0, [])
    begin, end = await at(1), await at(last)
    width = (end - begin) // buckets + 1
    counts = [0] * ((end - begin) // width + 1)
    counts[0] = 1

    def place(moment: Instant) -> int:
        return (moment - begin) // width

    parts = [(1, 0, last, place(end))]
    while parts:
        low, first, high, final = parts.pop()
        if first == final or high == low + 1:
            counts[final] += high - low
            continue
        middle = (low + high) // 2
        between = place(await at(middle))
        parts += [(low, first, middle, between), (middle, between, high, final)]
    found: list[Bucket] = []
    position = 0
    for number, events in enumerate(counts):
        position += events
        found.append(Bucket(Instant(begin + number * width), events, position))
    return Density(last, begin, end, width, found)
