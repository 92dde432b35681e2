"""Whoever has a note of the journal notices what a chain alone does not: a lost end, a new past."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from domain.problems import Exit
from domain.region import Region as Fleet
from domain.subjects import Subjects
from domain.wire import GENESIS, chain, decode_frame, encode_frame
from handlers.bus import Address, Bus
from handlers.journal.reader import Head, JournalDamagedError
from handlers.journal.stream import ensure, message_at, put
from handlers.journal.writer import Writer
from restow.noting import note_from, note_path
from restow.settings import Region
from restow.wiring import Places, run_reader
from tests.cli.test_check import registered
from tests.cli.test_processes import run

HOSTS = 6
FRAMES = HOSTS + 1
Message = tuple[str, bytes]
"""A message of the journal: its subject, and its bytes."""
Forge = Callable[[list[Message]], list[Message]]


@pytest.fixture
async def fleet(bus: Bus, subjects: Subjects) -> Fleet:
    """Return the region of a journal of an epoch's frame and one for each host."""
    await ensure(bus, subjects)
    writer = await Writer.take_over(bus, subjects, Head())
    region = Fleet()
    for number in range(1, FRAMES):
        await writer.append([registered(region, f"h0{number}")])
    await writer.close()
    return region


async def one_more(bus: Bus, subjects: Subjects, region: Fleet) -> None:
    """Write the frame of another epoch, and one of another host."""
    stored = await message_at(bus, subjects.stream("JNL"), FRAMES)
    assert stored
    writer = await Writer.take_over(bus, subjects, Head(FRAMES, HOSTS, chain(stored.data), 1, 1))
    await writer.append([registered(region, "h09")])
    await writer.close()


def put_down(name: str, text: str) -> None:
    """Write a file, where the command line of the test runs."""
    Path(name).write_text(text)


async def messages(bus: Bus, subjects: Subjects) -> list[Message]:
    found = [await message_at(bus, subjects.stream("JNL"), seq) for seq in range(1, FRAMES + 1)]
    return [(one.subject, one.data) for one in found if one is not None]


async def rewritten(bus: Bus, subjects: Subjects, all_: Sequence[Message]) -> None:
    """Put another journal into the place of the one there is, as who administers the bus can."""
    await bus.jetstream().delete_stream(subjects.stream("JNL"))
    await ensure(bus, subjects)
    for subject, data in all_:
        await put(bus, subject, data)


def truncated(all_: list[Message]) -> list[Message]:
    return all_[:-2]


def rechained(all_: list[Message]) -> list[Message]:
    """Let somebody else have asked in the middle; the chain fits."""
    anew: list[Message] = []
    for number, (subject, data) in enumerate(all_):
        frame = decode_frame(data)
        commits = frame.commits
        if number == FRAMES // 2:
            commits = tuple(msgspec.structs.replace(one, actor="mallory") for one in commits)
        prev = chain(anew[-1][1]) if anew else GENESIS
        frame = msgspec.structs.replace(frame, prev=prev, commits=commits)
        anew.append((subject, encode_frame(frame)))
    return anew


def says(kind: Forge) -> str:
    """Return what is said of a forged journal."""
    if kind is truncated:
        return f"sequence {FRAMES - 1} (position {HOSTS - 1}): expected at least {FRAMES} frames"
    return f"sequence {FRAMES} (position {HOSTS}): expected root "


both = pytest.mark.parametrize("forge", [truncated, rechained])


@both
@pytest.mark.usefixtures("fleet")
async def test_a_forged_journal_is_sound_by_itself_but_not_by_its_note(
    bus, subjects, restow, tmp_path, forge: Forge
):
    taken = tmp_path / "taken.note"
    taken.write_text((await restow("audit", "note")).out)
    good = await restow("audit", "verify", "--note", str(taken))
    assert good.code == 0
    assert f"it begins as note {taken} says: {FRAMES} frames\n" in good.out

    await rewritten(bus, subjects, forge(await messages(bus, subjects)))

    assert (await restow("audit", "verify")).code == 0
    ended = await restow("audit", "verify", "--note", str(taken))
    assert ended.code == Exit.DIFFERENT
    assert says(forge) in ended.err
    assert f"as note {taken} says" in ended.err
    assert "all is as it must be" not in ended.out
    ended = await restow("audit", "prove", "3", "--note", str(taken))
    assert (ended.code, ended.out) == (Exit.DIFFERENT, "")
    assert says(forge) in ended.err


