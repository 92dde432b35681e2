"""A rebalance: a few live moves that make the fleet more even, planned before, then carried out.

Each move by itself makes it more even, so that it may be stopped after any. `balancing.py` plans,
`rebalancing.py` decides; each move is a migration, which has its own story.
"""

from enum import StrEnum
from typing import Annotated, assert_never

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from domain.messages import (
    Command,
    ContainerId,
    EnvironmentId,
    EnvironmentName,
    Event,
    HostId,
    HostName,
    Instant,
    MigrationId,
    PublicCommand,
    RebalanceId,
    RebalanceName,
)
from domain.migration import MOVING_MAX
from domain.moves import Ended, LiveMove, MoveOutcome

MOVES_MAX = 100
"""Moves that one rebalance may be allowed."""
MOVES_DEFAULT = 10
AT_ONCE_DEFAULT = 2
WAIT_MAX_MS = 600_000
"""How long a rebalance under which nothing moves waits before it leaves the rest where it is."""

Zone = Annotated[str, Meta(min_length=1, max_length=63, description="zone")]


class Goal(StrEnum):
    """What is to become even: containers of a layer (`spread`), cloudlets promised (`load`)."""

    BOTH = "both"
    SPREAD = "spread"
    LOAD = "load"


class RebalanceRegion(PublicCommand, frozen=True, kw_only=True, tag="rebalance.start"):
    """Make the region more even with at most `moves` live moves, each of which evens by itself.

    Only containers of `environment` move, only between `hosts` or the hosts of `zone`, where these
    are given. `goal`: containers of a layer evenly over hosts and zones (`spread`), cloudlets
    evenly over hosts (`load`), or first the one, then the other (`both`). `live=false` stops each
    container and starts it on its target. See what would move first: `dry_run=true`.
    """

    moves: Annotated[int, Meta(ge=1, le=MOVES_MAX, description="moves")] = MOVES_DEFAULT
    goal: Goal = Goal.BOTH
    environment: EnvironmentName | None = None
    hosts: tuple[HostName, ...] = ()
    zone: Zone | None = None
    live: bool = True
    at_once: Annotated[int, Meta(ge=1, le=MOVING_MAX, description="migrations")] = AT_ONCE_DEFAULT


class PauseRebalance(PublicCommand, frozen=True, kw_only=True, tag="rebalance.pause"):
    """Begin no further move until resumed; those under way are finished."""

    rebalance: RebalanceName


class ResumeRebalance(PublicCommand, frozen=True, kw_only=True, tag="rebalance.resume"):
    """Go on after a pause."""

    rebalance: RebalanceName


class StopRebalance(PublicCommand, frozen=True, kw_only=True, tag="rebalance.stop"):
    """Begin no further move; those under way are finished, what has moved stays where it is."""

    rebalance: RebalanceName


class AdvanceRebalance(Command, frozen=True, kw_only=True, tag="rebalance.advance"):
    """Do the next thing that a rebalance can do now, if there is one. Internal."""

    rebalance: RebalanceName


