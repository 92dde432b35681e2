"""What if: under the same policies nothing is different; under others the books are kept."""

from collections.abc import Sequence
from functools import cache

import pytest
from msgspec.structs import replace

from domain.chronicle import evolve
from domain.decider import Commit, Frame
from domain.environment import CreateEnvironment, LayerSpec
from domain.facts import Fact
from domain.fleet import Fleet
from domain.host import RemoveHost
from domain.messages import HostId
from domain.migration import MigrateContainer
from domain.whatif import Tally, WhatIf, skew_of
from domain.wire import decode_frame
from restow.simulation.stories import live
from restow.simulation.world import World
from tests.projections.story import frames_of

POLICIES = ("spread", "pack", "virtuozzo-loadmark")
Commits = Sequence[tuple[int, Commit[Fact]]]


def commits_of(frames: Sequence[Frame[Fact]]) -> Commits:
    commits: list[tuple[int, Commit[Fact]]] = []
    for frame in frames:
        position = frame.position - 1
        for commit in frame.commits:
            position += len(commit.events)
            commits.append((position, commit))
    return commits


@cache
def lived(nth: int) -> Commits:
    """Return what happened in a random world."""
    return commits_of([decode_frame(data) for data in live(nth).journal])


def what_if(commits: Commits, policy: str | None) -> WhatIf:
    what = WhatIf(Fleet(), Fleet(), policy)
    for position, commit in commits:
        what.take(position, commit)
    return what


def tables(fleet: Fleet) -> dict[str, object]:
    return {name: dict(table) for name, table in vars(fleet).items() if isinstance(table, dict)}


@pytest.mark.parametrize("nth", range(16))
def test_under_the_policies_as_they_were_nothing_is_different(nth):
    what = what_if(lived(nth), None)
    tallies = what.ended()
    assert tables(what.other) == tables(what.recorded)
    assert tallies[True] == tallies[False]
    assert (what.different, what.choices) == (0, [])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("nth", range(6))
def test_under_another_the_books_are_kept(nth, policy):
    """What each host holds is what its containers hold; there are the same containers."""
    what = what_if(lived(nth), policy)
    assert what.other.containers.keys() == what.recorded.containers.keys()
    assert what.other.hosts.keys() == what.recorded.hosts.keys()
    held = dict.fromkeys(what.other.hosts, 0)
    for one in what.other.containers.values():
        for host in {one.host, one.target} - {None}:
            held[HostId(str(host))] += one.allocated
    assert held == {name: host.used for name, host in what.other.hosts.items()}
    assert all(layer.spec.policy == policy for layer in what.other.layers.values())


@pytest.mark.parametrize("nth", range(6))
def test_the_policy_that_all_layers_have_changes_nothing(nth):
    commits = commits_of(frames_of(nth))
    assert what_if(commits, "spread").different == 0
    assert what_if(commits, "pack").different > 0


def test_the_record_is_folded_as_it_is():
    fleet = Fleet()
    for _, commit in lived(1):
        for event in commit.events:
            evolve(fleet, event.fact, commit.at)
    assert tables(what_if(lived(1), "pack").recorded) == tables(fleet)


def small(policy: str = "spread") -> World:
    world = World(seed=1)
    world.hosts(3)
    spec = LayerSpec(name="app", count=3, policy=policy)  # type: ignore[arg-type]
    world.ask(CreateEnvironment(environment="shop", layers=(spec,)))
    world.settle()
    return world


def story_of(world: World) -> Commits:
    return commits_of([decode_frame(data) for data in world.journal])


def test_packed_it_needs_fewer_hosts_and_is_more_uneven():
    tallies = what_if(story_of(small()), "pack").ended()
    spread, packed = tallies[True], tallies[False]
    assert (spread.hosts_used, packed.hosts_used) == (3, 1)
    assert (spread.skew_most, packed.skew_most, packed.skew) == (1, 3, 3)
    assert packed.peak_percent > spread.peak_percent
    assert packed.skew_layer == "shop/app"
    assert spread.placed == packed.placed == 3


