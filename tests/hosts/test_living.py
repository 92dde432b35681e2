"""Containers live on when agents do not, come back when they crash, and stop when they must."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.messages import ContainerId
from handlers.agent.runc import shims, sweeping
from handlers.agent.runc.charge import hold, holder
from handlers.agent.runc.images import Config
from handlers.agent.runtime import RuntimeFailedError, Spec
from tests.hosts.machine import COUNTER, PATIENCE_S, REAL, Machine, seen, until_healthy

pytestmark = REAL
WEB, SQL = ContainerId("node1"), ContainerId("node2")
SPEC = Spec(WEB, "web-1", "counter:1", 4, 8, 1, "10.0.0.1")
KEPT = Spec(SQL, "sql-1", "counter:1", 4, 8, 1, "10.0.0.2", keep=True)
CRASHES = "#!/bin/sh\necho life >> /data/lives\nexit 3\n"
SERVES = """#!/bin/sh
mkdir -p /tmp/www; echo fine > /tmp/www/healthz
exec httpd -f -p 8080 -h /tmp/www
"""


@pytest.fixture
def machine(tmp_path):
    made = Machine.made(tmp_path)
    made.add("counter:1", COUNTER)
    yield made
    made.sweep()


@pytest.fixture
def runtime(machine):
    opened = machine.open("h01")
    yield opened
    opened.close()


async def until(so) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not so():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_an_agent_that_comes_back_finds_the_same_process(machine):
    first = machine.open("h01")
    await first.start(SPEC, "o1")
    pid = first.pid(WEB)
    first.close()
    second = machine.open("h01")
    assert second.pid(WEB) == pid
    await until_healthy(second, WEB)
    await second.halt(WEB)
    assert not alive(pid)
    second.close()


async def test_what_is_said_is_in_the_log_with_its_time_and_source(machine, runtime):
    await runtime.start(SPEC, "o1")
    await until_healthy(runtime, WEB)
    await runtime.halt(WEB)
    lines = runtime.home(WEB).log.read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["out began as 0", "out stopping"]
    assert all(line[:2] == "20" and line[19] == "." for line in lines)


async def test_who_crashes_is_started_again_later_each_time(machine, runtime):
    machine.add(
        "crash:1", Config(command=("/bin/crash",), volumes=("/data",)), {"bin/crash": CRASHES}
    )
    began = time.monotonic()
    await runtime.start(replace(SPEC, image="crash:1"), "o1")
    lives = runtime.home(WEB).volume("/data") / "lives"
    await until(lambda: lives.exists() and len(lives.read_text().splitlines()) == 3)
    assert time.monotonic() - began > 0.5 + 1.0
    log = runtime.home(WEB).log.read_text()
    assert "--- ended with 3; again in 0.5 s" in log
    assert "--- ended with 3; again in 1 s" in log
    assert not seen(runtime, WEB).healthy
    await runtime.stop(WEB)
    assert runtime.containers() == ()


async def test_what_does_not_start_leaves_nothing(machine, runtime):
    machine.add("none:1", Config(command=("/bin/nothing",)))
    with pytest.raises(RuntimeFailedError, match=r"node1 does not start.*nothing"):
        await runtime.start(replace(SPEC, image="none:1"), "o1")
    assert runtime.containers() == ()
    assert machine.places("h01").homes() == ()


REFUSED = [
    (replace(SPEC, image="gone:1"), "restow image add gone:1"),
    (replace(SPEC, disk_gib=1_000_000), "1000000 GiB does not fit"),
    (replace(SPEC, volumes=("/proc/x",)), "can be no volume"),
    (replace(SPEC, variables={"RESTOW_HEALTH": "ftp:21"}), "like tcp:8080, http:8080/healthz"),
    (replace(SPEC, variables={"RESTOW_PROFILE": "open"}), "movable or isolated"),
]


@pytest.mark.parametrize(("spec", "says"), REFUSED, ids=[says for _, says in REFUSED])
async def test_what_cannot_be_is_refused_before_anything_is_touched(spec, says, machine, runtime):
    with pytest.raises(RuntimeFailedError, match=says):
        await runtime.start(spec, "o1")
    assert machine.places("h01").homes() == ()


async def test_a_symbolic_link_of_an_image_leads_nowhere(machine, runtime, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    machine.add("evil:1", replace(COUNTER, volumes=("/trap/in",)), links={"trap": str(outside)})
    with pytest.raises(RuntimeFailedError, match="something else at /trap/in"):
        await runtime.start(replace(SPEC, image="evil:1"), "o1")
    assert list(outside.iterdir()) == []


CHECKS = [
    ("tcp:8080", True),
    ("http:8080/healthz", True),
    ("http:8080/gone", False),
    ("tcp:8081", False),
    ("command:/bin/false", False),
]


@pytest.mark.parametrize(("check", "healthy"), CHECKS)
async def test_health_is_asked_for_inside(check, healthy, machine, runtime):
    machine.add("serve:1", Config(command=("/bin/serve",)), {"bin/serve": SERVES})
    spec = replace(SPEC, image="serve:1", variables={"RESTOW_HEALTH": check})
    await runtime.start(spec, "o1")
    if healthy:
        await until_healthy(runtime, WEB)
        return
    await asyncio.sleep(0.5)
    assert seen(runtime, WEB).running
    assert not seen(runtime, WEB).healthy


async def test_volumes_survive_a_redeploy_and_all_else_is_new(machine, runtime):
    machine.add("counter:2", COUNTER)
    await runtime.start(SPEC, "o1")
    await until_healthy(runtime, WEB)
    kept = runtime.home(WEB).volume("/data") / "kept"
    kept.write_text("mine")
    number = kept.stat().st_ino
    await runtime.redeploy(WEB, "counter:2", None, "o2")
    assert kept.read_text() == "mine"
    assert kept.stat().st_ino == number
    environ = environment(runtime.pid(WEB))
    assert b"IMAGE=counter:2" in environ


async def test_a_redeploy_that_does_not_start_leaves_the_old_one_running(machine, runtime):
    machine.add("none:1", Config(command=("/bin/nothing",)))
    await runtime.start(SPEC, "o1")
    with pytest.raises(RuntimeFailedError, match="does not start"):
        await runtime.redeploy(WEB, "none:1", None, "o2")
    await until_healthy(runtime, WEB)
    assert b"IMAGE=counter:1" in environment(runtime.pid(WEB))


async def test_the_switch_fences_without_an_agent_and_spares_what_is_kept(machine):
    runtime = machine.open("h01")
    await runtime.start(SPEC, "o1")
    await runtime.start(KEPT, "o2")
    fenced, kept = runtime.pid(WEB), runtime.pid(SQL)
    runtime.arm(time.monotonic() + 0.3)
    for name in (WEB, SQL):
        shims.signal_to(runtime.home(name), signal.SIGUSR1)
    runtime.close()
    await until(lambda: not alive(fenced))
    assert alive(kept)

    again = machine.open("h01")
    await until(lambda: seen(again, WEB).state == "stopped")
    assert again.kept() == (SQL,)
    again.arm(time.monotonic() + 60)
    again.revive()
    await until(lambda: seen(again, WEB).running)
    assert again.pid(SQL) == kept
    again.close()


async def test_when_it_returns_from_fencing_nothing_runs(runtime):
    await runtime.start(SPEC, "o1")
    await runtime.pause(WEB)
    pid = runtime.pid(WEB)
    runtime.fence()
    assert not alive(pid)
    assert not seen(runtime, WEB).running
    runtime.forgive()
    runtime.arm(time.monotonic() + 60)
    runtime.revive()
    await asyncio.sleep(0.3)
    assert not seen(runtime, WEB).running


async def test_limits_are_those_of_the_kernel(machine, runtime):
    await runtime.start(SPEC, "o1")
    await runtime.resize(WEB, 6, 12)
    state = str(machine.places("h01").state)
    bundle = runtime.limits(WEB)
    assert bundle["memory"] == 12 * 128 << 20, state
    with pytest.raises(RuntimeFailedError, match="not on h01"):
        await runtime.resize(SQL, 1, 1)


async def test_whoever_it_runs_as_may_write_where_everybody_may(machine, runtime):
    machine.add("counter:3", replace(COUNTER, user="1000"))
    await runtime.start(replace(SPEC, image="counter:3"), "o1")
    await until_healthy(runtime, WEB)  # which it is by a file in /tmp


async def test_usage_is_what_the_kernel_counts(runtime):
    await runtime.start(SPEC, "o1")
    await until(lambda: runtime.usage()[0].cpu_mhz > 0)
    (sample,) = runtime.usage()
    assert sample.container == WEB
    assert sample.disk_mib < 100


async def test_what_a_killed_shim_left_is_found_and_started_again(runtime):
    await runtime.start(SPEC, "o1")
    orphan = runtime.pid(WEB)
    shims.signal_to(runtime.home(WEB), signal.SIGKILL)
    await until(lambda: not shims.there(runtime.home(WEB)))
    runtime.revive()
    await until(lambda: seen(runtime, WEB).running)
    assert not alive(orphan)
    assert runtime.pid(WEB) != orphan


async def test_what_a_killed_shim_told_is_not_believed_of_the_next_one(runtime):
    await runtime.start(SPEC, "o1")
    home = runtime.home(WEB)
    shims.signal_to(home, signal.SIGKILL)
    await until(lambda: not shims.there(home))
    (home.run / "charge.json").unlink()
    assert shims.start_now(home).wait() == 1
    lock = hold(home.lock)
    assert lock is not None
    assert shims.there(home)
    assert not seen(runtime, WEB).running
    os.close(lock)


async def test_a_sweep_leaves_nothing_also_where_everything_was_killed(machine):
    runtime = machine.open("h01")
    await runtime.start(SPEC, "o1")
    await runtime.start(KEPT, "o2")
    pids = [runtime.pid(WEB), runtime.pid(SQL)]
    shims.signal_to(runtime.home(WEB), signal.SIGKILL)
    runtime.close()
    places = machine.places("h01")
    assert sweeping.sweep(places) == (WEB, SQL)
    assert not any(map(alive, pids))
    assert not places.run.exists()
    assert not places.data.exists()
    groups = os.walk("/sys/fs/cgroup")
    assert [folder for folder, _, _ in groups if places.label in folder] == []


async def test_what_was_stilled_begins_again_with_its_disk(machine):
    runtime = machine.open("h01")
    await runtime.start(SPEC, "o1")
    await until_healthy(runtime, WEB)
    runtime.close()
    assert sweeping.still(machine.places("h01")) == (WEB,)
    again = machine.open("h01")
    assert seen(again, WEB).state == "stopped"
    again.revive()
    await until_healthy(again, WEB)
    assert again.usage()[0].restarts == 1
    again.close()


async def test_a_check_of_health_that_stood_still_with_it_keeps_nobody_from_ending(
    machine, runtime
):
    slow = replace(COUNTER, labels={"restow.health": "command:/bin/sleep 3"})
    machine.add("slow:1", slow)
    await runtime.start(replace(SPEC, image="slow:1"), "o1")
    shim = holder(machine.home("h01", WEB).lock)
    assert shim

    tasks = Path(f"/proc/{shim}/task")

    def children(of: str) -> int:
        return sum(len(path.read_text().split()) for path in tasks.glob(f"{of}/children"))

    await until(lambda: children("*") > 1)
    await asyncio.sleep(0.5)  # what the check runs is inside by now
    await runtime.pause(WEB)
    await until(lambda: children(str(shim)) > 1)  # its patience is over: what it ran is the shim's
    async with asyncio.timeout(PATIENCE_S):
        await runtime.drop(WEB)
    assert runtime.containers() == ()
