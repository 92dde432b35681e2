"""A hardware node: how much it can carry, how much of that is promised, and whether it takes more.

Capacity in cloudlets is the smaller of memory and overcommitted processor; disk is a second
dimension. Placement proposes; a container is charged to a host by the same commit that puts it
there, and to both hosts while it moves.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, assert_never

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from domain.ability import HostProved
from domain.decider import Decision, Outcome
from domain.messages import (
    CPU_OF_A_CLOUDLET_MHZ,
    MEMORY_OF_A_CLOUDLET_MIB,
    ROUTING,
    Accepted,
    Code,
    DiskGib,
    EvacuationId,
    Event,
    HostId,
    HostName,
    Labels,
    PublicCommand,
    Refusal,
)

LOAD_MARK_MAX = 1_000


class RegisterHost(PublicCommand, frozen=True, kw_only=True, tag="host.register"):
    """Make a host known, with what its hardware has. `overcommit` multiplies the processor."""

    host: HostName
    memory_mib: Annotated[int, Meta(ge=MEMORY_OF_A_CLOUDLET_MIB, le=67_108_864)]
    cpu_mhz: Annotated[int, Meta(ge=CPU_OF_A_CLOUDLET_MHZ, le=16_777_216)]
    disk_gib: DiskGib
    overcommit: Annotated[float, Meta(ge=1, le=64)] = 1.0
    labels: Labels = msgspec.field(default_factory=dict)


class RelabelHost(PublicCommand, frozen=True, kw_only=True, tag="host.relabel"):
    """Replace a host's labels; `zone` is the one that spreading looks at."""

    host: HostName
    labels: Labels


class RateHost(PublicCommand, frozen=True, kw_only=True, tag="host.rate"):
    """Set the host's measured load mark, used by the policy `virtuozzo-loadmark`."""

    host: HostName
    load_mark: Annotated[int, Meta(ge=0, le=LOAD_MARK_MAX)]


class CordonHost(PublicCommand, frozen=True, kw_only=True, tag="host.cordon"):
    """Take no new containers here; keep the old ones running."""

    host: HostName


class UncordonHost(PublicCommand, frozen=True, kw_only=True, tag="host.uncordon"):
    """Take new containers here again."""

    host: HostName


class RemoveHost(PublicCommand, frozen=True, kw_only=True, tag="host.remove"):
    """Forget a host that carries nothing."""

    host: HostName


HostCommand = RegisterHost | RelabelHost | RateHost | CordonHost | UncordonHost | RemoveHost


class HostRegistered(Event, frozen=True, gc=False, tag="host.registered"):
    """It is there to carry containers; under its old name it has a term that it never had."""

    host: HostId
    cloudlets: int
    disk_gib: int
    memory_mib: int
    cpu_mhz: int
    labels: Mapping[str, str] = {}
    term: int = 0


class HostRelabelled(Event, frozen=True, gc=False, tag="host.relabelled"):
    host: HostId
    labels: Mapping[str, str]


class HostRated(Event, frozen=True, gc=False, tag="host.rated"):
    host: HostId
    load_mark: int


class HostCordoned(Event, frozen=True, gc=False, tag="host.cordoned"):
    host: HostId
    reason: str = ""


class HostUncordoned(Event, frozen=True, gc=False, tag="host.uncordoned"):
    host: HostId


class HostRemoved(Event, frozen=True, gc=False, tag="host.removed"):
    host: HostId


class HostEvacuating(Event, frozen=True, gc=False, tag="host.evacuating"):
    """It receives nothing, and its containers are being moved away."""

    host: HostId
    evacuation: EvacuationId


class HostEvacuated(Event, frozen=True, gc=False, tag="host.evacuated"):
    """It carries nothing any more, and receives nothing until it is uncordoned."""

    host: HostId
    evacuation: EvacuationId


class HostEvacuationFailed(Event, frozen=True, gc=False, tag="host.evacuation-failed"):
    """Some of its containers could not go; it receives nothing until it is uncordoned."""

    host: HostId
    evacuation: EvacuationId


class HostLost(Event, frozen=True, gc=False, tag="host.lost"):
    """It holds no lease, so what was to be fenced there is; it carries nothing that serves.

    `vouched`: a human says that it is dead, so that what layers `keep` does not run there either.
    """

    host: HostId
    silent_ms: int = 0
    vouched: bool = False
    reason: str = ""


