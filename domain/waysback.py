"""The commands that undo what was asked, in an order in which each finds what it needs.

They are ordinary commands. Hosts are opened before containers go back to them, and what was added
is taken away last. What nobody can bring back is left, and it is said why.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from domain.container import Container
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    RemoveEnvironment,
    RemoveLayer,
    StartEnvironment,
    StopEnvironment,
)
from domain.evacuating import last_evacuation, way_back
from domain.evacuation import RestoreHost
from domain.fleet import Fleet
from domain.host import CordonHost, RateHost, RegisterHost, RelabelHost, RemoveHost, UncordonHost
from domain.intents import THERE, Intent, find, same
from domain.inverses import INVERSES, Back, Drifts, Found, Left, Step, Wanted, back
from domain.messages import ContainerId, HostId, PublicCommand, number_of
from domain.migration import MigrateContainer
from domain.operation import ScaleLayer, ScaleNode, SetCloudletLimits
from domain.tenant import LimitTenant, ResetTenant
from domain.trigger import DisableTrigger, EnableTrigger, RemoveTrigger, SetTrigger
from domain.undoing import Drift, Undoing

ORDER: tuple[type[PublicCommand], ...] = (
    DisableTrigger,
    RemoveTrigger,
    LimitTenant,
    ResetTenant,
    RegisterHost,
    UncordonHost,
    RelabelHost,
    RateHost,
    CreateEnvironment,
    StartEnvironment,
    AddLayer,
    ChangeLayer,
    SetCloudletLimits,
    RedeployLayer,
    DeployApplication,
    ScaleLayer,
    ScaleNode,
    RestoreHost,
    MigrateContainer,
    SetTrigger,
    EnableTrigger,
    StopEnvironment,
    RemoveLayer,
    RemoveEnvironment,
    CordonHost,
    RemoveHost,
)
TAKING_AWAY = (RemoveLayer, RemoveEnvironment, RemoveHost)
"""Commands after which something is gone for good."""

ASK_ANEW = "what was ended early has to be asked for anew"
FOR_GOOD: Mapping[str, str] = {
    "host.lose": "what was restarted elsewhere stays there; the host returns when its agent does",
    "host.recover": "what was restarted elsewhere stays there",
    "layer.restart": "a restart leaves nothing to bring back",
    "dead.drop": "a letter that was dropped is not kept",
    "dead.retry": "what the letter asked for is a command of its own: undo that one",
    **dict.fromkeys(("operation.pause", "operation.resume"), "what it was about is over"),
    **dict.fromkeys(("evacuation.pause", "evacuation.resume"), "what it was about is over"),
    **dict.fromkeys(("rebalance.pause", "rebalance.resume"), "what it was about is over"),
    **dict.fromkeys(("operation.cancel", "growth.cancel"), ASK_ANEW),
    **dict.fromkeys(("evacuation.stop", "rebalance.stop"), ASK_ANEW),
}
"""Commands that nothing undoes, and why."""


class Undone(msgspec.Struct, frozen=True):
    """How to undo it, in order, and what is left as it is."""

    steps: tuple[Step, ...]
    left: tuple[Left, ...]


def ways_back(undoing: Undoing) -> Undone:
    """Return the commands that undo what is meant, and what they leave as it is."""
    left = [
        Left(one.command, FOR_GOOD[one.command]) for one in undoing.asked if one.command in FOR_GOOD
    ]
    wanted: dict[tuple[str, str], dict[str, Drift]] = defaultdict(dict)
    unlike = undoing.unlike()
    for intent, drift in unlike.items():
        comes_back = msgspec.structs.replace(intent, member=THERE) in unlike
        why = against(undoing, intent, drift, part=comes_back)
        if why:
            left.append(Left(intent.whose, why, intent.member))
        else:
            wanted[intent.noun, intent.name][intent.member] = drift
    steps: list[Step] = []
    for one in found(undoing, wanted):
        if isinstance(one, Left):
            left.append(one)
        else:
            steps.append(one)
    steps.sort(key=lambda step: ORDER.index(type(step.command)))
    return Undone(tuple(steps), tuple(left))


def against(undoing: Undoing, intent: Intent, drift: Drift, *, part: bool) -> str:
    """Say why one intent cannot come back, "" if it can. `part`: its aggregate comes or goes."""
    if drift.since is not None:
        by = f"{drift.since.command} by {drift.since.actor} at position {drift.since.position:,}"
        return f"changed since, by {by}"
    if part and intent.member != THERE:
        return ""
    if intent.member != THERE and find(undoing.fleet, intent.noun, intent.name) is None:
        return "it is not there any more"
    return "" if same(intent.member, drift.now, drift.new) else "it is another by now"


def found(undoing: Undoing, wanted: Wanted) -> Found:
    """Return every step and what is left, aggregate by aggregate."""
    fleet = undoing.fleet
    for noun, name in wanted:
        if noun in INVERSES and not within(fleet, wanted, noun, name):
            yield from INVERSES[noun](fleet, wanted, name)
    yield from sizes(fleet, wanted)
    yield from moves(undoing, wanted)


def within(fleet: Fleet, wanted: Wanted, noun: str, name: str) -> bool:
    """Say whether it comes or goes with what it is a part of."""
    layer = layer_of(fleet, noun, name)
    if not layer:
        return False
    home = wanted.get(("environment", layer.partition("/")[0]), {})
    part: Drifts = {} if noun == "layer" else wanted.get(("layer", layer), {})
    goes = any(THERE in drifts and drifts[THERE].old is None for drifts in (home, part))
    return goes or (noun == "layer" and THERE in home)


def layer_of(fleet: Fleet, noun: str, name: str) -> str:
    """Return the layer that an aggregate is, or is a part of: `shop/app`; else ""."""
    if noun == "container":
        one = fleet.containers.get(ContainerId(name))
        return f"{one.environment}/{one.layer}" if one else ""
    return name.partition(" ")[0] if noun in {"layer", "trigger"} else ""


def sizes(fleet: Fleet, wanted: Wanted) -> Iterator[Step]:
    """Give containers their own limits: those that had others than their layer has then."""
    layers = {
        name: drifts["limits"].old
        for (noun, name), drifts in wanted.items()
        if noun == "layer" and "limits" in drifts
    }
    for one in by_number(fleet):
        drifts = wanted.get(("container", one.id), {})
        layer = f"{one.environment}/{one.layer}"
        if ("size" not in drifts and layer not in layers) or within(
            fleet, wanted, "container", one.id
        ):
            continue
        now = (one.reserved, one.limit)
        then: tuple[int, int] = drifts["size"].old if "size" in drifts else now
        if then != layers.get(layer, now):
            command = ScaleNode(container=one.id, reserved=then[0], limit=then[1])
            told = back("container", one.id, drifts, "size") or (
                Back(f"container.{one.id}", "size", now, then),
            )
            yield Step(command, told)


def moves(undoing: Undoing, wanted: Wanted) -> Iterator[Step]:
    """Move containers back: with the way back of an evacuation, else one by one."""
    fleet = undoing.fleet
    homes: dict[HostId, dict[ContainerId, Drifts]] = defaultdict(dict)
    for one in by_number(fleet):
        drifts = wanted.get(("container", one.id), {})
        if "host" in drifts and not within(fleet, wanted, "container", one.id):
            homes[drifts["host"].old][one.id] = drifts
    for host, containers in homes.items():
        last = last_evacuation(fleet, host)
        ours = last is not None and f"evacuation.{last.id}" in undoing.sagas
        went = {one.container for one in way_back(fleet, host)} if ours else set[ContainerId]()
        told = tuple(
            one
            for name in containers
            if name in went
            for one in back("container", name, containers[name], "host")
        )
        if told:
            yield Step(RestoreHost(host=host), told)
        for name, drifts in containers.items():
            if name not in went:
                command = MigrateContainer(container=name, target=host)
                yield Step(command, back("container", name, drifts, "host"))


def by_number(fleet: Fleet) -> list[Container]:
    """Return every container, in ascending number."""
    return sorted(fleet.containers.values(), key=lambda one: number_of(one.id))
