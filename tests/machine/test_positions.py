"""The audit tools and the journal agree at a thousand positions of random histories.

The journal is walked once, by nothing but `evolve`; on the way, at every chosen position, each
tool is asked what was there, what had changed since the last one, and who did it.
"""

from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import msgspec
import pytest

from domain.chronicle import evolve
from domain.decider import Commit, Recorded
from domain.facts import Fact, tag
from domain.fleet import Fleet
from projections.aggregates import everything, spelled
from projections.audit import Audit
from projections.audit.fold import Known
from projections.differing import Difference, Differing
from projections.moments import Moment
from tests.machine.histories import History
from tests.projections.story import frames_of

SEEDS = (13, 14, 15, 16)
POSITIONS = 250
"""Of each history."""


class Walk:
    """The journal, commit by commit: the fleet, how long each stream is, and its last event."""

    def __init__(self, history: History) -> None:
        self.fleet = Fleet()
        self.position = 0
        self.last: dict[str, tuple[int, Recorded[Fact]]] = {}
        self._commits: Iterator[Commit[Fact]] = (
            commit for frame in history.frames for commit in frame.commits
        )
        self.versions: dict[str, int] = {}
        self._next = next(self._commits, None)
        self.made: dict[int, str] = {}

    def to(self, position: int) -> None:
        """Take in every commit that was over by then."""
        while self._next is not None and self.position + len(self._next.events) <= position:
            for event in self._next.events:
                self.position += 1
                evolve(self.fleet, event.fact, self._next.at)
                self.last[event.stream] = (self.position, event)
                self.versions[event.stream] = event.version
            for stream in self.fleet.let_go():
                del self.versions[stream]
            if self._next.events:
                self.made[self.position] = self._next.command
            self._next = next(self._commits, None)

    def told(self) -> dict[str, Any]:
        return {name: spelled(one) for name, one in everything(self.fleet)}


@pytest.fixture(params=SEEDS)
async def history(request, tmp_path, close_together) -> History:
    del close_together
    return await History(frames_of(request.param), tmp_path / "keyframes").framed()


@pytest.fixture
async def audit(history, tmp_path) -> AsyncIterator[Audit]:
    audit = Audit(tmp_path / "audit.db")
    audit.take_many(history.frames)
    yield audit
    audit.close()


async def differences(history: History, begin: int, end: int) -> dict[str, Difference]:
    reached = await history.reaching.reach(Moment(position=begin))
    differing = Differing(reached.reads.fleet)
    async for at, commit in history.reaching.commits(begin, Moment(position=end)):
        differing.take(at, commit)
    return {one.id: one for one in differing.told()}


async def test_as_of_diff_and_history_are_what_the_journal_says(history, audit):
    dice, end = Random(7), await history.journal.end()
    walk = Walk(history)
    before, was = 0, walk.told()
    for position in sorted(dice.randrange(end + 1) for _ in range(POSITIONS)):
        walk.to(position)
        now = walk.told()

        reads = (await history.reaching.reach(Moment(position=position))).reads
        assert reads.position == walk.position
        assert {name: spelled(one) for name, one in everything(reads.fleet)} == now
        assert reads.versions == walk.versions

        found = await differences(history, before, position)
        assert found.keys() == {
            name for name in was.keys() | now.keys() if was.get(name) != now.get(name)
        }
        for one in found.values():
            assert all(before < cause.position <= walk.position for cause in one.causes)
            assert all(walk.made[cause.position] == cause.command for cause in one.causes)

        if walk.last:
            stream = dice.choice(sorted(walk.last))
            place, event = walk.last[stream]
            known = audit.show(stream, event.version)
            assert isinstance(known, Known)
            line = audit.history(stream, event.version - 1)[0]
            assert (known.version, known.position) == (event.version, place)
            assert (line.position, line.tag) == (place, tag(event.fact))
            fact = msgspec.to_builtins(event.fact)
            assert line.fact == {name: value for name, value in fact.items() if name != "t"}
        before, was = walk.position, now
