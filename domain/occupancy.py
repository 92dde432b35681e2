"""The fleet as placement sees it: numbers in columns, one place a host.

Derived from hosts and containers and told of every change, so it is never out of date and may be
thrown away. Counts of layers, environments and anti-affinity groups are kept only where they are
not zero; a container that moves counts on both hosts, so two moves at once never meet.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from domain.container import Container
from domain.environment import LayerKey
from domain.fleet import Fleet
from domain.host import Host, HostState
from domain.messages import EnvironmentId, HostId

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Sparse = dict[int, int]
GroupKey = tuple[EnvironmentId, str]

LOAD_STEPS = 511
"""Load of a host in the tie-break, 0 (empty) to this (full)."""
RANK_BITS = 14
"""Room in a key for a host's place in the order of ids: 16,384 hosts, more than a region holds."""
GROWTH = 1_024
STATES = tuple(HostState)
GONE = STATES.index(HostState.REMOVED)
ACTIVE = STATES.index(HostState.ACTIVE)


def groups_of(fleet: Fleet, key: LayerKey) -> tuple[tuple[GroupKey, str], ...]:
    """Return the anti-affinity groups of a layer, each with `hard` or `soft`.

    A layer is a group of its own, named `/<layer>`; the others are named by its environment.
    """
    layer = fleet.layers[key]
    environment = fleet.environments[layer.environment]
    own = ((layer.environment, f"/{layer.name}"), layer.spec.anti_affinity)
    named = (
        ((layer.environment, name), environment.groups.get(name, "soft"))
        for name in layer.spec.groups
    )
    return (own, *named)


def hard_groups(fleet: Fleet, key: LayerKey) -> tuple[GroupKey, ...]:
    """Return the groups of a layer of which no host carries two."""
    return tuple(group for group, kind in groups_of(fleet, key) if kind == "hard")


