"""What was released stays: no field removed, renamed or narrowed.

`released` holds the schemas of the last release; `python -m restow.generate` does not touch it. A
release copies `docs/contracts` there.
"""

import copy
from functools import cache
from pathlib import Path

import msgspec
import pytest

from restow.generate import contracts
from tests.contracts.compatible import broken

RELEASED = Path(__file__).parent / "released"
OLD = {str(p.relative_to(RELEASED)): p for p in sorted(RELEASED.rglob("*.json"))}


made = cache(contracts)


def current(name):
    return msgspec.json.decode(made()[f"docs/contracts/{name}"])


def is_sent(name):
    return name.startswith("commands/")


@pytest.mark.parametrize("name", OLD)
def test_what_was_released_is_kept(name):
    old = msgspec.json.decode(OLD[name].read_bytes())

    assert broken(old, current(name), sent=is_sent(name)) == []


def test_every_kind_of_document_was_released():
    assert {name.partition("/")[0] for name in OLD} == {
        "commands",
        "events",
        "reply.json",
        "problem.json",
    }


def change(schema, path, value):
    changed = copy.deepcopy(schema)
    *steps, last = path
    place = changed
    for step in steps:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


PROPERTIES = "properties"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ((PROPERTIES, "delay_s"), None, "$.delay_s: is gone"),
        ((PROPERTIES, "delay_s", "maximum"), 200, "$.delay_s: maximum 300 became 200"),
        ((PROPERTIES, "delay_s", "minimum"), 1, "$.delay_s: minimum 0 became 1"),
        ((PROPERTIES, "delay_s", "type"), "string", "$.delay_s: type integer became string"),
        (("required",), ["environment", "layer", "mode"], "$.mode: is required now"),
        ((PROPERTIES, "layer", "pattern"), "^x$", "$.layer: pattern"),
        ((PROPERTIES, "mode", "enum"), ["sequential"], "$.mode: ['simultaneous'] is not taken"),
        ((PROPERTIES, "id", "anyOf"), [{"type": "string"}], "$.id: null is not taken any more"),
    ],
)
def test_a_narrowed_command_is_found(path, value, said):
    old = current("commands/layer.restart.json")

    found = broken(old, change(old, path, value), sent=True)

    assert len(found) == 1
    assert found[0].startswith(said)


def test_a_narrowed_part_of_a_command_is_found():
    old = current("commands/layer.add.json")
    path = ("$defs", "LayerSpec", PROPERTIES, "count", "maximum")

    assert broken(old, change(old, path, 5), sent=True) == ["$.layer.count: maximum 1000 became 5"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((PROPERTIES, "delay_s", "maximum"), 600),
        ((PROPERTIES, "fresh"), {"type": "string"}),
        (("required",), ["environment"]),
        ((PROPERTIES, "mode", "enum"), ["sequential", "simultaneous", "canary"]),
    ],
)
def test_a_widened_command_is_compatible(path, value):
    old = current("commands/layer.restart.json")

    assert broken(old, change(old, path, value), sent=True) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ((PROPERTIES, "host"), None, "$.host: is gone"),
        ((PROPERTIES, "host", "type"), "integer", "$.host: type string became integer"),
        (("required",), ["container"], "may be left out now"),
    ],
)
def test_an_event_that_says_less_is_found(path, value, said):
    old = current("events/container.placed.json")

    assert any(said in line for line in broken(old, change(old, path, value), sent=False))


def test_an_event_that_says_more_is_compatible():
    old = current("events/container.placed.json")

    assert broken(old, change(old, (PROPERTIES, "fresh"), {"type": "string"}), sent=False) == []
