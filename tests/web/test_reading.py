"""Lines and lists over HTTP: chosen, sorted, in pages that stay as they were, now and then."""

import asyncio

import httpx
import msgspec
import pytest

from domain.host import HostRated, HostRegistered
from domain.messages import HostId
from domain.problems import Problem
from projections.feed import last_position
from projections.rebuilding import rebuild
from projections.views import ALL, VIEWS
from projections.web import pins
from tests.projections.journal import Book, MemoryJournal
from tests.views.shelves import projected, reached
from tests.web.conftest import END, FRAMES, served


async def items(http, path):
    said = await http.get(path)
    assert said.status_code == 200, said.text
    return said.json()["items"]


async def refused(http, path, status=400):
    said = await http.get(path)
    assert said.status_code == status, said.text
    assert said.headers["content-type"] == "application/problem+json"
    told = msgspec.json.decode(said.content, type=Problem)
    assert told.status == status
    return told


@pytest.mark.parametrize("view", ALL, ids=lambda view: view.name)
async def test_every_view_is_listed_and_each_line_shown(http, view):
    said = await http.get(f"/v1/{view.plural}?limit=1000")
    assert said.status_code == 200
    page = said.json()
    assert page["position"] == END == int(said.headers["Restow-Position"])
    for item in page["items"][:5]:
        line = msgspec.json.decode(msgspec.json.encode(item), type=view.line)
        key = view.key(line).removeprefix("/")
        shown = await http.get(f"/v1/{view.plural}/{key}")
        assert shown.status_code == 200, shown.text
        assert view.key(msgspec.json.decode(shown.content, type=view.line)) == view.key(line)


@pytest.mark.parametrize("view", ALL, ids=lambda view: view.name)
async def test_pages_one_by_one_are_the_whole_list(http, view):
    whole = await items(http, f"/v1/{view.plural}?limit=1000")
    path = f"/v1/{view.plural}?limit=7"
    walked, page = [], (await http.get(path)).json()
    walked += page["items"]
    while "next" in page:
        page = (await http.get(f"{path}&cursor={page['next']}")).json()
        walked += page["items"]
    assert walked == whole


@pytest.mark.parametrize(
    ("sort", "member", "turned"),
    [("used", "used", False), ("-used", "used", True), ("zone", "zone", False)],
)
async def test_lists_are_sorted(http, sort, member, turned):
    values = [item[member] for item in await items(http, f"/v1/hosts?sort={sort}&limit=2")]
    every = [item[member] for item in await items(http, f"/v1/hosts?sort={sort}")]
    assert every == sorted(every, reverse=turned)
    assert values == every[:2]


async def test_lists_are_chosen(http):
    assert {i["layer"] for i in await items(http, "/v1/containers?layer=sql")} == {"sql"}
    used = [item["used"] for item in await items(http, "/v1/hosts?used.ge=1&used.lt=3")]
    assert used
    assert all(1 <= one < 3 for one in used)
    assert {i["operable"] for i in await items(http, "/v1/containers?operable=true")} == {True}
    streams = {i["stream"] for i in await items(http, "/v1/events?stream.prefix=operation.")}
    assert streams
    assert all(stream.startswith("operation.") for stream in streams)
    assert await items(http, "/v1/events?stream.prefix=*") == []
    assert {i["limit"] for i in await items(http, "/v1/containers?limit.eq=4&limit=2")} == {4}
    at = (await items(http, "/v1/events?position=9"))[0]["at"]
    later = await items(http, f"/v1/events?at.gt={at}&limit=1000")
    assert all(item["at"] > at for item in later)
    assert await items(http, "/v1/events?at.ge=2023-11-14T22:13:20Z&limit=1")


async def test_only_the_members_that_are_wanted_are_told(http):
    assert (await items(http, "/v1/hosts?fields=id,free&limit=1"))[0].keys() == {"id", "free"}
    shown = await http.get("/v1/containers/node1?fields=why")
    assert shown.json()["why"]["hosts"] == 6


