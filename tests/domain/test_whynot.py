"""Why not that host: what is told to be needed makes it win, and fewer changes would not."""

from collections.abc import Iterator
from itertools import combinations
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.environment import CreateEnvironment, LayerSpec
from domain.fleet import Fleet
from domain.host import CordonHost, HostState
from domain.messages import HostId
from domain.placement import wish_for
from domain.whynot import (
    Activate,
    Avoid,
    Change,
    Resize,
    WhyNot,
    Without,
    carried,
    changed,
    outcome,
    why_not,
    without,
)
from restow.simulation.world import World

H1, H2, H3 = HostId("h01"), HostId("h02"), HostId("h03")
POLICIES: Any = ("spread", "pack", "virtuozzo-loadmark")


def fleet_of(seed: int, hosts: int = 6) -> World:
    """Return a small fleet, made by chance."""
    dice = Random(seed)
    world = World(seed=seed)
    world.hosts(dice.randint(2, hosts))
    for n in range(dice.randint(1, 3)):
        layers = tuple(
            LayerSpec(
                name=name,
                count=dice.randint(1, 3),
                anti_affinity=dice.choice(("soft", "hard")),
                reserved=dice.choice((1, 2, 8)),
                limit=8,
                policy=dice.choice(POLICIES),
            )
            for name in ("cp", "sql")[: dice.randint(1, 2)]
        )
        world.ask(CreateEnvironment(environment=f"e{n}", layers=layers))
    world.settle()
    if dice.random() < 0.5:
        world.ask(CordonHost(host=dice.choice(sorted(world.fleet.hosts)), reason="a fan"))
    return world


def tables(fleet: Fleet) -> dict[str, dict[object, object]]:
    """Return all that is in a fleet, as it is now."""
    return {name: dict(table) for name, table in vars(fleet).items() if isinstance(table, dict)}


def all_of(fleet: Fleet) -> Iterator[WhyNot]:
    """Ask about every host for every layer."""
    for layer in fleet.layers.values():
        for host in sorted(fleet.hosts):
            yield why_not(fleet, wish_for(fleet, layer), host)


@pytest.mark.parametrize("nth", range(25))
def test_with_the_changes_it_wins_and_nothing_is_left_of_them(nth):
    world = fleet_of(nth)
    before = tables(world.fleet)
    for layer in world.fleet.layers.values():
        wish = wish_for(world.fleet, layer)
        for host in sorted(world.fleet.hosts):
            told = why_not(world.fleet, wish, host)
            assert not told.never
            assert outcome(world.fleet, wish, told.changes) == host, told
            assert bool(told.changes) == (told.winner != host)
    assert tables(world.fleet) == before


@pytest.mark.parametrize("nth", range(12))
def test_no_fewer_changes_would_do(nth):
    """Held against every set of changes that is smaller, room of every size among them."""
    world = fleet_of(nth, hosts=3)
    fleet = world.fleet
    for layer in fleet.layers.values():
        wish = wish_for(fleet, layer)
        for host in sorted(fleet.hosts):
            told = why_not(fleet, wish, host)
            if not told.smallest:
                continue
            kinds = (*all_changes(fleet, host), *rooms(fleet, host))
            for size in range(len(told.changes)):
                for changes in combinations(kinds, size):
                    if sum(isinstance(one, Resize) for one in changes) < 2:
                        assert outcome(fleet, wish, changes) != host, (told, changes)


def all_changes(fleet: Fleet, host: HostId) -> Iterator[Change]:
    yield Activate(host)
    yield from (Without(host, one.id) for one in carried(fleet, host))
    yield from (Avoid(other) for other in fleet.hosts if other != host)


