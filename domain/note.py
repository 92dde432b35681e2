"""A note: what the journal of a region was at some moment, in six lines that fit on paper.

A chain of hashes says that frames follow each other, not that they are those of yesterday: who can
write may cut off the newest, or write all of them anew. A note that lies elsewhere tells.
"""

import re
from hashlib import sha256

import msgspec

from domain.merkle import HASH_BYTES, Path, extends, includes, leaf_hash
from domain.subjects import PREFIX

TITLE = "restow-note 1"
COUNT_MAX = 2**53 - 1
NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
ROOT = re.compile(f"[0-9a-f]{{{2 * HASH_BYTES}}}")
SUM_CHARACTERS = 8
FIELDS = ("region", "frames", "position", "root", "sum")


class NoteError(ValueError):
    """This is no note; the message names the line, and what it would have to be."""


class Note(msgspec.Struct, frozen=True):
    """The first `frames` frames of a region's journal, which end with the event at `position`.

    `region` is its prefix on the bus. `root` is that of the Merkle tree whose leaves hold the
    frames' hashes (`domain.wire.chain`), 32 bytes.
    """

    region: str
    frames: int
    position: int
    root: bytes

    @property
    def text(self) -> str:
        """The note in six lines. The last is a sum, so that a slip in copying is told as one."""
        said = (
            f"{TITLE}\nregion {self.region}\nframes {self.frames}\n"
            f"position {self.position}\nroot {self.root.hex()}\n"
        )
        return f"{said}sum {_sum(said)}\n"

    def has(self, number: int, frame_hash: bytes, path: Path) -> bool:
        """Tell whether `path` proves that frame `number` (from 1) of these has this hash."""
        return includes(self.root, self.frames, number - 1, leaf_hash(frame_hash), path)

    def grew_into(self, later: "Note", path: Path) -> bool:
        """Tell whether `path` proves that the journal of a later note begins with this one's."""
        same = self.region == later.region and self.position <= later.position
        return same and extends(self.root, self.frames, later.root, later.frames, path)


def read_note(text: str) -> Note:
    """Read a note; blank space around it is no matter. Raises `NoteError`."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if not lines or lines[0] != TITLE:
        message = f"line 1 must be {TITLE!r}, not {lines[0][:40] if lines else ''!r}"
        raise NoteError(message)
    if len(lines) != 1 + len(FIELDS):
        message = f"a note has {1 + len(FIELDS)} lines, this has {len(lines)}"
        raise NoteError(message)
    region, frames, position, root, sum_ = (
        _value(number, name, line)
        for number, (name, line) in enumerate(zip(FIELDS, lines[1:], strict=True), 2)
    )
    if not PREFIX.fullmatch(region):
        message = f"region must be a-z, 0-9 and inner hyphens, not {region[:40]!r}"
        raise NoteError(message)
    if not ROOT.fullmatch(root):
        message = f"root must be {2 * HASH_BYTES} of 0-9 and a-f, not {root[:80]!r}"
        raise NoteError(message)
    note = Note(region, _count("frames", frames), _count("position", position), bytes.fromhex(root))
    wanted = note.text.split()[-1]
    if sum_ != wanted:
        message = f"sum does not fit, so a line was miscopied: by the others it is {wanted}"
        raise NoteError(message)
    return note


def _value(number: int, name: str, line: str) -> str:
    found, space, value = line.partition(" ")
    if found != name or not space:
        message = f"line {number} must be {name!r}, a space and its value, not {line[:40]!r}"
        raise NoteError(message)
    return value


def _count(name: str, value: str) -> int:
    if not NUMBER.fullmatch(value) or int(value) > COUNT_MAX:
        message = f"{name} must be 0 to {COUNT_MAX}, as digits alone, not {value[:40]!r}"
        raise NoteError(message)
    return int(value)


def _sum(said: str) -> str:
    return sha256(said.encode()).hexdigest()[:SUM_CHARACTERS]
