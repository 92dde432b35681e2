"""Reading the journal: every frame in order, each checked against the one before it.

What was damaged on the way (a frame missing, altered, moved or written by an old writer) stops
the reading and names the place; nothing after it is given out.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec
import structlog

from domain.decider import Frame
from domain.facts import Fact
from domain.subjects import Subjects
from domain.wire import GENESIS, DamagedFrameError, chain, count_events, decode_frame
from handlers.bus import Bus, BusUnavailableError
from handlers.journal.pull import ConsumerLostError, pull, stream_seq
from handlers.journal.stream import StreamInfo, info, message_at
from handlers.traces import FRAME

log = structlog.stdlib.get_logger(__name__)

Heard = Callable[[int, str], None]
"""Is told the position of a frame's last event, and its traces (`handlers.traces.FRAME`)."""
TAIL_PATIENCE_S = 12.0
"""How long a replicated stream may look too short: a leader may be late to apply, or deposed."""
TAIL_POLL_S = 0.25
HALVED = 4
"""Of so many guesses where a position is, one just halves what is left."""


class Head(msgspec.Struct, frozen=True):
    """How far the journal was read: its last frame, and what the next one must follow from.

    `seq` is the frame's place in the stream, `position` that of its last event, `hash` the
    frame's, `epoch_seq` the place of the epoch's first frame, which is the fence.
    """

    seq: int = 0
    position: int = 0
    hash: bytes = GENESIS
    epoch: int = 0
    epoch_seq: int = 0


class JournalDamagedError(RuntimeError):
    """The journal is not what was written. Nothing may be decided upon it."""

    def __init__(self, stream: str, after: Head, expected: str, found: str) -> None:
        self.stream = stream
        self.seq = after.seq + 1
        self.position = after.position + 1
        self.expected = expected
        self.found = found
        super().__init__(
            f"journal {stream} is damaged at sequence {self.seq} (position {self.position}): "
            f"expected {expected}, found {found}"
        )


async def read(
    bus: Bus, subjects: Subjects, after: Head
) -> AsyncGenerator[tuple[Head, Frame[Fact]]]:
    """Yield every frame after `after` up to the journal's end, as its leader knows it now.

    Goes on over disconnects. Raises `JournalDamagedError`, `BusUnavailableError`.
    """
    stream = await _whole(bus, subjects, after)
    async with aclosing(_frames(bus, subjects, after, until=stream.state.last_seq)) as frames:
        async for step in frames:
            yield step


async def follow(
    bus: Bus, subjects: Subjects, after: Head, heard: Heard | None = None
) -> AsyncGenerator[tuple[Head, Frame[Fact]]]:
    """Yield every frame after `after`, and then those to come, for ever. Raises as `read` does.

    Where nothing was read yet, the journal is waited for: its first engine may still start.
    `heard` is told of each frame's traces before the frame is.
    """
    await _begun(bus, subjects, after)
    async with aclosing(_frames(bus, subjects, after, until=None, heard=heard)) as frames:
        async for step in frames:
            yield step


async def _begun(bus: Bus, subjects: Subjects, after: Head) -> None:
    """Wait until there is a journal; one of which something was read must be there."""
    name, told = subjects.stream("JNL"), False
    while after.seq == 0 and await info(bus, name) is None:
        if not told:
            await log.ainfo("journal.awaited", stream=name, hint="an engine makes it")
        told = True
        await asyncio.sleep(TAIL_POLL_S)


async def end(bus: Bus, subjects: Subjects) -> int:
    """Return the position of the last event that is written now; 0 if there is none.

    Raises `JournalDamagedError`, `JetStreamError`, `BusUnavailableError`.
    """
    return (await newest(bus, subjects)).position


async def newest(bus: Bus, subjects: Subjects) -> Head:
    """Return the newest head; it is good for reading on, not for writing. Raises as `end`."""
    stream = await info(bus, subjects.stream("JNL"))
    if stream is None or not stream.state.last_seq:
        return Head()
    return await _head_at(bus, subjects, stream.state.last_seq)


async def before(bus: Bus, subjects: Subjects, position: int) -> Head:
    """Return the newest head without an event beyond `position`.

    It is good for reading on, not for writing: it does not know its fence. Raises as `end`.
    """
    low, over = Head(), await newest(bus, subjects)
    if over.position <= position:
        return over
    tries = 0
    while over.seq - low.seq > 1:
        tries += 1
        middle = await _head_at(bus, subjects, _between(low, over, position, tries))
        if middle.position <= position:
            low = middle
        else:
            over = middle
    return low


def _between(low: Head, over: Head, position: int, tries: int) -> int:
    """Guess where a position is: frames are much alike, and where they are not, halving helps."""
    apart = over.seq - low.seq
    if tries % HALVED == 0:
        return low.seq + apart // 2
    guess = low.seq + apart * (position - low.position) // (over.position - low.position)
    return min(max(guess, low.seq + 1), over.seq - 1)


async def _head_at(bus: Bus, subjects: Subjects, seq: int) -> Head:
    """Return the head after one frame, as that frame says it."""
    stream = subjects.stream("JNL")
    stored = await message_at(bus, stream, seq)
    try:
        frame = decode_frame(stored.data if stored else b"")
    except DamagedFrameError as error:
        raise JournalDamagedError(stream, Head(seq=seq - 1), "a frame", str(error)) from error
    position = frame.position - 1 + count_events(frame.commits)
    return Head(seq, position, chain(stored.data if stored else b""), frame.epoch)


