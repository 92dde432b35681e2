"""Views are built again beside, compared row by row, and switched while they are read."""

import asyncio

import pytest

from projections import notes, rebuilding
from projections.feed import FeedError, last_position
from projections.notes import Note, noted
from projections.rebuilding import rebuild, verify
from projections.stores import ShelfInUseError
from projections.views import VIEWS
from tests.projections.journal import MemoryJournal
from tests.projections.story import frames_of
from tests.views.rooms import Files, everything
from tests.views.shelves import kept, projected, reached, until

FRAMES = frames_of(5)
END = last_position(FRAMES[-1])


@pytest.fixture
async def full(room):
    """Return a room with views of the journal, as they are kept."""
    async with kept(MemoryJournal(FRAMES), room.shelf()) as keeping:
        await reached(keeping, END)
    return room


@pytest.fixture
async def shelf(full):
    """Return its shelf."""
    shelf = full.shelf()
    yield shelf
    await shelf.close()


async def test_what_was_kept_is_what_the_journal_says(full, shelf):
    verdict = await verify(MemoryJournal(FRAMES), shelf)
    assert verdict.good
    assert (verdict.position, verdict.generation) == (END, 1)
    assert verdict.lines > END
    assert await full.generations() == [1]


@pytest.mark.parametrize(
    ("sql", "view", "key"),
    [
        ("UPDATE host SET used = 63 WHERE id = 'h02'", "host", "h02"),
        ("UPDATE host SET _line = x'7b7d' WHERE id = 'h02'", "host", "h02"),
        ("DELETE FROM event WHERE position = 7", "event", "7"),
        ("DELETE FROM container WHERE id = 'node2'", "container", "node2"),
        ("INSERT INTO tenant (_key, _number, _line) VALUES ('zz', 0, x'')", "tenant", "zz"),
        ("DELETE FROM state WHERE name = 'versions'", "state", "('versions', "),
    ],
)  # fmt: skip
async def test_whatever_is_not_the_same_is_found(full, shelf, sql, view, key):
    await full.alter(sql)
    verdict = await verify(MemoryJournal(FRAMES), shelf)
    assert not verdict.good
    first = verdict.differences[0]
    assert first.view == view
    assert first.key.startswith(key)


async def test_a_rebuild_finds_it_mends_it_and_is_used(full, shelf, tmp_path):
    await full.alter("UPDATE host SET used = 63")
    verdict = await rebuild(MemoryJournal(FRAMES), shelf)
    assert [(one.view, one.key) for one in verdict.differences[:1]] == [("host", "h01")]
    assert verdict.generation == 2
    assert await everything(full) == projected(FRAMES, tmp_path / "again.db")
    assert (await verify(MemoryJournal(FRAMES), shelf)).good


@pytest.mark.parametrize("batch", [1, 30, 10_000])
async def test_a_rebuild_in_whatever_batches_is_the_same(shelf, monkeypatch, batch):
    monkeypatch.setattr(rebuilding, "BATCH_EVENTS", batch)
    assert (await rebuild(MemoryJournal(FRAMES), shelf)).good


async def test_the_switch_fails_no_reading_and_goes_never_back(room):
    half = len(FRAMES) // 2
    journal = MemoryJournal(FRAMES[:half])
    positions: list[int] = []
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, last_position(FRAMES[half - 1]))

        async def read() -> None:
            while True:
                async with keeping.reading() as (reader, checkpoint):
                    positions.append(checkpoint.position)
                    assert await reader.count(VIEWS["event"]) == checkpoint.position
                await asyncio.sleep(0)

        async def write() -> None:
            for frame in FRAMES[half:]:
                await journal.write(frame)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            group.create_task(write())
            shelf = room.shelf()
            verdict = await rebuild(journal, shelf)
            await shelf.close()
            await reached(keeping, END)
            await until(lambda: keeping.live is not None and keeping.live.generation == 2)
            reading.cancel()
        await until(lambda: only_the_second(room))
    assert verdict.good
    assert positions == sorted(positions)


async def only_the_second(room):
    return await room.generations() == [2]


@pytest.mark.parametrize("damage", ["header", "gone", "newer", "shape", "ahead"])
async def test_where_there_is_nothing_to_compare_with_it_is_built_all_the_same(
    full, shelf, tmp_path, damage
):
    journal = MemoryJournal(FRAMES[:-3] if damage == "ahead" else FRAMES)
    match damage:
        case "header":
            await damage_all(full)
        case "gone":
            await full.delete()
        case "newer":
            await full.grow_old()
        case "shape":
            await full.alter("UPDATE checkpoint SET shape = x'00'")
        case _:
            pass
    assert not (await verify(journal, shelf)).good
    verdict = await rebuild(journal, shelf)
    assert verdict.damage
    assert verdict.position == last_position(journal.frames[-1])
    assert await everything(full) == projected(journal.frames, tmp_path / "again.db")


async def damage_all(room):
    if isinstance(room, Files):
        (await room.used()).write_bytes(b"no database" * 500)
    else:
        await room.alter("DROP TABLE event")


async def test_an_empty_journal_has_empty_views(room):
    shelf = room.shelf()
    verdict = await rebuild(MemoryJournal(), shelf)
    assert verdict.position == 0
    assert (await verify(MemoryJournal(), shelf)).good
    await shelf.close()


async def test_how_it_goes_and_what_came_of_it_is_noted(full, shelf, monkeypatch):
    monkeypatch.setattr(notes, "PACE_MS", 0)
    seen: list[Note] = []
    told = shelf.note

    async def note(text):
        await told(text)
        found = await noted(shelf)
        assert found is not None
        seen.append(found)

    monkeypatch.setattr(shelf, "note", note)
    assert await noted(shelf) is None
    await verify(MemoryJournal(FRAMES), shelf)
    on_the_way = [one for one in seen if not one.over]
    assert [one.position for one in on_the_way] == [0, *map(last_position, FRAMES[:-1])]
    assert {one.goal for one in seen} == {END}
    assert (seen[-1].kind, seen[-1].over, seen[-1].differences) == ("verify", True, 0)
    assert seen[-1].lines > END

    await full.alter("DELETE FROM event WHERE position = 7")
    await rebuild(MemoryJournal(FRAMES), shelf)
    assert (seen[-1].kind, seen[-1].over, seen[-1].differences) == ("rebuild", True, 1)
    await full.delete()
    await verify(MemoryJournal(FRAMES), shelf)
    assert seen[-1].damage


async def test_one_that_was_ended_is_not_over_and_the_next_one_is(full, shelf):
    torn = MemoryJournal([FRAMES[0], FRAMES[2]])
    with pytest.raises(FeedError):
        await verify(torn, shelf)
    left = await noted(shelf)
    assert left is not None
    assert not left.over
    await shelf.note(b"what another version wrote")
    assert await noted(shelf) is None
    await verify(MemoryJournal(FRAMES), shelf)
    again = await noted(shelf)
    assert again is not None
    assert again.over


async def test_one_process_alone_rebuilds(full, shelf):
    other = full.shelf()
    async with shelf.rebuilding():
        with pytest.raises(ShelfInUseError):
            await rebuild(MemoryJournal(FRAMES), other)
    await other.close()
