"""Environments and their layers: what belongs together, of what kind, and under which names.

Containers of one layer are of one kind and work and scale together; layers that form one
application are an environment. A container is `node<id>-<env>.<domain>`, all containers of a
layer together are `<layer>.<env>.<domain>`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from domain.messages import (
    Cloudlets,
    ContainerId,
    Count,
    DiskGib,
    EnvironmentId,
    EnvironmentName,
    Event,
    GroupName,
    LayerLabel,
    LayerName,
    OperationId,
    PublicCommand,
    Tenant,
    TriggerId,
)
from domain.software import Application, Software

LAYERS_MAX = 32
DOMAIN_DEFAULT = "restow.internal"

LABELS = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*\Z"

Domain = Annotated[str, Meta(pattern=LABELS, max_length=120)]
Variables = dict[
    Annotated[str, Meta(pattern=VARIABLE, max_length=100)],
    Annotated[str, Meta(max_length=2_000)],
]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Policy = Literal["spread", "pack", "virtuozzo-loadmark"]
Affinity = Literal["hard", "soft"]
OnLost = Literal["fence", "keep"]


class LayerSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What the containers of a layer are like, as written in a command.

    `reserved` and `limit` are cloudlets of each container; `limit` defaults to `reserved`.
    `anti_affinity` says what the layer's own containers are to each other: `hard` refuses to put
    two on one host, `soft` only prefers not to. `groups` name groups of the environment.
    `on_lost` says what a container does whose host is cut off: `fence` stops it, so that it can be
    restarted elsewhere; `keep` lets it run, and nobody restarts it unless a human vouches.
    """

    name: LayerLabel
    count: Count = 1
    role: Annotated[str, Meta(max_length=30)] = "cp"
    image: Annotated[str, Meta(min_length=1, max_length=255)] = "restow/counter:1"
    reserved: Cloudlets = 1
    limit: Cloudlets | None = None
    disk_gib: DiskGib = 1
    stateful: bool = False
    anti_affinity: Affinity = "soft"
    groups: Annotated[tuple[GroupName, ...], Meta(max_length=8)] = ()
    policy: Policy = "spread"
    variables: Variables = {}
    volumes: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    ports: Annotated[tuple[Port, ...], Meta(max_length=16)] = ()
    on_lost: OnLost = "fence"


class CreateEnvironment(PublicCommand, frozen=True, kw_only=True, tag="environment.create"):
    """Create an environment with its layers; every container is placed, or nothing is created."""

    environment: EnvironmentName
    layers: Annotated[tuple[LayerSpec, ...], Meta(min_length=1, max_length=LAYERS_MAX)]
    domain: Domain = DOMAIN_DEFAULT
    groups: Annotated[dict[GroupName, Affinity], Meta(max_length=32)] = msgspec.field(
        default_factory=dict
    )


class RemoveEnvironment(PublicCommand, frozen=True, kw_only=True, tag="environment.remove"):
    """Stop and remove all containers of an environment, then the environment."""

    environment: EnvironmentName


class StopEnvironment(PublicCommand, frozen=True, kw_only=True, tag="environment.stop"):
    """Stop all containers of an environment, out of DNS first; none is removed, all is kept.

    What they reserve stays theirs. Containers added while it is stopped begin with the others.
    """

    environment: EnvironmentName


class StartEnvironment(PublicCommand, frozen=True, kw_only=True, tag="environment.start"):
    """Start all containers of an environment again, layer after layer in their order.

    Asked of one that runs, it starts what is down in it, and puts back into DNS and balancer what
    runs there and was left out by a failure.
    """

    environment: EnvironmentName


class AddLayer(PublicCommand, frozen=True, kw_only=True, tag="layer.add"):
    """Add a layer to an environment; every container is placed, or nothing is added."""

    environment: EnvironmentName
    layer: LayerSpec


class ChangeLayer(PublicCommand, frozen=True, kw_only=True, tag="layer.change"):
    """Change what a layer's next containers are like; those that run keep what they have.

    `on_lost` holds for a container from when it is next started: stop and start its environment.
    """

    environment: EnvironmentName
    layer: LayerLabel
    policy: Policy | None = None
    variables: Variables | None = None
    ports: Annotated[tuple[Port, ...], Meta(max_length=16)] | None = None
    on_lost: OnLost | None = None


class RemoveLayer(PublicCommand, frozen=True, kw_only=True, tag="layer.remove"):
    """Stop and remove all containers of a layer, then the layer."""

    environment: EnvironmentName
    layer: LayerLabel


