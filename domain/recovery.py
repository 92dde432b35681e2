"""A recovery: what ran on a lost host is restarted elsewhere, each container with its own outcome.

    todo -> starting -> checking -> routing -> over

A container is placed and started like a new one, under its old id, name and address. What does
not fit waits, with the reason, and is on the list at the end if it has waited too long. One that
was restarted so a few times within an hour may be what kills its hosts: it is left alone.
"""

from enum import StrEnum
from typing import assert_never

import msgspec
from msgspec.structs import replace

from domain.container import Placing
from domain.messages import Command, ContainerId, Event, HostId, Instant, OrderId, RecoveryId

AT_ONCE_MAX = 32
"""Containers of one recovery that are being started at a time."""
TRIES_MAX = 3
"""How often one container is started in one recovery, each time elsewhere if it can be."""
MEMORY_MAX = 3
"""How often one container is recovered within `MEMORY_MS`; it may be what kills its hosts."""
MEMORY_MS = 3_600_000
WAIT_MAX_MS = 600_000
"""How long a recovery waits under which nothing moves before it gives the rest up."""
NONE = Instant(0)


class BeginRecovery(Command, frozen=True, kw_only=True, tag="recovery.begin"):
    """Restart elsewhere what the host carried. Internal."""

    host: str
    asked: bool = False
    reason: str = ""


class AdvanceRecovery(Command, frozen=True, kw_only=True, tag="recovery.advance"):
    """Do the next thing that a recovery can do now, if there is one. Internal."""

    recovery: str


class AdvanceCase(Command, frozen=True, kw_only=True, tag="recovery.advance-case"):
    """Move one container on from the stage that just ended, well or (with `failed`) not. Internal.

    `order` is the one that was answered, None where it was none.
    """

    recovery: str
    container: ContainerId
    order: OrderId | None = None
    failed: str = ""


class Stage(StrEnum):
    STARTING = "starting"
    CHECKING = "checking"
    ROUTING = "routing"


class RecoveryState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"


class Fate(StrEnum):
    """What became of a container.

    `restarted` serves again; `placed`: it has a place, and stands still as its environment does, or
    an operation is to start it;
    `elsewhere`: it ran on another host after all; `kept`: its layer keeps, so a human must vouch;
    `unplaced`: there is no room; `spared`: it was recovered too often; `gone`: it is no more.
    """

    RESTARTED = "restarted"
    PLACED = "placed"
    ELSEWHERE = "elsewhere"
    FAILED = "failed"
    KEPT = "kept"
    UNPLACED = "unplaced"
    SPARED = "spared"
    GONE = "gone"


LEFT = frozenset({Fate.FAILED, Fate.KEPT, Fate.UNPLACED, Fate.SPARED})
"""Outcomes after which a container does not serve and somebody has to do something."""


