"""Cgroups, old (v1) and new (v2): limits in the words of OCI, usage, and the freezer.

A container may use memory and processor up to its limit in cloudlets; what it holds is what it is
sure of where the host is short. Nothing is swapped.
"""

import errno
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from domain.messages import CPU_OF_A_CLOUDLET_MHZ, MEMORY_OF_A_CLOUDLET_MIB
from handlers.agent.runtime import RuntimeFailedError

HERE = Path("/sys/fs/cgroup")
MIB = 1 << 20
PERIOD_US = 100_000
SHARES_A_CLOUDLET = 102
"""v1 counts shares, 1,024 for a processor, of which a cloudlet is about a tenth."""
SHARES_MIN, SHARES_MAX = 2, 262_144
PIDS_MAX = 1_024
FREEZE_S = 5.0
POLL_S = 0.002


class Used(msgspec.Struct, frozen=True):
    """What a container has used since it began, and the memory that it has now."""

    cpu_us: int = 0
    memory_bytes: int = 0
    io_bytes: int = 0
    io_count: int = 0


class Cgroups(Protocol):
    """The cgroups of a machine. `path` is that of a container: `/restow/h01-1a2b3c4d/node1`."""

    def limits(self, cloudlets: int, limit: int, core_mhz: int) -> Mapping[str, Any]:
        """Return limits as OCI has them."""
        ...

    def hold(self, path: str, cloudlets: int) -> None:
        """Say what it is sure of, where runc cannot."""
        ...

    def used(self, path: str) -> Used:
        """Return what it has used; nothing where there is no such cgroup."""
        ...

    def limited(self, path: str) -> Mapping[str, int]:
        """Return its limits as the kernel has them: `memory` in bytes, `cpu` in µs a period."""
        ...

    def freezer(self, path: str) -> Path:
        """Return the file that is written to freeze it."""
        ...

    def frozen(self, path: str) -> bool:
        """Tell whether it is frozen, or about to be."""
        ...

    def freeze(self, path: str) -> None:
        """Freeze it and return when nothing of it runs. Raises `RuntimeFailedError`."""
        ...

    def thaw(self, path: str) -> None:
        """Let it run."""
        ...

    def remove(self, path: str) -> None:
        """Have no such cgroup, nor any below it; nothing may be left in it."""
        ...

    def remove_if_empty(self, path: str) -> None:
        """Have no such cgroup, unless there are others below it."""
        ...


def cgroups_here(root: Path = HERE) -> Cgroups:
    """Return the cgroups of this machine, of the kind that it has."""
    return Unified(root) if (root / "cgroup.controllers").exists() else Legacy(root)


