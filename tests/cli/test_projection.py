"""`restow projection` on a real journal, beside a real read side."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import httpx
import pytest

from domain.problems import Exit
from handlers.journal.reader import Head
from handlers.journal.stream import ensure
from handlers.journal.writer import Writer
from projections.shelf import FileShelf
from projections.web.serving import listen
from restow.settings import VIEWS_FOLDER
from restow.up import port_for
from tests.projections.story import commits_of, frames_of

COMMITS = commits_of(frames_of(2))
END = sum(len(commit.events) for commit in COMMITS)
WITHIN_S = 60.0
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def writer(bus, subjects):
    """Return the writer of a journal in which something happened."""
    await ensure(bus, subjects)
    writer = await Writer.take_over(bus, subjects, Head())
    await writer.append(COMMITS)
    yield writer
    await writer.close()


@asynccontextmanager
async def reader(tmp_path, nats_url, prefix, *more):
    """Run a read side whose data is in `tmp_path` until the end of the block."""
    where = ("--url", nats_url, "--prefix", prefix, "--data", str(tmp_path), *more)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "restow", "reader", *where),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), WITHIN_S)


async def listed(restow, tmp_path, *, position=END):
    """Wait until the views are as far as `position`, and return the list of them."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            if (tmp_path / VIEWS_FOLDER / "views.json").exists():
                ended = await restow("proj", "list", "--data", str(tmp_path), "-o", "json")
                if ended.json["position"] >= position:
                    return {item["id"]: item for item in ended.json["items"]}
            await asyncio.sleep(0.1)


async def used_in(tmp_path):
    shelf = FileShelf(tmp_path / VIEWS_FOLDER)
    used = await shelf.current()
    assert used is not None
    return shelf.path(used)


@pytest.mark.usefixtures("writer")
async def test_in_postgresql_views_are_kept_listed_and_built_anew(
    restow, tmp_path, nats_url, prefix, postgres
):
    store = ("--store", postgres.url)
    async with reader(tmp_path, nats_url, prefix, *store, "--http", "127.0.0.1:0"):
        async with asyncio.timeout(WITHIN_S):
            while True:
                ended = await restow("proj", "list", *store, "-o", "json")
                if ended.code == 0 and ended.json["position"] >= END:
                    break
                await asyncio.sleep(0.1)
        assert {item["place"] for item in ended.json["items"]} == {f"{prefix}_views_1"}
        ended = await restow("projection", "rebuild", *store, "-o", "json")
        assert (ended.code, ended.json["generation"], ended.json["position"]) == (0, 2, END)
        ended = await restow("projection", "verify", *store)
        assert (ended.code, ended.out.splitlines()[-1]) == (0, "all is as the journal says")
        async with reader(tmp_path / "other", nats_url, prefix, *store) as other:
            said, _ = await asyncio.wait_for(other.communicate(), WITHIN_S)
            assert other.returncode == Exit.CONFLICT
            assert "another process has these views in PostgreSQL" in said.decode()
    assert not (tmp_path / VIEWS_FOLDER).exists()


async def test_a_database_that_cannot_be_reached_ends_it_with_a_sentence(
    restow, tmp_path, nats_url, prefix
):
    nowhere = f"postgresql://restow:secret@/postgres?host={tmp_path}"
    async with reader(tmp_path, nats_url, prefix, "--store", nowhere) as away:
        said, _ = await asyncio.wait_for(away.communicate(), WITHIN_S)
    assert away.returncode == Exit.UNREACHABLE
    assert "error: PostgreSQL is away" in said.decode()
    assert "secret" not in said.decode()
    ended = await restow("proj", "list", "--store", nowhere)
    assert ended.code == Exit.UNREACHABLE
    ended = await restow("proj", "list", "--store", "mysql://secret@host/db")
    assert ended.code == Exit.USAGE
    assert "postgresql://user@host/database" in ended.err
    assert "secret" not in ended.err


@pytest.mark.usefixtures("writer")
async def test_views_are_listed_verified_and_built_anew_while_they_are_kept(
    restow, tmp_path, nats_url, prefix
):
    data = ("--data", str(tmp_path))
    async with reader(tmp_path, nats_url, prefix):
        items = await listed(restow, tmp_path)
        assert items["event"]["lines"] == END
        assert {item["behind"] for item in items.values()} == {0}
        assert {item["generation"] for item in items.values()} == {1}

        ended = await restow("projection", "verify", *data)
        assert (ended.code, ended.out.splitlines()[-1]) == (0, "all is as the journal says")

        ended = await restow("projection", "rebuild", *data, "-o", "json")
        assert (ended.code, ended.json["generation"], ended.json["position"]) == (0, 2, END)
        async with asyncio.timeout(WITHIN_S):
            while (tmp_path / VIEWS_FOLDER / "views-1.db").exists():
                await asyncio.sleep(0.1)
        assert {item["generation"] for item in (await listed(restow, tmp_path)).values()} == {2}