def rooms(fleet: Fleet, host: HostId) -> Iterator[Change]:
    total = fleet.hosts[host].cloudlets
    yield from (Resize(host, n) for n in (*range(-12, 13), -total // 2, total, 100 * total))


def three(policy: str = "spread", anti_affinity: str = "soft") -> World:
    """Return three hosts, of which h01 and h02 have a container of shop/app each."""
    world = World(seed=1)
    world.hosts(3)
    spec = LayerSpec(name="app", count=2, policy=policy, anti_affinity=anti_affinity)  # type: ignore[arg-type]
    world.ask(CreateEnvironment(environment="shop", layers=(spec,)))
    world.settle()
    return world


def asked(world: World, host: HostId) -> WhyNot:
    (layer,) = world.fleet.layers.values()
    return why_not(world.fleet, wish_for(world.fleet, layer), host)


def test_the_one_that_wins_needs_nothing():
    world = three()
    free = next(h for h in sorted(world.fleet.hosts) if not carried(world.fleet, h))
    told = asked(world, free)
    assert (told.winner, told.changes, told.smallest) == (free, (), True)
    assert told.why is not None
    assert told.why.policy == "spread"


def test_a_host_that_takes_none_is_to_take_some():
    world = three()
    free = next(h for h in sorted(world.fleet.hosts) if not carried(world.fleet, h))
    world.ask(CordonHost(host=free, reason="a fan"))
    told = asked(world, free)
    assert told.changes == (Activate(free),)
    assert told.objections == (f"host {free} is cordoned",)


def test_a_container_that_must_be_apart_is_to_go_whatever_else():
    world = three(anti_affinity="hard")
    taken = next(h for h in sorted(world.fleet.hosts) if carried(world.fleet, h))
    told = asked(world, taken)
    (one,) = carried(world.fleet, taken)
    assert told.changes[0] == Without(taken, one.id)
    assert "anti-affinity layer app" in told.objections[0]


def test_too_little_room_is_told_in_numbers():
    world = three()
    free = next(h for h in sorted(world.fleet.hosts) if not carried(world.fleet, h))
    host = world.fleet.hosts[free]
    full = replace(host, used=host.cloudlets, used_disk=host.disk_gib)
    world.fleet.put(world.fleet.hosts, free, full)
    told = asked(world, free)
    (room,) = told.changes
    assert isinstance(room, Resize)
    (layer,) = world.fleet.layers.values()
    assert (room.host, room.disk_gib) == (free, layer.spec.disk_gib)
    assert room.cloudlets >= 1
    assert len(told.objections) == 2


def test_where_it_is_to_leave_and_what_was_not_named_is_never():
    world = three()
    (layer,) = world.fleet.layers.values()
    wish = wish_for(world.fleet, layer)
    away = why_not(world.fleet, replace(wish, apart=(H1,)), H1)
    other = why_not(world.fleet, replace(wish, only=(H2,)), H1)
    assert away.never == "h01 is where it is to leave"
    assert other.never == "h01 is not among the hosts that were named"


def test_where_none_fits_there_is_no_winner_and_room_helps():
    world = three()
    for name, host in list(world.fleet.hosts.items()):
        world.fleet.put(world.fleet.hosts, name, replace(host, used=host.cloudlets))
    told = asked(world, H1)
    assert (told.winner, told.why) == (None, None)
    assert isinstance(told.changes[-1], Resize | Without)


def test_a_host_too_small_and_crowded_needs_more_than_emptying():
    """Both of its containers and room: three changes, found though no two would do."""
    world = World(seed=1)
    world.hosts(6)
    spec = LayerSpec(name="app", count=2, reserved=3, limit=3)
    world.ask(CreateEnvironment(environment="shop", layers=(spec,)))
    fleet = world.fleet
    for one in list(fleet.containers.values()):
        fleet.put(fleet.containers, one.id, replace(one, host=H1, allocated=1))
    for name, host in list(fleet.hosts.items()):
        fleet.put(fleet.hosts, name, replace(host, used=0))
    fleet.put(fleet.hosts, H1, replace(fleet.hosts[H1], cloudlets=2, used=2))
    told = asked(world, H1)
    (layer,) = fleet.layers.values()
    assert not told.smallest
    assert len(told.changes) >= 3
    assert outcome(fleet, wish_for(fleet, layer), told.changes) == H1


def test_what_too_many_changes_would_be_needed_for_is_never(monkeypatch):
    monkeypatch.setattr("domain.whynot.CHANGES_MAX", 2)
    seen = [told for seed in range(60) for told in all_of(fleet_of(seed).fleet)]
    never = [told for told in seen if told.never]
    assert never
    assert all("no 2 changes" in told.never and not told.changes for told in never)


def test_a_container_is_taken_away_as_if_it_had_never_been():
    world = three()
    one = next(iter(world.fleet.containers.values()))
    before = world.fleet.hosts[one.host]
    without(world.fleet, one)
    now = world.fleet.hosts[one.host]
    assert one.id not in world.fleet.containers
    assert (now.free, now.free_disk) == (
        before.free + one.allocated,
        before.free_disk + one.disk_gib,
    )


def test_changes_are_taken_back_where_something_breaks():
    world = three()

    def broken() -> None:
        with changed(world.fleet, (Avoid(H1),)):
            assert world.fleet.hosts[H1].state is HostState.CORDONED
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert world.fleet.hosts[H1].state is HostState.ACTIVE
