"""Views are kept: on from the checkpoint, over every fault of a file, and never behind unseen."""

import asyncio
import random
import signal
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from domain.host import HostRated, HostRegistered
from domain.messages import HostId
from projections import keeping as module
from projections.feed import FeedError, last_position
from projections.shelf import NAME, Shelf, ShelfInUseError, known
from projections.sqlite import FORMAT, StoreTooNewError
from projections.views import VIEWS
from tests.projections.journal import Book, MemoryJournal
from tests.projections.story import frames_of
from tests.views.shelves import WITHIN_S, content, kept, projected, reached, until

NORTH = HostId("north")
FRAMES = frames_of(3)
END = last_position(FRAMES[-1])


@pytest.fixture
def rebuilt(tmp_path):
    """Return all that the views of the journal must have."""
    return projected(FRAMES, tmp_path / "rebuilt.db")


def generations(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name))


def used(folder: Path) -> Path:
    path = Shelf(folder).current()
    assert path is not None
    return path


async def test_views_follow_the_journal(tmp_path, rebuilt):
    journal = MemoryJournal(FRAMES[:5])
    async with kept(journal, tmp_path / "views") as keeping:
        await reached(keeping, last_position(FRAMES[4]))
        for frame in FRAMES[5:]:
            await journal.write(frame)
        await reached(keeping, END)
        with keeping.reading() as (reader, checkpoint):
            assert checkpoint.position == END
            assert reader.count(VIEWS["host"]) == 6
    assert content(used(tmp_path / "views")) == rebuilt


async def test_they_go_on_from_their_checkpoint(tmp_path, rebuilt):
    journal = MemoryJournal()
    for upto in (3, 4, 11, len(FRAMES)):
        journal = MemoryJournal(FRAMES[:upto])
        async with kept(journal, tmp_path / "views") as keeping:
            await reached(keeping, last_position(FRAMES[upto - 1]))
        assert generations(tmp_path / "views") == ["views-1.db"]
    assert journal.followed_from[-1] > 0
    assert content(used(tmp_path / "views")) == rebuilt


async def test_refusals_behind_the_checkpoint_are_not_passed_over(tmp_path):
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    folder = tmp_path / "views"
    for _ in range(3):
        async with kept(MemoryJournal(book.frames), folder) as keeping:
            await until(lambda k=keeping: k.live is not None)
            await commands(keeping, len(book.frames))
        book.say()
    assert len(content(used(folder))["command"]) == 3


async def commands(keeping, many):
    def so():
        with keeping.reading() as (reader, _):
            return reader.count(VIEWS["command"]) == many

    await until(so)


@pytest.mark.parametrize("deleted", ["all", "the file"])
async def test_deleted_they_are_built_anew(tmp_path, rebuilt, deleted):
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    for path in folder.iterdir():
        if deleted == "all" or NAME.fullmatch(path.name):
            path.unlink()
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    assert content(used(folder)) == rebuilt


async def test_deleted_while_they_are_read_no_reading_fails(tmp_path, rebuilt):
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
        used(folder).unlink()
        first = keeping.live
        while keeping.live is first or generations(folder) != ["views-2.db"]:
            with keeping.reading() as (reader, checkpoint):
                assert checkpoint.position == END
                assert reader.count(VIEWS["event"]) == END
            await asyncio.sleep(0.01)
    assert content(used(folder)) == rebuilt


@pytest.mark.parametrize("where", [0, 100, 8_192])
async def test_damaged_they_are_built_anew_beside(tmp_path, rebuilt, where):
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    with used(folder).open("r+b") as file:
        file.seek(where)
        file.write(b"\xff" * 4_096)
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    assert generations(folder) == ["views-2.db"]
    assert content(used(folder)) == rebuilt


