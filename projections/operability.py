"""How many containers of each layer could serve, over the whole time, folded from events alone.

This is the independent check of "never zero": it knows nothing of the sagas that are to keep it,
only what was reported and confirmed. A container is operable while it runs, is healthy, can be
found, and no intrusive step and no freeze of a migration has it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from domain import container as ct
from domain import environment as env
from domain import migration as mv
from domain import operation as op
from domain.decider import Frame
from domain.environment import LayerKey
from domain.facts import Fact
from domain.messages import ContainerId, EnvironmentId, Event, MigrationId, OperationId
from projections.feed import placed

INTRUSIVE_KINDS = {op.StepKind.RESTART, op.StepKind.REMOVE}
INTRUSIVE_STAGES = {op.Stage.UNROUTING, op.Stage.DRAINING, op.Stage.WORKING}
"""From the first of these on a step keeps its container from serving, until the step is over."""
TIMELINE_MAX = 10_000
"""Changes of the count that are kept for a layer; its minimum is exact over all of them."""


class Availability(msgspec.Struct, frozen=True):
    """What one layer kept up. It counts from `since`, when first all its containers served.

    `minimum` is the least number of operable containers at any position since, first reached at
    `minimum_at`, when the layer had `of` containers. `unexcused` is the least that was reached by
    a fall which nobody had accepted: no simultaneous operation and none with accepted downtime
    was under way, and the layer was not to be removed. `excuses` names those there were.
    `timeline` has (position, operable) at every change, the latest ones if there are many.
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
        """Whether nothing but what was accepted left the layer without an operable container."""
        return self.unexcused > 0