class Occupancy:
    """Columns over hosts, and sparse counts over (layer | environment | group, host)."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.place: dict[HostId, int] = {}
        self.states = [0] * len(STATES)
        self.hosts: list[HostId] = []
        self.zones: dict[str, int] = {}
        self.size = 0
        self._room(GROWTH)
        self.layers: dict[LayerKey, Sparse] = {}
        self.environments: dict[EnvironmentId, Sparse] = {}
        self.groups: dict[GroupKey, Sparse] = {}
        self._ranked = False
        self._stale: dict[HostId, None] = {}
        for name in sorted(fleet.hosts):
            self._take_in(name, fleet.hosts[name])
        self._count_all()

    def _count_all(self) -> None:
        """Count every container, layer by layer: a million of them are to be counted in seconds."""
        places: dict[LayerKey, list[int]] = {}
        for container in self._fleet.containers.values():
            here = places.setdefault((container.environment, container.layer), [])
            here.extend(self.place[host] for host in _hosts_of(container))
        for key, here in places.items():
            for sparse in self._counts_of(key):
                for at in here:
                    sparse[at] = sparse.get(at, 0) + 1

    def _room(self, rows: int) -> None:
        """Make columns for `rows` hosts, keeping what is there."""
        columns = np.zeros((9, rows), dtype=np.int64)
        columns[0] = GONE
        if self.size:
            columns[:, : self.size] = self.columns[:, : self.size]
        self.columns: npt.NDArray[np.int64] = columns

    @property
    def state(self) -> Numbers:
        return self.columns[0, : self.size]

    @property
    def free(self) -> Numbers:
        return self.columns[1, : self.size]

    @property
    def free_disk(self) -> Numbers:
        return self.columns[2, : self.size]

    @property
    def zone(self) -> Numbers:
        return self.columns[3, : self.size]

    @property
    def mark(self) -> Numbers:
        return self.columns[5, : self.size]

    @property
    def rank(self) -> Numbers:
        """The place of each host in the order of ids: what ties are broken by."""
        self._rank()
        return self.columns[6, : self.size]

    @property
    def by_load(self) -> Numbers:
        """Load, then rank, of each host in one number."""
        self._rank()
        return self.columns[7, : self.size]

    @property
    def able(self) -> Numbers:
        """1 where nobody has said that nothing can be moved live, else 0."""
        return self.columns[8, : self.size]

    def _rank(self) -> None:
        if self._ranked:
            return
        order = sorted(range(self.size), key=self.hosts.__getitem__)
        self.columns[6, order] = np.arange(self.size)
        self.columns[7] = self.columns[4] << RANK_BITS | self.columns[6]
        self._ranked = True

    def host_changed(self, host: HostId, _new: Host | None, /) -> None:
        """Note that a host's numbers changed; they are taken in when somebody looks."""
        self._stale[host] = None

    def refresh(self) -> None:
        """Take in the numbers of every host that changed since somebody looked."""
        for host in self._stale:
            self._take_in(host, self._fleet.hosts.get(host))
        self._stale.clear()

    def _take_in(self, host: HostId, new: Host | None) -> None:
        at = self.place.get(host)
        if at is None:
            if new is None:
                return
            at = self._admit(host)
        state = GONE if new is None else STATES.index(new.state)
        self.states[int(self.columns[0, at])] -= 1
        self.states[state] += 1
        self.columns[0, at] = state
        if new is None:
            return
        zone = self.zones.setdefault(new.zone, len(self.zones))
        load = new.used * LOAD_STEPS // new.cloudlets if new.cloudlets else LOAD_STEPS
        load = min(load, LOAD_STEPS)
        self.columns[1:6, at] = (new.free, new.free_disk, zone, load, load_mark(new))
        self.columns[7, at] = load << RANK_BITS | int(self.columns[6, at])
        self.columns[8, at] = not new.unable

    def _admit(self, host: HostId) -> int:
        at = self.place[host] = self.size
        self.hosts.append(host)
        if self.size == self.columns.shape[1]:
            self._room(2 * self.size)
        self.size += 1
        self.states[GONE] += 1
        self._ranked = False
        return at

    def container_changed(self, old: Container | None, new: Container | None) -> None:
        """Count a container where it is and where it is moving to."""
        before = _hosts_of(old)
        after = _hosts_of(new)
        container = new or old
        if before == after or container is None:
            return
        self.refresh()
        for host in before:
            self._count(container, self.place[host], -1)
        for host in after:
            self._count(container, self.place[host], 1)

    def _count(self, container: Container, at: int, by: int) -> None:
        for sparse in self._counts_of((container.environment, container.layer)):
            bump(sparse, at, by)

    def _counts_of(self, key: LayerKey) -> list[Sparse]:
        """Return the counts in which a container of this layer appears."""
        groups = (group for group, _ in groups_of(self._fleet, key))
        return [
            self.layers.setdefault(key, {}),
            self.environments.setdefault(key[0], {}),
            *(self.groups.setdefault(group, {}) for group in groups),
        ]

    def zone_of(self, at: int) -> int:
        return int(self.columns[3, at])

    @property
    def known(self) -> int:
        """How many hosts there are."""
        return self.size - self.states[GONE]


def bump(sparse: Sparse, at: int, by: int) -> None:
    """Add to one count; what is zero is not kept."""
    count = sparse.get(at, 0) + by
    if count:
        sparse[at] = count
    else:
        sparse.pop(at, None)


def _hosts_of(container: Container | None) -> tuple[HostId, ...]:
    if container is None:
        return ()
    if container.target is None or container.target == container.host:
        return (container.host,)
    return (container.host, container.target)


def load_mark(host: Host) -> int:
    """Return the load mark of Virtuozzo's published formula, from what is accounted here.

    (memory used / total * 0.2 + disk used / total * 0.5) * 100; swap and load average are known
    only to the host, and a mark set by `host.rate` takes the place of the formula.
    """
    if host.load_mark is not None:
        return host.load_mark
    memory = host.used / host.cloudlets if host.cloudlets else 1.0
    disk = host.used_disk / host.disk_gib if host.disk_gib else 0.0
    return round((memory * 0.2 + disk * 0.5) * 100)


def occupancy(fleet: Fleet) -> Occupancy:
    """Return the fleet's occupancy, built now if nobody needed it before."""
    index = fleet.watcher
    if not isinstance(index, Occupancy):
        fleet.watcher = index = Occupancy(fleet)
    index.refresh()
    return index


def positions(index: Occupancy, hosts: Iterable[HostId]) -> list[int]:
    """Return the places of the hosts that the index knows."""
    return [index.place[host] for host in hosts if host in index.place]
