"""A region of real processes on this machine, and what is done to them.

NATS, an engine, a router, and two hosts with real containers; whoever dies is started again,
unless it is to stay down for a while.
"""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from domain.messages import HostId
from domain.subjects import Subjects
from handlers.agent.runc.tools import program, run_now
from handlers.nats_server import Server, ServerOptions, start
from tests.hosts.machine import Machine

HOSTS = (HostId("h01"), HostId("h02"))
WITHIN_S = 30.0
"""So long after a fault has ended the container runs in one place."""
LOOK_S = 0.02
ROOM_MIB = 1_600
SLACK_BYTES = 16 << 20
"""What a file system takes for itself to keep so large a file."""
WRAPPER = """#!/bin/sh
# {name}; where a trap is set, it or another is killed once its log has come to a certain line.
case " $* " in {when}) ;; *) exec {real} "$@" ;; esac
mv {trap} {sprung} 2>/dev/null || exec {real} "$@"
read -r victim log mark < {sprung}
{real} "$@" <&0 &
until grep -q "$mark" "$log" 2>/dev/null; do
  kill -0 $! 2>/dev/null || {{ mv {sprung} {trap}; wait $!; exit; }}  # it was asked for its version
done
[ $victim != 0 ] || victim=$!
kill -9 $victim && rm {sprung}
wait $!
"""
WHEN = {"criu": '*" swrk "*', "runc": '*" checkpoint "*|*" restore "*'}


class Troubled:
    """Processes by name: e1, routing, h01, h02; and the server."""

    def __init__(self, machine: Machine, server: Server) -> None:
        self.machine = machine
        self.server = server
        self.subjects = Subjects(f"t{secrets.token_hex(6)}")
        self.mark = secrets.token_hex(3)
        self.down: set[str] = set()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        net = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}"
        self.addresses = {host: f"{net}.{number}" for number, host in enumerate(HOSTS, 1)}

    @classmethod
    def made(cls, machine: Machine) -> "Troubled":
        server = asyncio.run(start(ServerOptions(machine.data / "nats")))
        made = cls(machine, server)
        for host in HOSTS:
            made._disk(host)
            made._wrap(host)
            machine.hosts.add(host)
        return made

    def _disk(self, host: HostId) -> None:
        """Have a disk of its own for what is on a host: one that can be full."""
        image, folder = self.machine.data / f"{host}.img", self.machine.data / host
        with image.open("wb") as file:
            file.truncate(ROOM_MIB << 20)
        run_now("mke2fs", "-q", "-t", "ext4", "-m", "0", str(image))
        folder.mkdir()
        run_now("mount", "-o", "loop", str(image), str(folder))

    def _wrap(self, host: HostId) -> None:
        for name, when in WHEN.items():
            path = self.wrapper(host, name)
            path.parent.mkdir(exist_ok=True)
            places = {"trap": self.trap(host, name), "sprung": self.sprung(host, name)}
            path.write_text(WRAPPER.format(name=name, when=when, real=program(name), **places))
            path.chmod(0o755)

    def wrapper(self, host: HostId, name: str) -> Path:
        return self.machine.data / f"{host}-programs" / name

    def trap(self, host: HostId, name: str = "") -> Path:
        """Return the file that traps an agent at a step, or a program of its host at a line."""
        return self.machine.data / (f"{host}-{name}.trap" if name else f"{host}.trap")

    def sprung(self, host: HostId, name: str = "") -> Path:
        """Return what a trap is called once somebody is in it."""
        return self.trap(host, name).with_suffix(".sprung")

    def tend(self) -> None:
        """Start who does not run, and should."""
        for name in ("e1", "routing", *HOSTS):
            process = self._processes.get(name)
            if name not in self.down and (process is None or process.poll() is not None):
                self._processes[name] = self._started(name)

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        url, prefix, data = self.server.url, self.subjects.prefix, str(self.machine.data)
        at, environment = (f"--url={url}", f"--prefix={prefix}"), {**os.environ}
        words: tuple[str, ...] = ("restow", "engine", "--name=e1", "--relaxed", *at)
        if name == "routing":
            words = ("restow", "agent", "--routing", f"--data={data}/routing", *at)
        elif name in self.addresses:
            host = HostId(name)
            words = ("tests.hosts.trapped", url, prefix, data, str(self.machine.run), name)
            words = (*words, self.addresses[host])
            for program_name in WHEN:
                setting = f"RESTOW_{program_name.upper()}"
                environment[setting] = str(self.wrapper(host, program_name))
        with (self.machine.data / f"{name}.log").open("ab") as log:
            command = (sys.executable, "-m", *words)
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def kill(self, *names: str) -> None:
        """Kill -9, and start them again at once."""
        for name in names:
            self._processes[name].kill()
        for name in names:
            self._processes[name].wait()
        self.tend()

    async def until(self, so: Callable[[], object], within_s: float = WITHIN_S) -> None:
        """Wait until it is so, and see to those who die meanwhile."""
        async with asyncio.timeout(within_s):
            while not so():
                self.tend()
                await asyncio.sleep(LOOK_S)

    def cut(self) -> None:
        """Cut what the hosts say to each other without the bus; nothing else is touched."""
        rules = "".join(
            f"ip {way} {address} drop; "
            for address in self.addresses.values()
            for way in ("saddr", "daddr")
        )
        chain = f"chain out {{ type filter hook output priority 0; {rules}}};"
        run_now("nft", f"table inet rt{self.mark} {{ {chain} }}")

    def mend(self) -> None:
        run_now("nft", f"delete table inet rt{self.mark}")

    def fill(self, host: HostId) -> Path:
        """Leave no room on the disk of a host; return what fills it."""
        folder = self.machine.data / host
        seen = os.statvfs(folder)
        filler = folder / "filler"
        fd = os.open(filler, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            os.posix_fallocate(fd, 0, seen.f_bavail * seen.f_frsize - SLACK_BYTES)
            with suppress(OSError):
                while os.write(fd, bytes(4_096)):
                    pass
        finally:
            os.close(fd)
        return filler

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self.server.stop()

    def unmount(self) -> None:
        for host in HOSTS:
            run_now("umount", str(self.machine.data / host))
