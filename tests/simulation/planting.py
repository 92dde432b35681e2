"""How a bug is planted: a function of its own, one switch, taken back when the test is over."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from domain.chronicle import CHRONICLE
from domain.fleet import Fleet

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
PLANTED: dict[str, Plant] = {}


def plant(bug: Plant) -> Plant:
    """List a bug under the name of its function; its docstring says what it is."""
    PLANTED[bug.__name__] = bug
    return bug


def put(patch: Patch, table: dict[Any, Any], key: object, value: object) -> None:
    """Let a table say something else for a while."""
    patch.setitem(table, key, value)


def take(patch: Patch, table: dict[Any, Any], key: object) -> None:
    """Let a table not know something for a while."""
    patch.delitem(table, key)


def then(patch: Patch, event: type, more: Callable[[Fleet, Any, int], None]) -> None:
    """Let something wrong happen to the fleet after an event."""
    right = CHRONICLE[event]

    def wrong(fleet: Fleet, fact: Any, at: Any) -> None:
        right(fleet, fact, at)
        more(fleet, fact, at)

    put(patch, CHRONICLE, event, wrong)


def change(fleet: Fleet, name: Any, **fields: Any) -> None:
    """Change a container."""
    fleet.put(fleet.containers, name, replace(fleet.containers[name], **fields))
