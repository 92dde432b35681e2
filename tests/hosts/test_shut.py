"""What a container cannot do: each wall is leant on from inside, in both profiles."""

import asyncio
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.messages import ContainerId
from handlers.agent.runc.hardening import RANGE, Profile
from handlers.agent.runc.images import Config
from handlers.agent.runc.runtime import RuncRuntime
from handlers.agent.runc.tools import run
from handlers.agent.runtime import RuntimeFailedError, Spec
from tests.hosts.machine import REAL, Machine, until_healthy
from tests.hosts.probe import program

pytestmark = [*REAL, pytest.mark.skipif(platform.machine() != "x86_64", reason="probe is x86-64")]

A, B = ContainerId("node1"), ContainerId("node2")
WAIT = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do usleep 50000; done\n"
IMAGE = Config(command=("/bin/wait",), volumes=("/data",))
FORBIDDEN = {
    "chroot": 161, "ptrace": 101, "pivot_root": 155, "iopl": 172, "settimeofday": 164,
    "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "init_module": 175,
    "delete_module": 176, "quotactl": 179, "clock_settime": 227, "kexec_load": 246,
    "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "finit_module": 313, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "mount_setattr": 442,
}  # fmt: skip
EPERM = 1
CAN = {"getpid": 39, "sched_yield": 24, "sync": 162}


@dataclass
class Inside:
    """Two containers of one host, and commands run inside."""

    runtime: RuncRuntime
    machine: Machine
    profile: Profile

    async def sh(self, script: str, container: ContainerId = A) -> str:
        state = str(self.machine.places("h01").state)
        return await run("runc", "--root", state, "exec", container, "/bin/sh", "-c", script)

    def pid(self, container: ContainerId = A) -> int:
        return self.runtime.pid(container)

    def status(self, name: str) -> str:
        lines = Path(f"/proc/{self.pid()}/status").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(name + ":"))


@pytest.fixture(scope="module", params=list(Profile))
def inside(request, tmp_path_factory):
    machine = Machine.made(tmp_path_factory.mktemp("shut"), request.param)
    machine.add("shut:1", IMAGE, {"bin/wait": WAIT}, {"bin/call": program()})
    runtime = machine.open("h01")

    async def begin() -> None:
        for name in (A, B):
            await runtime.start(Spec(name, name, "shut:1", 1, 2, 1, "10.0.0.1"), "o1")
            await until_healthy(runtime, name)

    asyncio.run(begin())
    yield Inside(runtime, machine, request.param)
    runtime.close()
    machine.sweep()


async def test_calls_that_it_has_no_use_for_are_refused(inside):
    script = "; ".join(f"/bin/call {number}; echo {name} $?" for name, number in FORBIDDEN.items())
    said = dict(line.split() for line in (await inside.sh(script)).splitlines())
    assert {name for name, code in said.items() if int(code) != EPERM} == set()
    assert set(said) == set(FORBIDDEN)


async def test_calls_of_every_day_are_not(inside):
    script = "; ".join(f"/bin/call {number}; echo {name} $?" for name, number in CAN.items())
    said = dict(line.split() for line in (await inside.sh(script)).splitlines())
    assert said["sync"] == said["sched_yield"] == "0"
    assert int(said["getpid"]) != EPERM


def test_it_has_no_capability_and_gets_none(inside):
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(inside.status(kind), 16) == 0, kind
    assert inside.status("NoNewPrivs") == "1"
    assert inside.status("Seccomp") == "2"


async def test_what_root_does_elsewhere_it_cannot_do(inside):
    tries = (
        "mount -t tmpfs x /tmp",
        "mknod /tmp/disk b 8 0",
        "hostname other",
        "chown 1:1 /data",
        "unshare -U true",
        "chroot /tmp /bin/true",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /proc/sys/kernel/panic",
        "kill -9 2147",
    )
    for attempt in tries:
        said = await inside.sh(f"({attempt}) 2>&1 && echo done; true")
        assert "done" not in said.split(), attempt


async def test_its_root_cannot_be_written_and_its_own_places_can(inside):
    for path in ("/", "/bin", "/etc", "/sys", "/proc"):
        assert "yes" not in await inside.sh(f"touch {path}/x 2>/dev/null && echo yes; true"), path
    for path in ("/data", "/tmp", "/run", "/dev/shm"):  # noqa: S108
        assert await inside.sh(f"touch {path}/x && echo yes") == "yes", path


async def test_nothing_is_run_from_where_it_may_write(inside):
    for path in ("/data", "/tmp", "/run", "/dev/shm"):  # noqa: S108
        script = f"cat /bin/busybox > {path}/b; chmod 755 {path}/b; {path}/b true && echo ran; true"
        assert "ran" not in (await inside.sh(script)).split(), path


async def test_what_it_may_write_has_a_size(inside):
    script = "dd if=/dev/zero of=/tmp/full bs=1M count=80 2>&1; rm -f /tmp/full; true"
    assert "No space left" in await inside.sh(script)
    script = "dd if=/dev/zero of=/data/full bs=1M seek=1100 count=1 2>&1; ls /data/full"
    assert "No space left" not in await inside.sh(script), "a hole takes no room"


async def test_it_sees_itself_alone(inside):
    mounts = await inside.sh("cat /proc/self/mountinfo")
    assert str(inside.machine.data) not in mounts.replace(str(inside.machine.run), "")
    numbers = [int(name) for name in (await inside.sh("ls /proc")).split() if name.isdecimal()]
    assert len(numbers) < 8
    assert (await inside.sh("cat /proc/1/comm")) == "wait"
    for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list"):
        assert await inside.sh(f"cat {path} 2>/dev/null | wc -c") == "0"


def test_it_shares_no_namespace(inside):
    kinds = ["pid", "ipc", "uts", "net", "mnt", "cgroup"]
    kinds += ["user"] if inside.profile is Profile.ISOLATED else []
    for kind in kinds:
        spaces = {
            str(Path(f"/proc/{pid}/ns/{kind}").readlink())
            for pid in (inside.pid(), inside.pid(B), os.getpid())
        }
        assert len(spaces) == 3, kind


def test_in_a_user_namespace_nobody_else_has_its_users(inside):
    maps = [Path(f"/proc/{inside.pid(name)}/uid_map").read_text().split() for name in (A, B)]
    if inside.profile is Profile.MOVABLE:
        assert all(int(size) > RANGE for _, _, size in maps)
        return
    (first, second) = (int(outside) for _, outside, _ in maps)
    assert abs(first - second) >= RANGE
    assert all(int(outside) >= RANGE and int(size) == RANGE for _, outside, size in maps)
    owner = inside.runtime.home(A).volume("/data").stat().st_uid
    assert owner == first


async def test_a_hog_of_memory_dies_and_its_container_lives(inside):
    await inside.sh("dd if=/dev/zero of=/dev/null bs=700M count=1 2>&1; true")
    found = inside.runtime.look(A)
    assert found is not None
    assert found.running
    pids = await inside.sh("cat /proc/self/limits | grep 'Max core'")
    assert pids.split()[4:6] == ["0", "0"]


async def test_a_fork_bomb_ends_at_its_limit(inside):
    state = str(inside.machine.places("h01").state)
    await run("runc", "--root", state, "update", "--pids-limit", "20", A)
    four = " ".join(["sleep 1 &"] * 4)
    with pytest.raises(RuntimeFailedError, match="fork"):
        await inside.sh(f"for i in 1 2 3 4 5; do {four} done")