async def test_a_journal_that_grew_still_begins_as_its_note_says(bus, subjects, fleet, restow):
    put_down("old.note", (await restow("audit", "note")).out)
    await one_more(bus, subjects, fleet)

    assert (await restow("audit", "verify", "--note", "old.note")).code == 0
    told = (await restow("audit", "note", "-o", "json")).json
    assert (told["region"], told["frames"], told["position"]) == (
        subjects.prefix,
        FRAMES + 2,
        HOSTS + 1,
    )


@pytest.mark.usefixtures("fleet")
class TestProofs:
    async def test_any_event_is_proven_by_its_note_alone(self, restow, monkeypatch):
        put_down("a.note", (await restow("audit", "note")).out)
        for position in range(1, HOSTS + 1):
            proof = (await restow("audit", "prove", str(position))).out
            put_down("a.proof", proof)
            ended = await restow("audit", "check", "a.proof", "--note", "a.note")
            assert ended.code == 0, ended.err
            what = f"position {position} is host.registered of host.h0{position}, version 1\n"
            assert what in ended.out
            assert f"it is in frame {position + 1} of the {FRAMES} " in ended.out
        monkeypatch.setenv("RESTOW_URL", "nats://127.0.0.1:1")
        told = await restow("audit", "check", "a.proof", "--note", "a.note", "-o", "json")
        assert (told.json["stream"], told.json["number"]) == (f"host.h0{HOSTS}", FRAMES)

    @pytest.mark.parametrize("field", ["position", "number", "frame", "path"])
    async def test_a_bent_proof_does_not_hold(self, restow, field):
        put_down("a.note", (await restow("audit", "note")).out)
        proof = (await restow("audit", "prove", "3")).json
        other = (await restow("audit", "prove", "4")).json
        put_down("a.proof", msgspec.json.encode(proof | {field: other[field]}).decode())
        ended = await restow("audit", "check", "a.proof", "--note", "a.note")
        assert ended.code == Exit.DIFFERENT
        assert ended.err.startswith("error: a.proof does not hold: by note a.note, ")
        assert ended.out == ""

    @pytest.mark.parametrize(
        ("change", "wrong"),
        [
            ({"path": ["00"]}, "$.path"),
            ({"frame": "?"}, "$.frame"),
            ({"number": 0}, "$.number"),
            ({"colour": "red"}, "colour"),
            ({"frames": FRAMES + 1}, "make it with `restow audit prove 3 --note a.note`"),
            ({"region": "elsewhere"}, "is of region elsewhere, and a.note of "),
        ],
    )
    async def test_what_is_no_proof_of_this_note_is_wrong_usage(self, restow, change, wrong):
        put_down("a.note", (await restow("audit", "note")).out)
        proof = (await restow("audit", "prove", "3")).json
        put_down("a.proof", msgspec.json.encode(proof | change).decode())
        ended = await restow("audit", "check", "a.proof", "--note", "a.note")
        assert ended.code == Exit.USAGE
        assert wrong in ended.err

    async def test_what_did_not_happen_is_not_found(self, restow):
        ended = await restow("audit", "prove", "99")
        assert ended.code == Exit.NOT_FOUND
        assert "the journal ends before position 99" in ended.err

    @pytest.mark.parametrize("words", ["verify", "prove 3", "check x.proof"])
    async def test_what_is_no_note_is_wrong_usage(self, restow, words):
        put_down("x.note", "restow-note 1\nregion\n")
        ended = await restow("audit", *words.split(), "--note", "x.note")
        assert ended.code == Exit.USAGE
        assert "x.note is no note of a journal that can be read: a note has 6 lines" in ended.err

    async def test_a_note_of_another_region_is_wrong_usage(self, restow, subjects):
        said = (await restow("audit", "note")).out
        put_down("x.note", said)
        ended = await restow("audit", "verify", "--note", "x.note", "--prefix", "elsewhere")
        assert ended.code == Exit.USAGE
        assert f"x.note is a note of region {subjects.prefix}, and not of elsewhere" in ended.err


