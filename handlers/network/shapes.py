"""What a network is made of: environments by number, containers by address, devices by name.

The name of each device and table says whose it is, so that what is left over can be found and taken
away by its name.
"""

import re
from ipaddress import IPv4Address

VNI_MAX = 2**24 - 1
GATE = "10.255.255.254"
"""The router's address in every network: from there the balancer comes to containers."""
MTU_OVERHEAD = 50
"""Bytes that VXLAN puts before each frame."""
MTU_MAX = 1_500
"""However large packets may be between hosts, those of containers are as everywhere."""
OURS = re.compile(r"r[bv][1-9][0-9]{0,7}")
"""The bridges and tunnels of environments."""


def mac_of(address: str) -> str:
    """Return the hardware address of an address: `02:00:0a:00:00:11` of `10.0.0.17`."""
    return ":".join(("02", "00", *(f"{byte:02x}" for byte in IPv4Address(address).packed)))


def bridge_of(vni: int) -> str:
    """Return the bridge of an environment on each host."""
    return f"rb{vni}"


def tunnel_of(vni: int) -> str:
    """Return the VXLAN of an environment on each host."""
    return f"rv{vni}"


def gate_of(vni: int) -> str:
    """Return the router's own end of its cable to an environment."""
    return f"rg{vni}"


def port_of(vni: int) -> str:
    """Return the other end, which is on the bridge."""
    return f"rp{vni}"


WALL = """\
add table inet restow-gates
delete table inet restow-gates
table inet restow-gates {
  chain said {
    type filter hook input priority 0; policy accept;
    iifname "rg*" tcp flags & (syn | ack) != syn accept
    iifname "rg*" meta l4proto { tcp, udp } th dport 53 accept
    iifname "rg*" drop
  }
  chain through {
    type filter hook forward priority 0; policy accept;
    iifname "rg*" drop
    oifname "rg*" drop
  }
}
"""
"""The router connects to containers; they may ask it for names, and connect to nothing else of it.
From one network to another one it is no way."""


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
