"""Hosts, containers and DNS as they really are, which the engine only knows from reports.

A machine carries out what its agent has taken, and tells the agent what came of it.
What goes wrong is drawn by the name of the order: another course of events draws the same.
"""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import NoReturn, Protocol, cast

import msgspec
from msgspec.structs import replace

from domain.environment import Layer
from domain.fleet import Fleet
from domain.messages import (
    AskId,
    ContainerId,
    HostId,
    Instant,
    MigrationId,
    OperationId,
    OrderId,
)
from domain.orders import (
    AnyReport,
    CallOff,
    Halt,
    MigrateOut,
    Order,
    Redeploy,
    ReportHealth,
    ReportOrder,
    ReportPhase,
    Resize,
    Restart,
    RouteIn,
    RouteOut,
    Start,
    Stop,
    Work,
)
from domain.software import Software
from restow.simulation.violation import ViolationError

LATE_MS = 200_000
"""How late a message may be that is late: later than a step waits for it."""


CLINGS = 0.5
"""How often a record whose container is gone, which is rare, is not taken away at the first try."""


Fault = tuple[str, type[Work]]
"""A container, and the kind of order that will fail for it, once."""


class Nature(msgspec.Struct, frozen=True):
    """How often what goes wrong, each from 0 to 1.

    Orders fail; messages are sent again, lost or late; the engine is killed after a frame, forgets
    one that it had not stored, or is replaced by a standby; an agent falls over.
    """

    failure: float = 0.0
    repeat: float = 0.0
    kill: float = 0.0
    loss: float = 0.0
    late: float = 0.0
    forget: float = 0.0
    takeover: float = 0.0
    stumble: float = 0.0
    outage: float = 0.0


class Street(Protocol):
    """What machines need of the world they are in."""

    now: Instant
    nature: Nature

    @property
    def fleet(self) -> Fleet: ...

    def dice(self, purpose: str) -> Random: ...

    def later(self, delay_ms: int, what: Callable[[], None]) -> None: ...

    def violate(self, *wrong: str) -> NoReturn: ...

    def begins(self, host: HostId) -> bool: ...

    def has_power(self, host: HostId) -> bool: ...

    def silent_for(self, host: HostId) -> int | None: ...

    def report(self, report: AnyReport) -> None: ...

    def may_hand_over(self, order: Order, freeze_ms: int) -> bool: ...


