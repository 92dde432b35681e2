"""Arrangements: containers that must leave a host, and the hosts that could take them.

First quick ways to place all, then, where the question is small enough, every way there is.
Placement chooses for one container at a time; here they are looked at together. A host never
carries two of one hard group, so those that leave it have nothing to keep apart from each other.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np

from domain.container import Container
from domain.environment import LayerKey
from domain.fleet import Fleet
from domain.messages import ContainerId, HostId, number_of
from domain.occupancy import ACTIVE, Flags, GroupKey, Numbers, Occupancy, hard_groups

NODES_MAX = 20_000
"""Partial arrangements that are looked at before it is too much; about 0.3 s."""
LAYER_WEIGHT = 1 << 20
"""How much worse a host is for each container of the same layer: more than any load."""

Places = dict[int, int]
"""Which item is placed where: both by their numbers in the question."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """A container that must go: what it needs, and the hard groups it must keep apart."""

    container: ContainerId
    key: LayerKey
    cloudlets: int
    disk: int
    groups: tuple[GroupKey, ...] = ()


class Question(msgspec.Struct, frozen=True):
    """What must leave `host`, and for each item which of the hosts at `bins` it may go to."""

    host: HostId
    items: tuple[Item, ...]
    free: Numbers
    disk: Numbers
    bins: Numbers
    open: tuple[Flags, ...]

    def fits(self, number: int) -> Flags:
        """Return where one item fits as things are before anything moves."""
        item = self.items[number]
        room = (self.free >= item.cloudlets) & (self.disk >= item.disk)
        return room & self.open[number]


def items_of(fleet: Fleet, here: Iterable[Container]) -> tuple[Item, ...]:
    """Return what must be placed elsewhere, the largest first."""
    groups: dict[LayerKey, tuple[GroupKey, ...]] = {}
    items: list[Item] = []
    for one in here:
        key = (one.environment, one.layer)
        if key not in groups:
            groups[key] = hard_groups(fleet, key)
        items.append(Item(one.id, key, one.allocated, one.disk_gib, groups[key]))
    return tuple(sorted(items, key=lambda i: (-i.cloudlets, -i.disk, number_of(i.container))))


def question_of(
    index: Occupancy, items: tuple[Item, ...], host: HostId, targets: tuple[HostId, ...]
) -> Question:
    """Put the question in columns: only hosts that take anything at all."""
    takes: Flags = index.state == ACTIVE
    takes[index.place[host]] = False
    if targets:
        named = np.zeros(index.size, dtype=np.bool_)
        named[[index.place[name] for name in targets if name in index.place]] = True
        takes &= named
    bins: Numbers = np.flatnonzero(takes).astype(np.int64)
    taken: dict[tuple[GroupKey, ...], Flags] = {}
    for item in items:
        if item.groups not in taken:
            taken[item.groups] = ~_occupied(index, item.groups)[bins]
    return Question(
        host,
        items,
        index.free[bins].copy(),
        index.free_disk[bins].copy(),
        bins,
        tuple(taken[item.groups] for item in items),
    )


def _occupied(index: Occupancy, groups: tuple[GroupKey, ...]) -> Flags:
    occupied = np.zeros(index.size, dtype=np.bool_)
    for group in groups:
        places = list(index.groups.get(group, {}))
        occupied[places] = True
    return occupied


# Quick ways


def quickly(index: Occupancy, question: Question) -> Places:
    """Return the fullest arrangement of some quick ones: evenly, tightly, widely, small ones first.

    The last cannot place all where the others could not, but more of them.
    """
    best: Places = {}
    for way in ("even", "tight", "wide", "small"):
        places = greedy(index, question, way)
        if len(places) > len(best):
            best = places
        if len(best) == len(question.items):
            break
    return best


def greedy(index: Occupancy, question: Question, way: str) -> Places:
    """Place one after the other, the hard ones first."""
    free, disk = question.free.copy(), question.disk.copy()
    mates: dict[LayerKey, Numbers] = {}
    places: Places = {}
    order = by_choice(question)
    for number in reversed(order) if way == "small" else order:
        item = question.items[number]
        good = (free >= item.cloudlets) & (disk >= item.disk) & question.open[number]
        if not good.any():
            continue
        score = free - item.cloudlets if way == "tight" else -free
        if way == "even":
            score = score + LAYER_WEIGHT * _mates(index, question, item, mates)
        at = int(np.where(good, score, np.iinfo(np.int64).max).argmin())
        places[number] = at
        free[at] -= item.cloudlets
        disk[at] -= item.disk
        if item.key in mates:
            mates[item.key][at] += 1
    return places


def by_choice(question: Question) -> list[int]:
    """Return the items in the order in which they are placed: hard ones, then large ones."""
    return sorted(
        range(len(question.items)),
        key=lambda n: (not question.items[n].groups, -question.items[n].cloudlets, n),
    )


def _mates(
    index: Occupancy, question: Question, item: Item, known: dict[LayerKey, Numbers]
) -> Numbers:
    """Return how many containers of the item's layer each host has, and will have."""
    if item.key not in known:
        whole = np.zeros(index.size, dtype=np.int64)
        for place, count in index.layers.get(item.key, {}).items():
            whole[place] = count
        known[item.key] = whole[question.bins]
    return known[item.key]


# Every way there is


class Search:
    """Tries every arrangement, alike hosts once, until all are placed or too much was tried."""

    def __init__(self, question: Question) -> None:
        self._items = question.items
        self._free: list[int] = question.free.tolist()
        self._disk: list[int] = question.disk.tolist()
        self._open = [np.flatnonzero(flags).tolist() for flags in question.open]
        self._kinds = _kinds(question)
        self._order = by_choice(question)
        self._nodes = 0
        self._places: Places = {}

    def run(self) -> Places | Literal["none", "too much"]:
        """Return a place for every item, or that there is none, or that it is too much to try."""
        found = self._place(0)
        if found:
            return dict(self._places)
        return "too much" if self._nodes > NODES_MAX else "none"

    def _place(self, depth: int) -> bool:
        if depth == len(self._order):
            return True
        number = self._order[depth]
        item = self._items[number]
        seen: set[object] = set()
        for at in self._open[number]:
            alike = (self._free[at], self._disk[at], self._kinds[at])
            if alike in seen or not self._fits(item, at):
                continue
            seen.add(alike)
            self._nodes += 1
            if self._nodes > NODES_MAX:
                return False
            if self._with(number, at, depth):
                return True
        return False

    def _fits(self, item: Item, at: int) -> bool:
        return self._free[at] >= item.cloudlets and self._disk[at] >= item.disk

    def _with(self, number: int, at: int, depth: int) -> bool:
        """Go on with one item placed; take it back where that leads nowhere."""
        item = self._items[number]
        self._free[at] -= item.cloudlets
        self._disk[at] -= item.disk
        self._places[number] = at
        if self._place(depth + 1):
            return True
        self._free[at] += item.cloudlets
        self._disk[at] += item.disk
        del self._places[number]
        return False


def _kinds(question: Question) -> list[bytes]:
    """Return for each host which items it is open to: only then are two hosts alike."""
    distinct = list({id(flags): flags for flags in question.open}.values())
    table = np.packbits(np.array(distinct), axis=0)
    return [table[:, at].tobytes() for at in range(table.shape[1])]
