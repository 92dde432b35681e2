"""A host's lease, as its agent holds it: renewed by beats, kept by its own monotonic clock.

When it ends, what runs here is fenced, unless a majority of the jurors is cut off as well: then
nobody may place anything elsewhere. `watch.py` has the other side, and why both cannot be wrong.
"""

from collections.abc import Mapping

import msgspec

from domain.messages import ContainerId, HostId, Integer, MigrationId

SENT_MAX = 16
"""Beats whose time of sending is remembered; a later answer to an older one counts for nothing."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long what lasts, in milliseconds. All engines of a region must have the same.

    A host is `quiet` when its last grant is this old; it is `fresh` to the engine while its grant
    is younger than that, which is less. `keep_ms` is how long the word of the jurors counts.
    Jurors beat every `beat_ms`, others every `calm_ms`.
    """

    lease_ms: int = 20_000
    margin_ms: int = 5_000
    beat_ms: int = 2_000
    calm_ms: int = 5_000
    fresh_ms: int = 10_000
    quiet_ms: int = 12_000
    keep_ms: int = 5_000

    @property
    def lost_ms(self) -> int:
        """After how long a silence a host is fenced for certain."""
        return self.lease_ms + self.margin_ms

    @property
    def steady_ms(self) -> int:
        """How long a majority must have been held before its silence about others counts.

        An engine that was replaced and does not know it grants nothing any more after this time.
        """
        return self.fresh_ms + self.lost_ms


LEASE_MS_MIN = 1_000
"""A shorter lease would not outlast a pause of a process."""


def scaled(terms: Terms, speed: float) -> Terms:
    """Return terms that are `speed` times as short."""
    return Terms(*(max(1, int(value / speed)) for value in msgspec.structs.astuple(terms)))


def terms_of(lease_ms: int) -> Terms:
    """Return the usual terms, all as much shorter or longer as the lease is."""
    usual = Terms()
    return scaled(usual, usual.lease_ms / lease_ms)


class Seats(msgspec.Struct, frozen=True, array_like=True):
    """The jurors: hosts of which a majority speaks for all.

    While other ones are named (`next`) and not agreed upon, a majority of both is needed.
    """

    version: int = 0
    hosts: tuple[HostId, ...] = ()
    next: tuple[HostId, ...] = ()

    @property
    def all(self) -> tuple[HostId, ...]:
        if not self.next:
            return self.hosts
        return (*self.hosts, *(host for host in self.next if host not in self.hosts))

    def carried(self, by: set[HostId]) -> bool:
        """Say whether these hosts are a majority of the jurors."""
        wanted = [bench for bench in (self.hosts, self.next) if bench]
        return bool(wanted) and all(
            2 * len(by.intersection(bench)) > len(bench) for bench in wanted
        )


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host is there; a request on `<p>.beat.<host>`.

    `echo` is the time of the newest answer of this epoch that it has heard, on the engine's clock,
    `base` the echo of the beat that its lease is counted from; `chain` is another one whenever it
    was quiet in between. `seats` is the version of the jurors that it knows, `at` where other hosts
    find it by another way than the bus.
    """

    host: HostId
    number: Integer
    incarnation: Integer = 0
    term: Integer = 0
    epoch: Integer = 0
    echo: Integer = 0
    base: Integer = 0
    chain: Integer = 0
    seats: Integer = 0
    at: str = ""


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """The engine's answer to a beat. `number` 0 grants nothing, and `why` says why.

    Otherwise the lease is renewed, counted from the sending of the beat with that number, whose
    echo is `base`. `lost`: it must clean up and come back before anything; it was lost, or is of
    an earlier term. `at` is the engine's clock; `seats` are told to whoever knows older ones, and
    `where` is how jurors can be reached by another way than the bus.
    """

    epoch: int
    at: int
    term: int = 0
    number: int = 0
    base: int = 0
    why: str = ""
    lost: bool = False
    seats: Seats | None = None
    terms: Terms = Terms()
    where: Mapping[HostId, str] = {}


class Back(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lost host is clean: what was to be fenced is; a request on `<p>.back.<host>`."""

    host: HostId
    term: Integer
    runs: tuple[ContainerId, ...] = ()


