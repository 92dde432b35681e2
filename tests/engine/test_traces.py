"""One trace from a command to its commit, its orders, their reports, and to what readers see."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from opentelemetry import trace

from domain.decider import Ask
from domain.host import RegisterHost
from domain.messages import AskId, OrderId
from handlers import traces
from handlers.traces import FRAME, Traces, carried, headers_of
from restow.tracing import Shown, exported

ROOT = Path(__file__).parents[2]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def spans(nats_url, prefix, tmp_path):
    """Return the spans of a region in which somebody created an environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engine.traced", nats_url, prefix, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RESTOW_LOG": "critical"},
    )
    said, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0
    lines = [line for line in said.splitlines() if line.startswith(b"{")]
    return [span for span in map(msgspec.json.decode, lines) if "took_ns" in span]


async def test_one_trace_leads_from_a_command_to_all_that_came_of_it(spans):
    (user,) = (span for span in spans if span["name"] == "user")
    whole = [span for span in spans if span["trace"] == user["trace"]]
    names = [span["name"] for span in whole]
    by_id = {span["id"]: span for span in whole}
    assert all(span["parent"] in by_id for span in whole if span is not user)
    (asked,) = (span for span in whole if span["name"] == "ask environment.create")
    assert asked["parent"] == user["id"]
    assert names.count("order") == names.count("carry out start") + names.count(
        "carry out route-in"
    )
    assert names.count("carry out start") == 5
    reports = [span for span in whole if span["name"] == "ask agent.order"]
    assert {by_id[span["parent"]]["name"] for span in reports} >= {"carry out start"}
    assert {by_id[span["parent"]]["name"] for span in whole if span["name"] == "order"} <= {
        "ask environment.create",
        "ask agent.order",
    }
    views = [span for span in whole if span["name"] == "views"]
    assert asked["id"] in {span["parent"] for span in views}
    assert all(span["took_ns"] >= 0 for span in whole)
    asks = [span["id"] for span in whole if span["name"].startswith("ask ")]
    assert len([span for span in whole if span["name"] == "journal"]) == len(asks)


def test_where_nobody_listens_nothing_is_begun_and_what_came_is_passed_on():
    assert not traces.is_on()
    told = Traces()
    ask = Ask(AskId("a"), RegisterHost(host="h1", memory_mib=8_192, cpu_mhz=25_600, disk_gib=9))
    assert told.asked(ask) is None
    assert told.of_frame([]) == {}
    assert told.of_order(OrderId("o1")) is None
    assert headers_of() == {}
    with carried({"traceparent": PARENT, "other": "x"}):
        assert headers_of() == {"traceparent": PARENT}
    assert headers_of() == {}


@pytest.mark.parametrize("said", ["", "rubbish", "00-zz-zz-01", "\x00", "9" * 5_000])
def test_what_is_no_trace_is_no_harm(said):
    with carried({"traceparent": said}):
        assert headers_of() == {}
    with carried({"traceparent": [PARENT]}):
        assert headers_of() == {"traceparent": PARENT}
    Shown().heard(1, said)


def test_it_is_exported_only_where_the_environment_says_where_to(monkeypatch, capsys):
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with exported("engine"):
        assert not traces.is_on()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "restow.otel", None)
    with exported("engine"):
        assert not traces.is_on()
    assert "restow[otel]" in capsys.readouterr().out
    assert trace.get_current_span().get_span_context().is_valid is False
    assert FRAME.startswith("Restow-")


def test_it_is_sent_to_a_collector(tmp_path, free_tcp_port):
    script = f"""
import http.server, threading
from opentelemetry import trace
from restow.tracing import exported
bodies = []
class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", {free_tcp_port}), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
with exported("engine"):
    trace.get_tracer("t").start_span("told").end()
server.shutdown()
path, body = bodies[0]
print(path, b"told" in body, b"restow-engine" in body)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_tcp_port}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        },
    )
    assert done.stdout.decode().splitlines()[-1] == "/v1/traces True True", done.stderr.decode()
