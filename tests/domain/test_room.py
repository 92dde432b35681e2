"""Making room: the chain that is found is possible, none is cheaper, and without one it is proven.

The reference tries every order of every set of moves of a small fleet, cheapest first.
"""

from heapq import heappop, heappush

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain import room
from domain.chronicle import evolve
from domain.container import ContainerPlaced, ContainerStarted, Placing
from domain.environment import EnvironmentCreated, LayerAdded, LayerSpec
from domain.fleet import Fleet
from domain.ground import WIDTH, Moves, Need, NoRoom
from domain.host import HostCordoned, HostRegistered
from domain.messages import ContainerId, EnvironmentId, HostId, Instant, LayerName, MigrationId
from domain.migration import MigrationRequested
from domain.room import MOVES_MAX, make_room

AT = Instant(1_700_000_000_000)
SHOP = EnvironmentId("shop")
WHY = Placing("spread", 1, 1)
H1 = HostId("h1")


def fleet_of(capacities, containers, cordoned=(), disk_gib=100):
    """Return a fleet of hosts h1, h2 … and containers (host, cloudlets, disk, layer or "")."""
    fleet = Fleet()
    for number, cloudlets in enumerate(capacities, 1):
        name = HostId(f"h{number}")
        evolve(fleet, HostRegistered(name, cloudlets, disk_gib, 0, 0), AT)
        if number in cordoned:
            evolve(fleet, HostCordoned(name), AT)
    evolve(fleet, EnvironmentCreated(SHOP, "restow.internal"), AT)
    for number, (host, cloudlets, disk, apart) in enumerate(containers, 1):
        label = LayerName(apart or f"alone{number}")
        spec = LayerSpec(name=label, anti_affinity="hard" if apart else "soft")
        if (SHOP, label) not in fleet.layers:
            evolve(fleet, LayerAdded(SHOP, label, spec), AT)
        one = ContainerId(f"node{number}")
        placed = ContainerPlaced(
            one,
            SHOP,
            label,
            number,
            HostId(f"h{host}"),
            cloudlets,
            cloudlets,
            disk,
            one,
            "10.0.0.1",
            WHY,
        )
        evolve(fleet, placed, AT)
        evolve(fleet, ContainerStarted(one), AT)
    return fleet


class Small:
    """A small fleet for the reference: where everybody is, and what is free."""

    def __init__(self, fleet, need):
        self.fleet, self.need = fleet, need
        self.start = {one.id: one.host for one in fleet.containers.values()}

    def free(self, where, host):
        here = [self.fleet.containers[name] for name, at in where.items() if at == host]
        known = self.fleet.hosts[host]
        return (
            known.cloudlets - sum(one.allocated for one in here),
            known.disk_gib - sum(one.disk_gib for one in here),
        )

    def fits(self, where, name, host):
        one = self.fleet.containers[name]
        cloudlets, disk = self.free(where, host)
        layer = self.fleet.layers[one.environment, one.layer]
        mates = set(layer.containers) - {name} if layer.spec.anti_affinity == "hard" else set()
        apart = all(where[mate] != host for mate in mates)
        open_ = self.fleet.hosts[host].state == "active"
        return open_ and apart and cloudlets >= one.allocated and disk >= one.disk_gib

    def done(self, where):
        cloudlets, disk = self.free(where, self.need.host)
        return cloudlets >= self.need.cloudlets and disk >= self.need.disk_gib

    def cheapest(self):
        """Return the least cost of any chain, None if there is none."""
        frontier, order, seen = [((0, 0), 0, self.start)], 0, set()
        while frontier:
            cost, _, where = heappop(frontier)
            if self.done(where):
                return cost
            moved = {name for name, host in where.items() if host != self.start[name]}
            key = tuple(where.items())
            if key in seen or len(moved) == MOVES_MAX:
                continue
            seen.add(key)
            for name in set(where) - moved - self.need.stay:
                for host in self.fleet.hosts:
                    if host != where[name] and self.fits(where, name, host):
                        order += 1
                        more = self.fleet.containers[name].allocated
                        then = (cost[0] + more, cost[1] + 1)
                        heappush(frontier, (then, order, where | {name: host}))
        return None

    def check(self, moves):
        """Go through a chain: every step is possible, nobody moves twice, and then it is done."""
        where = dict(self.start)
        assert len({move.container for move in moves}) == len(moves)
        for move in moves:
            assert where[move.container] == move.source
            assert move.container not in self.need.stay
            assert self.fits(where, move.container, move.target)
            where[move.container] = move.target
        assert self.done(where)


def regions(hosts, containers):
    one = st.tuples(
        st.integers(1, hosts), st.integers(1, 6), st.integers(0, 2), st.sampled_from(["", "", "s"])
    )
    return st.tuples(
        st.lists(st.integers(4, 12), min_size=hosts, max_size=hosts),
        st.lists(one, min_size=1, max_size=containers),
        st.sampled_from([(), (), (1,), (2,)]),
        st.integers(3, 8),
    )


