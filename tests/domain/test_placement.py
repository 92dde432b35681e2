"""Placement: what holds of every choice, and what each policy chooses."""

import numpy as np
import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from domain.container import Placing
from domain.decider import Ask
from domain.environment import LayerKey
from domain.fleet import Fleet
from domain.host import Host, HostState, RateHost
from domain.invariants import broken
from domain.messages import AskId, Code, Command, HostId, Refusal
from domain.occupancy import GROWTH, LOAD_STEPS, Occupancy, groups_of, load_mark, occupancy
from domain.placement import LOSERS, Wish, objection, place, reluctance, wish_for
from domain.region import Region
from restow.simulation.world import state_of
from tests.domain.fleets import POLICIES, Quick, histories
from tests.examples import accepted, given, host, hosts, refused, shop


def wishes(fleet: Fleet) -> list[Wish]:
    """Return what may be wished for in a fleet: one more of each layer, another home for each."""
    more = [wish_for(fleet, layer) for layer in fleet.layers.values()]
    members = fleet.containers.values()
    homes = [wish_for(fleet, fleet.layers[c.environment, c.layer], c) for c in members]
    return [*more, *homes]


def here(fleet: Fleet, key: LayerKey | None, host_: Host, environment: str = "") -> int:
    """Return how many containers of a layer (or environment) are on a host or on their way."""
    return sum(
        host_.id in {c.host, c.target}
        for c in fleet.containers.values()
        if (c.environment, c.layer) == key or c.environment == environment
    )


def members(fleet: Fleet, group: tuple[str, str], host_: Host) -> int:
    """Return how many containers of a group are on a host or on their way there."""
    return sum(
        host_.id in {c.host, c.target}
        for c in fleet.containers.values()
        if any(key == group for key, _ in groups_of(fleet, (c.environment, c.layer)))
    )


def fits(fleet: Fleet, wish: Wish, host_: Host) -> bool:
    """Say whether a host can take what is wished for, as plainly as can be."""
    return (
        host_.state is HostState.ACTIVE
        and host_.id not in wish.apart
        and host_.free >= wish.cloudlets
        and host_.free_disk >= wish.disk_gib
        and not any(members(fleet, group, host_) for group in wish.hard)
    )


