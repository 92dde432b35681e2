"""The tenure of a host: its lease, renewed over the bus, and what is done when it is lost.

While there is a lease the switch is armed up to its end. What runs containers fences by that switch
alone, whatever becomes of this process. A host that was lost cleans up before it takes orders, and
takes none of an earlier term.
"""

import asyncio

import msgspec
import structlog

from domain.lease import Back, Grant, Lease, Readmitted
from domain.memory import TermBegun
from domain.messages import ContainerId
from domain.subjects import Subjects
from handlers.agent.ledger import Ledger
from handlers.agent.link import Link
from handlers.agent.neighbours import Neighbours
from handlers.agent.runtime import Runtime, RuntimeFailedError
from handlers.agent.switch import NEVER_S
from handlers.bus import UNREADABLE
from handlers.clock import clock_ms

log = structlog.stdlib.get_logger(__name__)

_encoder = msgspec.json.Encoder()
_grants = msgspec.json.Decoder(Grant)
_readmitted = msgspec.json.Decoder(Readmitted)


class LostError(Exception):
    """The engine says that this host was lost: everything begins anew, under another term."""


class Tenure:
    """One incarnation of a host's agent, as far as it may run anything."""

    def __init__(
        self,
        ledger: Ledger,
        runtime: Runtime,
        link: Link,
        subjects: Subjects,
        neighbours: Neighbours,
    ) -> None:
        self._ledger = ledger
        self._runtime = runtime
        self._link = link
        self._subjects = subjects
        self._neighbours = neighbours
        agent = ledger.agent
        armed = runtime.armed_s
        before = 0 if armed == NEVER_S else int(armed * 1_000)
        self._lease = Lease(agent.host, agent.incarnation, clock_ms(), before)
        neighbours.standings[agent.host] = lambda: self._lease.standing(clock_ms())

    def holds(self) -> bool:
        """Say whether something may be begun here now."""
        return self._lease.valid(clock_ms())

    async def begin(self) -> None:
        """Return when there is a lease; a host that was lost comes back first."""
        while not self.holds():
            await self._beat()
            if self._lease.lost:
                await self._come_back()
            elif not self.holds():
                await asyncio.sleep(self._brief_s)

    async def run(self) -> None:
        """Renew the lease for ever. Raises `LostError`."""
        while True:
            await self._beat()
            if self._lease.lost:
                raise LostError(self._ledger.agent.host)
            quiet = self._lease.quiet(clock_ms())
            if quiet:
                await self._ask_jurors()
            self._arm()
            await asyncio.sleep(self._brief_s if quiet else self._lease.pause_ms / 1_000)

    @property
    def _brief_s(self) -> float:
        """Between two tries, and for one answer: several fit into what the jurors' word lasts."""
        return self._lease.terms.beat_ms / 2_000

    async def _beat(self) -> None:
        agent = self._ledger.agent
        beat = self._lease.beat(agent.term, clock_ms(), self._neighbours.at)
        subject = self._subjects.beat(agent.host)
        data = await self._link.ask(subject, _encoder.encode(beat), within_s=self._brief_s)
        try:
            grant = None if data is None else _grants.decode(data)
        except UNREADABLE:
            grant = None
        if grant is not None:
            self._lease.hear(grant, agent.term, clock_ms())
        if self.holds() and not self._lease.lost:
            self._arm()
            self._runtime.revive()

    def _arm(self) -> None:
        ends_s = self._lease.ends / 1_000
        armed_s = self._runtime.armed_s
        if armed_s == NEVER_S or ends_s > armed_s:
            self._runtime.arm(ends_s)

    async def _ask_jurors(self) -> None:
        """Ask whether the others are cut off too; then the bus is away, and this host runs on."""
        asked_at = clock_ms()
        own = self._ledger.agent.host
        every = self._lease.where.items()
        where = {host: at for host, at in every if host != own and host in self._lease.seats.all}
        said = await self._neighbours.ask_all(where, self._brief_s)
        kept = self._lease.judge(asked_at, said, clock_ms())
        await log.adebug("agent.quiet", host=own, said=len(said), kept=kept)

    async def _come_back(self) -> None:
        """Fence what is to be fenced, take away what belongs elsewhere, and begin a new term."""
        agent = self._ledger.agent
        self._lease.end()
        self._runtime.fence()
        readmitted = await self._readmission()
        if readmitted is None:
            return
        came = {name for name, move in readmitted.arrives.items() if move in agent.arrivals}
        await self._clean(frozenset({*readmitted.belongs, *came}))
        await self._ledger.keep(TermBegun(readmitted.term))
        self._runtime.forgive()
        await log.ainfo("agent.back", host=agent.host, term=readmitted.term)

    async def _readmission(self) -> Readmitted | None:
        agent = self._ledger.agent
        back = Back(agent.host, agent.term, self._runtime.kept())
        subject = self._subjects.back(agent.host)
        data = await self._link.ask(subject, _encoder.encode(back), within_s=4 * self._brief_s)
        try:
            said = None if data is None else _readmitted.decode(data)
        except UNREADABLE:
            said = None
        if said is None or said.term <= agent.term:
            await asyncio.sleep(self._brief_s)
            return None
        return said

    async def _clean(self, belongs: frozenset[ContainerId]) -> None:
        """Destroy what has a place elsewhere by now, and copies that never ran."""
        for seen in self._runtime.containers():
            if seen.state != "held" and seen.container in belongs:
                continue
            away = self._runtime.drop if seen.state == "held" else self._runtime.stop
            while True:
                try:
                    await away(seen.container)
                    break
                except RuntimeFailedError as error:
                    await log.awarning("agent.not-cleaned", why=str(error))
                    await asyncio.sleep(self._brief_s)
