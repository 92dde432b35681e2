"""The networks of environments on one host: a bridge and a VXLAN each, and nothing between them.

Nothing is learned from packets. Who has which address on which host is told (`point`), and the
hosts answer for it themselves: what no one told does not exist, so a container can neither take
somebody else's place nor be heard where it must not.
"""

import json
from collections.abc import Mapping
from typing import Any

from handlers.network.shapes import (
    MTU_OVERHEAD,
    VNI_MAX,
    Plug,
    bridge_of,
    guard,
    mac_of,
    port_of,
    tunnel_of,
    unguard,
)
from handlers.network.tools import NetworkFailedError, Tools

PORT = 4_789
PREFIX = 8
"""All containers of a region have addresses in 10.0.0.0/8."""

Table = Mapping[str, str]
"""By address of a container: the address of the host that has it."""


class HostNetwork:
    """One host's part. All methods may be asked twice, and raise `NetworkFailedError`."""

    def __init__(self, underlay: str, *, mtu: int = 1_500, namespace: str = "") -> None:
        self._underlay = underlay
        self._mtu = mtu - MTU_OVERHEAD
        self._tools = Tools(namespace)

    async def join(self, vni: int) -> None:
        """See to it that an environment's network reaches this host."""
        if not 1 <= vni <= VNI_MAX:
            message = f"network {vni}: the number must be 1 to {VNI_MAX:,}"
            raise NetworkFailedError(message)
        bridge, tunnel, devices = bridge_of(vni), tunnel_of(vni), await self._devices()
        if bridge not in devices:
            await self._tools.ip(f"link add {bridge} mtu {self._mtu} type bridge mcast_snooping 0")
        if tunnel not in devices:
            of = f"id {vni} local {self._underlay} dstport {PORT} nolearning proxy"
            await self._tools.ip(f"link add {tunnel} mtu {self._mtu} type vxlan {of}")
        await self._tools.ip(
            f"link set {tunnel} master {bridge}",
            f"link set {tunnel} type bridge_slave learning off",
            f"link set {tunnel} addrgenmode none",
            f"link set {bridge} addrgenmode none",
            f"link set {tunnel} up",
            f"link set {bridge} up",
        )

    async def leave(self, vni: int) -> None:
        """Take an environment's network away from this host."""
        there = await self._devices()
        gone = [name for name in (tunnel_of(vni), bridge_of(vni)) if name in there]
        await self._tools.ip(*(f"link delete {name}" for name in gone))

    async def attach(self, plug: Plug) -> None:
        """Plug a container in: its rules stand before it is heard."""
        await self.join(plug.vni)
        if plug.port not in await self._devices():
            await self._cable(plug)
        await self._tools.nft(guard(plug.port, plug.address))
        await self._tools.ip(
            f"link set {plug.port} master {bridge_of(plug.vni)}",
            f"link set {plug.port} type bridge_slave learning off flood off",
            f"link set {plug.port} up",
        )
        await self._tools.bridge(f"fdb replace {plug.mac} dev {plug.port} master static")
        await self._here(plug)

    async def detach(self, address: str) -> None:
        """Unplug a container, if it is plugged in here."""
        port = port_of(address)
        if port in await self._devices():
            await self._tools.ip(f"link delete {port}")
        await self._tools.nft(unguard(port))

    async def point(self, vni: int, table: Table) -> None:
        """Tell the network of an environment who is on which host; what is not told ends.

        A container that is here is found here, whatever is told.
        """
        await self.join(vni)
        tunnel = tunnel_of(vni)
        known = await self._known(tunnel)
        local = {port_of(address): address for address in table}.keys() & await self._devices()
        away = {
            address: host
            for address, host in table.items()
            if host != self._underlay and port_of(address) not in local
        }
        gone = known.keys() - away.keys()
        moved = {address: host for address, host in away.items() if known.get(address) != host}
        await self._tools.bridge(
            *(f"fdb delete {mac_of(one)} dev {tunnel} self dst {known[one]}" for one in gone),
            *(f"fdb replace {mac_of(a)} dev {tunnel} self dst {moved[a]} static" for a in moved),
        )
        await self._tools.ip(
            *(f"neigh delete {one} dev {tunnel}" for one in gone),
            *(f"neigh replace {a} lladdr {mac_of(a)} dev {tunnel} nud permanent" for a in moved),
        )

    async def sweep(self, keep: frozenset[str]) -> tuple[str, ...]:
        """Take away what is left of networks and containers but for the devices in `keep`."""
        ours = [name for name in await self._devices() if name[:2] in {"rb", "rv", "rc"}]
        left = [name for name in ours if name[2:].isalnum() and name not in keep]
        await self._tools.ip(*(f"link delete {name}" for name in left))
        said = await self._tools.run(("nft", "-j", "list", "tables"))
        tables = (one.get("table", {}).get("name", "") for one in json.loads(said)["nftables"])
        ports = [name.removeprefix("restow-") for name in tables if name.startswith("restow-rc")]
        for port in ports:
            if port not in keep:
                await self._tools.nft(unguard(port))
        return tuple(sorted(left))

    async def _cable(self, plug: Plug) -> None:
        """Lay the cable: one end stays here, the other one is `eth0` of the container."""
        inside = Tools(plug.namespace)
        end = f"name eth0 address {plug.mac} mtu {self._mtu} netns {plug.namespace}"
        await self._tools.ip(f"link add {plug.port} mtu {self._mtu} type veth peer {end}")
        await self._tools.ip(f"link set {plug.port} addrgenmode none")
        await inside.ip(
            "link set lo up",
            "link set eth0 addrgenmode none",
            f"address replace {plug.address}/{PREFIX} dev eth0",
            "link set eth0 up",
        )

    async def _here(self, plug: Plug) -> None:
        """Forget that a container which is here now was elsewhere."""
        tunnel = tunnel_of(plug.vni)
        if there := (await self._known(tunnel)).get(plug.address):
            await self._tools.bridge(f"fdb delete {plug.mac} dev {tunnel} self dst {there}")
            await self._tools.ip(f"neigh delete {plug.address} dev {tunnel}")

    async def _known(self, tunnel: str) -> dict[str, str]:
        """Return whom the network knows elsewhere, and where."""
        said = json.loads(await self._tools.run(("bridge", "-j", "fdb", "show", "dev", tunnel)))
        hosts = {one["mac"]: one["dst"] for one in said if "dst" in one}
        neighbours = json.loads(await self._tools.run(("ip", "-j", "neigh", "show", "dev", tunnel)))
        return {
            one["dst"]: hosts[one["lladdr"]] for one in neighbours if one.get("lladdr") in hosts
        }

    async def _devices(self) -> frozenset[str]:
        said: list[dict[str, Any]] = json.loads(await self._tools.run(("ip", "-j", "link", "show")))
        return frozenset(one["ifname"] for one in said if "ifname" in one)
