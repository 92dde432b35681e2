"""Two engines as processes: the leader found, hurt and started again; their memory watched."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from domain.subjects import Subjects
from handlers.bus import Bus, BusUnavailableError, request
from handlers.engine.process import Status
from handlers.nats_server import Server

NAMES = ("e1", "e2")
LOOK_S = 1.0
FOUND_S = 0.2
PAGE = os.sysconf("SC_PAGE_SIZE")


class Pair:
    """A leader and a standby."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._arguments = (
            f"--url={server.url}",
            f"--monitor={server.monitor}",
            f"--prefix={prefix}",
        )
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._first: dict[int, int] = {}
        self.faults = 0
        self.growth = 0
        """Bytes that the engine gained that gained most, since it was first seen."""
        for name in NAMES:
            self._start(name)

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "restow", "engine", f"--name={name}", *self._arguments]
        self._running[name] = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that run."""
        return tuple(one.pid for one in self._running.values() if one.poll() is None)

    async def leader(self, bus: Bus, subjects: Subjects) -> str:
        """Return who leads, once somebody does."""
        while True:
            try:
                said = await request(bus, subjects.status(), within_s=1)
            except BusUnavailableError:
                await asyncio.sleep(FOUND_S)
                continue
            leader = msgspec.json.decode(said, type=Status).leader
            if leader in self._running:
                return leader
            await asyncio.sleep(FOUND_S)

    async def kill_leader(self, bus: Bus, subjects: Subjects) -> None:
        """Kill -9 whoever leads, and start it again."""
        name = await self.leader(bus, subjects)
        self._running[name].kill()
        self._running[name].wait()
        self._start(name)

    def tell(self, name: str, number: signal.Signals) -> None:
        """Send a signal to an engine."""
        self._running[name].send_signal(number)

    async def watch(self) -> None:
        """Look at the memory of both, for ever; what a start takes is not counted."""
        while True:
            await asyncio.sleep(LOOK_S)
            for process in self._running.values():
                if process.poll() is None:
                    held = resident(process.pid)
                    first = self._first.setdefault(process.pid, held)
                    self.growth = max(self.growth, held - first)

    def stop(self) -> None:
        """End both."""
        for process in self._running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._running.values():
            process.wait(20)


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
