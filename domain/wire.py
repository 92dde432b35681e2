"""Bytes of the journal: frames, how they are chained, and how they are read again.

A frame is msgpack; envelopes are arrays (append-only), facts are tagged maps. Frames are chained
by SHA-256: `prev` of a frame is the hash of the bytes of the frame before it.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Union

import msgspec

from domain.decider import Commit, Frame, Recorded
from domain.facts import FACTS, Fact
from domain.messages import Answer, Event
from domain.upcasts import LEGACY, Old

FRAME_VERSION = 1
FRAME_BYTES = 256 * 1024
"""Commits are put into one frame up to this size."""
COMMIT_BYTES_MAX = 900 * 1024
"""A commit larger than this is refused: it would not pass the bus's limit of 1 MiB."""
GENESIS = b""
"""What the first frame has for the hash of the frame before it."""

_encoder = msgspec.msgpack.Encoder()
_readable: Any = Union[FACTS + LEGACY]  # noqa: UP007 - made of a tuple
_decoder = msgspec.msgpack.Decoder(Frame[_readable])
_fact_decoder = msgspec.msgpack.Decoder(_readable)


class DamagedFrameError(ValueError):
    """These bytes are no frame that this version of Restow can read."""


def encode_frame(frame: Frame[Fact]) -> bytes:
    """Return the bytes that are written to the journal, and hashed."""
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> Frame[Fact]:
    """Read a frame; facts of old shapes become today's. Raises `DamagedFrameError`."""
    try:
        frame = _decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        message = f"not a frame of version {FRAME_VERSION}: {error}"
        raise DamagedFrameError(message) from error
    if frame.version != FRAME_VERSION:
        message = f"frame of version {frame.version}; this Restow reads {FRAME_VERSION}"
        raise DamagedFrameError(message)
    return modernised(frame) if LEGACY else frame


def modernised(frame: Frame[Any]) -> Frame[Fact]:
    """Return the frame with every fact in today's shape."""
    commits = tuple(
        msgspec.structs.replace(commit, events=tuple(_today(event) for event in commit.events))
        for commit in frame.commits
    )
    return msgspec.structs.replace(frame, commits=commits)


def _today(event: Recorded[Any]) -> Recorded[Fact]:
    fact = event.fact
    return msgspec.structs.replace(event, fact=fact.upcast()) if isinstance(fact, Old) else event


def encode_commit(commit: Commit[Fact]) -> bytes:
    """Return the bytes of one commit, as they will stand in a frame."""
    return _encoder.encode(commit)


def size_of(answer: Answer, events: Sequence[Recorded[Fact]]) -> int:
    """Return how many bytes an answer and its events take in a frame."""
    return len(_encoder.encode((answer, events)))


def encode_fact(fact: Event) -> bytes:
    """Return the bytes of one fact, tag included."""
    return _encoder.encode(fact)


def decode_fact(data: bytes) -> Fact:
    """Read one fact; an old shape becomes today's."""
    fact = _fact_decoder.decode(data)
    return fact.upcast() if isinstance(fact, Old) else fact  # type: ignore[return-value]


def chain(data: bytes) -> bytes:
    """Return the hash of a frame's bytes, which the next frame carries as `prev`."""
    return sha256(data).digest()


def count_events(commits: Sequence[Commit[Fact]]) -> int:
    """Return how many events the commits hold, which is how far the position moves."""
    return sum(len(commit.events) for commit in commits)
