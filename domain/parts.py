"""Which part of a fleet is to be looked at: all of it, or what a change may have broken.

A change of one aggregate can break only what is said of it and of those that refer to it. `Touched`
holds all of these, so that looking at it finds what looking at the whole would find, as long as
nothing was broken before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

from domain.container import Container
from domain.environment import Layer
from domain.fleet import Fleet
from domain.host import Host
from domain.messages import HostId
from domain.operation import Operation
from domain.orders import Order


class Part(Protocol):
    """What is looked at. `changed` are the tables of which something is, None for all."""

    @property
    def changed(self) -> frozenset[str] | None: ...
    @property
    def hosts(self) -> Iterable[Host]: ...
    @property
    def containers(self) -> Iterable[Container]: ...
    @property
    def layers(self) -> Iterable[Layer]: ...
    @property
    def operations(self) -> Iterable[Operation]: ...
    @property
    def orders(self) -> Iterable[Order]: ...


class Whole:
    """All of a fleet."""

    changed = None

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def hosts(self) -> Iterable[Host]:
        return self._fleet.hosts.values()

    @property
    def containers(self) -> Iterable[Container]:
        return self._fleet.containers.values()

    @property
    def layers(self) -> Iterable[Layer]:
        return self._fleet.layers.values()

    @property
    def operations(self) -> Iterable[Operation]:
        return self._fleet.operations.values()

    @property
    def orders(self) -> Iterable[Order]:
        return self._fleet.orders.values()


def names_of(fleet: Fleet) -> dict[int, str]:
    """Return the names of a fleet's tables by their identity; they stay the same ones."""
    tables = cast("dict[str, object]", vars(fleet))
    return {id(table): name for name, table in tables.items()}


class Touched:
    """What changed in a fleet since `try_out`, and all whose invariants read some of that.

    With a container, a migration, a layer or an environment its hosts are touched, before and
    after; with a host all that it carries, or is about to, and what is ordered of it. Whoever asks
    after every event keeps the `names`.
    """

    def __init__(self, fleet: Fleet, names: Mapping[int, str] | None = None) -> None:
        self._fleet = fleet
        names = names or names_of(fleet)
        tried: dict[str, dict[Any, list[Any]]] = {}
        for table, key, old in fleet.tried():
            tried.setdefault(names[id(table)], {}).setdefault(key, []).append(old)
        self._tried = tried
        self.changed = frozenset(tried)
        self._layers = set(tried.get("layers", ()))
        if "environments" in tried:
            changed = tried["environments"]
            self._layers.update(key for key in fleet.layers if key[0] in changed)
        self._hosts = self._of_hosts()
        self._containers: Sequence[Container] | None = None
        hosts = fleet.hosts
        self.hosts = [hosts[name] for name in self._hosts if name in hosts]

    def _versions(self, table: str) -> Iterator[Any]:
        """Give what has changed in a table, as it was and as it is."""
        if table in self._tried:
            now = getattr(self._fleet, table)
            for key, before in self._tried[table].items():
                yield from filter(None, (*before, now.get(key)))

    def _of_hosts(self) -> set[HostId]:
        hosts: set[Any] = set(self._tried.get("hosts", ()))
        for one in self._versions("containers"):
            hosts.update((one.host, one.target))
        for move in self._versions("migrations"):
            hosts.update((move.source, move.target))
        if self._layers:
            for one in self._fleet.containers.values():
                if (one.environment, one.layer) in self._layers:
                    hosts.update((one.host, one.target))
        hosts.discard(None)
        return hosts

    @property
    def containers(self) -> Sequence[Container]:
        if self._containers is None:
            self._containers = self._of_containers()
        return self._containers

    def _of_containers(self) -> Sequence[Container]:
        hosts, tried = self._hosts, self._tried
        claims = {*tried.get("operations", ()), *tried.get("recoveries", ())}
        if not hosts and not claims:
            return ()
        return [
            one
            for one in self._fleet.containers.values()
            if one.host in hosts or one.target in hosts or one.claim in claims
        ]

    @property
    def layers(self) -> Sequence[Layer]:
        layers = self._fleet.layers
        return [layers[key] for key in self._layers if key in layers]

    @property
    def operations(self) -> Iterator[Operation]:
        """Give the operations that changed, and those that a changed layer names or named."""
        names = set(self._tried.get("operations", ()))
        for layer in self._versions("layers"):
            names.update((layer.operation, *layer.queue))
        known = map(self._fleet.operations.get, names)
        return filter(None, known)

    @property
    def orders(self) -> Sequence[Order]:
        changed, hosts = self._tried.get("orders", ()), self._hosts
        orders = self._fleet.orders.values()
        return [one for one in orders if one.id in changed or one.to in hosts]
