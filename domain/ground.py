"""The fleet as a search for room sees it: what may move, where to, and what a chain still lacks.

The columns are numbers of the active hosts. Everything is looked up when it is needed first, and
the whole is thrown away with the search.
"""

import msgspec
import numpy as np

from domain.availability import may_move
from domain.container import Container
from domain.fleet import Fleet
from domain.messages import ContainerId, HostId
from domain.moves import LiveMove
from domain.occupancy import ACTIVE, GroupKey, Numbers, Occupancy, hard_groups

WIDTH = 16
"""Targets looked at for a container: all of them, or those where the least is missing."""
APART = 1 << 20
"""Cloudlets that a mate of a hard group counts for when targets are compared."""
SCARCE = 1 << 12
"""From how many free cloudlets on one target is as good as another."""

Cost = tuple[int, int]
"""Cloudlets moved, then moves."""


class Need(msgspec.Struct, frozen=True):
    """What must become free on a host. `stay` may not move: usually the container that grows."""

    host: HostId
    cloudlets: int
    disk_gib: int = 0
    hard: tuple[GroupKey, ...] = ()
    stay: frozenset[ContainerId] = frozenset()


class Moves(msgspec.Struct, frozen=True):
    """A chain, in an order in which every step is possible. `cheapest`: none is cheaper, proven."""

    moves: tuple[LiveMove, ...]
    cloudlets: int
    cheapest: bool

    @property
    def cost(self) -> Cost:
        return (self.cloudlets, len(self.moves))


class NoRoom(msgspec.Struct, frozen=True):
    """There is no chain: `missing` cloudlets, and whether that is proven or the search gave up."""

    missing: int
    why: str
    proven: bool


class Piece(msgspec.Struct, frozen=True):
    """A container that may move, as far as the search is concerned."""

    id: ContainerId
    host: HostId
    cloudlets: int
    disk_gib: int
    hard: tuple[GroupKey, ...]


class Wants(msgspec.Struct, frozen=True):
    """What a chain still lacks: (cloudlets, GiB) for each host, mates in the way for each group."""

    room: dict[HostId, tuple[int, int]]
    mates: dict[tuple[HostId, GroupKey], int]

    @property
    def none(self) -> bool:
        return not self.room and not self.mates

    @property
    def hosts(self) -> tuple[HostId, ...]:
        return (*self.room, *{host: None for host, _ in self.mates if host not in self.room})


