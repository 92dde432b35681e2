"""Hosts that are network namespaces, on one switch; containers that are namespaces, too.

Everything has a label of its own in its name and is taken away by it.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import msgspec
import pytest

from handlers.network.shapes import mac_of
from handlers.network.tools import Tools
from handlers.network.wiring import HostNetwork


class Plug(msgspec.Struct, frozen=True):
    """A container: its namespace, the host's end of its cable, its address."""

    namespace: str
    port: str
    address: str


def able() -> None:
    """Skip where networks cannot be made, and say what lacks."""
    if shutil.which("ip", path=PATH) is None:
        pytest.skip("needs ip: apt-get install iproute2, or make hosts")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")


PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TRY = """
import socket, sys
with socket.socket() as one:
    one.settimeout(0.7)
    try:
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

    def make(self) -> None:
        switch = f"{self.label}-sw"
        Tools().ip(f"netns add {switch}", *self._each("netns add {}"))
        Tools(switch).ip("link add fabric type bridge", "link set fabric up")
        for number, address in enumerate(self.underlays):
            inside = self.host(number)
            Tools(inside).ip(
                "link set lo up",
                f"link add eth0 type veth peer name p{number} netns {switch}",
                f"address add {address}/24 dev eth0",
                "link set eth0 up",
            )
            Tools(switch).ip(f"link set p{number} master fabric", f"link set p{number} up")

    def _each(self, line: str) -> list[str]:
        return [line.format(self.host(number)) for number in range(len(self.hosts))]

    def container(self, number: int, vni: int, host: int) -> Plug:
        """Have a container that is a namespace, and plug it in there."""
        plug = Plug(f"{self.label}-c{number}", f"c{number}", f"10.0.0.{number}")
        if number not in self.plugs:
            Tools().ip(f"netns add {plug.namespace}")
            self.plugs[number] = plug
        where = Tools(self.host(host))
        if f"{plug.port}@" not in where.run(("ip", "-br", "link", "show")):
            end = f"name eth0 address {mac_of(plug.address)} mtu 1450 netns {plug.namespace}"
            where.ip(f"link add {plug.port} mtu 1450 type veth peer {end}")
            Tools(plug.namespace).ip(
                "link set lo up", f"address add {plug.address}/8 dev eth0", "link set eth0 up"
            )
            where.ip(f"link set {plug.port} up")
        self.hosts[host].attach(vni, plug.port, plug.address)
        return plug

    def unplug(self, number: int, host: int) -> None:
        """Take its cable away, and the network if nobody else is on it."""
        Tools(self.host(host)).ip(f"link delete c{number}")
        self.hosts[host].tidy()

    def tell(self, vni: int, where: dict[int, int]) -> None:
        """Tell all hosts which container is on which host."""
        table = {f"10.0.0.{number}": self.underlays[host] for number, host in where.items()}
        for host in self.hosts:
            host.point(vni, table)

    def hears(self, one: int, other: str) -> bool:
        """Say whether a container gets an answer from an address."""
        words = (sys.executable, "-S", "-c", TRY, other)
        return Tools(self.plugs[one].namespace).run(words).strip() == "refused"

    def reaches(self, one: int, other: int) -> bool:
        """Say whether one container reaches another one. Its first word may get lost."""
        return any(self.hears(one, f"10.0.0.{other}") for _ in range(3))

    def sweep(self) -> None:
        for name in named(self.label):
            netns("delete", name)


def named(label: str) -> list[str]:
    return [line.split()[0] for line in netns("list").splitlines() if line.startswith(label)]


def netns(*words: str) -> str:
    command = (shutil.which("ip", path=PATH) or "ip", "netns", *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def fabric_of(hosts: int) -> Iterator[Fabric]:
    able()
    fabric = Fabric(hosts)
    try:
        fabric.make()
        yield fabric
    finally:
        fabric.sweep()
    assert named(fabric.label) == []
