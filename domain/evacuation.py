"""An evacuation: a host is emptied, container by container, and each has an outcome of its own.

The way back (`restore`) is the same saga the other way round: what an evacuation moved away comes
home. `evacuating.py` has the decisions; each move is a migration, which has its own story.
"""

from enum import StrEnum
from typing import Annotated, assert_never

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from domain.messages import (
    Command,
    ContainerId,
    EvacuationId,
    EvacuationName,
    Event,
    HostId,
    HostName,
    Instant,
    MigrationId,
    PublicCommand,
)
from domain.migration import LEAVING_MAX
from domain.moves import Ended, MoveOutcome

TRIES_MAX = 3
"""How often one container is tried to be moved; a reverted move goes to another target."""
WAIT_MAX_MS = 600_000
"""How long an evacuation under which nothing moves waits before it gives the rest up."""

AtOnce = Annotated[int, Meta(ge=1, le=LEAVING_MAX, description="migrations")]


class EvacuateHost(PublicCommand, frozen=True, kw_only=True, tag="host.evacuate"):
    """Move every container away from a host, to `targets` or to where placement finds best.

    The host receives nothing from now on. What cannot go is listed at the end, with the reason.
    `live=false` stops each container and starts it on its target, one of a layer at a time.
    """

    host: HostName
    targets: tuple[HostName, ...] = ()
    live: bool = True
    at_once: AtOnce = LEAVING_MAX


class RestoreHost(PublicCommand, frozen=True, kw_only=True, tag="host.restore"):
    """Move back what the last evacuation of a host moved away, as far as it is still there."""

    host: HostName
    live: bool = True
    at_once: AtOnce = LEAVING_MAX


class PauseEvacuation(PublicCommand, frozen=True, kw_only=True, tag="evacuation.pause"):
    """Begin no further move until resumed; those under way are finished."""

    evacuation: EvacuationName


class ResumeEvacuation(PublicCommand, frozen=True, kw_only=True, tag="evacuation.resume"):
    """Go on after a pause."""

    evacuation: EvacuationName


class StopEvacuation(PublicCommand, frozen=True, kw_only=True, tag="evacuation.stop"):
    """Begin no further move; those under way are finished, what has moved stays where it is."""

    evacuation: EvacuationName


class AdvanceEvacuation(Command, frozen=True, kw_only=True, tag="evacuation.advance"):
    """Do the next thing that an evacuation can do now, if there is one. Internal."""

    evacuation: EvacuationName


class Kind(StrEnum):
    EVACUATE = "evacuate"
    RESTORE = "restore"


