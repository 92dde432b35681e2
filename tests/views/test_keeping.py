"""Views are kept: on from the checkpoint, over every fault of a file, and never behind unseen."""

import asyncio
import random
import signal
import sys
from contextlib import asynccontextmanager, closing
from typing import Any

import apsw
import asyncpg  # type: ignore[import-untyped]
import pytest
from msgspec.structs import replace

from domain.host import HostRated, HostRegistered
from domain.messages import HostId
from projections import keeping as module
from projections.batches import Projector
from projections.feed import FeedError, last_position
from projections.files import FileStore
from projections.keeping import known
from projections.postgres import PostgresStore
from projections.server import SETTINGS, Session
from projections.stores import ShelfInUseError, Store, StoreTooNewError
from projections.views import VIEWS
from tests.projections.journal import Book, MemoryJournal
from tests.projections.story import frames_of
from tests.views.rooms import Files, everything
from tests.views.shelves import WITHIN_S, kept, projected, reached, until

NORTH = HostId("north")
FRAMES = frames_of(3)
END = last_position(FRAMES[-1])


@pytest.fixture
def rebuilt(tmp_path):
    """Return all that the views of the journal must have."""
    return projected(FRAMES, tmp_path / "rebuilt.db")


async def test_views_follow_the_journal(room, rebuilt):
    journal = MemoryJournal(FRAMES[:5])
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, last_position(FRAMES[4]))
        for frame in FRAMES[5:]:
            await journal.write(frame)
        await reached(keeping, END)
        async with keeping.reading() as (reader, checkpoint):
            assert checkpoint.position == END
            assert await reader.count(VIEWS["host"]) == 6
    assert await everything(room) == rebuilt


async def test_they_go_on_from_their_checkpoint(room, rebuilt):
    journal = MemoryJournal()
    for upto in (3, 4, 11, len(FRAMES)):
        journal = MemoryJournal(FRAMES[:upto])
        async with kept(journal, room.shelf()) as keeping:
            await reached(keeping, last_position(FRAMES[upto - 1]))
        assert await room.generations() == [1]
    assert journal.followed_from[-1] > 0
    assert await everything(room) == rebuilt


async def test_refusals_behind_the_checkpoint_are_not_passed_over(room):
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    for _ in range(3):
        async with kept(MemoryJournal(book.frames), room.shelf()) as keeping:
            await until(lambda k=keeping: k.live is not None)
            await commands(keeping, len(book.frames))
        book.say()
    assert len((await everything(room))["command"]) == 3


async def commands(keeping, many):
    async def so():
        async with keeping.reading() as (reader, _):
            return await reader.count(VIEWS["command"]) == many

    await until(so)


async def test_deleted_they_are_built_anew(room, rebuilt):
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    await room.delete()
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    assert await everything(room) == rebuilt


async def test_a_folder_that_was_emptied_is_filled_again(tmp_path, rebuilt):
    room = Files(tmp_path / "views")
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    for path in room.folder.iterdir():
        path.unlink()
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    assert await everything(room) == rebuilt


async def test_deleted_while_they_are_read_they_are_soon_there_again(room, rebuilt):
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
        await room.delete()
        await until(lambda: generation_of(keeping) == 2)
        async with keeping.reading() as (reader, checkpoint):
            assert checkpoint.position == END
            assert await reader.count(VIEWS["event"]) == END
    assert await everything(room) == rebuilt


async def test_a_file_deleted_while_it_is_read_fails_no_reading(tmp_path):
    room = Files(tmp_path / "views")
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
        await room.delete()
        while generation_of(keeping) == 1 or await room.generations() != [2]:
            async with keeping.reading() as (reader, checkpoint):
                assert checkpoint.position == END
                assert await reader.count(VIEWS["event"]) == END
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("where", [0, 100, 8_192])
async def test_a_damaged_file_is_built_anew_beside(tmp_path, rebuilt, where):
    room = Files(tmp_path / "views")
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    with (await room.used()).open("r+b") as file:
        file.seek(where)
        file.write(b"\xff" * 4_096)
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    assert await room.generations() == [2]
    assert await everything(room) == rebuilt


@pytest.mark.parametrize("sql", ["DROP TABLE host", "DELETE FROM checkpoint"])
async def test_with_a_part_missing_they_are_built_anew(room, rebuilt, sql):
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    await room.alter(sql)
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
        await until(lambda: only(room, 2))
    assert await everything(room) == rebuilt


def generation_of(keeping):
    return keeping.live.generation if keeping.live else 0


async def only(room, generation):
    return await room.generations() == [generation]


@asynccontextmanager
async def held(room):
    """Hold the views as another process might that has gone astray."""
    if isinstance(room, Files):
        with closing(apsw.Connection(str(await room.used()))) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    other = await asyncpg.connect(room.url)
    async with other.transaction():
        await other.execute(f'LOCK TABLE "{await room.schema()}".checkpoint IN SHARE MODE')
        yield
    await other.close()


async def test_locked_by_another_process_they_wait_and_say_so(room, monkeypatch, capsys):
    hurried(monkeypatch)
    journal = MemoryJournal(FRAMES[:5])
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, last_position(FRAMES[4]))
        async with held(room):
            await journal.write(*FRAMES[5:])
            while not any("views.locked" in stream for stream in capsys.readouterr()):
                await asyncio.sleep(0.02)
            async with keeping.reading() as (_, checkpoint):
                assert checkpoint.position < END
        await reached(keeping, END)


