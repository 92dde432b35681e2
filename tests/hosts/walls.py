"""Two containers of one host, how they are asked, and how the kernel says that they are shut in."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from domain.messages import ContainerId
from handlers.agent.runc.hardening import MASKED, Profile
from handlers.agent.runc.images import Config
from handlers.agent.runc.runtime import RuncRuntime
from handlers.agent.runc.tools import run
from handlers.agent.runtime import Room, Spec
from tests.hosts.machine import PATIENCE_S, Machine, until_healthy
from tests.hosts.probe import program

A, B = ContainerId("node1"), ContainerId("node2")
ANSWERS = """#!/bin/sh
# Does what it is asked in a file, itself: not as `runc exec`, which is shut in by other means.
trap 'exit 0' TERM
while :; do
  if [ -f /data/ask ]; then
    mv /data/ask /data/asked
    sh /data/asked > /data/.said 2>&1
    mv /data/.said /data/said
  fi
  usleep 10000
done
"""
IMAGE = Config(command=("/bin/answers",), volumes=("/data",))
CLOUDLETS, LIMIT, DISK_GIB = 1, 2, 1
STATUS = (
    *("Uid", "Gid", "Groups", "Umask", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
)
SETTINGS = ("net/ipv4/ip_unprivileged_port_start", "net/mptcp/enabled", "net/ipv4/ip_forward")
"""Of the network namespace, which may be made by another program after a move."""
LIMITS = (
    *("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes"),
    *("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "pids.max", "devices.list"),
    *("memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpu.weight"),
    *("memory.oom_control", "cpuset.cpus", "memory.swappiness"),
)
"""Files of cgroups, old and new. Of `memory.oom_control` what may differ is no limit."""
COUNTS = ("oom_kill ", "under_oom ")
CGROUPS = Path("/sys/fs/cgroup")


class Stay(StrEnum):
    """Where a container is when it is asked."""

    AT_HOME = "at home"
    MOVED = "moved"


@dataclass
class Inside:
    """Two containers of one host, and commands that they carry out."""

    runtime: RuncRuntime
    machine: Machine
    profile: Profile
    host: str = "h01"

    @classmethod
    @contextmanager
    def of(cls, data: Path, profile: Profile, stay: Stay) -> Generator["Inside"]:
        """Have both, healthy, on the first host, or moved live from there to the second one."""
        machine = Machine.made(data, profile)
        machine.add("shut:1", IMAGE, {"bin/answers": ANSWERS}, {"bin/call": program()})
        made = cls(machine.open("h01"), machine, profile)
        try:
            asyncio.run(made.begin())
            if stay is Stay.MOVED:
                asyncio.run(made.move("h02"))
            yield made
        finally:
            made.runtime.close()
            machine.sweep()

    async def begin(self) -> None:
        for name in (A, B):
            spec = Spec(name, name, "shut:1", CLOUDLETS, LIMIT, DISK_GIB, "10.0.0.1")
            await self.runtime.start(spec, "o1")
            await until_healthy(self.runtime, name)

    async def move(self, host: str) -> None:
        """Move both live to another host."""
        there = self.machine.open(host)
        for name in (A, B):
            endpoint = await there.receive(Room(name, CLOUDLETS, LIMIT, DISK_GIB), f"mv-{name}")
            await self.runtime.copy(name, endpoint)
            await self.runtime.pause(name)
            image = await self.runtime.dump(name)
            await self.runtime.transfer(image, endpoint)
            await there.prepare(image)
            await there.go(name)
            await self.runtime.drop(name)
        self.runtime.close()
        self.runtime, self.host = there, host

    async def sh(self, script: str, container: ContainerId = A) -> str:
        """Return what a shell says that is a child of the container's own first process."""
        volume = self.runtime.home(container).volume("/data")
        (volume / "said").unlink(missing_ok=True)
        (volume / ".ask").write_text(script)
        (volume / ".ask").replace(volume / "ask")
        async with asyncio.timeout(PATIENCE_S):
            while not (volume / "said").exists():
                await asyncio.sleep(0.01)
        return (volume / "said").read_text().strip()

    async def exec(self, script: str, container: ContainerId = A) -> str:
        """Return what a shell says that runc put beside the container's own processes."""
        state = str(self.machine.places(self.host).state)
        return await run("runc", "--root", state, "exec", container, "/bin/sh", "-c", script)

    def pid(self, container: ContainerId = A) -> int:
        return self.runtime.pid(container)

    def status(self, name: str) -> str:
        return status(self.pid())[name]

    async def walls(self, container: ContainerId = A) -> Mapping[str, str]:
        """Return all that shuts a container in, as the kernel tells it, with no host's name."""
        names = " ".join(f"/proc/sys/{name}" for name in SETTINGS)
        places = self.machine.places(self.host)
        told = {
            **shut(self.pid(container)),
            **limits(self.runtime.cgroup(container)),
            "settings": await self.sh(f"grep . {names}", container),
        }
        return {name: text.replace(places.label, "HOST") for name, text in told.items()}


