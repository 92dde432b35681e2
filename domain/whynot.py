"""Why a container is not on another host, and the smallest change that would have put it there.

A change is one of few that an operator can bring about: a host takes containers again, has more
or less room, does not carry a certain container, or another host takes none. Fewer changes are
smaller. Up to two beyond those that must be, all are tried; then what is found is only said to
be enough. That it is enough is tried on the fleet itself, and taken back.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
from msgspec.structs import replace

from domain.container import Container, Placing
from domain.fleet import Fleet
from domain.host import HostState
from domain.messages import ContainerId, HostId
from domain.occupancy import groups_of
from domain.placement import Chosen, Wish, objection, place, reluctance

PAIRED_MAX = 40
"""Containers of a host of which every two are tried."""
CHANGES_MAX = 1_000
"""More changes than this are nothing that anybody would do."""


class Activate(msgspec.Struct, frozen=True, tag="takes containers"):
    """The host is active: neither cordoned, nor emptied, nor lost."""

    host: HostId


class Resize(msgspec.Struct, frozen=True, tag="has other room"):
    """The host has so much more room, or less."""

    host: HostId
    cloudlets: int = 0
    disk_gib: int = 0


class Without(msgspec.Struct, frozen=True, tag="does not carry"):
    """The host does not carry this container, and nobody does."""

    host: HostId
    container: ContainerId


class Avoid(msgspec.Struct, frozen=True, tag="takes none"):
    """The host takes no new containers."""

    host: HostId


Change = Activate | Resize | Without | Avoid
Changes = tuple[Change, ...]


class WhyNot(msgspec.Struct, frozen=True):
    """What was against a host. `objections` keep it out; else others were better.

    With all of `changes` it wins; there are none where it wins anyway, or where `never` says why
    nothing helps. `smallest`: no fewer changes of these kinds would do.
    """

    host: HostId
    winner: HostId | None
    why: Placing | None = None
    objections: tuple[str, ...] = ()
    changes: Changes = ()
    smallest: bool = False
    never: str = ""


def why_not(fleet: Fleet, wish: Wish, host: HostId) -> WhyNot:
    """Say why `wish` would not be placed on `host` now; nothing on the fleet is changed."""
    found = place(fleet, wish)
    won = found if isinstance(found, Chosen) else None
    told = WhyNot(host, won.host if won else None, won.why if won else None)
    if told.winner == host:
        return replace(told, smallest=True)
    if host in wish.apart:
        return replace(told, never=f"{host} is where it is to leave")
    if wish.only and host not in wish.only:
        return replace(told, never=f"{host} is not among the hosts that were named")
    changes, smallest = search(fleet, wish, host)
    said = tuple(filter(None, (reluctance(fleet, wish, host), objection(fleet, wish, host))))
    told = replace(told, objections=said)
    if changes is None:
        return replace(told, never=f"no {CHANGES_MAX:,} changes of these kinds would do")
    return replace(told, changes=changes, smallest=smallest)


def needs(fleet: Fleet, wish: Wish, host: HostId) -> Changes:
    """Return the changes without which it cannot be there, whatever room there is."""
    groups = set(wish.hard)
    against = (
        one.id
        for one in carried(fleet, host)
        if groups & {key for key, _ in groups_of(fleet, (one.environment, one.layer))}
    )
    active = fleet.hosts[host].state is HostState.ACTIVE
    first: Changes = () if active else (Activate(host),)
    return (*first, *(Without(host, one) for one in against))


def search(fleet: Fleet, wish: Wish, host: HostId) -> tuple[Changes | None, bool]:
    """Return the fewest changes with which `host` wins, and whether fewer are ruled out."""
    needed = needs(fleet, wish, host)
    if outcome(fleet, wish, needed) == host:
        return needed, True
    rest = [one.id for one in carried(fleet, host) if Without(host, one.id) not in needed]
    one = next(ones(fleet, wish, host, needed, rest), None)
    if one is not None:
        return one, True
    two = next(twos(fleet, wish, host, needed, rest), None)
    if two is not None:
        return two, True
    return many(fleet, wish, host, needed, rest), False


def ones(
    fleet: Fleet, wish: Wish, host: HostId, needed: Changes, rest: list[ContainerId]
) -> Iterator[Changes]:
    """Yield what one further change does."""
    yield from resized(fleet, wish, host, needed)
    for one in rest:
        if outcome(fleet, wish, (*needed, Without(host, one))) == host:
            yield (*needed, Without(host, one))
    yield from avoided(fleet, wish, host, needed)


def twos(
    fleet: Fleet, wish: Wish, host: HostId, needed: Changes, rest: list[ContainerId]
) -> Iterator[Changes]:
    """Yield what two further changes do; of two hosts that are to be avoided one wins first."""
    for n, one in enumerate(rest):
        less = (*needed, Without(host, one))
        yield from resized(fleet, wish, host, less)
        for other in rest[n + 1 :] if len(rest) <= PAIRED_MAX else ():
            if outcome(fleet, wish, (*less, Without(host, other))) == host:
                yield (*less, Without(host, other))
        yield from avoided(fleet, wish, host, less)
    first = outcome(fleet, wish, needed)
    if first is not None:
        yield from resized(fleet, wish, host, (*needed, Avoid(first)))
        yield from avoided(fleet, wish, host, (*needed, Avoid(first)))


def many(
    fleet: Fleet, wish: Wish, host: HostId, needed: Changes, rest: list[ContainerId]
) -> Changes | None:
    """Return fewer of: all others avoided that are better, or with ever fewer containers here."""
    cloudlets, disk = lacking(fleet, wish, host, needed)
    room = (Resize(host, cloudlets, disk),) if cloudlets or disk else ()
    others = until_it_wins(fleet, wish, host, (*needed, *room), iter(()))
    fewer = (Without(host, one) for one in rest)
    emptied = until_it_wins(fleet, wish, host, needed, fewer)
    found = [one for one in (others, emptied) if one is not None]
    return min(found, key=len, default=None)


def lacking(fleet: Fleet, wish: Wish, host: HostId, changes: Changes) -> tuple[int, int]:
    """Return the cloudlets and GiB that the host lacks for it with these changes."""
    with changed(fleet, changes):
        now = fleet.hosts[host]
    return max(0, wish.cloudlets - now.free), max(0, wish.disk_gib - now.free_disk)


def until_it_wins(
    fleet: Fleet, wish: Wish, host: HostId, changes: Changes, offered: Iterator[Change]
) -> Changes | None:
    """Take what is offered, then avoid whoever wins, until `host` does."""
    while len(changes) < CHANGES_MAX:
        winner = outcome(fleet, wish, changes)
        if winner == host:
            return changes
        change = next(offered, None) or (Avoid(winner) if winner is not None else None)
        if change is None:
            return None
        changes = (*changes, change)
    return None


def avoided(fleet: Fleet, wish: Wish, host: HostId, changes: Changes) -> Iterator[Changes]:
    """Yield what avoiding the one that wins does."""
    winner = outcome(fleet, wish, changes)
    if winner not in {None, host}:
        more = (*changes, Avoid(HostId(str(winner))))
        if outcome(fleet, wish, more) == host:
            yield more


def resized(fleet: Fleet, wish: Wish, host: HostId, changes: Changes) -> Iterator[Changes]:
    """Yield the least more room with which `host` wins, and the least less."""
    cloudlets, disk = lacking(fleet, wish, host, changes)

    def with_room(way: int, more: int) -> Changes:
        return (*changes, Resize(host, way * more, disk))

    def wins(way: int, more: int) -> bool:
        return outcome(fleet, wish, with_room(way, more)) == host

    most = 100 * max(1, fleet.hosts[host].cloudlets)
    for way in (1, -1):
        least = least_that(partial(wins, way), (max(cloudlets, 0 if disk else 1), most))
        if least is not None:
            yield with_room(way, least)


def least_that(wins: Callable[[int], bool], bounds: tuple[int, int]) -> int | None:
    """Return a number within bounds that wins, the least where all that are larger win, too."""
    low, most = bounds
    if wins(low):
        return low
    high = max(1, 2 * low)
    while not wins(high):
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if wins(middle):
            high = middle
        else:
            low = middle
    return high


def outcome(fleet: Fleet, wish: Wish, changes: Changes) -> HostId | None:
    """Return who would win with these changes; None if nobody can."""
    with changed(fleet, changes):
        found = place(fleet, wish)
    return found.host if isinstance(found, Chosen) else None


@contextmanager
def changed(fleet: Fleet, changes: Changes) -> Generator[None]:
    """Let changes be so during the block."""
    fleet.try_out()
    try:
        for change in changes:
            bring_about(fleet, change)
        yield
    finally:
        fleet.undo()


def bring_about(fleet: Fleet, change: Change) -> None:
    """Let one change be so; whoever calls has said that it is tried out."""
    new = fleet.hosts[change.host]
    match change:
        case Activate():
            new = replace(new, state=HostState.ACTIVE)
        case Avoid():
            new = replace(new, state=HostState.CORDONED)
        case Resize(cloudlets=cloudlets, disk_gib=disk):
            total, space = max(0, new.cloudlets + cloudlets), max(0, new.disk_gib + disk)
            new = replace(new, cloudlets=total, disk_gib=space)
        case Without():
            one = fleet.containers[change.container]
            fleet.put(fleet.containers, one.id, None)
            new = replace(new, used=new.used - held(one), used_disk=new.used_disk - one.disk_gib)
    fleet.put(fleet.hosts, new.id, new)


def held(container: Container) -> int:
    """Return the cloudlets that a host has promised to a container."""
    return container.allocated


def carried(fleet: Fleet, host: HostId) -> list[Container]:
    """Return what is on a host, or on its way there, by their numbers."""
    here = [one for one in fleet.containers.values() if host in (one.host, one.target)]
    return sorted(here, key=lambda one: (len(one.id), one.id))


def without(fleet: Fleet, container: Container) -> None:
    """Take a container away for good: how the fleet would be if it were placed only now."""
    for name in {container.host, container.target} - {None}:
        host = fleet.hosts[HostId(str(name))]
        used, disk = host.used - held(container), host.used_disk - container.disk_gib
        fleet.put(fleet.hosts, host.id, replace(host, used=used, used_disk=disk))
    fleet.put(fleet.containers, container.id, None)
