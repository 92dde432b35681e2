"""What is printed, and where."""

import msgspec
import pytest

from domain.messages import Code, Refusal
from domain.problems import PROBLEMS, problem
from restow.cli.output import (
    Look,
    Page,
    age,
    ago,
    explain,
    field,
    show_item,
    show_list,
    text,
)

HOSTS = Page([{"id": "h01", "free": 12, "zone": "north"}, {"id": "h02", "free": 0, "zone": ""}], 7)
COLUMNS = (field("HOST", "id"), field("FREE", "free"), field("ZONE", "zone", wide=True))


def name(item):
    return item["id"]


def shown(capsys, look):
    show_list(HOSTS, COLUMNS, look, name)
    return capsys.readouterr().out


def test_a_table_has_headers_in_capitals_and_columns_two_spaces_apart(capsys):
    assert shown(capsys, Look()) == "HOST  FREE\nh01   12\nh02   0\n"


def test_wide_shows_every_column(capsys):
    assert shown(capsys, Look("wide")) == "HOST  FREE  ZONE\nh01   12    north\nh02   0     -\n"


def test_a_table_may_come_without_headers(capsys):
    assert shown(capsys, Look("table", headers=False)) == "h01  12\nh02  0\n"


def test_an_empty_table_is_its_headers(capsys):
    show_list(Page([]), COLUMNS, Look(), name)
    assert capsys.readouterr().out == "HOST  FREE\n"


def test_json_is_what_the_bus_answered(capsys):
    assert msgspec.json.decode(shown(capsys, Look("json"))) == {
        "items": HOSTS.items,
        "position": 7,
    }


def test_jsonl_is_a_line_for_each(capsys):
    lines = shown(capsys, Look("jsonl")).splitlines()
    assert [msgspec.json.decode(line) for line in lines] == HOSTS.items


def test_names_are_one_a_line(capsys):
    assert shown(capsys, Look("name")) == "h01\nh02\n"


def test_wide_characters_take_their_room(capsys):
    show_list(Page([{"id": "主机", "free": 1}, {"id": "h", "free": 2}]), COLUMNS, Look(), name)
    assert capsys.readouterr().out == "HOST  FREE\n主机  1\nh     2\n"


def test_one_thing_is_a_line_for_each_member(capsys):
    item = {"id": "op3", "steps": [{"container": "node1"}, {"container": "node2"}], "detail": ""}
    show_item(item, Look(), name)
    assert capsys.readouterr().out == (
        "id      op3\nsteps   container=node1\n        container=node2\ndetail  -\n"
    )


@pytest.mark.parametrize(
    ("past_ms", "expected"),
    [
        (0, "0s"),
        (4_999, "4s"),
        (119_999, "119s"),
        (120_000, "2m"),
        (7_200_000, "2h"),
        (172_800_000, "2d"),
        (-5_000, "0s"),
    ],
)
def test_times_are_told_as_time_since(past_ms, expected):
    now = 1_700_000_000_000
    assert ago(now - past_ms, now) == expected


def test_never_is_a_dash():
    assert ago(0) == "-"
    assert age("AGE", "at").text({"at": 0}) == "-"
    assert age("AGE", "at").text({}) == "-"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        ({}, "-"),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        (["a", "b"], "a,b"),
        ({"zone": "north", "n": 1}, "zone=north,n=1"),
        ("zwölf 🚢", "zwölf 🚢"),
        ("two\nlines, red: \x1b[31m", r"two\nlines, red: \x1b[31m"),
        (["a\tb"], r"a\tb"),
    ],
)
def test_values_are_shown_as_people_write_them(value, expected):
    assert text(value) == expected


def test_of_a_problem_nothing_is_said_that_is_empty_or_moves_the_cursor(capsys):
    refusal = Refusal(Code.HOST_NOT_FOUND, "no host 'a\x1b[2J'", '$["a\r"]', {"near": []})

    explain(problem(refusal))

    first, second, third, *_ = capsys.readouterr().err.splitlines()
    assert first == r"error: host.not_found: no host 'a\x1b[2J'"
    assert second == r'  at    $["a\r"]'
    assert third.startswith("  try   ")


def test_a_problem_has_cause_numbers_way_on_and_handle(capsys):
    refusal = Refusal(
        Code.CAPACITY_INSUFFICIENT,
        "no host can take node7 (2 cloudlets)",
        "$.count",
        {"hosts": 1_200, "objections": {"too full": 1_010, "cordoned": 16}},
    )

    explain(problem(refusal, "cmd-1", 182_401))

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "error: capacity.insufficient: no host can take node7 (2 cloudlets)",
        "  hosts 1,200 · 1,010 too full · 16 cordoned",
        "  at    $.count",
        f"  try   {PROBLEMS[Code.CAPACITY_INSUFFICIENT].way_on}",
        "  command cmd-1  position 182,401  docs/errors.md#capacity-insufficient",
    ]
