"""Writing the journal: one writer at a time, one frame in flight, behind a fence.

A new writer's first act is an epoch frame on the fence subject. From then on the server refuses
every frame of the old writer, for each frame names the epoch frame it believes to be the last.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

import msgspec

from domain.decider import Commit, Frame
from domain.facts import Fact
from domain.subjects import Subjects
from domain.wire import FRAME_VERSION, chain, count_events, encode_frame
from handlers.bus import Bus
from handlers.journal.reader import Head
from handlers.journal.sender import FrameTooLargeError, Letter, Sender

__all__ = ["FencedError", "FrameTooLargeError", "NotAtTailError", "Writer", "WriterBrokenError"]


class NotAtTailError(RuntimeError):
    """The journal goes on after the head given. Read on, and try again."""


class FencedError(RuntimeError):
    """Another writer has taken over. This one never writes again; drop its state."""


class WriterBrokenError(RuntimeError):
    """A frame is in flight or its outcome unknown: this writer is no good any more."""


def nothing(_commits: Sequence[Commit[Fact]]) -> Mapping[str, str]:
    """Return no headers."""
    return {}


class Writer:
    """The one that may append. Made by `take_over`."""

    def __init__(self, sender: Sender, subjects: Subjects, head: Head) -> None:
        self._sender = sender
        self._subjects = subjects
        self._head = head
        self._frames = 0
        self._unsettled = False
        self._fenced = ""
        self.more: Callable[[Sequence[Commit[Fact]]], Mapping[str, str]] = nothing
        """Returns headers that a frame of these commits is to have besides; they are no record."""
        self._fence = {
            "Nats-Expected-Stream": subjects.stream("JNL"),
            "Nats-Expected-Last-Subject-Sequence": str(head.epoch_seq),
            "Nats-Expected-Last-Subject-Sequence-Subject": subjects.epoch,
        }

    @classmethod
    async def take_over(cls, bus: Bus, subjects: Subjects, head: Head) -> Self:
        """Append an epoch frame directly after `head`, which fences every writer before.

        Raises `NotAtTailError`, `BusUnavailableError`.
        """
        stream = subjects.stream("JNL")
        frame = Frame[Fact](FRAME_VERSION, head.epoch + 1, head.position + 1, head.hash, ())
        data = encode_frame(frame)
        # Rivals write the same bytes at the same moment; the id tells whose they are.
        name = f"{frame.epoch}-0-{secrets.token_hex(8)}"
        letter = Letter(subjects.epoch, data, name, head.seq, {"Nats-Expected-Stream": stream})
        sender = Sender(bus, stream)
        async with AsyncExitStack() as if_it_fails:
            if_it_fails.push_async_callback(sender.close)
            await sender.open()
            if not await sender.store(letter):
                message = f"{stream} goes on after sequence {head.seq}"
                raise NotAtTailError(message)
            if_it_fails.pop_all()
        seq = head.seq + 1
        return cls(sender, subjects, Head(seq, head.position, chain(data), frame.epoch, seq))

    @property
    def head(self) -> Head:
        """Return the last frame that is known to be stored."""
        return self._head

    async def append(self, commits: Sequence[Commit[Fact]]) -> Head:
        """Append one frame and return the new head once it is stored for good.

        Raises `FencedError`; `FrameTooLargeError`, after which the writer goes on;
        `BusUnavailableError` when the outcome stayed unknown, after which it does not.
        """
        if self._fenced:
            raise FencedError(self._fenced)
        if self._unsettled:
            message = f"after sequence {self._head.seq} a frame is in flight, refused or unknown"
            raise WriterBrokenError(message)
        self._unsettled = True
        letter, head = self._next(commits)
        try:
            stored = await self._sender.store(letter)
        except FrameTooLargeError:
            self._unsettled = False
            raise
        if not stored:
            epoch, seq = head.epoch, head.seq
            self._fenced = f"epoch {epoch} is over: another writer's frame stands at sequence {seq}"
            raise FencedError(self._fenced)
        self._unsettled = False
        self._frames += 1
        self._head = head
        return head

    async def close(self) -> None:
        """Stop listening for acknowledgements. The next writer need not wait for this."""
        await self._sender.close()

    def _next(self, commits: Sequence[Commit[Fact]]) -> tuple[Letter, Head]:
        head = self._head
        frame = Frame(FRAME_VERSION, head.epoch, head.position + 1, head.hash, tuple(commits))
        data = encode_frame(frame)
        name = f"{head.epoch}-{self._frames + 1}"
        headers = {**self.more(commits), **self._fence}
        letter = Letter(self._subjects.frames, data, name, head.seq, headers)
        position = head.position + count_events(commits)
        after = msgspec.structs.replace(head, seq=head.seq + 1, position=position, hash=chain(data))
        return letter, after
