"""By the shorter way all is said just as by the router's."""

import httpx
import pytest

from projections.web import serving
from projections.web.lists import Lists
from tests.projections.journal import MemoryJournal
from tests.views.shelves import reached
from tests.web.conftest import END, FRAMES, served

PATHS = (
    "/v1/hosts",
    "/v1/hosts/",
    "/v1/hosts/h01",
    "/v1/hosts/h01?fields=id,zone",
    "/v1/hosts/nobody",
    "/v1/hosts/h01?colour=red",
    "/v1/hosts/h01/more",
    "/v1/hosts/%68%30%31",
    f"/v1/hosts/h01?min_position={END + 1}&wait_ms=1",
    f"/v1/hosts/h01?as_of={END}",
    "/v1/events?limit=200",
    "/v1/events?limit=5&sort=-at",
    "/v1/events/7",
    f"/v1/events?type={'x' * 9_000}",
    "/v1/commands",
    "/v1/ships/h01",
    "/v1/",
    "/v1",
    "/v2/hosts",
    "/version",
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept-Encoding": "identity"},
    {"If-None-Match": "*"},
    {"Host": "elsewhere"},
)
METHODS = ("GET", "HEAD", "POST", "OPTIONS")


async def said(url):
    """Return all that is said: what varies by itself is left out."""
    found = {}
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        for path in PATHS:
            for number, headers in enumerate(HEADERS):
                for method in METHODS if not number else ("GET",):
                    told = await client.request(method, path, headers=headers)
                    kept = {name: text for name, text in told.headers.items() if name != "date"}
                    found[method, path, number] = told.status_code, kept, told.content
        counted = (await client.get("/metrics")).text.splitlines()
    requests = {line for line in counted if line.startswith("restow_http_requests_total{")}
    return found, requests


async def test_all_is_said_alike(tmp_path, monkeypatch):
    async with served(MemoryJournal(FRAMES), tmp_path / "short") as site:
        await reached(site.keeping, END)
        short = await said(site.url)
    monkeypatch.setattr(serving, "Shortcut", lambda _routes, otherwise: otherwise)
    async with served(MemoryJournal(FRAMES), tmp_path / "long") as site:
        await reached(site.keeping, END)
        assert await said(site.url) == short
    statuses = {status for status, _, _ in short[0].values()}
    assert statuses >= {200, 304, 400, 403, 404, 405, 413, 504}


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_mistake_of_ours_is_a_problem(http, monkeypatch, encoding):
    async def mistaken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(Lists, "one", mistaken)
    told = await http.get("/v1/hosts/h01", headers={"Accept-Encoding": encoding})
    assert told.status_code == 500
    assert told.headers["Content-Type"] == "application/problem+json"
