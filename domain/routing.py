"""What DNS and balancer should say of a container: under which names, and where it is served."""

from domain.container import Container
from domain.environment import LayerSpec, layer_name
from domain.fleet import Fleet
from domain.orders import ROUTER, OrderIssued, RouteIn, RouteOut, next_order


def names(fleet: Fleet, container: Container) -> tuple[str, ...]:
    """Return the names in DNS that lead to a container: its own, then its layer's."""
    environment = fleet.environments[container.environment]
    shared = layer_name(container.layer, environment.id, environment.domain)
    return (container.name, shared)


def route_in(fleet: Fleet, container: Container) -> RouteIn:
    """Return the order's work that makes a container findable."""
    spec = _spec(fleet, container)
    network = fleet.environments[container.environment].network
    return RouteIn(names(fleet, container), container.address, spec.ports, spec.stateful, network)


def route_out(fleet: Fleet, container: Container, *, keep_last: bool) -> RouteOut:
    """Return the order's work after which nobody finds it; `keep_last`: see `RouteOut`."""
    spec = _spec(fleet, container)
    address = container.address
    return RouteOut(names(fleet, container), address, spec.ports, spec.stateful, keep_last)


def take_away(fleet: Fleet, container: Container, number: int) -> OrderIssued:
    """Return order `number`, which takes the record of a container away that is gone: for ever."""
    work = route_out(fleet, container, keep_last=False)
    return OrderIssued(next_order(number), ROUTER, container.id, work)


def _spec(fleet: Fleet, container: Container) -> LayerSpec:
    return fleet.layers[container.environment, container.layer].spec
