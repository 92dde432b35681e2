"""Vertical scaling by itself: what a container holds follows what it uses, between its limits.

More at once, less only after it has used less for a while, so that a container whose use swings
is not resized all the time. What was seen of its use stays outside the region: a sample that was
lost, or forgotten in a crash, is followed by another.
"""

from math import ceil

import msgspec

from domain.agent import Sample
from domain.container import Container, ContainerScaled, GrowthDeferred
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    Command,
    ContainerId,
    Instant,
)

HEADROOM = 1.25
"""A container is to hold this times what it uses, so that a rise finds room at once."""
CALM_MS = 30_000
"""How long less must have been enough before a container gives cloudlets back."""


class FollowUsage(Command, frozen=True, kw_only=True, tag="agent.follow-usage"):
    """Let a container hold so many cloudlets, as far as its limits and hosts allow. Internal."""

    container: ContainerId
    cloudlets: int


class Calm(msgspec.Struct, frozen=True, gc=False):
    """A container has needed at most `peak` cloudlets, fewer than it holds, since `since`."""

    since: Instant
    peak: int


def need(sample: Sample) -> int:
    """Return how many cloudlets a container is to hold that uses so much; at least one."""
    used = max(sample.memory_mib / MEMORY_OF_A_CLOUDLET_MIB, sample.cpu_mhz / CPU_OF_A_CLOUDLET_MHZ)
    return max(1, ceil(used * HEADROOM))


def look(
    container: Container, calm: Calm | None, sample: Sample, now: Instant
) -> tuple[int, Calm | None]:
    """Return how many cloudlets a container is to hold now, and what to remember of its use."""
    wanted = min(max(need(sample), container.reserved), container.limit)
    if wanted >= container.allocated:
        return wanted, None
    if calm is None:
        return container.allocated, Calm(now, wanted)
    peak = max(calm.peak, wanted)
    if now - calm.since < CALM_MS:
        return container.allocated, Calm(calm.since, peak)
    return peak, None


def follow(fleet: Fleet, ask: FollowUsage) -> Outcome:
    """Charge what a container is to hold now to its host, and to the target while it moves.

    What its host has no room for it does not get. Where only the target has none, the migration
    is called off (by the saga that hears `GrowthDeferred`), and the next sample finds the room.
    """
    container = fleet.containers.get(ask.container)
    if container is None or not container.running:
        return NOTHING
    wanted = min(max(ask.cloudlets, container.reserved), container.limit)
    free = max(fleet.hosts[container.host].free, 0)
    more = min(wanted - container.allocated, free)
    if more == 0 or container.deferred is not None:
        return NOTHING
    if container.target is not None and more > max(fleet.hosts[container.target].free, 0):
        return Decision((GrowthDeferred(container.id, container.reserved, container.limit),))
    allocated = container.allocated + more
    return Decision(
        (ContainerScaled(container.id, container.reserved, container.limit, allocated, USAGE),)
    )


USAGE = "usage"
"""Why a container was scaled that holds more or less because it uses more or less."""