async def test_a_line_shows_what_its_list_leaves_out(http):
    listed = (await items(http, "/v1/operations?limit=1"))[0]
    shown = (await http.get(f"/v1/operations/{listed['id']}")).json()
    assert listed["steps"] == []
    assert {**shown, "steps": []} == listed


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/hosts?colour=red", 400, "no parameter 'colour'"),
        ("/v1/hosts?zoen=a", 400, "did you mean zone"),
        ("/v1/hosts?zone=a&zone=b", 400, "twice"),
        ("/v1/hosts?used=many", 400, "whole number"),
        ("/v1/hosts?used=99999999999999999999999", 400, "whole number"),
        ("/v1/hosts?used.like=3", 400, "eq, ne, lt"),
        ("/v1/hosts?limit=0", 400, "1 to 1,000"),
        ("/v1/hosts?limit=1001", 400, "1 to 1,000"),
        ("/v1/hosts?sort=labels", 400, "cannot be sorted by 'labels'"),
        ("/v1/hosts?fields=id,nothing", 400, "no field 'nothing'"),
        ("/v1/hosts?cursor=%F0%9F%98%80", 400, "no cursor"),
        ("/v1/hosts?cursor=AAAA", 400, "no cursor"),
        ("/v1/hosts?as_of=yesterday", 400, "2026-11-21T10:00:00Z"),
        ("/v1/hosts?as_of=999999", 400, "has not come yet"),
        ("/v1/hosts?as_of=3&min_position=3", 400, "give one of them"),
        ("/v1/hosts?wait_ms=99999999", 400, "0 to 30,000"),
        ("/v1/hosts?zone=a%00b", 400, "character"),
        ("/v1/hosts?" + "a" * 9_000, 413, "8,192"),
        ("/v1/hosts/nowhere", 404, "see /v1/hosts"),
        ("/v1/hosts/h01?zone=a", 400, "no parameter 'zone'"),
        ("/v1/events/1e3", 404, "no event '1e3'"),
        ("/v1/nothing", 404, "see /openapi.json"),
        ("/v2/hosts", 404, "see /openapi.json"),
    ],
)
async def test_what_cannot_be_answered_says_why_and_the_way_on(http, path, status, said):
    assert said in (await refused(http, path, status)).detail


async def test_lists_that_are_read_at_the_same_time_do_not_take_each_others_place(http):
    paths = ("/v1/events?limit=9", "/v1/containers?limit=2", "/v1/events?limit=9")
    pages = [(await http.get(path)).json() for path in paths]
    walked = [list(page["items"]) for page in pages]
    while any("next" in page for page in pages):
        for n, path in enumerate(paths):
            if "next" in pages[n]:
                said = await http.get(f"{path}&cursor={pages[n]['next']}")
                assert said.status_code == 200, said.text
                pages[n] = said.json()
                walked[n] += pages[n]["items"]
    assert [len(lines) for lines in walked] == [END, len(await items(http, "/v1/containers")), END]


async def test_a_cursor_is_good_for_its_own_list_alone(http):
    page = (await http.get("/v1/hosts?limit=2")).json()
    await refused(http, f"/v1/hosts?limit=2&sort=used&cursor={page['next']}")
    await refused(http, f"/v1/containers?limit=2&cursor={page['next']}")


async def test_names_that_look_like_sql_are_names(http):
    assert await items(http, "/v1/hosts?zone='%20OR%201=1--") == []
    await refused(http, "/v1/hosts/x'%20OR%20'1'='1", 404)
    await refused(http, '/v1/hosts?id"=1')
    await refused(http, "/v1/hosts?sort=id;DROP%20TABLE%20host")


async def test_pages_stay_as_they_were_while_everything_changes(tmp_path):
    book = Book()
    for n in range(9):
        book.say(HostRegistered(HostId(f"h{n}"), 32, 100, 4_096, 12_800))
    journal = MemoryJournal(book.frames)
    async with served(journal, tmp_path) as site, client_of(site) as http:
        await reached(site.keeping, book.position)
        path = "/v1/hosts?sort=load_mark&limit=3"
        page = (await http.get(path)).json()
        seen = list(page["items"])
        while "next" in page:
            for n in range(9):
                await journal.write(book.say(HostRated(HostId(f"h{n}"), 100 - n)))
            await reached(site.keeping, book.position)
            page = (await http.get(f"{path}&cursor={page['next']}")).json()
            assert page["position"] == 9
            seen += page["items"]
        assert [item["id"] for item in seen] == [f"h{n}" for n in range(9)]
        assert {item["load_mark"] for item in seen} == {None}
        fresh = (await http.get(path)).json()
        assert [item["id"] for item in fresh["items"]] == ["h8", "h7", "h6"]


def client_of(site):
    return httpx.AsyncClient(base_url=site.url, timeout=20)