class HostReturned(Event, frozen=True, gc=False, tag="host.returned"):
    """It is there again, clean, under a new term: orders of an earlier term count for nothing."""

    host: HostId
    term: int
    cordoned: bool = False


HostEvent = (
    HostRegistered
    | HostRelabelled
    | HostRated
    | HostCordoned
    | HostUncordoned
    | HostRemoved
    | HostEvacuating
    | HostEvacuated
    | HostEvacuationFailed
    | HostLost
    | HostReturned
    | HostProved
)


class HostState(StrEnum):
    ACTIVE = "active"
    CORDONED = "cordoned"
    EVACUATING = "evacuating"
    EVACUATED = "evacuated"
    EVACUATION_FAILED = "evacuation_failed"
    LOST = "lost"
    FENCED = "fenced"
    REMOVED = "removed"


class Host(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a host must remember in order to decide, and no more.

    `used` and `used_disk` are what is promised to containers here and to those on their way
    here; `leaving` and `arriving` count the migrations that touch it; `forced` is how far beyond
    its capacity it was loaded on purpose. `term` is how often a host of this name came back after
    it was lost, or was registered again: an agent of an earlier term first cleans up;
    `cordoned`: a lost host takes nothing when it returns; `vouched`: a human says that it is dead.
    `live` is how it moves containers live ("" where nobody has said), `unable` why it does not.
    """

    id: HostId
    cloudlets: int
    disk_gib: int
    labels: Mapping[str, str] = {}
    state: HostState = HostState.ACTIVE
    used: int = 0
    used_disk: int = 0
    containers: int = 0
    leaving: int = 0
    arriving: int = 0
    load_mark: int | None = None
    forced: int = 0
    note: str = ""
    term: int = 0
    cordoned: bool = False
    vouched: bool = False
    live: str = ""
    unable: str = ""

    @property
    def lost(self) -> bool:
        return self.state is HostState.LOST

    @property
    def free(self) -> int:
        """Cloudlets that nobody was promised; negative only after a recorded force."""
        return self.cloudlets - self.used

    @property
    def free_disk(self) -> int:
        return self.disk_gib - self.used_disk

    @property
    def zone(self) -> str:
        return self.labels.get("zone", "")


EMPTYING: Mapping[type[Event], HostState] = {
    HostEvacuating: HostState.EVACUATING,
    HostEvacuated: HostState.EVACUATED,
    HostEvacuationFailed: HostState.EVACUATION_FAILED,
}


def evolve(host: Host | None, event: HostEvent) -> Host | None:
    if isinstance(event, HostRegistered):
        new = Host(event.host, event.cloudlets, event.disk_gib, event.labels)
        return replace(new, term=event.term)
    if host is None or isinstance(event, HostRemoved):
        return None
    match event:
        case HostRelabelled(labels=labels):
            return replace(host, labels=labels)
        case HostRated() | HostProved():
            return _measured(host, event)
        case HostLost() | HostReturned():
            return _lost_or_back(host, event)
        case HostCordoned() | HostUncordoned():
            return _opened_or_closed(host, event)
        case HostEvacuating() | HostEvacuated() | HostEvacuationFailed():
            return _emptied(host, event)
        case _:
            assert_never(event)


def _measured(host: Host, event: HostRated | HostProved) -> Host:
    if isinstance(event, HostRated):
        return replace(host, load_mark=event.load_mark)
    return replace(host, live=event.live, unable=event.why)


def _opened_or_closed(host: Host, event: HostCordoned | HostUncordoned) -> Host:
    if isinstance(event, HostUncordoned):
        return replace(host, state=HostState.ACTIVE, note="")
    return replace(host, state=HostState.CORDONED, note=event.reason)


def _emptied(host: Host, event: HostEvacuating | HostEvacuated | HostEvacuationFailed) -> Host:
    """Say how far it is emptied; a host that was lost meanwhile stays lost."""
    state = HostState.LOST if host.lost else EMPTYING[type(event)]
    return replace(host, state=state, note=event.evacuation)


def _lost_or_back(host: Host, event: HostLost | HostReturned) -> Host:
    if isinstance(event, HostReturned):
        state = HostState.CORDONED if event.cordoned else HostState.ACTIVE
        return replace(host, state=state, term=event.term, cordoned=False, vouched=False, note="")
    cordoned = host.cordoned if host.lost else host.state is not HostState.ACTIVE
    return replace(
        host,
        state=HostState.LOST,
        cordoned=cordoned,
        vouched=event.vouched,
        note=event.reason,
    )


def decide(host: Host | None, command: HostCommand, term: int = 0) -> Outcome:
    """Decide what is asked about one host; `term` is that of a host of this name that is new."""
    if isinstance(command, RegisterHost):
        return register(host, command, term)
    if host is None:
        return unknown(HostId(command.host))
    match command:
        case RelabelHost(labels=labels):
            done = () if host.labels == labels else (HostRelabelled(host.id, labels),)
            return Decision(done)
        case RateHost(load_mark=mark):
            return Decision(() if host.load_mark == mark else (HostRated(host.id, mark),))
        case CordonHost():
            return cordon(host, command)
        case UncordonHost():
            return uncordon(host)
        case RemoveHost():
            return remove(host)
        case _:
            assert_never(command)


def unknown(host: HostId) -> Refusal:
    return Refusal(
        Code.HOST_NOT_FOUND,
        f"there is no host {host}; register it first",
        "$.host",
        {"host": host},
    )


def lost(host: Host) -> Refusal:
    return Refusal(
        Code.HOST_LOST,
        f"host {host.id} is lost; it comes back by itself when its agent does, or is removed"
        f" when nothing is left on it ({host.containers} containers are)",
        "$.host",
        {"containers": host.containers},
    )


def capacity(command: RegisterHost) -> int:
    """Cloudlets that this hardware carries: the smaller of memory and overcommitted processor."""
    by_memory = command.memory_mib // MEMORY_OF_A_CLOUDLET_MIB
    by_cpu = int(command.cpu_mhz * command.overcommit) // CPU_OF_A_CLOUDLET_MHZ
    return min(by_memory, by_cpu)


def register(host: Host | None, ask: RegisterHost, term: int) -> Outcome:
    """Register; asked again for the same hardware and labels, nothing changes."""
    if ask.host == ROUTING:
        return Refusal(
            Code.REQUEST_INVALID,
            f"{ROUTING} is what DNS and balancer are called; choose another name",
            "$.host",
        )
    cloudlets = capacity(ask)
    if host is None:
        measures = cloudlets, ask.disk_gib, ask.memory_mib, ask.cpu_mhz
        return Decision((HostRegistered(HostId(ask.host), *measures, ask.labels, term),))
    same = (cloudlets, ask.disk_gib, ask.labels) == (host.cloudlets, host.disk_gib, host.labels)
    if same:
        return Decision()
    return Refusal(
        Code.HOST_EXISTS,
        f"host {host.id} is registered with {host.cloudlets} cloudlets and {host.disk_gib} GiB;"
        " remove it first, or relabel it",
        "$.host",
        {"cloudlets": host.cloudlets, "disk_gib": host.disk_gib},
    )


def cordon(host: Host, ask: CordonHost) -> Outcome:
    if host.lost:
        return lost(host)
    if host.state in {HostState.CORDONED, HostState.EVACUATING}:
        return Decision()
    return Decision((HostCordoned(host.id, ask.reason),))


def uncordon(host: Host) -> Outcome:
    if host.lost:
        return lost(host)
    if host.state is HostState.ACTIVE:
        return Decision()
    if host.state is HostState.EVACUATING:
        return Refusal(
            Code.OPERATION_BUSY,
            f"evacuation {host.note} empties host {host.id}; stop it first"
            f" (restow evacuation stop {host.note})",
            "$.host",
            {"evacuation": host.note},
        )
    return Decision((HostUncordoned(host.id),), answer=Accepted())


def remove(host: Host) -> Outcome:
    if not host.containers and not host.arriving:
        return Decision((HostRemoved(host.id),))
    return Refusal(
        Code.HOST_IN_USE,
        f"host {host.id} carries {host.containers} containers and {host.arriving} are on their"
        " way; cordon it and migrate them first",
        "$.host",
        {"containers": host.containers, "arriving": host.arriving},
    )
