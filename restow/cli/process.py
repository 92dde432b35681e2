"""`restow engine`, `restow agent`, `restow reader`: the processes of a region, one by one."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import structlog
from cyclopts import Parameter
from cyclopts.validators import Number

from domain.messages import HostName
from domain.problems import Exit
from domain.region import BrokenHistoryError
from handlers.agent.behaviour import Behaviour
from handlers.agent.process import LISTEN_DEFAULT
from handlers.agent.records import RecordsDamagedError, RecordsInUseError
from handlers.agent.runc.hardening import Profile
from handlers.agent.runc.images import Images
from handlers.agent.runc.moving import Reach
from handlers.agent.runc.proving import prove
from handlers.agent.runc.runtime import real
from handlers.agent.runtime import Ability
from handlers.bus import BusUnavailableError
from handlers.journal.reader import JournalDamagedError
from handlers.journal.safety import UnsafeServerError
from handlers.journal.stream import JetStreamError, UnsafeStreamError
from handlers.traffic.settings import TrafficSettingsError
from projections.audit import AuditDamagedError
from projections.stores import ShelfInUseError, StoreLockedError, StoreTooNewError
from projections.web.serving import AddressInUseError
from restow.cli.exits import EndedError, UsageError
from restow.cli.flags import HERE, SPEED, STORE, At
from restow.cli.leases import LEASE, LEASE_USUAL, terms_from
from restow.cli.output import say
from restow.cli.talk import reachable, region_of, store_of
from restow.logs import verbose
from restow.loop import run
from restow.metrics import CannotListenError
from restow.noting import StrangeNoteError
from restow.settings import (
    AGENTS_FOLDER,
    IMAGES_FOLDER,
    Endpoint,
    Region,
    SettingsError,
    data_directory,
    endpoint,
    metrics_endpoint,
)
from restow.stopping import stop_signals
from restow.tasks import leaves
from restow.wiring import Places, run_agent, run_engine, run_reader

log = structlog.stdlib.get_logger(__name__)

RUNTIME = Parameter(help="What runs containers: simulated, or runc for real ones.")
TRAFFIC = Parameter(help="Settings of the router's DNS servers and HAProxy, in TOML.")
UNDERLAY = Parameter(help="Address of this machine among the hosts, for networks of environments.")
LISTEN = Parameter(help="Address where other hosts may ask whether this one is cut off too.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Which hosts an agent process serves, and how they behave."""

    hosts: Annotated[tuple[str, ...], Parameter(name="--host")] = ()
    """Name of a host that it serves; as often as needed."""
    routing: bool = False
    """Be the router, too: with simulated DNS and balancer, or those that --traffic names."""
    traffic: Annotated[Path | None, TRAFFIC] = None
    seed: int = 0
    """What durations and failures are drawn from."""
    speed: Annotated[float, SPEED] = 1.0
    """How much faster than real ones they are."""
    listen: Annotated[str, LISTEN] = LISTEN_DEFAULT
    runtime: Annotated[Literal["simulated", "runc"], RUNTIME] = "simulated"
    bridge: str = ""
    """Bridge of this machine that real containers are joined to; else each is alone."""
    underlay: Annotated[str, UNDERLAY] = ""
    """With real containers, or as the router: each environment has a network of its own."""
    profile: Profile = Profile.MOVABLE
    """How real containers are shut in that do not say it: movable (live), or isolated."""


NO_HOSTS = Hosts()
RELAXED = Parameter(help="Accept that a power cut may lose what was acknowledged.")
MONITOR = Parameter(help="Monitoring address of each NATS server, to verify that they sync always.")
REPLICAS = Parameter(
    help="On how many NATS servers each stream is kept, when it is created.",
    validator=Number(gte=1, lte=5),
)
ENDS: Mapping[type[Exception], Exit] = {
    UnsafeServerError: Exit.REFUSED,
    UnsafeStreamError: Exit.REFUSED,
    JetStreamError: Exit.REFUSED,
    JournalDamagedError: Exit.DIFFERENT,
    BrokenHistoryError: Exit.DIFFERENT,
    RecordsDamagedError: Exit.DIFFERENT,
    RecordsInUseError: Exit.CONFLICT,
    AuditDamagedError: Exit.DIFFERENT,
    StrangeNoteError: Exit.DIFFERENT,
    StoreTooNewError: Exit.REFUSED,
    ShelfInUseError: Exit.CONFLICT,
    StoreLockedError: Exit.UNREACHABLE,
    AddressInUseError: Exit.CONFLICT,
    TrafficSettingsError: Exit.USAGE,
    CannotListenError: Exit.CONFLICT,
}
"""How a process ends that must not run."""
WHAT_ENDS: tuple[type[Exception], ...] = (ExceptionGroup, *ENDS)
Data = Annotated[
    Path | None,
    Parameter(help="Where it keeps what it must not forget; else RESTOW_DATA, ./.restow."),
]


