"""A bridge that the hosts of a test end at, a client in a namespace of its own, and moves."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handlers.agent.runc.runtime import RuncRuntime
from handlers.agent.runc.tools import program, run_now
from handlers.agent.runtime import Room
from tests.agent.fleet import WEB


@dataclass
class Fabric:
    """A bridge that both hosts end at, and a client in a namespace of its own."""

    bridge: str
    client: str

    @classmethod
    @contextmanager
    def made(cls) -> Iterator["Fabric"]:
        mark = secrets.token_hex(3)
        made = cls(f"rt{mark}b", f"rt{mark}c")
        run_now("ip", "link", "add", "name", made.bridge, "type", "bridge")
        run_now("ip", "link", "set", made.bridge, "up")
        run_now("ip", "netns", "add", made.client)
        peer = ("peer", "name", "eth0", "netns", made.client)
        run_now("ip", "link", "add", "name", f"rt{mark}v", "type", "veth", *peer)
        run_now("ip", "link", "set", f"rt{mark}v", "master", made.bridge, "up")
        run_now("ip", "-n", made.client, "address", "add", "10.77.1.1/8", "dev", "eth0")
        run_now("ip", "-n", made.client, "link", "set", "eth0", "up")
        try:
            yield made
        finally:
            run_now("ip", "netns", "delete", made.client)
            run_now("ip", "link", "delete", made.bridge)

    def talk(self, said: Path, what: str, *words: str) -> "subprocess.Popen[bytes]":
        """Run a program in the client's namespace; what it says goes into a file."""
        return self._run(said, subprocess.DEVNULL, "-c", what, *words)

    def visit(self, said: Path, module: str, *words: str) -> "subprocess.Popen[bytes]":
        """Run a module there; it ends when its standard input does."""
        return self._run(said, subprocess.PIPE, "-m", module, *words)

    def _run(self, said: Path, stdin: int, *words: str) -> "subprocess.Popen[bytes]":
        inside = (program("ip"), "netns", "exec", self.client, sys.executable)
        with said.open("wb") as out:
            return subprocess.Popen(
                (*inside, *words), stdin=stdin, stdout=out, stderr=subprocess.STDOUT
            )


async def held(here: RuncRuntime, there: RuncRuntime, migration: str) -> None:
    """Freeze it here, and have it held there."""
    seen = here.look(WEB)
    assert seen is not None
    room = Room(WEB, seen.cloudlets, seen.limit, seen.disk_gib)
    endpoint = await there.receive(room, migration)
    await here.copy(WEB, endpoint)
    await here.settle(WEB)
    await here.pause(WEB)
    image = await here.dump(WEB)
    await here.transfer(image, endpoint)
    await there.prepare(image)


async def moved(here: RuncRuntime, there: RuncRuntime) -> None:
    """Have it run there, and not here."""
    await held(here, there, "mv1")
    await there.go(WEB)
    await here.drop(WEB)
