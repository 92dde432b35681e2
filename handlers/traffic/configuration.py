"""The file that HAProxy is started from: made from the routes, so that a restart forgets nothing.

A stateless layer's first port is found by the name in the request. Everything else has a port of
the balancer of its own, which is kept for as long as the layer has containers.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Route, Standing
from handlers.traffic.settings import External, Haproxy

CHECK = "check inter 1s fall 3 rise 1"
"""A live migration is shorter than three tries, and is no reason to send nothing there."""

HEAD = """\
# Written by `restow agent --routing`; what is changed here by hand is overwritten.
global
  mworker-max-reloads 100

defaults
  timeout connect 2s
  timeout queue 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  retries 2
  option redispatch 1
"""

REQUESTS = """\

frontend requests
  mode http
  bind {bind}
  http-request set-var(txn.host) req.hdr(host),field(1,:),lower
"""


class Front(msgspec.Struct, frozen=True):
    """A port of a layer. `port` is the balancer's; 0 where it is found by the name in requests."""

    layer: str
    inner: int
    port: int = 0

    @property
    def backend(self) -> str:
        return f"{self.layer}:{self.inner}"


def fronts(routes: Iterable[Route], old: Mapping[str, int], ports: tuple[int, int]) -> list[Front]:
    """Return every port that is served, with the port of the balancer that `old` gave it before.

    Raises `RoutingFailedError` where no port is left.
    """
    by_name: dict[str, Front] = {}
    for route in routes:
        for number, inner in enumerate(route.ports):
            front = Front(route.layer, inner, 0 if not (route.stateful or number) else -1)
            by_name.setdefault(front.backend, front)
    served = sorted(by_name.values(), key=lambda front: (front.layer, front.inner))
    taken = {old[front.backend] for front in served if front.port and front.backend in old}
    free = (port for port in range(ports[0], ports[1] + 1) if port not in taken)
    return [_numbered(front, old, free) for front in served]


def _numbered(front: Front, old: Mapping[str, int], free: Iterator[int]) -> Front:
    if not front.port:
        return front
    port = old.get(front.backend) or next(free, 0)
    if not port:
        message = f"no port of the balancer is left for {front.backend}: widen haproxy.tcp_ports"
        raise RoutingFailedError(message)
    return Front(front.layer, front.inner, port)


def places(route: Route) -> list[tuple[tuple[str, str], str]]:
    """Return where a route stands in the balancer, and the address of each server."""
    host = f"[{route.address}]" if ":" in route.address else route.address
    backends = [(Front(route.layer, inner).backend, inner) for inner in route.ports]
    return [((backend, route.server), f"{host}:{inner}") for backend, inner in backends]


def text(
    settings: Haproxy, served: list[Front], routes: Iterable[Route], external: External | None
) -> str:
    """Return the configuration: every port that is served, and the servers that are in."""
    servers: dict[str, list[str]] = {}
    check = f" {CHECK}" if settings.check else ""
    for route in routes:
        if route.standing is Standing.IN:
            for (backend, server), address in places(route):
                servers.setdefault(backend, []).append(f"  server {server} {address}{check}\n")
    requests = [REQUESTS.format(bind=settings.http)]
    streams: list[str] = []
    backends: list[str] = []
    for front in served:
        mode = "tcp" if front.port else "http"
        own = "".join(sorted(servers.get(front.backend, [])))
        balance = "leastconn" if front.port else "roundrobin"
        backends.append(f"\nbackend {front.backend}\n  mode {mode}\n  balance {balance}\n{own}")
        if front.port:
            bind = f"  mode tcp\n  bind {settings.tcp_address}:{front.port}\n"
            use = f"  default_backend {front.backend}\n"
            streams.append(f"\nfrontend tcp:{front.port}\n{bind}{use}")
        else:
            hosts = " ".join(names(front.layer, external))
            requests.append(
                f"  use_backend {front.backend} if {{ var(txn.host) -m str {hosts} }}\n"
            )
    return "".join((HEAD, *requests, *streams, *backends))


def names(layer: str, external: External | None) -> Iterator[str]:
    """Yield the names under which a layer is asked for."""
    yield layer
    if outside := external and external.name_of(layer):
        yield outside
