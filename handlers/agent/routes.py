"""What the router has been told to route: a table in a file, so that a restart forgets nothing.

DNS servers and balancers forget and are restored from old copies; this is what they are mended by.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec.structs import replace

from handlers.agent.ledger import Open
from handlers.agent.records import Records

GONE_MAX = 10_000
"""How many names that lead nowhere any more are remembered, to be mended too."""


class Standing(StrEnum):
    """How far a route is. What is on its way, either way, is the business of its order alone."""

    COMING = "coming"
    IN = "in"
    LEAVING = "leaving"


class Route(msgspec.Struct, frozen=True):
    """A container as DNS and balancer know it: `names` are its own and then its layer's.

    `network` is the number of the one over which it is reached, 0 where that is the machine's.
    """

    names: tuple[str, ...]
    address: str
    ports: tuple[int, ...] = ()
    stateful: bool = False
    standing: Standing = Standing.COMING
    network: int = 0

    @property
    def server(self) -> str:
        """What the balancer calls it: the first label of its own name."""
        return self.names[0].partition(".")[0]

    @property
    def layer(self) -> str:
        """The name that it shares with its layer."""
        return self.names[-1]


class Put(msgspec.Struct, frozen=True, tag="put"):
    """A route is so."""

    route: Route


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """Nothing is to lead to an address any more."""

    address: str


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """A name leads nowhere any more."""

    name: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Put | Dropped | Gone)


class Routes:
    """The routes by address, and the names that lead nowhere any more."""

    def __init__(self, path: Path, *, opened: Open = Records.open) -> None:
        self._routes: dict[str, Route] = {}
        self._gone: dict[str, None] = {}
        self._records, written = opened(path)
        for data in written:
            self._fold(_decoder.decode(data))
        self._records.compact(self._all())

    def __iter__(self) -> Iterator[Route]:
        return iter(tuple(self._routes.values()))

    def get(self, address: str) -> Route | None:
        return self._routes.get(address)

    def come(self, route: Route) -> None:
        """Note that a route is to be; one that was, or was to end, stays so until it is confirmed.

        What is told now of names and ports holds.
        """
        old = self._routes.get(route.address)
        self._put(replace(route, standing=old.standing if old else Standing.COMING))

    def stay(self, address: str) -> None:
        """Note that a route is, as DNS and balancer have confirmed."""
        self._put(replace(self._routes[address], standing=Standing.IN))

    def leave(self, route: Route) -> Route:
        """Note that a route is to end, with all that was told of it; return it."""
        old = self._routes.get(route.address, route)
        names = tuple(dict.fromkeys((*old.names[:-1], *route.names)))
        ports = tuple(dict.fromkeys((*old.ports, *route.ports)))
        kept = replace(route, names=names, ports=ports, network=old.network)
        leaving = replace(kept, standing=Standing.LEAVING)
        self._put(leaving)
        return leaving

    def drop(self, address: str) -> None:
        """Note that nothing is to lead there."""
        if address in self._routes:
            self._write(Dropped(address))

    def wanted(self) -> Mapping[str, Mapping[str, Standing]]:
        """Return every name that is known, and who is, comes or leaves under it."""
        names: dict[str, dict[str, Standing]] = {name: {} for name in self._gone}
        for route in self._routes.values():
            for name in route.names:
                names.setdefault(name, {})[route.address] = route.standing
        return names

    async def sync(self) -> None:
        """Return when what has been noted is on disk: what is told may not be forgotten."""
        await self._records.sync()

    def close(self) -> None:
        self._records.close()

    def _put(self, route: Route) -> None:
        if self._routes.get(route.address) != route:
            self._write(Put(route))

    def _write(self, line: Put | Dropped) -> None:
        self._records.append(_encoder.encode(line))
        self._fold(line)
        self._records.tidy(self._all)

    def _all(self) -> Iterator[bytes]:
        """Return what a file holds in which nothing is of the past."""
        gone = (Gone(name) for name in self._gone)
        routes = (Put(route) for route in self._routes.values())
        return map(_encoder.encode, (*gone, *routes))

    def _fold(self, line: Put | Dropped | Gone) -> None:
        match line:
            case Put(route=route):
                self._routes[route.address] = route
                for name in route.names:
                    self._gone.pop(name, None)
            case Dropped(address=address):
                old = self._routes.pop(address)
                left = {name for route in self._routes.values() for name in route.names}
                self._forget(name for name in old.names if name not in left)
            case Gone(name=name):
                self._forget(iter((name,)))

    def _forget(self, names: Iterator[str]) -> None:
        for name in names:
            self._gone[name] = None
        while len(self._gone) > GONE_MAX:
            del self._gone[next(iter(self._gone))]