Store = Annotated[str | None, STORE]
Http = Annotated[
    str | None, Parameter(help="Serve dashboard and read API: 127.0.0.1:8080. Loopback alone.")
]


Metrics = Annotated[
    str | None,
    Parameter(help="Serve what is counted there, for Prometheus: 127.0.0.1:9101 (/metrics)."),
]


def metrics_at(text: str | None) -> Endpoint | None:
    """Read where what is counted is served. Raises `UsageError`."""
    try:
        return None if text is None else metrics_endpoint(text)
    except SettingsError as error:
        raise UsageError(str(error)) from error


def endpoint_of(text: str) -> Endpoint:
    """Read where the read API is to listen. Raises `UsageError`."""
    try:
        return endpoint(text)
    except SettingsError as error:
        raise UsageError(str(error)) from error


@contextmanager
def explained(region: Region) -> Generator[None]:
    """Say in a sentence why a process cannot run. Raises `ProblemError`, `EndedError`."""
    with reachable(region):
        try:
            yield
        except WHAT_ENDS as error:
            for one in leaves(error):
                if isinstance(one, BusUnavailableError):
                    raise one from None
                code = next((code for kind, code in ENDS.items() if isinstance(one, kind)), None)
                if code is not None:
                    say(f"error: {one}")
                    raise EndedError(code) from error
            raise


def engine(  # noqa: PLR0913 - the settings of a process
    *,
    name: Annotated[str, Parameter(help="Its name in statuses and logs.")],
    relaxed: Annotated[bool, RELAXED] = False,
    monitor: Annotated[tuple[str, ...], MONITOR] = (),
    replicas: Annotated[int, REPLICAS] = 1,
    lease: Annotated[str, LEASE] = LEASE_USUAL,
    metrics: Metrics = None,
    at: At = HERE,
) -> None:
    """Run an engine: active if none is, else a warm standby."""
    region = region_of(at)
    terms, counted = terms_from(lease), metrics_at(metrics)
    with explained(region):
        run(
            run_engine(
                region,
                name,
                monitors=monitor,
                relaxed=relaxed,
                replicas=replicas,
                terms=terms,
                metrics=counted,
            )
        )


def host_named(text: str) -> None:
    """Refuse what can be no host. Raises `UsageError`."""
    try:
        msgspec.convert(text, HostName)
    except msgspec.ValidationError as error:
        message = (
            f"--host {text!r}: name each host that it serves by a DNS label, as in --host h01:"
            " a-z, 0-9 and inner hyphens, 1..63 characters; or --routing"
        )
        raise UsageError(message) from error


async def proven() -> Ability:
    """Prove that this machine moves containers live, log how that went, and return it."""
    verbose()
    ability = await asyncio.to_thread(prove)
    said = log.ainfo if ability.live != "none" else log.awarning
    await said("agent.ability", live=ability.live, why=ability.why, took_ms=ability.took_ms)
    return ability


def _is_ipv4(word: str) -> bool:
    try:
        return str(IPv4Address(word)) == word
    except ValueError:
        return False


async def agent(
    *, data: Data = None, hosts: Hosts = NO_HOSTS, metrics: Metrics = None, at: At = HERE
) -> None:
    """Run the agent of hosts: simulated ones, or with --runtime runc this very machine."""
    for host in hosts.hosts or (() if hosts.routing else ("",)):
        host_named(host)
    behaviour = Behaviour(seed=hosts.seed, speed=hosts.speed)
    keeps = data or data_directory()
    where, kind = keeps / AGENTS_FOLDER, None
    if hosts.runtime == "runc":
        at_home = Reach(hosts.listen, hosts.bridge, await proven(), hosts.underlay)
        kind = real(Images(keeps / IMAGES_FOLDER), hosts.profile, reach=at_home)
    if hosts.underlay and not _is_ipv4(hosts.underlay):
        message = f"--underlay is an IPv4 address of this machine, not {hosts.underlay!r}"
        raise UsageError(message)
    if hosts.underlay and hosts.runtime != "runc" and not hosts.routing:
        message = "--underlay is for --runtime runc and for --routing: no other one has networks"
        raise UsageError(message)
    if hosts.traffic is not None and not hosts.routing:
        message = "--traffic is for the router: say --routing too"
        raise UsageError(message)
    region, counted = region_of(at), metrics_at(metrics)
    with explained(region):
        await run_agent(
            region,
            hosts.hosts,
            where,
            behaviour,
            routing=hosts.routing,
            listen=hosts.listen,
            kind=kind,
            traffic=hosts.traffic,
            metrics=counted,
            underlay=hosts.underlay,
        )


def reader(*, http: Http = None, data: Data = None, store: Store = None, at: At = HERE) -> None:
    """Run the read side: queries, public events, views, read API, audit."""
    region, kept = region_of(at), store_of(store)
    where = None if http is None else endpoint_of(http)
    with explained(region):
        run(_read(region, Places(data or data_directory(), kept, where)))


async def _read(region: Region, places: Places) -> None:
    with stop_signals() as stop:
        await run_reader(region, places, stop)
