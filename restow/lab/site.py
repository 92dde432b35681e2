"""A lab that is up: fabric, Knot and HAProxy, and a region whose hosts are on the fabric."""

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from domain.messages import ROUTING, HostId
from handlers.agent.runc.images import Images
from handlers.agent.runc.places import Places
from handlers.agent.runc.sweeping import still
from handlers.agent.runc.tools import program
from handlers.agent.runtime import RuntimeFailedError
from handlers.nats_server import ANY_PORT
from handlers.network.tools import NetworkFailedError
from restow.crew import Say, crew
from restow.lab.fabric import EDGE, Fabric
from restow.lab.image import add_counter
from restow.lab.servers import TCP_PORTS, Servers
from restow.locks import HeldError, held
from restow.settings import AGENTS_FOLDER, IMAGES_FOLDER
from restow.up import HTTP_DEFAULT, AlreadyUpError, Place, Plan, Site, StartError, running

FOLDER = "lab"
"""In the data directory: what is the lab's own, and not the region's."""
NEEDED = ("runc", "criu", "mke2fs", "ip", "tc", "nft", "nsenter", "knotd", "keymgr", "haproxy")
HOSTS_MAX = 9


class Lab(msgspec.Struct, frozen=True):
    """What is to be up: this many hosts, with everything in `data`."""

    data: Path
    hosts: int = 3
    http: int = HTTP_DEFAULT

    @property
    def fabric(self) -> Fabric:
        return Fabric.of(self.data, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"h{number:02}" for number in range(1, self.hosts + 1))

    @property
    def stateful(self) -> tuple[str, int]:
        """Return where the first stateful layer is found."""
        return self.fabric.edge, TCP_PORTS[0]


def lacking() -> tuple[str, ...]:
    """Return what a lab needs and this machine has not, in words."""
    missing = [] if os.geteuid() == 0 else ["root"]
    for name in NEEDED:
        try:
            program(name)
        except RuntimeFailedError:
            missing.append(name)
    return tuple(missing)


@asynccontextmanager
async def lab_up(lab: Lab, say: Say) -> AsyncGenerator[Site]:
    """Have a lab up during the block; at its end nothing is left in the kernel, disks are kept.

    Raises `StartError`, `AlreadyUpError`, and what `running` does.
    """
    if missing := lacking():
        message = (
            f"a lab needs {', '.join(missing)}: run it as root; `make hosts` gets the programs,"
            " and `restow doctor` says what else is missing"
        )
        raise StartError(message)
    with _alone(lab.data):
        async with _fabric(lab, say) as fabric, crew(lab.data / "logs", say) as members:
            servers = Servers(fabric, lab.data / FOLDER)
            await servers.start(members)
            say(f"Knot and HAProxy at {fabric.edge} … ok")
            await add_counter(Images(lab.data / IMAGES_FOLDER))
            async with running(_plan(lab, servers), say) as site:
                yield site


@contextmanager
def _alone(data: Path) -> Generator[None]:
    try:
        with held(data / FOLDER):
            yield
    except HeldError:
        raise AlreadyUpError(data, None) from None


@asynccontextmanager
async def _fabric(lab: Lab, say: Say) -> AsyncGenerator[Fabric]:
    fabric = lab.fabric
    try:
        await sweep(lab.data)
        await asyncio.to_thread(fabric.make)
        say(f"{lab.hosts} hosts on a switch, namespaces {fabric.mark}-* … ok")
        yield fabric
    except NetworkFailedError as error:
        message = f"the network of the lab cannot be made: {error}"
        raise StartError(message) from error
    finally:
        await asyncio.to_thread(fabric.remove)


def _plan(lab: Lab, servers: Servers) -> Plan:
    fabric = lab.fabric
    router = Place(fabric.inside(EDGE), ("--underlay", fabric.edge))
    places = {name: _place(fabric, name) for name in lab.names}
    return Plan(
        data=lab.data,
        hosts=lab.hosts,
        zones=lab.hosts,
        engines=1,
        port=ANY_PORT,
        http=lab.http,
        relaxed=True,
        alone=lab.names,
        runtime="runc",
        traffic=servers.settings,
        places={**places, ROUTING: router},
        address=fabric.outside,
    )


def _place(fabric: Fabric, host: str) -> Place:
    address = fabric.address(host)
    flags = ("--listen", address, "--underlay", address)
    return Place(fabric.inside(host), flags)


async def sweep(data: Path) -> tuple[str, ...]:
    """Take away what a lab in `data` left in the kernel that was killed; return its namespaces."""
    fabric = Fabric.of(data, ())
    agents = data / AGENTS_FOLDER
    for folder in agents.iterdir() if agents.is_dir() else ():
        if (folder / "runc").is_dir():
            await asyncio.to_thread(still, Places.of(folder, HostId(folder.name)))
    left = fabric.left()
    await asyncio.to_thread(fabric.remove)
    return left
