"""Networks out: hosts are told who is where in the networks of what they carry.

What is told is state: the fleet, and what hosts have said of themselves. Each telling is of one
network and all of it, so whatever got lost is put right by the next one; hosts ask now and then.
Simulated hosts have no networks and ask nothing; nobody is told anything then.
"""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from domain.agent import Welcome
from domain.decider import Commit
from domain.facts import Fact
from domain.fleet import Fleet
from domain.messages import HostId
from domain.networks import Where, Whereabouts, homes, members, moved, place
from domain.orders import ROUTER
from domain.subjects import Subjects
from handlers.bus import UNREADABLE, Bus, Message, listen, silence
from handlers.network.shapes import GATE

log = structlog.stdlib.get_logger(__name__)

_encoder = msgspec.json.Encoder()
_asked = msgspec.json.Decoder(Where)


class Networks:
    """The atlas of one engine while it leads under `epoch`."""

    def __init__(self, bus: Bus, subjects: Subjects, fleet: Fleet, epoch: int) -> None:
        self._bus = bus
        self._subjects = subjects
        self._fleet = fleet
        self._epoch = epoch
        self._underlays: dict[HostId, str] = {}
        self._shown: dict[HostId, set[int]] = {}
        """The networks in which hosts were told to be, or to be at an address yet unknown."""
        self._changed: dict[int, None] = {}
        self._heard: dict[HostId, Message] = {}
        self._news = asyncio.Event()
        self._telling = False

    @property
    def busy(self) -> bool:
        """Say whether there is something to tell yet."""
        return self._telling or self._news.is_set()

    def happened(self, commits: Sequence[Commit[Fact]]) -> None:
        """Note in which networks somebody is elsewhere now."""
        if not self._underlays:
            return
        for commit in commits:
            for event in commit.events:
                name = moved(self._fleet, event.fact)
                one = None if name is None else self._fleet.containers.get(name)
                if one is not None:
                    self._change((self._fleet.environments[one.environment].network,))

    async def run(self) -> None:
        """Listen and tell, for ever."""
        ear = await listen(self._bus, self._subjects.where_all, self._hear)
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                self._telling = True
                await self._tell_all()
                self._telling = False
        finally:
            await silence(self._bus, ear)

    async def _hear(self, message: Message) -> None:
        """Keep the last word of each host until it is its turn."""
        self._heard[HostId(message.subject.rpartition(".")[2])] = message
        self._news.set()

    def _change(self, networks: Iterable[int]) -> None:
        self._changed.update(dict.fromkeys(networks))
        self._news.set()

    async def _tell_all(self) -> None:
        heard, self._heard = self._heard, {}
        for host, message in heard.items():
            await self._answer(host, message)
        changed, self._changed = self._changed, {}
        for network in changed:
            await self._tell(network)

    async def _answer(self, host: HostId, message: Message) -> None:
        """Take note of where a host is, and tell it what it asks."""
        try:
            asked = _asked.decode(message.data)
        except UNREADABLE as error:
            log.warning("networks.unreadable", subject=message.subject, error=str(error))
            return
        if asked.host != host:
            return
        if message.reply:
            await self._say(message.reply, Welcome(self._epoch))
        if self._underlays.get(host) != asked.underlay:
            log.info("networks.underlay", host=host, underlay=asked.underlay)
            self._underlays[host] = asked.underlay
            every = self._fleet.networks if host == ROUTER else self._shown.get(host, ())
            self._change((*every, *asked.networks))
        for network in asked.networks:
            await self._tell(network, host)

    async def _tell(self, network: int, only: HostId | None = None) -> None:
        """Tell who is where: all hosts that carry some of it and the router, or `only` one.

        Who carries none of it (any more) is told that nobody is there.
        """
        containers = members(self._fleet, network)
        there = {*homes(containers), ROUTER}
        table = {one.address: self._at(place(self._fleet, one), network) for one in containers}
        if ROUTER in self._underlays:
            table[GATE] = self._underlays[ROUTER]
        told = Whereabouts(self._epoch, network, table)
        nobody = Whereabouts(self._epoch, network, {})
        for host in there & self._underlays.keys() if only is None else {only}:
            told_now = told if host in there else nobody
            await self._say(self._subjects.network(host), told_now)

    def _at(self, host: HostId, network: int) -> str:
        """Return the address of a host, and remember who was told of it."""
        self._shown.setdefault(host, set()).add(network)
        return self._underlays.get(host, "")

    async def _say(self, subject: str, said: Welcome | Whereabouts) -> None:
        if self._bus.is_connected:
            await self._bus.publish(subject, _encoder.encode(said))
