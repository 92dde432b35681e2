"""Views say what memory says, whatever the batches; nothing that happens is without a view."""

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.facts import FACTS, members, tag
from domain.fleet import Fleet
from domain.messages import AskId, Tenant
from domain.migration import MigrationEvent, MigrationRequested
from domain.operation import OperationEvent, OperationRequested
from domain.streams import noun_of
from projections import pages
from projections.batches import KEPT, Projector
from projections.choice import Choice
from projections.pages import QUERIES
from projections.reads import Reads
from projections.sqlite import SqliteReader, SqliteStore
from projections.stale import STALE
from projections.stores import MovedOnError
from projections.stories import MIGRATION, OPERATION
from projections.views import ALL, VIEWS, columns
from tests.projections.journal import Book
from tests.projections.story import commits_of, frames_of, regrouped
from tests.views.rooms import Schemas, everything
from tests.views.shelves import content, projected

SEEDS = st.integers(0, 30)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=4)
PLENTY = 10_000_000


def test_every_event_belongs_to_an_aggregate_that_has_a_view():
    assert {tag(fact) for fact in FACTS if noun_of(fact) not in VIEWS} == set()


def test_every_table_of_the_fleet_is_kept_and_makes_lines_stale_or_none():
    tables = {name for name, value in vars(Fleet()).items() if isinstance(value, dict)}
    tables -= {"forgotten"}  # of the engine alone, and empty between two commits
    assert set(STALE) == tables
    assert set(KEPT) == tables | {
        "versions",
        "why",
        "told evacuations",
        "told recoveries",
        "told firings",
    }


def test_every_event_of_a_story_is_told():
    told = {OperationRequested, MigrationRequested, *OPERATION, *MIGRATION}
    assert {*members(OperationEvent), *members(MigrationEvent)} - told == set()


def test_every_noun_that_can_be_listed_has_a_view():
    listed = {name.partition(".")[0] for name in QUERIES if name.endswith(".list")}
    assert listed - set(VIEWS) == set()


def test_names_of_columns_do_not_meet_those_of_the_store():
    assert not [name for view in ALL for name in columns(view) if name.startswith("_")]


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.lists(st.integers(0, 40), min_size=1).filter(any), SIZES)
def test_views_are_the_same_in_whatever_frames_and_batches_they_came(seed, frames, batches):
    with tempfile.TemporaryDirectory() as folder:
        once = projected(frames_of(seed), Path(folder, "once.db"))
        again = regrouped(commits_of(frames_of(seed)), frames)
        assert projected(again, Path(folder, "again.db"), batches) == once


@settings(deadline=None, max_examples=5)
@given(SEEDS, st.lists(st.integers(0, 40), min_size=1).filter(any), SIZES)
def test_in_postgresql_they_are_the_same_too(postgres, seed, frames, batches):
    with tempfile.TemporaryDirectory() as folder:
        once = projected(frames_of(seed), Path(folder, "once.db"))
    again = regrouped(commits_of(frames_of(seed)), frames)
    assert asyncio.run(kept_in_postgresql(postgres.url, again, batches)) == once


async def kept_in_postgresql(url, frames, sizes):
    """Write frames in batches of these sizes, opening the schema anew before each; return all."""
    room = Schemas(url, f"t{uuid4().hex[:12]}")
    shelf = room.shelf()
    await shelf.use(1)
    done, turn = 0, 0
    while done < len(frames):
        size = sizes[turn % len(sizes)]
        store = await shelf.store(1)
        await store.write(Projector(await store.kept()).take(frames[done : done + size]))
        done, turn = done + size, turn + 1
    rows = await everything(room)
    async with shelf.writing():
        await shelf.tidy(2)
    await shelf.close()
    return rows


LISTS = [name for name in QUERIES if name.endswith(".list") and name != "event.list"]


