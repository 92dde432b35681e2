"""How many containers of each layer could serve, over the whole time, folded from events alone.

This is the independent check of "never zero": it knows nothing of the sagas that are to keep it,
only what was reported and confirmed. A container is operable while it runs, is healthy, can be
found, and no intrusive step and no freeze of a migration has it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from domain import container as ct
from domain import environment as env
from domain import migration as mv
from domain import operation as op
from domain.decider import Frame
from domain.environment import LayerKey
from domain.facts import Fact
from domain.messages import ContainerId, Event
from projections.feed import placed

INTRUSIVE_KINDS = {
    op.StepKind.RESTART,
    op.StepKind.REMOVE,
    op.StepKind.REDEPLOY,
    op.StepKind.DEPLOY,
    op.StepKind.STOP,
}
INTRUSIVE_STAGES = {op.Stage.UNROUTING, op.Stage.DRAINING, op.Stage.WORKING}
"""From the first of these on a step keeps its container from serving, until the step is over."""
TIMELINE_MAX = 10_000
"""Changes that are kept of a layer's timeline; its minima are exact over all of them."""
PAST_MAX = 1_000
"""Removed layers that are still known."""


class Availability(msgspec.Struct, frozen=True):
    """What one layer kept up, from position `since` on, when first all its containers served.

    `minimum` is the least number of operable containers, first reached at position `minimum_at`,
    when the layer had `of` containers. `unexcused` is the least that was reached by a fall which
    nobody had accepted. Accepted are falls while an operation with accepted downtime (simultaneous
    ones are) keeps containers of the layer, failures, falls in layers of one container and in
    those that are to be removed; `excuses` has those. `timeline` is (position, operable) at every
    change, the latest if many.
    """

    environment: str
    layer: str
    since: int
    minimum: int
    minimum_at: int
    of: int
    unexcused: int
    operable: int
    containers: int
    excuses: tuple[str, ...]
    timeline: tuple[tuple[int, int], ...]

    @property
    def never_zero(self) -> bool:
        """Whether a container was always operable, apart from what was accepted."""
        return not self.since or self.unexcused > 0


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What is known of one container. `step` is the operation that works on it now, if any.

    `taken` by that step, `frozen` or `cold` by a migration: one may end while the other goes on.
    """

    key: LayerKey
    running: bool = False
    healthy: bool = False
    routed: bool = False
    step: str = ""
    intrusive: bool = False
    taken: bool = False
    frozen: bool = False
    cold: bool = False

    @property
    def serving(self) -> bool:
        return self.running and self.healthy and self.routed

    @property
    def operable(self) -> bool:
        return self.serving and not self.taken and not self.frozen and not self.cold


class Tally:
    """The count of one layer, and its minima."""

    def __init__(self, key: LayerKey) -> None:
        self.key = key
        self.containers: set[ContainerId] = set()
        self.serving = 0
        self.operable = 0
        self.since = 0
        self.minimum = (0, 0, 0)
        self.unexcused = 0
        self.leaving = False
        self.excuses: dict[str, None] = {}
        self.timeline: deque[tuple[int, int]] = deque(maxlen=TIMELINE_MAX)

    def change(self, position: int, serving: int, operable: int, excuse: str) -> None:
        """Count on by these differences; `excuse` is why a fall was accepted, "" if it was not."""
        self.serving += serving
        self.operable += operable
        if operable and self.since:
            self.timeline.append((position, self.operable))
        if operable < 0 and self.since:
            self._fell(position, excuse)
        elif not self.since and self.containers and self.serving == len(self.containers):
            self._begin(position)

    def _begin(self, position: int) -> None:
        self.since = position
        self.minimum = (self.operable, position, len(self.containers))
        self.unexcused = self.operable
        self.timeline.append((position, self.operable))

    def _fell(self, position: int, excuse: str) -> None:
        if self.operable < self.minimum[0]:
            self.minimum = (self.operable, position, len(self.containers))
        if self.leaving:
            excuse = "leaving"
        elif len(self.containers) == 1:
            excuse = excuse or "a layer of one container"
        if excuse:
            self.excuses[excuse] = None
        else:
            self.unexcused = min(self.unexcused, self.operable)

    def line(self) -> Availability:
        minimum, at, of = self.minimum
        return Availability(
            environment=self.key[0],
            layer=self.key[1],
            since=self.since,
            minimum=minimum,
            minimum_at=at,
            of=of,
            unexcused=self.unexcused,
            operable=self.operable,
            containers=len(self.containers),
            excuses=tuple(self.excuses),
            timeline=tuple(self.timeline),
        )


class Operability:
    """The counts of all layers. Take the frames of a journal in order, then read `lines`."""

    def __init__(self) -> None:
        self.position = 0
        self._seen: dict[ContainerId, Seen] = {}
        self._tallies: dict[LayerKey, Tally] = {}
        self._past: deque[Availability] = deque(maxlen=PAST_MAX)
        self._accepted: set[str] = set()
        self._moving: dict[str, ContainerId] = {}

    def take(self, frame: Frame[Fact]) -> None:
        """Take in the next frame."""
        for at in placed(frame):
            self.position = at.position
            change = CHANGES.get(type(at.event.fact))
            if change is not None:
                change(self, at.event.fact)

    def lines(self) -> tuple[Availability, ...]:
        """Return every layer's line, those that are gone first."""
        return (*self._past, *(tally.line() for tally in self._tallies.values()))

    def added(self, event: env.LayerAdded) -> None:
        key = (event.environment, event.layer)
        self._tallies[key] = Tally(key)

    def layer_leaves(self, event: env.LayerLeaving) -> None:
        self._tallies[event.environment, event.layer].leaving = True

    def environment_leaves(self, event: env.EnvironmentLeaving) -> None:
        for (environment, _), tally in self._tallies.items():
            tally.leaving |= environment == event.environment

    def layer_gone(self, event: env.LayerRemoved) -> None:
        self._past.append(self._tallies.pop((event.environment, event.layer)).line())

    def container_placed(self, event: ct.ContainerPlaced) -> None:
        key = (event.environment, event.layer)
        self._seen[event.container] = Seen(key)
        self._tallies[key].containers.add(event.container)

    def container_removed(self, event: ct.ContainerRemoved) -> None:
        self._set(event.container, running=False)
        gone = self._seen.pop(event.container)
        self._tallies[gone.key].containers.discard(event.container)

    def started(self, event: ct.ContainerStarted) -> None:
        """It runs; it may be known to be healthy already, where the answer to its start is late."""
        self._set(event.container, running=True)

    def restarted(self, event: ct.ContainerRestarted | ct.ContainerRedeployed) -> None:
        self._set(event.container, running=True, healthy=False)

    def halted(self, event: ct.ContainerHalted) -> None:
        self._set(event.container, running=False, healthy=False)

    def stopped(self, event: ct.ContainerStopped) -> None:
        self._set(event.container, failure=True, running=False, healthy=False)

    def health(self, event: ct.ContainerHealthChanged) -> None:
        self._set(event.container, failure=True, healthy=event.healthy)

    def routed(self, event: ct.ContainerRouted) -> None:
        self._set(event.container, routed=True)

    def unrouted(self, event: ct.ContainerUnrouted) -> None:
        self._set(event.container, routed=False)

    def requested(self, event: op.OperationRequested) -> None:
        if event.settings.accept_downtime or not event.settings.sequential:
            self._accepted.add(event.operation)

    def operation_over(self, event: op.OperationFinished) -> None:
        self._accepted.discard(event.operation)

    def step_begins(self, event: op.StepStarted) -> None:
        intrusive = event.kind in INTRUSIVE_KINDS
        self._set(event.container, step=event.operation, intrusive=intrusive, taken=False)

    def step_goes_on(self, event: op.StepAdvanced) -> None:
        seen = self._seen.get(event.container)
        if seen is not None and seen.intrusive and event.stage in INTRUSIVE_STAGES:
            self._set(event.container, taken=True)

    def step_over(self, event: op.StepFinished) -> None:
        self._set(event.container, step="", intrusive=False, taken=False)

    def migrates(self, event: mv.MigrationRequested) -> None:
        self._moving[event.migration] = event.container

    def granted(self, event: mv.MigrationGranted) -> None:
        """A cold move stops its container, as somebody asked for; a live one freezes it."""
        if event.cold:
            self._set(event.container, cold=True)

    def reached(self, event: mv.MigrationPhaseReached) -> None:
        if event.phase in {"frozen", "resumed"}:
            self._set(self._moving[event.migration], frozen=event.phase == "frozen")

    def moved(
        self, event: mv.MigrationCompleted | mv.MigrationReverted | mv.MigrationAbandoned
    ) -> None:
        del self._moving[event.migration]
        self._set(event.container, frozen=False, cold=False)

    def _set(self, name: ContainerId, *, failure: bool = False, **changes: Any) -> None:
        """Note what changed of a container, if it is still there, and count it in its layer."""
        old = self._seen.get(name)
        if old is None:
            return
        new = self._seen[name] = replace(old, **changes)
        serving, operable = new.serving - old.serving, new.operable - old.operable
        if serving or operable:
            excuse = self._excuse(name, new.key, failure=failure) if operable < 0 else ""
            self._tallies[new.key].change(self.position, serving, operable, excuse)

    def _excuse(self, name: ContainerId, key: LayerKey, *, failure: bool) -> str:
        """Return why it is accepted that this container falls out now, "" if it is not."""
        if self._accepted:
            for other in sorted(self._tallies[key].containers):
                seen = self._seen[other]
                if seen.taken and seen.step in self._accepted:
                    return seen.step
        return f"failure of {name}" if failure else ""


