"""What if placement had been another: recorded history, with hosts chosen by another policy.

Two fleets take in the same facts. Where placement chose a host, it chooses again on the other
fleet, by the other policy; where somebody named one, it stays. All else is as recorded: which
containers there were, how large, and which hosts came, went or were lost. Under the policies as
they were both fleets are the same, and nothing is different.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from domain import migration as mv
from domain import recovery as rc
from domain.chronicle import evolve
from domain.container import Container, ContainerPlaced
from domain.decider import Commit
from domain.environment import LayerAdded, LayerChanged
from domain.evacuation import EvacuationFinished
from domain.facts import Fact
from domain.fleet import Fleet
from domain.host import Host, HostLost, HostRemoved, HostState
from domain.messages import ContainerId, HostId, Instant, MigrationId, RecoveryId, Refusal
from domain.placement import Chosen, Wish, place, wish_for

PERCENT = 100


class Choice(msgspec.Struct, frozen=True):
    """A container that went to another host than was recorded; `other` "": to none."""

    position: int
    container: ContainerId
    recorded: HostId
    other: str


class Tally(msgspec.Struct):
    """What a policy came to. `peak_*`: the fullest that a host was; `skew*`: the most uneven layer.

    Skew is how many more containers of a layer its fullest active host has than its emptiest.
    """

    placed: int = 0
    refused: int = 0
    moves: int = 0
    peak_percent: int = 0
    peak_host: str = ""
    peak_position: int = 0
    skew_most: int = 0
    skew_layer: str = ""
    skew_position: int = 0
    skew: int = 0
    hosts_used: int = 0


class WhatIf:
    """Takes in commits for both fleets, and counts what each comes to.

    `recorded` and `other` are the same moment twice; None keeps every layer's own policy.
    """

    def __init__(self, recorded: Fleet, other: Fleet, policy: str | None) -> None:
        self.recorded = recorded
        self.other = other
        self.tallies = {True: Tally(), False: Tally()}
        self.choices: list[Choice] = []
        self.different = 0
        self._policy = policy
        self._position = 0
        self._pointless: set[MigrationId] = set()
        for key, layer in list(other.layers.items()):
            other.put(other.layers, key, replace(layer, spec=self.spec(layer.spec)))

    def spec(self, spec: Any) -> Any:
        return spec if self._policy is None else replace(spec, policy=self._policy)

    def take(self, position: int, commit: Commit[Fact]) -> None:
        """Take in the next commit, whose last event is at `position`."""
        self._position = position - len(commit.events)
        for event in commit.events:
            self._position += 1
            fact = event.fact
            translate = TRANSLATE.get(type(fact))
            mine: Any = fact if translate is None else translate(self, fact)
            if isinstance(fact, HostRemoved):
                self._empty(fact.host, commit.at)
            self._evolve(fact, commit.at, recorded=True)
            if mine is not None:
                self._evolve(mine, commit.at, recorded=False)
            host = emptied(self.recorded, fact)
            if host is not None:
                self._empty(host, commit.at)

    def _evolve(self, fact: Any, at: Instant, *, recorded: bool) -> None:
        """Let a fact be so in one of the fleets, and count what it does."""
        fleet, tally = (self.recorded if recorded else self.other), self.tallies[recorded]
        fleet.try_out()
        evolve(fleet, fact, at)
        changed = [
            (key, fleet.hosts[key]) for key in fleet.before(fleet.hosts) if key in fleet.hosts
        ]
        moved = fleet.before(fleet.containers)
        fleet.keep()
        tally.placed += isinstance(fact, ContainerPlaced)
        tally.moves += isinstance(fact, mv.MigrationCompleted | rc.ContainerReplaced)
        for _, host in changed:
            percent = fullness(host)
            if percent > tally.peak_percent:
                tally.peak_percent, tally.peak_host = percent, host.id
                tally.peak_position = self._position
        for key, old in moved.items():
            new = fleet.containers.get(key)
            if new is not None and (old is None or old.host != new.host):
                self._note_skew(fleet, tally, new)

    def _note_skew(self, fleet: Fleet, tally: Tally, one: Container) -> None:
        key = (one.environment, one.layer)
        skew = skew_of(fleet, fleet.layers[key].containers)
        if skew > tally.skew_most:
            tally.skew_most, tally.skew_layer = skew, "/".join(key)
            tally.skew_position = self._position

    def choose(
        self, container: ContainerId, recorded: HostId, wishes: Callable[[Fleet], Wish]
    ) -> HostId | None:
        """Return where a container goes on the other fleet; None if there is no place for it."""
        was, wish = place(self.recorded, wishes(self.recorded)), wishes(self.other)
        free = isinstance(was, Chosen) and was.host == recorded
        chosen: HostId | None = recorded
        if free or recorded in wish.apart:
            found = place(self.other, wish)
            chosen = None if isinstance(found, Refusal) else found.host
        if chosen != recorded:
            self.different += 1
            self.choices.append(Choice(self._position, container, recorded, chosen or ""))
        if chosen is None:
            self.tallies[False].refused += 1
        return chosen

    def placed(self, fact: ContainerPlaced) -> ContainerPlaced:
        """Place a new container; one for which there is no room goes where it was, by force."""
        key = (fact.environment, fact.layer)
        host = self.choose(
            fact.container, fact.host, lambda fleet: wish_for(fleet, fleet.layers[key])
        )
        return replace(fact, host=host or fact.host)

    def requested(self, fact: mv.MigrationRequested) -> mv.MigrationRequested:
        source = self.other.containers[fact.container].host
        return replace(fact, source=source, target=None if fact.target == source else fact.target)

    def granted(self, fact: mv.MigrationGranted) -> mv.MigrationGranted | mv.MigrationAbandoned:
        """Begin a migration, or none where there is no place to go to."""
        source = self.other.containers[fact.container].host
        target = self.choose(fact.container, fact.target, leaving(fact.container))
        if target is None or target == source:
            self._pointless.add(fact.migration)
            return mv.MigrationAbandoned(fact.migration, fact.container, "there is no other place")
        return replace(fact, source=source, target=target)

    def settled(
        self, fact: mv.MigrationCompleted | mv.MigrationReverted
    ) -> mv.MigrationCompleted | mv.MigrationReverted | None:
        """End a migration where it went in this fleet."""
        if fact.migration in self._pointless:
            return None
        mine = self.other.migrations[fact.migration]
        return replace(fact, source=mine.source, target=mine.target or fact.target)

    def unless_pointless(self, fact: Any) -> Any:
        return None if fact.migration in self._pointless else fact

    def replaced(self, fact: rc.ContainerReplaced) -> rc.ContainerReplaced | None:
        """Restart a container elsewhere, if its host is lost in this fleet, too."""
        source = self.other.containers[fact.container].host
        if source != fact.source and self.other.hosts[source].state is HostState.ACTIVE:
            return None
        target = self.choose(fact.container, fact.target, leaving(fact.container))
        return None if target is None else replace(fact, source=source, target=target)

    def _empty(self, host: HostId, at: Instant) -> None:
        """Move what is on a host only here, as whoever emptied it would have."""
        there = [one for one in self.other.containers.values() if one.host == host]
        for one in sorted(there, key=lambda one: (len(one.id), one.id)):
            was = self.recorded.containers.get(one.id)
            if was is None or was.host == host or one.target is not None:
                continue
            found = place(self.other, leaving(one.id)(self.other))
            if isinstance(found, Refusal):
                self.tallies[False].refused += 1
                continue
            moved = rc.ContainerReplaced(one.id, host, found.host, RecoveryId(""))
            self._evolve(moved, at, recorded=False)

    def ended(self) -> dict[bool, Tally]:
        """Return what each came to in the end: that of the record under True."""
        for recorded, fleet in ((True, self.recorded), (False, self.other)):
            layers = fleet.layers.values()
            tally = self.tallies[recorded]
            tally.skew = max((skew_of(fleet, one.containers) for one in layers), default=0)
            tally.hosts_used = sum(host.used > 0 for host in fleet.hosts.values())
        return self.tallies


def leaving(container: ContainerId) -> Callable[[Fleet], Wish]:
    """Return what a container wishes that leaves its host."""

    def wish(fleet: Fleet) -> Wish:
        one = fleet.containers[container]
        return wish_for(fleet, fleet.layers[one.environment, one.layer], one)

    return wish


def emptied(fleet: Fleet, fact: Fact) -> HostId | None:
    """Return the host that this fact says to be empty now, or to carry nothing that serves."""
    if isinstance(fact, HostLost):
        return fact.host
    if isinstance(fact, EvacuationFinished):
        one = fleet.evacuations.get(fact.evacuation)
        return one.host if one is not None and fact.outcome == "done" else None
    return None


def fullness(host: Host) -> int:
    """Return how full a host is, in percent of its cloudlets."""
    return PERCENT * host.used // host.cloudlets if host.cloudlets else 0


def skew_of(fleet: Fleet, containers: tuple[ContainerId, ...]) -> int:
    """Return how many more of these containers one active host has than another."""
    counts = {host.id: 0 for host in fleet.hosts.values() if host.state is HostState.ACTIVE}
    for name in containers:
        host = fleet.containers[name].host
        counts[host] = counts.get(host, 0) + 1
    return max(counts.values(), default=0) - min(counts.values(), default=0)


TRANSLATE: Mapping[type[Any], Callable[[WhatIf, Any], Any]] = {
    LayerAdded: lambda what, fact: replace(fact, spec=what.spec(fact.spec)),
    LayerChanged: lambda what, fact: replace(fact, spec=what.spec(fact.spec)),
    ContainerPlaced: WhatIf.placed,
    mv.MigrationRequested: WhatIf.requested,
    mv.MigrationGranted: WhatIf.granted,
    mv.MigrationCompleted: WhatIf.settled,
    mv.MigrationReverted: WhatIf.settled,
    mv.MigrationPhaseReached: WhatIf.unless_pointless,
    mv.MigrationWaiting: WhatIf.unless_pointless,
    mv.MigrationOverdue: WhatIf.unless_pointless,
    mv.MigrationStopped: WhatIf.unless_pointless,
    mv.MigrationReturning: WhatIf.unless_pointless,
    mv.MigrationAbandoned: WhatIf.unless_pointless,
    rc.ContainerReplaced: WhatIf.replaced,
}
"""How a fact is told in the other fleet, where it is told otherwise; None: not at all."""
