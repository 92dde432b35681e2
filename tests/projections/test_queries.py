"""Questions on the bus: what is answered, what is refused and why; none waits for another."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from nats.errors import NoRespondersError

from domain.messages import Refusal
from domain.problems import Problem
from domain.subjects import Subjects
from handlers.bus import Bus, flush
from projections import pages, queries
from projections.pages import QUERIES
from projections.queries import Progress, Queries
from projections.reads import Reads
from tests.projections.story import frames_of

NOUNS = (
    "host",
    "environment",
    "layer",
    "container",
    "operation",
    "migration",
    "evacuation",
    "command",
)


@pytest.fixture
def reads():
    reads = Reads()
    for frame in frames_of(1, 0.0):
        reads.take(frame)
    return reads


@asynccontextmanager
async def serving(bus, subjects, reads):
    progress = Progress()
    progress.reached(reads.position)
    ready = asyncio.Event()
    task = asyncio.create_task(Queries(bus, subjects, reads, progress).serve(ready))
    await asyncio.wait_for(ready.wait(), 10)
    try:
        yield progress
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Asker:
    """Asks questions, and tells the reader how far it is."""

    def __init__(self, bus: Bus, subjects: Subjects, progress: Progress) -> None:
        self.progress = progress
        self._bus = bus
        self._subjects = subjects

    async def __call__(self, name, body=b"", **fields):
        """Return the headers of the answer, and the answer as JSON has it."""
        said = body or (msgspec.json.encode(fields) if fields else b"")
        reply = await self._bus.request(self._subjects.query(name), said, timeout=10)
        return reply.headers, msgspec.json.decode(reply.data)


@pytest.fixture
async def asking(bus, subjects, reads):
    async with serving(bus, subjects, reads) as progress:
        yield Asker(bus, subjects, progress)


async def refused(asking, name, body=b"", **fields):
    headers, said = await asking(name, body, **fields)
    told = msgspec.convert(said, Problem)
    assert headers["Nats-Service-Error-Code"] == str(told.status)
    assert headers["Nats-Service-Error"].startswith(told.code)
    return told


@pytest.mark.parametrize("name", [name for name in QUERIES if name.endswith(".list")])
async def test_every_list_is_a_page(asking, reads, name):
    headers, said = await asking(name)
    assert set(said) <= {"items", "position", "next"}
    assert said["items"]
    assert said["position"] == reads.position
    assert headers["Restow-Position"] == str(reads.position)
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("name", "body", "key"),
    [
        ("host.show", {"host": "h01"}, "id"),
        ("host.room", {"cloudlets": 1, "host": "h01"}, "host"),
        ("environment.show", {"environment": "shop"}, "id"),
        ("layer.show", {"environment": "shop", "layer": "app"}, "name"),
        ("container.show", {"container": "node1"}, "id"),
        ("operation.show", {"operation": "op1"}, "id"),
        ("migration.show", {"migration": "mv1"}, "id"),
        ("evacuation.show", {"evacuation": "ev1"}, "id"),
        ("recovery.show", {"recovery": "rc1"}, "id"),
        ("growth.show", {"growth": "gr1"}, "id"),
        ("command.show", {"id": "ask-7"}, "id"),
    ],
)
async def test_one_thing_is_shown_as_its_line(asking, name, body, key):
    _, said = await asking(name, **body)
    assert said[key] == list(body.values())[-1]


async def test_a_container_that_is_shown_says_why_it_is_there(asking):
    _, said = await asking("container.show", container="node1")
    assert said["why"]["policy"] == "spread"
    _, listed = await asking("container.list")
    assert {item["why"] for item in listed["items"]} == {None}


async def test_an_operation_that_is_shown_has_its_steps(asking):
    _, said = await asking("operation.show", operation="op1")
    assert [step["outcome"] for step in said["steps"]] == ["done", "done", "done"]
    _, listed = await asking("operation.list")
    assert {len(item["steps"]) for item in listed["items"]} == {0}


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("host.show", {"host": "h0"}, "host.not_found"),
        ("host.room", {"cloudlets": 1, "host": "h0"}, "host.not_found"),
        ("environment.show", {"environment": "shopp"}, "environment.not_found"),
        ("layer.show", {"environment": "shop", "layer": "ap"}, "layer.not_found"),
        ("container.show", {"container": "node111"}, "container.not_found"),
        ("operation.show", {"operation": "op99"}, "operation.not_found"),
        ("migration.show", {"migration": "mv9"}, "migration.not_found"),
        ("evacuation.show", {"evacuation": "ev9"}, "evacuation.not_found"),
        ("recovery.show", {"recovery": "rc9"}, "recovery.not_found"),
        ("host.feasibility", {"host": "h0"}, "host.not_found"),
        ("container.list", {"environment": "shap"}, "environment.not_found"),
        ("layer.list", {"environment": "shap"}, "environment.not_found"),
        ("event.list", {"type": "container.place"}, "request.invalid"),
        ("command.show", {"id": "ask-0815"}, "command.not_found"),
    ],
)
async def test_what_is_not_there_is_refused_with_what_is_nearly_so(asking, name, body, code):
    told = await refused(asking, name, **body)
    assert told.code == code
    assert told.path == f"$.{list(body)[-1]}"
    if not name.startswith(("operation", "command")):
        assert told.facts["near"]
        assert told.facts["near"][0] in told.detail


@pytest.mark.parametrize(
    ("name", "body", "path"),
    [
        ("host.list", b"{", "$"),
        ("host.list", b"[]", "$"),
        ("host.list", b"\xff", "$"),
        ("host.list", b"[" * 100_000, "$"),
        ("host.list", b"[" * 60_000, "$"),
        ("host.list", b'{"zone":5, nothing', "$.zone"),
        ("host.list", b'{"zone":' + b'{"a":' * 10_000, "$.zone"),
        ("event.list", b'{"after":' + b"9" * 30 + b"}", "$.after"),
        ("host.list", b'{"zoon":"a"}', "$.zoon"),
        ("host.list", b'{"state":"asleep"}', "$.state"),
        ("host.list", b'{"limit":0}', "$.limit"),
        ("host.list", b'{"limit":1001}', "$.limit"),
        ("host.list", b'{"wait_ms":30001}', "$.wait_ms"),
        ("host.list", b'{"min_position":-1}', "$.min_position"),
        ("host.show", b"", "$.host"),
        ("container.list", b'{"after":"17"}', "$.after"),
        ("container.list", b'{"layer":"app"}', "$.environment"),
        ("event.list", b'{"after":"x"}', "$.after"),
    ],
)
async def test_what_is_wrong_with_a_question_is_named(asking, name, body, path):
    told = await refused(asking, name, body)
    assert told.code in {"request.invalid", "limits.out_of_range", "request.too_large"}
    assert told.path == path


async def test_a_mistake_of_ours_over_one_question_leaves_the_others_answered(asking, monkeypatch):
    def broken(*_):
        message = "planted"
        raise KeyError(message)

    with monkeypatch.context() as patched:
        patched.setattr(pages, "answer", broken)
        told = await refused(asking, "host.list")
    _, page = await asking("host.list")

    assert told.code == "internal"
    assert told.facts["trace"] in told.detail
    assert page["items"]


async def test_what_a_header_cannot_hold_is_left_out_of_it(asking):
    headers, told = await asking("host.show", host="a\r\nX: ü")

    assert "X" not in headers
    assert headers["Nats-Service-Error"].startswith("host.not_found: ")
    assert told["code"] == "host.not_found"


async def test_there_is_no_such_query(asking):
    told = await refused(asking, "host.lits")
    assert "host.list" in told.detail


async def test_filters_pass_what_they_name(asking):
    _, said = await asking("container.list", environment="shop", layer="sql")
    assert {(i["environment"], i["layer"]) for i in said["items"]} == {("shop", "sql")}
    _, said = await asking("container.list", operable=False)
    assert said["items"] == []
    _, said = await asking("host.list", zone="nowhere")
    assert said["items"] == []
    _, said = await asking("operation.list", kind="restart", layer="app")
    assert {i["kind"] for i in said["items"]} == {"restart"}
    _, said = await asking("migration.list", container="node1")
    assert [i["id"] for i in said["items"]] == ["mv1"]
    _, said = await asking("evacuation.list", host="h01")
    assert said["items"] == []
    _, said = await asking("host.feasibility", host="h06")
    assert [i["answer"] for i in said["items"]] == ["feasible"]
    _, said = await asking("command.list", answer="refused")
    assert {i["code"] for i in said["items"]} >= {"layer.not_found"}
    _, said = await asking("event.list", stream="container.node1", type="container.placed")
    assert [i["data"]["container"] for i in said["items"]] == ["node1"]
    _, said = await asking("event.list", ask="ask-7", limit=1_000)
    assert {i["ask"].partition("/")[0] for i in said["items"]} == {"ask-7"}


@pytest.mark.parametrize("noun", NOUNS)
async def test_pages_follow_each_other_without_gap_or_repeat(asking, noun):
    name = f"{noun}.list"
    _, whole = await asking(name, limit=1_000)
    assert "next" not in whole
    items: list[object] = []
    after: dict[str, object] = {}
    for _ in range(len(whole["items"])):
        _, page = await asking(name, limit=1, **after)
        items += page["items"]
        after = {"after": page.get("next")}
    assert items == whole["items"]
    assert len({str(item) for item in items}) == len(items)
    assert after == {"after": None}


async def test_events_are_read_on_from_a_position(asking):
    _, first = await asking("event.list", after=0, limit=1_000)
    positions = [item["position"] for item in first["items"]]
    assert positions == list(range(1, len(positions) + 1))
    _, rest = await asking("event.list", after=100, limit=10)
    assert [item["position"] for item in rest["items"]] == list(range(101, 111))
    assert rest["next"] == 110


async def test_without_a_position_the_latest_events_come_in_order(asking, reads):
    _, said = await asking("event.list", limit=5)
    expected = list(range(reads.position - 4, reads.position + 1))
    assert [item["position"] for item in said["items"]] == expected
    assert "next" not in said


async def test_a_page_that_would_not_pass_the_bus_is_shorter_and_says_where_it_goes_on(
    asking, monkeypatch
):
    _, whole = await asking("container.list")
    monkeypatch.setattr(queries, "HEADER_ROOM", 1_048_576 - 1_700)
    items: list[object] = []
    after: dict[str, object] = {}
    for _ in whole["items"]:
        _, page = await asking("container.list", **after)
        items += page["items"]
        if "next" not in page:
            break
        after = {"after": page["next"]}
    assert items == whole["items"]


async def test_a_line_that_would_not_pass_the_bus_is_refused(asking, monkeypatch):
    monkeypatch.setattr(queries, "HEADER_ROOM", 1_048_576 - 300)
    assert (await refused(asking, "operation.show", operation="op1")).code == "request.too_large"


async def test_an_answer_waits_for_the_position_that_is_asked_for(asking, reads):
    more = reads.position + 2
    waiting = asyncio.create_task(asking("host.list", min_position=more))
    await asking("host.list")
    assert not waiting.done()
    asking.progress.reached(more - 1)
    await asking("host.list")
    assert not waiting.done()
    asking.progress.reached(more)
    _, said = await waiting
    assert said["items"]


async def test_a_wait_that_is_too_long_is_a_problem(asking, reads):
    told = await refused(asking, "host.list", min_position=reads.position + 1, wait_ms=20)
    assert (told.code, told.status, told.path) == ("wait.timeout", 504, "$.min_position")
    assert told.facts["position"] == reads.position


async def test_many_that_wait_keep_nobody_waiting(asking, reads):
    late = reads.position + 1
    waiting = [asyncio.create_task(asking("status", min_position=late)) for _ in range(50)]
    async with asyncio.timeout(2):
        for _ in range(20):
            await asking("host.show", host="h01")
    assert not any(task.done() for task in waiting)
    asking.progress.reached(late)
    assert all(said["position"] for _, said in await asyncio.gather(*waiting))


async def test_more_than_can_be_carried_are_told_to_come_again(
    bus, subjects, asking, reads, monkeypatch
):
    monkeypatch.setattr(queries, "UNDER_WAY_MAX", 3)
    late = reads.position + 1
    inbox = bus.new_inbox()
    heard = await bus.subscribe(inbox)
    for _ in range(3):
        body = msgspec.json.encode({"min_position": late})
        await bus.publish(subjects.query("host.list"), body, inbox)
    told = await refused(asking, "host.list")
    assert (told.code, told.retryable) == ("rate.limited", True)
    asking.progress.reached(late)
    for _ in range(3):
        assert msgspec.json.decode((await heard.next_msg(10)).data)["items"]
    assert (await asking("host.list"))[1]["items"]


async def test_who_stops_answers_first_what_has_come(bus, subjects, reads):
    late = msgspec.json.encode({"min_position": reads.position + 1, "wait_ms": 30_000})
    subject = subjects.query("host.list")
    async with serving(bus, subjects, reads):
        asked = [asyncio.create_task(bus.request(subject, late, timeout=10)) for _ in range(5)]
        await bus.request(subject, b"", timeout=10)
        asked += [asyncio.create_task(bus.request(subject, b"", timeout=10)) for _ in range(20)]
        await flush(bus)
    answers = [msgspec.json.decode(reply.data) for reply in await asyncio.gather(*asked)]
    assert [a["code"] for a in answers[:5]] == ["bus.unavailable"] * 5
    assert all(a["items"] for a in answers[5:])
    with pytest.raises(NoRespondersError):
        await bus.request(subject, b"", timeout=10)


async def test_of_two_that_serve_one_answers(bus, subjects, reads):
    async with serving(bus, subjects, reads), serving(bus, subjects, reads):
        inbox = bus.new_inbox()
        heard = await bus.subscribe(inbox)
        for _ in range(10):
            await bus.publish(subjects.query("host.list"), b"", inbox)
        for _ in range(10):
            await heard.next_msg(10)
        await asyncio.sleep(0.05)
        assert heard.pending_msgs == 0


async def test_the_status_tells_of_engines_that_say_they_are_there(bus, asking, subjects, reads):
    said = {"role": "leader", "epoch": 3, "position": 9, "leader": "e1", "durability": "strict"}

    async def engine(message):
        for name, role in (("e2", "standby"), ("e1", "leader")):
            await bus.publish(
                message.reply, msgspec.json.encode({**said, "engine": name, "role": role})
            )

    await bus.subscribe(subjects.status(), cb=engine)
    _, told = await asking("status")
    assert [(e["engine"], e["role"]) for e in told["engines"]] == [
        ("e1", "leader"),
        ("e2", "standby"),
    ]
    assert told["durability"] == "strict"
    assert told["counts"]["containers"] == len(reads.fleet.containers)
    assert (told["position"], told["epoch"]) == (reads.position, reads.epoch)


async def test_without_an_engine_the_status_says_so(asking):
    _, told = await asking("status")
    assert (told["engines"], told["durability"]) == ([], "")


def test_a_question_has_a_body_of_bounded_size():
    refusal = pages.decode(QUERIES["host.list"], b" " * (pages.QUESTION_BYTES_MAX + 1))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "request.too_large"
