"""Undo on the dashboard: the way back is shown first, then sent, each command held to its plan."""

import re

import pytest
from playwright.async_api import expect

from domain.messages import EnvironmentId, LayerName
from tests.browser.conftest import PATIENCE_MS, Served, Tab, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=PATIENCE_MS)


async def test_a_scaled_layer_is_brought_back(tab: Tab, served: Served):
    await environment(served, "back", 2)
    key = (EnvironmentId("back"), LayerName("app"))
    body = {"environment": "back", "layer": "app", "count": 3}
    name = (await served.place.done("layer.scale", **body)).operation_id
    assert len((await served.place.quiet()).fleet.layers[key].containers) == 3
    page = await tab.open(f"operations/{name}")
    undo = page.get_by_label(f"Undo {name}")
    await undo.get_by_role("button", name="Show the way back").click()
    await expect(undo).to_contain_text("layer.back/app count: 3 → 2")
    await expect(undo).to_contain_text("each is done")
    assert len((await served.place.region()).fleet.layers[key].containers) == 3
    await undo.get_by_role("button", name="Send …").click()
    await undo.get_by_role("button", name="Send 1 command").click()
    await expect(undo.locator("[data-undone]")).to_be_visible()
    assert len((await served.place.quiet()).fleet.layers[key].containers) == 2


async def test_what_others_changed_since_is_left_and_said(tab: Tab, served: Served):
    await environment(served, "since", 2)
    body = {"environment": "since", "layer": "app"}
    name = (await served.place.done("layer.scale", **body, count=3)).operation_id
    await served.place.quiet()
    await served.place.done("layer.scale", **body, count=4)
    await served.place.quiet()
    page = await tab.open(f"operations/{name}")
    undo = page.get_by_label(f"Undo {name}")
    await undo.get_by_role("button", name="Show the way back").click()
    await expect(undo).to_contain_text("changed since")
    await expect(undo).to_contain_text("Nothing to send")
    await expect(undo.get_by_role("button", name="Send …")).to_have_count(0)


async def test_all_that_was_asked_in_a_span_of_time_is_brought_back(tab: Tab, served: Served):
    await environment(served, "span", 2)
    before = (await served.place.quiet()).position
    key = (EnvironmentId("span"), LayerName("app"))
    body = {"environment": "span", "layer": "app"}
    await served.place.done("layer.scale", **body, count=3)
    await served.place.quiet()
    await served.place.done("layer.scale", **body, count=4)
    region = await served.place.quiet()
    assert len(region.fleet.layers[key].containers) == 4
    page = await tab.open(f"time?from={before}&at={region.position}")
    undo = page.get_by_label(re.compile("Undo positions"))
    await undo.get_by_role("button", name="Show the way back").click()
    await expect(undo).to_contain_text("2 asked for by people then")
    await expect(undo).to_contain_text("layer.span/app count: 4 → 2")
    await expect(undo).to_contain_text("each is done")
    assert len((await served.place.region()).fleet.layers[key].containers) == 4
    await undo.get_by_role("button", name="Send …").click()
    await undo.get_by_role("button", name=re.compile(r"Send \d+ command")).click()
    await expect(undo.locator("[data-undone]")).to_be_visible()
    layer = (await served.place.quiet()).fleet.layers[key]
    assert len(layer.containers) == 2


async def test_a_span_in_which_nobody_asked_for_anything_offers_nothing(tab: Tab, served: Served):
    await environment(served, "idle", 1)
    end = (await served.place.quiet()).position
    page = await tab.open(f"time?from={end - 1}&at={end}")
    await expect(page.get_by_label("What changed")).to_contain_text("lines differ")
    await expect(page.get_by_label(re.compile("Undo positions"))).to_have_count(0)
