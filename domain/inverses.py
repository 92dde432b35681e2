"""The commands that make one aggregate as it was intended to be.

What is intended with it is given member by member, as it is and as it was.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    Environment,
    Layer,
    LayerSpec,
    RemoveEnvironment,
    RemoveLayer,
    StartEnvironment,
    StopEnvironment,
)
from domain.fleet import Fleet
from domain.host import (
    CordonHost,
    Host,
    RateHost,
    RegisterHost,
    RelabelHost,
    RemoveHost,
    UncordonHost,
)
from domain.intents import THERE, Intent, find, intents
from domain.messages import CPU_OF_A_CLOUDLET_MHZ, MEMORY_OF_A_CLOUDLET_MIB, PublicCommand
from domain.operation import ScaleLayer, SetCloudletLimits
from domain.software import Application
from domain.tenant import Limits, LimitTenant, ResetTenant
from domain.trigger import DisableTrigger, EnableTrigger, RemoveTrigger, Rule, SetTrigger, Trigger
from domain.undoing import Drift

NEW_CONTAINERS = "with new containers: what the removed ones stored does not come back"
GOES_TOO = "what its containers stored since goes with it"
CLOUDLETS_ALONE = "of its hardware only cloudlets and disk are remembered"
PLAIN = ("policy", "variables", "ports", "on_lost")
"""Members of a layer that one command sets."""


class Back(msgspec.Struct, frozen=True):
    """one intent that comes back: as it is now, and as it was."""

    of: str
    member: str
    now: Any
    then: Any


class Step(msgspec.Struct, frozen=True):
    """A command, what it brings back, and what whoever sends it should know."""

    command: PublicCommand
    back: tuple[Back, ...]
    note: str = ""


class Left(msgspec.Struct, frozen=True):
    """What is left as it is, and why."""

    of: str
    why: str
    member: str = ""


Drifts = Mapping[str, Drift]
"""What is to be as it was of one aggregate, by member."""
Wanted = Mapping[tuple[str, str], Drifts]
"""Likewise of all, by noun and name."""
Found = Iterator[Step | Left]
Inverse = Callable[[Fleet, Wanted, str], Found]


def back(noun: str, name: str, drifts: Drifts, *members: str) -> tuple[Back, ...]:
    """Return what comes back of one aggregate; without members, all of it."""
    return tuple(
        Back(Intent(noun, name, member).whose, member, drift.now, drift.old)
        for member, drift in drifts.items()
        if not members or member in members
    )


def of_host(_fleet: Fleet, wanted: Wanted, name: str) -> Found:
    drifts = wanted["host", name]
    if THERE in drifts:
        yield from host_there(name, drifts)
        return
    if "labels" in drifts:
        labels = dict(drifts["labels"].old)
        yield Step(RelabelHost(host=name, labels=labels), back("host", name, drifts, "labels"))
    if "load_mark" in drifts:
        yield rated(name, drifts)
    if "open" in drifts:
        shape = UncordonHost if drifts["open"].old else CordonHost
        yield Step(shape(host=name), back("host", name, drifts, "open"))


def was(drifts: Drifts, member: str, last: Any) -> Any:
    """Return what was intended at first, of what was changed before it was taken away."""
    return drifts[member].old if member in drifts else last


def rated(name: str, drifts: Drifts) -> Step | Left:
    mark = drifts["load_mark"].old
    if mark is None:
        return Left(f"host.{name}", "a load mark cannot be taken away again", "load_mark")
    command = RateHost(host=name, load_mark=mark)
    return Step(command, back("host", name, drifts, "load_mark"))


def host_there(name: str, drifts: Drifts) -> Found:
    host: Host | None = drifts[THERE].old
    if host is None:
        yield Step(RemoveHost(host=name), back("host", name, drifts, THERE))
        return
    command = RegisterHost(
        host=name,
        memory_mib=host.cloudlets * MEMORY_OF_A_CLOUDLET_MIB,
        cpu_mhz=host.cloudlets * CPU_OF_A_CLOUDLET_MHZ,
        disk_gib=host.disk_gib,
        labels=dict(was(drifts, "labels", host.labels)),
    )
    yield Step(command, back("host", name, drifts, THERE), CLOUDLETS_ALONE)
    mark = was(drifts, "load_mark", host.load_mark)
    if mark is not None:
        yield Step(RateHost(host=name, load_mark=mark), ())
    if not was(drifts, "open", intents(host)["open"]):
        yield Step(CordonHost(host=name), ())


def of_environment(_fleet: Fleet, wanted: Wanted, name: str) -> Found:
    drifts = wanted["environment", name]
    if THERE not in drifts:
        shape = StartEnvironment if drifts["running"].old else StopEnvironment
        yield Step(shape(environment=name), back("environment", name, drifts))
        return
    environment: Environment | None = drifts[THERE].old
    if environment is None:
        command = RemoveEnvironment(environment=name)
        yield Step(command, back("environment", name, drifts, THERE), GOES_TOO)
    elif environment.tenant:
        why = f"it was tenant {environment.tenant}'s, who alone can create it anew"
        yield Left(f"environment.{name}", why, THERE)
    else:
        yield from created(environment, wanted)


def created(environment: Environment, wanted: Wanted) -> Found:
    """Create an environment anew, with the layers that it had and that went with it."""
    name = str(environment.id)
    every = [wanted.get(("layer", f"{name}/{layer}"), {}) for layer in environment.layers]
    parts = [drifts for drifts in every if THERE in drifts]
    command = CreateEnvironment(
        environment=name,
        layers=tuple(spec_of(drifts) for drifts in parts),
        domain=environment.domain,
        groups=dict(environment.groups),  # type: ignore[arg-type]
    )
    told = back("environment", name, wanted["environment", name], THERE)
    for drifts in parts:
        told += back("layer", "/".join(drifts[THERE].old.key), drifts, THERE)
    yield Step(command, told, NEW_CONTAINERS)
    for drifts in parts:
        yield from again(drifts)
    if not was(wanted["environment", name], "running", intents(environment)["running"]):
        yield Step(StopEnvironment(environment=name), ())


def spec_of(drifts: Drifts) -> LayerSpec:
    """Return a layer that was taken away as it is written in a command."""
    layer: Layer = drifts[THERE].old
    reserved, limit = was(drifts, "limits", (layer.spec.reserved, layer.limit))
    plain = {member: drifts[member].old for member in PLAIN if member in drifts}
    return replace(
        layer.spec,
        count=max(1, was(drifts, "count", len(layer.containers))),
        reserved=reserved,
        limit=limit,
        image=was(drifts, "software", layer.software).image,
        **plain,
    )


def again(drifts: Drifts) -> Iterator[Step]:
    """Deploy into a layer that was taken away what was deployed in it."""
    layer: Layer = drifts[THERE].old
    application = was(drifts, "software", layer.software).application
    if application is not None:
        yield deployed(layer.environment, layer.name, application, ())


def deployed(
    environment: str, layer: str, application: Application, told: tuple[Back, ...]
) -> Step:
    words = msgspec.structs.asdict(application).items()
    source: dict[str, Any] = {name: word for name, word in words if word}
    command = DeployApplication(environment=environment, layer=layer, **source)
    return Step(command, told)


def of_layer(_fleet: Fleet, wanted: Wanted, name: str) -> Found:
    drifts = wanted["layer", name]
    environment, _, label = name.partition("/")
    where: dict[str, Any] = {"environment": environment, "layer": label}
    if THERE in drifts:
        yield from layer_there(name, drifts)
        return
    plain = [member for member in PLAIN if member in drifts]
    if plain:
        as_was = {member: drifts[member].old for member in plain}
        yield Step(ChangeLayer(**where, **as_was), back("layer", name, drifts, *plain))
    if "limits" in drifts:
        reserved, limit = drifts["limits"].old
        # nothing is taken out of service for it, so nothing has to rest between two containers
        command = SetCloudletLimits(**where, reserved=reserved, limit=limit, delay_s=0)
        yield Step(command, back("layer", name, drifts, "limits"))
    if "software" in drifts:
        yield from software(name, drifts)
    if "count" in drifts:
        drift = drifts["count"]
        note = NEW_CONTAINERS if drift.old > drift.now else GOES_TOO
        yield Step(ScaleLayer(**where, count=drift.old), back("layer", name, drifts, "count"), note)


def layer_there(name: str, drifts: Drifts) -> Found:
    environment, _, label = name.partition("/")
    layer: Layer | None = drifts[THERE].old
    told = back("layer", name, drifts, THERE)
    if layer is None:
        yield Step(RemoveLayer(environment=environment, layer=label), told, GOES_TOO)
        return
    yield Step(AddLayer(environment=environment, layer=spec_of(drifts)), told, NEW_CONTAINERS)
    yield from again(drifts)


def software(name: str, drifts: Drifts) -> Found:
    """Give a layer the image that it had, or the application."""
    environment, _, layer = name.partition("/")
    drift, told = drifts["software"], back("layer", name, drifts, "software")
    if drift.old.image != drift.now.image:
        yield Step(RedeployLayer(environment=environment, layer=layer, image=drift.old.image), told)
    if drift.old.application == drift.now.application:
        return
    if drift.old.application is None:
        why = "it had none, and an application cannot be taken out of containers that have one"
        yield Left(f"layer.{name}", why, "software")
    else:
        yield deployed(environment, layer, drift.old.application, told)


def of_trigger(fleet: Fleet, wanted: Wanted, name: str) -> Found:
    drifts = wanted["trigger", name]
    told = back("trigger", name, drifts)
    now: Trigger | None = find(fleet, "trigger", name)
    old: Trigger | None = drifts[THERE].old if THERE in drifts else now
    if old is None and now is not None:
        yield Step(RemoveTrigger(trigger=now.id), told)
    elif old is not None and (now is None or "rule" in drifts):
        rule: Rule = drifts["rule"].old if "rule" in drifts else old.rule
        enabled: bool = drifts["enabled"].old if "enabled" in drifts else old.enabled
        settings = msgspec.structs.asdict(rule)
        environment, layer = old.key
        command = SetTrigger(environment=environment, layer=layer, **settings, enabled=enabled)
        yield Step(command, told)
    elif old is not None:
        shape = EnableTrigger if drifts["enabled"].old else DisableTrigger
        yield Step(shape(trigger=old.id), told)


def of_tenant(_fleet: Fleet, wanted: Wanted, name: str) -> Found:
    drifts = wanted["tenant", name]
    told = back("tenant", name, drifts)
    old: Limits | None = next(iter(drifts.values())).old
    if old is None:
        yield Step(ResetTenant(tenant=name), told)
        return
    limits = {one: value for one, value in msgspec.structs.asdict(old).items() if one != "tenant"}
    yield Step(LimitTenant(tenant=name, **limits), told)


INVERSES: Mapping[str, Inverse] = {
    "host": of_host,
    "environment": of_environment,
    "layer": of_layer,
    "trigger": of_trigger,
    "tenant": of_tenant,
}
"""How aggregates of each noun come back; containers come back together."""
