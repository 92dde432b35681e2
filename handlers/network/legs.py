"""The router's own place in networks of environments: a cable to each, under one address.

Containers have addresses that no other one of the region has, so a route to each leads to its
network. Nothing is forwarded, and what containers begin ends here but for questions of names.
"""

from handlers.network.shapes import (
    GATE,
    WALL,
    gate_of,
    guard,
    mac_of,
    port_of,
    unguard,
)
from handlers.network.tools import Tools
from handlers.network.wiring import HostNetwork, Table


class Legs:
    """One router's; `underlay` is the address of its host among the hosts.

    All methods may be asked twice, and raise `NetworkFailedError`.
    """

    def __init__(self, underlay: str, *, namespace: str = "") -> None:
        self._network = HostNetwork(underlay, namespace=namespace)
        self._tools = Tools(namespace)

    def join(self, vni: int, addresses: tuple[str, ...] = ()) -> None:
        """Be in the network of an environment, and know that these are in it."""
        gate, port = gate_of(vni), port_of(vni)
        if gate not in self._there():
            mtu = self._network.mtu()
            own = f"name {gate} address {mac_of(GATE)} mtu {mtu}"
            self._tools.ip(f"link add {own} type veth peer name {port} mtu {mtu}")
        self._tools.run(("nft", "-f", "-"), WALL + guard(port, GATE))
        self._tools.run(("sysctl", "-qw", f"net.ipv4.conf.{gate}.arp_ignore=1"))
        self._tools.ip(
            f"link set {port} addrgenmode none",
            f"link set {gate} addrgenmode none",
            f"address replace {GATE}/32 dev {gate}",
        )
        self._network.attach(vni, port, GATE)
        self._tools.ip(
            f"link set {port} up",
            f"link set {gate} up",
            *(f"route replace {one}/32 dev {gate} src {GATE}" for one in addresses),
        )

    def point(self, vni: int, table: Table) -> None:
        """Tell who is on which host of a network that was joined; see `HostNetwork`."""
        gate = gate_of(vni)
        if gate not in self._there():
            return
        known = self._tools.run(("ip", "route", "show", "dev", gate)).splitlines()
        old, new = {line.split()[0] for line in known if line}, table.keys() - {GATE}
        self._tools.ip(
            *(f"route delete {one}/32 dev {gate}" for one in sorted(old - new)),
            *(f"route replace {one}/32 dev {gate} src {GATE}" for one in sorted(new - old)),
        )
        self._network.point(vni, table)

    def leave(self, vni: int) -> None:
        """Be in that network no more."""
        gate, port = gate_of(vni), port_of(vni)
        if gate in self._there():
            self._tools.run(("nft", "-f", "-"), unguard(port))
            self._tools.ip(f"link delete {gate}")
        self._network.tidy()

    def joined(self) -> frozenset[int]:
        """Return the networks that it is in, of whichever run of the router."""
        return frozenset(int(name[2:]) for name in self._there() if name[2:].isdigit())

    def _there(self) -> set[str]:
        lines = self._tools.run(("ip", "-br", "link", "show", "type", "veth")).splitlines()
        names = (line.split("@")[0].split()[0] for line in lines if line)
        return {name for name in names if name.startswith("rg")}
