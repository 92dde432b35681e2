"""A Knot and a HAProxy of our own, on loopback, and small HTTP servers in the place of containers.

Every process is stopped by its id. Where the Debian packages are not there, tests skip and name
them.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest

from handlers.agent.router import RoutingFailedError
from handlers.traffic.authority import Authority
from handlers.traffic.haproxy import Runtime
from handlers.traffic.settings import Dns, External, Haproxy, Key, read_key
from restow.lab.servers import KNOT, ZONE_FILE

ADDRESS = "127.0.0.1"
ZONE = "restow.internal"
EXTERNAL = External("apps.example", ZONE, ("203.0.113.5",))
PATIENCE_S = 20.0


def program(name: str, package: str) -> str:
    """Return where a program is, or skip the test, naming the Debian package that brings it."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {package}, or make hosts")
    return found


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Process:
    """A server program, started again as often as wanted."""

    def __init__(self, log: Path, *command: str) -> None:
        self._command = command
        self._log = log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def stop(self) -> None:
        if self._running is not None:
            self._running.terminate()
            try:
                self._running.wait(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()


class Knot(Process):
    """An authoritative server of two zones."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.settings = Dns((f"127.0.0.1:{self.port}",), str(folder / "key"), (ZONE,), EXTERNAL)
        made = subprocess.run(
            [program("keymgr", "knot"), "-t", "restow", "hmac-sha256"],
            capture_output=True,
            check=True,
            text=True,
        )
        (folder / "database").mkdir()
        (folder / "key").write_text(made.stdout)
        for zone in (ZONE, EXTERNAL.zone):
            (folder / f"{zone}.zone").write_text(ZONE_FILE.format(address=ADDRESS))
        (folder / "knot.conf").write_text(
            KNOT.format(
                folder=folder,
                address=ADDRESS,
                port=self.port,
                key=made.stdout.strip(),
                zone=ZONE,
                abroad=EXTERNAL.zone,
            )
        )
        command = (program("knotd", "knot"), "-c", str(folder / "knot.conf"))
        super().__init__(folder / "knot.log", *command)

    @property
    def key(self) -> Key:
        return read_key(Path(self.settings.key))

    def authority(self) -> Authority:
        return Authority(self.settings, self.key)


class Proxy(Process):
    """A HAProxy in master mode, started from the file that the balancer writes."""

    def __init__(self, folder: Path, *, drain_s: float = 1.0) -> None:
        self.http = free_port()
        first = free_port()
        self.settings = Haproxy(
            str(folder / "master.sock"),
            str(folder / "haproxy.cfg"),
            http=f"127.0.0.1:{self.http}",
            tcp_address="127.0.0.1",
            tcp_ports=(first, first + 20),
            drain_s=drain_s,
        )
        self.master = Path(self.settings.socket)
        master = f"{self.settings.socket},mode,600"
        found = program("haproxy", "haproxy")
        command = (found, "-W", "-S", master, "-f", self.settings.configuration)
        super().__init__(folder / "haproxy.log", *command)


@contextlib.contextmanager
def started(*processes: Process) -> Iterator[None]:
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            process.stop()


async def until(said, what: str = "") -> None:
    """Wait until `said` holds; it may be a function or a coroutine function."""
    give_up = monotonic() + PATIENCE_S
    while True:
        answer = said()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return
        assert monotonic() < give_up, what or said
        await asyncio.sleep(0.02)


class Web:
    """A small HTTP server: answers with its name; `/slow` takes a second; `/open` says no end."""

    def __init__(self, name: str, address: str, port: int) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.served = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /slow"):
                    await asyncio.sleep(0.5)
                self.served += 1
                body = self.name.encode()
                length = f"Content-Length: {len(body)}\r\n\r\n".encode()
                writer.write(b"HTTP/1.1 200 OK\r\n" + length + body)
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Web"]:
        server = await asyncio.start_server(self._serve, self.address, self.port)
        try:
            yield self
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def get(port: int, host: str, path: str = "/") -> tuple[int, str]:
    """Ask the balancer, as a client would; return the status and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        said = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, body = said.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def answering(proxy: Proxy) -> bool:
    """Say whether HAProxy can be told something."""
    try:
        await Runtime(proxy.master).workers()
    except RoutingFailedError:
        return False
    return True
