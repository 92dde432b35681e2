"""Time travel by the strip that shows how much happened when."""

import asyncio
import re

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import PATIENCE_MS, Served, Tab, environment, tab_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=PATIENCE_MS)


def strip(page: Page):
    return page.get_by_label("Moment in time")


async def positions(served: Served) -> list[int]:
    """Return where stretches of time end in which something happened."""
    async with httpx.AsyncClient(base_url=served.url) as http:
        buckets = (await http.get("/v1/density?buckets=120")).json()["buckets"]
    return [one["position"] for one in buckets if one["events"]]


async def at(page: Page, position: int) -> None:
    await page.wait_for_url(re.compile(rf"[?&]at={position}\b"))
    await expect(page.locator("[data-past]")).to_contain_text(f"position {position:,}")


@pytest_asyncio.fixture(loop_scope="module")
async def still(served: Served) -> list[int]:
    """Return the stretches of a history that does not go on."""
    await served.place.quiet()
    last = (await served.place.region()).position
    async with asyncio.timeout(PATIENCE_MS / 1_000):
        while (found := await positions(served))[-1] < last:
            await asyncio.sleep(0.05)
    return found


async def test_keys_lead_from_one_busy_moment_to_the_next(tab: Tab, still: list[int]):
    page = await tab.open("time")
    await strip(page).press("Home")
    await at(page, still[0])
    await strip(page).press("ArrowRight")
    await at(page, still[1])
    await expect(strip(page)).to_have_attribute(
        "aria-valuetext", re.compile(f"UTC, .* events?, up to position {still[1]}$")
    )
    await strip(page).press("ArrowLeft")
    await at(page, still[0])


async def test_a_click_leads_to_what_had_happened_by_then(tab: Tab, still: list[int]):
    page = await tab.open("time")
    bars = page.locator("[data-strip]")
    box = await bars.bounding_box()
    assert box is not None
    await bars.click(position={"x": 2, "y": 12})
    await at(page, still[0])
    await bars.click(position={"x": box["width"] - 2, "y": 12})
    await at(page, still[-1])


async def test_the_strip_grows_with_history(tab: Tab, served: Served, still: list[int]):
    page = await tab.open("time")
    await strip(page).press("Home")
    await at(page, still[0])
    await environment(served, "later", 1)
    last = (await served.place.quiet()).position

    async def reached() -> int:
        await strip(page).press("Home")
        await strip(page).press("End")
        found = re.search(r"[?&]at=(\d+)", page.url)
        return int(found[1]) if found else 0

    async with asyncio.timeout(PATIENCE_MS / 1_000):
        while await reached() < last:
            await asyncio.sleep(0.2)


async def test_a_phone_shows_the_strip_in_the_dark(browser, served, still):
    how = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    async with tab_of(browser, served, **how) as tab:
        page = await tab.open("time")
        await expect(page.locator("[data-strip]")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
