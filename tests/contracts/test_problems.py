"""Every code has a kind, and a problem says all that an asker needs."""

from pathlib import Path

import msgspec
import pytest

from domain.messages import Code, Refusal
from domain.problems import EXIT_OF_STATUS, PROBLEMS, Exit, anchor, problem

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_every_code_is_in_the_table():
    assert set(PROBLEMS) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_every_kind_has_a_class_a_title_and_a_way_on(code):
    kind = PROBLEMS[code]

    assert kind.status in EXIT_OF_STATUS
    assert kind.title
    assert kind.way_on.endswith(".")


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_its_place_in_the_page_of_errors(code):
    assert f'<a id="{anchor(code)}"></a>' in PAGE.read_text()


@pytest.mark.parametrize(
    ("code", "end"),
    [
        (Code.REQUEST_INVALID, Exit.USAGE),
        (Code.HOST_NOT_FOUND, Exit.NOT_FOUND),
        (Code.CAPACITY_INSUFFICIENT, Exit.REFUSED),
        (Code.VERSION_CONFLICT, Exit.CONFLICT),
        (Code.WAIT_TIMEOUT, Exit.WAIT_TIMED_OUT),
        (Code.BUS_UNAVAILABLE, Exit.UNREACHABLE),
        (Code.AUTH_DENIED, Exit.DENIED),
        (Code.COMMAND_EXPIRED, Exit.FAILED),
    ],
)
def test_the_command_line_ends_as_the_class_says(code, end):
    assert PROBLEMS[code].exit is end


@pytest.mark.parametrize("code", [c for c in Code if PROBLEMS[c].status in (429, 500, 503, 504)])
def test_what_passes_by_itself_says_when_to_ask_again(code):
    assert problem(Refusal(code, "later")).retryable
    assert problem(Refusal(code, "later")).retry_after_ms > 0


def test_a_problem_carries_the_refusal_and_its_numbers():
    refusal = Refusal(Code.CAPACITY_INSUFFICIENT, "0 of 3 hosts fit", "$.count", {"hosts": 3})

    told = msgspec.to_builtins(problem(refusal, "c-1", 17))

    assert told == {
        "type": "docs/errors.md#capacity-insufficient",
        "title": "No host has room",
        "status": 422,
        "detail": "0 of 3 hosts fit",
        "code": "capacity.insufficient",
        "path": "$.count",
        "retryable": False,
        "retry_after_ms": 0,
        "way_on": PROBLEMS[Code.CAPACITY_INSUFFICIENT].way_on,
        "command_id": "c-1",
        "position": 17,
        "facts": {"hosts": 3},
    }
