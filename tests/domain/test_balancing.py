"""Plans of rebalances: each move is possible and evens by itself; on small fleets none are better.

The reference tries every order of moves of every container, and reckons each fleet from scratch.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain import balancing
from domain.balancing import Wanted, balance
from domain.chronicle import evolve
from domain.container import ContainerPlaced, ContainerStarted, Placing
from domain.environment import EnvironmentCreated, LayerAdded, LayerSpec
from domain.evenness import LOAD_GAP
from domain.fleet import Fleet
from domain.host import HostCordoned, HostRegistered
from domain.messages import ContainerId, EnvironmentId, HostId, Instant, LayerName, MigrationId
from domain.migration import MigrationRequested
from domain.rebalance import Goal, Scope

AT = Instant(1_700_000_000_000)
WHY = Placing("spread", 1, 1)
ZONES = "aab"
GROUPS = {"near": "soft", "far": "hard"}

APP = ("shop", "app", "soft", (), "spread")
SQL = ("shop", "sql", "hard", (), "spread")
WEB = ("blog", "web", "soft", ("near",), "spread")
API = ("blog", "api", "soft", ("near", "far"), "spread")
LOG = ("blog", "log", "soft", (), "pack")
KINDS = (APP, SQL, WEB, API, LOG)


def fleet_of(capacities, containers, cordoned=()):
    """Return a fleet of hosts h1, h2 … and containers (host, cloudlets, kind of layer)."""
    fleet = Fleet()
    for number, cloudlets in enumerate(capacities, 1):
        name = HostId(f"h{number}")
        zone = {"zone": ZONES[number % len(ZONES)]}
        evolve(fleet, HostRegistered(name, cloudlets, 100, 0, 0, zone), AT)
        if number in cordoned:
            evolve(fleet, HostCordoned(name), AT)
    for environment in ("shop", "blog"):
        made = EnvironmentCreated(EnvironmentId(environment), "restow.internal", groups=GROUPS)
        evolve(fleet, made, AT)
    for number, (host, cloudlets, kind) in enumerate(containers, 1):
        environment, layer, affinity, groups, policy = kind
        key = (EnvironmentId(environment), LayerName(layer))
        spec = LayerSpec(name=layer, anti_affinity=affinity, groups=groups, policy=policy)
        if key not in fleet.layers:
            evolve(fleet, LayerAdded(*key, spec), AT)
        one, at = ContainerId(f"node{number}"), HostId(f"h{host}")
        size = (cloudlets, cloudlets, 1)
        evolve(fleet, ContainerPlaced(one, *key, number, at, *size, one, "10.0.0.1", WHY), AT)
        evolve(fleet, ContainerStarted(one), AT)
    return fleet


class Reference:
    """A small fleet: where everybody is, and how even that is, each time from scratch."""

    def __init__(self, fleet, goal, scope):
        self.fleet, self.goal, self.scope = fleet, goal, scope
        self.start = {one.id: one.host for one in fleet.containers.values()}

    def measure(self, where):
        """Return the sums of squares: hosts, zones, mates, environment, its zones, load."""
        counts: list[Counter[Any]] = [Counter() for _ in range(5)]
        used: Counter[HostId] = Counter()
        for name, host in where.items():
            one = self.fleet.containers[name]
            zone, layer = self.fleet.hosts[host].zone, (one.environment, one.layer)
            counts[0][layer, host] += 1
            counts[1][layer, zone] += 1
            counts[3][one.environment, host] += 1
            counts[4][one.environment, zone] += 1
            used[host] += one.allocated
            for group in self.fleet.layers[layer].spec.groups:
                if GROUPS[group] == "soft":
                    counts[2][one.environment, group, host] += 1
        load = sum(used[h.id] ** 2 * 1_000 // h.cloudlets for h in self.fleet.hosts.values())
        return (*(sum(n * n for n in count.values()) for count in counts), load)

    def takes(self, host):
        named = not self.scope.hosts or host.id in self.scope.hosts
        zoned = not self.scope.zone or host.zone == self.scope.zone
        return host.state == "active" and named and zoned

    def load(self, where, host):
        here = [self.fleet.containers[name] for name, at in where.items() if at == host.id]
        return sum(one.allocated for one in here)

    def fits(self, where, name, host):
        one = self.fleet.containers[name]
        far = set(self.hard(one))
        others = (self.fleet.containers[n] for n, at in where.items() if at == host.id)
        apart = not any(far & set(self.hard(other)) for other in others)
        return apart and host.cloudlets - self.load(where, host) >= one.allocated

    def hard(self, one):
        spec = self.fleet.layers[one.environment, one.layer].spec
        own = [(one.environment, spec.name)] if spec.anti_affinity == "hard" else []
        return own + [(one.environment, name) for name in spec.groups if GROUPS[name] == "hard"]

    def moves(self, where):
        """Give every move that is possible and worth it: the container, the host, where all are."""
        before = self.measure(where)
        for name, at in where.items():
            one, source = self.fleet.containers[name], self.fleet.hosts[at]
            packed = self.fleet.layers[one.environment, one.layer].spec.policy == "pack"
            mine = self.scope.environment in (None, one.environment)
            if packed or not mine or not self.takes(source):
                continue
            for host in self.fleet.hosts.values():
                if host.id == at or not self.takes(host) or not self.fits(where, name, host):
                    continue
                after = where | {name: host.id}
                if self.is_worth(before, self.measure(after), where, source, host):
                    yield name, host.id, after

    def is_worth(self, before, after, where, source, host):
        spread = after[:5] < before[:5]
        gap = self.load(where, source) * 100 // source.cloudlets
        gap -= self.load(where, host) * 100 // host.cloudlets
        lighter = after[5] < before[5] and gap >= LOAD_GAP
        if self.goal is Goal.SPREAD:
            return spread
        if self.goal is Goal.LOAD:
            return lighter and after[:5] <= before[:5]
        return spread or (lighter and after[:5] == before[:5])

    def value(self, where):
        """Return what plans are compared by; less is better."""
        now = self.measure(where)
        moved = [name for name, host in where.items() if host != self.start[name]]
        cloudlets = sum(self.fleet.containers[name].allocated for name in moved)
        measured = (now[5], *now[:5]) if self.goal is Goal.LOAD else now
        return measured, cloudlets, len(moved)

    def best(self, budget):
        """Return the value of the best plan there is."""
        seen, frontier = {tuple(self.start.items())}, [self.start]
        found = self.value(self.start)
        for _ in range(budget):
            following = []
            for where in frontier:
                for name, _, after in self.moves(where):
                    key = tuple(after.items())
                    if where[name] == self.start[name] and key not in seen:
                        seen.add(key)
                        following.append(after)
                        found = min(found, self.value(after))
            frontier = following
        return found

    def play(self, moves):
        """Go through a plan: every step is possible and worth it; return where all are then."""
        where = dict(self.start)
        assert len({move.container for move in moves}) == len(moves)
        for move in moves:
            assert where[move.container] == move.source
            possible = {(name, host): after for name, host, after in self.moves(where)}
            where = possible[move.container, move.target]
        return where


def regions(hosts, containers):
    one = st.tuples(st.integers(1, hosts), st.integers(1, 3), st.sampled_from(KINDS))
    return st.tuples(
        st.lists(st.integers(4, 14), min_size=hosts, max_size=hosts),
        st.lists(one, min_size=1, max_size=containers),
        st.sampled_from([(), (), (1,), (2,)]),
    )


scopes = st.builds(
    Scope,
    environment=st.sampled_from([None, None, EnvironmentId("shop")]),
    hosts=st.sampled_from([(), (), (HostId("h1"), HostId("h2"))]),
    zone=st.sampled_from(["", "", "a"]),
)
goals = st.sampled_from(list(Goal))


def built(region):
    """Return the fleet, or leave the example: hosts that are too full, mates that share one."""
    fleet = fleet_of(*region)
    assume(all(host.free >= 0 for host in fleet.hosts.values()))
    apart = Reference(fleet, Goal.BOTH, Scope())
    hard = [
        (host, group)
        for name, host in apart.start.items()
        for group in apart.hard(fleet.containers[name])
    ]
    assume(len(hard) == len(set(hard)))
    return fleet


@given(regions(3, 5), st.integers(1, 3), goals, scopes)
def test_on_small_fleets_no_plan_is_better(region, budget, goal, scope):
    fleet = built(region)
    reference = Reference(fleet, goal, scope)

    found = balance(fleet, Wanted(budget, goal, scope))

    assert found.best
    assert len(found.moves) <= budget
    assert reference.value(reference.play(found.moves)) == reference.best(budget)
    assert bool(found.why) == (not found.moves)


@given(regions(6, 16), st.integers(1, 8), goals, scopes, st.booleans())
def test_every_move_is_possible_and_evens_by_itself(region, budget, goal, scope, large):
    fleet = built(region)
    reference = Reference(fleet, goal, scope)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(balancing, "LOOKS_MAX", 300)
        if large:
            patch.setattr(balancing, "SMALL", 2)

        found = balance(fleet, Wanted(budget, goal, scope))

    assert len(found.moves) <= budget
    reference.play(found.moves)
    assert found.after.uneven <= found.before.uneven
    assert found.after.skew <= found.before.skew


@given(regions(5, 10), goals)
def test_equal_fleets_give_equal_plans_and_stay_as_they_are(region, goal):
    fleet, again = built(region), built(region)
    wanted = Wanted(6, goal, Scope())

    found = balance(fleet, wanted)

    assert found == balance(fleet, wanted) == balance(again, wanted)
    assert {one.id: one.host for one in fleet.containers.values()} == Reference(
        again, goal, Scope()
    ).start


@given(regions(5, 8), goals)
def test_what_is_as_even_as_it_gets_is_left_alone(region, goal):
    fleet = built(region)
    wanted = Wanted(100, goal, Scope())
    for move in balance(fleet, wanted).moves:
        go(fleet, move)

    more = balance(fleet, wanted)

    if more.moves:  # who moved once may move again in a new plan, and only for the better
        before = Reference(fleet, goal, Scope())
        assert before.value(before.play(more.moves))[0] < before.value(before.start)[0]


def go(fleet, move):
    """Let a container be where it was to go."""
    one = fleet.containers[move.container]
    for host, sign in ((one.host, -1), (move.target, 1)):
        old = fleet.hosts[host]
        new = replace(
            old,
            used=old.used + sign * one.allocated,
            used_disk=old.used_disk + sign * one.disk_gib,
            containers=old.containers + sign,
        )
        fleet.put(fleet.hosts, host, new)
    fleet.put(fleet.containers, one.id, replace(one, host=move.target))


class TestPlan:
    def test_a_layer_on_one_host_is_spread(self):
        fleet = fleet_of([16, 16, 16], [(1, 2, APP)] * 3)

        found = balance(fleet, Wanted(10, Goal.BOTH, Scope()))

        assert {(move.source, move.target) for move in found.moves} == {("h1", "h2"), ("h1", "h3")}
        assert (found.before.uneven, found.before.skew) == (1, 3)
        assert (found.after.uneven, found.after.skew) == (0, 0)
        assert (found.before.least, found.before.most) == (0, 37)
        assert (found.after.least, found.after.most) == (12, 12)

    def test_of_as_even_plans_the_one_that_moves_least(self):
        fleet = fleet_of([16, 16], [(1, 3, APP), (1, 1, APP)])

        (move,) = balance(fleet, Wanted(10, Goal.SPREAD, Scope())).moves

        assert move.container == "node2"

    def test_the_budget_is_spent_where_it_evens_most(self):
        fleet = fleet_of([32, 32], [(1, 1, APP)] * 4 + [(1, 1, WEB)] * 2)

        (move,) = balance(fleet, Wanted(1, Goal.SPREAD, Scope())).moves

        assert fleet.containers[move.container].layer == "app"

    def test_packed_layers_stay(self):
        fleet = fleet_of([16, 16], [(1, 2, LOG)] * 4)

        found = balance(fleet, Wanted(10, Goal.BOTH, Scope()))

        assert found.moves == ()
        assert "no single move of what may move now makes it more even" in found.why

    def test_hosts_nearly_alike_in_load_are_left_alone(self):
        near = fleet_of([100, 100], [(1, 5, APP), (1, 30, SQL), (2, 30, WEB)])
        far = fleet_of([100, 100], [(1, 6, APP), (1, 35, SQL), (2, 30, WEB)])

        assert balance(near, Wanted(10, Goal.LOAD, Scope())).moves == ()
        assert len(balance(far, Wanted(10, Goal.LOAD, Scope())).moves) == 1

    def test_where_there_is_no_room_it_says_so(self):
        fleet = fleet_of([16, 3], [(1, 4, APP)] * 3)

        found = balance(fleet, Wanted(10, Goal.SPREAD, Scope()))

        assert found.moves == ()
        assert "3 containers would make it more even elsewhere" in found.why

    def test_one_host_alone_cannot_be_evened(self):
        found = balance(fleet_of([16], [(1, 4, APP)]), Wanted(10, Goal.BOTH, Scope()))

        assert "1 hosts of the scope take containers; two are needed" in found.why

    def test_who_moves_already_counts_where_it_arrives_and_stays_out_of_the_plan(self):
        fleet = fleet_of([16, 16], [(1, 2, APP)] * 3)
        evolve(fleet, moving("node1"), AT)

        moves = balance(fleet, Wanted(10, Goal.BOTH, Scope())).moves

        assert [move.container for move in moves] == ["node2"]

    def test_too_much_to_try_is_said(self, monkeypatch):
        monkeypatch.setattr(balancing, "LOOKS_MAX", 3)
        fleet = fleet_of([16, 16, 16], [(1, 2, APP), (1, 1, WEB), (1, 1, API)] * 2)

        found = balance(fleet, Wanted(10, Goal.BOTH, Scope()))

        assert found.moves
        assert not found.best


def moving(name):
    return MigrationRequested(
        MigrationId("mv1"), ContainerId(name), HostId("h1"), HostId("h2"), 30_000, AT
    )
