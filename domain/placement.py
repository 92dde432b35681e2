"""Choosing a host: filter (can it?), then score (how well?), and say why.

Equal fleets give equal answers: ties end at the host's id. A score is a row of numbers, smaller
is better, compared from the left; for `spread` containers of the layer on the host, then in the
zone, mates of soft groups, containers of the environment on the host, then in the zone, then
load. The row is packed into one integer a host, so that the best of thousands is found by looking
once. Filters are named; a host is counted under the first objection against it.
"""

from collections.abc import Callable

import msgspec
import numpy as np

from domain.container import Container, Placing
from domain.environment import Layer, LayerKey
from domain.fleet import Fleet
from domain.host import Host, HostState
from domain.messages import Code, HostId, Refusal
from domain.occupancy import (
    ACTIVE,
    GONE,
    RANK_BITS,
    STATES,
    Flags,
    GroupKey,
    Numbers,
    Occupancy,
    Sparse,
    groups_of,
    hard_groups,
    occupancy,
    positions,
)

LOSERS = 3
"""How many of those that fitted too are kept in an explanation."""

NEVER = np.iinfo(np.int64).max
"""The key of a host that does not fit."""
Layout = tuple[tuple[int, int], ...]
"""Where the numbers of a score stand in a key: (shift, bits) of each, first one first."""
Score = Callable[[Occupancy, "Wish"], tuple[Numbers, Layout]]


class Wish(msgspec.Struct, frozen=True):
    """What is to be placed. `apart` are hosts that are out of the question, e.g. the source.

    `only` are those that may be chosen; without any, all may. `live`: it is to be moved live.
    """

    key: LayerKey
    cloudlets: int
    disk_gib: int
    policy: str
    hard: tuple[GroupKey, ...] = ()
    soft: tuple[GroupKey, ...] = ()
    apart: tuple[HostId, ...] = ()
    only: tuple[HostId, ...] = ()
    live: bool = False


class Chosen(msgspec.Struct, frozen=True):
    host: HostId
    why: Placing


def wish_for(
    fleet: Fleet, layer: Layer, container: Container | None = None, size: int | None = None
) -> Wish:
    """Say what a new container of `layer` needs, or `container` where it moves.

    `size` are the cloudlets that it is to have there, if not those that it has.
    """
    named = groups_of(fleet, layer.key)[1:]
    return Wish(
        layer.key,
        size or (container.allocated if container else layer.spec.reserved),
        container.disk_gib if container else layer.spec.disk_gib,
        layer.spec.policy,
        hard_groups(fleet, layer.key),
        tuple(key for key, kind in named if kind == "soft"),
        (container.host,) if container else (),
    )


def place(fleet: Fleet, wish: Wish) -> Chosen | Refusal:
    """Return the best host for `wish` and why, or why there is none."""
    index = occupancy(fleet)
    fits, objections = _filter(index, wish)
    feasible = int(np.count_nonzero(fits))
    if not feasible:
        return _refuse(index, wish, objections)
    keys, layout = POLICIES[wish.policy](index, wish)
    keys[~fits] = NEVER
    best: list[tuple[HostId, tuple[int, ...]]] = []
    for _ in range(min(LOSERS + 1, feasible)):
        at = int(keys.argmin())
        best.append((index.hosts[at], _row(int(keys[at]), layout)))
        keys[at] = NEVER
    winner, score = best[0]
    why = Placing(wish.policy, index.known, feasible, objections, score, tuple(best[1:]))
    return Chosen(winner, why)


def _row(key: int, layout: Layout) -> tuple[int, ...]:
    """Return the numbers of a score that are packed into a key."""
    return tuple(key >> shift & (1 << bits) - 1 for shift, bits in layout)


def _filter(index: Occupancy, wish: Wish) -> tuple[Flags, dict[str, int]]:
    """Return which hosts fit, and how many have which objection first."""
    fits: Flags = index.state == ACTIVE
    objections = {
        str(STATES[number]): count
        for number, count in enumerate(index.states)
        if number not in {ACTIVE, GONE}
    }
    apart = positions(index, wish.apart)
    checks: tuple[tuple[str, Flags], ...] = (
        ("too few cloudlets", index.free >= wish.cloudlets),
        ("too little disk", index.free_disk >= wish.disk_gib),
    )
    if apart:
        objections["is its source"] = int(np.count_nonzero(fits[apart]))
        fits[apart] = False
    if wish.only:
        named = np.zeros(index.size, dtype=np.bool_)
        named[positions(index, wish.only)] = True
        _object(fits, named, "not among the targets", objections)
    if wish.live:
        _object(fits, index.able == 1, "without live moves", objections)
    for name, good in checks:
        _object(fits, good, name, objections)
    for group in wish.hard:
        taken = index.groups.get(group)
        if taken:
            good = np.ones(index.size, dtype=np.bool_)
            good[list(taken)] = False
            _object(fits, good, f"anti-affinity {group_title(group)}", objections)
    return fits, {name: count for name, count in objections.items() if count}


def _object(fits: Flags, good: Flags, name: str, objections: dict[str, int]) -> None:
    """Take out of `fits` what is not `good`, and count it under `name`."""
    before = int(np.count_nonzero(fits))
    fits &= good
    objections[name] = before - int(np.count_nonzero(fits))


