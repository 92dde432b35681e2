"""How even a fleet is, and what one move more would change: sums of squares, in whole numbers.

Of each layer the squares of its counts on hosts are summed up, then of its counts in zones, then
of its mates of soft groups, then the same for its environment, then the load of hosts. Evenly is
where the sum is least; moving one container changes each by little, which is cheap to tell. What
is on its way counts where it arrives, and needs room on both hosts.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property

import msgspec

from domain.container import Container
from domain.environment import Layer, LayerKey
from domain.fleet import Fleet
from domain.messages import HostId
from domain.occupancy import ACTIVE, GroupKey, Occupancy, Sparse, bump, groups_of
from domain.rebalance import Evenness, Goal, Scope

LOAD_GAP = 10
"""Points of load by which two hosts must differ before a move is worth it for their load alone."""
PERCENT = 100
FINE = 1_000
"""Load is reckoned in parts of this."""
AS_IT_IS = (0, 0, 0, 0, 0)
"""A move that leaves the spread as it is."""

Gain = tuple[int, ...]
"""What a move changes, negative is better: hosts, zones, mates, environment's hosts, its zones,
load."""


class Kind(msgspec.Struct, frozen=True):
    """What all containers of a layer have in common: of which groups they keep apart."""

    key: LayerKey
    hard: tuple[GroupKey, ...]
    soft: tuple[GroupKey, ...]


class Weight(msgspec.Struct, frozen=True, gc=False):
    """What a container brings along where it goes."""

    kind: Kind
    cloudlets: int
    disk_gib: int


class Room(msgspec.Struct, gc=False):
    """A host on the board: what is free now, and what it holds once all has arrived."""

    free: int
    disk: int
    used: int
    cloudlets: int

    @property
    def percent(self) -> int:
        return self.used * PERCENT // self.cloudlets

    def tension(self, more: int = 0) -> int:
        """Return what this host adds to how unevenly hosts are loaded, with `more` on it."""
        return (self.used + more) ** 2 * FINE // self.cloudlets


class Board:
    """A fleet on which moves between the hosts of a scope are tried; the fleet stays as it is."""

    def __init__(self, fleet: Fleet, scope: Scope, index: Occupancy) -> None:
        self.fleet = fleet
        self.scope = scope
        self.index = index
        self._kinds: dict[LayerKey, Kind] = {}
        self._counts: dict[tuple[str, object], Sparse] = {}
        self._tables_of: dict[LayerKey, tuple[tuple[Sparse, ...], tuple[Sparse, ...]]] = {}
        self._rooms: dict[int, Room] = {}
        moving = (fleet.containers[name] for name in fleet.moving.values())
        self._leaving = [(one, index.place[one.host]) for one in moving if one.target != one.host]

    @cached_property
    def hosts(self) -> tuple[int, ...]:
        """The places of the hosts of the scope that take containers, in the order of ids."""
        takes = [at for at, state in enumerate(self.index.state.tolist()) if state == ACTIVE]
        return tuple(sorted(filter(self.holds, takes), key=self.name))

    @cached_property
    def within(self) -> frozenset[int]:
        return frozenset(self.hosts)

    @cached_property
    def _zone_of(self) -> list[int]:
        """The zone of each place: looked up in numpy's columns, this would be most of a search."""
        zones: list[int] = self.index.columns[3].tolist()
        return zones

    def holds(self, at: int) -> bool:
        """Say whether a host is within the scope."""
        scope, name = self.scope, self.name(at)
        zone = not scope.zone or self.fleet.hosts[name].zone == scope.zone
        return zone and (not scope.hosts or name in scope.hosts)

    def name(self, at: int) -> HostId:
        return self.index.hosts[at]

    def kind(self, key: LayerKey) -> Kind:
        """Return what the containers of a layer keep apart from."""
        if key not in self._kinds:
            groups = groups_of(self.fleet, key)
            hard = tuple(group for group, how in groups if how == "hard")
            soft = tuple(group for group, how in groups[1:] if how == "soft")
            self._kinds[key] = Kind(key, hard, soft)
        return self._kinds[key]

    def weight(self, one: Container) -> Weight:
        return Weight(self.kind((one.environment, one.layer)), one.allocated, one.disk_gib)

    def room(self, at: int) -> Room:
        if at not in self._rooms:
            host = self.fleet.hosts[self.name(at)]
            gone = sum(one.allocated for one, source in self._leaving if source == at)
            used = host.used - gone
            self._rooms[at] = Room(host.free, host.free_disk, used, max(host.cloudlets, 1))
        return self._rooms[at]

    # Counts

    def counts(self, table: str, key: object) -> Sparse:
        """Return how many of a layer, an environment or a group each host has."""
        if (table, key) not in self._counts:
            sparse: Sparse = dict(getattr(self.index, table).get(key, {}))
            for one, at in self._leaving:
                if key in self._keys(table, one):
                    bump(sparse, at, -1)
            self._counts[table, key] = sparse
        return self._counts[table, key]

    def _keys(self, table: str, one: Container) -> tuple[object, ...]:
        """Return under which keys of a table a container is counted."""
        layer = (one.environment, one.layer)
        if table == "groups":
            return tuple(group for group, _ in groups_of(self.fleet, layer))
        return (layer,) if table == "layers" else (one.environment,)

    def zones(self, table: str, key: object) -> Sparse:
        """Return how many of a layer or an environment each zone has."""
        if (f"{table} in zones", key) not in self._counts:
            totals: Sparse = {}
            for at, count in self.counts(table, key).items():
                bump(totals, self.index.zone_of(at), count)
            self._counts[f"{table} in zones", key] = totals
        return self._counts[f"{table} in zones", key]

    def _tables(self, kind: Kind) -> tuple[tuple[Sparse, ...], tuple[Sparse, ...]]:
        """Return the counts over hosts and over zones in which a container of this kind is."""
        if kind.key not in self._tables_of:
            self._tables_of[kind.key] = self._look_up(kind)
        return self._tables_of[kind.key]

    def _look_up(self, kind: Kind) -> tuple[tuple[Sparse, ...], tuple[Sparse, ...]]:
        environment = kind.key[0]
        hosts = (
            self.counts("layers", kind.key),
            self.counts("environments", environment),
            *(self.counts("groups", group) for group in kind.soft),
        )
        zones = (self.zones("layers", kind.key), self.zones("environments", environment))
        return hosts, zones

    # Moves

    def fits(self, weight: Weight, target: int) -> bool:
        """Say whether there is room for a container on a host now, and nobody to keep apart from.

        A host that somebody of a hard group is about to leave still has it.
        """
        room = self.room(target)
        if room.free < weight.cloudlets or room.disk < weight.disk_gib:
            return False
        return not any(self._taken(group, target) for group in weight.kind.hard)

    def _taken(self, group: GroupKey, at: int) -> bool:
        leaves = any(
            at == source and group in self._keys("groups", one) for one, source in self._leaving
        )
        return leaves or self.counts("groups", group).get(at, 0) > 0

    def gain(self, weight: Weight, source: int, target: int) -> Gain:
        """Return what a move to another host would change; negative is better, early ones count."""
        ((_, gain),) = self.gains(weight, source, (target,))
        return gain

    def gains(
        self, weight: Weight, source: int, targets: Iterable[int]
    ) -> Iterator[tuple[int, Gain]]:
        """Give what a move to each of these hosts but `source` would change, as `gain` tells it.

        What they have in common is looked up once: most of a search for moves is spent here.
        """
        (layer, environment, *mates), (zones, their_zones) = self._tables(weight.kind)
        zone_of, more = self._zone_of, weight.cloudlets
        before, here = zone_of[source], self.room(source)
        relief = here.tension(-more) - here.tension()
        in_layer, in_environment = layer.get(source, 0) - 1, environment.get(source, 0) - 1
        in_zone, in_their_zone = zones.get(before, 0) - 1, their_zones.get(before, 0) - 1
        for target in targets:
            if target == source:
                continue
            after, there = zone_of[target], self.room(target)
            far = after != before
            gain = (
                2 * (layer.get(target, 0) - in_layer),
                2 * (zones.get(after, 0) - in_zone) if far else 0,
                sum(evens(group, source, target) for group in mates) if mates else 0,
                2 * (environment.get(target, 0) - in_environment),
                2 * (their_zones.get(after, 0) - in_their_zone) if far else 0,
                there.tension(more) - there.tension() + relief,
            )
            yield target, gain

    def move(self, weight: Weight, source: int, target: int) -> None:
        """Move a container on the board; the same the other way round takes it back."""
        hosts, zones = self._tables(weight.kind)
        hard = tuple(self.counts("groups", group) for group in weight.kind.hard)
        for counts in (*hosts, *hard):
            bump(counts, source, -1)
            bump(counts, target, 1)
        for totals in zones:
            bump(totals, self._zone_of[source], -1)
            bump(totals, self._zone_of[target], 1)
        for at, sign in ((source, -1), (target, 1)):
            room = self.room(at)
            room.free -= sign * weight.cloudlets
            room.disk -= sign * weight.disk_gib
            room.used += sign * weight.cloudlets

    def is_worth(self, goal: Goal, gain: Gain, source: int, target: int) -> bool:
        """Say whether a move makes it more even by itself, and what counts more no less even."""
        spread, load = gain[:-1], gain[-1]
        if goal is not Goal.LOAD and spread < AS_IT_IS:
            return True
        if goal is Goal.SPREAD or load >= 0 or spread > AS_IT_IS:
            return False
        return self.room(source).percent - self.room(target).percent >= LOAD_GAP

    # As a whole

    def evenness(self) -> Evenness:
        """Return how even it is on the hosts of the scope, as far as it is to be even."""
        skews = [self.skew(key) for key in self.layers()]
        loads = [self.room(at).percent for at in self.hosts]
        most, least = max(loads, default=0), min(loads, default=0)
        uneven = sum(skew > 1 for skew in skews)
        return Evenness(uneven, max(skews, default=0), least, most)

    def layers(self) -> tuple[LayerKey, ...]:
        """Return the layers of the scope that are to be spread, in the order of names."""
        layers = self.fleet.layers.values()
        mine = self.scope.environment
        return tuple(
            sorted(one.key for one in layers if mine in (None, one.environment) and is_spread(one))
        )

    def skew(self, key: LayerKey) -> int:
        """Return by how much the counts of a layer on the hosts of the scope differ at most."""
        counts = self.counts("layers", key)
        here = [count for at, count in counts.items() if at in self.within]
        if len(here) < len(self.hosts):
            here.append(0)
        return max(here, default=0) - min(here, default=0)


def is_spread(layer: Layer) -> bool:
    """Say whether a layer is to be even: one that is packed is so on purpose."""
    return layer.spec.policy != "pack" and not layer.leaving


def evens(counts: Sparse, source: int, target: int) -> int:
    """Return what the sum of squares changes by when one goes from one host to another."""
    return 2 * (counts.get(target, 0) - counts.get(source, 0) + 1)


def rank(goal: Goal, gain: Gain) -> Gain:
    """Return what moves are compared by: what counts most for the goal first."""
    return (gain[-1], *gain[:-1]) if goal is Goal.LOAD else gain
