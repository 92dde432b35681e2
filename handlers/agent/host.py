"""The agent of a host: carries orders out on its runtime, and watches what runs there."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import assert_never

import msgspec

from domain.agent import Sample, Usage, whereabouts
from domain.memory import ReportOwed
from domain.messages import AskId, ContainerId, Instant
from domain.orders import (
    DETAIL_MAX,
    CallOff,
    Halt,
    MigrateOut,
    Order,
    Redeploy,
    ReportAbility,
    ReportHealth,
    Resize,
    Restart,
    RouteIn,
    RouteOut,
    Start,
    Stop,
)
from domain.software import Application
from domain.subjects import Subjects
from domain.vertical import need
from handlers.agent.arriving import Arriving
from handlers.agent.desk import Done
from handlers.agent.fetch import Fetch, FetchFailedError
from handlers.agent.leaving import Leaving
from handlers.agent.link import Link
from handlers.agent.peers import (
    VERBS,
    WHOSE,
    AnySaying,
    Check,
    Drop,
    Go,
    PeerFailedError,
    Prepare,
    Reply,
    ResizeThere,
    Whose,
)
from handlers.agent.post import Post
from handlers.agent.runtime import RuntimeFailedError, Seen, Spec
from handlers.bus import UNREADABLE

FORWARD_S = 20.0
"""How long the host that a container moved to is asked to resize it."""

_encoder = msgspec.json.Encoder()
_saying_decoder: msgspec.json.Decoder[AnySaying] = msgspec.json.Decoder(AnySaying)


class HostCrew:
    """Carries out what hosts are ordered; see `Crew`."""

    def __init__(self, post: Post, link: Link, subjects: Subjects, fetch: Fetch) -> None:
        self._post = post
        self._fetch = fetch
        self._link = link
        self._subjects = subjects
        self._leaving = Leaving(post)
        self._arriving = Arriving(post)
        self._told: dict[ContainerId, tuple[bool, bool]] = {}
        self._health_reports = 0

    async def answer(self, tasks: asyncio.TaskGroup) -> None:
        """Answer targets that ask whose a copy is: that stands in the ledger, lease or no lease."""
        await self._link.listen(self._subjects.peer(self._post.host, WHOSE), self._hear, tasks)

    async def serve(self, tasks: asyncio.TaskGroup) -> None:
        """Do all the rest, once there is a lease, if there is to be one; see `answer`."""
        self._tell_ability()
        for verb in VERBS:
            await self._link.listen(self._subjects.peer(self._post.host, verb), self._hear, tasks)
        tasks.create_task(self._leaving.sweep())
        tasks.create_task(self._arriving.watch())
        tasks.create_task(self._probe())
        tasks.create_task(self._meter())

    def _tell_ability(self) -> None:
        """Tell how containers move live here, as was proven when this process began."""
        ability, agent = self._post.runtime.ability, self._post.ledger.agent
        if ability is not None:
            name = AskId(f"{agent.host}/{agent.incarnation}/able")
            report = ReportAbility(
                ask=name, host=agent.host, live=ability.live, why=ability.why[:DETAIL_MAX]
            )
            self._post.ledger.note(ReportOwed(report))

    def may_begin(self) -> bool:
        return self._post.may_begin()

    async def carry_out(self, order: Order) -> Done:
        match order.work:
            case MigrateOut():
                return await self._leaving.migrate(order, order.work)
            case CallOff():
                return await self._leaving.call_off(order, order.work)
            case Resize():
                return await self._resize(order.container, order.work)
            case RouteIn() | RouteOut():
                return Done(done=False, detail=f"{self._post.host} is no router")
            case Start() | Stop() | Restart() | Redeploy() | Halt():
                return await self._do(order.container, lambda: self._simple(order))
            case _:
                assert_never(order.work)

    def settle(self, order: Order, done: Done) -> None:
        """What has just begun to run is not healthy yet, and the engine knows that."""
        if done.done and isinstance(order.work, Start | Restart | Redeploy):
            self._told[order.container] = (done.running, False)

    async def _simple(self, order: Order) -> None:
        runtime, work, name = self._post.runtime, order.work, order.container
        match work:
            case Start():
                await self._bring(work.application, order.id)
                await runtime.start(spec_of(name, work), order.id)
            case Redeploy():
                await self._bring(work.application, order.id)
                await runtime.redeploy(name, work.image, work.application, order.id)
            case Restart():
                await runtime.restart(name, order.id)
            case Halt():
                await runtime.halt(name)
            case _:
                await runtime.stop(name)

    async def _bring(self, application: Application | None, mark: str) -> None:
        """Have the application on this host before anything is stopped for it."""
        if application is not None:
            await self._fetch.fetch(application, mark)

    async def _do(self, container: ContainerId, work: Callable[[], Awaitable[None]]) -> Done:
        """Touch one container, alone, and say how that went and whether it runs."""
        detail = ""
        async with self._post.lock(container):
            try:
                await work()
            except (RuntimeFailedError, FetchFailedError) as error:
                detail = str(error)
        seen = self._post.runtime.look(container)
        return Done(done=not detail, detail=detail, running=seen is not None and seen.running)

    async def _resize(self, container: ContainerId, work: Resize) -> Done:
        """Resize it where it runs: a move under way is waited for while it is frozen."""
        runtime = self._post.runtime
        done = await self._do(
            container, lambda: runtime.resize(container, work.cloudlets, work.limit)
        )
        there = whereabouts(self._post.ledger.agent, container)
        if done.done or there is None or runtime.look(container) is not None:
            return done
        saying = ResizeThere(container, work.cloudlets, work.limit)
        try:
            async with asyncio.timeout(FORWARD_S):
                await self._post.peers.insist(there, saying)
        except PeerFailedError as error:
            return Done(done=False, detail=str(error), located=there)
        except TimeoutError:
            return Done(done=False, detail=f"{there} does not answer", located=there)
        return Done(done=True, located=there)

    async def _resize_here(self, asked: ResizeThere) -> Reply:
        runtime = self._post.runtime
        done = await self._do(
            asked.container,
            lambda: runtime.resize(asked.container, asked.cloudlets, asked.limit),
        )
        return Reply(ok=done.done, detail=done.detail)

    async def _hear(self, data: bytes) -> bytes:
        try:
            saying = _saying_decoder.decode(data)
        except UNREADABLE as error:
            return _encoder.encode(Reply(ok=False, detail=str(error)))
        return _encoder.encode(await self._reply(saying))

    async def _reply(self, saying: AnySaying) -> Reply:
        match saying:
            case Check():
                return await self._arriving.check(saying)
            case Prepare():
                return await self._arriving.prepare(saying)
            case Go():
                return await self._arriving.go(saying)
            case Drop():
                return await self._arriving.drop(saying)
            case Whose():
                return await self._leaving.whose(saying)
            case ResizeThere():
                return await self._resize_here(saying)
            case _:
                assert_never(saying)

    async def _probe(self) -> None:
        """Report changes of health. After a start of the agent everything is a change."""
        while True:
            await asyncio.sleep(self._post.pace.probe_s)
            seen = {c.container: c for c in self._post.runtime.containers()}
            self._told = {name: told for name, told in self._told.items() if name in seen}
            self._post.ledger.note(*(self._changed(c) for c in seen.values() if self._differs(c)))

    def _differs(self, seen: Seen) -> bool:
        """Tell whether there is something to say of a container that nobody is working on."""
        if seen.state in ("paused", "held") or self._post.lock(seen.container).locked():
            return False
        return self._told.get(seen.container) != (seen.running, seen.healthy)

    def _changed(self, seen: Seen) -> ReportOwed:
        agent = self._post.ledger.agent
        self._told[seen.container] = (seen.running, seen.healthy)
        self._health_reports += 1
        report = ReportHealth(
            ask=AskId(f"{agent.host}/{agent.incarnation}/h{self._health_reports}"),
            host=agent.host,
            container=seen.container,
            healthy=seen.healthy,
            running=seen.running,
        )
        return ReportOwed(report)

    async def _meter(self) -> None:
        """Publish what containers use; often only where it is pressing. A lost sample is lost."""
        subject, pace = self._subjects.usage(self._post.host), self._post.pace
        every = max(1, round(pace.usage_s / pace.press_s))
        for turn in count():
            samples = self._post.runtime.usage()
            if turn % every:
                samples = tuple(sample for sample in samples if self._presses(sample))
            if samples:
                at = Instant(time.time_ns() // 1_000_000)
                usage = Usage(self._post.host, at, samples)
                await self._link.say(subject, _encoder.encode(usage))
            await asyncio.sleep(pace.press_s)

    def _presses(self, sample: Sample) -> bool:
        """Say whether a container needs more than it holds and may have more."""
        seen = self._post.runtime.look(sample.container)
        return seen is not None and seen.cloudlets < min(need(sample), seen.limit)


def spec_of(container: ContainerId, work: Start) -> Spec:
    """Return what the runtime is to start."""
    return Spec(container, **msgspec.structs.asdict(work))
