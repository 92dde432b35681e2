"""The typed door on a real server, asked by any client: raw requests, no library of ours."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from domain.contracts import CLOUD_EVENT
from domain.messages import Code, Refusal
from handlers.doors import decode, service
from tests.doors.conftest import NOW
from tests.doors.desk import until

pytestmark = pytest.mark.usefixtures("doors")

CP = {"environment": "shop", "layer": "cp"}


def broken_once(*_):
    message = "planted"
    raise OverflowError(message)


@pytest.fixture
def ask(bus, subjects):
    """Return a function that asks as `nats req` would, and returns body and headers."""

    async def asked(name, body, **headers):
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        written = {key.replace("_", "-"): value for key, value in headers.items()} or None
        reply = await bus.request(subjects.service(name), data, timeout=5, headers=written)
        return msgspec.json.decode(reply.data), reply.headers or {}

    return asked


async def test_a_command_is_answered_when_the_desk_has_answered(ask, desk):
    reply, headers = await ask("layer.scale", CP | {"count": 6, "reason": "friday"})

    assert (reply["status"], reply["operation_id"], reply["version"]) == ("accepted", "op1", 1)
    assert reply["command_id"] == desk.asked[0].id
    assert desk.asked[0].reason == "friday"
    assert "Nats-Service-Error" not in headers


async def test_the_same_id_gets_the_same_answer(ask):
    first, _ = await ask("layer.restart", CP | {"id": "r-1"})
    await ask("layer.restart", CP)
    again, _ = await ask("layer.restart", CP, Nats_Msg_Id="r-1")

    assert again == first


async def test_the_same_id_with_another_body_is_a_conflict(ask):
    await ask("layer.restart", CP | {"id": "r-1"})
    told, headers = await ask("layer.restart", CP | {"id": "r-1", "delay_s": 5})

    assert told["code"] == "command.id_reused"
    assert headers["Nats-Service-Error-Code"] == "409"


async def test_the_operator_asks_unless_headers_say_for_whom_and_by_whom(ask, desk):
    await ask("layer.restart", CP)
    await ask("layer.restart", CP, Restow_Tenant="acme", Restow_Actor="user:ana")

    assert [(a.tenant, a.actor) for a in desk.asked] == [("", "operator"), ("acme", "user:ana")]


async def test_a_refusal_is_a_problem_in_body_and_headers(ask, desk):
    desk.refusal = Refusal(Code.CAPACITY_INSUFFICIENT, "no host fits", "$.count", {"hosts": 3})

    told, headers = await ask("layer.scale", CP | {"count": 6, "id": "s-1"})

    assert headers["Nats-Service-Error-Code"] == "422"
    assert headers["Nats-Service-Error"] == "capacity.insufficient: no host fits"
    assert headers["Content-Type"] == "application/problem+json"
    assert (told["code"], told["path"], told["facts"]) == (
        "capacity.insufficient",
        "$.count",
        {"hosts": 3},
    )
    assert (told["command_id"], told["position"]) == ("s-1", 1)


async def test_what_a_header_cannot_hold_is_left_out_of_it(ask, desk):
    desk.refusal = Refusal(Code.LAYER_NOT_FOUND, "no layer a\r\nX: ü\x7f")

    told, headers = await ask("layer.scale", CP | {"count": 6})

    assert told["detail"] == "no layer a\r\nX: ü\x7f"
    assert headers["Nats-Service-Error"] == "layer.not_found: no layer a??X: ??"
    assert "X" not in headers


async def test_a_mistake_over_the_reading_of_a_command_is_answered_and_the_door_stays_open(
    ask, desk, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(decode, "make_ask", broken_once)
        told, headers = await ask("layer.restart", CP, Nats_Msg_Id="b-1")
    again, _ = await ask("layer.restart", CP, Nats_Msg_Id="b-1")

    assert (told["code"], told["command_id"]) == ("internal", "b-1")
    assert told["facts"]["trace"] in headers["Nats-Service-Error"]
    assert again["status"] == "accepted"
    assert len(desk.asked) == 1


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (
            ("layer.restart", CP | {"delay_s": 301}),
            "limits.out_of_range",
            "must be 0..300, got 301",
        ),
        (("layer.restart", CP | {"delay": 3}), "request.invalid", "did you mean delay_s?"),
        (("layer.restart", {"environment": "Ünicode"}), "request.invalid", "a DNS label"),
        (("layer.restart", b"{"), "request.invalid", "not JSON"),
        (("layer.restart", b"x" * 70_000), "request.too_large", "at most 65,536"),
        (("layer.restart", b"[" * 60_000), "request.invalid", "must be an object"),
        (("layer.skale", {}), "command.unknown", "did you mean layer.scale"),
        (("layer.scale.web", {}), "command.unknown", "did you mean layer.scale"),
        (
            ("layer.restart", CP | {"expires_at": "2099-01-01T00:00:00Z"}),
            "limits.out_of_range",
            "24 h",
        ),
    ],
)
async def test_bad_input_never_reaches_the_desk(ask, desk, sent, code, words):
    name, body = sent
    told, headers = await ask(name, body, Nats_Msg_Id="b-1")

    assert (told["code"], told["command_id"]) == (code, "b-1")
    assert words in told["detail"]
    assert headers["Nats-Service-Error"].startswith(f"{code}: ")
    assert desk.asked == []


async def test_a_problem_names_the_id_of_a_body_that_is_no_command(ask):
    told, _ = await ask("layer.restart", CP | {"id": "b-2", "delay": 3})

    assert told["command_id"] == "b-2"


async def test_an_expiry_is_handed_on_to_the_desk(ask, desk):
    late = datetime.fromtimestamp(NOW / 1_000 - 60, UTC).isoformat()

    await ask("layer.restart", CP | {"expires_at": late})

    assert desk.asked[0].expires == NOW - 60_000


async def test_a_structured_cloud_event_is_taken(ask, desk):
    event = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/ci",
        "type": "layer.restart",
        "data": CP,
    }

    reply, _ = await ask("layer.restart", event, Content_Type=CLOUD_EVENT)

    assert reply["command_id"] == "e-1"
    assert desk.asked[0].command.layer == "cp"


async def test_a_dry_run_shows_its_plan(ask):
    reply, _ = await ask("host.cordon", {"host": "n", "dry_run": True})

    assert reply["status"] == "planned"
    assert reply["plan"] == [{"type": "host.cordoned", "data": {"host": "n"}}]


async def test_many_are_answered_at_once(ask, desk):
    desk.gate.clear()
    asking = [asyncio.create_task(ask("layer.restart", CP)) for _ in range(200)]
    await until(lambda: len(desk.asked) == 200)
    desk.gate.set()

    replies = await asyncio.gather(*asking)

    assert len({reply["command_id"] for reply, _ in replies}) == 200


async def test_asks_reach_the_desk_in_the_order_they_came(bus, subjects, desk):
    for number in range(300):
        body = msgspec.json.encode(CP | {"id": f"n-{number}"})
        await bus.publish(subjects.service("layer.restart"), body)
    await until(lambda: len(desk.asked) == 300)

    assert [ask.id for ask in desk.asked] == [f"n-{number}" for number in range(300)]


async def test_more_than_can_be_answered_at_a_time_is_told_so(ask, desk, monkeypatch):
    monkeypatch.setattr(service, "IN_FLIGHT_MAX", 3)
    desk.gate.clear()
    asking = [asyncio.create_task(ask("layer.restart", CP)) for _ in range(5)]
    done, waiting = await asyncio.wait(asking, timeout=1, return_when=asyncio.FIRST_EXCEPTION)
    desk.gate.set()
    await asyncio.gather(*waiting)

    assert (len(done), len(waiting)) == (2, 3)
    assert {task.result()[0]["code"] for task in done} == {"rate.limited"}
    assert all(task.result()[0]["retryable"] for task in done)


async def test_an_engine_that_stops_says_so(ask, desk):
    desk.closed = True

    told, headers = await ask("layer.restart", CP | {"id": "r-1"})

    assert (told["code"], told["command_id"]) == ("engine.not_leader", "r-1")
    assert headers["Nats-Service-Error-Code"] == "503"


@pytest.mark.parametrize("where", ["$JS.API.STREAM.PURGE.JNL", "{prefix}.jnl.frame"])
async def test_no_answer_goes_where_the_asker_may_not_publish_itself(
    bus, subjects, ask, desk, where
):
    heard = []

    async def hear(message):
        heard.append(message)

    where = where.format(prefix=subjects.prefix)
    await bus.subscribe(where, cb=hear)
    await bus.publish(subjects.service("layer.restart"), msgspec.json.encode(CP), reply=where)
    await ask("layer.restart", CP)

    assert len(desk.asked) == 2
    assert heard == []


async def test_documents_of_the_contract_can_be_asked_for(bus, subjects):
    document = msgspec.json.decode((await bus.request(subjects.meta("asyncapi"), timeout=5)).data)
    errors = msgspec.json.decode((await bus.request(subjects.meta("errors"), timeout=5)).data)

    assert document["asyncapi"] == "3.0.0"
    address = document["channels"]["typed-layer-scale"]["address"]
    assert address == subjects.service("layer.scale")
    assert len(errors["errors"]) == len(Code)


class TestDiscovery:
    async def own(self, bus, subjects, verb):
        """Return what our service says among those of tests that run beside."""
        inbox, heard = bus.new_inbox(), []

        async def hear(message):
            heard.append(msgspec.json.decode(message.data))

        listening = await bus.subscribe(inbox, cb=hear)
        await bus.publish(f"$SRV.{verb}.restow-commands", reply=inbox)
        ours = subjects.meta("asyncapi")
        await until(lambda: any(said["metadata"]["asyncapi"] == ours for said in heard))
        await listening.unsubscribe()
        return next(said for said in heard if said["metadata"]["asyncapi"] == ours)

    async def test_a_ping_says_who_is_here(self, bus, subjects):
        said = await self.own(bus, subjects, "PING")

        assert said["type"] == "io.nats.micro.v1.ping_response"
        assert (said["name"], said["version"]) == ("restow-commands", "0.1.0")

    async def test_info_has_every_command_with_its_schema(self, bus, subjects):
        said = await self.own(bus, subjects, "INFO")
        endpoints = {endpoint["name"]: endpoint for endpoint in said["endpoints"]}

        scale = endpoints["layer-scale"]
        assert said["type"] == "io.nats.micro.v1.info_response"
        assert scale["subject"] == subjects.service("layer.scale")
        assert scale["queue_group"] == "q"
        assert scale["metadata"]["cli"] == "restow layer scale"
        assert "capacity.insufficient" in scale["metadata"]["errors"].split(",")
        assert msgspec.json.decode(scale["metadata"]["schema"])["title"] == "layer.scale"
        texts = [value for e in said["endpoints"] for value in e["metadata"].values()]
        assert all(isinstance(value, str) for value in texts)

    async def test_it_can_be_asked_by_its_id(self, bus, subjects):
        identity = (await self.own(bus, subjects, "PING"))["id"]

        reply = await bus.request(f"$SRV.PING.restow-commands.{identity}", timeout=5)

        assert msgspec.json.decode(reply.data)["id"] == identity

    async def test_statistics_count_requests_and_refusals(self, bus, subjects, ask):
        await ask("layer.restart", CP)
        await ask("layer.restart", CP | {"delay_s": 301})
        said = await self.own(bus, subjects, "STATS")

        counted = {e["name"]: e for e in said["endpoints"]}["layer-restart"]
        assert said["type"] == "io.nats.micro.v1.stats_response"
        assert (counted["num_requests"], counted["num_errors"]) == (2, 1)
        assert counted["last_error"].startswith("limits.out_of_range: delay_s must be 0..300")
        assert counted["processing_time"] >= 2 * counted["average_processing_time"] - 1 > 0
        assert datetime.fromisoformat(said["started"]).tzinfo is not None


async def test_what_is_no_id_is_not_said_back(ask, desk):
    told, _ = await ask("layer.restart", CP, Nats_Msg_Id="i" * 100_000)

    assert (told["code"], told["path"]) == ("request.invalid", "header Nats-Msg-Id")
    assert len(told["command_id"]) < 129
    assert desk.asked == []


async def test_a_problem_too_large_for_the_bus_is_told_without_what_makes_it_so(ask, desk):
    desk.refusal = Refusal(Code.CAPACITY_INSUFFICIENT, "d" * 2_000_000)
    told, _ = await ask("layer.restart", CP | {"id": "r-1"})

    assert (told["code"], told["command_id"]) == ("capacity.insufficient", "r-1")
