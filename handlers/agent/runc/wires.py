"""The network of a container that can be moved: the agent's namespace, and a cable to a bridge.

That bridge is the one of its environment (`HostNetwork`), which reaches over hosts and ends at its
own edge; where the agent was given none to make, it is one that was there before, for everybody.

The namespace outlasts a crash of the container, and a copy on another host is restored into one
like it. While a container is frozen its cable is cut here; while it arrives, what comes for it is
held and not dropped: clients notice a pause, and not a loss that they wait out. Nobody is let onto
the bridge under an address that is not its own. Names have the host's label in them, or are made
from it.
"""

import json
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from handlers.agent.runc.places import Home, Places
from handlers.agent.runc.tools import run_now
from handlers.agent.runtime import RuntimeFailedError
from handlers.network.shapes import OURS, guard, mac_of, unguard
from handlers.network.tools import NetworkFailedError
from handlers.network.wiring import HostNetwork, Table

NAMED = Path("/run/netns")
SETTINGS = {
    "net/mptcp/enabled": "0",
    "net/ipv4/conf/all/arp_notify": "1",
    "net/ipv4/ip_unprivileged_port_start": "0",
}
"""CRIU cannot save a socket of MPTCP, which some programs open without being asked to. Whoever is
plugged in says so at once: switches learn where it is now. And port 80 is for everybody, since
nobody has a capability: runc says so when it starts a container, and not when it restores one."""
PREFIX = 8
"""All containers of a region have addresses in 10.0.0.0/8."""
BURST_BYTES = 1_600
HELD = f"tbf rate 8bit burst {BURST_BYTES} limit 32mb"
"""A bucket that fills by a byte in a second: whatever comes waits."""
FREE = "tbf rate 100gbit burst 10mb limit 32mb"
PLUGGED_S = 5.0
NOBODYS = b"\x02\x00\x00\x00\x00\x00" * 2 + b"\x88\xb5"
"""The head of a frame for experiments (IEEE 802), which nobody listens to."""
FILLING = NOBODYS + bytes(1_200)