@pytest.mark.usefixtures("writer")
async def test_a_difference_is_told_and_ends_with_9(restow, tmp_path, nats_url, prefix):
    async with reader(tmp_path, nats_url, prefix):
        await listed(restow, tmp_path)
    used = await used_in(tmp_path)
    file = apsw.Connection(str(used))
    file.execute("UPDATE host SET used = 7 WHERE id = 'h01'").fetchall()
    file.close()

    ended = await restow("projection", "verify", "--data", str(tmp_path))

    assert ended.code == Exit.DIFFERENT
    assert "error: host h01: used " in ended.err

    ended = await restow("projection", "rebuild", "--data", str(tmp_path))
    assert ended.out.splitlines()[-1] == "generation 2 is used from now on"
    assert (await restow("projection", "verify", "--data", str(tmp_path))).code == 0


@pytest.mark.usefixtures("writer")
async def test_a_second_read_side_on_the_same_data_is_refused(restow, tmp_path, nats_url, prefix):
    async with reader(tmp_path, nats_url, prefix):
        await listed(restow, tmp_path)
        async with reader(tmp_path, nats_url, prefix) as other:
            said, _ = await asyncio.wait_for(other.communicate(), WITHIN_S)
            assert other.returncode == Exit.CONFLICT
            assert "another process has the views in" in said.decode()


@pytest.mark.usefixtures("writer")
async def test_views_of_a_newer_restow_are_left_alone(restow, tmp_path, nats_url, prefix):
    async with reader(tmp_path, nats_url, prefix):
        await listed(restow, tmp_path)
    used = await used_in(tmp_path)
    file = apsw.Connection(str(used))
    file.execute("PRAGMA user_version = 99").fetchall()
    file.close()
    async with reader(tmp_path, nats_url, prefix) as newer:
        said, _ = await asyncio.wait_for(newer.communicate(), WITHIN_S)
    assert newer.returncode == Exit.REFUSED
    assert "was made by a newer Restow" in said.decode()
    ended = await restow("projection", "list", "--data", str(tmp_path))
    assert ended.code == Exit.DIFFERENT
    assert "restow projection rebuild" in ended.err


async def test_where_there_are_none_it_says_so(restow, tmp_path):
    ended = await restow("projection", "list", "--data", str(tmp_path / "nowhere"))
    assert ended.code == Exit.USAGE
    assert "start `restow reader`" in ended.err


@pytest.mark.usefixtures("writer")
async def test_the_read_api_is_served_and_stops_in_order_with_streams_open(
    tmp_path, nats_url, prefix
):
    port = port_for(-1)
    async with (
        reader(tmp_path, nats_url, prefix, "--http", f"127.0.0.1:{port}") as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S) as http,
    ):
        async with asyncio.timeout(WITHIN_S):
            while not await ready(http):
                await asyncio.sleep(0.1)
        assert (await http.get("/v1/events?limit=1")).json()["position"] == END
        nobody = await http.post("/v1/commands", json={"type": "host.cordon", "host": "h01"})
        assert (nobody.status_code, nobody.json()["code"]) == (503, "bus.unavailable")
        assert (await http.get("/version")).json()["contract"]
        async with http.stream("GET", "/v1/changes") as stream:
            lines = stream.aiter_lines()
            await anext(lines)
            process.terminate()
            rest = [line async for line in lines]
        assert "event: server-closing" in rest
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0


async def ready(http):
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.ConnectError:
        return False


@pytest.mark.parametrize("where", ["0.0.0.0:8080", "example.org:80", "127.0.0.1", "127.0.0.1:x"])
async def test_it_listens_on_loopback_alone(restow, tmp_path, where):
    ended = await restow("reader", "--http", where, "--data", str(tmp_path))
    assert ended.code == Exit.USAGE
    assert "127.0.0.1:8080" in ended.err or "127.0.0.1 or localhost" in ended.err


@pytest.mark.usefixtures("writer")
async def test_a_port_that_is_taken_is_said(tmp_path, nats_url, prefix):
    port = port_for(-1)
    with listen("127.0.0.1", port):
        async with reader(tmp_path, nats_url, prefix, "--http", f"127.0.0.1:{port}") as process:
            said, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == Exit.CONFLICT
    assert "name another with --http" in said.decode()
