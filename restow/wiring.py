"""The processes of a region, put together: the one place that knows handlers and projections."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import structlog

from domain.lease import Terms
from domain.subjects import Subjects
from handlers.agent import process as agent
from handlers.agent.behaviour import Behaviour
from handlers.bus import close, connect
from handlers.engine import process as engine
from handlers.traffic.gates import Gates
from projections import process as projecting
from projections.audit import Audit, AuditFeed, open_audit
from projections.keeping import Keeping
from projections.keyframes import Keyframes
from projections.reaching import Framing, Reaching
from projections.shelf import Shelf, known
from projections.web.serving import Web, listen
from restow import logs
from restow.frames import JournalFrames
from restow.settings import AUDIT_FILE, KEYFRAMES_FOLDER, VIEWS_FOLDER, Endpoint, Region
from restow.web import Asking, about

log = structlog.stdlib.get_logger(__name__)


async def run_engine(  # noqa: PLR0913 - the settings of a process
    region: Region,
    name: str,
    *,
    monitors: Sequence[str] = (),
    relaxed: bool = False,
    replicas: int = 1,
    terms: Terms | None = None,
) -> None:
    """Run one engine until told to stop; see `handlers.engine.process.run` for what it raises."""
    logs.verbose()
    await engine.run(
        name=name,
        url=region.address,
        prefix=region.prefix,
        relaxed=relaxed,
        monitors=monitors,
        replicas=replicas,
        terms=terms,
    )


async def run_agent(  # noqa: PLR0913 - the settings of a process
    region: Region,
    hosts: Sequence[str],
    data: Path,
    behaviour: Behaviour,
    *,
    routing: bool,
    listen: str = agent.LISTEN_DEFAULT,
    kind: agent.Kind | None = None,
    traffic: Path | None = None,
) -> None:
    """Run the agent of some hosts until told to stop; simulated ones, unless `kind`.

    Where `traffic` names settings, its router drives real DNS and a real balancer. Raises
    `TrafficSettingsError`, and what `handlers.agent.process.run` does.
    """
    logs.verbose()
    gates = None if traffic is None else Gates(traffic)
    await agent.run(
        hosts,
        url=region.address,
        prefix=region.prefix,
        routing=routing,
        data=data,
        behaviour=behaviour,
        listen=listen,
        kind=kind,
        gates=gates,
    )


async def run_reader(
    region: Region, data: Path, stop: asyncio.Event, http: Endpoint | None = None
) -> None:
    """Run the read side until `stop`; raises what goes wrong in it, as an exception group.

    Raises `StoreTooNewError`, `ShelfInUseError` where its views cannot be kept in `data`, and
    `AddressInUseError` where it cannot listen on `http`.
    """
    logs.verbose()
    subjects = Subjects(region.prefix)
    bus = await connect(region.address, name="restow reader")
    shelf = Shelf(data / VIEWS_FOLDER)
    try:
        with closing(new_audit(data / AUDIT_FILE)) as audit, shelf.writing():
            known(shelf)
            frames = JournalFrames(bus, subjects)
            keeping, keyframes = Keeping(frames, shelf), Keyframes(data / KEYFRAMES_FOLDER)
            showing = projecting.run(
                bus,
                subjects,
                frames,
                audit=AuditFeed(audit),
                framing=Framing(keyframes),
                ready=_ready,
            )
            parts = [showing, keeping.run()]
            if http is not None:
                listening = listen(http.host, http.port)
                log.info("reader.listens", address=listening.getsockname())
                web = Web(
                    keeping,
                    Reaching(frames, keyframes),
                    Asking(bus, subjects),
                    about(region.prefix),
                )
                parts.append(web.run(listening))
            await _until(asyncio.create_task(together(*parts)), stop)
    finally:
        await close(bus)


@asynccontextmanager
async def journal_of(region: Region) -> AsyncGenerator[JournalFrames]:
    """Return a region's journal as projections read it. Raises `BusUnavailableError`."""
    bus = await connect(region.address, name="restow projection")
    try:
        yield JournalFrames(bus, Subjects(region.prefix))
    finally:
        await close(bus)


async def together(*parts: Coroutine[None, None, None]) -> None:
    """Run all of it; what goes wrong in one part stops the others, and comes out in a group."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part)


def new_audit(path: Path) -> Audit:
    """Open the audit; it and its directory are made where they are not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return open_audit(path)


def _ready() -> None:
    log.info("reader.ready")


async def _until(showing: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Let a task run until `stop`; raises what it raised."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({showing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    showing.cancel()
    await asyncio.wait({showing})
    if not showing.cancelled():
        showing.result()
