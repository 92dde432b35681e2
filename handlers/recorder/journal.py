"""The journal of one application of the library: its frames on a JetStream stream of its own.

Each frame is told which sequence it must directly follow, so that of two writers one is refused;
reads ask the stream's leader whether anything is missing.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager

import msgspec
from eventsourcing.persistence import DataError, OperationalError

from domain.subjects import Subjects
from handlers.bus import Bus, BusUnavailableError, Message, listen, silence
from handlers.journal.pull import ConsumerLostError, pull, stream_seq
from handlers.journal.sender import FrameTooLargeError, Letter, Sender
from handlers.journal.stream import (
    DUPLICATE_WINDOW,
    JetStreamError,
    StreamConfig,
    UnsafeStreamError,
    ensure_stream,
    info,
    message_at,
)
from handlers.recorder.line import Line, Stop

PAGE = 1_000
"""Frames read in one go."""
ONE_BY_ONE = 16
"""So few frames are asked for one at a time; for more a consumer is worth its making."""
TICK_S = 0.25
"""A reader who waits for news looks by itself so often, whatever it hears."""


class Place(msgspec.Struct, frozen=True):
    """Where a journal is: its stream, and the one subject of that stream."""

    stream: str
    subject: str
    replicas: int = 1


def place(subjects: Subjects, application: str, purpose: str, replicas: int = 1) -> Place:
    """Return where an application's frames are: `<P>-REC-<APPLICATION>-<PURPOSE>-JNL`.

    `application` and `purpose` are plain names: letters, digits, `_`, `-`. The last part of the
    stream's name tells `ensure_stream` to be as strict with it as with the region's journal.
    """
    stream = subjects.stream(f"REC-{application}-{purpose}-JNL")
    return Place(stream, f"{subjects.prefix}.rec.{application}.{purpose}", replicas)


@contextmanager
def _said_as_the_library_does() -> Generator[None]:
    try:
        yield
    except FrameTooLargeError as error:
        message = f"too many events for one save: {error}"
        raise DataError(message) from error
    except (JetStreamError, UnsafeStreamError, BusUnavailableError) as error:
        raise OperationalError(str(error)) from error


class Journal:
    """Frames of one application, in order. All methods block; see `Line.call` for what they raise.

    `OperationalError` is raised when the bus gives no answer for long. A frame may be stored
    nevertheless: whoever reads next will see.
    """

    def __init__(self, line: Line, at: Place) -> None:
        """Make the stream, or check the one that is there."""
        self._line = line
        self._at = at
        with _said_as_the_library_does():
            self._sender = line.call(self._open)

    async def _open(self, bus: Bus) -> Sender:
        wanted = StreamConfig(
            name=self._at.stream,
            subjects=(self._at.subject,),
            storage="file",
            discard="new",
            num_replicas=self._at.replicas,
            duplicate_window=DUPLICATE_WINDOW,
            deny_delete=True,
            deny_purge=True,
        )
        await ensure_stream(bus, wanted)
        sender = Sender(bus, self._at.stream)
        await sender.open()
        return sender

    def append(self, data: bytes, name: str, after: int) -> bool:
        """Store a frame directly after sequence `after`; False if another one stands there.

        `name` is no other frame's. Not for several threads at once. Raises `DataError` if the
        frame is too large for the server.
        """
        letter = Letter(self._at.subject, data, name, after, {})
        with _said_as_the_library_does():
            return self._line.call(lambda _: self._sender.store(letter))

    def read(self, after: int) -> list[bytes]:
        """Return frames after sequence `after`, `PAGE` at most; [] if the leader has no more."""
        with _said_as_the_library_does():
            return self._line.call(lambda bus: self._read(bus, after))

    async def _read(self, bus: Bus, after: int) -> list[bytes]:
        first = await message_at(bus, self._at.stream, after + 1)
        if first is None:
            return []
        stream = await info(bus, self._at.stream)
        last = min(stream.state.last_seq if stream else 0, after + PAGE)
        frames = [first.data]
        if last - after > ONE_BY_ONE:
            await self._pull(bus, after + 2, last, frames)
            return frames
        for seq in range(after + 2, last + 1):
            found = await message_at(bus, self._at.stream, seq)
            if found is None:
                break
            frames.append(found.data)
        return frames

    async def _pull(self, bus: Bus, first: int, last: int, frames: list[bytes]) -> None:
        """Add the frames from `first` to `last`, or as many as come: the caller asks again."""
        try:
            async with aclosing(pull(bus, self._at.stream, first)) as messages:
                async for message in messages:
                    if message is None or stream_seq(message) != first:
                        return
                    frames.append(message.data)
                    first += 1
                    if first > last:
                        return
        except ConsumerLostError:
            return

    def watch(self, heard: Callable[[], None]) -> Stop:
        """Call `heard`, on the line's thread, when there may be news; return what ends it.

        What is heard is a hint: the frame may not be stored yet, or there may be none.
        """

        async def hear(_: Message) -> None:
            heard()

        async def wait(bus: Bus) -> None:
            listening = await listen(bus, self._at.subject, hear)
            try:
                while True:
                    await asyncio.sleep(TICK_S)
                    heard()
            finally:
                await silence(bus, listening)

        return self._line.run_beside(wait)