def built(region):
    """Return the fleet, or leave the example: hosts that are too full, mates that share one."""
    capacities, containers, cordoned, disk = region
    mates = [host for host, _, _, apart in containers if apart]
    assume(len(mates) == len(set(mates)))
    fleet = fleet_of(capacities, containers, cordoned, disk)
    assume(all(host.free >= 0 and host.free_disk >= 0 for host in fleet.hosts.values()))
    return fleet


@given(
    st.integers(2, 4).flatmap(lambda hosts: regions(hosts, 6)),
    st.integers(1, 12),
    st.integers(0, 3),
    st.booleans(),
)
def test_on_small_fleets_it_is_what_trying_everything_finds(region, cloudlets, disk, stays):
    fleet = built(region)
    stay = frozenset({ContainerId("node1")}) if stays else frozenset()
    need = Need(H1, cloudlets, disk, (), stay)
    small = Small(fleet, need)

    found = make_room(fleet, need)

    best = small.cheapest()
    if isinstance(found, Moves):
        small.check(found.moves)
        assert found.cost == best
        assert found.cheapest
    else:
        assert best is None
        assert found.proven, found


@given(st.integers(2, 3).flatmap(lambda hosts: regions(hosts, 5)), st.integers(4, 12))
def test_at_least_so_much_is_missing_and_what_was_searched_is_exact(region, cloudlets):
    fleet = built(region)
    found = make_room(fleet, Need(H1, cloudlets))

    possible = [n for n in range(cloudlets + 1) if Small(fleet, Need(H1, n)).cheapest() is not None]

    short = cloudlets - max(possible)
    if isinstance(found, Moves):
        assert short == 0
    elif "live moves or fewer" in found.why:
        assert found.missing == short
    else:
        assert 0 < found.missing <= short


def test_no_move_where_there_is_room():
    assert make_room(fleet_of([4], [(1, 1, 0, "")]), Need(H1, 3)) == Moves((), 0, cheapest=True)


def test_the_fewest_cloudlets_move_then_the_fewest_containers():
    fleet = fleet_of([8, 8], [(1, 5, 0, ""), (1, 2, 0, ""), (1, 1, 0, "")])

    two = make_room(fleet, Need(H1, 2))
    three = make_room(fleet, Need(H1, 3))

    assert isinstance(two, Moves)
    assert isinstance(three, Moves)
    assert [move.container for move in two.moves] == ["node2"]
    assert three.cost == (3, 2)


def test_a_move_may_need_room_made_on_its_target():
    fleet = fleet_of([4, 4, 2], [(1, 4, 0, ""), (2, 2, 0, "")])

    found = make_room(fleet, Need(H1, 1))

    assert isinstance(found, Moves)
    assert [(m.container, m.target) for m in found.moves] == [("node2", "h3"), ("node1", "h2")]


def test_mates_of_a_hard_group_never_meet():
    fleet = fleet_of([5, 5], [(1, 4, 0, "s"), (2, 1, 0, "s")])

    found = make_room(fleet, Need(H1, 2))

    assert isinstance(found, NoRoom)
    assert found.missing == 1
    assert found.proven


def test_what_moves_already_or_does_not_run_stays():
    fleet = fleet_of([4, 4], [(1, 2, 0, ""), (1, 2, 0, "")])
    moving = MigrationRequested(
        MigrationId("mv1"), ContainerId("node1"), H1, HostId("h2"), 1_000, AT
    )
    evolve(fleet, moving, AT)

    found = make_room(fleet, Need(H1, 4))

    assert found == NoRoom(2, "4 cloudlets must leave h1, only 2 may move", proven=True)


def test_too_little_free_elsewhere_is_proof_enough():
    fleet = fleet_of([4, 4], [(1, 4, 0, ""), (2, 3, 0, "")])

    found = make_room(fleet, Need(H1, 2))

    assert found == NoRoom(1, "2 cloudlets must leave h1, all other hosts have 1 free", proven=True)


def test_a_search_that_gives_up_says_so(monkeypatch):
    fleet = fleet_of([4, 4, 2], [(1, 4, 0, ""), (2, 2, 0, "")])
    monkeypatch.setattr(room, "LOOKS_MAX", 1)

    found = make_room(fleet, Need(H1, 1))

    assert isinstance(found, NoRoom)
    assert not found.proven


@pytest.mark.parametrize("active", [2, WIDTH + 4])
def test_a_chain_that_costs_the_least_possible_is_known_to_be_cheapest(active):
    fleet = fleet_of([4] * active, [(1, 2, 0, ""), (1, 2, 0, "")])

    found = make_room(fleet, Need(H1, 1))

    assert isinstance(found, Moves)
    assert found.cost == (2, 1)
    assert found.cheapest
