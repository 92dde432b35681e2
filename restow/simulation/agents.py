"""The agents of a world: the real rules of what an agent owes, with a ledger that survives it.

Every order is judged by `domain.agent`, and every answer is owed until it is acknowledged. An agent
may fall over at any moment and come back: what it has not written down it does not know, while
the containers of its host go on.
"""

from collections.abc import Callable
from random import Random
from typing import NoReturn, Protocol

from domain.agent import Again, Begin, Declined, hand_over, receive
from domain.memory import (
    Agent,
    AnyEntry,
    ReportAcknowledged,
    ReportOwed,
    TermBegun,
    evolve,
)
from domain.messages import HostId, Instant, MigrationId, OrderId
from domain.orders import AnyReport, MigrateOut, Order
from restow.simulation.machines import Nature

DOWN_MS = 5_000
"""How long an agent that fell over is away at most."""
FALLS_WITHIN_MS = 1_500


class Post(Protocol):
    """What agents need of the world they are in."""

    now: Instant
    nature: Nature

    def dice(self, purpose: str) -> Random: ...

    def later(self, delay_ms: int, what: Callable[[], None]) -> None: ...

    def send_again(self, host: HostId) -> None:
        """Let the engine send a host what it has not answered."""
        ...

    def transmit(self, report: AnyReport) -> None: ...

    def note(self, *what: object) -> None: ...

    def violate(self, *wrong: str) -> NoReturn: ...

    def carry_out(self, order: Order) -> None: ...


class Agents:
    """Agents by their hosts. `down` are those that have fallen over."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._known: dict[HostId, Agent] = {}
        self._unsaid: dict[HostId, list[AnyReport]] = {}
        self._epochs: dict[HostId, int] = {}
        self._begun: set[OrderId] = set()
        self.down: set[HostId] = set()

    def of(self, host: HostId) -> Agent:
        return self._known.setdefault(host, Agent(host))

    def _write(self, host: HostId, *entries: AnyEntry) -> None:
        for entry in entries:
            self._known[host] = evolve(self.of(host), entry)

    def receive(self, order: Order) -> None:
        """Take an order: begin it, or say its answer again, or do nothing."""
        host = order.to
        if host in self.down:
            return
        if self._post.nature.stumble:
            dice = self._post.dice(f"stumble {order.id}")
            if dice.random() < self._post.nature.stumble:
                self._post.later(dice.randint(0, FALLS_WITHIN_MS), lambda: self.fall(host))
        entries, verdict = receive(self.of(host), order, self._post.now)
        self._write(host, *entries)
        match verdict:
            case Begin():
                self._begin(order)
            case Again(report=report) | Declined(report=report):
                self._post.transmit(report)
            case _:
                pass
        self._epochs[host] = max(order.epoch, self._epochs.get(host, 0))

    def _begin(self, order: Order) -> None:
        """Begin an order, which must be neither old, nor late, nor begun before."""
        if order.id in self._begun:
            self._post.violate(f"an order is carried out twice: {order}")
        if order.epoch < self._epochs.get(order.to, 0):
            self._post.violate(f"an order of an old epoch is carried out: {order}")
        if 0 < order.expires < self._post.now:
            self._post.violate(f"an order that has expired is carried out: {order}")
        self._begun.add(order.id)
        self._post.carry_out(order)

    def report(self, report: AnyReport) -> None:
        """Owe a report, and say it; an agent that has fallen over sees it when it is back."""
        if report.host in self.down:
            self._unsaid.setdefault(report.host, []).append(report)
            return
        self._write(report.host, ReportOwed(report))
        self._post.transmit(report)

    def owes(self, report: AnyReport) -> bool:
        """Say whether a report is still to be said, and there is somebody who says it."""
        return report.host not in self.down and report.ask in self.of(report.host).owed

    def acknowledged(self, report: AnyReport) -> None:
        """Note that the engine has taken a report in."""
        if report.host not in self.down:
            self._write(report.host, ReportAcknowledged(report.ask))

    def may_hand_over(self, order: Order, freeze_ms: int) -> bool:
        """Reach the point of no return, unless it is forbidden or nobody is there to do so."""
        if order.to in self.down or not isinstance(order.work, MigrateOut):
            return False
        migration = MigrationId(order.work.migration)
        entry = hand_over(self.of(order.to), migration, granted_ms=0, frozen_ms=freeze_ms)
        if entry is None:
            return False
        self._write(order.to, entry)
        return True

    def begin_term(self, host: HostId, term: int) -> None:
        """Take orders of this term, and of no other; what was under way before is over."""
        self._write(host, TermBegun(term))

    def fall(self, host: HostId) -> None:
        """Let an agent fall over; some time later it is back."""
        if host in self.down:
            return
        self._post.note(f"AGENT {host} FALLS OVER")
        self.down.add(host)
        dice = self._post.dice(f"back {host} {self._post.now}")
        self._post.later(dice.randint(500, DOWN_MS), lambda: self._come_back(host))

    def _come_back(self, host: HostId) -> None:
        """Begin again with what was written down: say what is owed, hear what is to be done."""
        self._post.note(f"AGENT {host} IS BACK")
        self.down.discard(host)
        for report in list(self.of(host).owed.values()):
            self._post.transmit(report)
        for report in self._unsaid.pop(host, []):
            self._write(host, ReportOwed(report))
            self._post.transmit(report)
        self._post.send_again(host)
