"""Everything on one machine, with real processes: started, kept up, found, stopped."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import httpx
import msgspec
import psutil
import pytest

from domain.problems import Exit
from handlers.nats_server import Server, ServerOptions, start
from restow.crew import Member, crew
from restow.locks import is_held
from restow.settings import UP_FILE, Up, read_up
from restow.talk import Talk
from restow.up import Site, keep_written

PATIENCE_S = 45.0
NOT_OURS = {"NATS_URL", "NATS_CONTEXT", "NATS_CREDS", "RESTOW_URL", "PYTHONUNBUFFERED"}
RESTOW = (sys.executable, "-m", "restow")


class Machine:
    """A data directory, and the `restow up` that runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / ".restow"
        self.said = folder / "said.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in NOT_OURS},
            "XDG_CONFIG_HOME": str(folder),
        }

    def up(self, *flags: str) -> None:
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                (*RESTOW, "up", "--hosts", "3", "--http", "-1", *flags),
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=said,
            )

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            (*RESTOW, *words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    @property
    def text(self) -> str:
        return self.said.read_text()

    def written(self) -> Up:
        up = read_up(self.data)
        assert up is not None
        return up

    def until(self, true: Callable[[], object], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < give_up, f"{what}\n{self.text}"
            time.sleep(0.05)

    def until_up(self) -> None:
        self.until(lambda: "Ctrl-C stops all of it" in self.text, "it comes up")

    def ended(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    if machine.process is not None and machine.process.poll() is None:
        machine.process.terminate()
        machine.process.wait(PATIENCE_S)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(
        process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes
    )


def spoken_to_over_http(url: str) -> None:
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
        items = http.get("/v1/hosts?fields=id").json()["items"]
        assert items == [{"id": "h01"}, {"id": "h02"}, {"id": "h03"}]
        done = http.post("/v1/commands", json={"type": "host.cordon", "host": "h02"}).json()
        shown = http.get(f"/v1/hosts/h02?min_position={done['position']}").json()
        assert shown["state"] == "cordoned"


def test_up_is_found_kept_up_and_stopped(machine):
    machine.up("--port", "-1")
    machine.until_up()
    assert "nats-server 2." in machine.text
    assert "leader, position 0" in machine.text
    assert "3 hosts joined, in 3 zones" in machine.text

    status = machine.run("status")
    assert (status.returncode, "leader" in status.stdout) == (0, True), status
    assert "standby" in status.stdout
    assert machine.run("host", "list", "-o", "name").stdout == "h01\nh02\nh03\n"

    assert "read API http://127.0.0.1:" in machine.text
    spoken_to_over_http(machine.written().http)

    second = machine.run("up")
    assert second.returncode == 0
    assert f"already up: {machine.written().url}" in second.stdout

    before = machine.written().children["reader"]
    os.kill(before, signal.SIGKILL)
    machine.until(lambda: "reader ended by SIGKILL" in machine.text, "the crash is said")
    machine.until(lambda: machine.written().children["reader"] != before, "it is started again")

    processes = machine.children()
    assert len(processes) >= 7  # a server, two engines, the read side, three agents
    assert machine.process is not None
    machine.process.send_signal(signal.SIGINT)
    assert machine.ended() == 0
    assert machine.text.endswith("stopped\n")
    assert gone(processes)
    assert not (machine.data / UP_FILE).exists()


def operable(machine: Machine) -> dict[str, int]:
    listed = machine.run("layer", "list", "-o", "json").stdout
    return {one["name"]: one["operable"] for one in msgspec.json.decode(listed)["items"]}


def test_what_was_there_is_there_again_and_down_stops_it(machine):
    machine.up("--port", "-1")
    machine.until_up()
    made = machine.run("env", "create", "shop", "--layer", "app:2", "--wait")
    assert made.returncode == 0, made.stderr
    audited = machine.run("audit", "show", "environment.shop", "--version", "1", "-o", "json")
    assert msgspec.json.decode(audited.stdout)["tag"] == "environment.created"
    history = machine.run("audit", "history", "container.node1").stdout
    assert "container.placed" in history
    caused = machine.run("event", "why", "node1").stdout.splitlines()
    assert "command environment.create by operator" in caused[-1]
    verified = machine.run("audit", "verify")
    assert (verified.returncode, verified.stderr) == (0, "")

    pid = machine.written().pid
    assert machine.run("down").stdout == f"stopped process {pid}\n"
    assert machine.ended() == 0
    machine.said.unlink()

    machine.up("--port", "-1")
    machine.until_up()
    machine.until(lambda: operable(machine) == {"app": 2}, "the containers run again")

    purged = machine.run("down", "--purge", "--yes")
    assert purged.returncode == 0
    assert not machine.data.exists()


def test_a_killed_nats_server_is_started_again_and_all_goes_on(machine):
    machine.up("--port", "-1")
    machine.until_up()
    made = machine.run("env", "create", "shop", "--layer", "app:2", "--wait")
    assert made.returncode == 0, made.stderr
    (server,) = [one for one in machine.children() if one.name() == "nats-server"]

    server.kill()

    machine.until(lambda: "nats-server ended by SIGKILL" in machine.text, "it is said")
    machine.until(
        lambda: (
            machine.run("layer", "restart", "shop/app", "--delay", "0", "--wait").returncode == 0
        ),
        "commands are taken and done again",
    )
    assert machine.run("audit", "verify").returncode == 0


def test_killing_up_leaves_nothing(machine):
    machine.up("--port", "-1")
    machine.until_up()
    processes = machine.children()
    assert len(processes) >= 7

    assert machine.process is not None
    machine.process.kill()
    machine.ended()

    machine.until(lambda: gone(processes), "the kernel ends all of them")
    assert not is_held(machine.data)
    stale = machine.run("status")
    assert stale.returncode == Exit.UNREACHABLE
    assert "named by .restow/up.json" in stale.stderr


def test_a_stop_while_it_starts_stops_all(machine):
    machine.up("--port", "-1")
    machine.until(lambda: "nats-server" in machine.said.read_text(), "the server is started")
    processes = machine.children()
    assert machine.process is not None

    machine.process.terminate()

    assert machine.ended() == 0
    assert gone(processes)


def test_a_port_in_use_is_told_with_the_flag_that_chooses_another(machine, nats_server):
    port = nats_server.url.rpartition(":")[2]
    machine.up("--port", port)
    assert machine.ended() == Exit.FAILED
    assert port in machine.text
    assert "--port" in machine.text


def test_a_directory_that_cannot_be_is_named(machine):
    machine.up("--data", "/proc/restow")
    assert machine.ended() == Exit.FAILED
    assert "the data directory /proc/restow cannot be made" in machine.text
    assert "Traceback" not in machine.text


async def test_a_full_disk_ends_nothing_that_runs(tmp_path):
    said: list[str] = []
    async with crew(tmp_path / "logs", said.append) as members:
        site = Site(members, Up("nats://a", "r", 1, 2), cast("Talk", None))
        keep_written(tmp_path, site, said.append)
        (tmp_path / "up.new").mkdir()  # as good as a full disk: nothing can be written
        sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
        pid = await members.start(Member("sleeper", sleeper))

        assert psutil.pid_exists(pid)
        assert said == [f"{tmp_path / UP_FILE} is not up to date: Is a directory"]


def test_down_with_nothing_up_says_so(machine):
    ended = machine.run("down")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "nothing is up in .restow" in ended.stderr


@pytest.fixture
def unsafe(tmp_path: Path) -> Iterator[Server]:
    """A server that acknowledges first and writes later."""
    server = asyncio.run(start(ServerOptions(tmp_path / "unsafe", sync_always=False)))
    yield server
    server.stop()


def test_a_server_that_may_lose_what_it_acknowledged_is_refused_by_its_setting(machine, unsafe):
    machine.up("--url", unsafe.url, "--monitor", unsafe.monitor)
    assert machine.ended() == Exit.REFUSED
    assert "sync_interval" in machine.text
    assert "--relaxed" in machine.text


def test_relaxed_takes_such_a_server_and_says_so_in_every_status(machine, unsafe):
    machine.up("--url", unsafe.url, "--monitor", unsafe.monitor, "--relaxed")
    machine.until_up()
    assert "used as it is" in machine.text

    engines = msgspec.json.decode(machine.run("status", "-o", "json").stdout)["engines"]

    assert {engine["durability"] for engine in engines} == {"relaxed"}


def test_a_server_that_the_environment_names_is_used(machine, nats_server, prefix):
    machine.environment["NATS_URL"] = nats_server.url
    machine.up("--monitor", nats_server.monitor, "--prefix", prefix)
    machine.until_up()
    assert f"bus {nats_server.url} (named by NATS_URL) … used as it is" in machine.text
    assert machine.run("host", "list", "-o", "name", "--prefix", prefix).stdout == "h01\nh02\nh03\n"
