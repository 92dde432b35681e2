"""The note that a read side keeps: the journal is held against it, and a newer one is kept.

It lies with the read side's data, on another disk than the journal's: who writes the journal anew,
or cuts off its end, would have to write there, too. See `domain.note`.
"""

import asyncio
import os
from functools import partial
from pathlib import Path

from domain.note import Note
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.journal.reader import Head, holds
from projections.files import finished
from restow.noting import Held, note_from, note_path, said_in

NOTE_EVERY_S = 1.0
UNFINISHED = ".new"


class Noting:
    """The note that a read side keeps: a `projections.feed.Noter`."""

    def __init__(self, held: Held, path: Path) -> None:
        self._held = held
        self._path = path
        self._news = asyncio.Event()

    @classmethod
    async def begin(cls, bus: Bus, subjects: Subjects, data: Path) -> "Noting":
        """Take up the note in `data`, if there is one; the journal must be as long as it says.

        Raises `StrangeNoteError`, and as `handlers.journal.reader.end` does.
        """
        path = note_path(data, subjects.prefix)
        note = note_from(path, subjects.prefix) if path.exists() else None
        if note is not None:
            await holds(bus, subjects, note.frames, said_in(path))
        return cls(Held(subjects, note, said_in(path)), path)

    def passed(self, head: Head) -> None:
        """Hold the next frame against the note. Raises `JournalDamagedError`."""
        self._held.passed(head)
        if self._held.whole:
            self._news.set()

    async def run(self) -> None:
        """Keep a newer note whenever there is something new, for ever, and a last one."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                await finished(partial(write_note, self._path, self._held.note))
                await asyncio.sleep(NOTE_EVERY_S)
        finally:
            if self._news.is_set():
                write_note(self._path, self._held.note)


def write_note(path: Path, note: Note) -> None:
    """Keep a note as a whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + UNFINISHED)
    with new.open("w", encoding="ascii") as file:
        file.write(note.text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
