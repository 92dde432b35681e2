"""Operations on a layer: what is asked, what happens, and what is remembered of it.

An operation is a list of steps, one container each: start, stop, restart, resize, redeploy, deploy
or remove it. Sequential
operations take one step at a time, in ascending container number, with a delay that runs from
*healthy* of one to the start of the next; simultaneous ones take all at once. `sequence.py` has
the saga that carries an operation on, `step.py` the stages of one step.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from domain.messages import (
    DELAY_DEFAULT_S,
    Cloudlets,
    Command,
    ContainerId,
    Count,
    DelaySeconds,
    EnvironmentId,
    EnvironmentName,
    Event,
    Instant,
    LayerLabel,
    LayerName,
    NodeName,
    OperationId,
    OperationName,
    OrderId,
    PublicCommand,
)
from domain.software import Software

TTL_MS = 1_000
GRACE_MS = 500
HEALTH_MAX_MS = 120_000
ADMISSION_MAX_MS = 600_000

Mode = Literal["sequential", "simultaneous"]
OnFailure = Literal["stop", "continue", "rollback"]
Victim = Literal["newest", "skew"]


class LayerCommand(PublicCommand, frozen=True, kw_only=True):
    """What every operation on a layer may carry.

    `queue=false` refuses with `operation.busy` where another operation holds the layer.
    """

    environment: EnvironmentName
    layer: LayerLabel
    queue: bool = True


class SequencedCommand(LayerCommand, frozen=True, kw_only=True):
    """How an operation goes through the containers of a layer.

    `delay_s` runs from healthy of one to the start of the next: n containers, n-1 delays. `ask`
    waits for `operation.resume` between steps. `surge` adds a further container first and takes
    it away last. `accept_downtime` goes on where no other container of the layer is operable.
    """

    mode: Mode = "sequential"
    delay_s: DelaySeconds = DELAY_DEFAULT_S
    on_failure: OnFailure = "stop"
    ask: bool = False
    accept_downtime: bool = False
    surge: bool = False
    remove_from_dns: bool = True


class RestartLayer(SequencedCommand, frozen=True, kw_only=True, tag="layer.restart"):
    """Restart all containers of a layer, one by one (default) or all at once."""


class SetCloudletLimits(SequencedCommand, frozen=True, kw_only=True, tag="layer.limits"):
    """Set reserved and/or limit cloudlets of each container of a layer, without a restart."""

    reserved: Cloudlets | None = None
    limit: Cloudlets | None = None
    remove_from_dns: bool = False


class ScaleLayer(LayerCommand, frozen=True, kw_only=True, tag="layer.scale"):
    """Scale a layer to `count` containers, or by `by`: one of the two.

    Scale-in takes the newest first, or with `victim=skew` the one whose removal evens the
    spread; container 1 is never taken while others remain.
    """

    count: Count | None = None
    by: Annotated[int, Meta(ge=-1_000, le=1_000)] | None = None
    victim: Victim = "newest"
    accept_downtime: bool = False
    remove_from_dns: bool = True


class ScaleNode(PublicCommand, frozen=True, kw_only=True, tag="container.scale"):
    """Set reserved and/or limit cloudlets of one running container, without a restart.

    What does not fit its host waits until others were moved away live, or it moves itself,
    whatever moves fewer cloudlets; `make_room=false` refuses it instead. `force=true` (with a
    reason) goes beyond the host's capacity; the excess is its own event.
    """

    container: NodeName
    reserved: Cloudlets | None = None
    limit: Cloudlets | None = None
    force: bool = False
    make_room: bool = True


class PauseOperation(PublicCommand, frozen=True, kw_only=True, tag="operation.pause"):
    """Begin no further step until resumed; the step under way is finished."""

    operation: OperationName


class ResumeOperation(PublicCommand, frozen=True, kw_only=True, tag="operation.resume"):
    """Go on: after a pause, or as the answer to an operation that asks between steps."""

    operation: OperationName


class CancelOperation(PublicCommand, frozen=True, kw_only=True, tag="operation.cancel"):
    """Begin no further step; the step under way is finished, what was done stays done."""

    operation: OperationName


class StepKind(StrEnum):
    START = "start"
    RESTART = "restart"
    RESIZE = "resize"
    REMOVE = "remove"
    REDEPLOY = "redeploy"
    DEPLOY = "deploy"
    STOP = "stop"


class Stage(StrEnum):
    """Where a step is. `opening`: it has the container and chooses its first stage."""

    OPENING = "opening"
    UNROUTING = "unrouting"
    DRAINING = "draining"
    WORKING = "working"
    CHECKING = "checking"
    ROUTING = "routing"


class Outcome(StrEnum):
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class Planned(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One step to come. `reserved` and `limit` are what a resize is to set."""

    container: ContainerId
    kind: StepKind
    reserved: int = 0
    limit: int = 0
    surge: bool = False


