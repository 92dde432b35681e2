"""The watch over hosts: who holds a lease, who is silent, and when silence means lost.

Two majorities cannot both be right. An engine declares a host lost only while a majority of the
jurors holds fresh leases of its own, and has for long enough; a host whose lease ended runs on
only while a majority of the same jurors says that it is quiet. One juror would be in both. An
engine that does not know yet that it was replaced grants only while a majority talks to it, or what
the journal proved to be its own to grant.

Beats and grants are not journaled. What the engine counts from is a lower bound of the moment at
which a beat was sent: the time of the newest answer that its sender had heard.
"""

from dataclasses import dataclass, field

from domain.fleet import Fleet
from domain.host import Host, HostState
from domain.lease import Beat, Grant, Seats, Terms
from domain.losing import wanted_seats
from domain.loss import Silent, WatchHosts
from domain.messages import HostId


@dataclass
class Seen:
    """What one host has told; times are milliseconds of the engine's own clock.

    `bound`: a lease that it may hold was asked for no later. `since`: from when on its leases of
    this epoch are known to have followed each other without a gap.
    """

    bound: int
    heard: int = 0
    base: int = 0
    seats: int = 0
    at: str = ""
    since: int | None = None
    link: tuple[int, int] = (0, 0)
    beats: list[tuple[int, int, int]] = field(default_factory=list)


BEATS_KEPT = 4
"""Beats of a host that may yet be granted when the journal has proved that we lead."""


