"""The processes of a region, put together: the one place that knows handlers and projections."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import msgspec
import structlog

from domain.lease import Terms
from domain.meters import Board
from domain.subjects import Subjects
from handlers.agent import process as agent
from handlers.agent.behaviour import Behaviour
from handlers.bus import close, connect
from handlers.engine import process as engine
from handlers.journal.tail import Tail
from handlers.traffic.gates import Gates
from projections import process as projecting
from projections.audit import Audit, AuditFeed, open_audit
from projections.keeping import Keeping, known
from projections.keyframes import Keyframes
from projections.reaching import Framing, Reaching
from projections.schemas import SchemaShelf
from projections.shelf import FileShelf
from projections.stores import Shelf
from projections.web.inquiries import routes
from projections.web.serving import Web, listen
from restow import logs
from restow.frames import JournalFrames
from restow.inquiring import Inquiring
from restow.metrics import serving
from restow.notekeeping import Noting
from restow.settings import AUDIT_FILE, KEYFRAMES_FOLDER, VIEWS_FOLDER, Endpoint, Region
from restow.tracing import Shown, exported
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
    metrics: Endpoint | None = None,
) -> None:
    """Run one engine until told to stop; see `handlers.engine.process.run` for what it raises.

    Raises `CannotListenError` too.
    """
    async with _observed("engine", metrics) as board:
        await engine.run(
            name=name,
            url=region.address,
            prefix=region.prefix,
            relaxed=relaxed,
            monitors=monitors,
            replicas=replicas,
            terms=terms,
            board=board,
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
    metrics: Endpoint | None = None,
    underlay: str = "",
) -> None:
    """Run the agent of some hosts until told to stop; simulated ones, unless `kind`.

    Where `traffic` names settings, its router drives real DNS and a real balancer. Raises
    `TrafficSettingsError`, `CannotListenError`, and what `handlers.agent.process.run` does.
    """
    gates = None if traffic is None else Gates(traffic)
    async with _observed("agent", metrics) as board:
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
            board=board,
            underlay=underlay,
        )


@asynccontextmanager
async def _observed(process: str, metrics: Endpoint | None) -> AsyncGenerator[Board]:
    """Log, trace and count what a process does in this block; its meters go onto the board."""
    logs.verbose()
    board = Board()
    with exported(process):
        async with serving(metrics, board.text):
            yield board


class Places(msgspec.Struct, frozen=True):
    """Where a read side keeps things: its files, its views if not there, and where it listens."""

    data: Path
    store: str | None = None
    http: Endpoint | None = None


def shelf_of(store: str | None, prefix: str, folder: Path) -> Shelf:
    """Return where the views of a region are kept: a database, or files in a folder."""
    return FileShelf(folder) if store is None else SchemaShelf(store, prefix)


async def run_reader(region: Region, places: Places, stop: asyncio.Event) -> None:
    """Run the read side until `stop`; raises what goes wrong in it, as an exception group.

    Raises `StoreTooNewError`, `ShelfInUseError`, `StoreLockedError` where its views cannot be
    kept, `AddressInUseError` where it cannot listen, and `StrangeNoteError` and
    `JournalDamagedError` where its note of the journal is none, or says otherwise.
    """
    logs.verbose()
    subjects = Subjects(region.prefix)
    async with AsyncExitStack() as undo:
        undo.enter_context(exported("reader"))
        bus = await connect(region.address, name="restow reader")
        undo.push_async_callback(close, bus)
        shelf = shelf_of(places.store, region.prefix, places.data / VIEWS_FOLDER)
        undo.push_async_callback(shelf.close)
        audit = undo.enter_context(closing(new_audit(places.data / AUDIT_FILE)))
        await undo.enter_async_context(shelf.writing())
        await known(shelf)
        noting = await Noting.begin(bus, subjects, places.data)
        shown, board, tail = Shown(), Board(), Tail(bus, subjects)
        frames = JournalFrames(bus, subjects, tail)
        keeping = Keeping(JournalFrames(bus, subjects, tail, shown.heard), shelf)
        keeping.told.append(shown.told)
        keyframes = Keyframes(places.data / KEYFRAMES_FOLDER)
        showing = projecting.run(
            bus,
            subjects,
            frames,
            audit=AuditFeed(audit),
            framing=Framing(keyframes),
            noter=noting,
            ready=_ready,
            board=board,
        )
        parts = [tail.run(), keeping.run(), noting.run(), showing]
        if places.http is not None:
            listening = listen(places.http.host, places.http.port)
            log.info("reader.listens", address=listening.getsockname())
            said = about(region.prefix, board)
            asking = Asking(bus, subjects)
            reaching = Reaching(frames, keyframes)
            inquiries = Inquiring(frames, reaching, lambda head, _: head.hash)
            web = Web(keeping, reaching, asking, said, routes(inquiries))
            parts.append(web.run(listening))
        await _until(asyncio.create_task(together(*parts)), stop)


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
