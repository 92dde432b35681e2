"""Conditions on the fleet, as people type them, and when one turned true.

`host.h3.used > 200 and container.node7.host == h2`: comparisons of members of aggregates, joined
by `and`. A name without a member is asked whether it `exists` or is `gone`; `.count` is how many
there are of a kind (`containers.count`) or in a member that is a list. What is not there is equal
to nothing, and neither more nor less than anything.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from domain.fleet import Fleet
from domain.nouns import TABLES
from projections.aggregates import NOUNS, find, spelled

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
ORDERED = ("<=", ">=", "<", ">")
ONE = re.compile(r"\s*(\S+?)\s*(==|!=|<=|>=|<|>)\s*(\S+)\s*")
THERE = re.compile(r"\s*(\S+)\s+(exists|gone)\s*")
WORDS: Mapping[str, Any] = {"true": True, "false": False, "none": None}
EXAMPLE = "write host.h3.used > 200, container.node7.host == h2, or layer.shop/app exists"


class ConditionError(ValueError):
    """This is no condition; the message says why, and how one is written."""


class Comparison(msgspec.Struct, frozen=True):
    """One comparison: of whom (`called`, "" for a whole kind), which members, and with what."""

    called: str
    path: tuple[str, ...]
    sign: str
    value: Any

    def holds(self, fleet: Fleet) -> bool:
        found = self.found(fleet)
        if self.sign in {"exists", "gone"}:
            return (found is None) == (self.sign == "gone")
        if self.sign in ORDERED and not both_numbers(found, self.value):
            return False
        return COMPARE[self.sign](found, self.value)

    def found(self, fleet: Fleet) -> Any:
        """Return what the comparison looks at, as it is now; None where that is not there."""
        if not self.called:
            return len(getattr(fleet, self.path[0]))
        found = find(fleet, self.called)
        for name in self.path:
            if found is None:
                return None
            found = member(found, name)
        return found


def both_numbers(found: Any, value: Any) -> bool:
    """Tell whether two values have an order."""
    return all(isinstance(one, int | float) for one in (found, value))


def member(found: Any, name: str) -> Any:
    """Return a member of a value. Raises `ConditionError` where no such value has it."""
    kind: Any = found.__class__
    if name == "count" and issubclass(kind, list | tuple | dict):
        return len(found)
    if issubclass(kind, Mapping):
        return found.get(name)
    known = names_of(kind)
    if name not in known:
        message = f"{kind.__name__} has no {name!r}; it has {', '.join(sorted(known))}"
        raise ConditionError(message)
    return getattr(found, name)


def names_of(kind: Any) -> set[str]:
    """Return the members of a value of the domain: its fields and what is derived from them."""
    names: list[str] = dir(kind)
    fields: tuple[str, ...] = getattr(kind, "__struct_fields__", ())
    derived = (name for name in names if isinstance(getattr(kind, name), property))
    return {*fields, *derived}


class Condition(msgspec.Struct, frozen=True):
    """Comparisons that must all hold."""

    text: str
    all: tuple[Comparison, ...]

    def holds(self, fleet: Fleet) -> bool:
        return all(one.holds(fleet) for one in self.all)

    def found(self, fleet: Fleet) -> dict[str, Any]:
        """Return what each comparison looks at, by what it is called."""
        return {said(one): shown(one, fleet) for one in self.all}


def shown(one: Comparison, fleet: Fleet) -> Any:
    """Return what a comparison looks at, fit for JSON: of an aggregate only whether it is there."""
    found = one.found(fleet)
    return spelled(found) if one.path else found is not None


def said(one: Comparison) -> str:
    """Return what a comparison looks at, as it is written."""
    return f"{one.path[0]}.count" if not one.called else ".".join((one.called, *one.path))


def condition(text: str) -> Condition:
    """Read a condition. Raises `ConditionError`."""
    parts = re.split(r"\s+and\s+", text.strip())
    return Condition(text, tuple(map(comparison, parts)))


def comparison(text: str) -> Comparison:
    """Read one comparison. Raises `ConditionError`."""
    there = THERE.fullmatch(text)
    if there is not None:
        called, path = place(there[1])
        if path or not called:
            message = f"{there[1]!r}: only an aggregate {there[2]}, such as container.node7"
            raise ConditionError(message)
        return Comparison(called, (), there[2], None)
    found = ONE.fullmatch(text)
    if found is None:
        message = f"{text!r} is no condition; {EXAMPLE}"
        raise ConditionError(message)
    called, path = place(found[1])
    if not path:
        message = f"{found[1]!r} names no member; {EXAMPLE}"
        raise ConditionError(message)
    value = literal(found[3])
    if found[2] in ORDERED and not isinstance(value, int | float):
        message = f"{found[3]!r} has no order; compare it with == or !="
        raise ConditionError(message)
    return Comparison(called, path, found[2], value)


def place(text: str) -> tuple[str, tuple[str, ...]]:
    """Return who is meant, and which members of it. Raises `ConditionError`."""
    first, *rest = text.split(".")
    if first in NOUNS and rest == ["count"]:
        return "", (first,)
    if first not in TABLES or not rest or "" in rest:
        kinds = ", ".join(TABLES)
        message = f"{text!r} begins with none of {kinds}, and is no <kind>s.count; {EXAMPLE}"
        raise ConditionError(message)
    return f"{first}.{rest[0]}", tuple(rest[1:])


def literal(text: str) -> Any:
    """Return a number, true, false, none, or the word itself."""
    if text in WORDS:
        return WORDS[text]
    try:
        return int(text.replace(",", ""))
    except ValueError:
        return text.strip("\"'")
