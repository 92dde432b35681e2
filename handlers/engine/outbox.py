"""Orders out: sent when they are journaled, and again until they are answered.

What is owed is state (`Fleet.orders`), so a crash forgets nothing; sending twice does no harm,
for an order's id makes carrying it out idempotent.
"""

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from domain.decider import Commit
from domain.facts import Fact
from domain.fleet import Fleet
from domain.messages import HostId, OrderId
from domain.orders import Order, OrderIssued
from domain.subjects import Subjects
from handlers.bus import Bus

AGAIN_S = 3.0
"""How long an order waits for its answer before it is sent again."""
BURST = 2_000
"""Orders sent again in one go; the rest follow at the next look."""

_encoder = msgspec.json.Encoder()


class Outbox:
    """Sends orders under the epoch of this engine."""

    def __init__(self, bus: Bus, subjects: Subjects, fleet: Fleet, epoch: int) -> None:
        self._bus = bus
        self._subjects = subjects
        self._fleet = fleet
        self._epoch = epoch
        self._sent: dict[OrderId, float] = {}

    async def issued(self, commits: Sequence[Commit[Fact]]) -> None:
        """Send the orders that these commits gave and that are still owed."""
        for commit in commits:
            for event in commit.events:
                if type(event.fact) is OrderIssued:
                    order = self._fleet.orders.get(event.fact.order)
                    if order is not None:
                        await self._send(order)

    async def all_for(self, host: HostId) -> None:
        """Send a host everything that it owes an answer to; it has just said hello."""
        for order in list(self._fleet.orders.values()):
            if order.to == host:
                await self._send(order)

    async def run(self) -> None:
        """Send again what has waited too long, for ever; at first everything that is owed."""
        while True:
            now = asyncio.get_running_loop().time()
            owed = self._fleet.orders
            self._sent = {name: at for name, at in self._sent.items() if name in owed}
            late = [
                order for order in owed.values() if self._sent.get(order.id, 0.0) + AGAIN_S <= now
            ]
            for order in late[:BURST]:
                await self._send(order)
            await asyncio.sleep(AGAIN_S / 2)

    async def _send(self, order: Order) -> None:
        self._sent[order.id] = asyncio.get_running_loop().time()
        if self._bus.is_connected:
            data = _encoder.encode(replace(order, epoch=self._epoch))
            await self._bus.publish(self._subjects.orders(order.to), data)