async def _frames(
    bus: Bus, subjects: Subjects, after: Head, *, until: int | None, heard: Heard | None = None
) -> AsyncGenerator[tuple[Head, Frame[Fact]]]:
    head = after
    while until is None or head.seq < until:
        try:
            consumer = _of_one_consumer(bus, subjects, head, until=until, heard=heard)
            async with aclosing(consumer) as frames:
                async for head, frame in frames:
                    yield head, frame
        except (ConsumerLostError, BusUnavailableError) as error:
            if isinstance(error, BusUnavailableError) and (until is not None or bus.is_closed):
                raise
            await log.ainfo("journal.consumer_lost", after=head.seq, why=str(error))


async def _of_one_consumer(
    bus: Bus, subjects: Subjects, after: Head, *, until: int | None, heard: Heard | None
) -> AsyncGenerator[tuple[Head, Frame[Fact]]]:
    head = after
    stream = subjects.stream("JNL")
    await _whole(bus, subjects, head)
    async with aclosing(pull(bus, stream, head.seq + 1)) as messages:
        async for message in messages:
            if message is None:
                await _not_rotten(bus, stream, head, until)
                continue
            seq = stream_seq(message)
            head, frame = advance(subjects, head, seq, message.subject, message.data)
            if heard is not None and message.headers:
                heard(head.position, str(message.headers.get(FRAME, "")))
            yield head, frame
            if head.seq == until:
                return


async def _not_rotten(bus: Bus, stream: str, head: Head, until: int | None) -> None:
    """Nothing came, and something must: a frame that rotted on disk is silently left out."""
    if until is not None and await message_at(bus, stream, head.seq + 1) is None:
        raise JournalDamagedError(stream, head, "a frame", "none, though the stream goes on")


def advance(
    subjects: Subjects, head: Head, seq: int, subject: str, data: bytes
) -> tuple[Head, Frame[Fact]]:
    """Check the next frame against the one before, and return the head it leads to with it.

    Raises `JournalDamagedError`.
    """
    stream = subjects.stream("JNL")
    if seq != head.seq + 1:
        raise JournalDamagedError(stream, head, f"sequence {head.seq + 1}", f"sequence {seq}")
    try:
        frame = decode_frame(data)
    except DamagedFrameError as error:
        raise JournalDamagedError(stream, head, "a frame", str(error)) from error
    opens = subject == subjects.epoch
    for what, expected, found in (
        ("hash of the frame before", head.hash.hex(), frame.prev.hex()),
        ("position", head.position + 1, frame.position),
        ("epoch", head.epoch + opens, frame.epoch),
        ("commits in an epoch frame", 0, len(frame.commits) * opens),
    ):
        if expected != found:
            raise JournalDamagedError(stream, head, f"{what} {expected}", str(found))
    after = Head(
        seq=seq,
        position=head.position + count_events(frame.commits),
        hash=chain(data),
        epoch=frame.epoch,
        epoch_seq=seq if opens else head.epoch_seq,
    )
    return after, frame


async def _whole(bus: Bus, subjects: Subjects, head: Head) -> StreamInfo:
    """Check that the stream still holds all that was read of it, and return how it is now."""
    name = subjects.stream("JNL")
    stream = await info(bus, name)
    if stream is None:
        raise JournalDamagedError(name, head, "the stream", "no such stream")
    stream = await _grown(bus, name, stream, head.seq)
    if stream.state.last_seq < head.seq:
        expected = f"at least {head.seq} frames, for so many were read before"
        raise JournalDamagedError(name, head, expected, str(stream.state.last_seq))
    await _same_tail(bus, name, head)
    return stream


async def _grown(bus: Bus, name: str, stream: StreamInfo, frames: int) -> StreamInfo:
    """Give a replicated stream time to have so many frames, and return how it is then."""
    give_up = time.monotonic() + (TAIL_PATIENCE_S if stream.config.num_replicas > 1 else 0)
    while stream.state.last_seq < frames and time.monotonic() < give_up:
        await asyncio.sleep(TAIL_POLL_S)
        stream = await info(bus, name) or stream
    return stream


async def holds(bus: Bus, subjects: Subjects, frames: int, witness: str) -> None:
    """Check that the journal has at least as many frames as a witness says. Raises as `end`."""
    name = subjects.stream("JNL")
    stream = await info(bus, name)
    if stream is not None:
        stream = await _grown(bus, name, stream, frames)
    if stream is None or stream.state.last_seq < frames:
        expected = f"at least {frames} frames, as {witness} says"
        last = await newest(bus, subjects)
        raise JournalDamagedError(name, last, expected, str(last.seq) if stream else "no stream")


async def _same_tail(bus: Bus, stream: str, head: Head) -> None:
    """Sequences are used again after a lost tail; hashes are not."""
    if head.seq == 0:
        return
    last = await message_at(bus, stream, head.seq)
    found = chain(last.data).hex() if last else "no frame"
    if found != head.hash.hex():
        expected = f"the frame before it, at {head.seq}, with hash {head.hash.hex()}"
        raise JournalDamagedError(stream, head, expected, found)
