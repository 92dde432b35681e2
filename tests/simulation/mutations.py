"""Histories that somebody tampered with, and who notices: journal, witness by counting, digests.

`python -m tests.simulation.mutations [COUNT]` tells the figures. Three forgers do each mutation:
one who only changes it, one who mends positions and hash chain after it, and one who mends the
versions of the streams as well, so that nothing is left but what the history says.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import cache
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.certificate import Certificate
from domain.certifier import Certifier
from domain.decider import Commit, Frame, Recorded
from domain.facts import Fact
from domain.subjects import Subjects
from domain.wire import GENESIS, DamagedFrameError, chain, count_events, decode_frame, encode_frame
from domain.witness import Witness
from handlers.journal.reader import Head, JournalDamagedError, advance
from restow.simulation.stories import Story, play

WORLDS = 50
SUBJECTS = Subjects("tampered")
Frames = list[Frame[Fact]]


class History(msgspec.Struct, frozen=True):
    """A true history: its frames as they were stored, what was certified, and how it ended."""

    stored: tuple[bytes, ...]
    certificates: tuple[Certificate, ...]
    head: Head

    def frames(self) -> Frames:
        return [decode_frame(data) for data in self.stored]


@cache
def history(seed: int) -> History:
    """Return a world's history up to the last certificate that was made in it."""
    journal = play(Story(seed, without=frozenset({"takeover"}))).journal
    certifier = Certifier()
    made = [certifier.take(decode_frame(data), chain(data)) for data in journal]
    last = max(number for number, certificates in enumerate(made) if certificates)
    stored = tuple(journal[: last + 1])
    certificates = tuple(one for several in made for one in several)
    return History(stored, certificates, read(stored))


def read(stored: Sequence[bytes]) -> Head:
    """Verify a journal as whoever starts does. Raises `JournalDamagedError`."""
    head = Head(epoch=1)
    for seq, data in enumerate(stored, start=1):
        head, _ = advance(SUBJECTS, head, seq, SUBJECTS.frames, data)
    return head


# What is done to a history


def mutated(frames: Frames, dice: Random) -> Frames:
    """Do one thing to a history, drawn by lot."""
    return dice.choice(MUTATIONS)(list(frames), dice)


def pick(frames: Frames, dice: Random) -> tuple[int, list[Any]]:
    """Choose a frame, those with more events more often; return it with its events."""
    weights = [count_events(frame.commits) for frame in frames]
    (number,) = dice.choices(range(len(frames)), weights)
    return number, list(frames[number].commits[0].events)


def put(frames: Frames, number: int, **changes: Any) -> Frames:
    """Change the only commit of a frame."""
    (commit,) = frames[number].commits
    frames[number] = replace(frames[number], commits=(replace(commit, **changes),))
    return frames


def drop_event(frames: Frames, dice: Random) -> Frames:
    number, events = pick(frames, dice)
    events.pop(dice.randrange(len(events)))
    return put(frames, number, events=tuple(events))


def repeat_event(frames: Frames, dice: Random) -> Frames:
    number, events = pick(frames, dice)
    one = dice.choice(events)
    events.insert(dice.randint(0, len(events)), one)
    return put(frames, number, events=tuple(events))


def swap_events(frames: Frames, dice: Random) -> Frames:
    number, events = pick(frames, dice)
    a, b = dice.randrange(len(events)), dice.randrange(len(events))
    events[a], events[b] = events[b], events[a]
    return put(frames, number, events=tuple(events))


def move_event(frames: Frames, dice: Random) -> Frames:
    """Take an event out of one commit and put it into another."""
    number, events = pick(frames, dice)
    one = events.pop(dice.randrange(len(events)))
    put(frames, number, events=tuple(events))
    number, events = pick(frames, dice)
    events.insert(dice.randint(0, len(events)), one)
    return put(frames, number, events=tuple(events))


def alter_event(frames: Frames, dice: Random) -> Frames:
    number, events = pick(frames, dice)
    at = dice.randrange(len(events))
    events[at] = replace(events[at], fact=altered(events[at].fact, dice))
    return put(frames, number, events=tuple(events))


def alter_place(frames: Frames, dice: Random) -> Frames:
    """Give an event another version, or another stream."""
    number, events = pick(frames, dice)
    at = dice.randrange(len(events))
    field = dice.choice(["version", "stream"])
    events[at] = replace(events[at], **{field: altered(getattr(events[at], field), dice)})
    return put(frames, number, events=tuple(events))


def alter_commit(frames: Frames, dice: Random) -> Frames:
    """Change when something happened, who asked for it, or why."""
    number, _ = pick(frames, dice)
    field = dice.choice(["ask", "actor", "cause", "at", "command", "reason"])
    value = getattr(frames[number].commits[0], field)
    return put(frames, number, **{field: altered(value, dice)})


def alter_position(frames: Frames, dice: Random) -> Frames:
    number = dice.randrange(len(frames))
    moved = frames[number].position + dice.choice([-1, 1])
    frames[number] = replace(frames[number], position=moved)
    return frames


def drop_frame(frames: Frames, dice: Random) -> Frames:
    frames.pop(dice.randrange(len(frames)))
    return frames