class Scope(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Whose containers may move, and between which hosts; nothing named: all there are."""

    environment: EnvironmentId | None = None
    hosts: tuple[HostId, ...] = ()
    zone: str = ""


class Evenness(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How even it is in a scope, over the hosts that take containers.

    `uneven` layers have hosts whose counts differ by more than one; the largest difference is
    `skew`. `least` and `most` are the load of the least and of the most loaded host, in percent.
    """

    uneven: int = 0
    skew: int = 0
    least: int = 0
    most: int = 0


class Begun(msgspec.Struct, frozen=True, gc=False):
    """A move that is under way."""

    move: LiveMove
    migration: MigrationId


class RebalanceRequested(Event, frozen=True, gc=False, tag="rebalance.requested"):
    """What is to move, in this order; how even it is now, and will be.

    `best`: no other moves within the budget end more even, or as even with fewer cloudlets.
    """

    rebalance: RebalanceId
    plan: tuple[LiveMove, ...]
    budget: int
    goal: Goal = Goal.BOTH
    scope: Scope = Scope()
    live: bool = True
    at_once: int = AT_ONCE_DEFAULT
    before: Evenness = Evenness()
    planned: Evenness = Evenness()
    best: bool = False
    reason: str = ""


class RebalanceMoveBegun(Event, frozen=True, gc=False, tag="rebalance.move-begun"):
    """A container moves; `cold`: it is stopped and started again, as was asked for."""

    rebalance: RebalanceId
    container: ContainerId
    migration: MigrationId
    target: HostId
    cold: bool = False


class RebalanceMoveEnded(Event, frozen=True, gc=False, tag="rebalance.move-ended"):
    """The outcome of one container: moved, failed, gone, or skipped, and why."""

    rebalance: RebalanceId
    container: ContainerId
    outcome: MoveOutcome
    detail: str = ""


class RebalanceWaiting(Event, frozen=True, gc=False, tag="rebalance.waiting"):
    """Nothing moves, and nothing may now; at `until` the rest is left where it is."""

    rebalance: RebalanceId
    why: str
    until: Instant


class RebalancePaused(Event, frozen=True, gc=False, tag="rebalance.paused"):
    rebalance: RebalanceId


class RebalanceResumed(Event, frozen=True, gc=False, tag="rebalance.resumed"):
    rebalance: RebalanceId


class RebalanceStopped(Event, frozen=True, gc=False, tag="rebalance.stopped"):
    """Nothing more is begun."""

    rebalance: RebalanceId
    reason: str = ""


class RebalanceFinished(Event, frozen=True, gc=False, tag="rebalance.finished"):
    """It is over: done, failed (a move was) or stopped; and how even it is now."""

    rebalance: RebalanceId
    outcome: str
    moved: int
    after: Evenness = Evenness()


Progressed = (
    RebalanceMoveBegun
    | RebalanceMoveEnded
    | RebalanceWaiting
    | RebalancePaused
    | RebalanceResumed
    | RebalanceStopped
    | RebalanceFinished
)
RebalanceEvent = RebalanceRequested | Progressed


class RebalanceState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"


class Rebalance(msgspec.Struct, frozen=True, gc=False):
    """What a rebalance must remember: its plan, who is on the way, what became of whom.

    `before`, `planned` and `after` are how even it was, was to be, and was at the end.
    """

    id: RebalanceId
    plan: tuple[LiveMove, ...]
    budget: int
    goal: Goal
    scope: Scope
    live: bool
    at_once: int
    todo: tuple[LiveMove, ...]
    before: Evenness
    planned: Evenness
    best: bool
    reason: str
    requested_at: Instant
    moves: tuple[Begun, ...] = ()
    over: tuple[Ended, ...] = ()
    state: RebalanceState = RebalanceState.RUNNING
    until: Instant = Instant(0)
    why: str = ""
    outcome: str = ""
    after: Evenness = Evenness()
    finished_at: Instant = Instant(0)

    @property
    def detail(self) -> str:
        """Return what it waits for, or why the first of those that did not move did not."""
        stayed = (one for one in self.over if one.outcome is not MoveOutcome.MOVED)
        return self.why or next((f"{one.container}: {one.detail}" for one in stayed), "")


def begin(event: RebalanceRequested, at: Instant) -> Rebalance:
    return Rebalance(
        event.rebalance,
        event.plan,
        event.budget,
        event.goal,
        event.scope,
        event.live,
        event.at_once,
        event.plan,
        event.before,
        event.planned,
        event.best,
        event.reason,
        at,
    )


def evolve(one: Rebalance, event: Progressed, at: Instant) -> Rebalance:
    match event:
        case RebalanceMoveBegun() | RebalanceMoveEnded():
            return moved_on(one, event)
        case RebalanceWaiting():
            waiting = RebalanceState.WAITING
            return replace(one, state=waiting, until=event.until, why=event.why)
        case RebalancePaused():
            return at_rest(one, RebalanceState.PAUSED)
        case RebalanceResumed():
            return replace(one, state=RebalanceState.RUNNING)
        case RebalanceStopped():
            left = tuple(stopped(move) for move in one.todo)
            over = (*one.over, *left)
            return replace(at_rest(one, RebalanceState.STOPPING), todo=(), over=over)
        case RebalanceFinished(outcome=outcome, after=after):
            ended = replace(one, outcome=outcome, after=after, finished_at=at)
            return at_rest(ended, RebalanceState.FINISHED)
        case _:
            assert_never(event)


def at_rest(one: Rebalance, state: RebalanceState) -> Rebalance:
    """Let it wait for nothing any more."""
    return replace(one, state=state, until=Instant(0), why="")


def stopped(move: LiveMove) -> Ended:
    return Ended(move.container, MoveOutcome.LEFT, detail="the rebalance was stopped")


def moved_on(one: Rebalance, event: RebalanceMoveBegun | RebalanceMoveEnded) -> Rebalance:
    """Take a move from the list to those under way, and from there to what became of it."""
    name = event.container
    planned = next(move for move in one.plan if move.container == name)
    todo = tuple(move for move in one.todo if move != planned)
    if isinstance(event, RebalanceMoveBegun):
        moves = (*one.moves, Begun(planned, event.migration))
        state = RebalanceState.RUNNING if one.state is RebalanceState.WAITING else one.state
        return replace(at_rest(one, state), todo=todo, moves=moves)
    moves = tuple(begun for begun in one.moves if begun.move != planned)
    target = planned.target if event.outcome is MoveOutcome.MOVED else None
    ended = Ended(name, event.outcome, target, event.detail)
    return replace(one, todo=todo, moves=moves, over=(*one.over, ended))
