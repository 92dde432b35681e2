"""Hosts that are emptied, on the dashboard: followed, paused, stopped; and who could not go."""

import re

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from domain.evacuation import EvacuationState
from domain.fleet import Fleet
from domain.host import HostState
from domain.messages import EnvironmentId, EvacuationId, HostId, LayerName, OperationId
from tests.browser.conftest import HOSTS, PATIENCE_MS, Served, Tab, environment, tab_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=PATIENCE_MS)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def all_hosts_are_open(served: Served) -> None:
    """Open what other tests have emptied."""
    for name, host in (await served.place.quiet()).fleet.hosts.items():
        if host.state is not HostState.ACTIVE:
            await served.place.done("host.uncordon", host=name)


async def fullest(served: Served) -> HostId:
    """Return the host that carries most."""
    fleet = (await served.place.quiet()).fleet
    carried = [one.host for one in fleet.containers.values()]
    return max(fleet.hosts, key=carried.count)


async def opened(tab: Tab, name: str) -> Page:
    page = await tab.open(f"operations/{name}")
    await expect(page.get_by_role("table", name=f"Containers of {name}")).to_be_visible()
    return page


async def test_an_evacuation_is_paused_resumed_and_stopped(tab: Tab, served: Served):
    await environment(served, "crowd", 3 * HOSTS)
    host = await fullest(served)
    reply = await served.place.done(
        "host.evacuate", host=host, at_once=1, reason="new memory on Friday"
    )
    name = EvacuationId(reply.operation_id)
    page = await opened(tab, name)
    story = page.get_by_label(f"Operation {name}")
    await expect(story).to_contain_text("new memory on Friday")
    await expect(story.locator("[data-going=moving]")).to_have_count(1)
    await expect(page.locator("footer .chip", has_text=name)).to_contain_text(f"evacuate {host}")
    await story.get_by_role("button", name="Pause").click()

    await served.place.until(lambda fleet: is_in(fleet, name, EvacuationState.PAUSED))
    await story.get_by_role("button", name="Resume").click()
    await served.place.until(lambda fleet: not is_in(fleet, name, EvacuationState.PAUSED))
    await story.get_by_role("button", name="Stop …").click()
    await story.get_by_placeholder("reason").fill("seen enough")
    await story.get_by_role("button", name=f"Stop {name}").click()
    await expect(story.locator(".tag").first).to_have_text("stopped")
    await expect(story.get_by_role("button", name="Stop …")).to_have_count(0)
    over = (await served.place.quiet()).fleet.evacuations[name].over
    moved = sum(one.outcome.value == "moved" for one in over)
    await expect(story.locator("[data-going=moved]")).to_have_count(moved)
    await expect(story).to_contain_text("evacuation.finished")


def is_in(fleet: Fleet, name: EvacuationId, state: EvacuationState) -> bool:
    return fleet.evacuations[name].state is state


async def test_who_could_not_go_is_listed_first_with_the_reason(tab: Tab, served: Served):
    layer = {"name": "apart", "count": HOSTS, "reserved": 1, "limit": 2, "anti_affinity": "hard"}
    await served.place.done("environment.create", environment="wide", layers=[layer])
    fleet = (await served.place.quiet()).fleet
    stays = fleet.layers[EnvironmentId("wide"), LayerName("apart")].containers[0]
    host = fleet.containers[stays].host
    reply = await served.place.done("host.evacuate", host=host)
    await served.place.quiet()
    page = await opened(tab, reply.operation_id)
    failed = page.get_by_label("Not done")
    await expect(failed.get_by_role("listitem")).to_have_count(1)
    await expect(failed).to_contain_text(f"{stays} ")
    await expect(failed).to_contain_text("anti-affinity")
    rows = page.get_by_role("table", name=f"Containers of {reply.operation_id}").locator("tbody tr")
    await expect(rows.first).to_contain_text(stays)


async def test_a_finished_operation_shows_its_certificate(tab: Tab, served: Served):
    await environment(served, "certified", 2)
    reply = await served.place.done(
        "layer.restart", environment="certified", layer="app", delay_s=0
    )
    name = OperationId(reply.operation_id)
    await served.place.quiet()
    page = await tab.open(f"operations/{name}")
    certificate = page.get_by_label(f"Certificate of {name}")
    await certificate.get_by_role("button", name="Make it from the journal").click()
    await expect(certificate).to_contain_text("holds, and its witness agrees")
    await expect(certificate).to_contain_text("at least 1 of 2 operable")
    await expect(certificate.locator("tr.least td").nth(1)).to_have_text("1")
    await expect(certificate).to_contain_text(re.compile("digest [0-9a-f]{64}"))


async def test_a_phone_shows_an_evacuation_without_scrolling_sideways(browser, served: Served):
    host = await fullest(served)
    reply = await served.place.done("host.evacuate", host=host)
    size = {"width": 390, "height": 844}
    async with tab_of(browser, served, viewport=size, is_mobile=True, has_touch=True) as tab:
        page = await opened(tab, reply.operation_id)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
