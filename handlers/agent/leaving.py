"""A container leaves this host, live: the source drives the hand-over and answers for it.

checked → copying → frozen → dumped, sent, held on the target → HANDED OVER → go → running → gone
from here. Up to the point of no return anything at all (a failure, the deadline, a call-off, a
crash) ends with the container running here; after it nothing does.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.agent import Phase, hand_over
from domain.memory import Move, ReportOwed, Standing
from domain.messages import AskId, HostId, MigrationId
from domain.orders import CallOff, MigrateOut, Order, ReportPhase
from handlers.agent.desk import Done
from handlers.agent.peers import Check, Drop, Go, PeerFailedError, Prepare, Reply, Whose
from handlers.agent.post import Post
from handlers.agent.runtime import Room, RuntimeFailedError

log = structlog.stdlib.get_logger(__name__)

MARGIN_MS = 2_000
"""The part of the deadline kept for what comes after the point of no return."""
MARGIN_SHARE = 4
"""A short deadline keeps one part in so many instead."""


class Trip:
    """One migration under way; times are seconds of the event loop's clock."""

    def __init__(self, order: Order, work: MigrateOut, started_s: float) -> None:
        self.order = order
        self.work = work
        self.started_s = started_s
        margin_ms = min(MARGIN_MS, work.deadline_ms // MARGIN_SHARE)
        self.limit_s = started_s + (work.deadline_ms - margin_ms) / 1_000
        self.endpoint = ""
        self.frozen_s: float | None = None
        self.scope: asyncio.Timeout | None = None
        self.over = asyncio.Event()

    def give_up(self) -> None:
        """Interrupt what is being tried before the point of no return."""
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())