def _limits(cloudlets: int, limit: int, core_mhz: int) -> dict[str, Any]:
    memory = limit * MEMORY_OF_A_CLOUDLET_MIB * MIB
    sure = cloudlets * MEMORY_OF_A_CLOUDLET_MIB * MIB
    quota = max(1_000, limit * CPU_OF_A_CLOUDLET_MHZ * PERIOD_US // core_mhz)
    shares = min(max(SHARES_MIN, cloudlets * SHARES_A_CLOUDLET), SHARES_MAX)
    return {
        "memory": {"limit": memory, "swap": memory, "reservation": sure},
        "cpu": {"shares": shares, "quota": quota, "period": PERIOD_US},
        "pids": {"limit": PIDS_MAX},
    }


class Legacy:
    """Cgroups v1: a hierarchy for each controller. See `Cgroups`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def limits(self, cloudlets: int, limit: int, core_mhz: int) -> Mapping[str, Any]:
        return _limits(cloudlets, limit, core_mhz)

    def hold(self, path: str, cloudlets: int) -> None:
        """Nothing: the reservation is a soft limit, and runc writes it."""

    def used(self, path: str) -> Used:
        cpu = _number(self._file("cpuacct", path, "cpuacct.usage"))
        memory = _number(self._file("memory", path, "memory.usage_in_bytes"))
        stat = _pairs(self._file("memory", path, "memory.stat"))
        done = _operations(self._file("blkio", path, "blkio.throttle.io_service_bytes_recursive"))
        count = _operations(self._file("blkio", path, "blkio.throttle.io_serviced_recursive"))
        cached = stat.get("total_inactive_file", 0)
        return Used(cpu // 1_000, max(0, memory - cached), done, count)

    def limited(self, path: str) -> Mapping[str, int]:
        memory = _number(self._file("memory", path, "memory.limit_in_bytes"))
        return {"memory": memory, "cpu": _number(self._file("cpu", path, "cpu.cfs_quota_us"))}

    def freezer(self, path: str) -> Path:
        return self._file("freezer", path, "freezer.state")

    def frozen(self, path: str) -> bool:
        return _text(self.freezer(path)).strip() in {"FROZEN", "FREEZING"}

    def freeze(self, path: str) -> None:
        _write(self.freezer(path), "FROZEN")
        _await(lambda: _text(self.freezer(path)).strip() == "FROZEN", path)

    def thaw(self, path: str) -> None:
        _write(self.freezer(path), "THAWED")

    def remove(self, path: str) -> None:
        for hierarchy in self._root.iterdir():
            _remove(hierarchy / path.lstrip("/"))

    def remove_if_empty(self, path: str) -> None:
        for hierarchy in self._root.iterdir():
            _remove_if_empty(hierarchy / path.lstrip("/"))

    def _file(self, controller: str, path: str, name: str) -> Path:
        return self._root / controller / path.lstrip("/") / name


class Unified:
    """Cgroups v2: one hierarchy. See `Cgroups`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def limits(self, cloudlets: int, limit: int, core_mhz: int) -> Mapping[str, Any]:
        return _limits(cloudlets, limit, core_mhz)

    def hold(self, path: str, cloudlets: int) -> None:
        sure = cloudlets * MEMORY_OF_A_CLOUDLET_MIB * MIB
        _write(self._file(path, "memory.low"), str(sure))

    def used(self, path: str) -> Used:
        cpu = _pairs(self._file(path, "cpu.stat")).get("usage_usec", 0)
        memory = _number(self._file(path, "memory.current"))
        cached = _pairs(self._file(path, "memory.stat")).get("inactive_file", 0)
        io = _devices(self._file(path, "io.stat"))
        done = io.get("rbytes", 0) + io.get("wbytes", 0)
        count = io.get("rios", 0) + io.get("wios", 0)
        return Used(cpu, max(0, memory - cached), done, count)

    def limited(self, path: str) -> Mapping[str, int]:
        quota, *_ = _text(self._file(path, "cpu.max")).split() or ["0"]
        memory = _number(self._file(path, "memory.max"))
        return {"memory": memory, "cpu": int(quota) if quota.isdecimal() else 0}

    def freezer(self, path: str) -> Path:
        return self._file(path, "cgroup.freeze")

    def frozen(self, path: str) -> bool:
        return _text(self.freezer(path)).strip() == "1"

    def freeze(self, path: str) -> None:
        _write(self.freezer(path), "1")
        events = self._file(path, "cgroup.events")
        _await(lambda: _pairs(events).get("frozen") == 1, path)

    def thaw(self, path: str) -> None:
        _write(self.freezer(path), "0")

    def remove(self, path: str) -> None:
        _remove(self._root / path.lstrip("/"))

    def remove_if_empty(self, path: str) -> None:
        _remove_if_empty(self._root / path.lstrip("/"))

    def _file(self, path: str, name: str) -> Path:
        return self._root / path.lstrip("/") / name


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV}:
            return ""
        raise


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else 0


def _pairs(path: Path) -> Mapping[str, int]:
    words = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2}  # noqa: PLR2004 - a pair


def _operations(path: Path) -> int:
    """Sum `8:0 Read 4096` and `8:0 Write 512` of every device."""
    words = (line.split() for line in _text(path).splitlines())
    return sum(int(line[2]) for line in words if line[1:2] in (["Read"], ["Write"]))


def _devices(path: Path) -> Mapping[str, int]:
    """Sum `8:0 rbytes=4096 wbytes=512 …` over the devices."""
    sums: dict[str, int] = {}
    for word in _text(path).split():
        name, is_pair, value = word.partition("=")
        if is_pair:
            sums[name] = sums.get(name, 0) + int(value)
    return sums


def _write(path: Path, text: str) -> None:
    """Write a setting; where the cgroup is gone there is nothing to set."""
    try:
        path.write_text(text)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV}:
            message = f"{path} does not take {text!r}: {error.strerror}"
            raise RuntimeFailedError(message) from error


def _await(so: Callable[[], bool], path: str) -> None:
    until = time.monotonic() + FREEZE_S
    while not so():
        if time.monotonic() > until:
            message = f"{path} did not freeze within {FREEZE_S:g} s"
            raise RuntimeFailedError(message)
        time.sleep(POLL_S)


def _remove(path: Path) -> None:
    if not path.is_dir():
        return
    for folder, _, _ in os.walk(path, topdown=False):
        Path(folder).rmdir()


def _remove_if_empty(path: Path) -> None:
    if path.is_dir() and not any(inner.is_dir() for inner in path.iterdir()):
        path.rmdir()


def core_mhz(cpuinfo: Path = Path("/proc/cpuinfo")) -> int:
    """Return how fast a processor of this machine is; 2,000 MHz where it does not say."""
    lines = cpuinfo.read_text().splitlines()
    said = [line.partition(":")[2] for line in lines if line.startswith("cpu MHz")]
    return int(float(said[0])) if said else 2_000