class EnvironmentCreated(Event, frozen=True, gc=False, tag="environment.created"):
    """It is there; `network` is the number of its own. 0: from before, the next one is its."""

    environment: EnvironmentId
    domain: str
    groups: Mapping[str, str] = {}
    tenant: Tenant = Tenant("")
    network: int = 0


class EnvironmentLeaving(Event, frozen=True, gc=False, tag="environment.leaving"):
    """It is to be removed; nothing new begins in it."""

    environment: EnvironmentId


class EnvironmentStopped(Event, frozen=True, gc=False, tag="environment.stopped"):
    """It is to stand still: an operation on each layer stops its containers."""

    environment: EnvironmentId


class EnvironmentStarted(Event, frozen=True, gc=False, tag="environment.started"):
    """It is to run again: an operation on each layer starts its containers."""

    environment: EnvironmentId


class EnvironmentRemoved(Event, frozen=True, gc=False, tag="environment.removed"):
    environment: EnvironmentId


class LayerAdded(Event, frozen=True, gc=False, tag="layer.added"):
    environment: EnvironmentId
    layer: LayerName
    spec: LayerSpec


class LayerChanged(Event, frozen=True, gc=False, tag="layer.changed"):
    environment: EnvironmentId
    layer: LayerName
    spec: LayerSpec


class LayerLimitsSet(Event, frozen=True, gc=False, tag="layer.limits-set"):
    """What containers added from now on reserve, and how far they may grow."""

    environment: EnvironmentId
    layer: LayerName
    reserved: int
    limit: int


class LayerSoftwareSet(Event, frozen=True, gc=False, tag="layer.software-set"):
    """What containers added from now on run."""

    environment: EnvironmentId
    layer: LayerName
    software: Software


class LayerLeaving(Event, frozen=True, gc=False, tag="layer.leaving"):
    environment: EnvironmentId
    layer: LayerName


class LayerRemoved(Event, frozen=True, gc=False, tag="layer.removed"):
    environment: EnvironmentId
    layer: LayerName


EnvironmentEvent = (
    EnvironmentCreated
    | EnvironmentLeaving
    | EnvironmentStopped
    | EnvironmentStarted
    | EnvironmentRemoved
    | LayerAdded
    | LayerChanged
    | LayerLimitsSet
    | LayerSoftwareSet
    | LayerLeaving
    | LayerRemoved
)


class EnvironmentState(StrEnum):
    ACTIVE = "active"
    LEAVING = "leaving"
    STOPPED = "stopped"


class Environment(msgspec.Struct, frozen=True, gc=False):
    """An environment and its layers; `network` is the number of its network, and of no other."""

    id: EnvironmentId
    domain: str
    groups: Mapping[str, str] = {}
    tenant: Tenant = Tenant("")
    layers: tuple[LayerName, ...] = ()
    state: EnvironmentState = EnvironmentState.ACTIVE
    network: int = 0


LayerKey = tuple[EnvironmentId, LayerName]


class Layer(msgspec.Struct, frozen=True, gc=False):
    """A layer and its containers in ascending number; `next` is the number of the next one.

    `operation` works on the layer now; those in `queue` wait behind it, in their order.
    """

    environment: EnvironmentId
    spec: LayerSpec
    containers: tuple[ContainerId, ...] = ()
    next: int = 1
    operation: OperationId | None = None
    queue: tuple[OperationId, ...] = ()
    leaving: bool = False
    application: Application | None = None
    triggers: tuple[TriggerId, ...] = ()

    @property
    def software(self) -> Software:
        """What containers added from now on run."""
        return Software(self.spec.image, self.application)

    @property
    def name(self) -> LayerName:
        return LayerName(self.spec.name)

    @property
    def key(self) -> LayerKey:
        return (self.environment, self.name)

    @property
    def limit(self) -> int:
        return self.spec.limit if self.spec.limit is not None else self.spec.reserved


def node_name(number: int, environment: str, domain: str) -> str:
    """Return the name of one container: `node<id>-<env>.<domain>`."""
    return f"node{number}-{environment}.{domain}"


def layer_name(layer: str, environment: str, domain: str) -> str:
    """Return the name that all containers of a layer share: `<layer>.<env>.<domain>`."""
    return f"{layer}.{environment}.{domain}"


def localhost_links(layer: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Say which variables point at localhost: a container cannot reach another one there."""
    return tuple(
        f"layer {layer}: variable {name} points at {word}, which is the container itself;"
        " use another container's name instead"
        for name, value in sorted(variables.items())
        for word in ("localhost", "127.0.0.1")
        if word in value
    )
