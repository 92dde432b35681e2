"""Where Restow is to be found: which bus, under which prefix, and who says so.

In this order: `--url`, `RESTOW_URL`, `NATS_URL`, the NATS context that is chosen (the files of the
`nats` command line), and the `up.json` that `restow up` leaves in its data directory.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from domain.subjects import PREFIX, PREFIX_DEFAULT
from handlers.bus import Address, BusAddressError, find_address

DATA_DEFAULT = Path(".restow")
UP_FILE = "up.json"
AGENTS_FOLDER = "agents"
IMAGES_FOLDER = "images"
"""Images of this machine, for all real hosts on it."""
AUDIT_FILE = Path("reader", "audit.db")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PORT_MAX = 65_535
VIEWS_FOLDER = Path("reader", "views")
NOTES_FOLDER = Path("reader", "notes")
KEYFRAMES_FOLDER = Path("reader", "keyframes")
STORE_SCHEMES = ("postgresql://", "postgres://")


class SettingsError(ValueError):
    """Settings cannot be used; the message names the place and the way on."""


class NoRegionError(SettingsError):
    """Nobody names a bus."""


class Region(msgspec.Struct, frozen=True):
    """A region to speak to: its bus, its prefix there, and who said so."""

    address: Address
    prefix: str = PREFIX_DEFAULT
    source: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """Where the read API listens: a name of this machine's loopback, and a port (0: any free)."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def endpoint(text: str) -> Endpoint:
    """Read `127.0.0.1:8080`. Raises `SettingsError`; there are no identities yet, so no others."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if host not in LOOPBACK:
        names = " or ".join(LOOPBACK)
        message = f"--http {text}: the read API has no identities yet; use {names}, and a port"
        raise SettingsError(message)
    if not (port.isdecimal() and int(port) <= PORT_MAX):
        message = f"--http {text}: the port must be 0 to {PORT_MAX:,}, for example 127.0.0.1:8080"
        raise SettingsError(message)
    return Endpoint(host, int(port))


def store_url(said: str | None) -> str | None:
    """Return the database that keeps the views, None for files. Raises `SettingsError`.

    What is wrong with it is told without it: it may hold a password.
    """
    url = said or os.environ.get("RESTOW_STORE", "")
    if url and not url.startswith(STORE_SCHEMES):
        message = (
            "--store or RESTOW_STORE must be the address of a PostgreSQL database:"
            " postgresql://user@host/database"
        )
        raise SettingsError(message)
    return url or None


def metrics_endpoint(text: str) -> Endpoint:
    """Read `0.0.0.0:9101`, where what is counted is served. Raises `SettingsError`."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not (port.isdecimal() and int(port) <= PORT_MAX):
        message = f"--metrics {text}: give an address and a port, for example 127.0.0.1:9101"
        raise SettingsError(message)
    return Endpoint(host, int(port))


class Up(msgspec.Struct, frozen=True):
    """What `restow up` writes down of itself, for other commands in the same directory.

    `children` maps the name of each process that it started to its id; `http` is the address of
    the read API; `monitor` is the address
    of the monitoring of its own NATS server, "" where it uses another one.
    """

    url: str
    prefix: str
    pid: int
    started_at: int
    monitor: str = ""
    relaxed: bool = False
    http: str = ""
    children: Mapping[str, int] = {}


def find_region(url: str | None = None, prefix: str | None = None) -> Region:
    """Return the region to speak to. Raises `NoRegionError`, `SettingsError`."""
    found = find_server(url) or _from_up(data_directory())
    if found is None:
        message = "no bus is named; start `restow up`, or give --url, RESTOW_URL or NATS_URL"
        raise NoRegionError(message)
    name = prefix or os.environ.get("RESTOW_PREFIX") or found.prefix
    return msgspec.structs.replace(found, prefix=prefix_named(name))


def prefix_named(name: str) -> str:
    """Return the prefix. Raises `SettingsError` where it can be none."""
    if not PREFIX.fullmatch(name):
        message = f"prefix {name!r}: use a-z, 0-9 and inner hyphens, at least one"
        raise SettingsError(message)
    return name


def find_server(url: str | None = None) -> Region | None:
    """Return the bus that someone chose on purpose, None where nobody did."""
    chosen = url or os.environ.get("RESTOW_URL", "")
    try:
        address = find_address(chosen)
    except BusAddressError as error:
        raise SettingsError(str(error)) from error
    if address is None:
        return None
    return Region(address, source=_source(url))


def _source(url: str | None) -> str:
    if url:
        return "--url"
    for name in ("RESTOW_URL", "NATS_URL"):
        if os.environ.get(name):
            return name
    return "NATS context"


def data_directory() -> Path:
    """Return where `restow up` keeps its data unless told otherwise."""
    return Path(os.environ.get("RESTOW_DATA") or DATA_DEFAULT)


def read_up(data: Path) -> Up | None:
    """Return what `restow up` wrote into its data directory, None where there is nothing."""
    path = data / UP_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Up)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        message = f"{path} cannot be read: {error}; remove it, or start `restow up` again"
        raise SettingsError(message) from error


def write_up(data: Path, up: Up) -> None:
    """Write down what runs, so that a reader sees the old or the new, never half of it."""
    path = data / UP_FILE
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(up), indent=2))
    fresh.replace(path)


def _from_up(data: Path) -> Region | None:
    up = read_up(data)
    return None if up is None else Region(Address(up.url), up.prefix, str(data / UP_FILE))