class Fallen(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A container that is to be restarted, never on a host of `avoid`, `tries` so far."""

    container: ContainerId
    tries: int = 0
    avoid: tuple[HostId, ...] = ()


class Case(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A container that is being restarted, on `host`."""

    fallen: Fallen
    stage: Stage
    host: HostId
    order: OrderId | None = None
    until: Instant = Instant(0)


class Recovered(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of one container, and why where it does not serve."""

    container: ContainerId
    fate: Fate
    host: HostId | None = None
    detail: str = ""


class RecoveryBegun(Event, frozen=True, gc=False, tag="recovery.begun"):
    """What is to be restarted, those first whose layer has nothing left that serves.

    `asked`: an operator asked for it, so nobody is spared for having been recovered too often.
    """

    recovery: RecoveryId
    host: HostId
    plan: tuple[ContainerId, ...]
    asked: bool = False
    reason: str = ""


class ContainerReplaced(Event, frozen=True, gc=False, tag="container.replaced"):
    """It has a place on another host, for the one it was on is lost, or could not start it."""

    container: ContainerId
    source: HostId
    target: HostId
    recovery: RecoveryId
    why: Placing | None = None


class RecoveryStarting(Event, frozen=True, gc=False, tag="recovery.starting"):
    recovery: RecoveryId
    container: ContainerId
    host: HostId
    order: OrderId


class RecoveryAdvanced(Event, frozen=True, gc=False, tag="recovery.advanced"):
    """It runs and is to become healthy, or is to be found again."""

    recovery: RecoveryId
    container: ContainerId
    stage: Stage
    order: OrderId | None = None
    until: Instant = Instant(0)


class RecoveryFailed(Event, frozen=True, gc=False, tag="recovery.failed"):
    """It could not be started there, or died again; it is tried once more."""

    recovery: RecoveryId
    container: ContainerId
    host: HostId
    detail: str


class RecoveryEnded(Event, frozen=True, gc=False, tag="recovery.ended"):
    """The outcome of one container."""

    recovery: RecoveryId
    container: ContainerId
    fate: Fate
    host: HostId | None = None
    detail: str = ""


class RecoveryWaiting(Event, frozen=True, gc=False, tag="recovery.waiting"):
    """Nothing more can be started now; at `until` the rest is given up."""

    recovery: RecoveryId
    why: str
    until: Instant


class RecoveryFinished(Event, frozen=True, gc=False, tag="recovery.finished"):
    """It is over. `left` are exactly those that do not serve; why was said when each ended."""

    recovery: RecoveryId
    outcome: str
    restarted: int
    left: tuple[ContainerId, ...] = ()


Progressed = (
    RecoveryStarting
    | RecoveryAdvanced
    | RecoveryFailed
    | RecoveryEnded
    | RecoveryWaiting
    | RecoveryFinished
)
RecoveryEvent = RecoveryBegun | Progressed


class Recovery(msgspec.Struct, frozen=True, gc=False):
    """What a recovery must remember: who is to be restarted, who is, what became of whom."""

    id: RecoveryId
    host: HostId
    todo: tuple[Fallen, ...]
    cases: tuple[Case, ...] = ()
    over: tuple[Recovered, ...] = ()
    why: str = ""
    until: Instant = Instant(0)
    outcome: str = ""
    requested_at: Instant = Instant(0)
    finished_at: Instant = Instant(0)
    asked: bool = False
    reason: str = ""

    def case(self, container: ContainerId) -> Case | None:
        return next((c for c in self.cases if c.fallen.container == container), None)

    @property
    def state(self) -> RecoveryState:
        if self.finished_at:
            return RecoveryState.FINISHED
        return RecoveryState.WAITING if self.until else RecoveryState.RUNNING

    @property
    def detail(self) -> str:
        """What it waits for, or why the first container that is left does not serve."""
        left = (one.detail for one in self.over if one.fate in LEFT)
        return self.why or next(left, "")

    @property
    def due(self) -> Instant | None:
        """When it must be looked at next."""
        dues = [case.until for case in self.cases if case.until]
        if self.until:
            dues.append(self.until)
        return None if self.finished_at else min(dues, default=None)


def begin(event: RecoveryBegun, at: Instant) -> Recovery:
    todo = tuple(Fallen(name) for name in event.plan)
    return Recovery(
        event.recovery,
        event.host,
        todo,
        requested_at=at,
        asked=event.asked,
        reason=event.reason,
    )


def evolve(old: Recovery, event: Progressed, at: Instant) -> Recovery:
    match event:
        case RecoveryStarting():
            fallen = next(one for one in old.todo if one.container == event.container)
            tried = replace(fallen, tries=fallen.tries + 1)
            case = Case(tried, Stage.STARTING, event.host, event.order)
            return _waits(_with(_without(old, event.container), case))
        case RecoveryAdvanced():
            going = next(c for c in old.cases if c.fallen.container == event.container)
            case = Case(going.fallen, event.stage, going.host, event.order, event.until)
            return _with(_without(old, event.container), case)
        case RecoveryFailed():
            fallen = next(c.fallen for c in old.cases if c.fallen.container == event.container)
            again = replace(fallen, avoid=(*fallen.avoid, event.host))
            new = _without(old, event.container)
            return _waits(replace(new, todo=(*new.todo, again)))
        case RecoveryEnded():
            ended = Recovered(event.container, event.fate, event.host, event.detail)
            new = _without(old, event.container)
            return _waits(replace(new, over=(*new.over, ended)))
        case RecoveryWaiting():
            return _waits(old, event.why, event.until)
        case RecoveryFinished():
            return replace(_waits(old), outcome=event.outcome, finished_at=at)
        case _:
            assert_never(event)


def _waits(old: Recovery, why: str = "", until: Instant = NONE) -> Recovery:
    return replace(old, why=why, until=until)


def _without(old: Recovery, container: ContainerId) -> Recovery:
    todo = tuple(one for one in old.todo if one.container != container)
    cases = tuple(one for one in old.cases if one.fallen.container != container)
    return replace(old, todo=todo, cases=cases)


def _with(old: Recovery, case: Case) -> Recovery:
    return replace(old, cases=(*old.cases, case))
