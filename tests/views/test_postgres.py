"""Views in PostgreSQL, while the server is stopped, killed, restarted, and while they are read."""

import asyncio
import signal

import pytest

from domain.host import HostRegistered
from domain.messages import HostId
from projections import keeping as module
from projections.batches import Batch, Checkpoint
from projections.choice import Choice
from projections.feed import last_position
from projections.postgres import PostgresStore
from projections.rebuilding import rebuild
from projections.schemas import PREFIX_MAX, SchemaShelf
from projections.server import Session
from projections.stores import StoreLockedError, StoreSlowError
from projections.views import VIEWS, columns
from tests.postgres import running
from tests.projections.journal import Book, MemoryJournal
from tests.projections.story import frames_of
from tests.views.rooms import Schemas, everything
from tests.views.shelves import kept, projected, reached, until

FRAMES = frames_of(3)
END = last_position(FRAMES[-1])
HALF = last_position(FRAMES[4])


@pytest.fixture(scope="module")
def own():
    """Return a server that may be stopped."""
    with running() as server:
        yield server


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_while_the_server_is_away_it_is_said_and_then_gone_on(
    own, tmp_path, monkeypatch, capsys, how
):
    monkeypatch.setattr(module, "LOCKED_S", 0.1)
    room = Schemas(own.url, f"away-{how}")
    journal = MemoryJournal(FRAMES[:5])
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, HALF)
        await asyncio.to_thread(own.stop, how)
        await journal.write(*FRAMES[5:])
        with pytest.raises(StoreLockedError, match="PostgreSQL"):
            await read(keeping)
        while "views.locked" not in capsys.readouterr().out:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(own.start)
        await reached(keeping, END)
        await until(lambda: can_be_read(keeping))
    assert await everything(room) == projected(FRAMES, tmp_path / "rebuilt.db")


async def read(keeping):
    """Read until that fails: the connections that were open are lost one by one."""
    while True:
        async with keeping.reading() as (reader, _):
            await reader.count(VIEWS["host"])


async def can_be_read(keeping):
    try:
        async with keeping.reading() as (reader, checkpoint):
            return checkpoint.position == await reader.count(VIEWS["event"]) == END
    except StoreLockedError:
        return False


async def test_connections_that_are_cut_are_made_again(postgres, room_of, tmp_path):
    room = room_of("cut")
    journal = MemoryJournal()
    async with kept(journal, room.shelf()) as keeping:
        await until(lambda: keeping.live is not None)
        for frame in FRAMES:
            await journal.write(frame)
            if frame.position % 3 == 0:
                sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                await room.ask(f"{sql} WHERE application_name = 'restow'")
        await reached(keeping, END)
    assert await everything(room) == projected(FRAMES, tmp_path / "rebuilt.db")


@pytest.fixture
def room_of(postgres):
    """Return a room by its prefix."""
    return lambda prefix: Schemas(postgres.url, prefix)


async def test_what_is_read_is_removed_only_when_nobody_reads_it(room_of):
    room = room_of("pinned")
    journal = MemoryJournal(FRAMES)
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, END)
        async with keeping.reading() as (reader, _):
            other = room.shelf()
            assert (await rebuild(journal, other)).good
            await other.close()
            await until(lambda: keeping.live and keeping.live.generation == 2)
            await asyncio.sleep(2 * module.WATCH_S)
            assert await room.generations() == [1, 2]
            assert await reader.count(VIEWS["event"]) == END
        await until(lambda: only(room, 2))


async def only(room, generation):
    return await room.generations() == [generation]


async def test_a_writer_that_was_taken_for_gone_writes_nothing(room_of):
    room = room_of("fenced")
    one, other = room.shelf(), room.shelf()
    store = await one.store(1)
    sql = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    await room.ask(sql)
    async with other.writing():
        with pytest.raises(StoreLockedError, match="another process"):
            await store.write(Batch(Checkpoint(1), {}, {}, [], 1))
    await other.close()
    await one.close()


async def test_a_reading_that_takes_too_long_is_ended(room_of, monkeypatch):
    monkeypatch.setattr("projections.postgres.select", lambda *_: ("SELECT pg_sleep(9)", []))
    room = room_of("slow")
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
        async with keeping.reading() as (reader, _):
            with pytest.raises(StoreSlowError):
                await reader.select(Choice(VIEWS["host"]), 0.1)
        async with keeping.reading() as (reader, checkpoint):
            assert checkpoint.position == END


async def test_two_regions_may_share_a_database(room_of):
    book = Book()
    book.say(HostRegistered(HostId("north"), 32, 100, 4_096, 12_800))
    one, other = room_of("shared"), room_of("shared-2")
    async with (
        kept(MemoryJournal(FRAMES), one.shelf()) as first,
        kept(MemoryJournal(book.frames), other.shelf()) as second,
    ):
        await reached(first, END)
        await reached(second, 1)
    assert len((await everything(one))["host"]) == 6
    assert len((await everything(other))["host"]) == 1


def test_long_prefixes_stay_apart_in_names_that_fit():
    names = {SchemaShelf("", "x" * n).name(999_999_999) for n in range(1, 64)}
    assert len(names) == 63
    assert max(map(len, names)) + len("_new") <= 63
    assert SchemaShelf("", "x" * PREFIX_MAX).name(1).startswith("x" * PREFIX_MAX)


async def test_a_word_with_a_zero_in_it_is_kept_as_well_as_can_be(postgres, room_of):
    room = room_of("zero")
    session = Session(postgres.url)
    store = await PostgresStore.open(session, "zero_views_1")
    shelf = room.shelf()
    await shelf.use(1)
    row = (
        "k",
        1,
        *("a\0b" if kind is str else 1 for kind in columns(VIEWS["tenant"]).values()),
        b"{}",
        b"",
    )
    await store.write(Batch(Checkpoint(1, hash=b"h"), {"tenant": [row]}, {}, [], 1))
    assert "a�b" in (await everything(room))["tenant"][0]
    async with kept(MemoryJournal(), room.shelf()):
        pass
    await shelf.close()
    await session.close()


async def test_what_cannot_be_reached_is_told_without_the_password():
    shelf = SchemaShelf("postgresql://restow:secret@127.0.0.1:1/none", "region")
    with pytest.raises(StoreLockedError) as caught:
        await shelf.current()
    assert "PostgreSQL is away" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_the_database_is_asked_for_no_disk(postgres):
    session = Session(postgres.url)
    async with session.working() as db:
        assert await db.fetchval("SHOW synchronous_commit") == "off"
    await session.close()