def group_title(group: GroupKey) -> str:
    """Return a group's name as an operator knows it: `layer sql` or `group db`."""
    name = group[1]
    return f"layer {name[1:]}" if name.startswith("/") else f"group {name}"


def _refuse(index: Occupancy, wish: Wish, objections: dict[str, int]) -> Refusal:
    hosts = index.known
    said = ", ".join(f"{count} {name}" for name, count in objections.items())
    apart = any(name.startswith("anti-affinity") for name in objections)
    active = index.state == ACTIVE
    free = int(index.free[active].max(initial=0))
    disk = int(index.free_disk[active].max(initial=0))
    way = "give it less, add a host or uncordon one"
    if apart:
        way = "add a host, or make the group soft"
    environment, layer = wish.key
    return Refusal(
        Code.ANTIAFFINITY_VIOLATED if apart else Code.CAPACITY_INSUFFICIENT,
        f"0 of {hosts} hosts fit a container of {environment}/{layer} ({wish.cloudlets} cloudlets,"
        f" {wish.disk_gib} GiB): {said or 'there are no hosts'}; the most free is {free} cloudlets"
        f" and {disk} GiB; {way}",
        "",
        {"hosts": hosts, "objections": dict(objections), "largest_free_cloudlets": free},
    )


def reluctance(fleet: Fleet, wish: Wish, host: HostId) -> str:
    """Return the first objection against a host that force overcomes, "" if there is none."""
    target = fleet.hosts[host]
    if target.state is not HostState.ACTIVE:
        return f"host {host} is {target.state.value}"
    if target.free < wish.cloudlets:
        return f"host {host} has {target.free} cloudlets free, {wish.cloudlets} are needed"
    return ""


def cannot_move(host: Host) -> str:
    """Say that a host has proved to move nothing live, and why; "" if it has not."""
    return f"host {host.id} moves nothing live: {host.unable}" if host.unable else ""


def objection(fleet: Fleet, wish: Wish, host: HostId) -> str:
    """Return the first objection against one named host that always counts, "" if none."""
    target = fleet.hosts[host]
    index = occupancy(fleet)
    if host in wish.apart:
        return f"host {host} is where it is now"
    if wish.live and target.unable:
        return cannot_move(target)
    if target.free_disk < wish.disk_gib:
        return f"host {host} has {target.free_disk} GiB free, {wish.disk_gib} are needed"
    at = index.place[host]
    for group in wish.hard:
        if index.groups.get(group, {}).get(at):
            return f"host {host} has a container of anti-affinity {group_title(group)}"
    return ""


def _pack_in(keys: Numbers, counts: Sparse, shift: int, bits: int) -> None:
    """Put sparse counts into the keys; what is too large for its room counts as the largest."""
    if counts:
        most = (1 << bits) - 1
        keys[list(counts)] += np.array([min(n, most) << shift for n in counts.values()])


def _mates(index: Occupancy, wish: Wish) -> Sparse:
    """Return containers of the same soft groups on each host that has some."""
    mates: Sparse = {}
    for group in wish.soft:
        for at, count in index.groups.get(group, {}).items():
            mates[at] = mates.get(at, 0) + count
    return mates


def _zones(index: Occupancy, counts: Sparse, shift: int, bits: int) -> Numbers:
    """Return, for every zone, how many are counted there, at its place in the key."""
    totals = np.zeros(max(len(index.zones), 1), dtype=np.int64)
    for at, count in counts.items():
        totals[index.zone_of(at)] += count
    return np.minimum(totals, (1 << bits) - 1) << shift


SPREAD: Layout = ((53, 10), (43, 10), (39, 4), (32, 7), (23, 9), (RANK_BITS, 9))


def spread(index: Occupancy, wish: Wish) -> tuple[Numbers, Layout]:
    """Evenly over hosts, then zones, then the same for the environment, then by load."""
    layer = index.layers.get(wish.key, {})
    whole = index.environments.get(wish.key[0], {})
    keys = index.by_load.copy()
    _pack_in(keys, layer, *SPREAD[0])
    _pack_in(keys, _mates(index, wish), *SPREAD[2])
    _pack_in(keys, whole, *SPREAD[3])
    if whole:
        zones = _zones(index, layer, *SPREAD[1]) + _zones(index, whole, *SPREAD[4])
        keys += zones[index.zone]
    return keys, SPREAD


PACK: Layout = ((58, 4), (36, 22), (RANK_BITS, 22))


def pack(index: Occupancy, wish: Wish) -> tuple[Numbers, Layout]:
    """Onto the fewest hosts: the least free one that fits, as far as soft groups allow."""
    keys = np.maximum(index.free, 0) << PACK[1][0] | np.maximum(index.free_disk, 0) << RANK_BITS
    keys |= index.rank
    _pack_in(keys, _mates(index, wish), *PACK[0])
    return keys, PACK


LOADMARK: Layout = ((24, 10), (RANK_BITS, 10))


def virtuozzo_loadmark(index: Occupancy, wish: Wish) -> tuple[Numbers, Layout]:
    """Fewest containers of the same layer, then the lowest load mark."""
    keys = index.mark << RANK_BITS | index.rank
    _pack_in(keys, index.layers.get(wish.key, {}), *LOADMARK[0])
    return keys, LOADMARK


POLICIES: dict[str, Score] = {
    "spread": spread,
    "pack": pack,
    "virtuozzo-loadmark": virtuozzo_loadmark,
}
