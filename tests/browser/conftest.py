"""A region that is served, and Debian's browser in front of it: one of each for all of these."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from domain.messages import EnvironmentId, LayerName
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.bus import Address
from projections.rebuilding import Verdict, verify
from projections.shelf import FileShelf
from restow.settings import VIEWS_FOLDER, Endpoint, Region
from restow.up import port_for
from restow.wiring import Places, journal_of, run_reader
from tests.engine.site import SHOP, Site, site

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SLOW = Behaviour(seed=1, speed=20.0, durations_ms={"copy": (20_000, 20_000)})
"""Moves take long enough to be seen."""
HOSTS = 6
PATIENCE_MS = 15_000


class Served:
    """A region, and its read side that can be stopped and started again."""

    def __init__(self, place: Site, data: Path) -> None:
        self.place = place
        self._data = data
        self._region = Region(Address(place.url), place.subjects.prefix)
        self._port = port_for(-1)
        self._stop = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start the read side, and wait until it is ready."""
        self._stop.clear()
        endpoint = Endpoint("127.0.0.1", self._port)
        places = Places(self._data, http=endpoint)
        self._reader = asyncio.create_task(run_reader(self._region, places, self._stop))
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=self.url) as http:
            while not await ready(http):
                assert not self._reader.done(), self._reader.exception()
                await asyncio.sleep(0.05)

    @property
    def shelf(self) -> FileShelf:
        """The files of its views."""
        return FileShelf(self._data / VIEWS_FOLDER)

    async def compared(self) -> Verdict:
        """Hold the views against the journal, as `restow projection verify` does."""
        async with journal_of(self._region) as journal:
            return await verify(journal, self.shelf)

    async def stop(self) -> None:
        self._stop.set()
        if self._reader is not None:
            await self._reader


async def environment(served: Served, name: str, count: int) -> list[str]:
    """Create an environment for one test alone; return its containers."""
    layer = {"name": "app", "count": count, "reserved": 1, "limit": 2}
    await served.place.done("environment.create", environment=name, layers=[layer])
    fleet = (await served.place.quiet()).fleet
    return [*fleet.layers[EnvironmentId(name), LayerName("app")].containers]


async def ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@asynccontextmanager
async def region(nats_url: str, data: Path) -> AsyncIterator[Served]:
    """Run a region without hosts during the block; its read side is not started, but stopped."""
    subjects = Subjects(f"t{uuid4().hex[:12]}")
    async with site(nats_url, subjects, data / "agents") as place:
        await place.engine("e1")
        await place.ask("host.cordon", host="nowhere")  # answered once the engine leads
        whole = Served(place, data / "reader")
        try:
            yield whole
        finally:
            await whole.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Return a region of six hosts with a shop, and its dashboard."""
    async with region(nats_url, tmp_path_factory.mktemp("served")) as whole:
        await whole.place.agents(HOSTS, SLOW)
        await whole.place.done("environment.create", **SHOP)
        await whole.place.quiet()
        await whole.start()
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    path = which("chromium")
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        await chromium.close()


class Tab:
    """A page, and all that went wrong in it. Going away from our own origin is wrong, too."""

    def __init__(self, page: Page, served: Served) -> None:
        self.page = page
        self.served = served
        self.wrong: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", lambda request: self._request(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        """A refused command is an answer; what the policy of the page forbids is not."""
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(f"console: {message.text}")

    def _request(self, url: str) -> None:
        if not url.startswith(f"{self.served.url}/"):
            self.wrong.append(f"went to {url}")

    async def open(self, place: str) -> Page:
        """Open a place of the dashboard, and wait until it shows the region as it is."""
        await self.page.goto(f"{self.served.url}/#/{place}")
        await self.page.locator("[data-status=live]").wait_for()
        return self.page


@asynccontextmanager
async def tab_of(browser: Browser, served: Served, **how: object) -> AsyncIterator[Tab]:
    """Open a tab of its own, and see at the end that nothing went wrong in it."""
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **how})  # type: ignore[arg-type]
    try:
        opened = Tab(await context.new_page(), served)
        yield opened
        assert opened.wrong == []
    finally:
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser, served: Served) -> AsyncIterator[Tab]:
    async with tab_of(browser, served) as opened:
        yield opened
