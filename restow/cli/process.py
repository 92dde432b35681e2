"""`restow engine`, `restow agent`, `restow reader`: the processes of a region, one by one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from handlers.agent.behaviour import Behaviour
from restow.cli.flags import HERE, At
from restow.cli.talk import region_of
from restow.settings import AUDIT_FILE, data_directory
from restow.stopping import stop_signals
from restow.wiring import run_agent, run_engine, run_reader


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Which hosts an agent process serves, and how they behave."""

    hosts: Annotated[tuple[str, ...], Parameter(name="--host")] = ()
    """Name of a host that it serves; as often as needed."""
    routing: bool = False
    """Be the router with simulated DNS and balancer, too."""
    seed: int = 0
    """What durations and failures are drawn from."""
    speed: float = 1.0
    """How much faster than real ones they are."""


NO_HOSTS = Hosts()
RELAXED = Parameter(help="Accept that a power cut may lose what was acknowledged.")
MONITOR = Parameter(help="Monitoring address of each NATS server, to verify that they sync always.")
REPLICAS = Parameter(help="On how many NATS servers each stream is kept, when it is created.")
Data = Annotated[
    Path | None,
    Parameter(help="Where it keeps what it must not forget; else RESTOW_DATA, ./.restow."),
]


async def engine(
    *,
    name: Annotated[str, Parameter(help="Its name in statuses and logs.")],
    relaxed: Annotated[bool, RELAXED] = False,
    monitor: Annotated[tuple[str, ...], MONITOR] = (),
    replicas: Annotated[int, REPLICAS] = 1,
    at: At = HERE,
) -> None:
    """Run an engine: active if none is, else a warm standby."""
    region = region_of(at)
    await run_engine(region, name, monitors=monitor, relaxed=relaxed, replicas=replicas)


async def agent(*, data: Data = None, hosts: Hosts = NO_HOSTS, at: At = HERE) -> None:
    """Run the agent of simulated hosts."""
    behaviour = Behaviour(seed=hosts.seed, speed=hosts.speed)
    where = (data or data_directory()) / "agents"
    region = region_of(at)
    await run_agent(region, hosts.hosts, where, behaviour, routing=hosts.routing)


async def reader(*, data: Data = None, at: At = HERE) -> None:
    """Run the read side: queries, public events, audit."""
    with stop_signals() as stop:
        await run_reader(region_of(at), (data or data_directory()) / AUDIT_FILE, stop)