class Wanted(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A container that is to move: to `target` if it fits then, never to `avoid` if it can be."""

    container: ContainerId
    target: HostId | None = None
    tries: int = 0
    avoid: tuple[HostId, ...] = ()


class Move(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A container on its way."""

    wanted: Wanted
    migration: MigrationId
    target: HostId


class EvacuationRequested(Event, frozen=True, gc=False, tag="evacuation.requested"):
    """What is to move, and what was known of it before anything moved.

    `feasible` is feasible, infeasible or unknown; `missing_cloudlets` and `missing_disk_gib` are
    what is known to lack.
    """

    evacuation: EvacuationId
    host: HostId
    plan: tuple[Wanted, ...]
    kind: Kind = Kind.EVACUATE
    targets: tuple[HostId, ...] = ()
    live: bool = True
    at_once: int = LEAVING_MAX
    feasible: str = ""
    missing_cloudlets: int = 0
    missing_disk_gib: int = 0
    reason: str = ""


class EvacuationExtended(Event, frozen=True, gc=False, tag="evacuation.extended"):
    """Containers that came while the host was emptied are to go too."""

    evacuation: EvacuationId
    plan: tuple[Wanted, ...]


class EvacuationMoveBegun(Event, frozen=True, gc=False, tag="evacuation.move-begun"):
    """A container moves; `cold`: it is stopped and started again, as was asked for."""

    evacuation: EvacuationId
    container: ContainerId
    migration: MigrationId
    target: HostId
    cold: bool = False


class EvacuationMoveReverted(Event, frozen=True, gc=False, tag="evacuation.move-reverted"):
    """A container is back where it was; it is tried again, elsewhere if there is a place."""

    evacuation: EvacuationId
    container: ContainerId
    target: HostId
    detail: str = ""


class EvacuationMoveEnded(Event, frozen=True, gc=False, tag="evacuation.move-ended"):
    """The outcome of one container."""

    evacuation: EvacuationId
    container: ContainerId
    outcome: MoveOutcome
    target: HostId | None = None
    detail: str = ""


class EvacuationWaiting(Event, frozen=True, gc=False, tag="evacuation.waiting"):
    """Nothing moves, and nothing can now; at `until` the rest is given up."""

    evacuation: EvacuationId
    why: str
    until: Instant


class EvacuationPaused(Event, frozen=True, gc=False, tag="evacuation.paused"):
    evacuation: EvacuationId


class EvacuationResumed(Event, frozen=True, gc=False, tag="evacuation.resumed"):
    evacuation: EvacuationId


class EvacuationStopped(Event, frozen=True, gc=False, tag="evacuation.stopped"):
    """Nothing more is begun."""

    evacuation: EvacuationId
    reason: str = ""


class EvacuationFinished(Event, frozen=True, gc=False, tag="evacuation.finished"):
    """It is over: done, failed or stopped. `left` are exactly those that did not go.

    Why each of them did not was said when its move ended; what is missing is what lacks now.
    """

    evacuation: EvacuationId
    outcome: str
    moved: int
    left: tuple[ContainerId, ...] = ()
    missing_cloudlets: int = 0
    missing_disk_gib: int = 0
    detail: str = ""


Progressed = (
    EvacuationExtended
    | EvacuationMoveBegun
    | EvacuationMoveReverted
    | EvacuationMoveEnded
    | EvacuationWaiting
    | EvacuationPaused
    | EvacuationResumed
    | EvacuationStopped
    | EvacuationFinished
)
EvacuationEvent = EvacuationRequested | Progressed


class EvacuationState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"


class Evacuation(msgspec.Struct, frozen=True, gc=False):
    """What an evacuation must remember: who is to go, who is on the way, what became of whom."""

    id: EvacuationId
    kind: Kind
    host: HostId
    todo: tuple[Wanted, ...]
    targets: tuple[HostId, ...] = ()
    live: bool = True
    at_once: int = LEAVING_MAX
    moves: tuple[Move, ...] = ()
    over: tuple[Ended, ...] = ()
    state: EvacuationState = EvacuationState.RUNNING
    until: Instant = Instant(0)
    why: str = ""
    outcome: str = ""
    requested_at: Instant = Instant(0)
    finished_at: Instant = Instant(0)

    @property
    def detail(self) -> str:
        """Return what it waits for, or why the first of those that did not go did not."""
        return self.why or next((f"{one.container}: {one.detail}" for one in self.left), "")

    @property
    def left(self) -> tuple[Ended, ...]:
        """Return those that did not go."""
        stayed = {MoveOutcome.FAILED, MoveOutcome.LEFT}
        return tuple(one for one in self.over if one.outcome in stayed)


def begin(event: EvacuationRequested, at: Instant) -> Evacuation:
    return Evacuation(
        event.evacuation,
        event.kind,
        event.host,
        event.plan,
        event.targets,
        event.live,
        event.at_once,
        requested_at=at,
    )


def evolve(one: Evacuation, event: Progressed, at: Instant) -> Evacuation:
    match event:
        case EvacuationExtended() | EvacuationStopped():
            return replanned(one, event)
        case EvacuationMoveBegun() | EvacuationMoveReverted() | EvacuationMoveEnded():
            return moved_on(one, event)
        case EvacuationWaiting():
            waiting = EvacuationState.WAITING
            return replace(one, state=waiting, until=event.until, why=event.why)
        case EvacuationPaused():
            return replace(one, state=EvacuationState.PAUSED, until=Instant(0), why="")
        case EvacuationResumed():
            return replace(one, state=EvacuationState.RUNNING)
        case EvacuationFinished():
            return replace(
                one,
                state=EvacuationState.FINISHED,
                until=Instant(0),
                why="",
                outcome=event.outcome,
                finished_at=at,
            )
        case _:
            assert_never(event)


def replanned(one: Evacuation, event: EvacuationExtended | EvacuationStopped) -> Evacuation:
    """Put more containers on the list, or strike all that have not begun off it."""
    if isinstance(event, EvacuationExtended):
        back = {wanted.container for wanted in event.plan}
        over = tuple(ended for ended in one.over if ended.container not in back)
        return replace(one, todo=(*one.todo, *event.plan), over=over)
    left = tuple(
        Ended(wanted.container, MoveOutcome.LEFT, detail="the evacuation was stopped")
        for wanted in one.todo
    )
    return replace(
        one,
        todo=(),
        over=(*one.over, *left),
        state=EvacuationState.STOPPING,
        until=Instant(0),
        why="",
    )


def moved_on(
    one: Evacuation, event: EvacuationMoveBegun | EvacuationMoveReverted | EvacuationMoveEnded
) -> Evacuation:
    """Take a container from the list to those under way, and from there to what became of it."""
    name = event.container
    todo = tuple(wanted for wanted in one.todo if wanted.container != name)
    moves = tuple(move for move in one.moves if move.wanted.container != name)
    if isinstance(event, EvacuationMoveEnded):
        ended = Ended(name, event.outcome, event.target, event.detail)
        return replace(one, todo=todo, moves=moves, over=(*one.over, ended))
    if isinstance(event, EvacuationMoveBegun):
        wanted = next(wanted for wanted in one.todo if wanted.container == name)
        move = Move(wanted, event.migration, event.target)
        state = EvacuationState.RUNNING if one.state is EvacuationState.WAITING else one.state
        return replace(one, todo=todo, moves=(*moves, move), state=state, until=Instant(0), why="")
    old = next(move.wanted for move in one.moves if move.wanted.container == name)
    again = replace(old, tries=old.tries + 1, avoid=(*old.avoid, event.target))
    return replace(one, todo=(*todo, again), moves=moves)
