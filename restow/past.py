"""The region as it was: questions answered as of a position or a time, from the journal itself.

Whoever asks reads the journal up to that moment, by the code that answers questions about now.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec

from domain.messages import Refusal
from domain.problems import Problem, problem
from domain.subjects import Subjects
from handlers.bus import CONNECT_S, close, connect
from handlers.journal.reader import Head, read
from projections import pages
from projections import questions as q
from projections.moments import Moment, until
from projections.reads import Reads
from restow.settings import Region

ANSWER_BYTES_MAX = 1024 * 1024
"""An answer is as large as one from the bus, so that lists come in the same pages."""


class Past:
    """Answers questions as of one moment."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    @property
    def position(self) -> int:
        return self._reads.position

    async def read(self, query: str, body: Mapping[str, Any]) -> dict[str, Any] | Problem:
        """Answer a question as the read side would have then."""
        found = pages.find(query)
        if isinstance(found, Refusal):
            return problem(found)
        question = pages.decode(found, msgspec.json.encode(body))
        if isinstance(question, Refusal):
            return problem(question)
        if isinstance(question, q.Status):
            return msgspec.json.decode(pages.status(self._reads, ()), type=dict[str, Any])
        said = pages.answer(found, self._reads, question, ANSWER_BYTES_MAX)
        if isinstance(said, Refusal):
            return problem(said)
        return msgspec.json.decode(said, type=dict[str, Any])


@asynccontextmanager
async def past(
    region: Region, moment: Moment, *, within_s: float = CONNECT_S
) -> AsyncGenerator[Past]:
    """Return the region as it was. Raises `BusUnavailableError`, `JournalDamagedError`."""
    bus = await connect(region.address, name="restow past", within_s=within_s)
    try:
        reads = Reads()
        async with aclosing(read(bus, Subjects(region.prefix), Head())) as frames:
            async for _, frame in frames:
                then = until(frame, moment)
                reads.take(then)
                if len(then.commits) < len(frame.commits):
                    break
        yield Past(reads)
    finally:
        await close(bus)
