"""Everything on one machine: a NATS server, engines, the read side, agents with simulated hosts.

Each step says what it did. What was started is kept up, and stopped in order at the end; another
`restow up` on the same data finds the first one, and other commands find the bus by `up.json`.
"""

import asyncio
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec
import psutil
from msgspec.structs import replace

from domain.messages import ROUTING, Code, HostId
from domain.problems import Problem
from domain.subjects import PREFIX_DEFAULT
from handlers.agent.runc.cgroups import core_mhz
from handlers.agent.runc.places import Places
from handlers.agent.runc.sweeping import still
from handlers.bus import Address
from handlers.nats_server import Server, ServerOptions, find_binary, start
from restow.crew import Crew, Member, Say, cause, crew
from restow.locks import HeldError, held
from restow.settings import AGENTS_FOLDER, UP_FILE, Region, Up, read_up, write_up
from restow.talk import Talk, talk
from restow.tasks import tasks

ZONES = ("north", "east", "south", "west")
PORT_DEFAULT = 4222
HTTP_DEFAULT = 8080
LOOPBACK = "127.0.0.1"
READY_S = 30.0
"""How long an engine may take to become active, and the read side to answer."""
POLL_S = 0.1
WATCH_S = 0.5
"""How often the NATS server is looked at."""


class Hardware(msgspec.Struct, frozen=True):
    """What a simulated host has: 64 cloudlets."""

    memory_mib: int = 8_192
    cpu_mhz: int = 25_600
    disk_gib: int = 200


HARDWARE = Hardware()


class Place(msgspec.Struct, frozen=True):
    """Where an agent process runs: words before its command line, and flags of its own."""

    before: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


