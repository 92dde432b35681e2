"""Choosing a host: filter (can it?), then score (how well?), and say why.

Equal fleets give equal answers: ties end at the host's id. A score is a row of numbers, smaller
is better, compared from the left; for `spread` containers of the layer on the host, then in the
zone, of the environment on the host, then in the zone, then load. Filters are named; a host is
counted under the first objection against it.
"""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np

from domain.container import Container, Placing
from domain.environment import Layer, LayerKey
from domain.fleet import Fleet
from domain.messages import Code, HostId, Refusal
from domain.occupancy import (
    ACTIVE,
    GONE,
    STATES,
    Flags,
    GroupKey,
    Numbers,
    Occupancy,
    groups_of,
    occupancy,
    positions,
)

LOSERS = 3
"""How many of those that fitted too are kept in an explanation."""

Score = Callable[[Occupancy, "Wish", Numbers], tuple[Numbers, ...]]


class Wish(msgspec.Struct, frozen=True):
    """What is to be placed. `apart` are hosts that are out of the question, e.g. the source."""

    key: LayerKey
    cloudlets: int
    disk_gib: int
    policy: str
    hard: tuple[GroupKey, ...] = ()
    soft: tuple[GroupKey, ...] = ()
    apart: tuple[HostId, ...] = ()


class Chosen(msgspec.Struct, frozen=True):
    host: HostId
    why: Placing


def wish_for(fleet: Fleet, layer: Layer, container: Container | None = None) -> Wish:
    """Say what a new container of `layer` needs, or `container` where it moves."""
    groups = groups_of(fleet, layer.key)
    return Wish(
        layer.key,
        container.allocated if container else layer.spec.reserved,
        container.disk_gib if container else layer.spec.disk_gib,
        layer.spec.policy,
        tuple(key for key, kind in groups if kind == "hard"),
        tuple(key for key, kind in groups[1:] if kind == "soft"),
        (container.host,) if container else (),
    )


def place(fleet: Fleet, wish: Wish) -> Chosen | Refusal:
    """Return the best host for `wish` and why, or why there is none."""
    index = occupancy(fleet)
    fits, objections = _filter(index, wish)
    feasible = np.flatnonzero(fits)
    if not feasible.size:
        return _refuse(index, wish, objections)
    scores = POLICIES[wish.policy](index, wish, feasible)
    best = [
        (index.hosts[int(feasible[i])], tuple(int(column[i]) for column in scores))
        for i in _best(index, scores, feasible)
    ]
    winner, score = best[0]
    hosts = index.size - int(np.count_nonzero(index.state == GONE))
    losers = tuple(best[1:])
    why = Placing(wish.policy, hosts, int(feasible.size), objections, score, losers)
    return Chosen(winner, why)


def _best(index: Occupancy, scores: tuple[Numbers, ...], feasible: Numbers) -> list[int]:
    """Return the places (in `feasible`) of the best few, best first.

    Column by column only the ties for the last seat go on, so that the whole is never sorted.
    """
    ranks = index.rank[feasible]
    seats = LOSERS + 1
    sure: list[Numbers] = []
    left: Numbers = np.arange(feasible.size)
    for column in (*scores, ranks):
        if left.size <= seats:
            break
        values = column[left]
        last = np.partition(values, seats - 1)[seats - 1]
        better = left[values < last]
        sure.append(better)
        seats -= better.size
        left = left[values == last]
    few = np.concatenate((*sure, left))
    order = np.lexsort((ranks[few], *(column[few] for column in reversed(scores))))
    return [int(i) for i in few[order[: LOSERS + 1]]]


def _filter(index: Occupancy, wish: Wish) -> tuple[Flags, dict[str, int]]:
    """Return which hosts fit, and how many have which objection first."""
    state = index.state
    fits: Flags = state == ACTIVE
    objections = _by_state(state)
    apart = positions(index, wish.apart)
    checks: tuple[tuple[str, Flags], ...] = (
        ("too few cloudlets", index.free >= wish.cloudlets),
        ("too little disk", index.free_disk >= wish.disk_gib),
    )
    if apart:
        objections["is its source"] = int(np.count_nonzero(fits[apart]))
        fits[apart] = False
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
    objections[name] = objections.get(name, 0) + int(np.count_nonzero(fits & ~good))
    fits &= good


def _by_state(state: Numbers) -> dict[str, int]:
    counts = np.bincount(state, minlength=len(STATES))
    return {
        str(STATES[number]): int(count)
        for number, count in enumerate(counts)
        if count and number not in {ACTIVE, GONE}
    }


def group_title(group: GroupKey) -> str:
    """Return a group's name as an operator knows it: `layer sql` or `group db`."""
    name = group[1]
    return f"layer {name[1:]}" if name.startswith("/") else f"group {name}"


def _refuse(index: Occupancy, wish: Wish, objections: dict[str, int]) -> Refusal:
    hosts = index.size - int(np.count_nonzero(index.state == GONE))
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


def objection(fleet: Fleet, wish: Wish, host: HostId) -> str:
    """Return the first objection against one named host, "" if there is none."""
    target = fleet.hosts[host]
    index = occupancy(fleet)
    if target.state.value != "active":
        return f"host {host} is {target.state.value}"
    if host in wish.apart:
        return f"host {host} is where it is now"
    if target.free < wish.cloudlets:
        return f"host {host} has {target.free} cloudlets free, {wish.cloudlets} are needed"
    if target.free_disk < wish.disk_gib:
        return f"host {host} has {target.free_disk} GiB free, {wish.disk_gib} are needed"
    at = index.place[host]
    for group in wish.hard:
        if index.groups.get(group, {}).get(at):
            return f"host {host} has a container of anti-affinity {group_title(group)}"
    return ""


def _mates(index: Occupancy, wish: Wish, feasible: Numbers) -> Numbers:
    """Return containers of the same soft groups on each feasible host."""
    mates = np.zeros(feasible.size, dtype=np.int64)
    for group in wish.soft:
        mates += index.column(index.groups.get(group, {}))[feasible]
    return mates


def spread(index: Occupancy, wish: Wish, feasible: Numbers) -> tuple[Numbers, ...]:
    """Evenly over hosts, then zones, then the same for the environment, then by load."""
    layer: Mapping[int, int] = index.layers.get(wish.key, {})
    whole: Mapping[int, int] = index.environments.get(wish.key[0], {})
    return (
        index.column(layer)[feasible],
        index.by_zone(layer)[feasible],
        _mates(index, wish, feasible),
        index.column(whole)[feasible],
        index.by_zone(whole)[feasible],
        index.load[feasible],
    )


def pack(index: Occupancy, wish: Wish, feasible: Numbers) -> tuple[Numbers, ...]:
    """Onto the fewest hosts: the least free one that fits, as far as soft groups allow."""
    return (_mates(index, wish, feasible), index.free[feasible], index.free_disk[feasible])


def virtuozzo_loadmark(index: Occupancy, wish: Wish, feasible: Numbers) -> tuple[Numbers, ...]:
    """Fewest containers of the same layer, then the lowest load mark."""
    layer: Mapping[int, int] = index.layers.get(wish.key, {})
    return (index.column(layer)[feasible], index.mark[feasible])


POLICIES: dict[str, Score] = {
    "spread": spread,
    "pack": pack,
    "virtuozzo-loadmark": virtuozzo_loadmark,
}
