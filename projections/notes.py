"""What everybody may know of the latest rebuild, or comparison, of the views.

It is written beside the views while it goes on, by the process that does it, and read by whoever
shows the views. A process that was killed says nothing more: its note grows old.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, Literal

import msgspec
from msgspec.structs import replace

from domain.decider import Frame
from domain.facts import Fact
from domain.messages import Instant
from projections.feed import Frames, H, last_position
from projections.stores import Shelf

PACE_MS = 500
"""How often it is told how far it is."""

_json = msgspec.json.Encoder()


class Note(msgspec.Struct, frozen=True):
    """How far it is: `position` of `goal`; once it is `over`, what came of it.

    `lines` were compared, so many `differences` were found; `damage` says why nothing was compared.
    `at` is when this was told.
    """

    kind: Literal["rebuild", "verify"]
    begun: Instant
    at: Instant
    goal: int
    position: int = 0
    over: bool = False
    lines: int = 0
    differences: int = 0
    damage: str = ""


_note = msgspec.json.Decoder(Note)


class Notes:
    """Tells how one rebuild, or comparison, goes."""

    def __init__(self, shelf: Shelf, note: Note) -> None:
        self._shelf = shelf
        self._note = note

    @classmethod
    async def begin(cls, shelf: Shelf, kind: Literal["rebuild", "verify"], goal: int) -> "Notes":
        now = _now()
        notes = cls(shelf, Note(kind, now, now, goal))
        await notes._tell()
        return notes

    async def reached(self, position: int) -> None:
        """Tell how far it is, if that was not told just now."""
        now = _now()
        if now >= self._note.at + PACE_MS:
            self._note = replace(self._note, at=now, position=position)
            await self._tell()

    async def over(self, position: int, lines: int, differences: int, damage: str) -> None:
        """Tell what came of it."""
        self._note = replace(
            self._note,
            at=_now(),
            position=position,
            over=True,
            lines=lines,
            differences=differences,
            damage=damage,
        )
        await self._tell()

    async def _tell(self) -> None:
        await self._shelf.note(_json.encode(self._note))


class Watched(Generic[H]):
    """A journal that tells how far it was followed: a `projections.feed.Frames`."""

    def __init__(self, frames: Frames[H], notes: Notes) -> None:
        self._frames = frames
        self._notes = notes

    async def follow(self, after: H | None) -> AsyncGenerator[tuple[H, Frame[Fact]]]:
        async with aclosing(self._frames.follow(after)) as steps:
            async for head, frame in steps:
                yield head, frame
                await self._notes.reached(last_position(frame))

    async def before(self, position: int) -> H | None:
        return await self._frames.before(position)

    async def end(self) -> int:
        return await self._frames.end()


async def noted(shelf: Shelf) -> Note | None:
    """Return what is known of the latest one; None where there was none, or none of today's."""
    text = await shelf.noted()
    try:
        return None if text is None else _note.decode(text)
    except msgspec.DecodeError:
        return None


def _now() -> Instant:
    return Instant(time.time_ns() // 1_000_000)
