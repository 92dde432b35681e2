"""Live reads on the bus: `<p>.qry.v1.<name>` is asked in JSON and answered with lines.

Each question is answered in a task of its own, so one that waits for a position keeps no other
waiting. Who stops answers first what has come.
"""

import asyncio
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from uuid_utils import uuid7

from domain.messages import Code, Refusal
from domain.problems import BUGS, header_text, problem
from domain.subjects import Subjects
from projections import pages
from projections import questions as q
from projections.cancellation import heed_cancellation
from projections.lines import EngineLine
from projections.reads import Reads

UNDER_WAY_MAX = 512
"""Questions that may be answered, or wait, at the same time; one more is `rate.limited`."""
ENGINES_MS = 300
"""How long engines are waited for when the status is asked."""
STOP_S = 2.0
"""How long a stop waits for the last answers."""
HEADER_ROOM = 1_024
"""Bytes of a reply kept for its headers: the bus counts them, nats-py does not."""
POSITION = "Restow-Position"
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

log = structlog.stdlib.get_logger(__name__)

_encoder = msgspec.json.Encoder()
_engines = msgspec.json.Decoder(EngineLine)


class Progress:
    """How far the reads are, for those that wait for a position.

    Up to `goal` they are catching up, and nothing is answered but that.
    """

    def __init__(self) -> None:
        self.position = 0
        self.goal = 0
        self.stopping = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._tickets = count()

    def reached(self, position: int) -> None:
        """Wake all that wait for `position` or less."""
        self.position = position
        while self._waiting and self._waiting[0][0] <= position:
            self._wake()

    def behind(self) -> Refusal | None:
        """Say how far the reads are while they catch up."""
        if self.position >= self.goal:
            return None
        percent = 100 * self.position // self.goal
        return Refusal(
            Code.ENGINE_CATCHING_UP,
            f"the read side is reading the journal: {percent} %,"
            f" position {self.position:,} of {self.goal:,}",
            "",
            {"position": self.position, "goal": self.goal},
        )

    def stop(self) -> None:
        """Wake everybody; nothing more will come."""
        self.stopping = True
        while self._waiting:
            self._wake()

    def _wake(self) -> None:
        future = heappop(self._waiting)[2]
        if not future.done():
            future.set_result(None)

    async def wait(self, position: int, within_ms: int) -> Refusal | None:
        """Wait until `position` is reached; return why it was not."""
        if position <= self.position:
            return None
        if not self.stopping:
            future = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (position, next(self._tickets), future))
            await asyncio.wait((future,), timeout=within_ms / 1_000)
            future.cancel()
        return None if position <= self.position else self._too_late(position, within_ms)

    def _too_late(self, position: int, within_ms: int) -> Refusal:
        if self.stopping:
            return Refusal(Code.BUS_UNAVAILABLE, "this reader stops; ask again")
        return Refusal(
            Code.WAIT_TIMEOUT,
            f"position {position} was not reached within {within_ms} ms, it is {self.position} now;"
            " ask again, or with a larger wait_ms",
            "$.min_position",
            {"position": self.position, "wait_ms": within_ms},
        )


class Queries:
    """Answers questions about one region."""

    def __init__(self, nc: Client, subjects: Subjects, reads: Reads, progress: Progress) -> None:
        self._nc = nc
        self._subjects = subjects
        self._reads = reads
        self._progress = progress
        self._start = len(subjects.query(""))
        self._under_way: set[asyncio.Task[None]] = set()

    async def serve(self, ready: asyncio.Event) -> None:
        """Answer until cancelled. Several that serve one region share the questions."""
        async with asyncio.TaskGroup() as group:

            async def begin(message: Msg) -> None:
                if len(self._under_way) >= UNDER_WAY_MAX:
                    await self._refuse(message, TOO_MANY)
                    return
                task = group.create_task(self._answer(message))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

            everything = self._subjects.query(">")
            asked = await self._nc.subscribe(  # pyright: ignore[reportUnknownMemberType]
                everything, "queries", cb=begin
            )
            drain: Callable[[], Awaitable[None]] = asked.drain
            for _ in range(2):  # nats-py's first ping goes ahead of what waits to be sent
                await self._nc.flush()
                heed_cancellation()
            ready.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                if not self._nc.is_closed:
                    await drain()
                self._progress.stop()
                if self._under_way:
                    await asyncio.wait(self._under_way, timeout=STOP_S)

    async def _answer(self, message: Msg) -> None:
        said = await self._said(message.subject[self._start :], message.data)
        if isinstance(said, Refusal):
            await self._refuse(message, said)
        else:
            headers = {"Content-Type": JSON, POSITION: str(self._reads.position)}
            await self._reply(message, said, headers)

    async def _said(self, name: str, body: bytes) -> bytes | Refusal:
        """Answer; a mistake of ours over one question is told, and the others are answered."""
        try:
            return await self._found(name, body)
        except BUGS:
            trace = str(uuid7())
            log.exception("queries.bug", trace=trace, query=name)
            detail = f"an unexpected error; trace {trace} in the reader's log"
            return Refusal(Code.INTERNAL, detail, facts={"trace": trace})

    async def _found(self, name: str, body: bytes) -> bytes | Refusal:
        query = pages.find(name)
        if isinstance(query, Refusal):
            return query
        question = pages.decode(query, body)
        if isinstance(question, Refusal):
            return question
        behind = self._progress.behind()
        if behind is not None:
            return behind
        late = await self._progress.wait(question.min_position, question.wait_ms)
        if late is not None:
            return late
        if isinstance(question, q.Status):
            return pages.status(self._reads, await self._engines())
        return pages.answer(query, self._reads, question, self._nc.max_payload - HEADER_ROOM)

    async def _engines(self) -> tuple[EngineLine, ...]:
        """Return what every engine says of itself that is there within `ENGINES_MS`."""
        told: dict[str, EngineLine] = {}

        async def hear(message: Msg) -> None:
            if message.data:  # empty: nobody is there
                line = _engines.decode(message.data)
                told[line.engine] = line

        inbox = self._nc.new_inbox()
        heard = await self._nc.subscribe(  # pyright: ignore[reportUnknownMemberType]
            inbox, cb=hear
        )
        await self._nc.publish(self._subjects.status(), b"", inbox)
        await asyncio.sleep(ENGINES_MS / 1_000)
        await heard.unsubscribe()
        return tuple(told[name] for name in sorted(told))

    async def _refuse(self, message: Msg, refusal: Refusal) -> None:
        told = problem(refusal, position=self._reads.position)
        headers = {
            "Content-Type": PROBLEM_JSON,
            "Nats-Service-Error": header_text(told),
            "Nats-Service-Error-Code": str(told.status),
            POSITION: str(self._reads.position),
        }
        await self._reply(message, _encoder.encode(told), headers)

    async def _reply(self, message: Msg, body: bytes, headers: dict[str, str]) -> None:
        """Answer, if the asker said where and the bus is there; else the asker asks again."""
        if message.reply and self._nc.is_connected:
            await self._nc.publish(message.reply, body, headers=headers)


TOO_MANY = Refusal(
    Code.RATE_LIMITED,
    f"{UNDER_WAY_MAX} questions are being answered; ask again in a moment",
    facts={"under_way_max": UNDER_WAY_MAX},
)