class Readmitted(msgspec.Struct, frozen=True, omit_defaults=True):
    """The engine's answer: the term that begins, and the containers that have a place there.

    `arrives` are those on their way to it: a copy there is of that very migration, or a stale one
    of before the host was lost. `why` says why no term begins.
    """

    term: int = 0
    belongs: tuple[ContainerId, ...] = ()
    arrives: Mapping[ContainerId, MigrationId] = {}
    why: str = ""


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a host says to another one that asks: whether it is cut off too, and which seats."""

    host: HostId
    quiet: bool
    seats: Seats = Seats()


class Lease:
    """The lease of one host. Times are milliseconds of the host's own clock, which never jumps.

    A new agent answers nobody that it is quiet before it has been silent itself for that long:
    the engine may still count on what the agent before it was granted. `runs_until` is how long
    that one had armed the switch, which lets containers run and nothing begin.
    """

    def __init__(self, host: HostId, incarnation: int, now: int, runs_until: int = 0) -> None:
        self.host = host
        self.terms = Terms()
        self.seats = Seats()
        self.until = 0
        self.kept_until = runs_until
        self.where: Mapping[HostId, str] = {}
        self.epoch = 0
        self.lost = False
        self._incarnation = incarnation
        self._since = now
        self._echo = 0
        self._base = 0
        self._chain = 0
        self._number = 0
        self._sent: dict[int, int] = {}

    def beat(self, term: int, now: int, at: str = "") -> Beat:
        """Return what is to be said now; `at` is where other hosts find this one."""
        self._number += 1
        self._sent[self._number] = now
        self._sent.pop(self._number - SENT_MAX, None)
        return Beat(
            self.host,
            self._number,
            self._incarnation,
            term,
            self.epoch,
            self._echo,
            self._base,
            self._chain,
            self.seats.version,
            at,
        )

    def hear(self, grant: Grant, term: int, now: int) -> None:
        """Take an answer in; one of an engine that was replaced counts for nothing."""
        if grant.epoch < self.epoch:
            return
        if grant.epoch > self.epoch:
            self.epoch, self._echo, self._base = grant.epoch, 0, 0
        self._echo = max(self._echo, grant.at)
        self.terms = grant.terms
        self.learn(grant.seats)
        if grant.where:
            self.where = {**self.where, **grant.where}
        self.lost = grant.lost
        sent = self._sent.get(grant.number)
        if sent is None or grant.term != term or self.lost:
            return
        if self.quiet(now):
            self._chain += 1
        self._since = max(self._since, sent)
        self._base = max(self._base, grant.base)
        self.until = max(self.until, sent + self.terms.lease_ms)

    def learn(self, seats: Seats | None) -> None:
        """Take in newer jurors."""
        if seats is not None and seats.version > self.seats.version:
            self.seats = seats

    @property
    def pause_ms(self) -> int:
        """How long to wait before the next beat."""
        juror = self.host in self.seats.all
        return self.terms.beat_ms if juror else self.terms.calm_ms

    def valid(self, now: int) -> bool:
        """Say whether something may be begun here."""
        return now < self.until

    def quiet(self, now: int) -> bool:
        """Say whether nothing has been granted for so long that the engine cannot count on us."""
        return now - self._since >= self.terms.quiet_ms

    def standing(self, now: int) -> Standing:
        return Standing(self.host, self.quiet(now), self.seats)

    @property
    def ends(self) -> int:
        """When what runs here is fenced."""
        return max(self.until, self.kept_until)

    def judge(self, asked_at: int, said: Mapping[HostId, Standing], now: int) -> bool:
        """Take in what the jurors said when asked at `asked_at`; say whether it keeps us.

        Newer jurors that one of them knows must be asked first.
        """
        known = self.seats.version
        for standing in said.values():
            self.learn(standing.seats)
        if self.seats.version != known or self.lost or not self.quiet(now):
            return False
        if now >= self.ends:  # what ran here is fenced already
            return False
        cut_off = {host for host, standing in said.items() if standing.quiet} | {self.host}
        if not self.seats.carried(cut_off):
            return False
        self.kept_until = max(self.kept_until, asked_at + self.terms.keep_ms)
        return True

    def end(self) -> None:
        """Be without a lease from now on: what ran here is fenced."""
        self.until = self.kept_until = 0
