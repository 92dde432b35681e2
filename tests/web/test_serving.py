"""Who is served, what is streamed, how it ends; commands are handed on."""

import asyncio
import socket
import time
from contextlib import aclosing, asynccontextmanager
from functools import partial

import httpx
import msgspec
import pytest

from domain.contracts.catalogue import COMMANDS
from domain.host import HostRated, HostRegistered
from domain.messages import HostId
from projections.views import ALL
from projections.web import changes, serving
from projections.web.openapi import openapi
from projections.web.serving import AddressInUseError, listen
from tests.projections.journal import Book, MemoryJournal
from tests.views.shelves import reached, until
from tests.web.conftest import END, FRAMES, served

NORTH = HostId("north")


async def told(stream):
    """Return the next event of a stream: its name, id and data."""
    event = {}
    async for line in stream:
        name, _, value = line.partition(": ")
        if name in {"event", "id", "data"}:
            event[name] = value
        elif not line and "data" in event:
            return event["event"], int(event["id"]), msgspec.json.decode(event["data"])
        elif line.startswith(": "):
            return "quiet", 0, None
    return "end", 0, None


@asynccontextmanager
async def hearing(http, path="/v1/changes", **headers):
    async with http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        async with aclosing(response.aiter_lines()) as lines:
            yield lines


@pytest.fixture
def book():
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800))
    return book


@pytest.fixture
async def small(book, tmp_path):
    """Return a read API of a region with one host."""
    async with served(MemoryJournal(book.frames), tmp_path) as site:
        await reached(site.keeping, 1)
        yield site


async def rate(site, book, mark):
    await site.journal.write(book.say(HostRated(NORTH, mark)))
    await reached(site.keeping, book.position)


async def test_changes_are_told_as_they_come(small, book):
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http:
        async with hearing(http, "/v1/changes?views=host") as stream:
            await asyncio.sleep(0.2)
            await rate(small, book, 7)
            kind, position, said = await told(stream)
        assert (kind, position) == ("change", 2)
        assert [(c["view"], c["key"], c["line"]["load_mark"]) for c in said["changes"]] == [
            ("host", "north", 7)
        ]


async def test_who_comes_back_is_told_what_it_missed(small, book):
    for mark in (1, 2, 3):
        await rate(small, book, mark)
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http:
        async with hearing(http, **{"Last-Event-ID": "2"}) as stream:
            _, position, said = await told(stream)
        assert position == 4
        marks = [c["line"]["load_mark"] for c in said["changes"] if c["view"] == "host"]
        assert marks == [2, 3]
        async with hearing(http, "/v1/changes?after=0&views=event") as stream:
            _, _, said = await told(stream)
        assert [c["key"] for c in said["changes"]] == ["1", "2", "3", "4"]


async def test_who_was_away_too_long_is_to_read_anew(small, book, monkeypatch):
    monkeypatch.setattr(changes, "RING_MAX", 2)
    for mark in range(5):
        await rate(small, book, mark)
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http:
        for after in ("1", "99"):
            async with hearing(http, f"/v1/changes?after={after}") as stream:
                kind, position, _ = await told(stream)
                assert (kind, position) == ("resync", 6)
                assert (await told(stream))[0] == "end"


async def test_a_slow_listener_is_told_to_read_anew_and_keeps_nobody_waiting(
    small, book, monkeypatch
):
    monkeypatch.setattr(changes, "RING_MAX", 2)
    monkeypatch.setattr(changes, "PACE_S", 0.3)
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http:
        async with hearing(http) as stream:
            await asyncio.sleep(0.2)
            for mark in range(6):
                await rate(small, book, mark)
            assert (await told(stream))[0] == "resync"
        assert (await http.get("/v1/hosts/north")).json()["load_mark"] == 5


async def test_a_quiet_stream_shows_that_it_is_there(small, monkeypatch):
    monkeypatch.setattr(changes, "HEARTBEAT_S", 0.05)
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http, hearing(http) as stream:
        assert (await told(stream))[0] == "quiet"


async def test_refusals_are_told_though_nothing_happened(small, book):
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http:
        async with hearing(http, "/v1/changes?views=command") as stream:
            await asyncio.sleep(0.2)
            await small.journal.write(book.say())
            kind, position, said = await told(stream)
        assert (kind, position) == ("change", 1)
        assert [c["view"] for c in said["changes"]] == ["command"]


async def test_it_stops_in_order_with_streams_open(small):
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http, hearing(http) as stream:
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        small.task.cancel()
        assert (await told(stream))[0] == "server-closing"
        await asyncio.gather(small.task, return_exceptions=True)
        assert time.monotonic() - begun < 2


async def test_who_leaves_is_forgotten(small, book):
    async with httpx.AsyncClient(base_url=small.url, timeout=20) as http:
        async with hearing(http):
            said = (await http.get("/metrics")).text
            assert "restow_http_listeners 1" in said
        await rate(small, book, 1)
        await rate(small, book, 2)
        async with asyncio.timeout(10):
            while "restow_http_listeners 0" not in (await http.get("/metrics")).text:
                await asyncio.sleep(0.05)


