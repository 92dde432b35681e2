"""The views as they were: told from the nearest keyframe on, and looked up in the views of today.

What was at a moment (hosts, layers, containers) and what was going on is told from the fold. What
had been written by then and never changes (events, commands, placements, stories that were over)
is read through to the views that are kept, up to that moment.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic

from domain.messages import Code, Refusal
from domain.tenant import OTHERS
from projections.batches import Batch, Checkpoint, Row, row_of
from projections.feed import H
from projections.keeping import Keeping, Live, finished
from projections.moments import Moment
from projections.reaching import Reaching
from projections.reads import Reads
from projections.shelf import remove
from projections.sqlite import SqliteReader, SqliteStore
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


class Pasts(Generic[H]):
    """Moments of the past, each built once; the least used is forgotten."""

    def __init__(self, keeping: Keeping[H], reaching: Reaching[H]) -> None:
        self._keeping = keeping
        self._reaching = reaching
        self._folder = TemporaryDirectory(prefix="restow-past-")
        self._built: OrderedDict[Moment, tuple[Live, Live]] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._count = 0

    async def at(self, moment: Moment) -> Live | Refusal:
        """Return the views as they were at a moment."""
        async with self._one_at_a_time:
            found = self._built.get(moment)
            if found is not None and found[1] is not self._keeping.live:
                self._forget(moment)  # it reads through to views that others have replaced
                found = None
            if found is not None:
                self._built.move_to_end(moment)
                return found[0]
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
        path = Path(self._folder.name, f"past-{self._count}.db")
        self._count += 1
        await finished(partial(write, reads, path))
        through = Through(today.path, bounds(reads, moment))
        live = Live(path, through.open)
        self._built[moment] = live, today
        while len(self._built) > KEPT_MAX:
            self._forget(next(iter(self._built)))
        return live

    def _forget(self, moment: Moment) -> None:
        live, _ = self._built.pop(moment)
        live.close()
        remove(live.path)

    def close(self) -> None:
        for moment in list(self._built):
            self._forget(moment)
        self._folder.cleanup()


class Through:
    """Opens the file of a moment so that lists go on in the views of today."""

    def __init__(self, today: Path, bounds: Mapping[str, str]) -> None:
        self._today = today
        self._bounds = bounds

    def open(self, path: Path) -> SqliteReader:
        reader = SqliteReader(path)
        reader.look_through(self._today, self._bounds)
        return reader


COUNTED = ("operation", "migration", "evacuation", "recovery", "growth", "rebalance")
"""Stories whose numbers are given one after another: which there were is told by the last."""


def bounds(reads: Reads, moment: Moment) -> Mapping[str, str]:
    """Say which lines of today there were at a moment, in SQL; only numbers of our own are in it.

    Of a story the line of today is right if it was over by then; what went on is told anew.
    """
    at = reads.position
    counters = reads.fleet.counters
    asked = f"position <= {at}"
    if moment.position is None:
        asked += f" AND at <= {moment.at}"
    return {
        **{name: f"_number <= {counters.get(name, 0)}" for name in COUNTED},
        **dict.fromkeys(("event", "placement", "firing"), f"_number <= {at}"),
        "command": asked,
    }


def write(reads: Reads, path: Path) -> None:
    """Write what there was and what went on at a moment into a new file."""
    rows: dict[str, list[Row]] = {}
    for name, keys in told(reads):
        view = VIEWS[name]
        if view.tell is not None:
            lines = (view.tell(reads, key) for key in keys)
            rows[name] = [row_of(view, line) for line in lines if line is not None]
    checkpoint = Checkpoint(reads.position, reads.epoch, reads.at)
    with closing(SqliteStore(path)) as store:
        store.write(Batch(checkpoint, rows, {}, [], reads.position))


def told(reads: Reads) -> Iterator[tuple[str, list[Any]]]:
    """Return the keys of the lines that are told from the fold, view by view."""
    fleet = reads.fleet
    tables: Mapping[str, Mapping[Any, Any]] = {
        "host": fleet.hosts,
        "environment": fleet.environments,
        "layer": fleet.layers,
        "container": fleet.containers,
        "trigger": fleet.triggers,
        "watch": fleet.vigil,
        "order": fleet.orders,
        "dead": fleet.dead,
        "operation": reads.operations,
        "migration": reads.migrations,
        "evacuation": reads.evacuations,
        "recovery": reads.recoveries,
        "growth": fleet.growths,
        "rebalance": fleet.rebalances,
        "firing": reads.firings,
    }
    yield from ((name, list(table)) for name, table in tables.items())
    yield "tenant", list(dict.fromkeys((*fleet.limits, OTHERS)))
