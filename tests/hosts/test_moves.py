"""Real containers move live between two agents: what is kept, what is refused, what gives up."""

import asyncio
import os
import signal
import subprocess
from hashlib import sha256

import msgspec
import pytest
from msgspec.structs import replace

from domain.orders import Resize
from handlers.agent.runc import shims
from handlers.agent.runc.carrying import Address, Sender
from handlers.agent.runc.moving import ARRIVING, Manifest, images_of, write_settings
from handlers.agent.runc.runtime import RuncRuntime, real
from handlers.agent.runtime import Image, Room, RuntimeFailedError, Spec
from tests.agent.fleet import H1, H2, START, WEB, fleet_of, move
from tests.hosts.machine import COUNTER, REAL, Machine, seen, until_healthy
from tests.hosts.test_living import alive

pytestmark = REAL
SPEC = Spec(WEB, "web-1", "counter:1", 1, 2, 1, "10.0.0.1")
ROOM = Room(WEB, 1, 2, 1)
TALKS = """#!/bin/sh
# One connection to itself that is open all the time: each number goes out, and must come back.
(while :; do nc -l -p 9000 -e /bin/cat; done) &
usleep 100000
(i=0; while :; do i=$((i+1)); echo $i; usleep 10000; done) | nc 127.0.0.1 9000 > /data/back &
touch /tmp/warm
wait
"""


@pytest.fixture
def machine(tmp_path):
    made = Machine.made(tmp_path)
    made.add("counter:1", COUNTER)
    yield made
    made.sweep()


@pytest.fixture
async def here(machine):
    runtime = machine.open("h01")
    yield runtime
    runtime.close()


@pytest.fixture
async def there(machine):
    runtime = machine.open("h02")
    yield runtime
    runtime.close()


async def crossed(here: RuncRuntime, there: RuncRuntime) -> Image:
    """Bring the container to where the source would hand over."""
    endpoint = await there.receive(ROOM, "mv1")
    await here.copy(WEB, endpoint)
    await here.pause(WEB)
    image = await here.dump(WEB)
    await here.transfer(image, endpoint)
    await there.prepare(image)
    return image


async def test_a_real_container_moves_between_two_agents_and_counts_on(bus, nats_url, machine):
    machine.add("nginx:1.29", COUNTER)
    async with fleet_of(bus=bus, url=nats_url, data=machine.data) as fleet:
        fleet.kind = real(machine.images, machine.usual, run=machine.run)
        machine.hosts.update((H1, H2))
        await fleet.agent(H1)
        await fleet.agent(H2)
        assert (await fleet.done("o1", H1, START)).running
        await fleet.until(lambda: any(report.healthy for report in fleet.health()))
        before = machine.counted(H1, WEB)
        moved = await fleet.done("o2", H1, move())
        assert (moved.done, moved.located) == (True, H2), moved.detail
        assert 0 < moved.freeze_ms < moved.total_ms < 20_000
        assert machine.places(H1).homes() == ()
        await fleet.until(lambda: machine.counted(H2, WEB) > before + 5)
        assert fleet.phases() == ["checked", "copying", "frozen", "resumed", "reachable"]
        assert (await fleet.done("o3", H2, Resize(2, 3))).done


async def test_its_own_connection_goes_on_after_the_move(machine, here, there):
    machine.add("talks:1", COUNTER, {"bin/count": TALKS})
    await here.start(replace(SPEC, image="talks:1"), "o1")
    await until_healthy(here, WEB)
    await crossed(here, there)
    await there.go(WEB)
    await here.drop(WEB)
    assert seen(there, WEB).healthy
    back = there.home(WEB).volume("/data") / "back"
    stood = len(back.read_text().splitlines())
    async with asyncio.timeout(20):
        while len(back.read_text().splitlines()) < stood + 10:
            await asyncio.sleep(0.05)
    numbers = [int(line) for line in back.read_text().split()]
    assert numbers == list(range(1, len(numbers) + 1))
    await there.halt(WEB)


