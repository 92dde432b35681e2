"""What containers use, as rates: two looks at the counters of the kernel, and the time between."""

import time
from pathlib import Path

import msgspec

from domain.agent import Sample
from domain.messages import ContainerId
from handlers.agent.runc.cgroups import Cgroups, Used

RUNS_S_MIN = 0.05
"""Looks closer together than this say nothing of a rate."""


class Look(msgspec.Struct, frozen=True):
    """The counters of one container at a moment."""

    at_s: float
    used: Used
    net_bytes: int


class Meter:
    """Remembers the last look at each container."""

    def __init__(self, cgroups: Cgroups, core_mhz: int) -> None:
        self._cgroups = cgroups
        self._core_mhz = core_mhz
        self._looks: dict[ContainerId, tuple[Look, Sample]] = {}

    def sample(self, container: ContainerId, cgroup: str, pid: int, disk_mib: int) -> Sample:
        """Return what it uses; the first time, no rates."""
        used = self._cgroups.used(cgroup)
        look = Look(time.monotonic(), used, _network(pid))
        before, last = self._looks.get(container, (look, Sample(container, 0, 0, disk_mib, 0)))
        past_s = look.at_s - before.at_s
        if past_s < RUNS_S_MIN or used.cpu_us < before.used.cpu_us:
            if container not in self._looks or past_s >= RUNS_S_MIN:
                self._looks[container] = (look, last)
            return msgspec.structs.replace(last, memory_mib=_mib(used), disk_mib=disk_mib)
        sample = Sample(
            container,
            cpu_mhz=int((used.cpu_us - before.used.cpu_us) / past_s / 1e6 * self._core_mhz),
            memory_mib=_mib(used),
            disk_mib=disk_mib,
            net_kib_s=_rate(look.net_bytes - before.net_bytes, past_s),
            io_kib_s=_rate(used.io_bytes - before.used.io_bytes, past_s),
            iops=max(0, int((used.io_count - before.used.io_count) / past_s)),
        )
        self._looks[container] = (look, sample)
        return sample

    def keep(self, there: frozenset[ContainerId]) -> None:
        """Forget the others."""
        self._looks = {name: look for name, look in self._looks.items() if name in there}


def _mib(used: Used) -> int:
    return used.memory_bytes >> 20


def _rate(count: int, past_s: float) -> int:
    return max(0, int(count / past_s / 1_024))


def _network(pid: int) -> int:
    """Return how many bytes have come and gone on every device but loopback."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return 0  # it has just ended
    devices = (line.replace(":", " ").split() for line in lines)
    return sum(int(words[1]) + int(words[9]) for words in devices if words[0] != "lo")
