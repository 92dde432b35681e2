"""The networks of environments on one host: a bridge and a VXLAN each, and nothing between them.

Nothing is learned from packets. Who has which address on which host is told (`point`), and the
hosts answer for it themselves: what no one told does not exist, so a container can neither take
somebody else's place nor be heard where it must not. The host itself is not on any of them.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any

from handlers.network.shapes import (
    MTU_MAX,
    MTU_OVERHEAD,
    OURS,
    VNI_MAX,
    bridge_of,
    mac_of,
    tunnel_of,
)
from handlers.network.tools import NetworkFailedError, Tools

PORT = 4_789

Table = Mapping[str, str]
"""By address of a container: the address of the host that has it. "": of a host whose address is
not known now, so what is known of the container stays."""

_alone = threading.RLock()
"""Held while devices are changed: a network ends with its last cable, while another one comes."""


class HostNetwork:
    """One host's part; `underlay` is its address among the hosts.

    All methods may be asked twice, and raise `NetworkFailedError`.
    """

    def __init__(self, underlay: str, *, namespace: str = "") -> None:
        self._underlay = underlay
        self._tools = Tools(namespace)

    def mtu(self) -> int:
        """Return the most bytes that a packet of a container may have."""
        found = self._asked("ip", "-j", "address", "show", "to", self._underlay)
        for one in found:
            if "mtu" in one:
                return min(MTU_MAX, int(one["mtu"]) - MTU_OVERHEAD)
        message = f"no device of this host has the address {self._underlay}"
        raise NetworkFailedError(message)

    def attach(self, vni: int, port: str, address: str) -> None:
        """Join a cable to the network of its environment: here is who has this address."""
        bridge, mac = bridge_of(vni), mac_of(address)
        with _alone:
            self._join(vni)
            self._tools.ip(
                f"link set {port} master {bridge}",
                f"link set {port} type bridge_slave learning off flood off",
            )
            self._tools.bridge(f"fdb replace {mac} dev {port} master static")
            tunnel = tunnel_of(vni)
            if there := self._known(tunnel).get(address):
                self._tools.bridge(f"fdb delete {mac} dev {tunnel} self dst {there}")
                self._tools.ip(f"neigh delete {address} dev {tunnel}")

    def point(self, vni: int, table: Table) -> None:
        """Tell the network of an environment who is on which host; what is not told ends.

        A container that is here is found here, whatever is told. Where no cable is on that network
        there is nobody to tell.
        """
        with _alone:
            if bridge_of(vni) not in self._devices():
                return
            here, tunnel = self._here(vni), tunnel_of(vni)
            known = self._known(tunnel)
            away = {
                address: host or known.get(address, "")
                for address, host in table.items()
                if host != self._underlay and mac_of(address) not in here
            }
            away = {address: host for address, host in away.items() if host}
            gone = known.keys() - away.keys()
            moved = {one: host for one, host in away.items() if known.get(one) != host}
            self._tools.bridge(
                *(f"fdb delete {mac_of(one)} dev {tunnel} self dst {known[one]}" for one in gone),
                *(
                    f"fdb replace {mac_of(one)} dev {tunnel} self dst {moved[one]} static"
                    for one in moved
                ),
            )
            lasting = f"dev {tunnel} nud permanent"
            self._tools.ip(
                *(f"neigh delete {one} dev {tunnel}" for one in gone),
                *(f"neigh replace {one} lladdr {mac_of(one)} {lasting}" for one in moved),
            )

    def tidy(self) -> tuple[str, ...]:
        """Take away the networks that no cable is on; return the names of their devices."""
        with _alone:
            devices = self._devices()
            ours = {name for name in devices if OURS.fullmatch(name)}
            used = {at for name, at in devices.items() if name not in ours}
            left = sorted(name for name in ours if f"rb{name[2:]}" not in used)
            self._tools.ip(*(f"link delete {name}" for name in left))
            return tuple(left)

    def _join(self, vni: int) -> None:
        """See to it that an environment's network reaches this host."""
        if not 1 <= vni <= VNI_MAX:
            message = f"network {vni}: the number must be 1 to {VNI_MAX:,}"
            raise NetworkFailedError(message)
        bridge, tunnel, devices = bridge_of(vni), tunnel_of(vni), self._devices()
        if bridge in devices and devices.get(tunnel) == bridge:
            return
        mtu = self.mtu()
        if bridge not in devices:
            self._tools.ip(f"link add {bridge} mtu {mtu} type bridge mcast_snooping 0")
        if tunnel not in devices:
            of = f"id {vni} local {self._underlay} dstport {PORT} nolearning proxy"
            self._tools.ip(f"link add {tunnel} mtu {mtu} type vxlan {of}")
        self._tools.ip(
            f"link set {tunnel} addrgenmode none",
            # The host answers nobody there who asks for one of its own addresses.
            f"link set {bridge} addrgenmode none arp off",
            f"link set {tunnel} up",
            f"link set {bridge} up",
            f"link set {tunnel} master {bridge}",
            f"link set {tunnel} type bridge_slave learning off",
        )

    def _here(self, vni: int) -> frozenset[str]:
        """Return the hardware addresses of who is on this network here."""
        said = self._asked("bridge", "-j", "fdb", "show", "br", bridge_of(vni))
        aside = {bridge_of(vni), tunnel_of(vni)}
        return frozenset(one["mac"] for one in said if one.get("ifname") not in aside)

    def _known(self, tunnel: str) -> dict[str, str]:
        """Return whom the network knows elsewhere, and where."""
        said = self._asked("bridge", "-j", "fdb", "show", "dev", tunnel)
        hosts = {one["mac"]: one["dst"] for one in said if "dst" in one}
        neighbours = self._asked("ip", "-j", "neigh", "show", "dev", tunnel)
        return {
            one["dst"]: hosts[one["lladdr"]] for one in neighbours if one.get("lladdr") in hosts
        }

    def _devices(self) -> dict[str, str]:
        """Return every device, and the bridge that it is on, if it is on one."""
        said = self._asked("ip", "-j", "link", "show")
        return {one["ifname"]: one.get("master", "") for one in said if "ifname" in one}

    def _asked(self, *words: str) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = json.loads(self._tools.run(words) or "[]")
        return said
