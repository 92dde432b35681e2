"""Hosts that are network namespaces of this machine, on one switch that is one, too.

Of the machine's own network nothing is touched: it gets one cable to the switch, with an address
of the range that is set aside for benchmarks. All names begin with the mark of the lab, so that
whatever is left can be found and taken away.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from handlers.network.tools import Tools

NAMED = Path("/run/netns")
MARK = "rl"
SWITCH, EDGE = "switch", "edge"
EDGE_NUMBER, OUTSIDE_NUMBER = 253, 254
THIRDS = 256


class Fabric(msgspec.Struct, frozen=True):
    """The network of one lab: `mark` begins all its names, `third` is a byte of its addresses."""

    mark: str
    third: int
    hosts: tuple[str, ...]

    @classmethod
    def of(cls, data: Path, hosts: Sequence[str]) -> "Fabric":
        """Return the fabric of the lab that keeps its files in `data`; it need not be there."""
        print_ = sha256(str(data.resolve()).encode()).hexdigest()
        return cls(f"{MARK}{print_[:5]}", int(print_[:8], 16) % THIRDS, tuple(hosts))

    def space(self, name: str) -> str:
        """Return the namespace of a host, of the switch, or of the edge."""
        return f"{self.mark}-{name}"

    def inside(self, name: str) -> tuple[str, ...]:
        """Return the words that bring a command line into a namespace."""
        return ("nsenter", f"--net={NAMED / self.space(name)}")

    def address(self, host: str) -> str:
        return self._numbered(1 + self.hosts.index(host))

    @property
    def edge(self) -> str:
        """Return where DNS and balancer are found."""
        return self._numbered(EDGE_NUMBER)

    @property
    def outside(self) -> str:
        """Return where this machine is found by the hosts."""
        return self._numbered(OUTSIDE_NUMBER)

    def _numbered(self, number: int) -> str:
        return f"198.18.{self.third}.{number}"

    def make(self) -> None:
        """Have the switch, the hosts and the edge, and our cable. Raises `NetworkFailedError`."""
        switch = self.space(SWITCH)
        names = (SWITCH, EDGE, *self.hosts)
        Tools().ip(*(f"netns add {self.space(name)}" for name in names))
        Tools(switch).ip(
            "link add fabric type bridge mcast_snooping 0",
            "link set fabric up",
        )
        Tools().ip(
            f"link add {self.mark} type veth peer name out netns {switch}",
            f"address add {self.outside}/24 dev {self.mark}",
            f"link set {self.mark} up",
        )
        Tools(self.space(EDGE)).ip(
            "link set lo up",
            f"link add eth0 type veth peer name {EDGE} netns {switch}",
            f"address add {self.edge}/24 dev eth0",
            "link set eth0 up",
        )
        for host in self.hosts:
            self._host(host)
        ports = ("out", EDGE, *self.hosts)
        Tools(switch).ip(*(f"link set {port} master fabric up" for port in ports))

    def _host(self, host: str) -> None:
        Tools(self.space(host)).ip(
            "link set lo up",
            f"link add eth0 type veth peer name {host} netns {self.space(SWITCH)}",
            f"address add {self.address(host)}/24 dev eth0",
            "link set eth0 up",
        )

    def remove(self) -> None:
        """Have nothing of it, whatever there was."""
        links = json.loads(Tools().run(("ip", "-j", "link", "show")))
        if any(link.get("ifname") == self.mark for link in links):
            Tools().ip(f"link delete {self.mark}")
        Tools().ip(*(f"netns delete {name}" for name in self.left()))

    def left(self) -> tuple[str, ...]:
        """Return the namespaces that there are."""
        there = NAMED.iterdir() if NAMED.is_dir() else ()
        return tuple(sorted(one.name for one in there if one.name.startswith(f"{self.mark}-")))
