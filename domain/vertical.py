"""Vertical scaling by itself: what a container holds follows what it uses, between its limits.

More at once, less only after it has used less for a while, so that a container whose use swings
is not resized all the time. What was seen of its use stays outside the region: a sample that was
lost, or forgotten in a crash, is followed by another.
"""

from math import ceil

import msgspec

from domain.agent import Sample
from domain.container import USAGE, Container, ContainerScaled, GrowthDeferred
from domain.decider import NOTHING, Decision, Outcome
from domain.fleet import Fleet
from domain.growing import overtaken, start
from domain.growth import Aim
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    Command,
    ContainerId,
    Event,
    Instant,
    Refusal,
)

HEADROOM = 1.25
"""A container is to hold this times what it uses, so that a rise finds room at once."""
CALM_MS = 30_000
"""How long less must have been enough before a container gives cloudlets back."""
GROWING_MAX = 8
"""Growths that may be under way in one region where use begins another: they all want to move."""
SEEK_REST_MS = 30_000
"""How long after one search for room on a host use leads to the next there."""
SEEK_PACE_MS = 5_000
"""How long after one search for room use leads to the next anywhere in a region."""


class FollowUsage(Command, frozen=True, kw_only=True, tag="agent.follow-usage"):
    """Let a container hold so many cloudlets, as far as its limits and hosts allow. Internal.

    `make_room`: where its host has too few, let a growth begin that lets others make room.
    """

    container: ContainerId
    cloudlets: int
    make_room: bool = False


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


def follow(fleet: Fleet, ask: FollowUsage, now: Instant) -> Outcome:
    """Charge what a container is to hold now to its host, and to the target while it moves.

    What its host has no room for a growth may bring. Where only the target has none, the
    migration is called off (by the saga that hears `GrowthDeferred`), and the next sample finds
    the room.
    """
    container = fleet.containers.get(ask.container)
    if container is None or not container.running or container.deferred is not None:
        return NOTHING
    wanted = min(max(ask.cloudlets, container.reserved), container.limit)
    facts = fitting(fleet, container, wanted)
    if wanted <= container.allocated:
        return Decision((*uses_less(fleet, container), *facts))
    if not ask.make_room or not may_seek(fleet, container, wanted):
        return Decision(facts)
    started = start(fleet, container, Aim(container.reserved, container.limit, wanted), now)
    if isinstance(started, Refusal):
        return Decision(facts) if facts else started
    return Decision((*facts, *started))


def fitting(fleet: Fleet, container: Container, wanted: int) -> tuple[Event, ...]:
    """Return what follows at once: as many cloudlets of those wanted as the host has free."""
    free = max(fleet.hosts[container.host].free, 0)
    more = min(wanted - container.allocated, free)
    if more == 0:
        return ()
    if container.target is not None and more > max(fleet.hosts[container.target].free, 0):
        return (GrowthDeferred(container.id, container.reserved, container.limit),)
    allocated = container.allocated + more
    return (ContainerScaled(container.id, container.reserved, container.limit, allocated, USAGE),)


def uses_less(fleet: Fleet, container: Container) -> tuple[Event, ...]:
    """Give up what its use had begun: it does not use so much any more."""
    growth = fleet.growth_of(container.id)
    return overtaken(fleet, container, USES_LESS) if growth is not None and growth.held else ()


def may_seek(fleet: Fleet, container: Container, wanted: int) -> bool:
    """Say whether use may begin a growth now: it must lack room, and no storm may come of it.

    One growth a container and a host, `GROWING_MAX` a region; what moves is looked at afterwards.
    """
    if wanted - container.allocated <= fleet.hosts[container.host].free:
        return False
    if not container.running or container.migration is not None:
        return False
    if container.deferred is not None or len(fleet.growing) >= GROWING_MAX:
        return False
    growing = (fleet.containers.get(whose) for whose in fleet.growing.values())
    return all(other is None or other.host != container.host for other in growing)


USES_LESS = "it uses less again"
