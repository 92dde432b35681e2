"""Undo, with the journal at hand: what is meant is looked up, the way back is tried in a fork."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from domain.contracts import COMMANDS
from domain.decider import Commit
from domain.facts import Fact
from domain.fleet import Fleet
from domain.intents import Intent
from domain.inverses import Back, Step
from domain.messages import PublicCommand
from domain.nouns import STORIES
from domain.problems import Problem
from domain.undoing import Drift, Meant, Undoing
from domain.waysback import Undone
from projections.aggregates import spelled as as_json
from projections.feed import H
from projections.moments import Moment
from projections.reaching import Reaching
from projections.web.inquiries import Brought, WayBack, WaysBack
from restow.forking import Fork

GOOD = ("done", "completed")
"""How stories end that did what was asked."""


class Target(msgspec.Struct, frozen=True):
    """What is to be undone: which commits, all of them behind position `begin`."""

    begin: int
    meant: Meant


class Rehearsed(msgspec.Struct, frozen=True):
    """How it went in a fork: what is against each step, "" for nothing; what is not as it was."""

    against: Sequence[str]
    unlike: dict[Intent, Drift]

    @property
    def good(self) -> bool:
        return not any(self.against)


async def single(reaching: Reaching[H], what: str, stream: str, end: Moment) -> Target | None:
    """Return the commit that is meant: by its id, by a position in it, or by the saga it began."""
    position = int(what) if what.isdecimal() else 0
    after = max(0, position - 1)
    async for last, commit in reaching.commits(after, end):
        first = last - len(commit.events) + 1
        begins = any((one.stream, one.version) == (stream, 1) for one in commit.events)
        if first <= position <= last or commit.ask == what or begins:
            return Target(first - 1, partial(ends_at, last))
    return None


def ends_at(last: int, position: int, _: Commit[Fact]) -> bool:
    """Say whether it is the commit that ends there."""
    return position == last


async def between(reaching: Reaching[H], begin: Moment, end: Moment) -> Target:
    """Return all that people asked for between two moments."""
    first = (await reaching.reach(begin)).reads.position

    def meant(position: int, commit: Commit[Fact]) -> bool:
        return commit.command in COMMANDS and end.has(commit, position)

    return Target(first, meant)


async def followed(reaching: Reaching[H], target: Target, now: Moment) -> tuple[Undoing, int]:
    """Return what became of what is meant, and as of which position."""
    reached = await reaching.reach(Moment(position=target.begin))
    undoing, position = Undoing(reached.reads.fleet, target.meant), reached.reads.position
    async for at, commit in reaching.commits(position, now):
        undoing.take(at, commit)
        position = at
    return undoing, position


async def rehearse(
    reaching: Reaching[H], undoing: Undoing, steps: Sequence[Step], position: int
) -> Rehearsed:
    """Send the commands to a fork of the region as it is, one after the other."""
    reads = (await reaching.reach(Moment(position=position))).reads
    reads.keep_events()
    fork = Fork(reads)
    against: list[str] = []
    for step in steps:
        name, body = spelled(step.command)
        answer = await fork.ask(name, body)
        if isinstance(answer, Problem):
            against.append(f"would be refused, {answer.code}: {answer.detail}")
        else:
            stories = answer.operation_ids or (answer.operation_id,)
            ends = (ending(fork.fleet, story) for story in stories if story)
            against.append(next(filter(None, ends), ""))
    return Rehearsed(against, undoing.unlike(fork.fleet))


def ending(fleet: Fleet, name: str) -> str:
    """Say how a story ended that did not do what was asked, "" for one that did."""
    tables: list[dict[str, Any]] = [getattr(fleet, table) for table in STORIES.values()]
    story = next((table[name] for table in tables if name in table), None)
    if story is None:
        return ""
    outcome = getattr(story, "outcome", "") or str(story.state)
    detail = f": {story.detail}" if story.detail else ""
    return "" if outcome in GOOD else f"{name} would end {outcome}{detail}"


def answer(undoing: Undoing, told: Undone, tried: Rehearsed, position: int) -> WaysBack:
    """Return all of it as the read API tells it."""
    commands = [
        WayBack(*spelled(step.command), [brought(one) for one in step.back], step.note, against)
        for step, against in zip(told.steps, tried.against, strict=True)
    ]
    unlike = [f"{intent.whose} {intent.member}" for intent in tried.unlike]
    return WaysBack(position, list(undoing.asked), commands, list(told.left), unlike)


def brought(one: Back) -> Brought:
    return Brought(one.of, one.member, as_json(one.now), as_json(one.then))


def spelled(command: PublicCommand) -> tuple[str, dict[str, Any]]:
    """Return the name of a command and its body, as they are sent."""
    body: dict[str, Any] = msgspec.to_builtins(command)
    return str(body.pop("type")), body
