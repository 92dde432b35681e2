"""How long things take: what a forecast reckons with.

Migrations are measured: the middle of those that were completed lately. What is not measured has a
default, which is said with every figure that is made of it.
"""

from collections.abc import Mapping
from statistics import median

import msgspec

from domain.fleet import Fleet
from domain.migration import MigrationState
from domain.orders import MigrateOut, Work
from domain.plan import Source

HEALTHY = "healthy"
MIGRATE = str(MigrateOut.__struct_config__.tag)
MEASURED_MIN = 3
"""So many migrations must have been completed before their durations are trusted."""
OTHERS_MS = 1_000
"""What an order takes that has no default of its own."""


class Takes(msgspec.Struct, frozen=True, gc=False):
    """How long one thing takes, and how that is known; `freeze_ms` of it nobody is served."""

    ms: int
    source: Source = "default"
    freeze_ms: int = 0


DEFAULTS: Mapping[str, Takes] = {
    "start": Takes(2_000),
    "restart": Takes(2_000),
    "redeploy": Takes(5_000),
    "stop": Takes(1_000),
    "halt": Takes(1_000),
    "resize": Takes(200),
    "route-in": Takes(200),
    "route-out": Takes(200),
    "call-off": Takes(500),
    MIGRATE: Takes(5_000, freeze_ms=500),
    HEALTHY: Takes(3_000),
}
"""By the name of the work, and until a container that was started is healthy."""


def durations(fleet: Fleet) -> Mapping[str, Takes]:
    """Return how long each kind of work takes here."""
    done = [one for one in fleet.migrations.values() if one.state is MigrationState.COMPLETED]
    if len(done) < MEASURED_MIN:
        return DEFAULTS
    total = round(median(one.total_ms for one in done))
    freeze = round(median(one.freeze_ms for one in done))
    return {**DEFAULTS, MIGRATE: Takes(total, "measured", freeze)}


def takes(known: Mapping[str, Takes], work: Work) -> Takes:
    """Return how long an order of this kind takes."""
    return known.get(str(work.__struct_config__.tag), Takes(OTHERS_MS))
