"""The region as it was: questions answered as of a position or a time, from the journal itself.

Whoever asks reads the journal up to that moment, by the code that answers questions about now;
from the nearest keyframe on where the read side of this machine keeps some.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from domain.nouns import STORIES
from domain.problems import Problem
from domain.subjects import Subjects
from handlers.bus import CONNECT_S, close, connect
from handlers.journal.reader import Head
from projections.keyframes import Keyframes
from projections.moments import Moment
from projections.reaching import Reached, Reaching
from restow.answering import answered, understood
from restow.frames import JournalFrames
from restow.settings import KEYFRAMES_FOLDER, Region, data_directory

OF_ALL_TIME = ("event", "command", *STORIES)
"""Nouns of which much was over by any moment: only the whole journal knows of that."""


class Past:
    """Answers questions as of one moment."""

    def __init__(self, reaching: Reaching[Head], moment: Moment, reached: Reached) -> None:
        self._reaching = reaching
        self._moment = moment
        self._reached = reached

    @property
    def position(self) -> int:
        return self._reached.reads.position

    @property
    def notes(self) -> tuple[str, ...]:
        return self._reached.notes

    async def read(self, query: str, body: Mapping[str, Any]) -> dict[str, Any] | Problem:
        """Answer a question as the read side would have then."""
        asked = understood(query, body)
        if isinstance(asked, Problem):
            return asked
        if not self._reached.whole and of_all_time(query):
            self._reached = await self._reaching.whole(self._moment)
        return answered(self._reached.reads, asked)


def of_all_time(query: str) -> bool:
    """Tell whether a question may be about what was over by then."""
    return query.partition(".")[0] in OF_ALL_TIME or query == "trigger.history"


@asynccontextmanager
async def past(
    region: Region, moment: Moment, *, within_s: float = CONNECT_S
) -> AsyncGenerator[Past]:
    """Return the region as it was. Raises `BusUnavailableError`, `JournalDamagedError`."""
    async with machine(region, within_s=within_s) as reaching:
        yield Past(reaching, moment, await reaching.reach(moment))


@asynccontextmanager
async def machine(
    region: Region, data: Path | None = None, *, within_s: float = CONNECT_S
) -> AsyncGenerator[Reaching[Head]]:
    """Return what reaches moments of a region. Raises `BusUnavailableError`.

    `data` is where the read side of this machine keeps its keyframes, if it is not the usual place.
    """
    bus = await connect(region.address, name="restow past", within_s=within_s)
    try:
        frames = JournalFrames(bus, Subjects(region.prefix))
        yield Reaching(frames, Keyframes((data or data_directory()) / KEYFRAMES_FOLDER))
    finally:
        await close(bus)
