"""A small world around the real region: hosts, a router and time, all from one seed.

Orders reach their host late, twice or again; hosts take their time and sometimes fail; the engine
may be killed after any event and built again from the journal. After every single event the
invariants are checked on a second region that only ever reads the journal.
"""

import heapq
from collections.abc import Callable
from random import Random

import msgspec

from domain.chronicle import evolve
from domain.decider import Ask, Commit, Frame
from domain.facts import Fact
from domain.fleet import Fleet
from domain.image import from_image, to_image
from domain.invariants import broken, broken_by
from domain.messages import AskId, Code, Command, ContainerId, HostId, Instant, Refusal, Tenant
from domain.orders import (
    ROUTER,
    CallOff,
    MigrateOut,
    Order,
    Report,
    ReportHealth,
    ReportOrder,
    ReportPhase,
    Restart,
    Start,
    Stop,
)
from domain.deadlines import DeadlinePassed
from domain.host import RegisterHost
from domain.region import Region
from domain.wire import FRAME_VERSION, chain, decode_frame, encode_frame

HELLO_MS = 10_000
SETTLE_MS = 7_200_000
START = Instant(1_700_000_000_000)


class Nature(msgspec.Struct, frozen=True):
    """How often what goes wrong, each from 0 to 1."""

    failure: float = 0.0
    repeat: float = 0.0
    kill: float = 0.0
    loss: float = 0.0


