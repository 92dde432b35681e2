"""Networks of environments: each has a number of its own, and only who is told is found in it.

Hosts join their containers to the network of their environment (a VXLAN with this number) and
learn nothing from packets: the engine tells them who is where, as the journal has it. What they
say of themselves, under which address they reach each other, is not in the journal; they say it
again and again.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.container import Container, ContainerPlaced
from domain.fleet import Fleet
from domain.messages import ContainerId, Event, HostId
from domain.migration import (
    MigrationCompleted,
    MigrationGranted,
    MigrationPhaseReached,
    MigrationReverted,
)
from domain.recovery import ContainerReplaced

NETWORK = "network"
"""The counter of the number that was given last."""
NETWORK_MAX = 2**24 - 1
FROZEN = "frozen"
UNDERLAY = r"^(\d{1,3}(\.\d{1,3}){3})?\Z"
NETWORKS_MAX = 50_000
"""How many networks a host may name at once."""

Network = Annotated[int, Meta(ge=1, le=NETWORK_MAX)]


class Where(msgspec.Struct, frozen=True):
    """A host asks who is where in these networks; a request on `<p>.where.<host>`.

    `underlay` is its own IPv4 address among the hosts. It is answered with a `Welcome`; a
    `Whereabouts` for each network follows.
    """

    host: HostId
    underlay: Annotated[str, Meta(pattern=UNDERLAY)]
    networks: Annotated[tuple[Network, ...], Meta(max_length=NETWORKS_MAX)] = ()


class Whereabouts(msgspec.Struct, frozen=True):
    """Who is where in one network, on `<p>.net.<host>`: all of it, whenever some of it changed.

    `hosts`: the underlay address of the host of each container, by the container's address; "" of
    a host that has not said it yet. It counts for nothing where a later `epoch` was heard.
    """

    epoch: int
    network: int
    hosts: Mapping[str, str]


def next_network(fleet: Fleet) -> int:
    """Return the number that the next environment's network has: one that no other one has."""
    number = fleet.counters.get(NETWORK, 0) % NETWORK_MAX + 1
    while number in fleet.networks:
        number = number % NETWORK_MAX + 1
    return number


def members(fleet: Fleet, network: int) -> tuple[Container, ...]:
    """Return the containers of the environment whose network this is; none where there is none."""
    name = fleet.networks.get(network)
    environment = None if name is None else fleet.environments[name]
    if environment is None:
        return ()
    layers = (fleet.layers[environment.id, layer] for layer in environment.layers)
    return tuple(fleet.containers[one] for layer in layers for one in layer.containers)


def place(fleet: Fleet, container: Container) -> HostId:
    """Return the host to which packets for a container go.

    From when it is frozen for a live move that is its target, where they wait for it; if it is
    given up, its host again.
    """
    if container.target is None or container.migration is None:
        return container.host
    migration = fleet.migrations[container.migration]
    frozen = any(phase == FROZEN for phase, _ in migration.phases)
    return container.target if frozen and not migration.cold else container.host


def homes(containers: Iterable[Container]) -> frozenset[HostId]:
    """Return the hosts that carry some of these, or are about to."""
    hosts = (host for one in containers for host in (one.host, one.target))
    return frozenset(host for host in hosts if host is not None)


def moved(fleet: Fleet, fact: Event) -> ContainerId | None:
    """Return whom packets go elsewhere for, or from elsewhere, after this has happened."""
    match fact:
        case MigrationPhaseReached(migration=name, phase="frozen"):
            migration = fleet.migrations.get(name)
            return None if migration is None else migration.container
        case (
            ContainerPlaced(container=container)
            | ContainerReplaced(container=container)
            | MigrationGranted(container=container)
            | MigrationCompleted(container=container)
            | MigrationReverted(container=container)
        ):
            return container
        case _:
            return None
