"""A small world around the real region: hosts, a router and time, all from one seed.

Messages come late, twice or again; hosts take their time and sometimes fail; the engine may be
killed after any frame, or before it was stored, and is built again from the journal. After every
single event the invariants are checked on a second region that only ever reads the journal.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NoReturn

from msgspec.structs import replace

from domain.dead import CLOCK
from domain.deadlines import DeadlinePassed
from domain.decider import Ask, Commit
from domain.facts import Fact
from domain.fleet import Fleet
from domain.host import RegisterHost
from domain.messages import (
    AskId,
    Code,
    Command,
    ContainerId,
    Event,
    HostId,
    Instant,
    Refusal,
    Tenant,
)
from domain.orders import ROUTER, AnyReport, CallOff, Order, ReportHealth
from domain.region import Region
from domain.wire import decode_frame
from handlers.engine.gauges import Gauges
from restow.simulation.agents import Agents
from restow.simulation.engines import Engines, state_of
from restow.simulation.machines import LATE_MS, Machines, Nature
from restow.simulation.outages import Outages
from restow.simulation.promises import foreign_to
from restow.simulation.violation import ViolationError

HELLO_MS = 10_000
SETTLE_MS = 7_200_000
AGAIN_MS = 60_000
"""How long an order waits for its answer before it is sent again."""
TOLD_MAX = 200
START = Instant(1_700_000_000_000)


class World:
    """`ask` something, let time `pass_` or `settle`; then look at `region.fleet`.

    `kills` are the frames after which the engine is killed, `lost` those that it decides but
    dies before they are stored, so that whoever asked has to ask again.
    """

    def __init__(
        self,
        seed: int = 0,
        nature: Nature | None = None,
        kills: Sequence[int] = (),
        lost: Sequence[int] = (),
    ) -> None:
        self.seed = seed
        self.nature = nature or Nature()
        self.now = START
        self.engines = Engines(self, kills, lost)
        self.machines = Machines(self)
        self.agents = Agents(self)
        self.outages = Outages(self)
        self.gauges = Gauges(self.fleet)
        self._told: list[tuple[object, ...]] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._asked = 0
        self._fired: set[tuple[str, int]] = set()
        self._sent: dict[str, Instant] = {}
        self._silent: dict[HostId, Instant] = {}

    def dice(self, purpose: str) -> Random:
        """Return dice for one purpose, which nothing else can wear out."""
        return Random(f"{self.seed} {purpose}")

    def rolls(self, purpose: str, chance: float) -> bool:
        """Say whether what has this chance happens; where it has none, no dice are made."""
        return chance > 0 and self.dice(purpose).random() < chance

    # What may be asked

    def ask(self, command: Command, name: str | None = None, **more: object) -> Commit[Fact]:
        """Ask as a client would, and return the commit."""
        self._asked += 1
        ask = replace(Ask(AskId(name or f"ask-{self._asked}"), command), **more)
        fleet = self.engines.shadow.fleet
        theirs = foreign_to(fleet, ask)
        commit = self.put(ask)
        if self.rolls(f"again {ask.id}", self.nature.repeat):
            self.later(self.dice(f"when {ask.id}").randint(1, LATE_MS), lambda: self._tell(ask))
        if theirs and not isinstance(commit.answer, Refusal):
            self.violate(f"{ask} of what belongs to {theirs}")
        return commit

    def put(self, ask: Ask) -> Commit[Fact]:
        """Have an ask decided, journaled and checked; then send what was ordered."""
        commit = self.engines.put(ask)
        self._deliver()
        return commit

    def kill(self) -> None:
        """Kill the engine: what it knew is gone, and is read from the journal again."""
        self.engines.kill()

    def begun_anew(self) -> None:
        self._fired.clear()
        self._sent.clear()
        self.gauges = Gauges(self.fleet)

    # Time

    def later(self, delay_ms: int, what: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (self.now + delay_ms, self._order, what))

    def settle(self) -> None:
        """Let time pass until nothing more happens, not even when hosts say how things are."""
        end = self.now + SETTLE_MS
        while self.now < end:
            self._pass_until_quiet(Instant(self.now + HELLO_MS))
            if not self.hello() and self._next_due() is None:
                return
        self.violate("the world does not settle")

    def _pass_until_quiet(self, end: Instant) -> None:
        """Let time pass until `end`, or until nothing is due any more."""
        while (due := self._next_due()) is not None and due <= end:
            self._step(due)
        if due is not None:
            self.now = end

    def hello(self) -> bool:
        """Let every host say what runs and is healthy; what the engine missed is reported."""
        unsaid = [one for one in self.machines.unsaid() if one[3] not in self.outages.cuts]
        for container, runs, well, host in unsaid:
            self._asked += 1
            self.report(
                ReportHealth(
                    ask=AskId(f"hello-{self._asked}"),
                    host=host,
                    container=container,
                    healthy=well,
                    running=runs,
                )
            )
        return bool(unsaid)

    def pass_(self, delay_ms: int) -> None:
        """Let a stretch of time pass."""
        end = Instant(self.now + delay_ms)
        while (due := self._next_due()) is not None and due <= end:
            self._step(due)
        self.now = end

    def _next_due(self) -> int | None:
        dues = [max(at, self.now) for at in self._deadlines().values()]
        if self._heap:
            dues.append(Instant(self._heap[0][0]))
        return min(dues, default=None)

    def _deadlines(self) -> dict[str, Instant]:
        """Return what is due; dead letters are kept for longer than any story lasts."""
        due = self.region.fleet.deadlines
        fired = self._fired
        return {saga: at for saga, at in due.items() if saga != CLOCK and (saga, at) not in fired}

    def _step(self, due: int) -> None:
        self.now = Instant(due)
        if self._heap and self._heap[0][0] <= due:
            heapq.heappop(self._heap)[2]()
            return
        saga, at = min(self._deadlines().items(), key=lambda item: (item[1], item[0]))
        self._fired.add((saga, at))
        self._tell(Ask(AskId(f"due {saga} {at}"), DeadlinePassed(saga=saga, due=at)))

    # Orders and reports

    def _deliver(self) -> None:
        for order in list(self.fleet.orders.values()):
            if self._sent.get(order.id, -AGAIN_MS) + AGAIN_MS <= self.now:
                self._send(order)

    def watch(self, command: Command) -> None:
        """Ask what the watch has seen, or what an operator knows."""
        self._asked += 1
        self.put(Ask(AskId(f"watch {self._asked}"), command, actor="watch"))
        for name, where in self.truth.items():
            host = self.fleet.hosts.get(where)
            kept = name in self.fleet.containers and self.outages.keeps(name)
            if host is not None and host.lost and not kept:
                self.violate(f"{name} runs on {where}, which is lost")

    def begins(self, host: HostId) -> bool:
        return self.outages.begins(host)

    def silent_for(self, host: HostId) -> int | None:
        return self.outages.silent_for(host)

    def has_power(self, host: HostId) -> bool:
        return self.outages.has_power(host)

    def _send(self, order: Order) -> None:
        self._sent[order.id] = self.now
        order = replace(order, epoch=self.engines.epoch)
        if order.to in self.fleet.hosts:
            order = replace(order, term=self.fleet.hosts[order.to].term)
        dice = self.dice(f"send {order.id}")
        for _ in range(2 if dice.random() < self.nature.repeat else 1):
            late = dice.random() < self.nature.late
            delay = dice.randint(1, LATE_MS if late else 50)
            self.later(delay, lambda: self.receive(order))

    def send_again(self, host: HostId) -> None:
        for order in list(self.fleet.orders.values()):
            if order.to == host:
                self._send(order)

    def receive(self, order: Order) -> None:
        """Let an order arrive, unless nobody hears what is ordered for this container.

        A host that was removed has no lease, and begins nothing.
        """
        known = order.to == ROUTER or order.to in self.fleet.hosts
        there = known or isinstance(order.work, CallOff)
        if (
            there
            and order.container not in self.machines.deaf
            and order.to not in self.outages.cuts
        ):
            self.agents.receive(order)

    def carry_out(self, order: Order) -> None:
        self.machines.carry_out(order)

    def may_hand_over(self, order: Order, freeze_ms: int) -> bool:
        return self.agents.may_hand_over(order, freeze_ms)

    def begin_term(self, host: HostId, term: int) -> None:
        self.agents.begin_term(host, term)

    def report(self, report: AnyReport) -> None:
        self.agents.report(report)

    def transmit(self, report: AnyReport) -> None:
        """Say a report; one that is lost is said again, a silent host says all later."""
        waits = self.outages.silent_for(report.host)
        if waits is None:
            return
        if waits > 0:
            self.later(waits + 1, lambda: self._transmit_again(report))
            return
        if self.nature.late or self.nature.loss:
            dice = self.dice(f"report {report.ask} {self.now}")
            if dice.random() < self.nature.late:
                self._silent[report.host] = Instant(self.now + dice.randint(1, LATE_MS))
            if dice.random() < self.nature.loss:
                self.later(1_000, lambda: self._transmit_again(report))
                return
        silence = self._silent.get(report.host, self.now) - self.now
        if silence > 0:
            self.later(silence, lambda: self._arrive(report))
        else:
            self._arrive(report)

    def _transmit_again(self, report: AnyReport) -> None:
        if self.agents.owes(report):
            self.transmit(report)

    def _arrive(self, report: AnyReport) -> None:
        """Take a report in; of a container's health only what is so still counts."""
        outdated = isinstance(report, ReportHealth) and self.machines.outdated(report)
        if not outdated:
            name = AskId(f"{report.host} {report.ask}")
            self._tell(Ask(name, report, actor=f"host:{report.host}"))
        self.agents.acknowledged(report)

    def _tell(self, ask: Ask) -> None:
        """Ask what may have been asked before: then it has its answer."""
        if self.region.answers.get(ask.id, ask.tenant) is None:
            self.put(ask)

    # What tests look at

    @property
    def region(self) -> Region:
        return self.engines.region

    @property
    def journal(self) -> list[bytes]:
        return self.engines.journal

    @property
    def trace(self) -> list[str]:
        """Everything that happened, a line each."""
        return [" ".join(map(str, line)) for line in self._told]

    def note(self, *what: object) -> None:
        self._told.append(what)

    def violate(self, *wrong: str) -> NoReturn:
        raise ViolationError(self.story(*wrong))

    @property
    def fleet(self) -> Fleet:
        return self.region.fleet

    @property
    def truth(self) -> dict[ContainerId, HostId]:
        return self.machines.truth

    @property
    def started(self) -> dict[ContainerId, int]:
        return self.machines.started

    def hosts(self, count: int, zones: int = 3, cloudlets: int = 32, disk_gib: int = 500) -> None:
        """Register hosts h01, h02 …, spread over zones a, b, c …."""
        for number in range(1, count + 1):
            zone = "abcdefghij"[(number - 1) % zones]
            self.ask(
                RegisterHost(
                    host=f"h{number:02}",
                    memory_mib=cloudlets * 128,
                    cpu_mhz=cloudlets * 400,
                    disk_gib=disk_gib,
                    labels={"zone": zone},
                )
            )

    def commits(self) -> Iterator[Commit[Fact]]:
        """Give every commit of the journal, in order."""
        for data in self.journal:
            yield from decode_frame(data).commits

    def happened(self) -> list[tuple[Instant, Event]]:
        """Return every event of the journal with its time."""
        return [(c.at, event.fact) for c in self.commits() for event in c.events]

    def operable(self, environment: str, layer: str) -> list[int]:
        """Return how many containers of a layer were operable after each frame."""
        region = Region()
        counts: list[int] = []
        for data in self.journal:
            region.absorb(decode_frame(data))
            members = region.fleet.containers.values()
            counts.append(
                sum(c.operable for c in members if (c.environment, c.layer) == (environment, layer))
            )
        return counts

    def story(self, *wrong: str) -> str:
        """Return the end of the trace, for a test that fails."""
        return "\n".join([f"world {self.seed}", *self.trace[-TOLD_MAX:], *wrong])

    def check_end(self) -> None:
        """After everything settled: what is believed is so, and replay says the same."""
        containers = self.fleet.containers.values()
        self._same("runs", {c.id: c.host for c in containers if c.running}, self.truth)
        self._same("in DNS", {c.id for c in containers if c.routed}, self.machines.records)
        sizes = {one: self.machines.sizes[one] for one in self.truth}
        meant = {c.id: (c.allocated, c.limit) for c in containers if c.running}
        self._same("size", meant, sizes)
        software = {one: self.machines.software[one] for one in self.truth}
        self._same("software", {c.id: c.software for c in containers if c.running}, software)
        self._same("state", state_of(self.region), state_of(self.engines.shadow))

    def _same(self, what: str, believed: object, so: object) -> None:
        if believed != so:
            self.violate(f"{what}: {believed} is believed, {so} is so")


def refusal(commit: Commit[Fact]) -> Refusal:
    """Return the refusal a commit holds, or fail saying what it holds."""
    if not isinstance(commit.answer, Refusal):
        raise ViolationError(commit.answer)
    return commit.answer


def code(commit: Commit[Fact]) -> Code:
    return refusal(commit).code


__all__ = ["ROUTER", "Nature", "Tenant", "World", "code", "refusal", "state_of"]