def score(fleet: Fleet, wish: Wish, host_: Host) -> tuple[int, ...]:
    """Return what a policy counts, smaller is better, as plainly as can be."""
    zone = [one for one in fleet.hosts.values() if one.zone == host_.zone]
    mates = sum(members(fleet, group, host_) for group in wish.soft)
    name = wish.key[0]
    match wish.policy:
        case "spread":
            load = min(host_.used * LOAD_STEPS // host_.cloudlets, LOAD_STEPS)
            return (
                here(fleet, wish.key, host_),
                sum(here(fleet, wish.key, one) for one in zone),
                mates,
                here(fleet, None, host_, name),
                sum(here(fleet, None, one, name) for one in zone),
                load,
            )
        case "pack":
            return (mates, host_.free, host_.free_disk)
        case _:
            return (here(fleet, wish.key, host_), load_mark(host_))


class TestEveryChoice:
    @any_of(histories)
    def test_is_the_best_by_a_plain_reckoning(self, history: list[Command]) -> None:
        fleet = Quick().live(history).region.fleet

        for wish in wishes(fleet):
            feasible = [one for one in fleet.hosts.values() if fits(fleet, wish, one)]
            chosen = place(fleet, wish)
            if isinstance(chosen, Refusal):
                assert not feasible
                continue
            ranked = sorted(feasible, key=lambda one: (*score(fleet, wish, one), one.id))
            assert chosen.host == ranked[0].id
            assert chosen.why.score == score(fleet, wish, ranked[0])
            losers = [(one.id, score(fleet, wish, one)) for one in ranked[1 : LOSERS + 1]]
            assert list(chosen.why.losers) == losers

    @any_of(histories)
    def test_is_explained_and_the_counts_add_up(self, history: list[Command]) -> None:
        fleet = Quick().live(history).region.fleet

        for wish in wishes(fleet):
            chosen = place(fleet, wish)
            if isinstance(chosen, Refusal):
                objections = chosen.facts["objections"]
                assert isinstance(objections, dict)
                assert sum(objections.values()) == chosen.facts["hosts"] == len(fleet.hosts)
            else:
                counted = chosen.why.feasible + sum(chosen.why.objections.values())
                assert counted == chosen.why.hosts == len(fleet.hosts)

    @any_of(histories)
    def test_is_the_same_in_an_equal_fleet(self, history: list[Command]) -> None:
        first, second = Quick().live(history), Quick().live(history)

        assert state_of(first.region) == state_of(second.region)

    @any_of(histories)
    def test_never_breaks_what_must_be_true(self, history: list[Command]) -> None:
        quick = Quick()

        for command in history:
            quick.ask(command)
            quick.start()
            assert broken(quick.region.fleet) == ()

    @any_of(histories)
    def test_of_a_named_host_is_refused_exactly_where_it_does_not_fit(
        self, history: list[Command]
    ) -> None:
        fleet = Quick().live(history).region.fleet

        for wish in wishes(fleet):
            for one in fleet.hosts.values():
                against = reluctance(fleet, wish, one.id) or objection(fleet, wish, one.id)
                assert fits(fleet, wish, one) == (not against)


class TestTheIndex:
    def same(self, one: Occupancy, other: Occupancy) -> None:
        """Check that two indexes say the same of every host, wherever they keep it."""
        assert {h: row(one, h) for h in one.hosts if alive(one, h)} == {
            h: row(other, h) for h in other.hosts if alive(other, h)
        }
        assert counts(one) == counts(other)
        assert one.known == other.known

    @any_of(histories)
    def test_told_of_every_change_it_is_as_if_built_now(self, history: list[Command]) -> None:
        region = Region()
        quick = Quick()
        quick.region = region
        occupancy(region.fleet)

        quick.live(history)

        self.same(occupancy(region.fleet), Occupancy(region.fleet))

    @any_of(histories)
    def test_after_what_was_refused_or_only_planned_it_is_as_before(
        self, history: list[Command]
    ) -> None:
        quick = Quick()
        for command in history:
            before = state_of(quick.region)
            quick.region.plan(Ask(AskId("p"), command), quick.region.at)
            assert state_of(quick.region) == before
            quick.ask(command)

        self.same(occupancy(quick.region.fleet), Occupancy(quick.region.fleet))

    def test_it_grows_with_the_fleet(self) -> None:
        quick = Quick()
        for number in range(GROWTH + 2):
            quick.ask(host(f"h{number:05}", zone=f"z{number % 7}"))
            if number == 1:
                occupancy(quick.region.fleet)

        index = occupancy(quick.region.fleet)

        assert index.known == GROWTH + 2
        self.same(index, Occupancy(quick.region.fleet))

    def test_a_host_that_came_and_went_unseen_leaves_no_trace(self) -> None:
        scene = given(host("h1"))
        index = occupancy(scene.fleet)

        index.host_changed(HostId("h9"), None)

        assert occupancy(scene.fleet).known == 1


def alive(index: Occupancy, name: HostId) -> bool:
    return name in index._fleet.hosts  # noqa: SLF001 - a look inside


def row(index: Occupancy, name: HostId) -> tuple[object, ...]:
    """Return what an index says of a host; zones by their names."""
    at = index.place[name]
    zones = {number: zone for zone, number in index.zones.items()}
    state, free, disk, zone, load, mark = (int(n) for n in index.columns[:6, at])
    return (state, free, disk, zones[zone], load, mark)


def counts(index: Occupancy) -> dict[object, dict[HostId, int]]:
    """Return every count that is not zero."""
    kinds = (index.layers, index.environments, index.groups)
    tables = [item for tables in kinds for item in tables.items()]
    named = {key: {index.hosts[at]: count for at, count in table.items()} for key, table in tables}
    return {key: table for key, table in named.items() if table}


class TestSpread:
    @any_of(st.integers(1, 4), st.integers(1, 4), st.integers(1, 30), st.sampled_from(POLICIES[:1]))
    def test_skew_is_at_most_one_over_hosts_then_over_zones(
        self, zones: int, each: int, count: int, policy: str
    ) -> None:
        fleet = Quick().live([*hosts(zones * each, zones), shop(count, policy=policy)]).region.fleet

        on_hosts = [one.containers for one in fleet.hosts.values()]
        assert max(on_hosts) - min(on_hosts) <= 1
        per_zone: dict[str, int] = {}
        for one in fleet.hosts.values():
            per_zone[one.zone] = per_zone.get(one.zone, 0) + one.containers
        assert max(per_zone.values()) - min(per_zone.values()) <= 1

    @any_of(st.lists(st.integers(1, 12), min_size=2, max_size=6), st.integers(2, 20))
    def test_over_hosts_with_room_the_skew_is_at_most_one(
        self, rooms: list[int], count: int
    ) -> None:
        fleet = [host(f"h{n}", zone=f"z{n}", cloudlets=room) for n, room in enumerate(rooms)]
        quick = Quick().live([*fleet, shop(min(count, sum(rooms)))])

        fleet_now = quick.region.fleet.hosts.values()
        least = min((one.containers for one in fleet_now if one.free), default=count)
        assert all(one.containers <= least + 1 for one in fleet_now)

    def test_a_less_loaded_host_wins_a_tie(self) -> None:
        scene = given([host("h1", cloudlets=8), host("h2", cloudlets=16)])
        accepted(scene.ask(shop(2, reserved=4)))

        wish = wish_for(scene.fleet, next(iter(scene.fleet.layers.values())))
        chosen = place(scene.fleet, wish)

        assert not isinstance(chosen, Refusal)
        assert chosen.host == "h2"

    def test_a_tie_ends_at_the_id(self) -> None:
        scene = given([host(name) for name in ("h3", "h1", "h2")], shop(1))

        assert scene.container("node1").host == "h1"


class TestPack:
    def test_the_fullest_host_that_fits_is_filled_first(self) -> None:
        fleet = [host("h1", cloudlets=20), host("h2", cloudlets=3), host("h3", cloudlets=8)]
        scene = given(fleet, shop(6, policy="pack", reserved=2))

        used = {one.id: one.containers for one in scene.fleet.hosts.values()}
        assert used == {"h1": 1, "h2": 1, "h3": 4}

    def test_it_uses_few_hosts(self) -> None:
        scene = given(hosts(10), shop(9, policy="pack"))

        assert sum(bool(one.containers) for one in scene.fleet.hosts.values()) == 1


class TestVirtuozzoLoadmark:
    def test_fewest_of_the_layer_then_the_lowest_mark(self) -> None:
        rates = [RateHost(host=f"h{n}", load_mark=mark) for n, mark in enumerate((30, 10, 20), 1)]
        scene = given(hosts(3), rates, shop(4, policy="virtuozzo-loadmark"))

        assert [scene.container(f"node{n}").host for n in range(1, 5)] == ["h2", "h3", "h1", "h2"]

    @pytest.mark.parametrize(
        ("one", "mark"),
        [
            (Host(HostId("h"), 10, 100), 0),
            (Host(HostId("h"), 10, 100, used=5, used_disk=50), 35),
            (Host(HostId("h"), 10, 100, used=10, used_disk=100), 70),
            (Host(HostId("h"), 10, 0), 0),
            (Host(HostId("h"), 0, 100), 20),
            (Host(HostId("h"), 10, 100, used=5, load_mark=7), 7),
        ],
    )
    def test_the_mark_is_the_published_formula_or_what_was_measured(
        self, one: Host, mark: int
    ) -> None:
        assert load_mark(one) == mark


class TestWhy:
    def test_a_placement_is_stored_with_its_reasons(self) -> None:
        scene = given([*hosts(2), host("h3", cloudlets=1), host("h4", disk_gib=0)])

        commit = scene.when(shop(1, reserved=2))

        placed = next(e.fact for e in commit.events if hasattr(e.fact, "why"))
        assert isinstance(placed.why, Placing)
        assert placed.why == Placing(
            policy="spread",
            hosts=4,
            feasible=2,
            objections={"too few cloudlets": 1, "too little disk": 1},
            score=(0, 0, 0, 0, 0, 0),
            losers=((HostId("h2"), (0, 0, 0, 0, 0, 0)),),
        )

    def test_a_refusal_says_how_many_hosts_have_which_objection(self) -> None:
        scene = given([host("h1", cloudlets=1), host("h2", disk_gib=0)])

        refusal = refused(scene.when(shop(1, reserved=2)))

        assert refusal.code is Code.CAPACITY_INSUFFICIENT
        assert refusal.detail == (
            "0 of 2 hosts fit a container of shop/app (2 cloudlets, 1 GiB):"
            " 1 too few cloudlets, 1 too little disk; the most free is 32 cloudlets and 500 GiB;"
            " give it less, add a host or uncordon one"
        )


def test_counts_too_large_for_their_place_in_a_key_count_as_the_largest() -> None:
    fleet = Quick().live([host("h1", cloudlets=600, disk_gib=60_000), shop(130)]).region.fleet
    (only,) = fleet.layers.values()

    chosen = place(fleet, wish_for(fleet, only))

    assert not isinstance(chosen, Refusal)
    assert chosen.why.score[3] == 127
    assert np.iinfo(np.int64).max > chosen.why.score[0]
