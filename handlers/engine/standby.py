"""A warm standby: reads the journal as it grows, and notices when nobody leads any more.

The leader beats on `<p>.eng.beat`. Silence while the bus is there means that it is gone; silence
because the bus is away, or because this process was not listening, means nothing. Sooner than that
the server tells: when nobody listens any more where the leader did, its connection is no more. To
be wrong is harmless: whoever takes over fences the other, whose frames are then refused.
"""

import asyncio
import concurrent.futures
import random
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from domain.image import StrangeImageError, from_image
from domain.occupancy import occupancy
from domain.region import Region
from domain.subjects import Subjects
from handlers.bus import Bus, Message, answers, connections, listen, silence
from handlers.journal import checkpoints
from handlers.journal.reader import Head, follow, read
from handlers.journal.writer import NotAtTailError, Writer

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

BEAT_S = 0.25
SILENCE_S = 1.2
"""How long the leader may be silent before it is taken for gone."""
GONE_S = 0.4
"""How long a leader that was there may be without a connection: it may be making a new one."""
LOOK_S = 0.1
"""How often it is looked whether the leader is there."""
ANSWER_S = 0.2
"""How long its answer is waited for. A leader may be killed with the question in its hands."""
JITTER_S = 0.3
"""Standbys look at slightly different moments, so that one of them is first."""


async def aside(work: Callable[[], T]) -> T:
    """Do long work in a thread of its own, while the bus is heard.

    Nobody waits for that thread when this is cancelled, not even at the end of the process.
    """
    told = concurrent.futures.Future[T]()
    told.set_running_or_notify_cancel()

    def run() -> None:
        try:
            told.set_result(work())
        finally:
            if not told.done():
                told.set_exception(sys.exception())

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(told)


def _read(image: bytes) -> Region | StrangeImageError:
    try:
        return from_image(image)
    except StrangeImageError as error:
        return error


class Beat(msgspec.Struct, frozen=True):
    """What the leader says, four times a second. `leaving`: it stops on purpose, take over now."""

    engine: str
    epoch: int
    position: int
    leaving: bool = False


class Standby:
    """The state of a region, kept up to date from the journal until it is this engine's turn."""

    def __init__(self, bus: Bus, subjects: Subjects, name: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._name = name
        self.region = Region()
        self.head = Head()
        self.leader = ""
        self._silent_s = 0.0
        self._looked_at = 0.0
        self._left = False
        self._seen = False
        self._gone_at = 0.0

    async def catch_up(self) -> None:
        """Start from the newest checkpoint and read the rest of the journal, verifying it.

        What placement counts is counted now: the first command is not to wait for it.
        """
        kept = await checkpoints.latest(self._bus, self._subjects)
        if kept is not None:
            read_from = await aside(partial(_read, kept[1]))
            if isinstance(read_from, StrangeImageError):
                log.info("standby.checkpoint_ignored", why=str(read_from))
            else:
                self.head, self.region = kept[0], read_from
        async for head, frame in read(self._bus, self._subjects, self.head):
            self.region.absorb(frame)
            self.head = head
        await aside(partial(occupancy, self.region.fleet))

    async def until_its_turn(self) -> None:
        """Follow the journal until no leader has been heard for a while."""
        self._left, self._silent_s = False, 0.0
        self._unsee()
        self._looked_at = asyncio.get_running_loop().time()
        listening = await listen(self._bus, self._subjects.leader, self._hear)
        beside = [asyncio.create_task(self._follow()), asyncio.create_task(self._look())]
        try:
            jitter = random.random() * JITTER_S  # noqa: S311 - no secret
            # Silence is no event that could be waited for.
            while not (any(task.done() for task in beside) or self._is_silent(jitter)):  # noqa: ASYNC110
                await asyncio.sleep(BEAT_S / 4)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await silence(self._bus, listening)
        for task in beside:
            if not task.cancelled():
                task.result()

    async def _follow(self) -> None:
        async for head, frame in follow(self._bus, self._subjects, self.head):
            if frame.epoch > self.head.epoch:
                self._left = False
                self._unsee()
            self.region.absorb(frame)
            self.head = head
            self._silent_s = 0.0

    def _unsee(self) -> None:
        """Whoever leads was not seen yet, so it cannot be missed either."""
        self._seen, self._gone_at = False, 0.0

    async def _look(self) -> None:
        """Ask for the leader itself, for ever; note since when it is gone that was there."""
        since = connections(self._bus)
        while True:
            await asyncio.sleep(LOOK_S)
            there = await answers(self._bus, self._subjects.here, ANSWER_S)
            if connections(self._bus) != since:  # it, too, may be making a new connection
                since = connections(self._bus)
                self._unsee()
            elif there:
                self._seen, self._gone_at = True, 0.0
            elif there is False and self._seen and not self._gone_at:
                self._gone_at = asyncio.get_running_loop().time()

    async def _hear(self, message: Message) -> None:
        """Note who leads; one who was replaced and does not know it yet counts for nothing."""
        beat = msgspec.json.decode(message.data, type=Beat)
        if beat.engine == self._name or beat.epoch < self.head.epoch:
            return
        self.leader = "" if beat.leaving else beat.engine
        self._left = beat.leaving
        self._silent_s = 0.0

    def _is_silent(self, jitter_s: float) -> bool:
        """Say whether there is no leader. Time in which nobody listened is no silence."""
        now = asyncio.get_running_loop().time()
        self._silent_s += min(now - self._looked_at, BEAT_S)
        self._looked_at = now
        if not self._bus.is_connected:
            self._silent_s = 0.0
            self._unsee()
        gone = self._gone_at > 0 and now - self._gone_at > GONE_S + jitter_s
        return self._left or gone or self._silent_s > SILENCE_S + jitter_s

    async def take_over(self) -> Writer | None:
        """Fence whoever wrote before, directly after what this standby has read.

        None if somebody else was faster, or writes after all: then there is a leader.
        """
        epoch = self.head.epoch
        async for head, frame in read(self._bus, self._subjects, self.head):
            self.region.absorb(frame)
            self.head = head
        if self.head.epoch != epoch:
            return None
        try:
            writer = await Writer.take_over(self._bus, self._subjects, self.head)
        except NotAtTailError:
            return None
        self.region.epoch = writer.head.epoch
        return writer
