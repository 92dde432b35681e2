"""What CRIU cannot save is refused with a list, before anything of the container stands still."""

import os
import subprocess
import sys

import pytest
from msgspec.structs import replace

from handlers.agent.runc import preflight
from handlers.agent.runc.runtime import real
from handlers.agent.runtime import Room, RuntimeFailedError
from tests.agent.fleet import H1, H2, START, WEB, fleet_of, move
from tests.hosts.machine import COUNTER, REAL, Machine, seen, until_healthy
from tests.hosts.test_moves import SPEC

pytestmark = REAL
HOLDS = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
{holds}
print("ready", flush=True)
sys.stdin.read()
"""
CASES = [
    ("pass", ""),
    ("kept = [socket.create_server(('127.0.0.1', 0)), socket.socketpair(), os.pipe()]", ""),
    ("kept = open('/dev/null'), open('/dev/urandom')", ""),
    ("kept = libc.syscall(323, 1)", "has a userfaultfd open"),
    ("kept = os.open('/dev/loop-control', os.O_RDWR)", "has the device /dev/loop-control open"),
    ("kept = socket.socket(socket.AF_VSOCK)", "has a socket of family 40 open"),
    ("kept = socket.socket(2, 1, 262)", "has a socket of MPTCP open"),
    ("libc.unshare(0x40000000)", "has a namespace of networks of its own"),
    ("libc.unshare(0x10000000)", "has a namespace of users of its own"),
]


def holder(holds: str) -> "subprocess.Popen[str]":
    """Return a process that holds something, once it does."""
    pipe = subprocess.PIPE
    words = (sys.executable, "-S", "-c", HOLDS.format(holds=holds))
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("holds", "said"), CASES)
def test_what_cannot_be_saved_is_named(holds, said):
    with holder(holds) as process:
        against = preflight.objections((os.getpid(), process.pid), capable=True)
        mine = [one for one in against if f"process {process.pid} " in one]
        assert process.stdin is not None
        process.stdin.close()
    assert [one.partition(") ")[2] for one in mine] == ([said] if said else [])


def test_what_has_ended_says_nothing():
    with holder("pass") as process:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        assert preflight.objections((process.pid,), capable=False) == ()


def test_a_long_list_is_cut_and_counted():
    said = preflight.told("node1", tuple(f"process {n} is traced" for n in range(7)))
    assert said.endswith("process 4 is traced; and 2 more")


@pytest.fixture
def machine(tmp_path):
    made = Machine.made(tmp_path)
    made.add("nginx:1.29", replace(COUNTER, user="1000"))
    made.hosts.update((H1, H2))
    yield made
    made.sweep()


async def test_a_container_that_cannot_be_saved_goes_on_where_it_is(bus, nats_url, machine):
    machine_may = preflight.has_resources()
    async with fleet_of(bus=bus, url=nats_url, data=machine.data) as fleet:
        fleet.kind = real(machine.images, machine.usual, run=machine.run)
        await fleet.agent(H1)
        await fleet.agent(H2)
        assert (await fleet.done("o1", H1, START)).running
        await fleet.until(lambda: any(report.healthy for report in fleet.health()))
        moved = await fleet.done("o2", H1, move())
        assert moved.done is machine_may
        if not machine_may:
            assert "can be moved cold only: process 1 (count) is user 1000" in moved.detail
            assert (moved.running, moved.located, moved.freeze_ms) == (True, H1, 0)
            assert "frozen" not in fleet.phases()
            before = machine.counted(H1, WEB)
            await fleet.until(lambda: machine.counted(H1, WEB) > before)


async def test_a_check_of_health_that_comes_and_goes_is_no_reason(machine, monkeypatch):
    machine.add("counter:1", COUNTER)
    here, there = machine.open("h01"), machine.open("h02")
    await here.start(SPEC, "o1")
    await until_healthy(here, WEB)
    looks = iter((("half outside",), ()))
    monkeypatch.setattr(preflight, "objections", lambda _: next(looks))
    endpoint = await there.receive(Room(WEB, 1, 2, 1), "mv1")
    await here.copy(WEB, endpoint)
    monkeypatch.setattr(preflight, "objections", lambda _: ("process 1 (count) is traced",))
    with pytest.raises(RuntimeFailedError, match="moved cold only: process 1"):
        await here.copy(WEB, await there.receive(Room(WEB, 1, 2, 1), "mv2"))
    assert seen(here, WEB).running
    for runtime in (here, there):
        runtime.close()