def hurried(monkeypatch):
    monkeypatch.setattr("projections.sqlite.BUSY_MS", 50)
    monkeypatch.setitem(SETTINGS, "lock_timeout", "50ms")
    monkeypatch.setattr(module, "LOCKED_S", 0.05)


async def test_of_a_newer_restow_they_are_left_alone(room):
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    await room.grow_old()
    shelf = room.shelf()
    with pytest.raises(StoreTooNewError, match="restow projection rebuild"):
        await known(shelf)
    await shelf.close()
    assert await room.generations() == [1]


async def test_of_another_shape_they_are_built_anew(room, rebuilt):
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    await room.alter("UPDATE checkpoint SET shape = x'00'")
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
        await until(lambda: only(room, 2))
    assert await everything(room) == rebuilt


async def test_ahead_of_the_journal_they_are_built_anew(room, tmp_path):
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    shorter = FRAMES[:-4]
    async with kept(MemoryJournal(shorter), room.shelf()) as keeping:
        await reached(keeping, last_position(shorter[-1]))
        await until(lambda: only(room, 2))
    assert await everything(room) == projected(shorter, tmp_path / "shorter.db")


async def test_of_another_journal_they_are_built_anew(room):
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    others = [*FRAMES[:-1], replace(FRAMES[-1], prev=b"other")]
    async with kept(MemoryJournal(others), room.shelf()) as keeping:
        await until(lambda: only(room, 2))
        await reached(keeping, END)


class Line:
    """A connection; whoever is ended while closing it has closed it, as asyncpg does."""

    def __init__(self, shop: list["Line"]) -> None:
        self.shop = shop
        shop.append(self)

    async def close(self) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            self.shop.remove(self)


async def test_who_is_ended_while_connections_are_opened_or_closed_leaves_none():
    shop: list[Line] = []

    async def opened() -> Any:
        await asyncio.sleep(0)
        return Line(shop)

    for steps in range(30):
        live = module.Live(opened)
        opening = asyncio.create_task(live.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        if (await asyncio.gather(opening, return_exceptions=True))[0] is live:
            closing = asyncio.create_task(live.close())
            for _ in range(steps % 7 + 1):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        assert not shop


class Slow:
    """A connection whose reading ends some time after it was asked to."""

    sound = True

    def __init__(self) -> None:
        self.shut = False

    async def end(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.shut = True


async def test_a_connection_that_is_given_back_by_who_is_ended_meanwhile_is_closed():
    one: Any = Slow()
    live = module.Live(one)
    back = asyncio.create_task(live.back(one))
    await asyncio.sleep(0)
    back.cancel()
    await asyncio.gather(back, return_exceptions=True)
    assert back.cancelled()
    assert one.shut


async def test_one_process_alone_keeps_them(room):
    one, other = room.shelf(), room.shelf()
    async with one.writing():
        with pytest.raises(ShelfInUseError, match="another process"):
            async with other.writing():
                pass
    async with other.writing():
        pass


async def test_who_finds_that_another_wrote_goes_on_from_there(room, rebuilt):
    journal = MemoryJournal(FRAMES[:5])
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, last_position(FRAMES[4]))
        await advance(room, FRAMES[5:9])
        await journal.write(*FRAMES[5:])
        await reached(keeping, END)
    assert await everything(room) == rebuilt


async def advance(room, frames):
    """Write these frames as a process would that holds itself for the writer."""
    session = Session("" if isinstance(room, Files) else room.url)
    store: Store
    if isinstance(room, Files):
        store = await FileStore.open(await room.used())
    else:
        store = await PostgresStore.open(session, await room.schema())
    projector = Projector(await store.kept())
    await store.write(projector.take(frames))
    await store.close()
    await session.close()


async def test_a_torn_journal_stops_them(room):
    torn = [FRAMES[0], replace(FRAMES[1], position=FRAMES[1].position + 1)]
    shelf = room.shelf()
    async with shelf.writing():
        with pytest.RaisesGroup(FeedError, flatten_subgroups=True):
            await asyncio.wait_for(module.Keeping(MemoryJournal(torn), shelf).run(), WITHIN_S)
    await shelf.close()


async def test_the_feed_waits_for_a_slow_store(room, monkeypatch):
    hurried(monkeypatch)
    monkeypatch.setattr(module, "BEHIND_MAX", 3)
    monkeypatch.setattr(module, "BATCH_EVENTS", 1)
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    journal = Counting(book.frames)
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, 1)
        async with held(room):
            await journal.write(*(book.say(HostRated(NORTH, n)) for n in range(50)))
            await asyncio.sleep(0.3)
            assert journal.given <= 1 + 3 + 2
        await reached(keeping, book.position)


class Counting(MemoryJournal):
    """Counts the frames that it gave."""

    given = 0

    async def follow(self, after):
        async for step in super().follow(after):
            self.given += 1
            yield step


async def test_killed_between_any_two_batches_nothing_is_lost_or_done_twice(room, rebuilt):
    dice = random.Random(7)
    where = (room.url, room.prefix) if not isinstance(room, Files) else (str(room.folder), "")
    for lines in (1, dice.randint(2, 9), dice.randint(10, 25), 0):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.views.writer", *where, "3"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        for _ in range(lines):
            await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
        if lines:
            process.send_signal(signal.SIGKILL)
        await process.communicate()
    assert await everything(room) == rebuilt