class Wires:
    """The cables of one host, and where they end.

    `underlay`: its address among the hosts, over which it reaches the networks of environments; ""
    where it has none. `bridge`: where containers end that are on none, "" where they are alone.
    """

    def __init__(self, places: Places, bridge: str = "", underlay: str = "") -> None:
        self._places = places
        self._bridge = bridge
        self._network = HostNetwork(underlay) if underlay else None
        self._told: dict[int, Table] = {}
        self._telling = threading.RLock()

    def path(self, home: Home) -> Path:
        """Return where the namespace is found by others, once it is there."""
        return NAMED / self._name(home)

    def attach(self, home: Home, address: str, network: int = 0, *, held: bool) -> None:
        """Have the namespace with this address, and its cable; `held`: what comes waits.

        `network` is the number of its environment's, 0 where it has none.
        """
        name = self._name(home)
        if not self.path(home).exists():
            run_now("ip", "netns", "add", name)
            run_now("ip", "-n", name, "link", "set", "lo", "up")
            for setting, value in SETTINGS.items():
                line = f"echo {value} > /proc/sys/{setting}; true"
                run_now("ip", "netns", "exec", name, "sh", "-c", line)
        if not self._bridge and not self._over(network):
            run_now("ip", "-n", name, "address", "replace", f"{address}/32", "dev", "lo")
        elif not self._there(home):
            self._lay(home, address, network, held=held)

    def _lay(self, home: Home, address: str, network: int, *, held: bool) -> None:
        """Lay the cable. Its hardware address is made from the address: both move together.

        It is heard under these two alone, from its first word on.
        """
        name, device = self._name(home), self.device(home)
        with _in_words():
            over = self._over(network)
            size = ("mtu", str(over.mtu())) if over else ()
        peer = ("peer", "name", "eth0", "address", mac_of(address), *size, "netns", name)
        run_now("ip", "link", "add", "name", device, *size, "type", "veth", *peer)
        run_now("ip", "-n", name, "address", "add", f"{address}/{PREFIX}", "dev", "eth0")
        run_now("nft", guard(device, address))
        if held:
            run_now("tc", "qdisc", "replace", "dev", device, "root", *HELD.split())
        run_now("ip", "link", "set", device, "up")
        run_now("ip", "-n", name, "link", "set", "eth0", "up")
        if held:
            self._empty(home)
        self._join(home, address, network)
        self._announce(home)

    def _join(self, home: Home, address: str, network: int) -> None:
        """Have it on its bridge, where it is heard from now on."""
        over = self._over(network)
        if over is None:
            run_now("ip", "link", "set", self.device(home), "master", self._bridge)
            return
        with _in_words(), self._telling:
            over.attach(network, self.device(home), address)
            if network in self._told:
                over.point(network, self._told[network])

    def _over(self, network: int) -> HostNetwork | None:
        """Return what makes this network here; None where it is that of everybody."""
        return self._network if network else None

    def point(self, network: int, table: Table) -> None:
        """Tell the network of an environment who is on which host, now and whenever it comes.

        Raises `RuntimeFailedError`.
        """
        if over := self._over(network):
            with _in_words(), self._telling:
                self._told[network] = table
                if not table:
                    del self._told[network]
                over.point(network, table)

    def _empty(self, home: Home) -> None:
        """Empty the bucket, which is full when it begins, before anybody can find the way here.

        A cable that was just plugged in loses what is said until the kernel has noticed that.
        """
        give_up = time.monotonic() + PLUGGED_S
        queue = ("tc", "-s", "-j", "qdisc", "show", "dev", self.device(home), "root")
        while True:
            self._say(home, FILLING)
            if json.loads(run_now(*queue))[0]["qlen"]:
                return
            if time.monotonic() > give_up:
                message = f"the cable of {home.container} holds nothing after {PLUGGED_S:g} s"
                raise RuntimeFailedError(message)

    def _announce(self, home: Home) -> None:
        """Have switches learn where it is now: who is given an address says so, see `SETTINGS`."""
        name = self._name(home)
        shown = json.loads(run_now("ip", "-n", name, "-j", "link", "show", "dev", "eth0"))
        run_now("ip", "-n", name, "link", "set", "eth0", "address", shown[0]["address"])

    def release(self, home: Home) -> None:
        """Let through what was held, in its order."""
        if self._there(home):
            run_now("tc", "qdisc", "replace", "dev", self.device(home), "root", *FREE.split())
            self._say(home, NOBODYS + bytes(46))  # its timer still sleeps as long as the old rate

    def mute(self, home: Home, network: int = 0) -> None:
        """Cut the cable: nothing comes, nothing goes, and it may be found elsewhere."""
        if self._there(home):
            off = ("nomaster",) if self._over(network) else ()
            run_now("ip", "link", "set", self.device(home), "down", *off)

    def unmute(self, home: Home, address: str, network: int = 0) -> None:
        """Mend the cable, and have it known that this is the place again."""
        if self._there(home):
            run_now("ip", "link", "set", self.device(home), "up")
            if self._over(network):
                self._join(home, address, network)
            self._announce(home)

    def detach(self, home: Home) -> None:
        """Have no such namespace or cable, and no network that nobody is on any more."""
        if self._there(home):
            run_now("nft", unguard(self.device(home)))  # first: what is left is found by the cable
            run_now("ip", "link", "delete", self.device(home))
        if any(OURS.fullmatch(name) for _, name in socket.if_nameindex()):
            with _in_words():
                HostNetwork("").tidy()
        if self.path(home).exists():
            run_now("ip", "netns", "delete", self._name(home))

    def _name(self, home: Home) -> str:
        return f"{self._places.label}-{home.container}"

    def device(self, home: Home) -> str:
        """Return the name of our end, which may have 15 characters."""
        return f"rs{sha256(self._name(home).encode()).hexdigest()[:12]}"

    def _there(self, home: Home) -> bool:
        """Tell whether there is a cable, in the network that this process is in."""
        return any(name == self.device(home) for _, name in socket.if_nameindex())

    def _say(self, home: Home, *frames: bytes) -> None:
        """Send frames into the cable."""
        with (
            suppress(BlockingIOError),
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire,
        ):
            wire.bind((self.device(home), 0))
            for frame in frames:
                try:
                    wire.send(frame)
                except OSError as error:
                    message = f"the cable of {home.container} does not take a frame: {error}"
                    raise RuntimeFailedError(message) from error


@contextmanager
def _in_words() -> Generator[None]:
    """Say in an agent's words what was wrong with a network. Raises `RuntimeFailedError`."""
    try:
        yield
    except NetworkFailedError as error:
        raise RuntimeFailedError(str(error)) from error