@asynccontextmanager
async def reading(side: "Side"):
    """Run a read side until the end of the block."""
    stop = asyncio.Event()
    region = Region(Address(side.url), side.prefix)
    reader = asyncio.create_task(run_reader(region, Places(side.data), stop))
    try:
        yield reader
    finally:
        stop.set()
        await asyncio.wait({reader})


async def kept(reader: asyncio.Task[None], path: Path, frames: int) -> None:
    """Wait until the read side keeps a note of so many frames."""

    def there() -> bool:
        return path.exists() and note_from(path).frames == frames

    async with asyncio.timeout(30):
        while not there():
            assert not reader.done(), reader.exception()
            await asyncio.sleep(0.05)


class Side(msgspec.Struct):
    """A read side that ran once, and how to run it again."""

    url: str
    prefix: str
    data: Path

    @property
    def note(self) -> Path:
        return note_path(self.data, self.prefix)

    async def typed(self) -> tuple[int | None, str]:
        """Run it as a process that is expected to end, and return how, with what it said."""
        where = ("--url", self.url, "--prefix", self.prefix, "--data", str(self.data))
        return await run("reader", *where, cwd=self.data.parent)


@pytest.fixture
async def side(subjects: Subjects, fleet: Fleet, nats_url: str, tmp_path: Path) -> Side:
    del fleet  # it is in the journal
    side = Side(nats_url, subjects.prefix, tmp_path / "data")
    async with reading(side) as reader:
        await kept(reader, side.note, FRAMES)
    reader.result()
    return side


class TestReadSide:
    async def test_a_fresh_one_begins_a_note_and_goes_on_with_it(
        self, bus, subjects, fleet, side, restow
    ):
        now = ("audit", "note", "--data", str(side.data))
        assert side.note.read_text() == (await restow(*now)).out
        async with reading(side) as reader:
            await one_more(bus, subjects, fleet)
            await kept(reader, side.note, FRAMES + 2)
        reader.result()
        assert side.note.read_text() == (await restow(*now)).out

    @both
    async def test_it_does_not_start_on_a_forged_journal(
        self, bus, subjects, side, restow, forge: Forge
    ):
        before = side.note.read_text()
        await rewritten(bus, subjects, forge(await messages(bus, subjects)))

        code, said = await side.typed()

        assert code == Exit.DIFFERENT
        assert says(forge) in said
        assert f"as note {side.note} says" in said
        assert "reader.ready" not in said
        assert "Traceback" not in said
        assert side.note.read_text() == before
        ended = await restow("audit", "note", "--data", str(side.data))
        assert (ended.code, ended.out) == (Exit.DIFFERENT, "")

    async def test_a_journal_that_is_gone_is_not_waited_for(self, bus, subjects, side):
        await bus.jetstream().delete_stream(subjects.stream("JNL"))
        async with reading(side) as reader:
            await asyncio.wait({reader}, timeout=30)
        with pytest.raises(JournalDamagedError, match=f"at least {FRAMES} frames.*no stream"):
            reader.result()

    async def test_a_note_that_cannot_be_read_is_said(self, side):
        side.note.write_text(side.note.read_text().replace("frames 7", "frames 8"))
        code, said = await side.typed()
        assert code == Exit.DIFFERENT
        assert f"{side.note} is no note of a journal that can be read: sum does not fit" in said
        assert "Traceback" not in said