class Ground:
    """The fleet as one search sees it, and how many chains it may still look at."""

    def __init__(self, fleet: Fleet, need: Need, index: Occupancy) -> None:
        self.fleet = fleet
        self.stay = need.stay
        self._index = index
        places = np.flatnonzero((index.state == ACTIVE) & (index.able == 1))
        places = places[np.argsort(index.rank[places])]
        self.hosts = [index.hosts[int(at)] for at in places]
        self.free: Numbers = index.free[places]
        self.disk: Numbers = index.free_disk[places]
        self.left = 0
        self.exact = len(self.hosts) <= WIDTH
        self._residents: dict[HostId, list[Container]] = {}
        self._pieces: dict[HostId, tuple[Piece, ...]] = {}
        self._mates: dict[GroupKey, dict[HostId, int]] = {}
        self._targets: dict[tuple[int, int, tuple[GroupKey, ...]], tuple[HostId, ...]] = {}
        self._hard: dict[ContainerId, tuple[GroupKey, ...]] = {}

    def pieces(self, host: HostId) -> tuple[Piece, ...]:
        """Return what may leave a host, in the order of ids."""
        if not self._residents:
            for one in self.fleet.containers.values():
                self._residents.setdefault(one.host, []).append(one)
        if host not in self._pieces:
            residents = self._residents.get(host, ())
            movable = [
                one for one in residents if one.id not in self.stay and may_move(self.fleet, one)
            ]
            movable.sort(key=lambda one: (len(one.id), one.id))
            self._pieces[host] = tuple(self._piece(one) for one in movable)
        return self._pieces[host]

    def _piece(self, one: Container) -> Piece:
        return Piece(one.id, one.host, one.allocated, one.disk_gib, self.hard(one.id))

    def hard(self, container: ContainerId) -> tuple[GroupKey, ...]:
        """Return the hard groups that a container belongs to."""
        if container not in self._hard:
            one = self.fleet.containers[container]
            self._hard[container] = hard_groups(self.fleet, (one.environment, one.layer))
        return self._hard[container]

    def mates(self, group: GroupKey) -> dict[HostId, int]:
        """Return how many of a group each host has, or will have by a migration under way."""
        if group not in self._mates:
            counts = self._index.groups.get(group, {})
            self._mates[group] = {self._index.hosts[at]: count for at, count in counts.items()}
        return self._mates[group]

    def targets(self, piece: Piece) -> tuple[HostId, ...]:
        """Return where a piece may go: everywhere, or where least is lacking and most is free."""
        key = (piece.cloudlets, piece.disk_gib, piece.hard)
        if key not in self._targets:
            lack = np.maximum(piece.cloudlets - self.free, 0)
            lack += np.maximum(piece.disk_gib - self.disk, 0)
            taken = {host for group in piece.hard for host in self.mates(group)}
            if taken:
                lack[[host in taken for host in self.hosts]] += APART
            ranks = lack * SCARCE - np.minimum(self.free, SCARCE - 1)
            best = np.argsort(ranks, kind="stable")[: WIDTH + 1]
            self._targets[key] = tuple(self.hosts[int(best[n])] for n in range(len(best)))
        return self._targets[key]


class Walk:
    """The fleet while a chain is gone through: what is free, and what was lacking on the way."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._free: dict[HostId, list[int]] = {}
        self._mates: dict[tuple[HostId, GroupKey], int] = {}
        self.room: dict[HostId, tuple[int, int]] = {}
        self.mates: dict[tuple[HostId, GroupKey], int] = {}

    def _at(self, host: HostId) -> list[int]:
        if host not in self._free:
            known = self._ground.fleet.hosts[host]
            self._free[host] = [known.free, known.free_disk]
        return self._free[host]

    def arrive(
        self, host: HostId, cloudlets: int, disk_gib: int, hard: tuple[GroupKey, ...]
    ) -> None:
        free = self._at(host)
        free[0] -= cloudlets
        free[1] -= disk_gib
        if (free[0] < 0 and cloudlets > 0) or (free[1] < 0 and disk_gib > 0):
            old = self.room.get(host, (0, 0))
            cloudlets_short = max(old[0], -free[0] if cloudlets > 0 else 0)
            disk_short = max(old[1], -free[1] if disk_gib > 0 else 0)
            self.room[host] = (cloudlets_short, disk_short)
        for group in hard:
            there = self._ground.mates(group).get(host, 0) + self._mates.get((host, group), 0)
            if there > 0:
                key = (host, group)
                self.mates[key] = max(self.mates.get(key, 0), there)
            self._mates[host, group] = self._mates.get((host, group), 0) + 1

    def leave(
        self, host: HostId, cloudlets: int, disk_gib: int, hard: tuple[GroupKey, ...]
    ) -> None:
        free = self._at(host)
        free[0] += cloudlets
        free[1] += disk_gib
        for group in hard:
            self._mates[host, group] = self._mates.get((host, group), 0) - 1


def lacks(ground: Ground, moves: tuple[LiveMove, ...], need: Need) -> Wants:
    """Go through a chain from the fleet as it is, and return what was lacking on the way."""
    walk = Walk(ground)
    for move in moves:
        hard = ground.hard(move.container)
        walk.arrive(move.target, move.cloudlets, move.disk_gib, hard)
        walk.leave(move.source, move.cloudlets, move.disk_gib, hard)
    walk.arrive(need.host, need.cloudlets, need.disk_gib, need.hard)
    return Wants(walk.room, walk.mates)