async def test_what_is_held_never_runs_when_its_shim_dies(here, there, machine):
    await here.start(SPEC, "o1")
    image = await crossed(here, there)
    held = there.pid(WEB)
    shims.signal_to(there.home(WEB), signal.SIGKILL)
    async with asyncio.timeout(20):
        while there.look(WEB) is not None or alive(held):
            await asyncio.sleep(0.02)
    stood = machine.count(there, WEB)
    assert machine.count(there, WEB) == stood
    await there.prepare(image)
    await there.go(WEB)
    assert seen(there, WEB).running


def test_the_script_that_holds_waits_for_nobody_who_is_dead(machine):
    home = machine.home("h01", WEB)
    home.make()
    os.mkfifo(home.run / "go")
    write_settings(home, hold=True)
    environment = {"CRTOOLS_SCRIPT_ACTION": "post-restore", "CRTOOLS_INIT_PID": "1"}
    ended = subprocess.run((home.run / "hold.sh",), env=environment, timeout=20, check=False)
    assert ended.returncode == 1
    machine.hosts.add("h01")


async def test_what_was_given_up_runs_again_as_the_same_process(here, there):
    await here.start(SPEC, "o1")
    pid = here.pid(WEB)
    await crossed(here, there)
    await there.drop(WEB)
    await here.resume(WEB)
    assert here.pid(WEB) == pid
    assert seen(here, WEB).running
    assert there.containers() == ()
    await crossed(here, there)
    await there.go(WEB)
    assert seen(there, WEB).running


async def test_a_damaged_image_is_not_restored_and_the_source_goes_on(here, there):
    await here.start(SPEC, "o1")
    endpoint = await there.receive(ROOM, "mv1")
    await here.copy(WEB, endpoint)
    await here.pause(WEB)
    image = await here.dump(WEB)
    await here.transfer(image, endpoint)
    for path in images_of(there.home(WEB)).glob("pages-*.img"):
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(RuntimeFailedError, match="not what was sent: pages"):
        await there.prepare(image)
    assert there.look(WEB) is None
    await here.resume(WEB)
    assert seen(here, WEB).running


async def test_an_image_of_unknown_software_is_not_restored(here, there):
    await here.start(SPEC, "o1")
    image = await crossed(here, there)
    await there.drop(WEB)
    manifest = msgspec.msgpack.decode(image.body, type=Manifest)
    other = replace(manifest, life=replace(manifest.life, digest="0" * 64), files={})
    with pytest.raises(RuntimeFailedError, match="restow image add"):
        await there.prepare(Image.of(WEB, msgspec.msgpack.encode(other)))


async def test_nobody_else_is_listened_to(there):
    endpoint = await there.receive(ROOM, "mv1")
    arriving = there.home(WEB).data / ARRIVING
    address = Address.read(endpoint)
    with pytest.raises(RuntimeFailedError, match="not who it should be"):
        await Sender.open(replace(address, fingerprint=sha256(b"x").hexdigest()).text, 10)
    stranger = await Sender.open(replace(address, secret="0" * 64).text, 10)
    with pytest.raises(RuntimeFailedError, match=r"has not taken it|broke"):
        await stranger.done()
    assert not arriving.exists()
    for text in ("simulated://h02", "tls://here", "tls://1.2.3.4:99/x"):
        with pytest.raises(RuntimeFailedError, match="is not where a container can be sent"):
            await Sender.open(text, 10)


async def test_what_is_isolated_is_not_moved_live_and_says_so(here, there):
    await here.start(replace(SPEC, variables={"RESTOW_PROFILE": "isolated"}), "o1")
    endpoint = await there.receive(ROOM, "mv1")
    with pytest.raises(RuntimeFailedError, match=r"isolated.*RESTOW_PROFILE"):
        await here.copy(WEB, endpoint)
    assert seen(here, WEB).running
