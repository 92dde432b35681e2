"""A file's writer: what is small is written at once, and the write-ahead file does not grow."""

import asyncio
from contextlib import closing

import apsw
import pytest

from domain.host import HostRated, HostRegistered
from domain.messages import HostId
from domain.region import Region
from projections import files
from projections.batches import Projector
from projections.choice import Choice
from projections.feed import last_position, placed
from projections.files import FileReader, FileStore, finished
from projections.sqlite import SqliteReader, SqliteStore
from projections.stores import StoreLockedError
from projections.views import VIEWS
from tests.projections.journal import Book
from tests.projections.story import frames_of
from tests.views.shelves import WITHIN_S, content, projected

NORTH = HostId("north")
FRAMES = frames_of(3)


@pytest.fixture
async def store(tmp_path):
    found = await FileStore.open(tmp_path / "views.db")
    yield found
    await found.close()


def at_once(doing):
    """Run what never waits; tell whether it did not."""
    try:
        doing.send(None)
    except StopIteration:
        return True
    doing.close()
    return False


async def test_a_small_batch_is_written_at_once(store, tmp_path):
    projector = Projector()
    assert at_once(store.write(projector.take(FRAMES[:1])))
    with closing(SqliteReader(tmp_path / "views.db")) as reader:
        assert reader.begin() == projector.checkpoint


async def test_a_large_batch_keeps_nobody_waiting(store, monkeypatch):
    monkeypatch.setattr(files, "SMALL", 10)
    others = asyncio.create_task(asyncio.sleep(0))
    batch = Projector().take(FRAMES)
    assert batch.size > 10
    await store.write(batch)
    assert others.done()


async def test_a_file_that_another_has_is_waited_for_elsewhere(store, tmp_path):
    projector = Projector()
    with closing(apsw.Connection(str(tmp_path / "views.db"))) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.write(projector.take(FRAMES[:1])))
        await asyncio.sleep(0)
        assert not writing.done()
        other.execute("COMMIT")
    await asyncio.wait_for(writing, WITHIN_S)
    with closing(SqliteReader(tmp_path / "views.db")) as reader:
        assert reader.begin() == projector.checkpoint


async def test_a_file_that_another_keeps_is_said_to_be_locked(tmp_path, monkeypatch):
    monkeypatch.setattr("projections.sqlite.BUSY_MS", 50)
    store = await FileStore.open(tmp_path / "views.db")
    with closing(apsw.Connection(str(tmp_path / "views.db"))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockedError):
            await store.write(Projector().take(FRAMES[:1]))
    await store.close()


async def test_what_is_written_is_carried_over_beside(store, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CARRY_PAGES", 10)
    file = tmp_path / "views.db"
    before = file.stat().st_size
    book = told(Book())
    projector = Projector()
    await store.write(projector.take(book.frames))

    async def carried():
        await store.write(projector.take([book.say(HostRated(NORTH, book.position))]))
        return file.stat().st_size > before

    async with asyncio.timeout(WITHIN_S):
        while not await carried():
            await asyncio.sleep(0)


async def test_the_write_ahead_file_stays_small_while_nothing_else_has_a_turn(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "CARRY_PAGES", 20)
    monkeypatch.setattr(files, "WAIT_PAGES", 60)
    ahead, book, projector, most = tmp_path / "views.db-wal", told(Book()), Projector(), 0
    await store.write(projector.take(book.frames))
    for n in range(600):
        await store.write(projector.take([book.say(HostRated(NORTH, n))]))
        most = max(most, ahead.stat().st_size)
    assert most < 200 * 4_200, "pages of 4 KiB, each with its frame"


async def test_what_hinders_carrying_over_is_told_and_hinders_no_closing(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CARRY_PAGES", 1)
    monkeypatch.setattr(files, "WAIT_PAGES", 1)
    store = await FileStore.open(tmp_path / "views.db")
    projector = Projector()
    await store.write(projector.take(FRAMES[:1]))

    def full(_store):
        raise StoreLockedError

    monkeypatch.setattr(SqliteStore, "carry_over", full)
    with pytest.raises(StoreLockedError):
        await store.write(projector.take(FRAMES[1:2]))
    await store.close()


async def test_beside_or_not_it_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CARRY_PAGES", 3)
    store = await FileStore.open(tmp_path / "views.db")
    projector = Projector()
    for frame in FRAMES:
        await store.write(projector.take([frame]))
    assert projector.checkpoint.position == last_position(FRAMES[-1])
    await store.close()
    assert content(tmp_path / "views.db") == projected(FRAMES, tmp_path / "rebuilt.db")


def told(book):
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    return book


async def test_what_is_read_in_a_moment_is_read_at_once_and_all_else_as_well(
    store, tmp_path, monkeypatch
):
    await store.write(Projector().take(FRAMES))
    reader = FileReader(tmp_path / "views.db")
    choice = Choice(VIEWS["event"], limit=50)
    await reader.begin()
    assert at_once(reader.select(choice, WITHIN_S))
    found = await reader.select(choice, WITHIN_S)
    assert len(found) == 50

    monkeypatch.setattr("projections.sqlite.NOW_STEPS", 1)
    monkeypatch.setattr("projections.sqlite.NOW_TURNS", 0)
    in_threads = []

    async def in_a_thread(call):
        in_threads.append(call)
        return await finished(call)

    monkeypatch.setattr(files, "finished", in_a_thread)
    assert await reader.select(choice, WITHIN_S) == found
    assert await reader.select(choice) == found
    assert len(in_threads) == 2
    await reader.end()
    await reader.close()


def test_versions_are_kept_of_streams_that_go_on_alone(tmp_path):
    region, projector = Region(), Projector()
    with closing(SqliteStore(tmp_path / "views.db")) as store:
        for frame in FRAMES:
            region.absorb(frame)
            store.write(projector.take([frame]))
        kept = [entry for entry in store.kept().state if entry[0] == "versions"]
    assert len(kept) == len(region.versions)
    assert len(region.versions) < len({at.event.stream for one in FRAMES for at in placed(one)})
