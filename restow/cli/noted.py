"""`restow audit note`, `prove` and `check`: what the journal was, and that an event is in it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from domain.decider import Frame
from domain.facts import Fact
from domain.note import Note
from domain.problems import Exit
from domain.subjects import Subjects
from domain.wire import DamagedFrameError, chain, count_events, decode_frame
from handlers.bus import Bus, close, connect
from handlers.journal.reader import JournalDamagedError
from restow.cli.exits import EndedError, UsageError
from restow.cli.flags import HERE, SHOWN, At, Showing
from restow.cli.output import out, say, show_item
from restow.cli.talk import reachable, region_of
from restow.noting import (
    Proof,
    StrangeNoteError,
    note_from,
    note_now,
    note_path,
    proof_of,
    said_in,
)
from restow.settings import Region, data_directory

NOTE = Parameter(help="A note that was kept elsewhere; see `restow audit note`.")
Given = Annotated[Path | None, NOTE]
Data = Annotated[
    Path | None,
    Parameter(help="Data directory of the read side, for its note; else RESTOW_DATA, ./.restow."),
]


async def note(*, data: Data = None, at: At = HERE, how: Showing = SHOWN) -> None:
    """Print the note of the journal as it is now."""
    region = region_of(at)
    path = note_path(data or data_directory(), region.prefix)
    known = given_note(path, region) if path.exists() else None
    async with journal(region) as (bus, subjects):
        found = await note_now(bus, subjects, known, said_in(path))
    if how.output in {"json", "jsonl"}:
        show_item(as_item(found), how.look, lambda _: region.prefix)
    else:
        out(found.text.rstrip())


async def prove(
    position: Annotated[int, Parameter(validator=Number(gte=1))],
    /,
    *,
    note: Given = None,
    at: At = HERE,
) -> None:
    """Print a proof that the event at a position is in the journal, as JSON."""
    region = region_of(at)
    known = None if note is None else given_note(note, region)
    async with journal(region) as (bus, subjects):
        source = "" if note is None else said_in(note)
        proof = await proof_of(bus, subjects, position, known, source)
    if proof is None:
        which = "the journal" if note is None else f"what {source} speaks of"
        say(f"error: {which} ends before position {position:,}")
        say("  try   restow audit note      it says where it ends")
        raise EndedError(Exit.NOT_FOUND)
    out(msgspec.json.format(msgspec.json.encode(proof), indent=2).decode())


def check(proof: Path, /, *, note: Annotated[Path, NOTE], how: Showing = SHOWN) -> None:
    """Check a proof by nothing but a note. Needs no bus, no region, no data."""
    known, given = given_note(note), read_proof(proof)
    comparable(given, known, proof, note)
    frame = proven(given, known)
    if frame is None:
        say(f"error: {proof} does not hold: by {said_in(note)}, this is not frame {given.number:,}")
        raise EndedError(Exit.DIFFERENT)
    place = given.position - frame.position
    commit, event = [(one, event) for one in frame.commits for event in one.events][place]
    tag = type(event.fact).__struct_config__.tag
    if how.output in {"json", "jsonl"}:
        item = {
            "region": given.region,
            "position": given.position,
            "number": given.number,
            "frames": given.frames,
            "stream": event.stream,
            "version": event.version,
            "event": tag,
            "actor": commit.actor,
            "at": commit.at,
        }
        show_item(item, how.look, lambda _: str(given.position))
        return
    out(f"position {given.position:,} is {tag} of {event.stream}, version {event.version}")
    out(f"it is in frame {given.number:,} of the {given.frames:,} that {said_in(note)} counts")
    out("the proof holds")


def comparable(proof: Proof, note: Note, path: Path, other: Path) -> None:
    """Raise `UsageError` where a proof is not of what the note speaks of."""
    if proof.region != note.region:
        message = f"{path} is of region {proof.region}, and {other} of {note.region}"
        raise UsageError(message)
    if proof.frames != note.frames:
        message = (
            f"{path} is of {proof.frames:,} frames, and {other} of {note.frames:,}:"
            f" make it with `restow audit prove {proof.position} --note {other}`"
        )
        raise UsageError(message)


def proven(proof: Proof, note: Note) -> Frame[Fact] | None:
    """Return the frame that a proof proves; None where it proves nothing, or not this position."""
    path = tuple(map(bytes.fromhex, proof.path))
    if not note.has(proof.number, chain(proof.frame), path):
        return None
    try:
        frame = decode_frame(proof.frame)
    except DamagedFrameError as error:
        message = f"its frame is in the journal, but cannot be read: {error}"
        raise UsageError(message) from error
    has = range(frame.position, frame.position + count_events(frame.commits))
    return frame if proof.position in has else None


def read_proof(path: Path) -> Proof:
    """Read a proof. Raises `UsageError`, which names the field."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Proof)
    except (OSError, msgspec.DecodeError) as error:
        message = f"{path} is no proof of `restow audit prove`: {error}"
        raise UsageError(message) from error


def given_note(path: Path, region: Region | None = None) -> Note:
    """Read a note that somebody names. Raises `UsageError`, which names the line."""
    try:
        return note_from(path, None if region is None else region.prefix)
    except StrangeNoteError as error:
        raise UsageError(str(error)) from error


def as_item(note: Note) -> dict[str, str | int]:
    """Return a note for programs."""
    return {
        "region": note.region,
        "frames": note.frames,
        "position": note.position,
        "root": note.root.hex(),
        "text": note.text,
    }


@asynccontextmanager
async def journal(region: Region) -> AsyncGenerator[tuple[Bus, Subjects]]:
    """Return the bus on which the journal is.

    Raises `EndedError` (9, said) where the journal is not as it was, `ProblemError`.
    """
    with reachable(region):
        bus = await connect(region.address, name="restow audit note")
        try:
            yield bus, Subjects(region.prefix)
        except JournalDamagedError as error:
            say(f"error: {error}")
            raise EndedError(Exit.DIFFERENT) from error
        finally:
            await close(bus)
