"""`make pictures`: the pictures of the pages, of a small region from a fixed seed.

What stands on them is not compared with anything: times are those of the day they were made.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from playwright.async_api import Browser, Page, async_playwright

from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.nats_server import ServerOptions, start
from restow.logs import quiet
from tests.browser.conftest import FLAGS, Served
from tests.engine.site import Site, site

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
HOSTS = 15
ZONES = ("east", "north", "south")
HOW = Behaviour(seed=7, speed=6.0, durations_ms={"copy": (9_000, 9_000)})
WIDE = {"width": 1_280, "height": 760}
PHONE = {"width": 390, "height": 780}
SHOP = (
    {"name": "bl", "role": "bl", "count": 2, "ports": [80]},
    {"name": "app", "role": "cp", "count": 9, "reserved": 2, "limit": 8},
    {"name": "sql", "role": "sqldb", "count": 3, "reserved": 4, "anti_affinity": "hard"},
)
FEED = (
    {"name": "web", "role": "cp", "count": 12, "reserved": 3, "limit": 6},
    {"name": "cache", "role": "cache", "count": 8, "reserved": 6, "limit": 12},
)


async def furnish(place: Site) -> None:
    """Let a shop and a feed run, one host loaded, one cordoned."""
    for number in range(1, HOSTS + 1):
        zone = ZONES[number % len(ZONES)]
        await place.done("host.relabel", host=f"h{number:02}", labels={"zone": zone})
    await place.done("environment.create", environment="shop", layers=SHOP)
    await place.done("environment.create", environment="feed", layers=FEED)
    await place.quiet()
    await place.done("host.cordon", host="h09", reason="new memory on Friday")


async def stir(place: Site) -> str:
    """Begin a restart and some moves; return the restart's operation."""
    for number in (4, 12, 19):
        await place.done("container.migrate", container=f"node{number}", reason="make room")
    reply = await place.done(
        "layer.restart", environment="shop", layer="app", delay_s=1, reason="new certificate"
    )
    await asyncio.sleep(1.2)
    return reply.operation_id


@asynccontextmanager
async def page_of(browser: Browser, size: dict[str, int], scheme: str) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    yield await context.new_page()
    await context.close()


async def picture(page: Page, served: Served, where: str, name: str) -> None:
    """Write the picture of one place."""
    await page.goto(f"{served.url}/#/{where}")
    await page.locator("[data-status=live]").wait_for()
    await page.wait_for_timeout(700)
    await page.screenshot(path=FOLDER / f"{name}.png")


async def pictures(browser: Browser, served: Served) -> None:
    """Write them all; the order is that of the story."""
    before = (await served.place.region()).position
    async with page_of(browser, WIDE, "light") as light, page_of(browser, WIDE, "dark") as dark:
        name = await stir(served.place)
        await picture(light, served, "fleet", "fleet-light")
        await picture(dark, served, "fleet/container/node6", "fleet-dark")
        await served.place.quiet()
        await picture(light, served, f"operations/{name}", "operation")
        after = (await served.place.region()).position
        await picture(dark, served, f"time?from={before}&at={after - 60}", "time-travel")
        scale = "commands/layer.scale?environment=shop&layer=app&count=11"
        await light.goto(f"{served.url}/#/{scale}")
        await light.get_by_role("button", name="Dry run").click()
        await light.locator("[data-plan]").wait_for()
        await light.screenshot(path=FOLDER / "command.png")
    async with page_of(browser, PHONE, "dark") as phone:
        await picture(phone, served, "fleet", "phone")


async def main() -> None:
    quiet()
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        data = Path(folder)
        server = await start(ServerOptions(data / "nats"))
        try:
            async with site(server.url, Subjects("pictures"), data / "agents") as place:
                await place.engine("e1")
                await place.agents(HOSTS, HOW)
                await furnish(place)
                served = Served(place, data / "reader")
                await served.start()
                async with async_playwright() as playwright:
                    browser = await playwright.chromium.launch(
                        executable_path=which("chromium"), args=FLAGS
                    )
                    await pictures(browser, served)
                    await browser.close()
                await served.stop()
        finally:
            await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    asyncio.run(main())
