"""What an asker is told, as bytes."""

import msgspec
import pytest

from domain.contracts import reply_body
from domain.contracts.replies import (
    LINES_MAX,
    OUTCOME_BYTES_MAX,
    PLAN_BYTES_MAX,
    Reply,
    within_bus,
)
from domain.decider import Answered
from domain.host import HostCordoned, HostRegistered
from domain.messages import Accepted, Code, ContainerId, HostId, Refusal, Unchanged
from domain.plan import DnsWindow, Ending, Forecast, HostChange, Move, PlannedStep
from domain.problems import Problem, problem
from tests.plans import NAME, NOTHING, plan_of


def told(answer, **fields):
    return msgspec.json.decode(reply_body(Answered(answer, 17, **fields), "c-1"))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Accepted(operation="op3", version=2), "accepted"),
        (Accepted(version=2), "done"),
        (Unchanged(version=2), "unchanged"),
    ],
)
def test_a_reply_says_how_far_it_is(answer, status):
    reply = told(answer)

    assert reply["status"] == status
    assert (reply["command_id"], reply["position"], reply["version"]) == ("c-1", 17, 2)
    assert "plan" not in reply


def test_a_reply_names_what_goes_on():
    answer = Accepted(
        operation="op3",
        operations=("op3", "op4"),
        containers=(ContainerId("node1"),),
        notices=("localhost",),
    )

    reply = told(answer)

    assert (reply["operation_id"], reply["operation_ids"]) == ("op3", ["op3", "op4"])
    assert (reply["containers"], reply["notices"]) == (["node1"], ["localhost"])


def test_a_refusal_is_a_problem():
    problem = told(Refusal(Code.HOST_NOT_FOUND, "there is no host n", "$.host"))

    assert (problem["code"], problem["status"], problem["path"]) == (
        "host.not_found",
        404,
        "$.host",
    )
    assert (problem["command_id"], problem["position"]) == ("c-1", 17)


def test_a_dry_run_shows_what_would_be_written():
    reply = told(Accepted(), plan=plan_of(HostCordoned(HostId("n"), "disk")))

    assert reply["status"] == "planned"
    assert reply["plan"] == [{"type": "host.cordoned", "data": {"host": "n", "reason": "disk"}}]


def test_a_dry_run_of_what_is_so_already_says_that():
    reply = told(Unchanged(), plan=plan_of())

    assert (reply["status"], reply["plan"]) == ("unchanged", [])


def test_a_plan_beyond_what_the_bus_carries_is_cut_and_says_so():
    one = HostRegistered(HostId("n"), 1, 1, 1, 1, {"zone": "x" * 200})

    reply = told(Accepted(), plan=plan_of(*[one] * 5_000))

    shown = len(reply["plan"])
    assert 0 < shown < 5_000
    assert len(msgspec.json.encode(reply["plan"])) <= PLAN_BYTES_MAX + shown + 2
    assert reply["notices"] == [f"the plan has 5,000 events, the first {shown:,} are here"]


class TestWithinBus:
    def test_what_is_small_enough_is_told_whole(self):
        reply = Reply(status="done", command_id="c-1", containers=(ContainerId("node1"),))

        assert within_bus(reply) is reply

    def test_a_reply_too_large_keeps_what_became_of_the_command_and_says_what_is_left_out(self):
        names = tuple(ContainerId(f"node{n}") for n in range(200_000))
        reply = Reply(
            status="accepted",
            command_id="c-1",
            operation_id="op3",
            operation_ids=("op3",),
            position=17,
            version=2,
            containers=names,
            notices=("n" * 900_000,),
        )

        cut = within_bus(reply)

        assert isinstance(cut, Reply)
        assert len(msgspec.json.encode(cut)) <= OUTCOME_BYTES_MAX
        assert (cut.status, cut.operation_id, cut.position, cut.version) == (
            *("accepted", "op3"),
            *(17, 2),
        )
        assert cut.containers == ()
        assert "left out" in cut.notices[0]
        assert "command.show" in cut.notices[0]

    @pytest.mark.parametrize("detail", ["short", "x" * 2_000_000, "ä" * 1_000_000])
    def test_a_problem_too_large_keeps_its_code_and_the_beginning_of_its_detail(self, detail):
        facts = {"hosts": ["h" * 60] * 20_000}
        told = problem(Refusal(Code.CAPACITY_INSUFFICIENT, detail, facts=facts), "c-1", 17)

        cut = within_bus(told)

        assert isinstance(cut, Problem)
        assert len(msgspec.json.encode(cut)) <= OUTCOME_BYTES_MAX
        assert (cut.code, cut.command_id, cut.position) == (told.code, "c-1", 17)
        assert cut.detail.startswith(detail[:100])
        assert cut.facts == {"left_out_bytes": len(msgspec.json.encode(told.facts))}


def test_a_dry_run_gives_the_command_that_does_just_this():
    reply = told(Accepted(), plan=plan_of())

    assert reply["plan_name"] == NAME
    assert reply["apply"] == {"type": "host.cordon", "host": "n", "expect_plan": NAME}
    assert msgspec.convert(reply["forecast"], Forecast) == NOTHING


def test_what_is_no_dry_run_has_no_forecast():
    assert not {"plan_name", "forecast", "apply"} & told(Accepted()).keys()


def test_a_forecast_beyond_what_the_bus_carries_is_cut_and_says_so():
    step = PlannedStep(ContainerId("node1"), "restart", 0, 1, "done")
    forecast = msgspec.structs.replace(NOTHING, steps=(step,) * (LINES_MAX + 1))

    reply = told(Accepted(), plan=plan_of(forecast=forecast))

    assert len(reply["forecast"]["steps"]) == LINES_MAX
    assert reply["notices"] == [f"steps: {LINES_MAX + 1} in all, the first {LINES_MAX} are here"]


def test_the_longest_forecast_passes_the_bus():
    name = ContainerId("node123456789012")
    host = HostId("h" * 63)
    orders = (f"route-out {host}", f"restart {host}", f"route-in {host}")
    step = PlannedStep(name, "restart", 10**9, 10**9, "failed", "op123456789012", orders, "x" * 200)
    window = DnsWindow(name, ("n" * 120, "l" * 120), 10**9, 10**9)
    forecast = msgspec.structs.replace(
        NOTHING,
        endings=(Ending("op123456789012", "failed", "x" * 200),) * LINES_MAX,
        steps=(step,) * LINES_MAX,
        moves=(Move(name, "moved", 10**9, host, host, 10**4),) * LINES_MAX,
        hosts=(HostChange(host, *[10**6] * 7),) * LINES_MAX,
        dns=(window,) * LINES_MAX,
    )
    fact = HostRegistered(HostId("n"), 1, 1, 1, 1, {"zone": "x" * 200})

    body = reply_body(Answered(Accepted(), 17, plan_of(*[fact] * 5_000, forecast=forecast)), "c-1")

    assert len(body) < OUTCOME_BYTES_MAX - 64 * 1024
