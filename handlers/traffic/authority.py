"""The authoritative servers of DNS zones: changed by RFC 2136 with TSIG, and asked, all of them.

The only module that speaks DNS. A change names what it takes for granted (the whole set of
addresses that was read before), so that two who change one name do not undo each other's work.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import cast

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
import dns.xfr
import dns.zone
from dns.rcode import Rcode
from dns.rdata import Rdata
from dns.rdatatype import RdataType
from dns.rrset import RRset

from domain.operation import TTL_MS
from handlers.agent.router import RoutingFailedError
from handlers.traffic.settings import DNS_PORT, Dns, Endpoint, Key, endpoint

TTL_S = TTL_MS // 1_000
"""What operations wait for before they touch what has left DNS."""
ANSWER_S = 2.0
TRIES_MAX = 3
PAUSE_S = 0.2
RACES_MAX = 10
KINDS = (RdataType.A, RdataType.AAAA)

Addresses = frozenset[str]
Change = Callable[[Addresses], Addresses]

BROKEN = (OSError, EOFError, dns.exception.DNSException)
"""How a conversation with a server fails."""


class Authority:
    """Some zones on their servers; the first one takes changes."""

    def __init__(self, settings: Dns, key: Key) -> None:
        self._servers = tuple(endpoint(text, DNS_PORT) for text in settings.servers)
        zones = [*settings.zones, *([settings.external.zone] if settings.external else [])]
        self.zones: Sequence[str] = sorted(zones, key=len, reverse=True)
        name = dns.name.from_text(key.name)
        self._key = dns.tsig.Key(name, key.secret, f"{key.algorithm.lower()}.")

    def find_zone(self, name: str) -> str:
        """Return the zone that a name belongs to, or ""."""
        return next((zone for zone in self.zones if name.endswith(f".{zone}")), "")

    def _zone_of(self, name: str) -> str:
        if zone := self.find_zone(name):
            return zone
        message = (
            f"{name} is in none of the zones of the router, {', '.join(self.zones)}:"
            " name its zone in dns.zones of the router's settings, or use another domain"
        )
        raise RoutingFailedError(message)

    async def change(self, name: str, change: Change) -> bool:
        """Give a name the addresses that `change` makes of those it has; say whether it differed.

        Raises `RoutingFailedError`, and what `change` raises.
        """
        self._zone_of(name)
        for _ in range(RACES_MAX):
            old = await self._read(self._servers[0], name)
            before = frozenset(old)
            after = change(before)
            if after == before and set(old.values()) <= {TTL_S}:
                return False
            if await self._replace(name, before, after):
                return True
        message = f"DNS: {name} was changed by others {RACES_MAX} times while it was to be changed"
        raise RoutingFailedError(message)

    async def read(self, name: str) -> tuple[Addresses, ...]:
        """Return what each server answers. Raises `RoutingFailedError` where one does not."""
        answers = [self._read(server, name) for server in self._servers]
        return tuple(frozenset(answer) for answer in await asyncio.gather(*answers))

    async def content(self, zone: str) -> Mapping[str, Addresses]:
        """Return all names of a zone that have addresses, as its first server has it."""
        server = self._servers[0]
        held = dns.zone.Zone(zone, relativize=False)
        query, _ = dns.xfr.make_query(held, keyring=self._key)
        try:
            await dns.asyncquery.inbound_xfr(
                server.host, held, query, port=server.port, timeout=ANSWER_S, lifetime=10 * ANSWER_S
            )
        except BROKEN as error:
            message = f"DNS server {server} does not hand over zone {zone}: {said(error)}"
            raise RoutingFailedError(message) from error
        names: dict[str, set[str]] = {}
        for kind in KINDS:
            for name, _, record in held.iterate_rdatas(kind):
                names.setdefault(name.to_text(omit_final_dot=True), set()).add(record.to_text())
        return {name: frozenset(addresses) for name, addresses in names.items()}

    async def _read(self, server: Endpoint, name: str) -> Mapping[str, int]:
        """Return the addresses that a server answers with, and their TTL in seconds."""
        found: dict[str, int] = {}
        for kind in KINDS:
            query = dns.message.make_query(name, kind)
            query.flags &= ~dns.flags.RD
            answer = await self._ask(server, query)
            if answer.rcode() not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
                said_ = dns.rcode.to_text(answer.rcode())
                message = f"DNS server {server} answers {said_} when asked for {name}"
                raise RoutingFailedError(message)
            if not answer.flags & dns.flags.AA:
                message = f"DNS server {server} is not authoritative for {name}"
                raise RoutingFailedError(message)
            for rrset in answer.answer:
                if rrset.rdtype == kind:
                    found |= dict.fromkeys(_texts(rrset), rrset.ttl)
        return found

    async def _replace(self, name: str, before: Addresses, after: Addresses) -> bool:
        """Put one set in the place of another; False where it is not that one any more."""
        update = dns.update.UpdateMessage(f"{self._zone_of(name)}.", keyring=self._key)
        full = dns.name.from_text(name)
        for kind in KINDS:
            old, new = _of_kind(before, kind), _of_kind(after, kind)
            if old:
                update.present(full, kind.name, *old)
            else:
                update.absent(full, kind)
            if new:
                update.replace(full, TTL_S, kind.name, *new)
            elif old:
                update.delete(full, kind.name)
        answer = await self._ask(self._servers[0], update)
        code = answer.rcode()
        if code in {Rcode.NXRRSET, Rcode.YXRRSET}:
            return False
        if code != Rcode.NOERROR:
            message = (
                f"DNS server {self._servers[0]} answers {dns.rcode.to_text(code)} when {name} is"
                " to be changed: is the zone there, and may this key change it?"
            )
            raise RoutingFailedError(message)
        return True

    async def _ask(self, server: Endpoint, query: dns.message.Message) -> dns.message.Message:
        """Ask once more after a failure: a change that is made twice is refused by what it says."""
        for left in reversed(range(TRIES_MAX)):
            try:
                return await dns.asyncquery.tcp(
                    query, server.host, timeout=ANSWER_S, port=server.port
                )
            except BROKEN as error:
                if not left or isinstance(error, dns.tsig.PeerError | dns.tsig.BadSignature):
                    message = f"DNS server {server} does not answer: {said(error)}"
                    raise RoutingFailedError(message) from error
            await asyncio.sleep(PAUSE_S)
        raise AssertionError


def _texts(rrset: RRset) -> list[str]:
    """Return what the records of a set say, such as `10.0.0.1`."""
    records = cast(Iterable[Rdata], rrset)
    return [str(record) for record in records]


def said(error: BaseException) -> str:
    """Return what an exception says, or what it is."""
    return str(error) or type(error).__name__


def _of_kind(addresses: Addresses, kind: RdataType) -> list[str]:
    version = 4 if kind is RdataType.A else 6
    return sorted(one for one in addresses if ip_address(one).version == version)
