"""When a condition turned true: found by halving over keyframes, or by looking at every commit.

Halving needs it false at the beginning and true at the end, and finds a commit with which it
turned true; if it turned more than once, one of them. To look at every commit finds the first.
"""

from typing import Any

import msgspec

from domain.chronicle import evolve
from domain.decider import Commit
from domain.facts import Fact, tag
from domain.fleet import Fleet
from domain.messages import Instant
from projections.cloudevents import data
from projections.conditions import Condition
from projections.differing import Cause, cause_of
from projections.feed import H
from projections.moments import Moment
from projections.reaching import Reaching
from projections.reads import Reads


class Turn(msgspec.Struct, frozen=True):
    """The commit with which a condition turned true, and the event of it that made it so.

    `before` and `after` are what the condition looks at. `first`: every commit from the beginning
    on was looked at; else it was false at `false_at`, and nobody looked at all before.
    """

    condition: str
    position: int
    at: Instant
    event: str
    stream: str
    data: Any
    cause: Cause
    before: dict[str, Any]
    after: dict[str, Any]
    first: bool
    false_at: int
    looked_at: int


class NoTurn(msgspec.Struct, frozen=True, kw_only=True):
    """It did not turn: `always`, it was true at the beginning; else it was not true at the end."""

    condition: str
    begin: int
    end: int
    found: dict[str, Any]
    looked_at: int
    always: bool = False


class Scan:
    """Looks at a condition after every commit."""

    def __init__(self, fleet: Fleet, condition: Condition) -> None:
        self._fleet = fleet
        self._condition = condition
        self.looked_at = 0

    def take(self, commit: Commit[Fact]) -> int | None:
        """Take in a commit; return which of its events made the condition true, if it is now."""
        turned: int | None = None
        for number, event in enumerate(commit.events):
            evolve(self._fleet, event.fact, commit.at)
            holds = self._condition.holds(self._fleet)
            turned = None if not holds else number if turned is None else turned
        self.looked_at += 1
        return turned


async def bisect(
    reaching: Reaching[H], condition: Condition, begin: Moment, end: Moment, *, every: bool
) -> Turn | NoTurn:
    """Say when a condition turned true between two moments. Raises `ConditionError`."""
    low = (await reaching.reach(begin)).reads
    if condition.holds(low.fleet):
        return NoTurn(
            condition=condition.text,
            begin=low.position,
            end=low.position,
            found=condition.found(low.fleet),
            looked_at=1,
            always=True,
        )
    looked = 1
    if not every:
        high = (await reaching.reach(end)).reads
        looked += 1
        if not condition.holds(high.fleet):
            found = condition.found(high.fleet)
            return NoTurn(
                condition=condition.text,
                begin=low.position,
                end=high.position,
                found=found,
                looked_at=looked,
            )
        low, more = await halved(reaching, condition, low, high.position)
        looked += more
    return await scanned(reaching, condition, low, (end, every, looked))


async def halved(
    reaching: Reaching[H], condition: Condition, low: Reads, high: int
) -> tuple[Reads, int]:
    """Return the last keyframe at which it was false before one at which it was true."""
    places = [at for at in await reaching.places() if low.position < at < high]
    looked = 0
    while places:
        middle = len(places) // 2
        reads = (await reaching.reach(Moment(position=places[middle]))).reads
        looked += 1
        if condition.holds(reads.fleet):
            places = places[:middle]
        else:
            low, places = reads, places[middle + 1 :]
    return low, looked


async def scanned(
    reaching: Reaching[H], condition: Condition, reads: Reads, how: tuple[Moment, bool, int]
) -> Turn | NoTurn:
    """Look at every commit from `reads` on. `how`: until when, all of them or not, looks so far."""
    end, first, looked = how
    begin = reads.position
    scan, before, last = Scan(reads.fleet, condition), condition.found(reads.fleet), begin
    async for position, commit in reaching.commits(begin, end):
        turned = scan.take(commit)
        now = condition.found(reads.fleet)
        if turned is not None:
            event = commit.events[turned]
            return Turn(
                condition.text,
                position - len(commit.events) + 1 + turned,
                commit.at,
                tag(event.fact),
                event.stream,
                msgspec.json.decode(data(event.fact)),
                cause_of(position, commit),
                before,
                now,
                first,
                last,
                looked + scan.looked_at,
            )
        before, last = now, position
    return NoTurn(
        condition=condition.text,
        begin=begin,
        end=last,
        found=before,
        looked_at=looked + scan.looked_at,
    )
