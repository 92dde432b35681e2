"""Engine processes by name; whoever leads can be killed with -9, and is started again."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from domain.subjects import Subjects
from handlers.bus import BusUnavailableError, Message, listen, request, silence
from handlers.engine.process import Status
from tests.engine.site import Site


class Engines:
    """`python -m restow engine`, as often as started."""

    def __init__(
        self, url: str, monitors: Sequence[str], subjects: Subjects, log: Path, replicas: int = 1
    ) -> None:
        self._arguments = [
            f"--url={url}",
            f"--prefix={subjects.prefix}",
            f"--replicas={replicas}",
            *(f"--monitor={monitor}" for monitor in monitors),
        ]
        self._subjects = subjects
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start an engine of this name."""
        command = [sys.executable, "-m", "restow", "engine", f"--name={name}", *self._arguments]
        with (self._log / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log)

    async def leader(self, place: Site) -> str:
        """Return who leads, once somebody does."""
        async with asyncio.timeout(30):
            while True:
                try:
                    said = await request(place.bus, self._subjects.status(), within_s=1)
                except BusUnavailableError:
                    await asyncio.sleep(0.1)
                    continue
                status = msgspec.json.decode(said, type=Status)
                if status.leader in self._running:
                    return status.leader
                await asyncio.sleep(0.05)

    async def stands_by(self, name: str, place: Site) -> None:
        """Wait until an engine is a standby."""
        roles: dict[str, str] = {}

        async def hear(message: Message) -> None:
            if message.data:
                status = msgspec.json.decode(message.data, type=Status)
                roles[status.engine] = status.role

        inbox = place.bus.new_inbox()
        listening = await listen(place.bus, inbox, hear)
        async with asyncio.timeout(30):
            while roles.get(name) != "standby":
                await place.bus.publish(self._subjects.status(), b"", inbox)
                await asyncio.sleep(0.05)
        await silence(place.bus, listening)

    async def kill_leader(self, place: Site) -> None:
        """Kill -9 whoever leads, and start it again."""
        name = await self.leader(place)
        self._running[name].kill()
        self._running[name].wait()
        self.start(name)

    async def end(self, name: str) -> int:
        """Tell an engine to stop with SIGTERM, and return its exit code."""
        process = self._running.pop(name)
        process.terminate()
        return await asyncio.to_thread(process.wait, 10)

    def stop(self) -> None:
        """Kill all of them."""
        for process in self._running.values():
            process.kill()
            process.wait()