HERE = Place()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to run. `server` is a bus to use instead of an own NATS server.

    `lease` is how long a host may be silent. Hosts that are `alone` have an agent process each;
    the others of a zone share one. `traffic` are the settings of real DNS and a real balancer.
    `places` says of hosts that are alone, and of the router (`routing`), where they are. Our own
    NATS server listens on `address`.
    """

    data: Path
    hosts: int = 6
    zones: int = 3
    engines: int = 2
    port: int = PORT_DEFAULT
    http: int = HTTP_DEFAULT
    prefix: str = PREFIX_DEFAULT
    relaxed: bool = False
    seed: int = 0
    speed: float = 1.0
    server: Region | None = None
    monitors: tuple[str, ...] = ()
    lease: str = "20s"
    alone: tuple[str, ...] = ()
    runtime: str = "simulated"
    traffic: Path | None = None
    places: Mapping[str, Place] = {}
    address: str = LOOPBACK


class StartError(Exception):
    """Something did not come up; the message says what, why, and what to do."""


class AlreadyUpError(Exception):
    """Another `restow up` runs on the same data. `up` is what it wrote down, if it has yet."""

    def __init__(self, data: Path, up: Up | None) -> None:
        super().__init__(str(data))
        self.up = up


class Site:
    """What runs: its processes, what is written down of it, and a conversation with it."""

    def __init__(self, members: Crew, up: Up, said: Talk) -> None:
        self.crew = members
        self.up = up
        self.talk = said


def host_zones(hosts: int, zones: int) -> dict[str, str]:
    """Return the simulated hosts and their zones: `h01` in north, `h02` in east, and so on."""
    names = ZONES if zones <= len(ZONES) else [f"zone{n}" for n in range(1, zones + 1)]
    return {f"h{n + 1:02}": names[n % zones] for n in range(hosts)}


def restow(*words: str) -> tuple[str, ...]:
    """Return the command line that runs `restow` in this very environment."""
    return (sys.executable, "-m", "restow", *words)


@asynccontextmanager
async def running(plan: Plan, say: Say) -> AsyncGenerator[Site]:
    """Start all that the plan wants, and stop it at the end of the block.

    Raises `AlreadyUpError`, `StartError`, `ServerStartError`, and `UnsafeServerError` where the
    NATS server may lose what it acknowledged.
    """
    with _alone(plan.data):
        async with (
            _quiet(plan),
            _bus(plan, say) as (region, monitors),
            crew(plan.data / "logs", say) as members,
            talk(region, "restow up") as said,
        ):
            await said.verify(monitors, relaxed=plan.relaxed)
            site = Site(members, _up(plan, region, monitors), said)
            keep_written(plan.data, site, say)
            try:
                await _start(plan, site, say)
                yield site
            finally:
                (plan.data / UP_FILE).unlink(missing_ok=True)


def _up(plan: Plan, region: Region, monitors: Sequence[str]) -> Up:
    return Up(
        url=region.address.servers,
        prefix=plan.prefix,
        pid=os.getpid(),
        started_at=time.time_ns() // 1_000_000,
        monitor=",".join(monitors),
        relaxed=plan.relaxed,
        http=f"http://{LOOPBACK}:{port_for(plan.http)}",
    )


def _http(up: Up) -> str:
    return up.http.removeprefix("http://")


def port_for(wanted: int) -> int:
    """Return this port if nobody listens there; else, or for -1, one that is free."""
    for port in (max(0, wanted), 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                trial.bind((LOOPBACK, port))
                return int(trial.getsockname()[1])
    message = "no port of this machine is free for the read API"
    raise StartError(message)


@contextmanager
def _alone(data: Path) -> Generator[None]:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = (
            f"the data directory {data} cannot be made: {error.strerror}; name another: --data"
        )
        raise StartError(message) from error
    try:
        with held(data):
            yield
    except HeldError:
        raise AlreadyUpError(data, read_up(data)) from None


@asynccontextmanager
async def _bus(plan: Plan, say: Say) -> AsyncGenerator[tuple[Region, tuple[str, ...]]]:
    """Return the bus and its monitoring; where none is named, start a server of our own."""
    if plan.server is not None:
        say(f"bus {plan.server.address.servers} (named by {plan.server.source}) … used as it is")
        yield replace(plan.server, prefix=plan.prefix), plan.monitors
        return
    server = await start(_options(plan))
    try:
        said = ", relaxed: a power cut may lose what was acknowledged" if plan.relaxed else ""
        say(f"nats-server {await _version()} at {server.url}{said} … ok")
        async with tasks() as group:
            watcher = group.create_task(_keep_up(server, say))
            own = Region(Address(server.url), plan.prefix, "restow up")
            yield own, (server.monitor,)
            watcher.cancel()
    finally:
        await asyncio.to_thread(server.stop)


def _options(plan: Plan) -> ServerOptions:
    return ServerOptions(
        plan.data / "nats", port=plan.port, sync_always=not plan.relaxed, host=plan.address
    )


async def _version() -> str:
    """Return the version of the NATS server that is used, and where it comes from."""
    binary = find_binary()
    process = await asyncio.create_subprocess_exec(
        str(binary), "--version", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    origin = "bundled" if binary.parent == Path(sys.executable).parent else str(binary)
    return f"{said.decode().rpartition(':')[2].strip().removeprefix('v')} ({origin})"


async def _keep_up(server: Server, say: Say) -> None:
    """Start the server again whenever it ended by itself."""
    while True:
        await asyncio.sleep(WATCH_S)
        code = server.process.poll()
        if code is not None:
            say(f"nats-server ended {cause(code)}; it is started again")
            await server.restart()


async def _start(plan: Plan, site: Site, say: Say) -> None:
    """Start engines, read side and agents, and make the hosts known."""
    at = _whereabouts(plan, site)
    await _start_engines(plan, site, at)
    await _leader(site, say)
    reader = restow("reader", *at, "--data", str(plan.data), "--http", _http(site.up))
    await site.crew.start(Member("reader", reader))
    zones = host_zones(max(plan.hosts, _hosts_before(plan.data)), plan.zones)
    await _start_agents(plan, site, at, zones)
    await _register(site, zones, _hardware(plan, len(zones)))
    say(f"{len(zones)} hosts joined, in {len(set(zones.values()))} zones")
    await _reader(site, say)


def _whereabouts(plan: Plan, site: Site) -> tuple[str, ...]:
    """Return the flags that lead a process to the bus.

    Where the environment or a NATS context chose it, they choose it for the process, too: a
    context may hold credentials, which do not belong on a command line.
    """
    inherited = plan.server is not None and plan.server.source != "--url"
    url = () if inherited else ("--url", site.up.url)
    return (*url, "--prefix", plan.prefix)


def _hosts_before(data: Path) -> int:
    """Return how many hosts an earlier `restow up` simulated here; they may carry containers."""
    numbers = [int(path.name[1:]) for path in data.glob("agents/h[0-9]*") if path.is_dir()]
    return max(numbers, default=0)


async def _start_engines(plan: Plan, site: Site, at: Sequence[str]) -> None:
    flags = [flag for one in site.up.monitor.split(",") if one for flag in ("--monitor", one)]
    if plan.relaxed:
        flags.append("--relaxed")
    for number in range(1, plan.engines + 1):
        name = f"e{number}"
        command = restow("engine", "--name", name, "--lease", plan.lease, *at, *flags)
        await site.crew.start(Member(name, command))


async def _start_agents(
    plan: Plan, site: Site, at: Sequence[str], zones: Mapping[str, str]
) -> None:
    """Start an agent process for each zone, and for who is alone; the first is the router, too."""
    dice = ("--seed", str(plan.seed), "--speed", str(plan.speed))
    how = ("--data", str(plan.data), "--runtime", plan.runtime, *dice)
    for number, zone in enumerate(dict.fromkeys(zones.values())):
        shared = [name for name in zones if zones[name] == zone and name not in plan.alone]
        hosts = [word for name in shared for word in ("--host", name)]
        routing = () if number else _routing(plan)
        if hosts or routing:
            place = plan.places.get(ROUTING, HERE) if routing else HERE
            command = restow("agent", *hosts, *routing, *at, *how, *place.flags)
            name = f"agent-{zone}" if hosts else "router"
            await site.crew.start(Member(name, (*place.before, *command)))
    for name in plan.alone:
        place = plan.places.get(name, HERE)
        command = restow("agent", "--host", name, *at, *how, *place.flags)
        await site.crew.start(Member(f"agent-{name}", (*place.before, *command)))


def _routing(plan: Plan) -> tuple[str, ...]:
    return ("--routing",) if plan.traffic is None else ("--routing", "--traffic", str(plan.traffic))


async def _leader(site: Site, say: Say) -> None:
    """Wait until an engine leads. Raises `StartError` with what the engines printed."""
    give_up = time.monotonic() + READY_S
    while time.monotonic() < give_up:
        for engine in await site.talk.engines(within_s=POLL_S):
            if engine.leads:
                relaxed = "" if engine.durability == "safe" else f", {engine.durability}"
                say(f"engine {engine.engine} … leader, position {engine.position:,}{relaxed}")
                return
    engines = [name for name in site.crew.pids if name.startswith("e")]
    printed = "\n".join(f"{name}: {site.crew.log_tail(name)}" for name in engines)
    message = f"no engine leads after {READY_S:.0f} s\n{printed}"
    raise StartError(message)


def _hardware(plan: Plan, hosts: int) -> Hardware:
    """Return what each host has: of this machine a part, where its containers are real."""
    if plan.runtime == "simulated":
        return HARDWARE
    memory, disk = psutil.virtual_memory().total, shutil.disk_usage(plan.data).free
    cpu_mhz = core_mhz() * (os.cpu_count() or 1)
    return Hardware((memory >> 20) // hosts, cpu_mhz // hosts, (disk >> 30) // hosts)


@asynccontextmanager
async def _quiet(plan: Plan) -> AsyncGenerator[None]:
    """In the end leave nothing of real hosts in the kernel; their disks are kept."""
    try:
        yield
    finally:
        folders = [] if plan.runtime == "simulated" else list((plan.data / AGENTS_FOLDER).iterdir())
        for folder in folders:
            if (folder / "runc").is_dir():
                await asyncio.to_thread(still, Places.of(folder, HostId(folder.name)))


async def _register(site: Site, zones: Mapping[str, str], hardware: Hardware) -> None:
    """Make the hosts known; those that are known already stay as they are."""
    for host, zone in zones.items():
        body = {"host": host, **msgspec.to_builtins(hardware), "labels": {"zone": zone}}
        answer = await site.talk.ask("host.register", body)
        if isinstance(answer, Problem) and answer.code != Code.HOST_EXISTS:
            message = f"host {host} was not registered: {answer.detail}"
            raise StartError(message)


async def _reader(site: Site, say: Say) -> None:
    """Wait until the read side answers. Raises `StartError`."""
    give_up = time.monotonic() + READY_S
    while isinstance(answer := await site.talk.read("status", {}), Problem):
        if time.monotonic() > give_up:
            printed = site.crew.log_tail("reader")
            message = f"the read side does not answer: {answer.detail}\n{printed}"
            raise StartError(message)
        await asyncio.sleep(POLL_S)
    say(f"read side … position {answer['position']:,}, read API {site.up.http}/v1/status")
    say(f"dashboard {site.up.http}")


def keep_written(data: Path, site: Site, say: Say) -> None:
    """Keep `up.json` true: now, and whenever a process is started again.

    Where that cannot be written, for the disk is full, nothing else is to end.
    """

    def write() -> None:
        try:
            write_up(data, replace(site.up, children=site.crew.pids))
        except OSError as error:
            say(f"{data / UP_FILE} is not up to date: {error.strerror}")

    site.crew.on_change(write)
    write()
