"""The network namespace of a container that can be moved: the agent's, and there before it.

It outlasts a crash of the container, and a copy on another host is restored into one like it. Its
name has the host's label in it. Without a network of its environment it has its own address alone.
"""

from pathlib import Path

from handlers.agent.runc.places import Home, Places
from handlers.agent.runc.tools import run_now

NAMED = Path("/run/netns")
SETTINGS = {"net/mptcp/enabled": "0"}
"""CRIU cannot save a socket of MPTCP, which some programs open without being asked to."""


def name_of(places: Places, home: Home) -> str:
    """Return the name of a container's network namespace on this host."""
    return f"{places.label}-{home.container}"


def path_of(places: Places, home: Home) -> Path:
    """Return where the namespace is found by others, once it is there."""
    return NAMED / name_of(places, home)


def attach(places: Places, home: Home, address: str) -> str:
    """Have the namespace, with this address in it, and return its path."""
    name = name_of(places, home)
    path = path_of(places, home)
    if not path.exists():
        run_now("ip", "netns", "add", name)
    run_now("ip", "-n", name, "link", "set", "lo", "up")
    run_now("ip", "-n", name, "address", "replace", f"{address}/32", "dev", "lo")
    for setting, value in SETTINGS.items():
        run_now(
            "ip", "netns", "exec", name, "sh", "-c", f"echo {value} > /proc/sys/{setting}; true"
        )
    return str(path)


def detach(places: Places, home: Home) -> None:
    """Have no such namespace, nor anything in it."""
    if path_of(places, home).exists():
        run_now("ip", "netns", "delete", name_of(places, home))
