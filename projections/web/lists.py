"""Lines and lists of the views: now, as soon as they are new enough, or as they were."""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Generic

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from domain.messages import Code, Instant, Refusal
from projections.batches import Checkpoint
from projections.choice import Choice, Found
from projections.feed import H
from projections.keeping import Keeping, Live
from projections.notes import Note, noted
from projections.questions import LIMIT_MAX
from projections.stores import (
    Reader,
    StoreDamagedError,
    StoreLockedError,
    StoreSlowError,
)
from projections.views import ALL, VIEWS, View
from projections.web.density import density, seen_by
from projections.web.params import Cursor, Freshness, Wanted, write_cursor
from projections.web.past import Pasts
from projections.web.pins import Pins

READING_S = 3.0
"""How long one list may take to be read."""
AT_ONCE = 4
"""Lists that are read at the same time; others wait."""
CATCHING_UP = Refusal(Code.ENGINE_CATCHING_UP, "the views are being opened; ask again in a moment")
GONE = Refusal(
    Code.REQUEST_INVALID,
    "the position of this list is not kept any more; begin again without a cursor",
    "query cursor",
)

_json = msgspec.json.Encoder()
_object = msgspec.json.Decoder(dict[str, Raw])


class Said(msgspec.Struct, frozen=True):
    """An answer: its JSON, the position that it is true at, and what tells it from another one."""

    body: bytes
    position: int
    tag: str


class Page(msgspec.Struct, frozen=True):
    """Lines, the position that all of them are true at, and `next` where there are more."""

    items: list[Raw]
    position: int
    next: str | UnsetType = UNSET


class Status(msgspec.Struct, frozen=True):
    """How far the views are, and how many lines each has."""

    position: int
    epoch: int
    at: Instant
    counts: Mapping[str, int]


class ViewSize(msgspec.Struct, frozen=True):
    """A view, under `/v1/<plural>`, and how many lines it has."""

    name: str
    plural: str
    lines: int


class Projections(msgspec.Struct, frozen=True):
    """The views: how far, how many events behind the journal, which generation of them is read.

    `latest` is the latest rebuild or comparison, if there ever was one: how far, what came of it.
    """

    position: int
    at: Instant
    behind: int
    generation: int
    views: list[ViewSize]
    latest: Note | None


