"""Undo on random histories: what is told as done is done, what is not is told."""

import pytest

from domain.contracts import COMMANDS
from domain.waysback import ways_back
from projections.moments import NOW, Moment
from restow.undoing import Target, between, followed, rehearse, single
from tests.machine.histories import History
from tests.projections.story import frames_of

WORLDS = 8


async def held(history: History, target: Target) -> int:
    """Undo what is meant in a fork, and hold what was told against what came of it."""
    undoing, position = await followed(history.reaching, target, NOW)
    if undoing.going_on():
        return 0
    told = ways_back(undoing)
    tried = await rehearse(history.reaching, undoing, told.steps, position)
    excused = {(one.of, one.member) for one in told.left}
    for step, against in zip(told.steps, tried.against, strict=True):
        if against:
            excused |= {(one.of, one.member) for one in step.back}
    unlike = {(intent.whose, intent.member) for intent in tried.unlike}
    assert unlike <= excused, (told, tried.against, unlike - excused)
    return len(told.steps)


@pytest.mark.parametrize("nth", range(WORLDS))
async def test_every_command_of_a_world_is_undone_or_it_is_said_why_not(tmp_path, nth):
    history = History(frames_of(nth), tmp_path)
    asks = [
        commit.ask
        for frame in history.frames
        for commit in frame.commits
        if commit.command in COMMANDS and commit.events
    ]
    steps = 0
    for ask in asks[nth % 3 :: 3]:
        target = await single(history.reaching, ask, "", NOW)
        assert target is not None
        steps += await held(history, target)
    assert steps


@pytest.mark.parametrize("nth", range(WORLDS))
async def test_all_that_was_asked_from_any_moment_on(tmp_path, nth):
    history = History(frames_of(nth), tmp_path)
    end = await history.journal.end()
    for begin in range(1 + nth, end, end // 4):
        target = await between(history.reaching, Moment(position=begin), NOW)
        await held(history, target)
