"""Feasibility: exact where every arrangement can be tried, honest where it cannot."""

from itertools import product
from random import Random

import pytest

from domain.chronicle import evolve
from domain.container import ContainerPlaced, Placing
from domain.environment import EnvironmentCreated, LayerAdded, LayerSpec
from domain.feasibility import any_one_may_die, can_leave
from domain.fleet import Fleet
from domain.host import HostCordoned, HostRegistered
from domain.messages import ContainerId, EnvironmentId, HostId, Instant, LayerName

AT = Instant(1)
HOME = EnvironmentId("shop")
WHY = Placing("spread", 1, 1)
LAYERS = ("free", "hard", "also")
SMALL = 120


def fleet_of(hosts: list[tuple[int, int]], containers: list[tuple[int, str, int, int]]) -> Fleet:
    """Return hosts of (cloudlets, GiB) and containers of (host, layer, cloudlets, GiB).

    The layers `hard` and `also` share a hard group.
    """
    fleet = Fleet()
    for n, (cloudlets, disk) in enumerate(hosts):
        evolve(fleet, HostRegistered(HostId(f"h{n}"), cloudlets, disk, 1, 1), AT)
    evolve(fleet, EnvironmentCreated(HOME, "restow.internal", {"db": "hard"}), AT)
    for label in LAYERS:
        groups = () if label == "free" else ("db",)
        evolve(fleet, LayerAdded(HOME, LayerName(label), LayerSpec(name=label, groups=groups)), AT)
    for n, (host, label, cloudlets, disk) in enumerate(containers, 1):
        one = ContainerId(f"node{n}")
        placed = ContainerPlaced(
            one,
            HOME,
            LayerName(label),
            n,
            HostId(f"h{host}"),
            cloudlets,
            cloudlets,
            disk,
            str(one),
            "10.0.0.1",
            WHY,
        )
        evolve(fleet, placed, AT)
    return fleet


def small(seed: int) -> Fleet:
    """Return a fleet that is small and tight enough to be interesting."""
    dice = Random(seed)
    hosts = [(dice.randint(2, 9), dice.randint(2, 9)) for _ in range(dice.randint(2, 5))]
    room = [list(one) for one in hosts]
    hard: set[int] = set()
    containers = []
    for _ in range(dice.randint(2, 9)):
        host = dice.choice([0, 0, dice.randrange(len(hosts))])
        label = dice.choice(LAYERS)
        size, disk = dice.randint(1, 5), dice.randint(0, 4)
        apart = label != "free"
        if room[host][0] < size or room[host][1] < disk or (apart and host in hard):
            continue
        room[host][0] -= size
        room[host][1] -= disk
        hard |= {host} if apart else set()
        containers.append((host, label, size, disk))
    return fleet_of(hosts, containers)


def by_brute_force(fleet: Fleet, host: HostId) -> bool:
    """Try every arrangement there is."""
    going = [one for one in fleet.containers.values() if one.host == host]
    others = [name for name in fleet.hosts if name != host]
    return any(
        holds(fleet, dict(zip((one.id for one in going), where, strict=True)))
        for where in product(others, repeat=len(going))
    )


def holds(fleet: Fleet, moved: dict[ContainerId, HostId]) -> bool:
    """Say whether the fleet would be as it must be with these containers elsewhere."""
    used = {name: [0, 0, 0] for name in fleet.hosts}
    for one in fleet.containers.values():
        load = used[moved.get(one.id, one.host)]
        load[0] += one.allocated
        load[1] += one.disk_gib
        load[2] += one.layer != "free"
    return all(
        used[name][0] <= host.cloudlets and used[name][1] <= host.disk_gib and used[name][2] <= 1
        for name, host in fleet.hosts.items()
        if name in moved.values()
    )


@pytest.mark.parametrize("number", range(SMALL * 5))
def test_on_small_fleets_the_answer_is_that_of_brute_force(number: int) -> None:
    fleet = small(number)

    verdict = can_leave(fleet, HostId("h0"))

    assert verdict.answer == ("feasible" if by_brute_force(fleet, HostId("h0")) else "infeasible")
    placed = {name for name, _ in verdict.places} | set(verdict.left)
    assert placed == {one.id for one in fleet.containers.values() if one.host == "h0"}
    assert holds(fleet, dict(verdict.places) | {})
    assert bool(verdict.left) <= (verdict.answer != "feasible")
    if verdict.answer == "infeasible":
        assert verdict.why


def test_both_answers_occur_among_the_small_fleets() -> None:
    answers = [can_leave(small(n), HostId("h0")).answer for n in range(SMALL)]

    assert min(answers.count("feasible"), answers.count("infeasible")) > SMALL // 10


