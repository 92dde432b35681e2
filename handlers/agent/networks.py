"""What a host knows of who is where in the networks that it is on, and how it gets to know it.

The engine tells, whenever something changed; we ask at the start, when something new is carried,
when another engine leads, and now and then: nothing depends on one message.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec
import structlog

from domain.agent import Welcome
from domain.messages import HostId
from domain.networks import Where, Whereabouts
from domain.subjects import Subjects
from handlers.agent.link import Link
from handlers.agent.pace import Pace
from handlers.agent.runtime import RuntimeFailedError
from handlers.bus import UNREADABLE

log = structlog.stdlib.get_logger(__name__)

LOOK_S = 0.1
"""How often it is looked whether something new is carried."""

_encoder = msgspec.json.Encoder()
_told_decoder = msgspec.json.Decoder(Whereabouts)
_welcome_decoder = msgspec.json.Decoder(Welcome)


class Joined(Protocol):
    """Who is on networks of environments. Raises `RuntimeFailedError`."""

    @property
    def underlay(self) -> str:
        """Return the address of this host among the hosts; "" where it is on no network."""
        ...

    def networks(self) -> frozenset[int]:
        """Return the numbers of the networks that something here is on."""
        ...

    async def point(self, network: int, table: Mapping[str, str]) -> None:
        """Have all of a network found where the table says, and what it does not say nowhere."""
        ...


class Networks:
    """One host's dealings with the engine about networks."""

    def __init__(
        self, host: HostId, joined: Joined, link: Link, subjects: Subjects, pace: Pace
    ) -> None:
        self._host = host
        self._joined = joined
        self._link = link
        self._subjects = subjects
        self._pace = pace
        self._epoch = 0
        self._told: dict[int, Mapping[str, str]] = {}
        self._news = asyncio.Event()

    async def serve(self, tasks: asyncio.TaskGroup) -> None:
        """Begin, where this host is on networks at all."""
        if self._joined.underlay:
            await self._link.listen(self._subjects.network(self._host), self._hear, tasks)
            tasks.create_task(self._apply())
            tasks.create_task(self._ask())

    async def _hear(self, data: bytes) -> None:
        try:
            told = _told_decoder.decode(data)
        except UNREADABLE as error:
            await log.awarning("agent.network-unreadable", error=str(error))
            return
        if told.epoch >= self._epoch:
            self._epoch = told.epoch
            self._told[told.network] = told.hosts
            self._news.set()

    async def _apply(self) -> None:
        """Have it as we were told. What cannot be had is told again when we ask."""
        while True:
            await self._news.wait()
            self._news.clear()
            told, self._told = self._told, {}
            for network, table in told.items():
                try:
                    await self._joined.point(network, table)
                except RuntimeFailedError as error:
                    await log.awarning("agent.network-failed", network=network, error=str(error))

    async def _ask(self) -> None:
        pauses = self._pace.pauses()
        while True:
            networks = self._joined.networks()
            if await self._asked(networks):
                pauses = self._pace.pauses()
                await self._until_others_are_carried(networks)
            else:
                await asyncio.sleep(next(pauses))

    async def _asked(self, networks: frozenset[int]) -> bool:
        where = Where(self._host, self._joined.underlay, tuple(sorted(networks)))
        subject = self._subjects.where(self._host)
        data = await self._link.ask(subject, _encoder.encode(where), within_s=self._pace.ask_s)
        if data is None:
            return False
        try:
            _welcome_decoder.decode(data)
        except UNREADABLE:
            return False
        return True

    async def _until_others_are_carried(self, networks: frozenset[int]) -> None:
        """Wait until it is time to ask: something new is carried, another engine tells, or so."""
        loop = asyncio.get_running_loop()
        until, epoch = loop.time() + self._pace.hello_s, self._epoch
        while loop.time() < until and self._epoch == epoch:
            if self._joined.networks() - networks:
                return
            await asyncio.sleep(LOOK_S)