async def test_a_listener_that_takes_nothing_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "STUCK_S", 0.3)
    monkeypatch.setattr(changes, "PACE_S", 0.0)
    book = Book()
    book.say(HostRegistered(NORTH, 32, 100, 4_096, 12_800, {"note": "x" * 200_000}))
    async with served(MemoryJournal(book.frames), tmp_path) as small:
        await reached(small.keeping, 1)
        with socket.socket() as dead:
            dead.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            dead.connect(("127.0.0.1", small.port))
            dead.sendall(b"GET /v1/changes HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with httpx.AsyncClient(base_url=small.url, timeout=20) as http:
                await until(partial(listeners, http, 1))
                async with hearing(http) as alive:
                    for mark in range(60):  # 12 MB: no system keeps so much for who does not read
                        await rate(small, book, mark)
                        assert (await told(alive))[1] == book.position
                    await until(partial(listeners, http, 1))
                await until(partial(listeners, http, 0))


async def listeners(http, many):
    return f"restow_http_listeners {many}\n" in (await http.get("/metrics")).text


async def test_a_view_that_is_not_there_is_refused(http):
    said = await http.get("/v1/changes?views=hots")
    assert said.status_code == 400
    assert "did you mean host" in said.json()["detail"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost:80:80", "10.0.0.7:8080", ""]
)
async def test_other_names_than_ours_are_refused(http, host):
    said = await http.get("/v1/hosts", headers={"Host": host})
    assert said.status_code in {400, 403}
    if said.status_code == 403:
        assert said.json()["code"] == "auth.denied"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8080"])
async def test_names_of_this_machine_are_served(http, host):
    assert (await http.get("/v1/hosts", headers={"Host": host})).status_code == 200


async def test_pages_of_others_may_not_ask(http, site):
    for origin in ("http://evil.example", "null", "https://127.0.0.1"):
        said = await http.get("/v1/hosts", headers={"Origin": origin})
        assert said.status_code == 403
        assert "Access-Control-Allow-Origin" not in said.headers
    own = await http.get("/v1/hosts", headers={"Origin": site.url})
    assert own.status_code == 200


async def test_a_command_is_handed_on_with_who_asks(http, site):
    body = {"type": "host.cordon", "host": "h01", "id": "c-1"}
    headers = {"Restow-Actor": "ana", "Restow-Tenant": "acme"}
    said = await http.post("/v1/commands", json=body, headers=headers)
    assert (said.status_code, said.json()["status"]) == (200, "done")
    assert said.headers["Restow-Position"] == str(END)
    name, heard, told_headers = site.engine.asked[0]
    assert (name, heard) == ("host.cordon", {"host": "h01", "id": "c-1"})
    assert told_headers["Restow-Actor"] == "ana"


async def test_a_refusal_of_the_engine_is_a_problem(http):
    said = await http.post("/v1/commands", json={"type": "host.remove", "host": "h01"})
    assert said.status_code == 409
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["code"] == "host.in_use"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"type":3}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 5_000, "application/json", 400),
        (b'{"type":"host.cordon"}', "text/plain", 415),
        (b'{"type":"host.cordon","x":"' + b"a" * 70_000 + b'"}', "application/json", 413),
    ],
)
async def test_what_is_no_command_is_refused(http, site, body, kind, status):
    said = await http.post("/v1/commands", content=body, headers={"Content-Type": kind})
    assert said.status_code == status, said.text
    assert site.engine.asked == []


async def test_other_methods_are_refused(http):
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        said = await http.request(method, "/v1/hosts")
        assert said.status_code == 405
        assert said.headers["content-type"] == "application/problem+json"


async def test_it_says_whether_it_is_there_and_ready(tmp_path):
    class Slow(MemoryJournal):
        async def end(self):
            return END

    journal = Slow(FRAMES[:3])
    async with (
        served(journal, tmp_path) as site,
        httpx.AsyncClient(base_url=site.url, timeout=20) as http,
    ):
        assert (await http.get("/livez")).text == "ok\n"
        said = await http.get("/readyz")
        assert said.status_code == 503
        assert int(said.headers["Retry-After"]) >= 0
        assert (await http.get("/v1/hosts")).json()["code"] == "engine.catching_up"
        await journal.write(*FRAMES[3:])
        await reached(site.keeping, END)
        assert (await http.get("/readyz")).status_code == 200


async def test_what_is_counted_names_routes_and_nothing_that_a_stranger_made_up(http):
    for path in ("/v1/hosts/h01", "/v1/hosts/nowhere", "/made-up"):
        await http.get(path)
    said = (await http.get("/metrics")).text
    assert 'restow_http_requests_total{route="/v1/hosts/{key:path}",status="404"} 1' in said
    assert f"restow_views_position {END}" in said
    assert "restow_views_behind 0" in said
    assert "made-up" not in said


async def test_the_document_tells_of_every_path_and_every_command(http):
    said = (await http.get("/openapi.json")).json()
    assert said == msgspec.json.decode(msgspec.json.encode(openapi()))
    for view in ALL:
        assert f"/v1/{view.plural}" in said["paths"]
    names = said["paths"]["/v1/commands"]["post"]["requestBody"]["content"]["application/json"]
    assert names["examples"].keys() == COMMANDS.keys()
    text = msgspec.json.encode(said).decode()
    for part in text.split('"$ref":"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in said["components"]["schemas"]
    ids = [one["operationId"] for path in said["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
    for path, asked in said["paths"].items():
        plain = path.replace("{key}", "nothing").replace("{name}", "op9")
        told = asked.get("get", {}).get("parameters", ())
        asks = [one["name"] for one in told if one.get("required") and one["in"] == "query"]
        needed = {name: "0" if name == "from" else "op9" for name in asks}
        if path != "/v1/changes":
            answer = await http.get(plain, params=needed)
            assert answer.status_code in {200, 404}, (path, answer.text)


async def test_a_port_that_is_taken_is_said(site):
    with pytest.raises(AddressInUseError, match="--http"):
        listen("127.0.0.1", site.port)


async def test_versions_are_told(http):
    assert (await http.get("/version")).json() == {"restow": "0"}


def test_an_answer_is_sent_at_once_and_not_when_the_asker_acknowledges_its_head():
    """Only on a socket that is named TCP asyncio turns Nagle's delay off."""
    listening = listen("127.0.0.1", 0)
    assert listening.proto == socket.IPPROTO_TCP
    listening.close()
