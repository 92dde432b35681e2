"""What people see and do on the dashboard, from the bus to the pixels."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from playwright.async_api import Page, expect

from domain.fleet import Fleet
from domain.messages import ContainerId, EnvironmentId, Instant, LayerName, OperationId
from domain.operation import OperationState
from domain.problems import Problem
from handlers.engine.clock import now
from projections.notes import Note
from tests.browser.conftest import HOSTS, PATIENCE_MS, Served, Tab, environment, tab_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = (
    "fleet",
    "fleet?as=table",
    "operations",
    "events",
    "time",
    "commands",
    "commands/layer.restart",
    "hosts",
    "environments",
    "containers",
    "projections",
    "health",
)
expect.set_options(timeout=PATIENCE_MS)
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


async def position_seen(page: Page) -> int:
    text = await page.locator(".figures b").inner_text()
    return int(text.replace(",", ""))


async def position_then(page: Page) -> int:
    """Return the position that time travel is at, which is in the address."""
    await page.wait_for_url(re.compile(r"[?&]at=\d+"))
    found = re.search(r"[?&]at=(\d+)", page.url)
    assert found is not None
    return int(found[1])


async def test_the_fleet_is_shown_and_a_container_explains_itself(tab: Tab):
    page = await tab.open("fleet")
    await expect(page.get_by_role("button", name=re.compile(r"^operable\s+[1-9]"))).to_be_visible()
    fleet = page.get_by_role("application")
    await expect(fleet).to_have_attribute("aria-label", re.compile(f"{HOSTS} hosts"))
    await fleet.focus()
    await fleet.press("ArrowRight")
    await fleet.press("]")
    await fleet.press("Enter")
    drawer = page.get_by_role("complementary")
    await expect(drawer).to_contain_text("Why it is where it is")
    await expect(drawer).to_contain_text("hosts fitted")
    await expect(drawer).to_contain_text("container.placed")
    await page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)


async def test_the_views_say_how_far_they_are_and_when_they_were_compared(tab: Tab, served: Served):
    page = await tab.open("projections")
    await expect(page.locator("tbody")).to_contain_text("container")
    card = page.get_by_role("region", name="Held against the journal")
    await expect(card).to_contain_text("Never since this store was made")
    await expect(card).to_contain_text("restow projection verify")
    assert (await served.compared()).good
    await expect(card).to_contain_text("all is as the journal says")
    begun = Note("rebuild", now(), now(), goal=200, position=50)
    await served.shelf.note(msgspec.json.encode(begun))
    await expect(card).to_contain_text("50 of 200 events")
    await expect(card.get_by_role("progressbar")).to_have_js_property("value", 0.25)
    broken = replace(begun, over=True, kind="verify", differences=3, lines=9)
    await served.shelf.note(msgspec.json.encode(broken))
    await expect(card).to_contain_text("3 differences")
    await expect(card).to_contain_text("restow projection rebuild")
    long_ago = replace(begun, at=Instant(begun.at - 60_000))
    await served.shelf.note(msgspec.json.encode(long_ago))
    await expect(card).to_contain_text("ended without a word")


async def test_what_is_pointed_at_is_named_and_opened(tab: Tab):
    page = await tab.open("fleet")
    fleet = page.get_by_role("application")
    await fleet.hover(position={"x": 12, "y": 32})
    await expect(page.locator(".tip")).to_contain_text("cloudlets")
    await fleet.click(position={"x": 12, "y": 32})
    await expect(page).to_have_url(re.compile("#/fleet/host/h0"))
    await expect(page.get_by_role("complementary")).to_contain_text("Zone")


async def test_the_map_has_a_table_twin_that_can_be_filtered(tab: Tab, served: Served):
    names = await environment(served, "twin", 2)
    page = await tab.open("fleet?as=table&q=env:twin")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    for name in names:
        await expect(page.locator("tbody")).to_contain_text(name)
    await page.keyboard.press("/")
    await page.keyboard.press("Control+A")
    await page.keyboard.type("nothing-like-this")
    await expect(rows).to_have_count(0)


async def test_a_move_is_seen_live(tab: Tab, served: Served):
    (name,) = await environment(served, "mover", 1)
    region = await served.place.region()
    before = region.fleet.containers[ContainerId(name)].host
    page = await tab.open(f"fleet/container/{name}")
    drawer = page.get_by_role("complementary")
    await expect(drawer).to_contain_text(before)
    reply = await served.place.done("container.migrate", container=name)
    chip = page.locator("footer .chip", has_text=name)
    await expect(chip).to_contain_text("→")
    await expect(drawer).to_contain_text("moving")
    after = (await served.place.quiet()).fleet.containers[ContainerId(name)].host
    await expect(drawer.locator("dd", has_text=after).first).to_be_visible()
    await expect(chip).to_have_count(0)
    await page.goto(f"{served.url}/#/operations/{reply.operation_id}")
    story = page.get_by_label(f"Operation {reply.operation_id}")
    await expect(story).to_contain_text("Frozen for")
    await expect(story).to_contain_text("migration.completed")


async def test_an_operation_is_paused_resumed_and_cancelled(tab: Tab, served: Served):
    await environment(served, "paused", 3)
    reply = await served.place.done(
        "layer.restart", environment="paused", layer="app", delay_s=2, reason="a new certificate"
    )
    name = OperationId(reply.operation_id)
    page = await tab.open(f"operations/{name}")
    story = page.get_by_label(f"Operation {name}")
    await expect(story).to_contain_text("a new certificate")
    await story.get_by_role("button", name="Pause").click()
    await expect(story.locator(".tag", has_text="paused")).to_be_visible()
    await served.place.until(lambda fleet: fleet.operations[name].paused)
    await story.get_by_role("button", name="Resume").click()
    await served.place.until(lambda fleet: not fleet.operations[name].paused)
    await story.get_by_role("button", name="Cancel …").click()
    await story.get_by_placeholder("reason").fill("seen enough")
    await story.get_by_role("button", name=f"Cancel {name}").click()
    await expect(story.locator(".tag").first).to_have_text("cancelled")
    await expect(story.get_by_role("button", name="Pause")).to_have_count(0)


async def test_an_operation_that_asks_is_answered(tab: Tab, served: Served):
    await environment(served, "asks", 2)
    reply = await served.place.done(
        "layer.restart", environment="asks", layer="app", delay_s=0, ask=True
    )
    name = OperationId(reply.operation_id)

    def asks(fleet: Fleet) -> bool:
        return fleet.operations[name].state is OperationState.ASKING

    await served.place.until(asks)
    page = await tab.open(f"operations/{name}")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_label(f"Operation {name}").locator(".tag").first).to_have_text("done")


async def test_events_are_followed_and_explained(tab: Tab, served: Served):
    page = await tab.open("events")
    (name,) = await environment(served, "told", 1)
    row = page.locator("tbody tr", has_text=f"container.{name}").filter(has_text="container.placed")
    await row.get_by_role("link").first.click()
    told = page.locator("section.one")
    await expect(told.locator(".why")).to_contain_text("command environment.create")
    await expect(told.locator("pre")).to_contain_text('"environment": "told"')
    await page.goto(f"{served.url}/#/events?stream=environment.told")
    await expect(page.locator("tbody tr").first).to_contain_text("environment.told")
    await expect(page.locator("tbody")).not_to_contain_text("environment.shop")


async def test_time_travel_shows_the_past_and_what_changed(tab: Tab, served: Served):
    names = await environment(served, "then", 1)
    page = await tab.open("fleet")
    before = (await served.place.region()).position
    await served.place.done("layer.scale", environment="then", layer="app", count=2)
    fleet = (await served.place.quiet()).fleet
    new = ({*fleet.layers[EnvironmentId("then"), LayerName("app")].containers} - {*names}).pop()
    await page.goto(f"{served.url}/#/time/container/{new}?at={before}")
    await expect(page.locator("[data-past]")).to_contain_text(f"position {before:,}")
    await expect(page.get_by_role("complementary")).to_contain_text("not there at this moment")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Compare from here").click()
    slider = page.get_by_label("Position in the journal")
    await slider.press("End")
    await expect(page.locator("[data-diff=container]")).to_contain_text(f"+ {new}")
    await expect(page.get_by_label("What changed")).to_contain_text("layer.scale")
    await slider.press("Home")
    await expect(page.locator("[data-past]")).to_contain_text("position 1")


async def test_history_is_played_from_its_beginning_and_paused(tab: Tab):
    page = await tab.open("time")
    await page.get_by_label("Position in the journal").press("Home")
    await expect(page.locator("[data-past]")).to_contain_text("position 1")
    await page.get_by_role("button", name="Play").click()
    pause = page.get_by_role("button", name="Pause", exact=True)
    await expect(pause).to_be_visible()
    await expect(page.locator("[data-past]")).not_to_contain_text(re.compile("position 1$"))
    await pause.click()
    begun = await position_then(page)
    await page.get_by_role("button", name="Play").click()
    async with asyncio.timeout(PATIENCE_MS / 1_000):
        while await position_then(page) <= begun:
            await asyncio.sleep(0.05)
    await page.get_by_label("Position in the journal").press("End")
    await expect(page.get_by_role("button", name="Play")).to_be_visible()


async def test_an_auditor_is_told_what_was_what_changed_who_asked_and_why_there(
    tab: Tab, served: Served
):
    """The walk of docs/audit.md, in the browser."""
    await environment(served, "walk", 1)
    page = await tab.open("time")
    soon = datetime.now(UTC) + timedelta(seconds=2)
    await page.get_by_label("At (UTC)").fill(f"{soon:%Y-%m-%dT%H:%M:%S}")
    begun = await position_then(page)
    await page.get_by_role("button", name="Compare from here").click()
    reply = await served.place.done(
        "layer.scale", environment="walk", layer="app", count=2, reason="a sale"
    )
    (new,) = reply.containers
    await served.place.quiet()
    slider = page.get_by_label("Position in the journal")
    async with asyncio.timeout(PATIENCE_MS / 1_000):
        while int(await slider.get_attribute("max") or 0) < reply.position:
            await asyncio.sleep(0.05)
    await slider.press("End")
    changed = page.get_by_label("What changed")
    await expect(changed).to_contain_text("layer.scale")
    await expect(changed).to_contain_text("“a sale”")
    await expect(page.locator("[data-diff=container]")).to_contain_text(f"+ {new}")
    until = await position_then(page)
    assert begun < reply.position <= until
    await page.goto(f"{served.url}/#/time/container/{new}?at={until}&from={begun}")
    drawer = page.get_by_role("complementary")
    await expect(drawer).to_contain_text("Why it is where it is")
    await expect(drawer).to_contain_text("hosts fitted")
    told = drawer.get_by_role("listitem").filter(has_text="container.placed")
    await told.get_by_role("link").first.click()
    await expect(page.locator("section.one .why")).to_contain_text("command layer.scale")


async def test_a_lost_connection_shows_how_old_the_data_are(tab: Tab, served: Served):
    page = await tab.open("fleet")
    position = await position_seen(page)
    await served.stop()
    try:
        await expect(page.locator("[data-status=lost]")).to_contain_text(re.compile(r"\d+s old"))
        await expect(page.get_by_role("alert")).to_contain_text("Connection lost")
        await expect(page.locator(".frame.stale")).to_be_visible()
        (name,) = await environment(served, "meanwhile", 1)
    finally:
        await served.start()
    await page.locator("[data-status=live]").wait_for()
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert await position_seen(page) > position
    await page.goto(f"{served.url}/#/containers?q={name}")
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_nobody_elses_words_become_markup(tab: Tab, served: Served):
    """A reason may hold anything; it is text on every page."""
    evil = "<img src=x onerror=document.title='caught'>"
    reply = await served.place.ask("host.cordon", host="nowhere", reason=evil)
    assert isinstance(reply, Problem)
    await served.place.done(
        "host.relabel", host="h05", labels={"zone": "c", "rack": "r1"}, reason=evil
    )
    page = await tab.open("events?stream=host.h05")
    row = page.locator("tbody tr", has_text="host.relabelled")
    await row.first.get_by_role("link").first.click()
    await expect(page.locator(".why")).to_contain_text(evil)
    assert await page.title() == "Events · Restow"


VIOLATIONS = "async (how) => (await axe.run(document, how)).violations"
LOOKS = {
    "light": {},
    "dark": {"runOnly": ["color-contrast"]},
}
"""Only colours are not the same in the dark."""


@pytest.mark.parametrize("scheme", LOOKS)
async def test_everybody_can_read_every_page(browser, served, scheme):
    """Labels, names, roles, contrast: what axe-core can see."""
    if not AXE.exists():
        pytest.skip("there is no axe-core in web/node_modules: make web")
    async with tab_of(browser, served, color_scheme=scheme, reduced_motion="reduce") as tab:
        told = []
        for place in PAGES:
            page = await tab.open(place)
            await page.wait_for_timeout(200)
            await page.evaluate(AXE.read_text())
            found = await page.evaluate(VIOLATIONS, LOOKS[scheme])
            told += [
                (place, one["id"], node["html"], node["failureSummary"])
                for one in found
                for node in one["nodes"]
            ]
        assert told == []


async def test_a_phone_shows_every_page_without_scrolling_sideways(browser, served):
    size = {"width": 390, "height": 844}
    async with tab_of(browser, served, viewport=size, is_mobile=True, has_touch=True) as tab:
        for place in PAGES:
            page = await tab.open(place)
            await page.wait_for_timeout(150)
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert (place, width) == (place, 390)
