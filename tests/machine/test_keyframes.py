"""Any moment is reached from a keyframe as from the start, and bad keyframes are passed over."""

import pytest

from domain.messages import Instant
from projections.feed import last_position
from projections.keyframes import Pace, StrangeKeyframeError, scene_of
from projections.moments import Moment
from projections.reads import Reads
from tests.machine.histories import History, everything
from tests.projections.journal import MemoryJournal
from tests.projections.story import frames_of, regrouped

SEEDS = (3, 4, 5, 6)
"""Together more than a thousand positions."""


@pytest.mark.parametrize("nth", SEEDS)
@pytest.mark.usefixtures("close_together")
async def test_every_position_is_as_the_journal_says(tmp_path, nth):
    history = await History(frames_of(nth), tmp_path).framed()
    begun = set()
    for position in range(await history.journal.end() + 1):
        reached = await history.reaching.reach(Moment(position=position))
        whole = await history.reaching.whole(Moment(position=position))
        assert everything(reached.reads) == everything(whole.reads), position
        assert reached.notes == ()
        begun.add(reached.begun)
    assert begun == {0, *(kept.position for kept in history.keyframes.all())}
    assert len(begun) > 10


@pytest.mark.usefixtures("close_together")
async def test_every_time_is_as_the_journal_says(tmp_path):
    history = await History(frames_of(SEEDS[0]), tmp_path).framed()
    times = {commit.at for frame in history.frames for commit in frame.commits}
    for at in sorted({Instant(at + more) for at in times for more in (-1, 0)}):
        reached = await history.reaching.reach(Moment(at=at))
        whole = await history.reaching.whole(Moment(at=at))
        assert everything(reached.reads) == everything(whole.reads), at


async def test_only_what_follows_a_keyframe_is_read(history):
    *_, last = history.keyframes.all()
    history.journal.followed_from.clear()
    await history.reaching.reach(Moment(position=last.position + 1))
    (begun,) = history.journal.followed_from
    assert last_position(history.frames[begun]) == last.position


async def test_beyond_the_end_it_is_as_now(history):
    reached = await history.reaching.reach(Moment(position=10**9))
    assert reached.reads.position == await history.journal.end()


async def test_an_empty_journal_has_a_past_too(tmp_path):
    reached = await History((), tmp_path).reaching.reach(Moment(position=0))
    assert (reached.reads.position, reached.whole) == (0, True)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "not what was written"),
        (lambda data: data[:-9], "not what was written"),
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "shape of another version"),
        (lambda _data: b"", "shape of another version"),
    ],
    ids=["a bit", "the end", "its shape", "all of it"],
)
async def test_a_damaged_one_is_passed_over_with_a_note(history, spoil, said):
    *_, before, last = history.keyframes.all()
    last.path.write_bytes(spoil(last.path.read_bytes()))
    reached = await history.reaching.reach(Moment(position=last.position + 1))
    whole = await history.reaching.whole(Moment(position=last.position + 1))
    assert reached.begun == before.position
    assert said in reached.notes[0]
    assert everything(reached.reads) == everything(whole.reads)


async def test_one_that_is_named_wrongly_is_passed_over(history):
    *_, before, last = history.keyframes.all()
    last.path.write_bytes(before.path.read_bytes())
    reached = await history.reaching.reach(Moment(position=last.position))
    assert "is as of position" in reached.notes[0]


async def test_those_of_another_journal_are_passed_over(history, tmp_path):
    other = History(frames_of(4), history.keyframes.folder)
    position = await other.journal.end()
    reached = await other.reaching.reach(Moment(position=position))
    whole = await other.reaching.whole(Moment(position=position))
    assert len(reached.notes) == 3
    assert "is not so in the journal" in reached.notes[0]
    assert reached.whole
    assert everything(reached.reads) == everything(whole.reads)


async def test_of_a_journal_cut_short_none_beyond_its_end_is_looked_at(history):
    cut = History(history.frames[:20], history.keyframes.folder)
    reached = await cut.reaching.reach(Moment(position=10**9))
    assert reached.reads.position == await cut.journal.end()
    assert reached.notes == ()


async def test_they_are_thrown_away_and_made_again_alike(history):
    kept = {one.path.name: one.path.read_bytes() for one in history.keyframes.all()}
    assert history.keyframes.drop() == len(kept)
    assert history.keyframes.all() == []
    await history.framed()
    assert {one.path.name: one.path.read_bytes() for one in history.keyframes.all()} == kept


async def test_good_ones_are_left_alone_and_bad_ones_made_again(history):
    first, second, *_ = history.keyframes.all()
    good, was = first.path.stat().st_mtime_ns, second.path.read_bytes()
    second.path.write_bytes(b"rot")
    await history.framed()
    assert first.path.stat().st_mtime_ns == good
    assert second.path.read_bytes() == was


async def test_what_is_no_keyframe_is_no_matter(history):
    (history.keyframes.folder / "note.txt").write_text("mine")
    reached = await history.reaching.reach(Moment(position=200))
    assert reached.notes == ()
    assert history.keyframes.drop()
    assert (history.keyframes.folder / "note.txt").exists()


async def test_one_that_vanishes_while_it_is_read_is_strange(history):
    first, *_ = history.keyframes.all()
    first.path.unlink()
    with pytest.raises(StrangeKeyframeError, match="cannot be read"):
        history.keyframes.read(first)


async def test_refusals_behind_a_keyframe_do_not_lead_astray(tmp_path, monkeypatch):
    """Frames without events stand between a keyframe and what follows it."""
    commits = [commit for frame in frames_of(3) for commit in frame.commits]
    frames = tuple(regrouped(commits, [1, 0, 2, 0]))
    history = History(frames, tmp_path)
    reads = Reads()
    for frame in frames:
        reads.take(frame)
        if frame.commits and any(commit.events for commit in frame.commits):
            history.keyframes.keep(scene_of(reads, frame))
    history.journal = MemoryJournal(frames)
    for position in range(0, await history.journal.end(), 5):
        reached = await history.reaching.reach(Moment(position=position))
        whole = await history.reaching.whole(Moment(position=position))
        assert reached.notes == ()
        assert everything(reached.reads) == everything(whole.reads)


def test_they_are_as_far_apart_as_reading_on_costs_and_further_in_large_fleets():
    frames = frames_of(3) * 200

    def places(containers: int) -> list[int]:
        pace = Pace()
        return [n for n, frame in enumerate(frames) if pace.due(frame, containers)]

    small, large = places(10), places(20_000)
    assert 2 * len(large) <= len(small) <= 2 * len(large) + 2
    assert small == places(9_999)
