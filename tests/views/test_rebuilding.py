"""Views are built again beside, compared row by row, and switched while they are read."""

import asyncio
from contextlib import closing

import apsw
import pytest

from projections import rebuilding
from projections.feed import last_position
from projections.rebuilding import rebuild, verify
from projections.shelf import Shelf, ShelfInUseError
from projections.views import VIEWS
from tests.projections.journal import MemoryJournal
from tests.projections.story import frames_of
from tests.views.shelves import content, kept, projected, reached, until

FRAMES = frames_of(5)
END = last_position(FRAMES[-1])


@pytest.fixture
async def shelf(tmp_path):
    """Return a shelf with views of the journal, as they are kept."""
    folder = tmp_path / "views"
    async with kept(MemoryJournal(FRAMES), folder) as keeping:
        await reached(keeping, END)
    return Shelf(folder)


def alter(shelf, sql):
    with closing(apsw.Connection(str(shelf.current()))) as file:
        file.execute(sql)


async def test_what_was_kept_is_what_the_journal_says(shelf):
    verdict = await verify(MemoryJournal(FRAMES), shelf)
    assert verdict.good
    assert (verdict.position, verdict.generation) == (END, 1)
    assert verdict.lines > END
    assert [path.name for path in shelf.folder.glob("*.new*")] == []


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
async def test_whatever_is_not_the_same_is_found(shelf, sql, view, key):
    alter(shelf, sql)
    verdict = await verify(MemoryJournal(FRAMES), shelf)
    assert not verdict.good
    first = verdict.differences[0]
    assert first.view == view
    assert first.key.startswith(key)


async def test_a_rebuild_finds_it_mends_it_and_is_used(shelf, tmp_path):
    alter(shelf, "UPDATE host SET used = 63")
    verdict = await rebuild(MemoryJournal(FRAMES), shelf)
    assert [(one.view, one.key) for one in verdict.differences[:1]] == [("host", "h01")]
    assert verdict.generation == 2
    assert content(shelf.current()) == projected(FRAMES, tmp_path / "again.db")
    assert (await verify(MemoryJournal(FRAMES), shelf)).good


@pytest.mark.parametrize("batch", [1, 30, 10_000])
async def test_a_rebuild_in_whatever_batches_is_the_same(shelf, monkeypatch, batch):
    monkeypatch.setattr(rebuilding, "BATCH_EVENTS", batch)
    assert (await rebuild(MemoryJournal(FRAMES), shelf)).good


async def test_the_switch_fails_no_reading_and_goes_never_back(tmp_path):
    half = len(FRAMES) // 2
    journal = MemoryJournal(FRAMES[:half])
    shelf = Shelf(tmp_path)
    positions: list[int] = []
    async with kept(journal, tmp_path) as keeping:
        await reached(keeping, last_position(FRAMES[half - 1]))

        async def read() -> None:
            while True:
                with keeping.reading() as (reader, checkpoint):
                    positions.append(checkpoint.position)
                    assert reader.count(VIEWS["event"]) == checkpoint.position
                await asyncio.sleep(0)

        async def write() -> None:
            for frame in FRAMES[half:]:
                await journal.write(frame)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            group.create_task(write())
            verdict = await rebuild(journal, shelf)
            await reached(keeping, END)
            await until(lambda: keeping.live is not None and keeping.live.path.name == "views-2.db")
            reading.cancel()
    assert verdict.good
    assert positions == sorted(positions)
    assert not (tmp_path / "views-1.db").exists()


@pytest.mark.parametrize("damage", ["header", "gone", "newer", "shape", "ahead"])
async def test_where_there_is_nothing_to_compare_with_it_is_built_all_the_same(
    shelf, tmp_path, damage
):
    journal = MemoryJournal(FRAMES[:-3] if damage == "ahead" else FRAMES)
    match damage:
        case "header":
            shelf.current().write_bytes(b"no database" * 500)
        case "gone":
            shelf.current().unlink()
        case "newer":
            alter(shelf, "PRAGMA user_version = 99")
        case "shape":
            alter(shelf, "UPDATE checkpoint SET shape = x'00'")
        case _:
            pass
    assert not (await verify(journal, shelf)).good
    verdict = await rebuild(journal, shelf)
    assert verdict.damage
    assert verdict.position == last_position(journal.frames[-1])
    assert content(shelf.current()) == projected(journal.frames, tmp_path / "again.db")


async def test_an_empty_journal_has_empty_views(tmp_path):
    verdict = await rebuild(MemoryJournal(), Shelf(tmp_path))
    assert verdict.position == 0
    assert (await verify(MemoryJournal(), Shelf(tmp_path))).good


async def test_one_process_alone_rebuilds(shelf):
    with shelf.rebuilding(), pytest.raises(ShelfInUseError):
        await rebuild(MemoryJournal(FRAMES), shelf)