def repeat_frame(frames: Frames, dice: Random) -> Frames:
    """Write a frame once more, before another one: what comes after the end is a later history."""
    one = dice.choice(frames)
    frames.insert(dice.randrange(len(frames)), one)
    return frames


def swap_frames(frames: Frames, dice: Random) -> Frames:
    a, b = dice.randrange(len(frames)), dice.randrange(len(frames))
    frames[a], frames[b] = frames[b], frames[a]
    return frames


MUTATIONS = (
    drop_event,
    repeat_event,
    swap_events,
    move_event,
    alter_event,
    alter_event,
    alter_place,
    alter_commit,
    alter_position,
    drop_frame,
    repeat_frame,
    swap_frames,
)


def altered(value: Any, dice: Random) -> Any:
    """Return another value of the same kind."""
    match value:
        case bool():
            return not value
        case Enum():
            return dice.choice([one for one in type(value) if one is not value])
        case int():
            return value + dice.choice([-1, 1])
        case str():
            return neighbour(value)
        case tuple():
            return (*value, value[0]) if value and dice.random() < 0.5 else value[:-1]
        case msgspec.Struct() if value.__struct_fields__:
            field = dice.choice(value.__struct_fields__)
            return replace(value, **{field: altered(getattr(value, field), dice)})
        case _:
            return value


def neighbour(name: str) -> str:
    """Return the next name: of node3 node4, of op9 op10."""
    digits = name[len(name.rstrip("0123456789")) :]
    return name[: len(name) - len(digits)] + str(int(digits) + 1) if digits else f"{name}x"


# What a forger mends after it


def as_is(frames: Frames) -> Frames:
    return frames


def chained(frames: Frames) -> Frames:
    """Mend positions and hash chain, as someone can who may write the whole journal anew."""
    mended: Frames = []
    position, prev = 1, GENESIS
    for frame in frames:
        mended.append(replace(frame, position=position, prev=prev))
        position += count_events(frame.commits)
        prev = chain(encode_frame(mended[-1]))
    return mended


def renumbered(frames: Frames) -> Frames:
    """Mend the versions of all streams too."""
    versions: Counter[str] = Counter()
    mended: Frames = []
    for frame in frames:
        commits: list[Commit[Fact]] = []
        for commit in frame.commits:
            events: list[Recorded[Fact]] = []
            for one in commit.events:
                versions[one.stream] += 1
                events.append(replace(one, version=versions[one.stream]))
            commits.append(replace(commit, events=tuple(events)))
        mended.append(replace(frame, commits=tuple(commits)))
    return chained(mended)


FORGERS = (as_is, chained, renumbered)


# Who notices


def notices(true: History, stored: Sequence[bytes]) -> Iterator[str]:
    """Give everyone who notices that this is not the true history.

    `journal` is what every start verifies, `witness` has the certificates of the true history,
    `head` is a reader that remembers the hash of the last frame it read.
    """
    same = False
    try:
        same = read(stored) == true.head
    except JournalDamagedError:
        yield "journal"
    yield from witnessed(true, stored)
    if not same:
        yield "head"


def witnessed(true: History, stored: Sequence[bytes]) -> Iterator[str]:
    """Give by what the witness notices that certificates are not of this history."""
    try:
        frames = [decode_frame(data) for data in stored]
    except DamagedFrameError:
        return
    witness = Witness()
    for frame, data in zip(frames, stored, strict=True):
        witness.see(frame, chain(data))
    said = [what for one in true.certificates for what in witness.check(one)]
    digests = [what for what in said if ": history: " in what or ": frames: " in what]
    versions = [what for what in said if ": version " in what]
    if versions:
        yield "witness by versions"
    if len(said) > len(digests) + len(versions):
        yield "witness by counting"
    if digests:
        yield "witness by digests"


class Figures:
    """How many mutations changed something, and who noticed them."""

    def __init__(self) -> None:
        self.changed = 0
        self.missed: list[str] = []
        """Those that nobody noticed who does not remember the last frame."""
        self.by: Counter[str] = Counter()
        self.first: Counter[str] = Counter()

    def take(self, name: str, noticed: Sequence[str]) -> None:
        self.changed += 1
        self.by.update(noticed)
        self.first[noticed[0] if noticed else "nobody"] += 1
        if not {*noticed} - {"head"}:
            self.missed.append(name)


def tampered(count: int) -> dict[str, Figures]:
    """Tamper `count` times with random histories, each time as every forger would."""
    told = {forger.__name__: Figures() for forger in FORGERS}
    number = done = 0
    while done < count:
        number += 1
        true = history(number % WORLDS)
        frames = mutated(true.frames(), Random(f"mutation {number}"))
        done += [encode_frame(frame) for frame in frames] != list(true.stored)
        for forger in FORGERS:
            stored = tuple(encode_frame(frame) for frame in forger(frames))
            if stored != true.stored:
                figures = told[forger.__name__]
                figures.take(f"mutation {number}", list(notices(true, stored)))
    return told


def main(arguments: Sequence[str]) -> None:
    for name, figures in tampered(int(arguments[0]) if arguments else 1_000).items():
        print(f"{name}: {figures.changed} changed the history, missed {figures.missed}")  # noqa: T201
        print(f"  noticed first by {dict(figures.first)}")  # noqa: T201
        print(f"  noticed by {dict(figures.by)}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
