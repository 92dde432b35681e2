"""A trigger tried on recorded usage, before it is switched on: when it would have fired.

The usage is what was recorded, borne evenly by as many containers as there were at first, and by
those that the trigger would have added or removed, at once. How many there really were later on
does not count.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from domain.agent import Sample, Usage
from domain.horizontal import LOOK_EVERY_MS, SILENT_MS, Member, Sight, Taken, Watch, firing, look
from domain.horizontal import taken as measured
from domain.messages import ContainerId, EnvironmentId, Instant, LayerName, TriggerId
from domain.trigger import Rule, Trigger
from domain.triggers import pause_ms

ROUND_MS = 5_000
"""Within so long every host has said what its containers use; before that nothing is looked at."""


class WouldFire(msgspec.Struct, frozen=True, omit_defaults=True):
    """A firing that would have been; `refused` by the trigger's own bounds."""

    at: Instant
    count: int
    wanted: int
    usage: int
    since: Instant
    why: str
    refused: bool = False


class Rehearsal(msgspec.Struct, frozen=True):
    """What would have happened from `first` to `last`. `lowest` and `highest` are in percent."""

    first: Instant
    last: Instant
    looks: int
    lowest: int
    highest: int
    count: int
    firings: tuple[WouldFire, ...]


class Sums(msgspec.Struct, frozen=True):
    """What a rehearsal comes to: containers added and removed, firings refused, how many at most.

    `highest` is the highest usage, in percent; `count` how many containers there are in the end.
    """

    added: int
    removed: int
    refused: int
    most: int
    highest: int
    count: int


def sums(found: Rehearsal) -> Sums:
    """Return what it comes to."""
    fired = [one for one in found.firings if not one.refused]
    steps = [one.wanted - one.count for one in fired]
    return Sums(
        sum(step for step in steps if step > 0),
        -sum(step for step in steps if step < 0),
        len(found.firings) - len(fired),
        max((*(one.count for one in fired), found.count)),
        found.highest,
        found.count,
    )


class Stage:
    """The layer as it would be, while what was recorded goes by."""

    def __init__(self, rule: Rule, limits: Mapping[ContainerId, int]) -> None:
        self._limits = limits
        self._heard: dict[ContainerId, tuple[Instant, Sample]] = {}
        self._watch: Watch = Watch(rule)
        self._trigger: Trigger = trigger_of(rule)
        self.first = self.last = self._looked = Instant(0)
        self.count = 0
        self.usages: list[float] = []
        self.firings: list[WouldFire] = []

    def hear(self, usage: Usage) -> None:
        """Take in what was recorded next, and look at the layer as the engine would."""
        mine = {one.container: (usage.at, one) for one in usage.containers}
        self._heard |= {name: seen for name, seen in mine.items() if name in self._limits}
        if not mine.keys() & self._limits.keys():
            return
        self.first, self.last = self.first or usage.at, usage.at
        settled = usage.at - self.first >= ROUND_MS
        if settled and usage.at - self._looked >= LOOK_EVERY_MS:
            self._looked = usage.at
            self._look(usage.at)

    def _look(self, now: Instant) -> None:
        rule = self._trigger.rule
        members = [
            Member(self._limits[name], sample)
            for name, (at, sample) in self._heard.items()
            if now - at < SILENT_MS
        ]
        self.count = self.count or len(members)
        seen = measured(rule, members)
        borne = Taken(seen.used, seen.heard * self.count / len(members), 0.0)
        self.usages.append(borne.least)
        self._watch = look(self._watch, borne, now)
        wish = firing([Sight(self._trigger, self._watch, borne)], self.count, now)
        if wish is not None:
            refused = not rule.min_count <= wish.wanted <= rule.max_count
            fired = (wish.count, wish.wanted, wish.usage, wish.since, wish.why, refused)
            self._fire(WouldFire(now, *fired))

    def _fire(self, would: WouldFire) -> None:
        self.firings.append(would)
        trigger = self._trigger
        if would.refused:
            until = Instant(would.at + pause_ms(trigger.tries))
            more = would.wanted > would.count
            self._trigger = replace(trigger, again_at=until, tries=trigger.tries + 1, more=more)
            return
        self.count = would.wanted
        self._watch = Watch(trigger.rule)
        calm = Instant(would.at + trigger.rule.cooldown_s * 1_000)
        self._trigger = replace(trigger, calm_until=calm, again_at=Instant(0), tries=0)


def trigger_of(rule: Rule) -> Trigger:
    """Return a trigger that is nowhere but here."""
    return Trigger(TriggerId("tr0"), EnvironmentId(""), LayerName(""), rule)


def rehearse(
    rule: Rule, limits: Mapping[ContainerId, int], recorded: Iterable[Usage]
) -> Rehearsal | None:
    """Return when `rule` would have fired for the containers of `limits`; None without usage."""
    stage = Stage(rule, limits)
    for usage in sorted(recorded, key=lambda one: one.at):
        stage.hear(usage)
    if not stage.usages:
        return None
    return Rehearsal(
        stage.first,
        stage.last,
        len(stage.usages),
        round(min(stage.usages)),
        round(max(stage.usages)),
        stage.count,
        tuple(stage.firings),
    )
