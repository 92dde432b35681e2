"""Simulated DNS and a simulated balancer: tables in a file, so that a restart forgets nothing."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from handlers.agent.behaviour import Behaviour, Dice
from handlers.agent.ledger import Open
from handlers.agent.records import Records
from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Route

TTL_S = 1
"""How long a resolver may go on giving the answer it has."""


class Record(msgspec.Struct, frozen=True):
    """What a name stands for, and for how many seconds that may be believed."""

    addresses: tuple[str, ...]
    ttl_s: int = TTL_S


_encoder = msgspec.msgpack.Encoder()


class Zone(msgspec.Struct, frozen=True):
    """What DNS answers, and to whom the balancer gives new work."""

    names: Mapping[str, Record] = {}
    servers: tuple[str, ...] = ()


class ZoneFile:
    """A zone on disk."""

    def __init__(
        self, path: Path, host: str, behaviour: Behaviour, *, opened: Open = Records.open
    ) -> None:
        self._records, written = opened(path)
        self.zone = msgspec.msgpack.decode(written[-1], type=Zone) if written else Zone()
        self._records.compact(self._all())
        self._dice = Dice(behaviour, host)
        self._speed = behaviour.speed
        self._works = 0

    def write(self, zone: Zone) -> None:
        if zone != self.zone:
            self._records.append(_encoder.encode(zone))
            self.zone = zone
            self._records.tidy(self._all)

    def _all(self) -> list[bytes]:
        """Return what a file holds in which nothing is of the past."""
        return [_encoder.encode(self.zone)]

    async def work(self, kind: str, what: str) -> None:
        """Take as long as it takes. Raises `RoutingFailedError` where it fails, as simulated."""
        self._works += 1
        draw = f"{what}/{self._works}"
        await asyncio.sleep(self._dice.lasts_ms(kind, draw) / 1_000 / self._speed)
        if self._dice.fails(kind, draw):
            message = f"{kind} failed for {what}, as simulated"
            raise RoutingFailedError(message)

    def close(self) -> None:
        self._records.close()


class SimulatedNames:
    """DNS as a table; see `Names`."""

    def __init__(self, file: ZoneFile) -> None:
        self._file = file

    async def put(self, route: Route) -> None:
        for name in route.names:
            await self._file.work("route-in", name)
            self._set(name, self._read(name) | {route.address})

    async def take(self, route: Route, *, keep_last: bool) -> None:
        if keep_last and self._read(route.layer) == frozenset({route.address}):
            message = f"{route.address} is the last record of {route.layer}, which stays"
            raise RoutingFailedError(message)
        for name in route.names:
            await self._file.work("route-out", name)
            self._set(name, self._read(name) - {route.address})

    async def lacking(self, route: Route) -> tuple[str, ...]:
        return tuple(name for name in route.names if route.address not in self._read(name))

    async def still(self, route: Route) -> tuple[str, ...]:
        return tuple(name for name in route.names if route.address in self._read(name))

    async def mend(self) -> tuple[str, ...]:
        """Forget nothing, so that there is nothing to mend."""
        return ()

    def _read(self, name: str) -> frozenset[str]:
        record = self._file.zone.names.get(name)
        return frozenset() if record is None else frozenset(record.addresses)

    def _set(self, name: str, addresses: frozenset[str]) -> None:
        zone = self._file.zone
        names = {other: record for other, record in zone.names.items() if other != name}
        if addresses:
            names[name] = Record(tuple(sorted(addresses)))
        self._file.write(replace(zone, names=names))


class SimulatedBalancer:
    """The balancer as a table; see `Balancer`."""

    def __init__(self, file: ZoneFile) -> None:
        self._file = file

    async def put(self, route: Route) -> None:
        await self._file.work("route-in", route.address)
        servers = {*self._file.zone.servers, route.address}
        self._file.write(replace(self._file.zone, servers=tuple(sorted(servers))))

    async def drain(self, route: Route) -> int:
        await self._file.work("route-out", route.address)
        servers = {*self._file.zone.servers} - {route.address}
        self._file.write(replace(self._file.zone, servers=tuple(sorted(servers))))
        return 0

    async def serves(self, route: Route) -> bool:
        return route.address in self._file.zone.servers

    async def mend(self) -> tuple[str, ...]:
        """Forget nothing, so that there is nothing to mend."""
        return ()
