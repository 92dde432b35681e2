"""What is counted is what happened, is told as Prometheus reads it, and is on the page."""

import asyncio
import os
import re
import sys
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from domain.meters import BOUNDS_S, Board, Durations, Family, Meter, told
from domain.problems import Exit
from restow.counted import SHOWN
from restow.metrics import CannotListenError, answered, serving
from restow.settings import Endpoint, SettingsError, metrics_endpoint
from restow.up import port_for
from tests.cli.test_projection import ROOT, WITHIN_S

PACE_S = 0.2
THINGS = Meter("things_total", "counter", "Things.")
LINE = re.compile(
    r'[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+'
)


def test_a_family_is_told_with_its_kind_and_whole_numbers_whole():
    said = told(Family(THINGS, [("", {"kind": 'a"b\\c\n'}, 12_345_678), ("", {}, 0.25)]))
    assert said.splitlines() == [
        "# HELP things_total Things.",
        "# TYPE things_total counter",
        r'things_total{kind="a\"b\\c\n"} 12345678',
        "things_total 0.25",
    ]


def test_durations_are_counted_up_to_each_bound():
    took = Durations()
    for seconds in (0.0, 0.001, 0.002, 7.0):
        took.add(seconds)
    samples = {labels.get("le", end): value for end, labels, value in took.samples(route="/")}
    assert [samples[str(bound)] for bound in BOUNDS_S[:3]] == [2, 3, 3]
    assert (samples["+Inf"], samples["_count"]) == (4, 4)
    assert samples["_sum"] == pytest.approx(7.003)


def test_a_meter_is_on_the_page_once():
    names = [meter.name for meters in SHOWN.values() for meter in meters]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"restow_[a-z_]+", name) for name in names)
    for meter in (meter for meters in SHOWN.values() for meter in meters):
        assert meter.name.endswith("_total") == (meter.kind == "counter"), meter.name


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200"),
        (b"HEAD /metrics HTTP/1.1", b"200"),
        (b"GET /livez?x=1 HTTP/1.1", b"200"),
        (b"GET / HTTP/1.1", b"404"),
        (b"POST /metrics HTTP/1.1", b"405"),
        (b"GET", b"404"),
        (b"\xff\xfe", b"405"),
        (b"", b"405"),
    ],
)
def test_nothing_else_is_served(line, status):
    said = answered(line, lambda: "x 1\n")
    assert said.split(b" ")[1] == status
    assert said.endswith(b"x 1\n") == (line == b"GET /metrics HTTP/1.1")


async def test_it_is_served_to_who_asks_and_strangers_do_no_harm():
    board = Board()
    board.sources.append(lambda: [THINGS.of(3)])
    port = port_for(-1)
    async with serving(Endpoint("127.0.0.1", port), board.text):
        for rubbish in (b"\x00" * 20_000, b"GET /metrics", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(rubbish)
            writer.write_eof()
            await reader.read()
            writer.close()
        async with httpx.AsyncClient() as client:
            said = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert (said.status_code, said.text.splitlines()[-1]) == (200, "things_total 3")
        with pytest.raises(CannotListenError, match="name another --metrics"):
            async with serving(Endpoint("127.0.0.1", port), board.text):
                pass
    async with serving(None, board.text):
        pass


@pytest.mark.parametrize("text", ["9101", ":9101", "127.0.0.1:x", "127.0.0.1:70000", ""])
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:9101"):
        metrics_endpoint(text)


@asynccontextmanager
async def running(*commands):
    """Run processes of `restow` during the block; all of them end in good order."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "restow", *words),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for words in commands
    ]
    try:
        yield
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
        codes = [await asyncio.wait_for(process.wait(), WITHIN_S) for process in processes]
    assert codes == [Exit.DONE] * len(commands)


async def until(port: int, line: str) -> str:
    """Wait until a process tells this line; return all that it tells."""
    said, meter = "nothing", line.partition("{")[0]
    async with httpx.AsyncClient() as client:
        for _ in range(round(WITHIN_S / PACE_S)):
            with suppress(httpx.TransportError):
                said = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            if line in said.splitlines():
                return said
            await asyncio.sleep(PACE_S)
    pytest.fail(f"not {line}, but: {[one for one in said.splitlines() if meter in one] or said}")


async def test_engines_agents_and_the_read_side_tell_what_they_do(
    restow, tmp_path, nats_url, prefix
):
    engine, agent, reader = (port_for(-1) for _ in range(3))
    at, data = ("--url", nats_url, "--prefix", prefix), ("--data", str(tmp_path))
    commands = [
        ("engine", "--name", "e1", "--relaxed", *at, "--metrics", f"127.0.0.1:{engine}"),
        ("agent", "--host", "h1", "--routing", *data, *at, "--metrics", f"127.0.0.1:{agent}"),
        ("reader", *data, *at, "--http", f"127.0.0.1:{reader}"),
    ]
    async with running(*commands):
        await until(engine, "restow_engine_leads 1")
        host = ("--memory-mib", "8192", "--cpu-mhz", "25600", "--disk-gib", "200")
        assert (await restow("host", "register", "h1", *host)).code == 0
        assert (await restow("host", "register", "h1", *host[:-1], "100")).code != 0
        assert (await restow("env", "create", "shop", "--layer", "app:2")).code == 0
        texts = [
            await until(engine, 'restow_asks_refused_total{code="host.exists"} 1'),
            await until(engine, 'restow_known{kind="containers"} 2'),
            await until(agent, 'restow_agent_orders_total{outcome="done"} 4'),
            await until(reader, 'restow_fleet{what="operable"} 2'),
            await until(reader, 'restow_layers_margin{operable="0"} 0'),
        ]
    lines = [line for text in texts for line in text.splitlines()]
    assert [one for one in lines if not one.startswith("#") and not LINE.fullmatch(one)] == []
    told_of = {one.split(" ")[2] for one in lines if one.startswith("# TYPE")}
    assert told_of == {meter.name for meters in SHOWN.values() for meter in meters}
