"""Changes as they come, for any number of listeners, each at its own pace.

Every batch is encoded once and kept for a while. A listener that falls further behind than that,
or comes back later, is told to read anew (`resync`) instead of being told only some of it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator

import msgspec
from msgspec import Raw

from projections.batches import Batch

RING_BYTES_MAX = 32 * 1_024 * 1_024
"""Changes that are kept for those who listen slowly, or come back."""
RING_MAX = 10_000
HEARTBEAT_S = 15.0
"""How long it may be quiet."""
PACE_S = 0.1
"""Changes within this time are told together."""
RETRY_MS = 1_000

_json = msgspec.json.Encoder()


class Change(msgspec.Struct, frozen=True):
    """A line that is not as before; `line` is null where it is gone."""

    view: str
    key: str
    line: Raw | None


class News(msgspec.Struct, frozen=True, gc=False):
    """What one batch changed, each change encoded; `number` counts batches, some have no event."""

    number: int
    before: int
    position: int
    changes: tuple[tuple[str, bytes], ...]
    size: int


class Hub:
    """Keeps what changed lately and wakes those who listen."""

    def __init__(self) -> None:
        self.listeners = 0
        self.resyncs = 0
        self._ring: deque[News] = deque()
        self._size = 0
        self._next = 0
        self._stirred = asyncio.Event()
        self._stopping = False

    def tell(self, batch: Batch) -> None:
        """Keep what a batch changed."""
        changes = tuple(
            (view, _json.encode(Change(view, key, None if line is None else Raw(line))))
            for view, key, line in batch.told()
        )
        size = sum(len(body) for _, body in changes)
        position = batch.checkpoint.position
        self._ring.append(News(self._next, position - batch.events, position, changes, size))
        self._next += 1
        self._size += size
        while len(self._ring) > RING_MAX or (self._size > RING_BYTES_MAX and len(self._ring) > 1):
            self._size -= self._ring.popleft().size
        self._stir()

    def stop(self) -> None:
        """End what everybody hears."""
        self._stopping = True
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = asyncio.Event()

    async def hear(
        self, after: int | None, position: int, views: Collection[str]
    ) -> AsyncGenerator[bytes]:
        """Yield server-sent events beyond `after` (None: from now on), for ever.

        `position` is that of the views now.
        """
        self.listeners += 1
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            place = self._place(after, position)
            while not self._stopping:
                if place is None or (self._ring and place < self._ring[0].number):
                    self.resyncs += 1
                    yield said("resync", position, b'{"position":%d}' % position)
                    return
                if place == self._next:
                    if await within(self._stirred, HEARTBEAT_S):
                        await asyncio.sleep(PACE_S)
                    else:
                        yield b": quiet\n\n"
                    continue
                news = [one for one in self._ring if one.number >= place]
                place, position = self._next, news[-1].position
                body = b",".join(chosen(news, views))
                if body:
                    data = b'{"position":%d,"changes":[%b]}' % (position, body)
                    yield said("change", position, data)
            yield said("server-closing", position, b"{}")
        finally:
            self.listeners -= 1

    def _place(self, after: int | None, position: int) -> int | None:
        """Return the number of the first batch to be told; None where it is not kept any more."""
        if after is None or (after == position and not self._ring):
            return self._next
        if not self._ring or not self._ring[0].before <= after <= self._ring[-1].position:
            return None
        later = (one.number for one in self._ring if one.position > after or one.before == after)
        return next(later, self._next)


def chosen(news: Iterable[News], views: Collection[str]) -> Iterator[bytes]:
    """Return the changes of these views; of all, where none is named."""
    for one in news:
        yield from (body for view, body in one.changes if not views or view in views)


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; tell whether it came in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def said(kind: str, position: int, body: bytes) -> bytes:
    """Return one server-sent event."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (position, kind.encode(), body)
