"""A container arrives on this host, live: it is held until the source has handed it over.

A held copy never runs by itself. Who holds one and hears nothing asks the source, for only the
source knows whether it has passed the point of no return.
"""

import asyncio

import msgspec
import structlog

from domain.memory import (
    Arrival,
    ArrivalDropped,
    ArrivalPrepared,
    ArrivalRan,
    ArrivalWent,
    Stage,
    Standing,
)
from domain.messages import ContainerId, MigrationId
from handlers.agent.peers import Check, Drop, Go, Prepare, Reply, Whose
from handlers.agent.post import Post
from handlers.agent.runtime import Image, RuntimeFailedError

log = structlog.stdlib.get_logger(__name__)

OURS = (Standing.HANDED_OVER, Standing.GONE)
THEIRS = (Standing.CALLED_OFF, Standing.STAYED)

_encoder = msgspec.msgpack.Encoder()
_image_decoder = msgspec.msgpack.Decoder(Image)


class Arriving:
    """The migrations of which this host is the target."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._held_since: dict[MigrationId, float] = {}

    async def check(self, asked: Check) -> Reply:
        """Promise room, once no copy from an earlier migration is held any more."""
        if other := self._other(asked.room.container, asked.migration):
            await self._resolve(other)
            if other := self._other(asked.room.container, asked.migration):
                return Reply(ok=False, detail=f"a copy is still held for {other.migration}")
        async with self._post.lock(asked.room.container):
            try:
                endpoint = await self._post.runtime.receive(asked.room, asked.migration)
            except RuntimeFailedError as error:
                return Reply(ok=False, detail=str(error))
        return Reply(ok=True, endpoint=endpoint)

    async def prepare(self, asked: Prepare) -> Reply:
        """Restore and hold. What is written down first is that there may be a copy."""
        container = asked.image.container
        async with self._post.lock(container):
            arrival = self._arrival(asked.migration)
            if arrival is not None and arrival.stage in (Stage.WENT, Stage.RAN):
                return Reply(ok=True)
            if objection := self._objection(asked, arrival):
                return Reply(ok=False, detail=objection)
            if arrival is None:
                image = _encoder.encode(asked.image)
                entry = ArrivalPrepared(asked.migration, container, asked.source, image)
                await self._post.ledger.keep(entry)
            try:
                await self._post.runtime.prepare(asked.image)
            except RuntimeFailedError as error:
                return Reply(ok=False, detail=str(error))
            self._held_since[asked.migration] = asyncio.get_running_loop().time()
        return Reply(ok=True)

    def _objection(self, asked: Prepare, arrival: Arrival | None) -> str:
        if arrival is not None and arrival.stage is Stage.DROPPED:
            return f"{asked.migration} was dropped here"
        if other := self._other(asked.image.container, asked.migration):
            return f"a copy is still held for {other.migration}"
        return ""

    async def go(self, asked: Go) -> Reply:
        """Let it run: the source will not. Answered once it can be reached."""
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        arrival = self._arrival(asked.migration)
        if arrival is None or arrival.stage is Stage.DROPPED:
            return Reply(ok=False, detail=f"nothing is held for {asked.migration}")
        if not self._post.may_begin():
            return Reply(ok=False, detail=f"{self._post.host} holds no lease")
        async with self._post.lock(arrival.container):
            try:
                await self._let_run(asked.migration)
                running_s = loop.time()
                await self._post.runtime.reach(arrival.container)
            except RuntimeFailedError as error:
                return Reply(ok=False, detail=str(error))
        return Reply(
            ok=True,
            running_ms=int((running_s - heard_s) * 1_000),
            reachable_ms=int((loop.time() - heard_s) * 1_000),
        )

    async def _let_run(self, migration: MigrationId) -> None:
        arrival = self._post.ledger.agent.arrivals[migration]
        if arrival.stage is Stage.RAN:
            return
        if arrival.stage is Stage.PREPARED:
            await self._post.ledger.keep(ArrivalWent(migration))
        seen = self._post.runtime.look(arrival.container)
        if seen is None:  # it was held by a process that is no more
            await self._post.runtime.prepare(_image_decoder.decode(arrival.image))
        if seen is None or seen.state == "held":
            await self._post.runtime.go(arrival.container)
        self._post.ledger.note(ArrivalRan(migration))
        self._held_since.pop(migration, None)

    async def drop(self, asked: Drop) -> Reply:
        """Destroy the copy, and let none come later."""
        async with self._post.lock(asked.container):
            arrival = self._arrival(asked.migration)
            if arrival is not None and arrival.stage in (Stage.WENT, Stage.RAN):
                return Reply(
                    ok=False, detail=f"{asked.migration} went: {asked.container} runs here"
                )
            if arrival is not None and arrival.stage is Stage.PREPARED:
                await self._post.runtime.drop(asked.container)
            if arrival is None or arrival.stage is Stage.PREPARED:
                await self._post.ledger.keep(
                    ArrivalDropped(asked.migration, asked.container, asked.source)
                )
            self._held_since.pop(asked.migration, None)
        return Reply(ok=True)

    async def watch(self) -> None:
        """Bring to an end what was left open, by a crash or by a message that did not arrive."""
        while True:
            for arrival in tuple(self._post.ledger.agent.arrivals.values()):
                if arrival.stage is Stage.WENT or self._in_doubt(arrival):
                    await self._resolve(arrival)
            await asyncio.sleep(self._post.pace.doubt_s)

    def _in_doubt(self, arrival: Arrival) -> bool:
        since_s = self._held_since.get(arrival.migration)
        if arrival.stage is not Stage.PREPARED:
            return False
        now_s = asyncio.get_running_loop().time()
        return since_s is None or now_s - since_s >= self._post.pace.doubt_s

    async def _resolve(self, arrival: Arrival) -> None:
        if arrival.stage is Stage.WENT:
            await self.go(Go(arrival.migration))
            return
        reply = await self._post.peers.ask(arrival.source, Whose(arrival.migration))
        if reply is None:
            return
        if reply.standing in OURS:
            await self.go(Go(arrival.migration))
        elif reply.standing in THEIRS:
            await self.drop(Drop(arrival.migration, arrival.container, arrival.source))
        elif not reply.standing:  # it may be the last copy there is: kept, and said
            await log.awarning("agent.source-forgot", migration=arrival.migration)

    def _arrival(self, migration: MigrationId) -> Arrival | None:
        return self._post.ledger.agent.arrivals.get(migration)

    def _other(self, container: ContainerId, migration: MigrationId) -> Arrival | None:
        """Return an earlier migration for which a copy of the container may be held here."""
        arrivals = self._post.ledger.agent.arrivals.values()
        held = (old for old in arrivals if old.stage is Stage.PREPARED)
        return next(
            (a for a in held if a.container == container and a.migration != migration), None
        )
