"""Losing a host: what the watch tells, what operators may say, and what is written of it.

One silent host is lost; many at once are a storm, in which nothing is placed elsewhere: it may be
the network, and the hosts may live. Only a human can tell, host by host, that one is dead.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.lease import Seats
from domain.messages import Command, ContainerId, Event, HostId, HostName, Instant, PublicCommand

STORM_SHARE = 0.3
"""The share of all hosts that may be silent or lost before it is a storm; one always may."""
JURORS_MAX = 15
"""More jurors would make no majority safer, and asking them slower."""
TERM = "term of {}"
"""The counter of the last term of a host that was removed."""


class LoseHost(PublicCommand, frozen=True, kw_only=True, tag="host.lose"):
    """Vouch that a host is dead: nothing runs there any more, and nothing will by itself.

    Its containers are restarted elsewhere at once, storm or not, those of layers that `keep` too.
    If the host lives after all, they run twice: switch it off first. Wants a reason.
    """

    host: HostName


class RecoverHost(PublicCommand, frozen=True, kw_only=True, tag="host.recover"):
    """Try again to restart what a lost host carried and could not be restarted elsewhere."""

    host: HostName


class Silent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host that holds no lease for certain; the last that it may hold was asked so long ago."""

    host: HostId
    silent_ms: int = 0


class WatchHosts(Command, frozen=True, kw_only=True, tag="hosts.watch"):
    """What the engine's watch has seen. Internal.

    `steady`: a majority of the jurors has held leases for long enough; `agreed` is the version
    of named jurors that a majority of those before them knows.
    """

    silent: tuple[Silent, ...] = ()
    steady: bool = False
    agreed: int = 0


class ReturnHost(Command, frozen=True, kw_only=True, tag="host.return"):
    """A lost host is there again, and everything on it that was to be fenced is. Internal.

    `runs`: what was not to be fenced, and runs there still. `term` is the one that is over; a late
    copy about another one counts for nothing (-1: whichever it is).
    """

    host: HostName
    term: Annotated[int, Meta(ge=-1)] = -1
    runs: tuple[ContainerId, ...] = ()


class SettleLost(Command, frozen=True, kw_only=True, tag="migration.settle-lost"):
    """Find out how a migration ended, one host of which is lost. Internal."""

    migration: str
    host: HostName


class JurorsNamed(Event, frozen=True, gc=False, tag="watch.jurors-named"):
    """Other jurors are to be asked; until a majority of those before knows it, both are."""

    version: int
    hosts: tuple[HostId, ...]
    watch: str = "hosts"


class JurorsAgreed(Event, frozen=True, gc=False, tag="watch.jurors-agreed"):
    """These hosts are the jurors now, and no other ones."""

    version: int
    hosts: tuple[HostId, ...]
    watch: str = "hosts"


class StormRaised(Event, frozen=True, gc=False, tag="watch.storm-raised"):
    """So many hosts are silent that none of them is declared lost."""

    silent: tuple[HostId, ...]
    why: str
    watch: str = "hosts"


class StormPassed(Event, frozen=True, gc=False, tag="watch.storm-passed"):
    """Few enough hosts are silent, or none."""

    watch: str = "hosts"


LossEvent = JurorsNamed | JurorsAgreed | StormRaised | StormPassed


class Storm(msgspec.Struct, frozen=True, gc=False):
    """An alarm: who is silent, since when, and why nothing is placed elsewhere."""

    silent: tuple[HostId, ...]
    why: str
    since: Instant


class Vigil(msgspec.Struct, frozen=True, gc=False):
    """What the region remembers of the watch over its hosts."""

    seats: Seats = Seats()
    storm: Storm | None = None


def evolve(vigil: Vigil, event: LossEvent, at: Instant) -> Vigil:
    match event:
        case JurorsNamed(version=version, hosts=hosts):
            return msgspec.structs.replace(vigil, seats=Seats(version, vigil.seats.hosts, hosts))
        case JurorsAgreed(version=version, hosts=hosts):
            return msgspec.structs.replace(vigil, seats=Seats(version, hosts))
        case StormRaised(silent=silent, why=why):
            since = vigil.storm.since if vigil.storm else at
            return msgspec.structs.replace(vigil, storm=Storm(silent, why, since))
        case StormPassed():
            return msgspec.structs.replace(vigil, storm=None)


def new_term(counters: Mapping[str, int], host: str) -> int:
    """Return the term of a host that is registered now: one that its name never had."""
    return counters.get(TERM.format(host), -1) + 1
