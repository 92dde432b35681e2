"""`restow up` and `restow down`: everything on this machine."""

import asyncio
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from domain.problems import Exit
from handlers.journal.safety import UnsafeServerError
from handlers.nats_server import ServerStartError
from restow.cli.exits import UsageError
from restow.cli.flags import SPEED
from restow.cli.leases import LEASE, LEASE_USUAL, terms_from
from restow.cli.output import say, tell
from restow.cli.sure import Yes, meant, somebody
from restow.crew import MemberEndedError
from restow.locks import is_held
from restow.logs import quiet
from restow.settings import SettingsError, Up, data_directory, find_server, prefix_named, read_up
from restow.stopping import stop_signals
from restow.up import HTTP_DEFAULT, PORT_DEFAULT, AlreadyUpError, Plan, StartError, running

HOSTS_MAX = 1_000
ENGINES_MAX = 9
PORT = Parameter(validator=Number(gte=-1, lte=65_535))
DOWN_S = 30.0
"""How long `restow up` may take to stop everything."""
POLL_S = 0.1
TRY = (
    "restow status",
    "restow open",
    "restow env create shop --layer bl:1 --layer app:3:reserved=2:limit=8 --layer sql:2:hard",
    "restow layer scale shop/app 6",
    "restow ct list -o wide",
    "restow layer restart shop/app --delay 2s",
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Machine:
    """What `restow up` runs."""

    hosts: Annotated[int, Parameter(validator=Number(gte=1, lte=HOSTS_MAX))] = 6
    """Simulated hosts."""
    zones: Annotated[int, Parameter(validator=Number(gte=1, lte=HOSTS_MAX))] = 3
    """Zones that they are spread over; each has an agent process of its own."""
    engines: Annotated[int, Parameter(validator=Number(gte=1, lte=ENGINES_MAX))] = 2
    """Engines; one is active, the others are warm standbys."""
    data: Path | None = None
    """Directory of everything that is kept; else RESTOW_DATA, ./.restow."""
    port: Annotated[int, PORT] = PORT_DEFAULT
    """Port of the NATS server on 127.0.0.1; -1 for any that is free."""
    http: Annotated[int, PORT] = HTTP_DEFAULT
    """Port of dashboard and read API on 127.0.0.1; where it is taken, or for -1, another one."""
    seed: int = 0
    """What the simulated hosts' durations and failures are drawn from."""
    speed: Annotated[float, SPEED] = 1.0
    """How much faster than real ones the simulated hosts are."""
    lease: Annotated[str, LEASE] = LEASE_USUAL
    relaxed: bool = False
    """Accept that a power cut may lose what was acknowledged."""
    runtime: Literal["simulated", "runc"] = "simulated"
    """What runs containers: simulated, or runc for real ones on this machine (as root)."""
    traffic: Path | None = None
    """Settings of real DNS servers and a real HAProxy, in TOML; else both are simulated."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Server:
    """Another NATS server than our own."""

    url: str | None = None
    """Use this NATS server; else RESTOW_URL, NATS_URL, the chosen context, or one of our own."""
    monitor: tuple[str, ...] = ()
    """Monitoring address of each of its servers, to verify that they sync always."""
    prefix: str = "restow"
    """Prefix of the region's subjects and streams."""


OWN = Server()
USUAL = Machine()


async def up(*, machine: Machine = USUAL, server: Server = OWN) -> int:
    """Start NATS, engines, the read side and simulated hosts; Ctrl-C stops all of it.

    Other commands in the same directory find it by themselves. The containers are simulated, unless
    --runtime runc: the agents are the real ones, their runtime keeps a counter for each container
    instead of a process.
    """
    terms_from(machine.lease)
    plan = Plan(
        data=machine.data or data_directory(),
        hosts=machine.hosts,
        zones=machine.zones,
        engines=machine.engines,
        port=machine.port,
        http=machine.http,
        prefix=_prefix(server.prefix),
        relaxed=machine.relaxed,
        seed=machine.seed,
        speed=machine.speed,
        lease=machine.lease,
        server=find_server(server.url),
        monitors=server.monitor,
        runtime=machine.runtime,
        traffic=machine.traffic,
    )
    quiet()
    try:
        await _until_stopped(plan)
    except AlreadyUpError as error:
        return _already(plan, error.up)
    except UnsafeServerError as error:
        say(f"error: {error}")
        return Exit.REFUSED
    except (StartError, ServerStartError, MemberEndedError) as error:
        say(f"error: {error}")
        return Exit.FAILED
    return Exit.DONE


def _prefix(text: str) -> str:
    try:
        return prefix_named(text)
    except SettingsError as error:
        raise UsageError(str(error)) from error


async def _until_stopped(plan: Plan) -> None:
    """Run until a signal says stop; then, or if something fails, stop all that was started."""
    with stop_signals() as stop:
        serving = asyncio.create_task(_serve(plan))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done() and not serving.done():
            tell("stopping")
            serving.cancel()
            await asyncio.wait({serving})
        stopped.cancel()
    if not serving.cancelled():
        serving.result()
    tell("stopped")


async def _serve(plan: Plan) -> None:
    async with running(plan, tell) as site:
        tell(f"data in {plan.data}, logs in {plan.data / 'logs'}")
        tell("\n".join(["try:", *(f"  {line}" for line in TRY)]))
        tell(f"up, process {site.up.pid}; Ctrl-C stops all of it")
        await asyncio.get_running_loop().create_future()


def _already(plan: Plan, found: Up | None) -> int:
    if found is None:
        say(f"`restow up` is just starting in {plan.data}")
    else:
        tell(f"already up: {found.url}, prefix {found.prefix}, process {found.pid}, in {plan.data}")
        say("  try   restow status      see   restow open      stop  restow down")
    return Exit.DONE


def down(
    *,
    data: Annotated[Path | None, Parameter(help="The one `restow up` was given.")] = None,
    purge: Annotated[bool, Parameter(help="Remove all that was kept there, too.")] = False,
    yes: Yes = False,
) -> int:
    """Stop what `restow up` started."""
    where = data or data_directory()
    if purge and not yes and where.exists():
        act = f"remove {where} with the journal and all that was ever done"
        somebody(act)
        meant(act)
    if is_held(where):
        found = read_up(where)
        if found is None or not _stop(where, found):
            say(f"error: `restow up` in {where} did not stop within {DOWN_S:.0f} s")
            return Exit.FAILED
        tell(f"stopped process {found.pid}")
    else:
        say(f"nothing is up in {where}")
    if purge and where.exists():
        shutil.rmtree(where)
        tell(f"removed {where}")
    return Exit.DONE


def _stop(where: Path, found: Up) -> bool:
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    give_up = time.monotonic() + DOWN_S
    while is_held(where):
        if time.monotonic() > give_up:
            return False
        time.sleep(POLL_S)
    return True