class Settings(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How an operation was asked to go; see `SequencedCommand`."""

    sequential: bool = True
    delay_ms: int = 0
    on_failure: OnFailure = "stop"
    ask: bool = False
    accept_downtime: bool = False
    remove_from_dns: bool = True


class BeginOperation(Command, frozen=True, kw_only=True, tag="operation.begin"):
    """Request an operation: it starts, or waits in the layer's queue. Internal.

    `before` are the layer's reserved and limit that a rollback goes back to; `software` is what
    the layer is to run from its start on; `after` must be over before it begins.
    """

    kind: str
    environment: EnvironmentName
    layer: LayerLabel
    plan: tuple[Planned, ...]
    settings: Settings
    queue: bool = True
    before: tuple[int, int] | None = None
    software: Software | None = None
    after: OperationId | None = None


class AdvanceOperation(Command, frozen=True, kw_only=True, tag="operation.advance"):
    """Look at an operation again and do what can be done next. Internal."""

    operation: OperationName


class AdvanceStep(Command, frozen=True, kw_only=True, tag="operation.advance-step"):
    """Move a step on: its stage came to an end, well or not. Internal."""

    operation: OperationName
    container: NodeName
    failed: str = ""


class OperationRequested(Event, frozen=True, gc=False, tag="operation.requested"):
    operation: OperationId
    kind: str
    environment: EnvironmentId
    layer: LayerName
    plan: tuple[Planned, ...]
    settings: Settings
    behind: OperationId | None = None
    before: tuple[int, int] | None = None
    software: Software | None = None
    after: OperationId | None = None


class OperationStarted(Event, frozen=True, gc=False, tag="operation.started"):
    operation: OperationId


class OperationWaiting(Event, frozen=True, gc=False, tag="operation.waiting"):
    """The next step may not begin yet; at `until` it counts as failed."""

    operation: OperationId
    container: ContainerId
    why: str
    until: Instant


class StepStarted(Event, frozen=True, gc=False, tag="operation.step-started"):
    operation: OperationId
    container: ContainerId
    kind: StepKind


class StepAdvanced(Event, frozen=True, gc=False, tag="operation.step-advanced"):
    """A step entered a stage; it waits for an order's answer, for health, or for `until`."""

    operation: OperationId
    container: ContainerId
    stage: Stage
    until: Instant
    order: OrderId | None = None
    unrouted: bool = False
    failed: str = ""


class StepFinished(Event, frozen=True, gc=False, tag="operation.step-finished"):
    operation: OperationId
    container: ContainerId
    outcome: Outcome
    detail: str = ""


class DelayStarted(Event, frozen=True, gc=False, tag="operation.delay-started"):
    operation: OperationId
    until: Instant


class OperationAsked(Event, frozen=True, gc=False, tag="operation.asked"):
    """It waits for `operation.resume` before the next step."""

    operation: OperationId


class OperationPaused(Event, frozen=True, gc=False, tag="operation.paused"):
    operation: OperationId


class OperationResumed(Event, frozen=True, gc=False, tag="operation.resumed"):
    operation: OperationId


class OperationCancelled(Event, frozen=True, gc=False, tag="operation.cancelled"):
    """No further step will begin."""

    operation: OperationId


class RollbackStarted(Event, frozen=True, gc=False, tag="operation.rollback-started"):
    operation: OperationId
    plan: tuple[Planned, ...]


class OperationFinished(Event, frozen=True, gc=False, tag="operation.finished"):
    """It is over: `done`, `failed`, `cancelled` or `rolled_back`, with its counts of steps."""

    operation: OperationId
    outcome: str
    done: int
    failed: int
    skipped: int
    detail: str = ""


OperationEvent = (
    OperationRequested
    | OperationStarted
    | OperationWaiting
    | StepStarted
    | StepAdvanced
    | StepFinished
    | DelayStarted
    | OperationAsked
    | OperationPaused
    | OperationResumed
    | OperationCancelled
    | RollbackStarted
    | OperationFinished
)


class OperationState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DELAYING = "delaying"
    ASKING = "asking"
    FINISHED = "finished"


class Step(msgspec.Struct, frozen=True, gc=False):
    """A step under way. `ran` is what the container ran when it began.

    `unrouted`: this step took the container out of DNS, so it puts it back. `failed`: the work
    went wrong and the container is only being put back. `before`: its limits, for a rollback.
    """

    planned: Planned
    stage: Stage = Stage.OPENING
    until: Instant = Instant(0)
    order: OrderId | None = None
    unrouted: bool = False
    failed: str = ""
    before: tuple[int, int] = (0, 0)
    ran: Software | None = None


class Finished(msgspec.Struct, frozen=True, gc=False):
    planned: Planned
    outcome: Outcome
    detail: str = ""
    before: tuple[int, int] = (0, 0)
    ran: Software | None = None


class Operation(msgspec.Struct, frozen=True, gc=False):
    """What an operation must remember: steps to come, steps under way, steps over.

    `rest_from` is when the last step became healthy (or failed), where the delay is counted
    from; `rested` says that the delay before the next step is over, or that there is none.
    `before` are the limits, `previous` the software of its layer that a rollback goes back to.
    """

    id: OperationId
    kind: str
    environment: EnvironmentId
    layer: LayerName
    settings: Settings
    todo: tuple[Planned, ...]
    steps: tuple[Step, ...] = ()
    over: tuple[Finished, ...] = ()
    state: OperationState = OperationState.QUEUED
    until: Instant = Instant(0)
    rest_from: Instant = Instant(0)
    rested: bool = True
    paused: bool = False
    cancelled: bool = False
    rolling_back: bool = False
    outcome: str = ""
    detail: str = ""
    requested_at: Instant = Instant(0)
    finished_at: Instant = Instant(0)
    before: tuple[int, int] | None = None
    software: Software | None = None
    previous: Software | None = None
    after: OperationId | None = None

    @property
    def key(self) -> tuple[EnvironmentId, LayerName]:
        return (self.environment, self.layer)

    def step(self, container: ContainerId) -> Step | None:
        """Return the step under way for `container`, if there is one."""
        return next((step for step in self.steps if step.planned.container == container), None)
