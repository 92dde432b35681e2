"""Forms of commands: planned first, then done; and the same on the command line and on the bus."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from playwright.async_api import Locator, Page, expect

from domain.contracts import Reply
from domain.messages import EnvironmentId, HostId, LayerName
from handlers.bus import request
from tests.browser.conftest import PATIENCE_MS, Served, Tab, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=PATIENCE_MS)


def field(page: Page, name: str) -> Locator:
    """Return where a field of the form is typed."""
    return page.locator(f"input[list=known-{name}]")


async def nats_line(page: Page) -> tuple[str, bytes]:
    """Return subject and payload of the line for NATS."""
    found = re.fullmatch(r"nats req (\S+) '(.*)'", await page.locator("pre").nth(1).inner_text())
    assert found is not None
    return found[1], found[2].encode()


async def dry_run(page: Page) -> None:
    await page.get_by_role("button", name="Dry run").click()


async def test_a_command_is_planned_first_and_then_done(tab: Tab, served: Served):
    await environment(served, "typed", 1)
    key = (EnvironmentId("typed"), LayerName("app"))
    page = await tab.open("commands/layer.scale?environment=typed&layer=app")
    do = page.get_by_role("button", name="Do just this")
    await expect(do).to_be_disabled()
    await field(page, "count").fill("2")
    await expect(page.locator("pre").first).to_contain_text(
        """restow command send layer.scale '{"environment":"typed","layer":"app","count":2}'"""
    )
    await page.get_by_role("button", name="Dry run").click()
    await expect(page.locator("[data-plan]")).to_contain_text("would end done")
    assert len((await served.place.region()).fleet.layers[key].containers) == 1
    await do.click()
    await expect(page.locator("[data-answer=accepted]")).to_be_visible()
    assert len((await served.place.quiet()).fleet.layers[key].containers) == 2


async def test_the_command_line_that_is_shown_is_taken_by_the_bus(tab: Tab, served: Served):
    page = await tab.open("commands/host.cordon?host=h06")
    line = await page.locator("pre").nth(1).inner_text()
    found = re.fullmatch(r"nats req (\S+) '(.*)'", line)
    assert found is not None
    assert found[1] == served.place.subjects.service("host.cordon")
    assert found[2] == '{"host":"h06"}'


async def test_a_refusal_says_which_field_and_what_is_allowed(tab: Tab):
    page = await tab.open("commands/layer.scale?environment=nowhere&layer=app&count=2")
    await page.get_by_role("button", name="Dry run").click()
    await expect(page.locator(".note.bad")).to_contain_text("environment.not_found")
    await field(page, "count").fill("100000")
    await page.get_by_role("button", name="Dry run").click()
    await expect(page.locator("label.wrong")).to_contain_text("count")


async def test_an_ask_has_an_id_a_version_and_an_end_and_every_line_shows_them(
    tab: Tab, served: Served
):
    page = await tab.open("commands/host.cordon?host=h03")
    await page.get_by_text("More: which ask").click()
    version = (await served.place.region()).versions["host.h03"]
    until = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    asked = {"id": "friday-1", "expect_version": str(version), "expires_at": until}
    for name, text in asked.items():
        await field(page, name).fill(text)
    subject, payload = await nats_line(page)
    assert subject == served.place.subjects.service("host.cordon")
    body = {"host": "h03", "id": "friday-1", "expect_version": version, "expires_at": until}
    assert msgspec.json.decode(payload) == body
    await expect(page.locator("pre").first).to_contain_text(payload.decode())
    await dry_run(page)
    await expect(page.locator("[data-plan]")).to_be_visible()
    await page.get_by_role("button", name="Do just this").click()
    await expect(page.locator("[data-answer=done]")).to_be_visible()
    region = await served.place.region()
    assert region.fleet.hosts[HostId("h03")].state.value == "cordoned"
    again = await served.place.ask(
        "host.cordon", host="h03", id="friday-1", expect_plan="0-" + "0" * 32
    )
    assert not isinstance(again, Reply)
    assert again.code == "command.id_reused"


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("id", "two words", "request.invalid", "printable"),
        ("expect_version", "-1", "limits.out_of_range", "0"),
        ("expect_version", "999", "version.conflict", "is at version"),
        ("expires_at", "2026-11-21T10:00:00", "request.invalid", "zone"),
        ("expires_at", "2099-01-01T00:00:00Z", "limits.out_of_range", "24 h ahead"),
        ("expires_at", "2020-01-01T00:00:00Z", "command.expired", "expired"),
    ],
)
async def test_what_an_ask_cannot_carry_is_said_at_its_field(tab: Tab, name, text, code, said):
    page = await tab.open(f"commands/host.uncordon?host=h01&{name}={text.replace(' ', '%20')}")
    await expect(field(page, name)).to_be_visible()
    await dry_run(page)
    await expect(page.locator(".note.bad")).to_contain_text(code)
    wrong = page.locator("label.wrong")
    await expect(wrong).to_contain_text(name)
    await expect(wrong.locator("small")).to_contain_text(said)


async def test_the_line_for_nats_is_taken_and_its_id_is_then_refused_to_another_ask(
    tab: Tab, served: Served
):
    page = await tab.open("commands/host.relabel?host=h02&labels=zone%3Dq&id=again-1")
    subject, payload = await nats_line(page)
    said = await request(served.place.bus, subject, payload, within_s=5)
    assert msgspec.json.decode(said, type=Reply).command_id == "again-1"
    await dry_run(page)
    await expect(page.locator(".note.bad")).to_contain_text("command.id_reused")
