"""Hosts that die or are cut off: what they do then by themselves, and what the watch makes of it.

The simulated leases of the tests show when a host without one has stopped what ran on it, and when
an engine may say that it is lost. Here that is taken for granted: a host that is cut off is fenced
when its lease ends, unless a majority is cut off too, and declared lost after the margin.
"""

from typing import Protocol

import msgspec

from domain.fleet import Fleet
from domain.lease import Terms
from domain.losing import arrives, belongs
from domain.loss import LoseHost, ReturnHost, Silent, WatchHosts
from domain.messages import ContainerId, HostId, Instant
from restow.simulation.machines import Machines, Street

TERMS = Terms()
AGAIN_MS = 10_000
KEEP_MS = 5_000
NEVER = Instant(1 << 60)
PATIENCE = 3
"""Looks after which an operator vouches for a dead host that the watch does not dare to give up."""


class Cut(msgspec.Struct, frozen=True):
    """A host that nobody hears, from when to when; `dead`: it has no power."""

    since: Instant
    until: Instant
    dead: bool


class Town(Street, Protocol):
    """What outages need of the world they happen in."""

    machines: Machines

    def watch(self, command: WatchHosts | ReturnHost | LoseHost) -> None: ...

    def send_again(self, host: HostId) -> None: ...

    def begin_term(self, host: HostId, term: int) -> None: ...


class Outages:
    """Which hosts are cut off now."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.cuts: dict[HostId, Cut] = {}
        self._steady_from = Instant(0)

    @property
    def _fleet(self) -> Fleet:
        return self._town.fleet

    def strike(self, name: str, lasts_ms: int | None, *, dead: bool) -> None:
        """Cut a host off (or let it die) for a time, or for ever."""
        host, now = HostId(name), self._town.now
        if host in self.cuts or host not in self._fleet.hosts:
            return
        until = NEVER if lasts_ms is None else Instant(now + lasts_ms)
        cut = self.cuts[host] = Cut(now, until, dead)
        if dead:
            self._stop(host, keeps=False)
        else:
            self._town.later(TERMS.lease_ms, lambda: self._fence(host, cut))
        self._town.later(TERMS.lost_ms, lambda: self._notice(host, cut, 1))
        if lasts_ms is not None:
            self._town.later(lasts_ms, lambda: self._heal(host, cut))

    def silent_for(self, host: HostId) -> int | None:
        """Return for how long nothing can be heard of a host, None if that is for ever."""
        cut = self.cuts.get(host)
        if cut is None:
            return 0
        return None if cut.until == NEVER else cut.until - self._town.now

    def begins(self, host: HostId) -> bool:
        """Say whether something may begin on a host: it has power, and a lease."""
        cut = self.cuts.get(host)
        if cut is None:
            return host in self._fleet.hosts  # no engine grants a lease to one it does not know
        return not cut.dead and self._town.now < cut.since + TERMS.lease_ms

    def has_power(self, host: HostId) -> bool:
        return host not in self.cuts or not self.cuts[host].dead

    def _steady(self) -> bool:
        """Say whether most hosts have been heard for long enough."""
        if 2 * len(self.cuts) >= len(self._fleet.hosts):
            self._steady_from = Instant(self._town.now + TERMS.steady_ms)
        return self._town.now >= self._steady_from

    def _stop(self, host: HostId, *, keeps: bool) -> None:
        """Let what runs on a host run no more."""
        for name, where in list(self._town.machines.truth.items()):
            if where == host and not (keeps and self.keeps(name)):
                self._town.machines.fell(name)

    def keeps(self, name: ContainerId) -> bool:
        """Say whether a container was started so that it runs on where its host is cut off."""
        return name in self._town.machines.kept

    def _fence(self, host: HostId, cut: Cut) -> None:
        """The lease is over: stop, unless most hosts are cut off too."""
        if self.cuts.get(host) is not cut:
            return
        if not self._steady() and 2 * len(self.cuts) > len(self._fleet.hosts):
            self._town.later(KEEP_MS, lambda: self._fence(host, cut))
            return
        self._stop(host, keeps=True)

    def _silent(self) -> tuple[Silent, ...]:
        now = self._town.now
        return tuple(
            Silent(host, now - cut.since)
            for host, cut in self.cuts.items()
            if now - cut.since >= TERMS.lost_ms
            and host in self._fleet.hosts
            and not self._fleet.hosts[host].lost
        )

    def _notice(self, host: HostId, cut: Cut, looks: int) -> None:
        """The watch looks; an operator helps it in the end where a host is dead for certain."""
        if self.cuts.get(host) is not cut or host not in self._fleet.hosts:
            return
        self._town.watch(WatchHosts(silent=self._silent(), steady=self._steady()))
        if self._fleet.hosts[host].lost:
            return
        if cut.dead and looks >= PATIENCE:
            self._town.watch(LoseHost(host=host, reason="it has no power"))
        self._town.later(AGAIN_MS, lambda: self._notice(host, cut, looks + 1))

    def _heal(self, host: HostId, cut: Cut) -> None:
        """It is heard again: clean up and begin a new term if it is lost, else go on."""
        if self.cuts.get(host) is not cut:
            return
        self._steady()
        del self.cuts[host]
        if host not in self._fleet.hosts:
            return
        lost = self._fleet.hosts[host].lost
        if lost:
            self._stop(host, keeps=True)
            runs = [one for one, where in self._town.machines.truth.items() if where == host]
            self._town.watch(ReturnHost(host=host, runs=tuple(sorted(runs))))
            self._clean(host)
        self._town.machines.settle_doubts(host, lost=lost)
        self._town.send_again(host)
        if self._fleet.storm:
            self._town.watch(WatchHosts(silent=self._silent(), steady=self._steady()))

    def _clean(self, host: HostId) -> None:
        """Stop what has a place elsewhere by now, then take orders of the new term."""
        known = self._fleet.hosts[host]
        mine = {*belongs(self._fleet, known), *arrives(self._fleet, known)}
        for name, where in list(self._town.machines.truth.items()):
            if where == host and name not in mine:
                self._town.machines.fell(name)
        self._town.begin_term(host, self._fleet.hosts[host].term)
