"""What is promised of rebalances, checked against each event; it shares no code with what plans.

Every move evens by itself: reckoned from scratch, were all that is on its way there already.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from domain.environment import LayerKey
from domain.fleet import Fleet
from domain.messages import ContainerId, HostId
from domain.rebalance import (
    Goal,
    RebalanceEvent,
    RebalanceMoveBegun,
    RebalanceMoveEnded,
    RebalancePaused,
    RebalanceRequested,
    RebalanceResumed,
    RebalanceStopped,
)

Homes = Mapping[ContainerId, HostId]


class Evening:
    """Notes of the rebalance that goes on: its terms, who is on the way, whether it is held."""

    def __init__(self) -> None:
        self._asked: RebalanceRequested | None = None
        self._begun: list[ContainerId] = []
        self._ended: set[ContainerId] = set()
        self._held = False

    def happened(self, fleet: Fleet, fact: RebalanceEvent) -> Iterator[str]:
        """Give what is not kept when `fact` happens; then note it."""
        match fact:
            case RebalanceRequested():
                self._asked, self._begun, self._ended, self._held = fact, [], set(), False
            case RebalanceMoveBegun():
                yield from self._begins(fleet, fact)
                self._begun.append(fact.container)
            case RebalanceMoveEnded():
                if fact.container in self._ended:
                    yield f"{fact.container} has two outcomes in {fact.rebalance}"
                self._ended.add(fact.container)
            case RebalancePaused() | RebalanceStopped():
                self._held = True
            case RebalanceResumed():
                self._held = False
            case _:
                pass

    def _begins(self, fleet: Fleet, fact: RebalanceMoveBegun) -> Iterator[str]:
        asked, name = self._asked, fact.container
        if asked is None or asked.rebalance != fact.rebalance:
            yield f"{fact.rebalance} moves {name}, and nobody asked for it"
            return
        if self._held:
            yield f"{fact.rebalance} is held and moves {name}"
        if name in self._begun or len(self._begun) >= asked.budget:
            yield f"{fact.rebalance} moves {name} after {self._begun}, within {asked.budget} moves"
        on_the_way = set(self._begun) - self._ended
        if len(on_the_way) >= asked.at_once:
            yield f"{fact.rebalance} moves {name} beside {on_the_way}, {asked.at_once} at once"
        if not evens(fleet, asked.goal, name, fact.target):
            yield f"{fact.rebalance} moves {name} to {fact.target}, which evens nothing"


def evens(fleet: Fleet, goal: Goal, name: ContainerId, target: HostId) -> bool:
    """Say whether it is more even with one container at `target` than where it is."""
    homes = {one.id: one.target or one.host for one in fleet.containers.values()}
    before = sums(fleet, homes | {name: fleet.containers[name].host})
    after = sums(fleet, homes | {name: target})
    lighter = after[-1] < before[-1]
    if goal is Goal.LOAD:
        return lighter and after[:-1] <= before[:-1]
    spread = after[:-1] < before[:-1]
    return spread if goal is Goal.SPREAD else spread or (after[:-1] == before[:-1] and lighter)


def sums(fleet: Fleet, homes: Homes) -> tuple[int, ...]:
    """Return the sums of squares of counts and loads; smaller is more even."""
    hosts: Counter[tuple[LayerKey, HostId]] = Counter()
    zones: Counter[tuple[LayerKey, str]] = Counter()
    mates: Counter[tuple[str, str, HostId]] = Counter()
    whole: Counter[tuple[str, HostId]] = Counter()
    parts: Counter[tuple[str, str]] = Counter()
    loads: Counter[HostId] = Counter()
    for name, host in homes.items():
        one = fleet.containers[name]
        layer, zone = (one.environment, one.layer), fleet.hosts[host].zone
        hosts[layer, host] += 1
        zones[layer, zone] += 1
        whole[one.environment, host] += 1
        parts[one.environment, zone] += 1
        loads[host] += one.allocated
        groups = fleet.environments[one.environment].groups
        for group in fleet.layers[layer].spec.groups:
            if groups.get(group, "soft") == "soft":
                mates[one.environment, group, host] += 1
    counts = (sum(n * n for n in count.values()) for count in (hosts, zones, mates, whole, parts))
    load = sum(n * n * 1_000 // max(fleet.hosts[host].cloudlets, 1) for host, n in loads.items())
    return (*counts, load)