async def test_a_list_that_is_no_longer_kept_is_to_be_begun_again(http, monkeypatch):
    monkeypatch.setattr(pins, "PIN_S", -1.0)
    page = (await http.get("/v1/hosts?limit=2")).json()
    told = await refused(http, f"/v1/hosts?limit=2&cursor={page['next']}")
    assert "begin again" in told.detail


async def test_who_wrote_reads_its_own_writes(tmp_path):
    journal = MemoryJournal(FRAMES[:5])
    async with served(journal, tmp_path) as site, client_of(site) as http:
        await reached(site.keeping, last_position(FRAMES[4]))
        asked = asyncio.create_task(http.get(f"/v1/hosts?min_position={END}&wait_ms=20000"))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await journal.write(*FRAMES[5:])
        assert (await asked).json()["position"] >= END
        told = await refused(http, f"/v1/hosts/h01?min_position={END + 1}&wait_ms=50", 504)
        assert told.retryable
        assert told.facts["position"] == END


async def test_the_same_is_not_sent_twice(http):
    for path in ("/v1/hosts/h01", "/v1/hosts", "/v1/status"):
        first = await http.get(path)
        again = await http.get(path, headers={"If-None-Match": f'"other", {first.headers["ETag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Restow-Position"] == str(END)
        assert (await http.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_large_answers_are_compressed_for_those_who_take_it(http):
    packed = await http.get("/v1/events?limit=200")
    plain = await http.get("/v1/events?limit=200", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json() == plain.json()


async def test_a_head_is_a_get_without_its_body(http):
    said = await http.head("/v1/hosts/h01")
    assert (said.status_code, said.content) == (200, b"")
    assert said.headers["ETag"]


@pytest.mark.parametrize("position", [0, 1, 40, END - 1, END])
async def test_it_can_be_read_as_it_was(http, tmp_path, position):
    then = [frame for frame in FRAMES if last_position(frame) <= position]
    upto = last_position(then[-1]) if then else 0
    said = (await http.get(f"/v1/containers?as_of={position}&limit=1000")).json()
    assert said["position"] >= upto
    if said["position"] == upto and then:
        rows = projected(then, tmp_path / "then.db")["container"]
        assert {item["id"] for item in said["items"]} == {row[0] for row in rows}


async def test_it_can_be_read_as_it_was_at_a_time_and_in_pages(http):
    at = (await http.get("/v1/events/60")).json()["at"]
    path = f"/v1/events?as_of={60}&limit=9"
    page = (await http.get(path)).json()
    seen = page["items"]
    while "next" in page:
        page = (await http.get(f"{path}&cursor={page['next']}")).json()
        seen += page["items"]
    assert all(item["position"] <= 60 for item in seen)
    assert len(seen) == page["position"]
    timed = (await http.get("/v1/status")).json()
    assert timed["position"] == END
    assert at


async def test_commands_of_two_tenants_under_one_id(tmp_path):
    book = Book()
    for tenant in ("acme", ""):
        book.frame(msgspec.structs.replace(book.commit(ask="same"), tenant=tenant))
    book.say(HostRegistered(HostId("h1"), 32, 100, 4_096, 12_800))
    async with served(MemoryJournal(book.frames), tmp_path) as site, client_of(site) as http:
        await reached(site.keeping, 1)
        assert (await http.get("/v1/commands/same")).json()["tenant"] == ""
        assert (await http.get("/v1/commands/same?tenant=acme")).json()["tenant"] == "acme"
        await refused(http, "/v1/commands/same?tenant=umbrella", 404)


async def test_the_status_counts_the_lines_of_every_view(http):
    said = (await http.get("/v1/status")).json()
    assert said["counts"].keys() == {view.plural for view in ALL}
    assert said["counts"]["hosts"] == 6
    assert said["counts"]["events"] == END
    assert VIEWS["host"].plural == "hosts"


async def test_the_views_say_how_large_they_are_and_when_they_were_compared(site, http):
    said = (await http.get("/v1/projections")).json()
    assert said["latest"] is None
    assert (said["position"], said["behind"], said["generation"]) == (END, 0, 1)
    assert [one["name"] for one in said["views"]] == [view.name for view in ALL]
    for one in said["views"]:
        assert one["lines"] == len(await items(http, f"/v1/{one['plural']}?limit=1000"))
    shelf = site.keeping.shelf
    assert (await rebuild(site.journal, shelf)).good
    said = (await http.get("/v1/projections")).json()
    assert (said["latest"]["kind"], said["latest"]["over"]) == ("rebuild", True)
    await refused(http, "/v1/projections?limit=3")
