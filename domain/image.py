"""A region as bytes and back: what a checkpoint holds. A cache; the journal can always rebuild it.

The shape's fingerprint stands in front: a checkpoint of another shape is not read, and the
region is built from the journal instead.
"""

from collections.abc import Callable
from hashlib import sha256

import msgspec

from domain.answers import Answers, Remembered
from domain.container import Container
from domain.dead import Letter
from domain.environment import Environment, Layer, LayerKey
from domain.evacuation import Evacuation
from domain.fleet import Fleet
from domain.growth import Growth
from domain.host import Host
from domain.loss import Vigil
from domain.messages import AskId, GrowthId, Instant, MigrationId, OperationId
from domain.migration import Migration
from domain.operation import Operation
from domain.orders import Order
from domain.rebalance import Rebalance
from domain.recovery import Recovery
from domain.region import Region
from domain.tenant import Limits
from domain.trigger import Trigger


class Image(msgspec.Struct, frozen=True, array_like=True):
    """All that a region must be given to go on, tables as lists."""

    position: int
    epoch: int
    at: Instant
    hosts: list[Host]
    environments: list[Environment]
    layers: list[Layer]
    containers: list[Container]
    operations: list[Operation]
    migrations: list[Migration]
    evacuations: list[Evacuation]
    growths: list[Growth]
    orders: list[Order]
    counters: dict[str, int]
    ended: dict[int, str]
    deadlines: dict[str, Instant]
    waiting: dict[str, LayerKey]
    commands: list[tuple[AskId, Remembered]]
    own: list[tuple[AskId, Remembered]]
    versions: dict[str, int]
    limits: list[Limits]
    dead: list[Letter]
    recoveries: list[Recovery]
    vigil: dict[str, Vigil]
    triggers: list[Trigger]
    rebalances: list[Rebalance]


class StrangeImageError(ValueError):
    """These bytes are an image of another shape, or none at all."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Image)
SHAPE = sha256(
    msgspec.json.encode(msgspec.json.schema_components([Image]), order="deterministic")
).digest()
"""What an image must begin with for this version of Restow to read it."""


def to_image(region: Region) -> bytes:
    """Return the region as bytes."""
    fleet = region.fleet
    image = Image(
        region.position,
        region.epoch,
        region.at,
        list(fleet.hosts.values()),
        list(fleet.environments.values()),
        list(fleet.layers.values()),
        list(fleet.containers.values()),
        list(fleet.operations.values()),
        list(fleet.migrations.values()),
        list(fleet.evacuations.values()),
        list(fleet.growths.values()),
        list(fleet.orders.values()),
        fleet.counters,
        {number: str(saga) for number, saga in fleet.ended.items()},
        fleet.deadlines,
        fleet.waiting,
        region.answers.commands(),
        region.answers.own(),
        region.versions,
        list(fleet.limits.values()),
        list(fleet.dead.values()),
        list(fleet.recoveries.values()),
        fleet.vigil,
        list(fleet.triggers.values()),
        list(fleet.rebalances.values()),
    )
    return SHAPE + _encoder.encode(image)


def from_image(data: bytes) -> Region:
    """Return the region that `to_image` was given. Raises `StrangeImageError`."""
    if data[: len(SHAPE)] != SHAPE:
        message = "the image has another shape than this version of Restow reads"
        raise StrangeImageError(message)
    try:
        image = _decoder.decode(memoryview(data)[len(SHAPE) :])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        message = f"the image cannot be read: {error}"
        raise StrangeImageError(message) from error
    region = Region()
    region.position, region.epoch, region.at = image.position, image.epoch, image.at
    region.versions = image.versions
    region.answers = Answers(image.commands, image.own)
    _furnish(region.fleet, image)
    return region


SAGAS: dict[str, Callable[[str], OperationId | MigrationId | GrowthId]] = {
    "mv": MigrationId,
    "gr": GrowthId,
}


def _furnish(fleet: Fleet, image: Image) -> None:
    fleet.hosts.update((host.id, host) for host in image.hosts)
    fleet.environments.update((env.id, env) for env in image.environments)
    fleet.networks.update((env.network, env.id) for env in image.environments)
    fleet.layers.update((layer.key, layer) for layer in image.layers)
    fleet.containers.update((one.id, one) for one in image.containers)
    fleet.operations.update((one.id, one) for one in image.operations)
    fleet.evacuations.update((one.id, one) for one in image.evacuations)
    fleet.orders.update((order.id, order) for order in image.orders)
    fleet.recoveries.update((one.id, one) for one in image.recoveries)
    fleet.vigil.update(image.vigil)
    fleet.counters.update(image.counters)
    fleet.limits.update((one.tenant, one) for one in image.limits)
    fleet.dead.update((letter.id, letter) for letter in image.dead)
    fleet.triggers.update((one.id, one) for one in image.triggers)
    fleet.rebalances.update((one.id, one) for one in image.rebalances)
    fleet.deadlines.update(image.deadlines)
    fleet.waiting.update(image.waiting)
    for number, saga in image.ended.items():
        kind = SAGAS.get(saga[:2], OperationId)
        fleet.ended[number] = kind(saga)
    for growth in image.growths:
        fleet.growths[growth.id] = growth
        if not growth.finished_at:
            fleet.growing[growth.id] = growth.container
    for one in image.migrations:
        fleet.migrations[one.id] = one
        if one.target is not None and not one.finished_at and one.order is not None:
            fleet.moving[one.id] = one.container