@pytest.mark.parametrize("name", LISTS)
def test_a_view_has_the_lines_that_memory_has(tmp_path, name):
    view = VIEWS[name.partition(".")[0]]
    reads = Reads()
    for frame in frames_of(3):
        reads.take(frame)
    projected(frames_of(3), tmp_path / "views.db", [3])
    query = QUERIES[name]
    said = pages.answer(query, reads, msgspec.convert({"limit": 1_000}, query.shape), PLENTY)
    assert isinstance(said, bytes)
    items = msgspec.json.decode(said)["items"]
    with closing(SqliteReader(tmp_path / "views.db")) as reader:
        choice = Choice(view, descending=view.latest_first, limit=1_000)
        found = [msgspec.json.decode(line) for _, line in reader.select(choice)]
    assert items
    assert sorted(found, key=str) == sorted(items, key=str)
    if view.number is not None:
        assert found == items


def test_what_is_forgotten_is_kept_no_more_and_its_line_stays(tmp_path, monkeypatch):
    whole = projected(frames_of(3), tmp_path / "whole.db")
    monkeypatch.setattr("projections.reads.STORIES_MAX", 1)
    monkeypatch.setattr("projections.triggers.HISTORY_MAX", 1)
    rows = projected(frames_of(3), tmp_path / "views.db", [1])
    assert max(counted(whole).values()) > 1
    assert counted(rows) == dict.fromkeys(STORIES, 1)
    for view in ("evacuation", "recovery", "firing"):
        assert rows[view] == whole[view]


STORIES = ("told evacuations", "told recoveries", "told firings")


def counted(rows):
    return {table: sum(row[0] == table for row in rows["state"]) for table in STORIES}


def test_an_audit_line_says_who_asked_for_what_and_of_which_story_it_is_part(tmp_path):
    projected(frames_of(3), tmp_path / "views.db")
    with closing(SqliteReader(tmp_path / "views.db")) as reader:
        where = (("type", "eq", "operation.finished"),)
        found = reader.select(Choice(VIEWS["event"], where=where, limit=1))
    line = msgspec.json.decode(found[0][1])
    assert line["stream"] == f"operation.{line['story']}"
    assert line["data"]["outcome"]
    assert line["actor"]


def test_each_placement_is_explained(tmp_path):
    projected(frames_of(3), tmp_path / "views.db")
    with closing(SqliteReader(tmp_path / "views.db")) as reader:
        found = reader.select(Choice(VIEWS["placement"], limit=1_000))
    lines = [msgspec.json.decode(line) for _, line in found]
    assert all(line["why"]["hosts"] == line["hosts"] > 0 for line in lines)
    assert {bool(line["story"]) for line in lines} == {True, False}


def test_two_tenants_may_use_one_id(tmp_path):
    book = Book()
    for tenant in ("acme", "umbrella", ""):
        commit = book.commit(ask="same", command="host.rate")
        theirs = msgspec.structs.replace(commit, ask=AskId("same"), tenant=Tenant(tenant))
        book.frame(theirs)
    rows = projected(book.frames, tmp_path / "views.db", [1])["command"]
    assert [row[0] for row in rows] == ["/same", "acme/same", "umbrella/same"]


def test_what_two_write_at_once_is_written_once(tmp_path):
    frames = frames_of(1)
    path = tmp_path / "views.db"
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        batch = Projector().take(frames)
        one.write(batch)
        before = content(path)
        other.write(batch)
        with pytest.raises(MovedOnError):
            other.write(Projector().take(frames[:-1]))
    assert content(path) == before


def test_a_checkpoint_counts_the_frames_without_events_behind_it():
    frames = regrouped(commits_of(frames_of(1)), [5, 0])
    projector = Projector()
    projector.take(frames[:1])
    alone = projector.checkpoint
    projector.take(frames[1:2])
    assert projector.checkpoint.quiet == alone.quiet + 1
    assert projector.checkpoint.hash == alone.hash