def test_what_is_missing_is_said_in_cloudlets_and_gib() -> None:
    fleet = fleet_of([(9, 9), (3, 9)], [(0, "free", 5, 1)])

    verdict = can_leave(fleet, HostId("h0"))

    assert (verdict.answer, verdict.missing_cloudlets, verdict.missing_disk_gib) == (
        "infeasible",
        2,
        0,
    )
    assert verdict.left == ("node1",)
    assert "node1" in verdict.why


def test_what_is_missing_of_disk_is_said_too() -> None:
    fleet = fleet_of([(9, 99), (9, 8), (9, 8)], [(0, "free", 1, 7)] * 3)

    verdict = can_leave(fleet, HostId("h0"))

    assert (verdict.answer, verdict.missing_cloudlets, verdict.missing_disk_gib) == (
        "infeasible",
        0,
        5,
    )
    assert verdict.why == "3 cloudlets and 21 GiB must go; 18 and 16 are free elsewhere"


def test_too_few_slots_of_a_size_are_a_proof() -> None:
    fleet = fleet_of([(20, 9), (7, 9), (7, 9)], [(0, "free", 4, 1)] * 3)

    verdict = can_leave(fleet, HostId("h0"))

    assert verdict.why == "3 containers of 4 cloudlets or more must go, 2 fit elsewhere"
    assert (len(verdict.places), len(verdict.left), verdict.missing_cloudlets) == (2, 1, 4)


def test_more_than_can_be_searched_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.feasibility.SEARCH_MAX", 0)
    fleet = next(
        fleet
        for fleet in map(tight, range(500))
        if can_leave(fleet, HostId("h0")).answer == "unknown"
    )

    verdict = can_leave(fleet, HostId("h0"))

    assert verdict.left
    assert "no place was found for" in verdict.why
    monkeypatch.setattr("domain.feasibility.SEARCH_MAX", 100)
    monkeypatch.setattr("domain.arranging.NODES_MAX", 1)
    assert can_leave(fleet, HostId("h0")).answer == "unknown"


def tight(seed: int) -> Fleet:
    """Return a fleet into whose other hosts everything goes barely, or not quite."""
    dice = Random(seed)
    sizes = [dice.randint(2, 7) for _ in range(6)]
    halves = sum(sizes[:3]), sum(sizes[3:])
    return fleet_of(
        [(99, 99), (halves[0], 99), (halves[1], 99)], [(0, "free", size, 1) for size in sizes]
    )


@pytest.mark.parametrize("number", range(60))
def test_on_tight_fleets_the_answer_is_that_of_brute_force(number: int) -> None:
    fleet = tight(number)

    assert can_leave(fleet, HostId("h0")).answer == "feasible"
    assert holds(fleet, dict(can_leave(fleet, HostId("h0")).places))


def test_a_closed_host_and_one_that_is_no_target_take_nothing() -> None:
    fleet = fleet_of([(9, 9), (9, 9), (9, 9)], [(0, "free", 5, 1)])

    assert dict(can_leave(fleet, HostId("h0"), [HostId("h2")]).places) == {"node1": "h2"}
    evolve(fleet, HostCordoned(HostId("h2")), AT)
    assert can_leave(fleet, HostId("h0"), [HostId("h2")]).answer == "infeasible"
    assert can_leave(fleet, HostId("h0")).answer == "feasible"


def test_hard_groups_across_layers_need_hosts_of_their_own() -> None:
    crowd = [(0, "hard", 1, 0), (1, "also", 1, 0)]
    fleet = fleet_of([(9, 9), (9, 9)], crowd)

    assert can_leave(fleet, HostId("h0")).answer == "infeasible"


def test_a_question_that_is_too_large_is_answered_with_unknown_or_better() -> None:
    dice = Random(5)
    hosts = [(400, 2_000)] + [(dice.randint(7, 13), 20) for _ in range(30)]
    fleet = fleet_of(hosts, [(0, "free", dice.randint(2, 6), 1) for _ in range(70)])

    verdict = can_leave(fleet, HostId("h0"))

    assert verdict.answer in {"feasible", "infeasible", "unknown"}
    assert holds(fleet, dict(verdict.places))


def test_any_one_host_may_die_or_which_may_not() -> None:
    fleet = fleet_of([(4, 9), (4, 9), (9, 9)], [(0, "free", 4, 1), (2, "free", 6, 1)])

    answers = {verdict.host: verdict.answer for verdict in any_one_may_die(fleet)}

    assert answers == {"h0": "feasible", "h1": "feasible", "h2": "infeasible"}


def test_the_same_question_has_the_same_answer() -> None:
    assert can_leave(small(7), HostId("h0")) == can_leave(small(7), HostId("h0"))