class World:
    """`ask` something, let time `pass_` or `settle`; then look at `region.fleet`."""

    def __init__(self, seed: int = 0, nature: Nature | None = None) -> None:
        self.random = Random(seed)
        self.nature = nature or Nature()
        self.region = Region()
        self.shadow = Region()
        self.now = START
        self.journal: list[bytes] = []
        self.trace: list[str] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._asked = 0
        self._fired: set[tuple[str, int]] = set()
        self._sent: set[str] = set()
        self.answered: dict[str, ReportOrder] = {}
        self.truth: dict[ContainerId, HostId] = {}
        self.started: dict[ContainerId, int] = {}
        self.well: dict[ContainerId, bool] = {}

    # What may be asked

    def ask(self, command: Command, name: str | None = None, **more: object) -> Commit[Fact]:
        """Ask as a client would, and return the commit."""
        self._asked += 1
        ask = Ask(AskId(name or f"ask-{self._asked}"), command)
        return self.put(msgspec.structs.replace(ask, **more))

    def put(self, ask: Ask) -> Commit[Fact]:
        """Decide an ask, journal it as a frame of its own, and check everything."""
        commit = self.region.decide(ask, self.now)
        prev = chain(self.journal[-1]) if self.journal else b""
        position = self.shadow.position + 1
        frame: Frame[Fact] = Frame(FRAME_VERSION, 1, position, prev, (commit,))
        data = encode_frame(frame)
        self.journal.append(data)
        self._watch(decode_frame(data))
        if self.random.random() < self.nature.kill:
            self.kill()
        self._deliver()
        return commit

    def _watch(self, frame: Frame[Fact]) -> None:
        for commit in frame.commits:
            said = type(commit.answer).__name__
            self.trace.append(f"{commit.at - START:>7} {commit.ask} {commit.command} {said}")
            for event in commit.events:
                wrong = broken_by(self.shadow.fleet, event.fact)
                assert not wrong, "\n".join([*self.trace[-200:], *wrong])
                evolve(self.shadow.fleet, event.fact, commit.at)
                self.shadow.versions[event.stream] = event.version
                self.trace.append(f"        {event.stream}@{event.version} {event.fact}")
                wrong = broken(self.shadow.fleet)
                assert not wrong, "\n".join([*self.trace[-200:], *wrong])
            self.shadow._remember(commit)  # noqa: SLF001 - the shadow reads event by event
        self.shadow.epoch = frame.epoch

    def kill(self) -> None:
        """Kill the engine: what it knew is gone, and is read from the journal again."""
        self.trace.append("        ENGINE KILLED")
        region = Region()
        for data in self.journal:
            region.absorb(decode_frame(data))
        assert state_of(region) == state_of(self.region)
        self.region = from_image(to_image(region))
        self._fired.clear()

    # Time

    def later(self, delay_ms: int, what: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (self.now + delay_ms, self._order, what))

    def settle(self) -> None:
        """Let time pass until nothing more happens, not even when hosts say how things are."""
        end = self.now + SETTLE_MS
        while self.now < end:
            self.pass_until_quiet(Instant(self.now + HELLO_MS))
            if not self.hello() and self._next_due() is None:
                return
        message = "the world does not settle"
        raise AssertionError("\n".join([*self.trace[-100:], message]))

    def pass_until_quiet(self, end: Instant) -> None:
        """Let time pass until `end`, or until nothing is due any more."""
        while (due := self._next_due()) is not None and due <= end:
            self._step(due)
        if due is not None:
            self.now = end

    def hello(self) -> bool:
        """Let every host say what runs and is healthy; what the engine misses is reported."""
        missed = [
            one
            for one in self.fleet.containers.values()
            if self.well.get(one.id, False) != one.healthy and one.id in self.truth
        ]
        for one in missed:
            self._asked += 1
            name = AskId(f"hello-{self._asked}")
            host = self.truth[one.id]
            self.report(
                ReportHealth(ask=name, host=host, container=one.id, healthy=self.well[one.id])
            )
        return bool(missed)

    def pass_(self, delay_ms: int) -> None:
        """Let a stretch of time pass."""
        end = Instant(self.now + delay_ms)
        while (due := self._next_due()) is not None and due <= end:
            self._step(due)
        self.now = end

    def _next_due(self) -> int | None:
        dues = [max(at, self.now) for at in self._deadlines().values()]
        if self._heap:
            dues.append(self._heap[0][0])
        return min(dues, default=None)

    def _deadlines(self) -> dict[str, Instant]:
        return {
            saga: at
            for saga, at in self.region.fleet.deadlines.items()
            if (saga, at) not in self._fired
        }

    def _step(self, due: int) -> None:
        self.now = Instant(due)
        if self._heap and self._heap[0][0] <= due:
            heapq.heappop(self._heap)[2]()
            return
        saga, at = min(self._deadlines().items(), key=lambda item: (item[1], item[0]))
        self._fired.add((saga, at))
        self.put(Ask(AskId(f"due/{saga}/{at}"), DeadlinePassed(saga=saga, due=at)))

    # Hosts and the router

    def _deliver(self) -> None:
        for order in list(self.region.fleet.orders.values()):
            if order.id not in self._sent:
                self._sent.add(order.id)
                self._send(order)

    def _send(self, order: Order) -> None:
        copies = 2 if self.random.random() < self.nature.repeat else 1
        for _ in range(copies):
            self.later(self.random.randint(1, 50), lambda: self._receive(order))

    def _receive(self, order: Order) -> None:
        if order.id in self.answered:
            self.report(self.answered[order.id])
            return
        answer = ReportOrder(
            ask=AskId(f"{order.id}/r"), host=order.to, order=order.id, done=True, running=True
        )
        fails = self.random.random() < self.nature.failure
        match order.work:
            case MigrateOut():
                self.answered[order.id] = answer = self._migrate(order, answer, fails=fails)
                self.later(answer.total_ms, lambda: self.report(answer))
                return
            case CallOff():
                answer = msgspec.structs.replace(answer, located=self.truth[order.container])
            case _ if fails:
                running = isinstance(order.work, Restart)
                answer = msgspec.structs.replace(
                    answer, done=False, detail="bad luck", running=running
                )
            case Start() | Restart():
                self._began(order)
            case Stop():
                self.truth.pop(order.container, None)
            case _:
                pass
        self.answered[order.id] = answer
        self.later(self.random.randint(20, 900), lambda: self.report(answer))

    def _began(self, order: Order) -> None:
        where = self.truth.get(order.container)
        assert where in {None, order.to}, f"{order.container} runs on {where} and {order.to}"
        self.truth[order.container] = order.to
        self.started[order.container] = self.started.get(order.container, 0) + 1
        self.well[order.container] = False
        health = ReportHealth(
            ask=AskId(f"{order.id}/h"), host=order.to, container=order.container, healthy=True
        )
        self.later(self.random.randint(1_000, 3_000), lambda: self.health(health))

    def health(self, report: ReportHealth) -> None:
        """Report health from where the container is by now."""
        where = self.truth.get(report.container)
        if where is not None:
            self.well[report.container] = True
            self.report(msgspec.structs.replace(report, host=where))

    def _migrate(self, order: Order, answer: ReportOrder, *, fails: bool) -> ReportOrder:
        assert isinstance(order.work, MigrateOut)
        total = self.random.randint(500, 5_000)
        freeze = total // 10
        report = ReportPhase(
            ask=AskId(f"{order.id}/frozen"),
            host=order.to,
            migration=order.work.migration,
            phase="frozen",
            after_ms=total - freeze,
        )
        self.later(total - freeze, lambda: self.report(report))
        if fails:
            return msgspec.structs.replace(
                answer, done=False, detail="bad luck", located=order.to, total_ms=total
            )
        self.truth[order.container] = order.work.target
        return msgspec.structs.replace(
            answer, located=order.work.target, freeze_ms=freeze, total_ms=total
        )

    def report(self, report: Report) -> None:
        """Let a report arrive; one that is lost is sent again."""
        if self.random.random() < self.nature.loss:
            self.later(1_000, lambda: self.report(report))
            return
        if self.region.answers.get(report.ask) is None:
            self.put(Ask(report.ask, report, actor=f"host:{report.host}"))

    # What tests look at

    @property
    def fleet(self) -> Fleet:
        return self.region.fleet

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

    def check_end(self) -> None:
        """After everything settled: what is believed is so, and replay says the same."""
        believed = {one.id: one.host for one in self.fleet.containers.values() if one.running}
        assert believed == self.truth, "\n".join(self.trace[-100:])
        assert state_of(self.shadow) == state_of(self.region)


def state_of(region: Region) -> dict[str, object]:
    """Return all that a region knows, in a form that two regions can be compared by."""
    fleet = region.fleet
    tables = {
        name: value for name, value in vars(fleet).items() if isinstance(value, dict)
    }
    known = [*region.answers.commands(), *region.answers.own()]
    return tables | {"position": region.position, "versions": region.versions, "answers": known}


def refusal(commit: Commit[Fact]) -> Refusal:
    """Return the refusal a commit holds, or fail saying what it holds."""
    assert isinstance(commit.answer, Refusal), commit.answer
    return commit.answer


def code(commit: Commit[Fact]) -> Code:
    return refusal(commit).code


__all__ = ["ROUTER", "Nature", "Tenant", "World", "code", "refusal"]
