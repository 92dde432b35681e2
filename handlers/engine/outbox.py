"""Orders out: sent when they are journaled, and again until they are answered.

What is owed is state (`Fleet.orders`), so a crash forgets nothing; sending twice does no harm,
for an order's id makes carrying it out idempotent. What is decided but not yet journaled is in
that state too: only what stood there at first, and what was issued since, may leave.
"""

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from domain.decider import Commit
from domain.facts import Fact
from domain.fleet import Fleet
from domain.messages import HostId, Instant, OrderId
from domain.orders import OrderIssued
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.engine.tally import Tally
from handlers.traces import Traces

AGAIN_S = 3.0
"""How long an order waits for its answer before it is sent again."""
BURST = 2_000
"""Orders sent again in one go; the rest follow at the next look."""
NEVER = float("-inf")
"""When an order was sent that was not."""

Seen = tuple[Tally, Traces]
"""Where what it does is counted, and which trace it is part of."""

_encoder = msgspec.json.Encoder()


class Outbox:
    """Sends orders under the epoch of this engine. Made before it decides anything."""

    def __init__(
        self, bus: Bus, subjects: Subjects, fleet: Fleet, epoch: int, seen: Seen | None = None
    ) -> None:
        self._tally, self._traces = seen or (Tally(), Traces())
        self._bus = bus
        self._subjects = subjects
        self._fleet = fleet
        self._epoch = epoch
        self._sent: dict[OrderId, float] = dict.fromkeys(fleet.orders, NEVER)

    async def issued(self, commits: Sequence[Commit[Fact]]) -> None:
        """Send the orders that these commits gave and that are still owed."""
        for commit in commits:
            for event in commit.events:
                if type(event.fact) is OrderIssued:
                    await self._send_new(event.fact, commit.at)

    async def _send_new(self, issued: OrderIssued, at: Instant) -> None:
        """Send it at once, unless it is to wait; an engine that begins anew waits for nothing."""
        if issued.after <= at:
            self._sent[issued.order] = NEVER
            await self._send(issued.order)
            return
        waits_s = (issued.after - at) / 1_000
        self._sent[issued.order] = asyncio.get_running_loop().time() + waits_s - AGAIN_S

    async def all_for(self, host: HostId) -> None:
        """Send a host everything that it owes an answer to; it has just said hello."""
        for name in list(self._sent):
            order = self._fleet.orders.get(name)
            if order is not None and order.to == host:
                await self._send(name)

    async def run(self) -> None:
        """Send again what has waited too long, for ever; at first everything that is owed."""
        while True:
            now = asyncio.get_running_loop().time()
            owed = self._fleet.orders
            self._sent = {name: at for name, at in self._sent.items() if name in owed}
            late = [name for name, at in self._sent.items() if at + AGAIN_S <= now]
            for name in late[:BURST]:
                await self._send(name)
            await asyncio.sleep(AGAIN_S / 2)

    async def _send(self, name: OrderId) -> None:
        order = self._fleet.orders.get(name)
        if order is None:
            return
        self._sent[name] = asyncio.get_running_loop().time()
        if self._bus.is_connected:
            host = self._fleet.hosts.get(order.to)
            term = host.term if host is not None else 0
            data = _encoder.encode(replace(order, epoch=self._epoch, term=term))
            subject, headers = self._subjects.orders(order.to), self._traces.of_order(name)
            await self._bus.publish(subject, data, headers=headers)
            self._tally.orders_sent += 1
