"""The views as they were are those that would have been built from the journal up to then."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from domain.messages import Code, Instant, Refusal
from projections.keeping import Keeping, Live
from projections.keyframes import Keyframes
from projections.moments import Moment, until
from projections.reaching import Reaching
from projections.reads import Reads
from projections.rebuilding import rebuild
from projections.shelf import FileShelf
from projections.stores import StoreDamagedError
from projections.views import ALL
from projections.web import past
from projections.web.past import KEPT_MAX, Pasts
from tests.machine.histories import History
from tests.projections.journal import MemoryJournal
from tests.views.shelves import kept, projected, reached
from tests.views.shelves import until as eventually
from tests.web.conftest import END, FRAMES

STEP = 9


@pytest.fixture
async def pasts(room, tmp_path) -> AsyncIterator[Pasts[int]]:
    """Return the pasts of a region whose views are kept, with a keyframe or two."""
    history = await History(FRAMES, tmp_path / "keyframes").framed()
    async with kept(history.journal, room.shelf()) as keeping:
        await reached(keeping, END)
        pasts = Pasts(keeping, history.reaching)
        yield pasts
        await pasts.close()


async def lines(live: Live | Refusal):
    """Return the lines of every view, by their keys."""
    assert isinstance(live, Live), live
    reader, _ = await live.begin()
    try:
        return {
            view.name: shown([row async for row in reader.rows(view)], view.is_log) for view in ALL
        }
    finally:
        await live.back(reader)


def shown(rows, is_log):
    return {row[1] if is_log else row[0]: row[-2] for row in rows}


def then(moment, tmp_path):
    """Return the same, built from the journal up to a moment."""
    frames = []
    for frame in FRAMES:
        part = until(frame, moment)
        frames.append(part)
        if len(part.commits) < len(frame.commits):
            break
    path = tmp_path / f"{moment.position}-{moment.at}.db"
    rows = projected(frames, path)
    return {view.name: shown(rows[view.name], view.is_log) for view in ALL}


async def test_every_view_is_as_it_was_at_a_position(pasts, tmp_path):
    for position in (0, *range(1, END, STEP), END):
        live = await pasts.at(Moment(position=position))
        assert await lines(live) == then(Moment(position=position), tmp_path), position


async def test_every_view_is_as_it_was_at_a_time(pasts, tmp_path):
    times = sorted({commit.at for frame in FRAMES for commit in frame.commits})
    for early, late in list(pairwise(times))[::STEP]:
        for at in (early, Instant(late - 1)):
            live = await pasts.at(Moment(at=at))
            assert await lines(live) == then(Moment(at=at), tmp_path), at


async def test_it_is_built_once_and_the_least_used_is_forgotten(pasts):
    first = await pasts.at(Moment(position=1))
    for position in range(2, KEPT_MAX + 1):
        await pasts.at(Moment(position=position))
    assert await pasts.at(Moment(position=1)) is first
    await pasts.at(Moment(position=50))
    assert await pasts.at(Moment(position=1)) is first


async def test_a_moment_that_is_forgotten_is_removed(pasts, monkeypatch):
    first = await pasts.at(Moment(position=1))
    monkeypatch.setattr(past, "KEPT_MAX", 1)
    await pasts.at(Moment(position=2))
    with pytest.raises(StoreDamagedError):
        await first.begin()


async def test_it_goes_on_in_views_that_were_rebuilt_meanwhile(room, tmp_path):
    journal = MemoryJournal(FRAMES)
    async with kept(journal, room.shelf()) as keeping:
        await reached(keeping, END)
        pasts = Pasts(keeping, Reaching(journal, Keyframes(tmp_path / "none")))
        old = keeping.live
        first = await pasts.at(Moment(position=60))
        before = await lines(first)
        shelf = room.shelf()
        await rebuild(journal, shelf)
        await shelf.close()
        await eventually(lambda: keeping.live is not old)
        second = await pasts.at(Moment(position=60))
        assert second is not first
        assert await lines(second) == before
        await pasts.close()


async def test_what_has_not_come_yet_has_no_past(pasts):
    said = await pasts.at(Moment(position=END + 1))
    assert isinstance(said, Refusal)
    assert said.facts == {"position": END}


async def test_views_that_are_not_as_far_have_no_past_yet(tmp_path, monkeypatch):
    monkeypatch.setattr(past, "WAIT_MS", 20)
    journal = MemoryJournal(FRAMES)
    keeping = Keeping(journal, FileShelf(tmp_path / "views"))
    pasts = Pasts(keeping, Reaching(journal, Keyframes(tmp_path / "none")))
    behind = await pasts.at(Moment(position=END))
    assert isinstance(behind, Refusal)
    assert behind.code is Code.WAIT_TIMEOUT
    assert await pasts.at(Moment(position=0)) == past.NOT_YET
    await pasts.close()


async def test_a_moment_that_takes_too_long_is_said_to(pasts, monkeypatch):
    monkeypatch.setattr(past, "BUILD_S", 0.0)
    said = await pasts.at(Moment(position=END))
    assert isinstance(said, Refusal)
    assert "restow <noun> list --at" in said.detail


def test_every_view_that_is_told_from_the_fold_is_told_of_the_past():
    assert {name for name, _ in past.told(Reads())} == {view.name for view in ALL if view.tell}
