"""The views as they were: told from the nearest keyframe on, and looked up in the views of today.

What was at a moment (hosts, layers, containers) and what was going on is told from the fold. What
had been written by then and never changes (events, commands, placements, stories that were over)
is read through to the views that are kept, up to that moment.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Generic

import msgspec

from domain.messages import Code, Refusal
from domain.nouns import STORIES, TABLES
from domain.tenant import OTHERS
from projections.batches import Batch, Checkpoint, Row, row_of
from projections.feed import H
from projections.files import finished
from projections.keeping import Keeping, Live
from projections.moments import Moment
from projections.reaching import Reaching
from projections.reads import Reads
from projections.stores import Past, StoreDamagedError, StoreLockedError
from projections.views import VIEWS

KEPT_MAX = 4
"""Moments that are kept built."""
BUILD_S = 20.0
"""How long a moment may take to build; only where there are no keyframes it takes so long."""
WAIT_MS = 5_000
"""How long the views may take to be as far as a moment that has just been."""
NOT_YET = Refusal(Code.ENGINE_CATCHING_UP, "the views are being opened; ask again in a moment")
TOO_LONG = (
    f"this moment took longer than {BUILD_S:g} s to build from the journal;"
    " `restow <noun> list --at <moment>` has no such limit"
)


class Built(msgspec.Struct, frozen=True):
    """A moment that is built: how it is read, what it is kept in, and through to which views."""

    live: Live
    past: Past
    today: Live


class Pasts(Generic[H]):
    """Moments of the past, each built once; the least used is forgotten."""

    def __init__(self, keeping: Keeping[H], reaching: Reaching[H]) -> None:
        self._keeping = keeping
        self._reaching = reaching
        self._built: OrderedDict[Moment, Built] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def at(self, moment: Moment) -> Live | Refusal:
        """Return the views as they were at a moment."""
        async with self._one_at_a_time:
            found = self._built.get(moment)
            if found is not None and found.today is not self._keeping.live:
                await self._forget(moment)  # it reads through to views that others have replaced
                found = None
            if found is not None:
                self._built.move_to_end(moment)
                return found.live
            try:
                async with asyncio.timeout(BUILD_S):
                    return await self._build(moment)
            except TimeoutError:
                return Refusal(Code.WAIT_TIMEOUT, TOO_LONG, "query as_of")

    async def _build(self, moment: Moment) -> Live | Refusal:
        end = await self._keeping.end()
        if moment.position is not None and moment.position > end:
            detail = f"position {moment.position:,} has not come yet, the last is {end:,}"
            return Refusal(Code.REQUEST_INVALID, detail, "query as_of", {"position": end})
        reads = (await self._reaching.reach(moment)).reads
        late = await self._keeping.progress.wait(reads.position, WAIT_MS)
        today = self._keeping.live
        if late is not None or today is None:
            return late or NOT_YET
        batch = await finished(partial(batch_of, reads))
        try:
            past = await self._keeping.shelf.past(today.generation, batch, bounds(reads, moment))
        except (StoreDamagedError, StoreLockedError) as error:
            detail = f"the views of this moment cannot be made now; ask again ({error})"
            return Refusal(Code.ENGINE_CATCHING_UP, detail)
        live = Live(past.open)
        self._built[moment] = Built(live, past, today)
        while len(self._built) > KEPT_MAX:
            await self._forget(next(iter(self._built)))
        return live

    async def _forget(self, moment: Moment) -> None:
        built = self._built.pop(moment)
        await built.live.close()
        await built.past.remove()

    async def close(self) -> None:
        for moment in list(self._built):
            await self._forget(moment)


def bounds(reads: Reads, moment: Moment) -> Mapping[str, str]:
    """Say which lines of today there were at a moment, in SQL; only numbers of our own are in it.

    Of a story the line of today is right if it was over by then; what went on is told anew.
    Stories are numbered one after another: which there were is told by the last number.
    """
    at = reads.position
    counters = reads.fleet.counters
    asked = f"position <= {at}"
    if moment.position is None:
        asked += f" AND at <= {moment.at}"
    return {
        **{name: f"_number <= {counters.get(name, 0)}" for name in STORIES},
        **dict.fromkeys(("event", "placement", "firing"), f"_number <= {at}"),
        "command": asked,
    }


def batch_of(reads: Reads) -> Batch:
    """Return what there was and what went on at a moment, as a store takes it."""
    rows: dict[str, list[Row]] = {}
    for name, keys in told(reads):
        view = VIEWS[name]
        if view.tell is not None:
            lines = (view.tell(reads, key) for key in keys)
            rows[name] = [row_of(view, line) for line in lines if line is not None]
    checkpoint = Checkpoint(reads.position, reads.epoch, reads.at)
    return Batch(checkpoint, rows, {}, [], reads.position)


def told(reads: Reads) -> Iterator[tuple[str, list[Any]]]:
    """Return the keys of the lines that are told from the fold, view by view."""
    fleet = reads.fleet
    tables: dict[str, Mapping[Any, Any]] = {
        noun: getattr(fleet, table) for noun, table in TABLES.items() if noun != "tenant"
    }
    tables |= {
        "operation": reads.operations,
        "migration": reads.migrations,
        "evacuation": reads.evacuations,
        "recovery": reads.recoveries,
        "order": fleet.orders,
        "firing": reads.firings,
    }
    yield from ((name, list(table)) for name, table in tables.items())
    yield "tenant", list(dict.fromkeys((*fleet.limits, OTHERS)))
