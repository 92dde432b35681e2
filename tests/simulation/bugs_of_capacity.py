"""Planted bugs of placement and capacity."""

from typing import Any

from msgspec.structs import replace

from domain import container as ct
from domain import (
    evolution,
    growing,
    host,
    layers,
    moving,
    occupancy,
    placement,
    reactions,
    scaling,
    step,
)
from domain import migration as mv
from domain.chronicle import CHRONICLE
from domain.container import Container
from domain.decider import NOTHING, Decision
from domain.decisions import DECIDE
from domain.fleet import Fleet
from domain.host import HostState
from domain.reactions import REACT
from tests.simulation.planting import Patch, change, plant, put, take, then


@plant
def apart_only_where_it_is(patch: Patch) -> None:
    """Anti-affinity forgets containers that are on their way."""
    patch.setattr(occupancy, "_hosts_of", lambda one: (one.host,) if one else ())


@plant
def target_not_charged(patch: Patch) -> None:
    """A migration does not reserve room on its target."""

    def give_back(fleet: Fleet, fact: Any, _at: int) -> None:
        one = fleet.containers[fact.container]
        evolution.charge(fleet, fact.target, -one.allocated, -one.disk_gib)

    then(patch, mv.MigrationGranted, give_back)


@plant
def source_not_released(patch: Patch) -> None:
    """After a migration the source keeps what it had promised."""

    def keep(fleet: Fleet, fact: Any, _at: int) -> None:
        one = fleet.containers[fact.container]
        evolution.charge(fleet, fact.source, one.allocated, one.disk_gib)

    then(patch, mv.MigrationCompleted, keep)


@plant
def target_not_released(patch: Patch) -> None:
    """After a migration that was reverted the target keeps what it had promised."""

    def keep(fleet: Fleet, fact: Any, _at: int) -> None:
        one = fleet.containers[fact.container]
        evolution.charge(fleet, fact.target, one.allocated, one.disk_gib)

    then(patch, mv.MigrationReverted, keep)


@plant
def growth_charges_one_host(patch: Patch) -> None:
    """A container that grows while it moves is charged to its source only."""
    right = CHRONICLE[ct.ContainerScaled]

    def wrong(fleet: Fleet, fact: Any, at: Any) -> None:
        target = fleet.containers[fact.container].target
        change(fleet, fact.container, target=None)
        right(fleet, fact, at)
        change(fleet, fact.container, target=target)

    put(patch, CHRONICLE, ct.ContainerScaled, wrong)


@plant
def placed_where_there_is_no_room(patch: Patch) -> None:
    """Placement does not look whether there are enough cloudlets."""
    right = placement.place

    def wrong(fleet: Fleet, wish: Any) -> Any:
        return right(fleet, replace(wish, cloudlets=0))

    patch.setattr(layers, "place", wrong)
    patch.setattr(moving, "place", wrong)


@plant
def grows_without_room(patch: Patch) -> None:
    """A container grows though its host is full."""
    for module in (growing, step):
        patch.setattr(module, "grow", lambda _fleet, _one, fact: Decision((fact,)))


@plant
def grows_beyond_its_limit(patch: Patch) -> None:
    """What a container holds does not follow when its limit is lowered."""
    right = scaling.scaled

    def wrong(one: Container, wanted: tuple[int, int]) -> Any:
        fact = right(one, wanted)
        return replace(fact, allocated=max(fact.allocated, one.allocated))

    patch.setattr("domain.growing.scaled", wrong)


@plant
def numbers_of_hosts_are_stale(patch: Patch) -> None:
    """Placement is not told when the numbers of a host change."""
    patch.setattr(occupancy.Occupancy, "host_changed", lambda *_: None)


@plant
def cordoned_hosts_receive(patch: Patch) -> None:
    """Placement takes a cordoned host for an active one."""
    right = occupancy.Occupancy._take_in

    def wrong(self: Any, name: Any, new: Any) -> None:
        cordoned = new is not None and new.state is HostState.CORDONED
        right(self, name, replace(new, state=HostState.ACTIVE) if cordoned else new)

    patch.setattr(occupancy.Occupancy, "_take_in", wrong)


@plant
def too_many_move_at_once(patch: Patch) -> None:
    """Nobody counts the migrations that leave a host or arrive at it."""
    patch.setattr(moving, "LEAVING_MAX", 99)
    patch.setattr(moving, "ARRIVING_MAX", 99)


@plant
def hosts_are_removed_with_what_they_carry(patch: Patch) -> None:
    """A host may be removed while containers are on it."""
    patch.setattr(host, "remove", lambda one: Decision((host.HostRemoved(one.id),)))


@plant
def size_is_never_ordered(patch: Patch) -> None:
    """A host is not told that a container has another size."""
    take(patch, REACT, ct.ContainerScaled)


@plant
def deferred_growth_is_forgotten(patch: Patch) -> None:
    """What did not fit while a container moved is not done afterwards."""
    put(patch, DECIDE, ct.GrowDeferred, lambda *_: NOTHING)


@plant
def growths_do_not_hear_of_moves(patch: Patch) -> None:
    """A growth is not told that a move for which it waits has ended."""
    patch.setattr(reactions, "growths", lambda *_: ())
