"""Processes that belong together: started, kept up, and stopped as one crew.

Each runs in its own process group, so that Ctrl-C reaches the crew alone, which stops them in
order; and each is on a leash (`restow.leash`), so that nothing is left when the crew is killed.
One that crashes is started again, later each time.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from restow.tasks import tasks

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0
STEADY_S = 30.0
"""Who ran for so long is taken for well: the backoff begins anew."""
GRACE_S = 8.0
"""How long a process may take to end by itself."""
LOG_TAIL_BYTES = 2_000

Say = Callable[[str], None]


class Member(msgspec.Struct, frozen=True):
    """One process of a crew: its name, its command line, and whether it is kept up."""

    name: str
    command: tuple[str, ...]
    kept: bool = True


class MemberEndedError(Exception):
    """A process that is not kept up has ended, or one could not be started at all."""


class Crew:
    """What runs now. Use `crew()`, which stops everything at its end."""

    def __init__(self, group: asyncio.TaskGroup, logs: Path, say: Say) -> None:
        self._group = group
        self._logs = logs
        self._say = say
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._watchers: list[Callable[[], None]] = []
        self._leaving: set[str] = set()
        self._members: dict[str, Member] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of those that run, by name, in the order they were started."""
        return {name: process.pid for name, process in self._running.items()}

    def on_change(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` whenever a process was started, or started again."""
        self._watchers.append(watcher)

    def log(self, name: str) -> Path:
        """Return the file that takes what a process prints."""
        return self._logs / f"{name}.log"

    def log_tail(self, name: str) -> str:
        """Return the end of what a process printed, for whoever must say why it failed."""
        with self.log(name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()

    async def start(self, member: Member) -> int:
        """Start a process and, where it is to be kept, keep it up; returns its id."""
        process = await self._spawn(member)
        self._members[member.name] = member
        self._keepers[member.name] = self._group.create_task(self._keep(member, process))
        return process.pid

    async def stop(self, names: Sequence[str] | None = None) -> None:
        """Stop these processes, or all of them: the last one started first, one after another."""
        chosen = list(self._keepers) if names is None else [*names]
        for name in reversed(chosen):
            await self._stop(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one process, as a crash would; returns the id it had."""
        process = self._running[name]
        process.send_signal(number)
        return process.pid

    async def lose(self, name: str) -> int:
        """Kill a process and leave it dead, until it is brought `back`; returns the id it had."""
        self._leaving.add(name)
        process = self._running.pop(name)
        process.kill()
        await process.wait()
        await self._keepers.pop(name)
        self._leaving.discard(name)
        return process.pid

    async def back(self, name: str) -> int:
        """Start a process again that was lost; returns its id."""
        return await self.start(self._members[name])

    async def _spawn(self, member: Member) -> asyncio.subprocess.Process:
        self._logs.mkdir(parents=True, exist_ok=True)
        leash = (sys.executable, "-m", "restow.leash", str(os.getpid()))
        with self.log(member.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *leash,
                *member.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[member.name] = process
        for watcher in self._watchers:
            watcher()
        return process

    async def _keep(self, member: Member, process: asyncio.subprocess.Process) -> None:
        clock = asyncio.get_running_loop().time
        backoff = BACKOFF_FIRST_S
        while True:
            started = clock()
            code = await process.wait()
            if member.name in self._leaving:
                return
            ran = clock() - started
            backoff = BACKOFF_FIRST_S if ran >= STEADY_S else backoff
            if not member.kept:
                message = f"{member.name} ended {cause(code)}\n{self.log_tail(member.name)}"
                raise MemberEndedError(message)
            self._say(
                f"{member.name} ended {cause(code)} after {ran:.1f} s;"
                f" it is started again in {backoff:.1f} s (its output: {self.log(member.name)})"
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_MAX_S)
            process = await self._spawn(member)

    async def _stop(self, name: str) -> None:
        self._leaving.add(name)
        keeper = self._keepers.pop(name)
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE_S)
        except TimeoutError:
            self._say(f"{name} did not end within {GRACE_S:.0f} s; it is killed")
            process.kill()
            await process.wait()
        keeper.cancel()
        self._leaving.discard(name)


def cause(code: int) -> str:
    """Return how a process ended, in words: `with code 1`, `by SIGKILL`."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


@asynccontextmanager
async def crew(logs: Path, say: Say) -> AsyncGenerator[Crew]:
    """Return a crew; at the end of the block, however it ends, all its processes are stopped."""
    async with tasks() as group:
        members = Crew(group, logs, say)
        try:
            yield members
        finally:
            await members.stop()
