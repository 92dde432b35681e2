"""What the router is told of its DNS servers and its balancer: a file of settings, in TOML.

```toml
[dns]
servers = ["127.0.0.1:53"]
key = "/etc/restow/tsig.key"
zones = ["restow.internal"]
external = { zone = "apps.example", zone_of = "restow.internal", public = ["203.0.113.5"] }

[haproxy]
socket = "/run/haproxy/master.sock"
configuration = "/etc/haproxy/restow.cfg"
```
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
PORT_MAX = 65_535
DNS_PORT = 53
KEY = re.compile(
    r"""key:?\s*(?:-\s*id:\s*)?"?(?P<name>[-a-z0-9._]+)"?[\s{]+
        algorithm:?\s+"?(?P<algorithm>hmac-[a-z0-9]+)"?[\s;]+
        secret:?\s+"?(?P<secret>[A-Za-z0-9+/]+=*)"?""",
    re.VERBOSE | re.IGNORECASE,
)
"""A TSIG key as `keymgr -t` (Knot) and `tsig-keygen` (BIND) write it."""

Zone = Annotated[str, Meta(pattern=NAME, max_length=200)]
DrainS = Annotated[float, Meta(ge=0, le=100)]


class TrafficSettingsError(ValueError):
    """The settings cannot be used; the message names the file and the field."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where something listens."""

    host: str
    port: int

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Key(msgspec.Struct, frozen=True):
    """A TSIG key: who may change a zone shows that it knows `secret` (base64)."""

    name: str
    algorithm: str
    secret: str


class External(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A zone for the world: the layers of `zone_of`, at the balancer's public addresses."""

    zone: Zone
    zone_of: Zone
    public: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]

    def name_of(self, inside: str) -> str:
        """Return the name that a layer's name inside has outside, or ""."""
        if not inside.endswith(f".{self.zone_of}"):
            return ""
        return f"{inside.removesuffix(self.zone_of)}{self.zone}"


class Dns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The servers of the zones: the first one takes changes, and all of them are asked."""

    servers: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]
    key: str
    zones: Annotated[tuple[Zone, ...], Meta(min_length=1, max_length=100)]
    external: External | None = None


class Haproxy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The balancer: its master's socket, the file that it is started from, where it listens.

    Layers that are stateful, and every port of a layer but its first, have a port each of
    `tcp_ports`; all others are found by the name in the request, on `http`. What still serves
    `drain_s` after nothing new is sent there is cut. `check`: only what answers is given work.
    """

    socket: str
    configuration: str
    http: str = "0.0.0.0:80"
    tcp_address: str = "0.0.0.0"  # noqa: S104 - a balancer is there to be reached
    tcp_ports: tuple[int, int] = (20_000, 29_999)
    drain_s: DrainS = 10.0
    check: bool = True


class Traffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    dns: Dns
    haproxy: Haproxy


def read_settings(path: Path) -> Traffic:
    """Read a file of settings. Raises `TrafficSettingsError`."""
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=Traffic)
        _look_through(settings)
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror})"
        raise TrafficSettingsError(message) from error
    except ValueError as error:
        message = f"{path}: {error}"
        raise TrafficSettingsError(message) from error
    return settings


def _look_through(settings: Traffic) -> None:
    """Raise `ValueError` where a field cannot be used that its type allows."""
    dns, haproxy = settings.dns, settings.haproxy
    for server in dns.servers:
        endpoint(server, DNS_PORT)
    endpoint(haproxy.http, 80)
    ip_address(haproxy.tcp_address)
    first, last = haproxy.tcp_ports
    if not 1 <= first <= last <= PORT_MAX:
        message = f"haproxy.tcp_ports is {first} to {last}; use 1 to {PORT_MAX}, the smaller first"
        raise ValueError(message)
    if dns.external is None:
        return
    for address in dns.external.public:
        ip_address(address)
    if dns.external.zone_of not in dns.zones:
        message = f"dns.external.zone_of is {dns.external.zone_of}, which is not in dns.zones"
        raise ValueError(message)


def endpoint(text: str, port: int) -> Endpoint:
    """Read `127.0.0.1:53`, `[::1]:53` or an address alone. Raises `ValueError`."""
    bare = text.strip("[]")
    if text.count(":") != 1 and not text.startswith("["):
        return Endpoint(str(ip_address(bare)), port)
    host, _, number = text.rpartition(":")
    if not (number.isdecimal() and 1 <= int(number) <= PORT_MAX):
        message = f"{text}: the port must be 1 to {PORT_MAX}, for example 127.0.0.1:{port}"
        raise ValueError(message)
    return Endpoint(str(ip_address(host.strip("[]"))), int(number))


def read_key(path: Path) -> Key:
    """Read a TSIG key. Raises `TrafficSettingsError`, which never holds the secret."""
    try:
        found = KEY.search(path.read_text(encoding="ascii", errors="replace"))
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror})"
        raise TrafficSettingsError(message) from error
    if found is None:
        message = f"{path}: holds no TSIG key; make one with `keymgr -t restow hmac-sha256`"
        raise TrafficSettingsError(message)
    return Key(found["name"], found["algorithm"], found["secret"])
