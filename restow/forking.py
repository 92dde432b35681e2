"""A fork of history: the region as it was, in which commands can be tried; nothing leaves it.

The deciders are the real ones. Hosts are nominal: every order is done well after the time that
such things take, containers become healthy, deadlines pass when they are due. Nothing is written
to a journal, and no agent hears of it.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from domain.contracts import Reply, decode_command
from domain.contracts.asks import Asker, make_ask
from domain.contracts.replies import reply_to
from domain.deadlines import DeadlinePassed
from domain.decider import Answered, Ask, Commit, Frame
from domain.durations import HEALTHY, durations, takes
from domain.facts import Fact
from domain.fleet import Fleet
from domain.image import from_image, to_image
from domain.messages import AskId, Command, Instant, Refusal
from domain.orders import CallOff, MigrateOut, Order, ReportHealth, ReportOrder
from domain.problems import Problem, problem
from domain.region import Region
from domain.wire import FRAME_VERSION
from projections.differing import Difference, Differing
from projections.reads import Reads
from restow.answering import answered, understood
from restow.talk import EngineStatus

SETTLE_MS = 2 * 60 * 60 * 1_000
"""How far ahead time runs, at most, until nothing more happens."""
STEPS_MAX = 100_000
"""Things that happen in one go, at most."""
ACTOR = "fork"


def region_of(reads: Reads) -> Region:
    """Return a region of its own that goes on from what is read; it remembers no answers."""
    region = Region()
    region.fleet, region.versions = reads.fleet, reads.versions
    region.position, region.epoch, region.at = reads.position, reads.epoch, reads.at
    return from_image(to_image(region))


class Fork:
    """A sandbox: commands and questions as of a region that is nobody else's."""

    def __init__(self, reads: Reads) -> None:
        self.begun = reads.position
        self._region = region_of(reads)
        self._differing = Differing(region_of(reads).fleet)
        self._reads = reads
        self._heap: list[tuple[Instant, int, Command]] = []
        self._sent: set[str] = set()
        self._healing: set[tuple[str, int]] = set()
        self._passed: set[tuple[str, Instant]] = set()
        self._number = 0
        self.now = Instant(max(reads.at, 1))
        self._follow()

    @property
    def position(self) -> int:
        return self._region.position

    @property
    def fleet(self) -> Fleet:
        """Return the fleet as it would be by now; look, and change nothing."""
        return self._region.fleet

    async def ask(self, command: str, body: Mapping[str, Any]) -> Reply | Problem:
        """Ask for a command, and let time run until what it began is over."""
        decoded = decode_command(command, msgspec.json.encode(body))
        if isinstance(decoded, Refusal):
            return problem(decoded)
        self._number += 1
        asker = Asker(decoded.id or f"fork-{self._number}", ACTOR)
        ask = make_ask(decoded, asker, self.now)
        if isinstance(ask, Refusal):
            return problem(ask)
        answered = self._answer(ask)
        if isinstance(answered.answer, Refusal):
            return problem(answered.answer, ask.id, answered.position)
        return reply_to(answered, ask.id)

    def _answer(self, ask: Ask) -> Answered:
        known = self._region.answers.get(ask.id, ask.tenant)
        if known is not None:
            return Answered(known.answer, known.position)
        if ask.dry_run:
            answer, plan = self._region.plan(ask, self.now)
            return Answered(answer, self.position, plan)
        commit = self._put(ask)
        position = self.position
        self.settle()
        return Answered(commit.answer, position)

    def _put(self, ask: Ask) -> Commit[Fact]:
        """Have an ask decided, and let everybody hear of it."""
        first = self.position + 1
        commit = self._region.decide(ask, self.now)
        self._reads.take(Frame(FRAME_VERSION, self._region.epoch, first, b"", (commit,)))
        if commit.events:
            self._differing.take(self.position, commit)
        self._follow()
        return commit

    def settle(self, within_ms: int = SETTLE_MS) -> None:
        """Let time run until nothing more happens within so long."""
        end = self.now + within_ms
        for _ in range(STEPS_MAX):
            saga, heap = self._first_due(), self._heap
            dues = [heap[0][0]] if heap else []
            if saga is not None:
                dues.append(self._region.fleet.deadlines[saga])
            if not dues or min(dues) > end:
                return
            self._happen(None if heap and heap[0][0] == min(dues) else saga)

    def wait(self, span_ms: int) -> None:
        """Let so much time pass."""
        end = Instant(self.now + span_ms)
        self.settle(span_ms)
        self.now = Instant(max(self.now, end))

    def _first_due(self) -> str | None:
        """Return the saga whose deadline passes next; each is told once."""
        told = self._region.fleet.deadlines.items()
        dues = {saga: due for saga, due in told if (saga, due) not in self._passed}
        return min(dues, key=lambda one: (dues[one], one), default=None)

    def _happen(self, saga: str | None) -> None:
        """Let a deadline pass; without one, let come what hosts say next."""
        if saga is None:
            at, _, command = heapq.heappop(self._heap)
        else:
            at = self._region.fleet.deadlines[saga]
            self._passed.add((saga, at))
            command = DeadlinePassed(saga=saga, due=at)
        self.now = Instant(max(self.now, at))
        self._number += 1
        self._put(Ask(AskId(f"fork/{self._number}"), command, "nominal"))

    def _follow(self) -> None:
        """Let come what every outstanding order and every container that was started leads to."""
        fleet = self._region.fleet
        known = durations(fleet)
        for order in fleet.orders.values():
            if order.id not in self._sent:
                self._sent.add(order.id)
                took = takes(known, order.work)
                self._later(took.ms, report(order, took.ms, took.freeze_ms))
        for one in fleet.containers.values():
            life = (one.id, one.start_order)
            if one.running and not one.healthy and life not in self._healing:
                self._healing.add(life)
                well = ReportHealth(
                    ask=AskId("fork"), host=one.host, container=one.id, healthy=True
                )
                self._later(known[HEALTHY].ms, well)

    def _later(self, delay_ms: int, command: Command) -> None:
        self._number += 1
        heapq.heappush(self._heap, (Instant(self.now + delay_ms), self._number, command))

    async def read(self, query: str, body: Mapping[str, Any]) -> dict[str, Any] | Problem:
        """Answer a question as the read side would; of events only those of the fork are known."""
        asked = understood(query, body)
        return asked if isinstance(asked, Problem) else answered(self._reads, asked)

    async def engines(self) -> tuple[EngineStatus, ...]:
        """Return who decides here."""
        return (EngineStatus("fork", "leader", self._region.epoch, self.position, "fork", "none"),)

    def differences(self) -> Sequence[Difference]:
        """Return what is not as it was when the fork began."""
        return list(self._differing.told())


def report(order: Order, total_ms: int, freeze_ms: int) -> ReportOrder:
    """Return what a host would say that did as it was told."""
    work = order.work
    done = ReportOrder(ask=AskId("fork"), host=order.to, order=order.id, done=True)
    if isinstance(work, MigrateOut):
        return replace(done, located=work.target, freeze_ms=freeze_ms, total_ms=total_ms)
    if isinstance(work, CallOff):
        return replace(done, located=order.to)
    return done