class Leaving:
    """The migrations of which this host is the source."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._trips: dict[MigrationId, Trip] = {}
        self._drops: asyncio.Queue[tuple[HostId, Drop]] = asyncio.Queue()
        self._interrupted = frozenset(post.ledger.agent.under_way)

    async def migrate(self, order: Order, work: MigrateOut) -> Done:
        """Move the container within the deadline, or leave it as it is."""
        trip = Trip(order, work, asyncio.get_running_loop().time())
        self._trips[work.migration] = trip
        try:
            done = await self._travel(trip)
        finally:
            trip.over.set()
            del self._trips[work.migration]
        if not done.done:
            drop = Drop(work.migration, order.container, self._post.host)
            self._drops.put_nowait((work.target, drop))
        return done

    async def sweep(self) -> None:
        """Tell targets what they need not hold any more. One that does not hear it will ask."""
        while True:
            target, drop = await self._drops.get()
            await self._post.peers.ask(target, drop)

    async def call_off(self, order: Order, work: CallOff) -> Done:
        """Say where the container is. That it may not be handed over any more is written down."""
        trip = self._trips.get(work.migration)
        if trip is not None and self._standing(work.migration) is Standing.CALLED_OFF:
            trip.give_up()
            await trip.over.wait()
        move = self._post.ledger.agent.moves[work.migration]
        if move.standing in (Standing.HANDED_OVER, Standing.GONE):
            return Done(done=True, running=False, located=move.target)
        seen = self._post.runtime.look(order.container)
        if seen is None:
            detail = f"{order.container} is not on {self._post.host}"
            return Done(done=False, detail=detail, running=False)
        return Done(done=True, running=seen.running, located=self._post.host)

    async def whose(self, asked: Whose) -> Reply:
        """Tell a target whether what it holds has been handed over to it."""
        await self._post.ledger.sync()
        return Reply(ok=True, standing=self._standing(asked.migration) or "")

    def _standing(self, migration: MigrationId) -> Standing | None:
        move = self._post.ledger.agent.moves.get(migration)
        return None if move is None else move.standing

    async def _travel(self, trip: Trip) -> Done:
        handed_over = self._standing(trip.work.migration) is Standing.HANDED_OVER
        reason = "" if handed_over else await self._set_out(trip)
        async with self._post.lock(trip.order.container):
            if not handed_over and not reason:
                reason = await self._attempt(trip, self._cross) or self._hand_over(trip)
            if reason:
                return await self._stay(trip, reason)
            await self._post.ledger.sync()
            return await self._follow(trip)

    async def _set_out(self, trip: Trip) -> str:
        if trip.order.id in self._interrupted:
            return f"the agent of {self._post.host} was interrupted"
        return await self._attempt(trip, self._approach)

    async def _attempt(self, trip: Trip, steps: Callable[[Trip], Awaitable[None]]) -> str:
        """Return "", or why the steps could not be done in time."""
        if self._standing(trip.work.migration) is not Standing.LEAVING:
            return "called off"
        try:
            async with asyncio.timeout_at(trip.limit_s) as trip.scope:
                await steps(trip)
        except TimeoutError:
            return self._too_late(trip)
        except (RuntimeFailedError, PeerFailedError) as error:
            return str(error)
        finally:
            trip.scope = None
        return ""

    def _too_late(self, trip: Trip) -> str:
        if self._standing(trip.work.migration) is not Standing.LEAVING:
            return "called off"
        return f"could not be handed over in time, of {trip.work.deadline_ms} ms"

    async def _approach(self, trip: Trip) -> None:
        """While it runs: is there room, and what can be sent ahead."""
        container = trip.order.container
        seen = self._post.runtime.look(container)
        if seen is None or not seen.running:
            message = f"{container} does not run on {self._post.host}"
            raise RuntimeFailedError(message)
        work = trip.work
        room = Room(container, work.cloudlets, work.limit, work.disk_gib)
        reply = await self._post.peers.check(work.target, Check(work.migration, room))
        self._reached(trip, "checked")
        trip.endpoint = reply.endpoint
        self._reached(trip, "copying")
        await self._post.runtime.copy(container, trip.endpoint)

    async def _cross(self, trip: Trip) -> None:
        """Frozen, once nobody waits at its door: dump, send, and have it held on the target."""
        container, runtime = trip.order.container, self._post.runtime
        await self._post.ledger.sync()
        await runtime.settle(container)
        trip.frozen_s = asyncio.get_running_loop().time()
        await runtime.pause(container)
        self._reached(trip, "frozen")
        image = await runtime.dump(container)
        await runtime.transfer(image, trip.endpoint)
        prepare = Prepare(trip.work.migration, self._post.host, image)
        await self._post.peers.insist(trip.work.target, prepare)

    def _hand_over(self, trip: Trip) -> str:
        """Pass the point of no return, or say why it may not be passed."""
        if trip.frozen_s is None or asyncio.get_running_loop().time() >= trip.limit_s:
            return self._too_late(trip)
        if not self._post.may_begin():
            return f"{self._post.host} holds no lease"
        entry = hand_over(
            self._post.ledger.agent,
            trip.work.migration,
            granted_ms=int(trip.started_s * 1_000),
            frozen_ms=int(trip.frozen_s * 1_000),
        )
        if entry is None:
            return "called off"
        self._post.ledger.note(entry)
        return ""

    async def _stay(self, trip: Trip, reason: str) -> Done:
        container, runtime = trip.order.container, self._post.runtime
        if runtime.look(container) is not None:
            await runtime.resume(container)
        now_s = asyncio.get_running_loop().time()
        frozen_s = now_s - trip.frozen_s if trip.frozen_s is not None else 0.0
        seen = runtime.look(container)
        return Done(
            done=False,
            detail=reason,
            running=seen is not None and seen.running,
            located=None if seen is None else self._post.host,
            freeze_ms=int(frozen_s * 1_000),
            total_ms=int((now_s - trip.started_s) * 1_000),
        )

    async def _follow(self, trip: Trip) -> Done:
        """Have it run on the target, however long that takes, and destroy what is left here."""
        move = self._post.ledger.agent.moves[trip.work.migration]
        trip.started_s = move.granted_ms / 1_000
        resumed_s, reachable_s = await self._go(move)
        self._reached(trip, "resumed", resumed_s)
        self._reached(trip, "reachable", reachable_s)
        await self._post.runtime.drop(move.container)
        return Done(
            done=True,
            running=False,
            located=move.target,
            freeze_ms=int(resumed_s * 1_000) - move.frozen_ms,
            total_ms=int(reachable_s * 1_000) - move.granted_ms,
        )

    async def _go(self, move: Move) -> tuple[float, float]:
        """Return when it ran and could be reached there, on our clock."""
        loop = asyncio.get_running_loop()
        for pause in self._post.pace.pauses():
            said_s = loop.time()
            reply = await self._post.peers.ask(move.target, Go(move.migration))
            if reply is not None and reply.ok:
                return said_s + reply.running_ms / 1_000, said_s + reply.reachable_ms / 1_000
            why = "no answer" if reply is None else reply.detail
            await log.awarning("agent.go-unconfirmed", migration=move.migration, why=why)
            await asyncio.sleep(pause)
        raise AssertionError

    def _reached(self, trip: Trip, phase: Phase, at_s: float | None = None) -> None:
        """Report a phase, once."""
        move = self._post.ledger.agent.moves[trip.work.migration]
        if phase in move.phases:
            return
        at_s = asyncio.get_running_loop().time() if at_s is None else at_s
        report = ReportPhase(
            ask=AskId(f"{trip.order.id}/{phase}"),
            host=self._post.host,
            migration=move.migration,
            phase=phase,
            after_ms=max(0, int((at_s - trip.started_s) * 1_000)),
        )
        self._post.ledger.note(ReportOwed(report))
