"""Hosts that are network namespaces, on one switch; containers that are namespaces, too.

Everything has a label of its own in its name and is taken away by it.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from handlers.network.shapes import Plug
from handlers.network.tools import Tools
from handlers.network.wiring import HostNetwork


def able() -> None:
    """Skip where networks cannot be made, and say what lacks."""
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program, path=PATH) is None:
            pytest.skip(f"needs {program}: apt-get install {package}, or make hosts")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")


PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TRY = """
import socket, sys
with socket.socket() as one:
    one.settimeout(0.7)
    try:
        one.bind((sys.argv[2], 0))
        one.connect((sys.argv[1], 9))
    except ConnectionRefusedError:
        print("refused")
    except OSError:
        print("nobody")
"""
"""Nobody listens there, so whoever is reached refuses."""


class Fabric:
    """Some hosts on one switch."""

    def __init__(self, hosts: int) -> None:
        self.label = f"rt{uuid4().hex[:5]}"
        self.underlays = [f"192.168.77.{number}" for number in range(1, hosts + 1)]
        self.hosts = [
            HostNetwork(self.underlays[number], namespace=self.host(number))
            for number in range(hosts)
        ]
        self.plugs: dict[int, Plug] = {}

    def host(self, number: int) -> str:
        return f"{self.label}-h{number}"

    async def make(self) -> None:
        switch = f"{self.label}-sw"
        await Tools().ip(f"netns add {switch}", *self._each("netns add {}"))
        await Tools(switch).ip("link add fabric type bridge", "link set fabric up")
        for number, address in enumerate(self.underlays):
            inside = self.host(number)
            await Tools(inside).ip(
                "link set lo up",
                f"link add eth0 type veth peer name p{number} netns {switch}",
                f"address add {address}/24 dev eth0",
                "link set eth0 up",
            )
            await Tools(switch).ip(f"link set p{number} master fabric", f"link set p{number} up")

    def _each(self, line: str) -> list[str]:
        return [line.format(self.host(number)) for number in range(len(self.hosts))]

    async def container(self, number: int, vni: int, host: int) -> Plug:
        """Start a container that is a namespace, and plug it in."""
        plug = Plug(f"{self.label}-c{number}", vni, f"10.0.0.{number}")
        if number not in self.plugs:
            await Tools().ip(f"netns add {plug.namespace}")
            self.plugs[number] = plug
        await self.hosts[host].attach(plug)
        return plug

    async def tell(self, vni: int, where: dict[int, int]) -> None:
        """Tell all hosts which container is on which host."""
        table = {f"10.0.0.{number}": self.underlays[host] for number, host in where.items()}
        await asyncio.gather(*(host.point(vni, table) for host in self.hosts))

    async def hears(self, one: int, other: int, *, source: str = "") -> bool:
        """Say whether a container gets an answer from another one."""
        words = (sys.executable, "-S", "-c", TRY, f"10.0.0.{other}", source)
        said = await Tools(self.plugs[one].namespace).run(words)
        return said.strip() == "refused"

    def sweep(self) -> None:
        for name in named(self.label):
            netns("delete", name)


def named(label: str) -> list[str]:
    return [line.split()[0] for line in netns("list").splitlines() if line.startswith(label)]


def netns(*words: str) -> str:
    command = (shutil.which("ip", path=PATH) or "ip", "netns", *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextlib.asynccontextmanager
async def fabric_of(hosts: int) -> AsyncIterator[Fabric]:
    able()
    fabric = Fabric(hosts)
    try:
        await fabric.make()
        yield fabric
    finally:
        fabric.sweep()
