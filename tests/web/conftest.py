"""A read API that is served, of a journal in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from domain.contracts import Reply
from domain.messages import Code, Refusal
from domain.problems import Problem, problem
from projections.batches import frame_hash
from projections.feed import last_position
from projections.keeping import Keeping
from projections.keyframes import Keyframes
from projections.reaching import Reaching
from projections.stores import Shelf
from projections.web.app import About, Commands
from projections.web.inquiries import routes
from projections.web.openapi import encoded
from projections.web.serving import Web, listen
from restow.inquiring import Inquiring
from tests.projections.journal import MemoryJournal
from tests.projections.story import frames_of
from tests.views.shelves import kept, reached

FRAMES = frames_of(3)
END = last_position(FRAMES[-1])


class Engine:
    """Takes commands as an engine would, and remembers them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, Mapping[str, str]]] = []

    async def __call__(self, name: str, body: bytes, headers: Mapping[str, str]) -> Reply | Problem:
        self.asked.append((name, msgspec.json.decode(body), headers))
        if name == "host.remove":
            return problem(Refusal(Code.HOST_IN_USE, "it carries 3 containers"), "c-1", 7)
        return Reply(status="done", command_id="c-1", position=END)


class Site:
    """What is served, and what it is served of."""

    def __init__(self, journal: MemoryJournal, keeping: Keeping[int], port: int) -> None:
        self.journal = journal
        self.keeping = keeping
        self.port = port
        self.engine = Engine()
        self.task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def served(
    journal: MemoryJournal,
    folder: Path,
    shelf: Shelf | None = None,
    commands: Commands | None = None,
) -> AsyncIterator[Site]:
    """Serve the views of a journal during the block; they are in a folder, or on a shelf."""
    async with kept(journal, shelf or folder) as keeping:
        listening = listen("127.0.0.1", 0)
        site = Site(journal, keeping, listening.getsockname()[1])
        reaching = Reaching(journal, Keyframes(folder / "keyframes"))
        web = Web(
            keeping,
            reaching,
            commands or site.engine,
            About({"restow": "0"}, encoded()),
            routes(Inquiring(journal, reaching, lambda _, frame: frame_hash(frame))),
        )
        site.task = asyncio.create_task(web.run(listening))
        try:
            yield site
        finally:
            site.task.cancel()
            await asyncio.gather(site.task, return_exceptions=True)


@pytest.fixture
async def site(tmp_path) -> AsyncIterator[Site]:
    """Return a read API that has caught up."""
    async with served(MemoryJournal(FRAMES), tmp_path / "views") as site:
        await reached(site.keeping, END)
        yield site


@pytest.fixture
async def http(site) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=site.url, timeout=20) as client:
        yield client
