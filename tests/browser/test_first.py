"""A region where nothing is yet: every page says what to do, or what would fill it."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import PATIENCE_MS, Served, Tab, region, tab_of
from tests.engine.site import HARDWARE

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=PATIENCE_MS)

SAID = {
    "fleet": "This region has no hosts yet",
    "fleet?as=table": "restow agent --host north1",
    "operations": "restow layer restart shop/app",
    "events": "Nothing happened yet",
    "time": "Nothing happened yet",
    "hosts": "restow agent --host north1",
    "environments": "restow env create shop",
    "containers": "restow env create shop",
    "commands?q=nothing-like-this": "No command is like this",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Return a region without anything, and its dashboard."""
    async with region(nats_url, tmp_path_factory.mktemp("first")) as whole:
        await whole.start()
        yield whole


async def test_every_empty_page_says_what_would_fill_it(tab: Tab):
    for place, said in SAID.items():
        page = await tab.open(place)
        await expect(page.get_by_role("main")).to_contain_text(said)


async def test_a_phone_shows_the_first_steps_without_scrolling_sideways(browser, served):
    async with tab_of(browser, served, viewport={"width": 390, "height": 844}) as tab:
        page = await tab.open("fleet")
        await expect(page.get_by_label("First steps")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == 390


async def test_the_first_steps_lead_to_a_shop(browser, nats_url: str, tmp_path):
    async with region(nats_url, tmp_path) as served:
        await served.start()
        async with tab_of(browser, served) as tab:
            page = await tab.open("fleet")
            steps = page.get_by_label("First steps")
            await steps.get_by_role("link", name="host.register").click()
            for name, value in {"host": "north1", **HARDWARE}.items():
                await page.locator(f"input[list=known-{name}]").fill(str(value))
            await page.get_by_role("button", name="Dry run").click()
            await page.get_by_role("button", name="Do just this").click()
            await expect(page.locator("[data-answer=done]")).to_be_visible()
            await page.goto(f"{served.url}/#/fleet")
            await expect(steps).to_contain_text("nothing runs on them yet")
            await expect(page.get_by_role("application")).to_have_attribute(
                "aria-label", re.compile("1 hosts")
            )
            await steps.get_by_role("link", name="environment.create").click()
            await expect(page.locator("pre").first).to_contain_text('"anti_affinity":"hard"')
            await page.get_by_role("button", name="Dry run").click()
            await expect(page.locator(".note.bad")).to_contain_text("0 of 1 hosts")