class Lists(Generic[H]):
    """Answers from the views."""

    def __init__(self, keeping: Keeping[H], pasts: Pasts[H]) -> None:
        self._keeping = keeping
        self._pasts = pasts
        self._pins = Pins(asyncio.get_running_loop().time)
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def one(
        self, view: View, key: str, fresh: Freshness, fields: Sequence[str]
    ) -> Said | Refusal | None:
        """Return one line; None where there is none."""
        live = await self._source(fresh)
        if isinstance(live, Refusal):
            return live
        try:
            reader, checkpoint = await live.begin()
            try:
                line = await reader.get(view, key)
            finally:
                await live.back(reader)
        except (StoreDamagedError, StoreLockedError) as error:
            return self._unreadable(live, error)
        if line is None:
            return None
        body = _json.encode(picked(line, fields))
        return Said(body, checkpoint.position, tag_of(body))

    async def page(self, wanted: Wanted) -> Said | Refusal:
        """Return one page of a list."""
        async with self._at_once:
            try:
                return await self._page(wanted)
            except StoreSlowError:
                detail = f"the list took longer than {READING_S:g} s to read; choose fewer lines"
                return Refusal(Code.WAIT_TIMEOUT, detail)

    async def _page(self, wanted: Wanted) -> Said | Refusal:
        cursor = wanted.cursor
        if cursor is not None and cursor.past != (wanted.fresh.as_of is not None):
            return GONE
        if cursor is not None and not cursor.past:
            pin = await self._pins.take(cursor.position)
            if pin is None:
                return GONE
            return await self._read(wanted, pin.live, pin.reader, cursor.position)
        live = await self._source(wanted.fresh)
        if isinstance(live, Refusal):
            return live
        try:
            reader, checkpoint = await live.begin()
        except (StoreDamagedError, StoreLockedError) as error:
            return self._unreadable(live, error)
        if cursor is not None and cursor.position != checkpoint.position:
            await live.back(reader)
            return GONE
        return await self._read(wanted, live, reader, checkpoint.position)

    async def _read(
        self, wanted: Wanted, live: Live, reader: Reader, position: int
    ) -> Said | Refusal:
        """Read a page; where more follow, keep the reading open for them."""
        past = wanted.fresh.as_of is not None
        keep = False
        try:
            more = replace(wanted.choice, limit=wanted.choice.limit + 1)
            found = await reader.select(more, READING_S)
            keep = len(found) > wanted.choice.limit and not past
        except (StoreDamagedError, StoreLockedError) as error:
            return self._unreadable(live, error)
        finally:
            if keep:
                await self._pins.keep(position, live, reader)
            else:
                await live.back(reader)
        return said(wanted, found, position)

    async def _source(self, fresh: Freshness) -> Live | Refusal:
        """Return the views to read from."""
        if fresh.as_of is not None:
            return await self._pasts.at(fresh.as_of)
        behind = self._keeping.progress.behind()
        if behind is not None:
            return behind
        late = await self._keeping.progress.wait(fresh.min_position, fresh.wait_ms)
        if late is not None:
            return replace(late, path="query min_position")
        return self._keeping.live or CATCHING_UP

    async def status(self, fresh: Freshness) -> Said | Refusal:
        """Return how far the views are, and how many lines each has."""
        live = await self._source(fresh)
        if isinstance(live, Refusal):
            return live
        try:
            async with self._at_once:
                status = await _status(live)
        except (StoreDamagedError, StoreLockedError) as error:
            return self._unreadable(live, error)
        body = _json.encode(status)
        return Said(body, status.position, tag_of(body))

    async def density(self, fresh: Freshness, buckets: int) -> Said | Refusal:
        """Return how many events there were in each stretch of time."""
        live = await self._source(fresh)
        if isinstance(live, Refusal):
            return live
        try:
            async with self._at_once, asyncio.timeout(READING_S):
                reader, checkpoint = await live.begin()
                try:
                    found = await density(seen_by(reader), checkpoint.position, buckets)
                finally:
                    await live.back(reader)
        except TimeoutError:
            detail = f"this took longer than {READING_S:g} s to read; ask for fewer buckets"
            return Refusal(Code.WAIT_TIMEOUT, detail, "query buckets")
        except (StoreDamagedError, StoreLockedError) as error:
            return self._unreadable(live, error)
        body = _json.encode(found)
        return Said(body, found.position, tag_of(body))

    async def projections(self) -> Said | Refusal:
        """Return what there is to know of the views themselves."""
        live = await self._source(Freshness())
        if isinstance(live, Refusal):
            return live
        try:
            async with self._at_once:
                status = await _status(live)
            latest = await noted(self._keeping.shelf)
        except (StoreDamagedError, StoreLockedError) as error:
            return self._unreadable(live, error)
        found = Projections(
            position=status.position,
            at=status.at,
            behind=max(0, await self._keeping.end() - status.position),
            generation=live.generation,
            views=[ViewSize(one.name, one.plural, status.counts[one.plural]) for one in ALL],
            latest=latest,
        )
        body = _json.encode(found)
        return Said(body, status.position, tag_of(body))

    async def margin(self) -> dict[str, int]:
        """Return how many layers are none, and one, from nothing being operable.

        Raises the errors of a store.
        """
        view = VIEWS["layer"]
        running = ("state", "ne", "stopped")
        none = (running, ("count", "gt", 0), ("operable", "eq", 0))
        one = (running, ("count", "gt", 1), ("operable", "eq", 1))
        async with self._keeping.reading() as (reader, _):
            return {
                name: len(await reader.select(Choice(view, where, limit=LIMIT_MAX), READING_S))
                for name, where in (("0", none), ("1", one))
            }

    def _unreadable(self, live: Live, error: Exception) -> Refusal:
        if isinstance(error, StoreDamagedError):
            self._keeping.distrust(live.generation)
        detail = f"the views cannot be read now, they are built anew; ask again ({error})"
        return Refusal(Code.ENGINE_CATCHING_UP, detail)

    async def checkpoint(self) -> Checkpoint:
        """Return the checkpoint of what would be read now."""
        async with self._keeping.reading() as (_, checkpoint):
            return checkpoint

    async def close(self) -> None:
        await self._pins.close()
        await self._pasts.close()


async def _status(live: Live) -> Status:
    reader, checkpoint = await live.begin()
    try:
        counts = {view.plural: await reader.count(view) for view in ALL if view.name != "event"}
    finally:
        await live.back(reader)
    counts["events"] = checkpoint.position
    return Status(checkpoint.position, checkpoint.epoch, checkpoint.at, counts)


def said(wanted: Wanted, found: Sequence[Found], position: int) -> Said:
    """Return a page as JSON, with the cursor of the next one if there is one."""
    lines = found[: wanted.choice.limit]
    items = [picked(line, wanted.fields) for _, line in lines]
    more: str | UnsetType = UNSET
    if len(found) > len(lines):
        past = wanted.fresh.as_of is not None
        more = write_cursor(Cursor(position, past, wanted.question, lines[-1][0]))
    tag = tag_of(_json.encode(items))
    return Said(_json.encode(Page(items, position, more)), position, tag)


def picked(line: bytes, fields: Sequence[str]) -> Raw:
    """Return a line, or only these members of it."""
    if not fields:
        return Raw(line)
    members: dict[str, Any] = _object.decode(line)
    return Raw(_json.encode({name: members[name] for name in fields if name in members}))


def tag_of(body: bytes) -> str:
    """Return an ETag: weak, for the same may be sent compressed."""
    return f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