CHANGES: Mapping[type[Event], Callable[[Operability, Any], None]] = {
    env.LayerAdded: Operability.added,
    env.LayerLeaving: Operability.layer_leaves,
    env.EnvironmentLeaving: Operability.environment_leaves,
    env.LayerRemoved: Operability.layer_gone,
    ct.ContainerPlaced: Operability.container_placed,
    ct.ContainerRemoved: Operability.container_removed,
    ct.ContainerStarted: Operability.started,
    ct.ContainerRestarted: Operability.restarted,
    ct.ContainerRedeployed: Operability.restarted,
    ct.ContainerHalted: Operability.halted,
    ct.ContainerStopped: Operability.stopped,
    ct.ContainerHealthChanged: Operability.health,
    ct.ContainerRouted: Operability.routed,
    ct.ContainerUnrouted: Operability.unrouted,
    op.OperationRequested: Operability.requested,
    op.OperationFinished: Operability.operation_over,
    op.StepStarted: Operability.step_begins,
    op.StepAdvanced: Operability.step_goes_on,
    op.StepFinished: Operability.step_over,
    mv.MigrationRequested: Operability.migrates,
    mv.MigrationGranted: Operability.granted,
    mv.MigrationPhaseReached: Operability.reached,
    mv.MigrationCompleted: Operability.moved,
    mv.MigrationReverted: Operability.moved,
    mv.MigrationAbandoned: Operability.moved,
}
"""What each event that matters here does; all others change nothing."""