class Watch:
    """What one engine knows of all hosts while it leads under `epoch`, from `now` on."""

    def __init__(self, epoch: int, now: int, terms: Terms | None = None) -> None:
        self.terms = terms or Terms()
        self._epoch = epoch
        self._seen: dict[HostId, Seen] = {}
        self._condemned: frozenset[HostId] = frozenset()
        self._proven = -1
        self._outlived = False
        self._seats = Seats()
        self._seated = now
        self._steady = now
        self._told: WatchHosts | None = None
        self._carried_until = -1
        self._carried_by = Seats()
        self._where_of = Seats()
        self._where: dict[HostId, str] = {}
        self._hosts: list[Host] = []
        self._all_heard_until = -1

    def seen(self, host: HostId) -> Seen | None:
        return self._seen.get(host)

    def watches(self, fleet: Fleet) -> bool:
        """Say whether there is something to watch: hosts beat, or did so before."""
        return bool(fleet.seats.hosts) or any(one.heard for one in self._seen.values())

    def hear(self, fleet: Fleet, beat: Beat, now: int) -> Grant:
        """Take a beat in and answer it."""
        host = fleet.hosts.get(beat.host)
        if host is None:
            return Grant(self._epoch, now, why="unknown", terms=self.terms)
        self._outlived = self._outlived or beat.epoch > self._epoch
        seen = self._seen.setdefault(host.id, Seen(now))
        self._note(seen, beat, now)
        number, base, why = self._grant(fleet, seen, beat, now)
        return Grant(
            self._epoch,
            now,
            host.term,
            number,
            base,
            why,
            lost=host.state is HostState.LOST or beat.term < host.term,
            seats=fleet.seats if beat.seats < fleet.seats.version else None,
            terms=self.terms,
            where=self._reached(fleet.seats),
        )

    def _reached(self, seats: Seats) -> dict[HostId, str]:
        """Return how the jurors can be reached by another way than the bus."""
        if seats is not self._where_of:
            known = ((host, self._seen.get(host)) for host in seats.all)
            self._where = {host: seen.at for host, seen in known if seen is not None and seen.at}
            self._where_of = seats
        return self._where

    def _forget(self) -> None:
        """Look again at what was derived from beats: one of them said something else."""
        self._carried_until = -1
        self._where_of = Seats()

    def _note(self, seen: Seen, beat: Beat, now: int) -> None:
        seen.heard = now
        seen.seats = max(seen.seats, beat.seats)
        if seen.at != beat.at:
            seen.at = beat.at
            self._forget()
        echo = 0
        if beat.epoch == self._epoch:
            link = (beat.incarnation, beat.chain)
            if seen.since is None or link != seen.link:
                seen.since, seen.link, seen.base = now, link, 0
                self._forget()
            seen.base = max(seen.base, beat.base)
            echo = beat.echo
        seen.beats = [*seen.beats[1 - BEATS_KEPT :], (beat.number, now, echo)]

    def _grant(self, fleet: Fleet, seen: Seen, beat: Beat, now: int) -> tuple[int, int, str]:
        """Return the number and echo of the beat that is granted, or 0, 0 and why none is."""
        host = fleet.hosts[beat.host]
        if self._outlived:
            return 0, 0, "another engine leads"
        if host.state is HostState.LOST:
            return 0, 0, "lost: clean up, and say so"
        if beat.term != host.term:
            return 0, 0, f"its term is {host.term}"
        if beat.host in self._condemned:
            return 0, 0, "being declared lost"
        if self._carried(fleet, now):
            granted = seen.beats[-1]
        else:
            granted = max((b for b in seen.beats if b[1] <= self._proven), default=(0, 0, 0))
        if not granted[0]:
            return 0, 0, "no majority of the jurors is heard"
        seen.bound = max(seen.bound, granted[1])
        return granted[0], granted[2], ""

    def _fresh(self, fleet: Fleet, now: int) -> dict[HostId, Seen]:
        """Return the jurors that hold fresh leases; of 10,000 hosts nobody else is looked at."""
        young = now - self.terms.fresh_ms
        known = ((host, self._seen.get(host)) for host in fleet.seats.all)
        return {host: seen for host, seen in known if seen and seen.base and seen.base >= young}

    def _carried(self, fleet: Fleet, now: int) -> bool:
        """Say whether a majority of the jurors is fresh.

        It stays one until the first of them may not be fresh any more: leases only get younger.
        """
        seats = fleet.seats
        if seats is self._carried_by and now <= self._carried_until:
            return True
        fresh = self._fresh(fleet, now)
        carried = seats.carried(set(fresh))
        oldest = min((seen.base for seen in fresh.values()), default=0)
        self._carried_until = oldest + self.terms.fresh_ms if carried and fresh else -1
        self._carried_by = seats
        return carried

    def unproven(self, fleet: Fleet, now: int) -> bool:
        """Say whether hosts wait for the journal to prove that this engine leads."""
        if self._outlived or self._carried(fleet, now):
            return False
        return any(seen.heard > self._proven for seen in self._seen.values())

    def proven(self, asked_at: int) -> None:
        """Note that something asked at this time stands in the journal: we led then."""
        self._proven = max(self._proven, asked_at)

    def steady(self, fleet: Fleet, now: int) -> bool:
        """Say whether a majority has been held for so long that silence has a meaning."""
        if fleet.seats != self._seats:
            self._seats, self._seated = fleet.seats, now
        long_ago = now - self.terms.steady_ms
        held = {
            host
            for host, seen in self._fresh(fleet, now).items()
            if seen.since is not None and seen.since <= long_ago
        }
        good = not self._outlived and self._seated <= long_ago and fleet.seats.carried(held)
        self._steady = now if good else self._steady
        return good

    def silent(self, fleet: Fleet, now: int) -> tuple[Silent, ...]:
        """Return the hosts that hold no lease for certain, and for how long none was heard.

        While hosts are as they were, nobody is silent before the one is that was least heard.
        """
        hosts = list(fleet.hosts.values())
        if now < self._all_heard_until and hosts == self._hosts:
            return ()
        found: list[Silent] = []
        earliest = now
        for host in hosts:
            if host.state is HostState.LOST:
                if self._seen.pop(host.id, None) is not None:
                    self._forget()
                continue
            seen = self._seen.setdefault(host.id, Seen(now))
            earliest = min(earliest, seen.bound)
            if now >= seen.bound + self.terms.lost_ms:
                found.append(Silent(host.id, now - seen.bound))
        self._hosts, self._all_heard_until = hosts, earliest + self.terms.lost_ms
        return tuple(found)

    def agreed(self, fleet: Fleet) -> int:
        """Return the version of the jurors named that a majority of those before knows."""
        seats = fleet.seats
        if not seats.next:
            return 0
        know = {host for host, seen in self._seen.items() if seen.seats >= seats.version}
        return seats.version if Seats(0, seats.hosts).carried(know) else 0

    def concern(self, fleet: Fleet, now: int) -> WatchHosts | None:
        """Return what the region must be asked to decide, once; the silent get no lease meanwhile.

        Call `decided` when the answer stands in the journal.
        """
        steady, silent, agreed = (
            self.steady(fleet, now),
            self.silent(fleet, now),
            self.agreed(fleet),
        )
        wanting = not fleet.seats.next and wanted_seats(fleet) != fleet.seats.hosts
        blind = now - self._steady < self.terms.steady_ms + self.terms.lost_ms
        if silent and not steady and blind:
            silent = ()
        if not (silent or fleet.storm or agreed or wanting):
            self._told = None
            return None
        concern = WatchHosts(silent=silent, steady=steady, agreed=agreed)
        same = self._told is not None and gist(self._told) == gist(concern)
        if same and not wanting:
            return None
        self._told = concern
        self._condemned = frozenset(one.host for one in silent)
        return concern

    def decided(self) -> None:
        """Go on: whoever was not declared lost may have a lease again."""
        self._condemned = frozenset()

    def ask_again(self) -> None:
        """Note that the last concern was not taken in."""
        self._told = None
        self._condemned = frozenset()


def gist(concern: WatchHosts) -> tuple[frozenset[HostId], bool, int]:
    """Return what is new about a concern when it is."""
    return frozenset(one.host for one in concern.silent), concern.steady, concern.agreed