class Machines:
    """What runs where (`truth`), is healthy (`well`), and stands in DNS (`records`).

    A test may say what goes wrong: orders that fail (`faults`), containers whose orders nobody
    hears (`deaf`), which never become healthy (`sick`), which are down after a restart that failed
    (`fatal`), whose next answer takes so long (`slow`), kinds of orders whose answers do not
    arrive (`unheard`).
    """

    def __init__(self, street: Street) -> None:
        self._street = street
        self.truth: dict[ContainerId, HostId] = {}
        self.well: dict[ContainerId, bool] = {}
        self._records: dict[ContainerId, str] = {}
        self.kept: set[ContainerId] = set()
        self.software: dict[ContainerId, Software] = {}
        self.sizes: dict[ContainerId, tuple[int, int]] = {}
        self.started: dict[ContainerId, int] = {}
        self.answered: dict[OrderId, ReportOrder] = {}
        self.faults: list[Fault] = []
        self.deaf: set[str] = set()
        self.sick: set[str] = set()
        self.fatal: set[str] = set()
        self.slow: dict[str, int] = {}
        self.clinging: dict[str, int] = {}
        self.unheard: set[type[Work]] = set()
        self.answered_unheard: list[ReportOrder] = []
        self.excuse = "bad luck"
        self._removed: set[ContainerId] = set()
        self._lapsed: set[str] = set()
        self._doubts: dict[MigrationId, tuple[Order, ReportOrder]] = {}

    @property
    def records(self) -> set[ContainerId]:
        return set(self._records)

    def carry_out(self, order: Order) -> None:
        """Begin an order that its agent has taken."""
        answer = ReportOrder(
            ask=AskId(f"{order.id}/r"), host=order.to, order=order.id, done=True, running=True
        )
        dice = self._street.dice(order.id)
        nothing = isinstance(order.work, Restart | Redeploy) and order.container in self._removed
        fails = self._is_fault(order) or nothing or dice.random() < self._street.nature.failure
        fails = fails or (self._clings(order) and dice.random() < CLINGS)
        if isinstance(order.work, MigrateOut):
            self._move(order, answer, dice, fails=fails)
            return
        self._do(order, answer, dice, fails=fails)

    def _clings(self, order: Order) -> bool:
        """Say whether this is about the record of a container that is gone, in a harsh world."""
        gone = order.container not in self._street.fleet.containers
        return gone and self._street.nature.late > 0 and isinstance(order.work, RouteOut)

    def _is_fault(self, order: Order) -> bool:
        """Say whether this is to fail, which it then does once."""
        fault = (order.container, type(order.work))
        if fault not in self.faults:
            return False
        self.faults.remove(fault)
        return True

    def _say(self, order: Order, answer: ReportOrder, delay_ms: int) -> None:
        self._street.later(delay_ms, lambda: self._answer(order, answer))

    def _answer(self, order: Order, answer: ReportOrder) -> None:
        self.answered[order.id] = answer
        if type(order.work) in self.unheard:
            self.answered_unheard.append(answer)
        else:
            self._street.report(answer)

    def _do(self, order: Order, answer: ReportOrder, dice: Random, *, fails: bool) -> None:
        takes = self.slow.pop(order.container, 0) or dice.randint(20, 900)
        if isinstance(order.work, CallOff):
            answer = replace(answer, located=self._where(order, order.work))
        elif fails:
            runs = self._fail(order, dice)
            answer = replace(answer, done=False, detail=self.excuse, running=runs)
        else:
            self._succeed(order, dice)
            if isinstance(order.work, RouteOut):
                answer = replace(answer, cut=self.clinging.pop(order.container, 0))
        self._say(order, answer, takes)

    def _succeed(self, order: Order, dice: Random) -> None:
        name = order.container
        match order.work:
            case Start() | Redeploy():
                self._removed.discard(name)
                self._install(order.container, order.work)
                self._begin(order, dice)
            case Restart():
                self._begin(order, dice)
            case Stop() | Halt():
                if isinstance(order.work, Stop):
                    self._removed.add(name)
                self.truth.pop(name, None)
                self.well.pop(name, None)
            case Resize(cloudlets=cloudlets, limit=limit):
                self.sizes[name] = (cloudlets, limit)
            case RouteIn():
                self._records[name] = order.work.names[-1]
            case RouteOut():
                self._unroute(order)
            case _:
                raise ViolationError(order)

    def _install(self, name: ContainerId, work: Start | Redeploy) -> None:
        self.software[name] = Software(work.image, work.application)
        if isinstance(work, Start):
            self.sizes[name] = (work.cloudlets, work.limit)
            (self.kept.add if work.keep else self.kept.discard)(name)

    def _fail(self, order: Order, dice: Random) -> bool:
        """Fail, and say whether the container runs."""
        fatal = order.container in self.fatal or dice.random() < self._street.nature.failure
        if isinstance(order.work, Restart | Redeploy) and fatal:
            self.truth.pop(order.container, None)
            self.well.pop(order.container, None)
        return order.container in self.truth

    def _unroute(self, order: Order) -> None:
        """Take a record out of DNS.

        The last one of a layer goes only with the layer, when its environment is stopped, or
        where its downtime was accepted. That the one beside it leads nowhere may be known later.
        """
        shared = self._records.pop(order.container, "")
        fleet = self._street.fleet
        one = fleet.containers.get(order.container)
        if one is None:
            self._lapsed.update({shared} - {""})
            return
        layer: Layer = fleet.layers[one.environment, one.layer]
        operation = fleet.operations[OperationId(order.saga)]
        left = shared in self._lapsed or shared in self._records.values()
        accepted = layer.leaving or operation.settings.accept_downtime or operation.kind == "stop"
        if not left and not accepted:
            self._street.violate(f"the last record of {layer.key} goes: {order}")

    def _begin(self, order: Order, dice: Random) -> None:
        where = self.truth.get(order.container)
        if where not in {None, order.to}:
            self._street.violate(f"{order.container} runs on {where} and {order.to}")
        self.truth[order.container] = order.to
        self.started[order.container] = self.started.get(order.container, 0) + 1
        self.well[order.container] = False
        health = ReportHealth(
            ask=AskId(f"{order.id}/h"), host=order.to, container=order.container, healthy=True
        )
        nth = self.started[order.container]
        self._street.later(dice.randint(1_000, 3_000), lambda: self._turn(health, nth))

    # Moving

    def _move(self, order: Order, answer: ReportOrder, dice: Random, *, fails: bool) -> None:
        """Copy, freeze, hand over: or fail, or run out of time and be as before."""
        work = cast("MigrateOut", order.work)
        total = dice.randint(500, 5_000)
        freeze = total // 10
        report = ReportPhase(
            ask=AskId(f"{order.id}/frozen"),
            host=order.to,
            migration=work.migration,
            phase="frozen",
            after_ms=total - freeze,
        )
        in_time = total <= work.deadline_ms
        took = min(total, work.deadline_ms)
        answer = replace(answer, total_ms=took, located=order.to)
        if not in_time or fails:
            answer = replace(answer, done=False, detail=self.excuse if in_time else "too slow")
        else:
            self._street.later(total - freeze, lambda: self._street.report(report))
            answer = replace(answer, located=work.target, freeze_ms=freeze)
        self._street.later(took, lambda: self._hand_over(order, answer))

    def _where(self, order: Order, work: CallOff) -> HostId | None:
        """Return where a container is, as the agent that is asked knows it."""
        doubt = self._doubts.get(work.migration)
        if doubt is None:
            return self.truth.get(order.container)
        move, answer = doubt
        if order.to == answer.located:  # it holds a copy that was never told to run, and drops it
            del self._doubts[work.migration]
            return self.truth.get(order.container)
        if work.lost is not None:
            del self._doubts[work.migration]
            self._answer(move, answer)
        return answer.located

    def _hand_over(self, order: Order, answer: ReportOrder) -> None:
        """Reach the point of no return, unless it is forbidden.

        A host without power does nothing; one without a lease hands nothing over. Where the target
        dies right after the point of no return, only the source knows that it is the target's.
        """
        target = cast("MigrateOut", order.work).target
        source_begins = self._street.begins(order.to)
        if not self._street.has_power(order.to):
            waits = self._street.silent_for(order.to)
            if waits is not None:
                self._street.later(waits + 1, lambda: self._hand_over(order, answer))
            return
        if self.truth.get(order.container) != order.to:
            answer = replace(answer, done=False, detail="it is gone", located=order.to)
        elif answer.done and source_begins and self._street.begins(target):
            answer = self._cross(order, answer)
        elif answer.done and source_begins and not self._street.has_power(target):
            if self._street.may_hand_over(order, answer.freeze_ms):
                self._doubts[cast("MigrateOut", order.work).migration] = (order, answer)
                self.fell(order.container)
                return
            answer = replace(answer, done=False, detail="called off", located=order.to)
        elif answer.done:
            answer = replace(answer, done=False, detail="no lease", located=order.to)
        self._answer(order, answer)

    def _cross(self, order: Order, answer: ReportOrder) -> ReportOrder:
        if not self._street.may_hand_over(order, answer.freeze_ms):
            return replace(answer, done=False, detail="called off", located=order.to)
        self.truth[order.container] = cast("MigrateOut", order.work).target
        return answer

    def settle_doubts(self, host: HostId, *, lost: bool) -> None:
        """Let a target that is heard again run what was handed over to it, unless it was lost."""
        for migration, (order, answer) in list(self._doubts.items()):
            target = answer.located
            if host not in (order.to, target) or target is None:
                continue
            if not lost and not (self._street.has_power(order.to) and self._street.begins(target)):
                continue
            del self._doubts[migration]
            if not lost:
                self.truth[order.container] = target
                self.well[order.container] = False
            self._answer(order, answer)

    def fell(self, container: ContainerId) -> None:
        """Let a container be no more, and nobody notice."""
        self.truth.pop(container, None)
        self.well.pop(container, None)

    def crash(self, container: ContainerId) -> None:
        """Let a container's process die, which its host notices."""
        where = self.truth.pop(container, None)
        if where is None:
            return
        self.well.pop(container, None)
        name = AskId(f"{container}/died/{self._street.now}")
        report = ReportHealth(
            ask=name, host=where, container=container, healthy=False, running=False
        )
        self._street.later(200, lambda: self._street.report(report))

    def fall_ill(self, container: ContainerId, for_ms: int) -> None:
        """Let a container that runs be unhealthy for a while."""
        if not self.well.get(container):
            return
        nth = self.started[container]
        for number, (delay_ms, healthy) in enumerate(((0, False), (for_ms, True))):
            name = AskId(f"{container}/ill/{self._street.now}/{number}")
            report = ReportHealth(
                ask=name, host=self.truth[container], container=container, healthy=healthy
            )
            self._street.later(delay_ms, partial(self._turn, report, nth))

    def _turn(self, report: ReportHealth, nth: int) -> None:
        """Become healthy or ill, wherever the container is by now; unless it was started anew."""
        where = self.truth.get(report.container)
        if where is None or self.started[report.container] != nth or report.container in self.sick:
            return
        self.well[report.container] = report.healthy
        self._street.report(replace(report, host=where))

    def outdated(self, report: ReportHealth) -> bool:
        """Say whether a report of health is not so any more."""
        runs = report.container in self.truth
        return (runs, self.well.get(report.container, False)) != (report.running, report.healthy)

    def unsaid(self) -> list[tuple[ContainerId, bool, bool, HostId]]:
        """Return what the engine does not know though hosts said it once: a hello says it again."""
        said: list[tuple[ContainerId, bool, bool, HostId]] = []
        for one in self._street.fleet.containers.values():
            runs = one.id in self.truth
            well = self.well.get(one.id, False)
            if (runs, well) != (one.running, one.healthy) and (runs or one.running):
                said.append((one.id, runs, well, self.truth.get(one.id, one.host)))
        return said