def status(pid: int) -> Mapping[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


def shut(pid: int) -> Mapping[str, str]:
    """Return how a process is shut in."""
    proc, told = Path(f"/proc/{pid}"), status(pid)
    files = sorted((proc / "fd").iterdir(), key=lambda file: int(file.name))
    return {
        **{name: told[name] for name in STATUS},
        **{name: (proc / name).read_text() for name in ("limits", "oom_score_adj", "environ")},
        **{name: (proc / name).read_text() for name in ("uid_map", "gid_map", "cgroup")},
        **{name: str((proc / name).readlink()) for name in ("root", "cwd", "exe")},
        "files": "\n".join(str(one.readlink()).partition(":[")[0] for one in files),
        "mounts": "\n".join(mounts(pid)),
        "filters": filters(pid),
        "namespaces": " ".join(own_namespaces(pid)),
    }


def mounts(pid: int) -> list[str]:
    """Return each mount: where, with which flags, what it is and how large."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return sorted(_mount(*line.split(" - ")) for line in lines)


def _mount(before: str, after: str) -> str:
    _, _, _, root, at, flags, *_ = before.split()
    kind, _, options = after.split(" ", 2)
    sizes = [one for one in options.split(",") if one.startswith(("size=", "mode=", "ro", "rw"))]
    inner = root if at in root else ""
    if at in MASKED and not Path(at).is_dir():  # the null of the machine, or of its own /dev
        return " ".join((at, "null", flags.removesuffix(",relatime")))
    return " ".join((at, kind, flags, ",".join(sizes), inner)).strip()


def own_namespaces(pid: int) -> list[str]:
    """Return of which kinds it has a namespace that is not the machine's."""
    ours, theirs = Path("/proc/self/ns"), Path(f"/proc/{pid}/ns")
    kinds = ("pid", "ipc", "uts", "net", "mnt", "cgroup", "user")
    return [kind for kind in kinds if (ours / kind).readlink() != (theirs / kind).readlink()]


def limits(cgroup: str) -> Mapping[str, str]:
    """Return what a cgroup is limited to, by controller; at least memory, processor and number."""
    found = {}
    for hierarchy in (CGROUPS, *CGROUPS.iterdir()):
        folder = hierarchy / cgroup.lstrip("/")
        for path in (folder / name for name in LIMITS):
            if path.is_file() and not path.parent.is_symlink():
                lines = path.read_text().splitlines()
                found[path.name] = "\n".join(one for one in lines if not one.startswith(COUNTS))
    assert {"pids.max"} < found.keys(), found
    return found


ATTACH, STOP, DETACH, GET_FILTER = 0x4206, 0x4207, 17, 0x420C
WALL = 0x40000000
INSTRUCTION = struct.calcsize("HBBI")


def filters(pid: int) -> str:
    """Return the SHA-256 of the programs that its calls of the kernel go through."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    assert libc.ptrace(ATTACH, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    try:
        libc.ptrace(STOP, pid, None, None)
        os.waitpid(pid, WALL)
        programs: list[bytes] = []
        while (length := libc.ptrace(GET_FILTER, pid, len(programs), None)) > 0:
            program_ = ctypes.create_string_buffer(length * INSTRUCTION)
            libc.ptrace(GET_FILTER, pid, len(programs), program_)
            programs.append(program_.raw)
    finally:
        libc.ptrace(DETACH, pid, None, None)
    assert programs
    return sha256(b"".join(programs)).hexdigest()
