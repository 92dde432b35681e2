"""Notes of the journal: what holds it against one, as it is read; and proofs for who has one.

See `domain.note`; the note of a read side is kept by `restow.notekeeping`.
"""

from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import msgspec

from domain.merkle import HASH_BYTES, Tree, inclusion, leaf_hash
from domain.note import COUNT_MAX, Note, NoteError, read_note
from domain.subjects import Subjects
from domain.wire import chain
from handlers.bus import Bus
from handlers.journal.reader import Head, JournalDamagedError, read
from handlers.journal.stream import message_at
from restow.settings import NOTES_FOLDER


class StrangeNoteError(ValueError):
    """A note that should be held against a journal cannot be; the message names its file."""


class Held:
    """Frames of a journal, from the first on, held against a note as they pass."""

    def __init__(self, subjects: Subjects, note: Note | None = None, source: str = "") -> None:
        """`source` says where the note is from."""
        self.against = note
        self.source = source
        self.tree = Tree()
        self._head = Head()
        self._subjects = subjects

    @property
    def whole(self) -> bool:
        """Whether all that the note speaks of has passed, and was as it says."""
        return self.against is None or self.tree.size >= self.against.frames

    def passed(self, head: Head) -> None:
        """Take in the next frame. Raises `JournalDamagedError`."""
        before, self._head = self._head, head
        self.tree = self.tree.append(head.hash)
        note = self.against
        if note is None or note.frames != self.tree.size:
            return
        said, found = (note.position, note.root), (head.position, self.tree.root)
        if said != found:
            expected, is_so = (f"root {root.hex()} at {at}" for at, root in (said, found))
            first = f"of its first {note.frames} frames, as {self.source} says"
            stream = self._subjects.stream("JNL")
            raise JournalDamagedError(stream, before, f"{expected} {first}", is_so)

    def over(self) -> None:
        """Say that no more frames come. Raises `JournalDamagedError`."""
        if self.against is not None and not self.whole:
            expected = f"at least {self.against.frames} frames, as {self.source} says"
            stream = self._subjects.stream("JNL")
            raise JournalDamagedError(stream, self._head, expected, str(self.tree.size))

    @property
    def note(self) -> Note:
        """What is to be noted of all that has passed."""
        return Note(self._subjects.prefix, self.tree.size, self._head.position, self.tree.root)


def note_path(data: Path, prefix: str) -> Path:
    """Return where a read side with this data keeps its note of a region's journal."""
    return data / NOTES_FOLDER / f"{prefix}.note"


def said_in(path: Path) -> str:
    """Return how a note's file is called where the journal is not as it says."""
    return f"note {path}"


def note_from(path: Path, prefix: str | None = None) -> Note:
    """Return the note in a file, which is to be of this region. Raises `StrangeNoteError`."""
    try:
        note = read_note(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError, NoteError) as error:
        message = f"{path} is no note of a journal that can be read: {error}"
        raise StrangeNoteError(message) from error
    if prefix not in {None, note.region}:
        message = f"{path} is a note of region {note.region}, and not of {prefix}"
        raise StrangeNoteError(message)
    return note


async def note_now(bus: Bus, subjects: Subjects, against: Note | None, source: str) -> Note:
    """Read the whole journal, hold it against a note, and return the note of it as it is now.

    Raises `JournalDamagedError`, `BusUnavailableError`.
    """
    held = Held(subjects, against, source)
    async with aclosing(read(bus, subjects, Head())) as frames:
        async for head, _ in frames:
            held.passed(head)
    held.over()
    return held.note


Hash = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{2 * HASH_BYTES}}}$")]
Count = Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)]
LEVELS_MAX = 64


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a frame is in a journal: its number (from 1) of so many `frames`, and its bytes.

    `path` are hashes in hexadecimal, the lowest first; `position` is that of the event asked for.
    """

    region: str
    position: Count
    number: Count
    frames: Count
    frame: bytes
    path: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=LEVELS_MAX)]


async def proof_of(
    bus: Bus, subjects: Subjects, position: int, against: Note | None, source: str
) -> Proof | None:
    """Prove that an event is in the journal as a note has it, or as it is now.

    None where there is no event at this position. Raises `JournalDamagedError`,
    `BusUnavailableError`.
    """
    held, leaves, number = Held(subjects, against, source), list[bytes](), 0
    async with aclosing(read(bus, subjects, Head())) as frames:
        async for head, _ in frames:
            held.passed(head)
            leaves.append(leaf_hash(head.hash))
            if not number and head.position >= position:
                number = head.seq
            if against is not None and held.whole:
                break
    held.over()
    if not number:
        return None
    stored = await message_at(bus, subjects.stream("JNL"), number)
    data = stored.data if stored else b""
    if leaf_hash(chain(data)) != leaves[number - 1]:
        expected = "the frame that was just read"
        at = Head(seq=number - 1, position=position - 1)
        raise JournalDamagedError(subjects.stream("JNL"), at, expected, "another")
    path = tuple(one.hex() for one in inclusion(leaves, number - 1))
    return Proof(
        region=subjects.prefix,
        position=position,
        number=number,
        frames=len(leaves),
        frame=data,
        path=path,
    )