async def test_locked_by_another_process_they_wait_and_say_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("projections.sqlite.BUSY_MS", 50)
    monkeypatch.setattr(module, "LOCKED_S", 0.05)
    folder = tmp_path / "views"
    journal = MemoryJournal(FRAMES[:5])
    async with kept(journal, folder) as keeping:
        await reached(keeping, last_position(FRAMES[4]))
        with closing(apsw.Connection(str(used(folder)))) as other:
            other.execute("BEGIN IMMEDIATE")
            await journal.write(*FRAMES[5:])
            while not any("views.locked" in stream for stream in capsys.readouterr()):
                await asyncio.sleep(0.02)
            with keeping.reading() as (_, checkpoint):
                assert checkpoint.position < END
            other.execute("ROLLBACK")
        await reached(keeping, END)


@contextmanager
def altered(path: Path):
    with closing(apsw.Connection(str(path))) as file:
        yield file


async def test_of_a_newer_restow_they_are_left_alone(tmp_path):
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    with altered(used(folder)) as file:
        file.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(StoreTooNewError, match="restow projection rebuild"):
        known(Shelf(folder))
    assert generations(folder) == ["views-1.db"]


async def test_of_another_shape_they_are_built_anew(tmp_path, rebuilt):
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    with altered(used(folder)) as file:
        file.execute("UPDATE checkpoint SET shape = x'00'")
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    assert generations(folder) == ["views-2.db"]
    assert content(used(folder)) == rebuilt


async def test_ahead_of_the_journal_they_are_built_anew(tmp_path):
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    shorter = FRAMES[:-4]
    async with kept(MemoryJournal(shorter), folder) as keeping:
        await reached(keeping, last_position(shorter[-1]))
        await until(lambda: generations(folder) == ["views-2.db"])
    assert content(used(folder)) == projected(shorter, tmp_path / "shorter.db")


async def test_of_another_journal_they_are_built_anew(tmp_path):
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    others = [*FRAMES[:-1], replace(FRAMES[-1], prev=b"other"), *()]
    async with kept(MemoryJournal(others), folder) as keeping:
        await until(lambda: generations(folder) == ["views-2.db"])
        await reached(keeping, END)


async def test_one_process_alone_keeps_them(tmp_path):
    with Shelf(tmp_path).writing(), pytest.raises(ShelfInUseError, match="another process"):  # noqa: SIM117
        with Shelf(tmp_path).writing():
            pass


async def test_a_torn_journal_stops_them(tmp_path):
    torn = [FRAMES[0], replace(FRAMES[1], position=FRAMES[1].position + 1)]
    shelf = Shelf(tmp_path)
    with shelf.writing(), pytest.RaisesGroup(FeedError, flatten_subgroups=True):
        await asyncio.wait_for(module.Keeping(MemoryJournal(torn), shelf).run(), WITHIN_S)


async def test_the_feed_waits_for_a_slow_store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEHIND_MAX", 3)
    monkeypatch.setattr(module, "BATCH_EVENTS", 1)
    monkeypatch.setattr("projections.sqlite.BUSY_MS", 50)
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    journal = Counting(book.frames)
    async with kept(journal, tmp_path) as keeping:
        await reached(keeping, 1)
        with closing(apsw.Connection(str(used(tmp_path)))) as other:
            other.execute("BEGIN IMMEDIATE")
            await journal.write(*(book.say(HostRated(NORTH, n)) for n in range(50)))
            await asyncio.sleep(0.3)
            assert journal.given <= 1 + 3 + 2
            other.execute("ROLLBACK")
        await reached(keeping, book.position)


class Counting(MemoryJournal):
    """Counts the frames that it gave."""

    given = 0

    async def follow(self, after):
        async for step in super().follow(after):
            self.given += 1
            yield step


async def test_killed_between_any_two_batches_nothing_is_lost_or_done_twice(tmp_path, rebuilt):
    dice = random.Random(7)
    path = tmp_path / "views.db"
    for lines in (1, dice.randint(2, 9), dice.randint(10, 25), 0):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.views.writer", str(path), "3"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(lines):
            await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
        if lines:
            process.send_signal(signal.SIGKILL)
        await process.communicate()
    assert content(path) == rebuilt