def test_where_somebody_named_a_host_it_stays():
    world = small()
    one = min(world.fleet.containers.values(), key=lambda one: one.id)
    to = max(name for name in world.fleet.hosts if name != one.host)
    world.ask(MigrateContainer(container=one.id, target=to))
    world.settle()
    what = what_if(story_of(world), "pack")
    assert what.other.containers[one.id].host == to
    assert what.ended()[False].moves == 1


def test_a_host_that_was_empty_when_it_was_removed_is_emptied_here():
    world = small("pack")
    empty = max(name for name, host in world.fleet.hosts.items() if not host.containers)
    world.ask(RemoveHost(host=empty))
    world.settle()
    what = what_if(story_of(world), "spread")
    assert empty not in what.other.hosts
    assert all(one.host != empty for one in what.other.containers.values())
    assert what.ended()[False].moves == 1


def test_what_has_no_place_is_refused_and_goes_where_it_was():
    """Hard apart under the record; the other fleet's hosts are made too small for a choice."""
    commits = story_of(small())
    what = WhatIf(Fleet(), Fleet(), "pack")
    placing = next(n for n, (_, c) in enumerate(commits) if c.command == "environment.create")
    for position, commit in commits[:placing]:
        what.take(position, commit)
    for name, host in list(what.other.hosts.items()):
        what.other.put(what.other.hosts, name, replace(host, cloudlets=0))
    for position, commit in commits[placing:]:
        what.take(position, commit)
    assert what.ended()[False].refused == 3
    assert {one.other for one in what.choices} == {""}
    assert [one.host for one in what.other.containers.values()] == [
        one.host for one in what.recorded.containers.values()
    ]


def from_here_on(commits: Commits, begun: int, policy: str) -> WhatIf:
    """Begin at a moment at which there is something already; on the other side no host has room."""
    fleets = Fleet(), Fleet()
    for fleet in fleets:
        for _, commit in commits[:begun]:
            for event in commit.events:
                evolve(fleet, event.fact, commit.at)
    what = WhatIf(*fleets, policy)
    for name, host in list(what.other.hosts.items()):
        what.other.put(what.other.hosts, name, replace(host, cloudlets=0))
    for position, commit in commits[begun:]:
        what.take(position, commit)
    return what


def test_a_move_without_a_place_to_go_to_is_none():
    world = small()
    begun = len(story_of(world))
    one = min(world.fleet.containers.values(), key=lambda one: one.id)
    world.ask(MigrateContainer(container=one.id))
    world.settle()
    what = from_here_on(story_of(world), begun, "spread")
    tallies = what.ended()
    assert (tallies[True].moves, tallies[False].moves, tallies[False].refused) == (1, 0, 1)
    assert what.other.containers[one.id].host == one.host
    assert what.other.containers[one.id].migration is None


def test_what_cannot_be_emptied_is_refused():
    world = small("pack")
    begun = len(story_of(world))
    empty = max(name for name, host in world.fleet.hosts.items() if not host.containers)
    one = min(world.fleet.containers.values(), key=lambda one: one.id)
    world.ask(RemoveHost(host=empty))
    world.settle()
    commits = story_of(world)
    fleets = Fleet(), Fleet()
    for fleet in fleets:
        for _, commit in commits[:begun]:
            for event in commit.events:
                evolve(fleet, event.fact, commit.at)
    what = WhatIf(*fleets, None)
    for name, host in list(what.other.hosts.items()):
        what.other.put(what.other.hosts, name, replace(host, cloudlets=0))
    moved = replace(what.other.containers[one.id], host=empty)
    what.other.put(what.other.containers, one.id, moved)
    for position, commit in commits[begun:]:
        what.take(position, commit)
    assert what.ended()[False].refused == 1


def test_an_empty_fleet_has_no_skew():
    assert skew_of(Fleet(), ()) == 0
    assert WhatIf(Fleet(), Fleet(), None).ended() == {True: Tally(), False: Tally()}
