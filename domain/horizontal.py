"""Horizontal scaling by itself: how much of a layer is used, and when its triggers are to fire.

Usage is passed in: what was seen of it stays outside the region, and only a firing is written. A
container that was not heard of counts as idle where more are called for, and as fully used where
fewer are: what is not known never makes a layer scale.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from domain.agent import Sample
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    Instant,
    TriggerId,
)
from domain.trigger import PERCENT, FireTrigger, Resource, Rule, Trigger

SILENT_MS = 15_000
"""A container that was not heard of for so long is silent: its host missed three reports."""
FULL: Mapping[Resource, int] = {"network": 12_800, "disk": 51_200, "iops": 1_000}
"""What 100 % of one container is where nothing else was said: 100 Mbit/s, 50 MiB/s, 1,000 IOPS."""
USAGE = "usage"
BOUNDS = "bounds"
"""Why a layer is scaled: because of its usage, or to have as many containers as it must."""
LOOK_EVERY_MS = 1_000
"""A layer is looked at once in so long at most, however many hosts its containers are on."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """One container of a layer: its limit, and what it used last; None where it is silent."""

    limit: int
    sample: Sample | None = None


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What is used of what may be used, and how much belongs to those that are silent."""

    used: float
    heard: float
    silent: float

    @property
    def least(self) -> float:
        """Usage in percent if the silent ones are idle."""
        return PERCENT * self.used / max(1.0, self.heard + self.silent)

    @property
    def most(self) -> float:
        """Usage in percent if the silent ones are fully used."""
        return PERCENT * (self.used + self.silent) / max(1.0, self.heard + self.silent)


class Watch(msgspec.Struct, frozen=True, gc=False):
    """Since when usage has called for more containers, or for fewer, under this rule.

    `calm` is when the last cooldown of its layer ends or ended: what was seen before that firing
    was of another number of containers.
    """

    rule: Rule
    more: Instant | None = None
    fewer: Instant | None = None
    calm: Instant = Instant(0)


def used_by(resource: Resource, sample: Sample) -> float:
    """Return how much of a resource one container uses."""
    match resource:
        case "cpu":
            return sample.cpu_mhz / CPU_OF_A_CLOUDLET_MHZ
        case "memory":
            return sample.memory_mib / MEMORY_OF_A_CLOUDLET_MIB
        case "network":
            return sample.net_kib_s
        case "disk":
            return sample.io_kib_s
        case "iops":
            return sample.iops


def full_of(rule: Rule, limit: int) -> float:
    """Return how much of the rule's resource one container may use."""
    return limit if rule.resource not in FULL else rule.full or FULL[rule.resource]


def taken(rule: Rule, members: Iterable[Member]) -> Taken:
    """Add up what the containers of a layer use of what a rule looks at."""
    used = heard = silent = 0.0
    for member in members:
        full = full_of(rule, member.limit)
        if member.sample is None:
            silent += full
        else:
            used += used_by(rule.resource, member.sample)
            heard += full
    return Taken(used, heard, silent)


def look(watch: Watch, seen: Taken, now: Instant) -> Watch:
    """Return since when usage calls for more, and since when for fewer."""
    rule = watch.rule
    more = rule.add_above is not None and seen.least > rule.add_above
    fewer = rule.remove_below is not None and seen.most < rule.remove_below
    return Watch(
        rule,
        (now if watch.more is None else watch.more) if more else None,
        (now if watch.fewer is None else watch.fewer) if fewer else None,
        watch.calm,
    )


class Sight(msgspec.Struct, frozen=True, gc=False):
    """A trigger, what it remembers, and what it sees."""

    trigger: Trigger
    watch: Watch
    taken: Taken


Watches = Mapping[TriggerId, Watch]


def look_at(
    triggers: Sequence[Trigger],
    watches: Watches,
    members: Sequence[Member],
    count: int,
    now: Instant,
) -> tuple[FireTrigger | None, dict[TriggerId, Watch]]:
    """Return what to fire of a layer's triggers that are switched on, and what to remember.

    `count` are the containers that are to stay. While a firing is under way, or a trigger looks for
    the first time, nothing fires, and what was seen before is forgotten; so it is where a firing
    began and ended since it looked last.
    """
    if any(one.operation is not None for one in triggers):
        return None, {}
    calm = max((one.calm_until for one in triggers), default=Instant(0))
    sights: list[Sight] = []
    for one in triggers:
        watch, seen = watches.get(one.id), taken(one.rule, members)
        if watch is None or (watch.rule, watch.calm) != (one.rule, calm):
            watch = Watch(one.rule, calm=calm)
        sights.append(Sight(one, look(watch, seen, now), seen))
    return firing(sights, count, now), {one.trigger.id: one.watch for one in sights}


def firing(sights: Sequence[Sight], count: int, now: Instant) -> FireTrigger | None:
    """Return what to fire: too many or too few are made good first, then more before fewer."""
    calm = max((one.trigger.calm_until for one in sights), default=Instant(0))
    if calm > now:
        return None
    for wish in (bounded, more, fewer):
        for one in sights:
            found = wish(one, sights, count, now)
            if found is not None and one.trigger.may(found.count, found.wanted, now):
                return found
    return None


def bounds(sights: Sequence[Sight]) -> tuple[int, int]:
    """Return how many containers all triggers of a layer keep: no fewer, and no more."""
    rules = [one.trigger.rule for one in sights]
    return max(rule.min_count for rule in rules), min(rule.max_count for rule in rules)


def bounded(one: Sight, sights: Sequence[Sight], count: int, now: Instant) -> FireTrigger | None:
    """Fire where the layer has fewer containers than it must have, or more than it may."""
    least, most = bounds(sights)
    wanted = min(max(count, least), most)
    return None if wanted == count else fire(one, (count, wanted), now, BOUNDS)


def more(one: Sight, sights: Sequence[Sight], count: int, now: Instant) -> FireTrigger | None:
    """Fire where usage was above for the whole window; at the most that is refused, and told."""
    rule, since = one.trigger.rule, one.watch.more
    if since is None or not over(rule, since, now):
        return None
    wanted = min(count + rule.add, max(bounds(sights)[1], count + 1))
    return fire(one, (count, wanted), since, USAGE)


def fewer(one: Sight, sights: Sequence[Sight], count: int, now: Instant) -> FireTrigger | None:
    """Fire where usage was below for the whole window, and those that stay can bear all of it."""
    rule, since = one.trigger.rule, one.watch.fewer
    if since is None or not over(rule, since, now):
        return None
    least = max(count - rule.remove, bounds(sights)[0])
    enough = (n for n in range(least, count) if all(can_bear(each, count, n) for each in sights))
    wanted = next(enough, None)
    return None if wanted is None else fire(one, (count, wanted), since, USAGE)


def over(rule: Rule, since: Instant, now: Instant) -> bool:
    return now - since >= rule.window_s * 1_000


def can_bear(one: Sight, count: int, wanted: int) -> bool:
    """Say whether `wanted` containers would bear what is used now without calling for more."""
    above = one.trigger.rule.add_above or PERCENT
    return one.taken.most * count / wanted <= above


def fire(one: Sight, counts: tuple[int, int], since: Instant, why: str) -> FireTrigger:
    """Return the ask to scale from the first of `counts` to the second."""
    return FireTrigger(
        trigger=one.trigger.id,
        count=counts[0],
        wanted=counts[1],
        usage=round(one.taken.least),
        since=since,
        why=why,
    )
