"""Never zero: one budget a layer, shared by everything that takes a container out of service.

A container may be taken out while another one of its layer is operable. One that is not operable
anyway takes nothing away, and a layer of one container has nothing to spare: there the asker must
say that downtime is accepted, or surge.
"""

from domain.container import Container
from domain.environment import Layer
from domain.fleet import Fleet
from domain.messages import Code, Refusal


def operable(fleet: Fleet, layer: Layer) -> int:
    """Return how many containers of the layer are operable now."""
    return sum(fleet.containers[name].operable for name in layer.containers)


def obstacle(fleet: Fleet, container: Container) -> str:
    """Say why `container` may not be taken out of service now, "" if it may."""
    layer = fleet.layers[container.environment, container.layer]
    besides = operable(fleet, layer) - container.operable
    if besides or not container.operable:
        return ""
    return (
        f"{container.id} is the only operable container of {layer.environment}/{layer.name}"
        f" ({len(layer.containers)} in all)"
    )


def may_move(fleet: Fleet, container: Container) -> bool:
    """Say whether nothing but room keeps a container from being moved live now."""
    if not container.running or container.claim or container.migration is not None:
        return False
    if fleet.hosts[container.host].unable:
        return False
    layer = fleet.layers[container.environment, container.layer]
    return not layer.leaving and (len(layer.containers) == 1 or not obstacle(fleet, container))


def would_break(layer: Layer, verb: str) -> Refusal:
    """Refuse to take the only container of a layer out of service."""
    return Refusal(
        Code.AVAILABILITY_WOULD_BREAK,
        f"layer {layer.environment}/{layer.name} has one container: to {verb} it one by one would"
        " leave none operable; use surge=true, or accept_downtime=true, or scale it to 2 first",
        "$.layer",
        {"containers": len(layer.containers)},
    )
