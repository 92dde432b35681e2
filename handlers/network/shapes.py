"""What a network is made of: environments by number, containers by address, devices by name.

The name of each device, chain and namespace says whose it is, so that what is left over can be
found and taken away by its name.
"""

from ipaddress import IPv4Address

import msgspec

VNI_MAX = 2**24 - 1
MTU_OVERHEAD = 50
"""Bytes that VXLAN puts before each frame."""


class Plug(msgspec.Struct, frozen=True):
    """Where a container is plugged in: its namespace, its environment's number, its address."""

    namespace: str
    vni: int
    address: str

    @property
    def mac(self) -> str:
        """Its own for life: made from its address, so that both can move together."""
        return mac_of(self.address)

    @property
    def port(self) -> str:
        """The host's end of its cable."""
        return port_of(self.address)


def mac_of(address: str) -> str:
    """Return the hardware address of an address: `02:00:0a:00:00:11` of `10.0.0.17`."""
    return ":".join(("02", "00", *(f"{byte:02x}" for byte in IPv4Address(address).packed)))


def port_of(address: str) -> str:
    """Return the host's end of the cable of an address: `rc0a000011` of `10.0.0.17`."""
    return f"rc{IPv4Address(address).packed.hex()}"


def bridge_of(vni: int) -> str:
    """Return the bridge of an environment on each host."""
    return f"rb{vni}"


def tunnel_of(vni: int) -> str:
    """Return the VXLAN of an environment on each host."""
    return f"rv{vni}"


def guard(port: str, address: str) -> str:
    """Return the rules that let who is plugged in there speak as itself alone."""
    table, mac = f"netdev restow-{port}", mac_of(address)
    return (
        f"add table {table}\n"
        f"delete table {table}\n"
        f"table {table} {{\n"
        "  chain said {\n"
        f'    type filter hook ingress device "{port}" priority 0; policy drop;\n'
        f"    ether saddr {mac} ip saddr {address} accept\n"
        f"    ether saddr {mac} arp saddr ether {mac} arp saddr ip {address} accept\n"
        "  }\n"
        "}\n"
    )


def unguard(port: str) -> str:
    """Return what takes these rules away, whether they are there or not."""
    return f"add table netdev restow-{port}\ndelete table netdev restow-{port}\n"
