"""What a field may hold, in words: ranges and names, found by the JSON path of a field.

The bodies of commands are checked by msgspec, whose messages name one bound only. A person wants
both: `delay_s must be 0..300`. The bounds come from the type itself, so they cannot be wrong.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from domain.environment import LABELS, VARIABLE
from domain.messages import (
    DEAD,
    EVACUATION,
    GROWTH,
    LABEL,
    MIGRATION,
    NODE,
    OPERATION,
    PLAN,
    PRINTABLE,
    REBALANCE,
    TENANT,
    TRIGGER,
)
from domain.software import ARCHIVE_URL, NO_BLANKS, REF, REPOSITORY_URL, SHA256

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
Key: TypeAlias = str | int

ANY_VALUE = "[...]"
"""How a path says "a value of this object"; its name is not known."""
ANY_NAME = "[name]"
"""How a path says "a name in this object"."""
SHOWN_MAX = 40
"""Characters of an offending value that are shown."""

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|(\[\.\.\.\]|\[name\])")

NAMES: Mapping[str, str] = {
    LABEL: "a DNS label: a-z, 0-9 and inner hyphens",
    NODE: "the name of a container, such as node17",
    OPERATION: "the name of an operation, such as op3",
    GROWTH: "the name of a growth, such as gr2",
    MIGRATION: "the name of a migration, such as mv5",
    EVACUATION: "the name of an evacuation, such as ev1",
    REBALANCE: "the name of a rebalance, such as rb1",
    TRIGGER: "the name of a trigger, such as tr1",
    DEAD: "the name of a dead letter, such as dl3",
    TENANT: "a DNS label: a-z, 0-9 and inner hyphens; or _others",
    PLAN: "the name of a plan, as a dry run tells it",
    PRINTABLE: "printable characters without blanks",
    LABELS: "DNS labels with dots",
    NO_BLANKS: "text without blanks",
    ARCHIVE_URL: "an https:// or file:// address",
    REPOSITORY_URL: "an https://, ssh://, git:// or file:// address",
    REF: "a branch, tag or commit",
    SHA256: "a SHA-256: 64 of 0-9 and a-f",
    VARIABLE: "the name of a variable: letters, digits and underscores",
}
"""Patterns in words. A pattern that is not here is shown as it is."""


def steps(path: str) -> tuple[Key, ...]:
    """Split a JSON path: `$.layers[0].count` is `("layers", 0, "count")`."""
    return tuple(
        name or (int(index) if index else anything) for name, index, anything in _STEP.findall(path)
    )


def type_at(shape: type[msgspec.Struct], path: tuple[Key, ...]) -> inspect.Type | None:
    """Return the type of the field at `path`, or None where there is no such field."""
    found: inspect.Type | None = _type_of(shape)
    for key in path:
        found = None if found is None else _below(found, key)
    return found


@cache
def _type_of(shape: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(shape)


def _below(found: inspect.Type, key: Key) -> inspect.Type | None:
    for variant in variants(found):
        match variant, key:
            case inspect.StructType(fields=fields), str():
                return next((f.type for f in fields if f.encode_name == key), None)
            case inspect.DictType(key_type=name_type), "[name]":
                return name_type
            case inspect.DictType(value_type=value_type), str():
                return value_type
            case (inspect.VarTupleType() | inspect.ListType()) as items, int() | "[...]":
                return items.item_type
            case _:
                continue
    return None


def variants(found: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the types that a type stands for: the members of a union, without their metadata."""
    match found:
        case inspect.Metadata(type=inner):
            yield from variants(inner)
        case inspect.UnionType(types=members):
            for member in members:
                yield from variants(member)
        case _:
            yield found


def allowed(found: inspect.Type) -> str:
    """Say what a field of this type may hold: `0..300`, `one of pack, spread`, `true or false`."""
    said = [words(variant) for variant in variants(found)]
    return " or ".join(word for word in said if word)


def range_of(found: inspect.Type) -> str:
    """Say the range of a number, `0..300`; "" for what is no number or has no bounds."""
    for variant in variants(found):
        if isinstance(variant, inspect.IntType | inspect.FloatType):
            return span(variant.ge, variant.le)
    return ""


def words(variant: inspect.Type) -> str:
    """Say what one type allows; "" for what is not worth saying."""
    match variant:
        case inspect.IntType() | inspect.FloatType():
            return _number(variant)
        case inspect.StrType():
            return _text(variant)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.BoolType():
            return "true or false"
        case inspect.DateTimeType():
            return "a time with its zone, such as 2026-11-21T10:00:00Z"
        case inspect.VarTupleType() | inspect.ListType() | inspect.DictType():
            return _many(variant)
        case inspect.StructType() | inspect.RawType():
            return "an object"
        case _:
            return ""


def _number(number: inspect.IntType | inspect.FloatType) -> str:
    noun = "a number" if isinstance(number, inspect.FloatType) else "a whole number"
    bounds = span(number.ge, number.le)
    return f"{noun}, {bounds}" if bounds else noun


def span(least: float | None, most: float | None) -> str:
    """Say a range with both bounds, or with the one there is."""
    if least is None:
        return "" if most is None else f"at most {most:.12g}"
    return f"at least {least:.12g}" if most is None else f"{least:.12g}..{most:.12g}"


def _text(text: inspect.StrType) -> str:
    length = span(text.min_length, text.max_length)
    what = NAMES.get(text.pattern, f"text like {text.pattern}") if text.pattern else "text"
    return f"{what}, {length} characters" if length else what


def _many(many: inspect.VarTupleType | inspect.ListType | inspect.DictType) -> str:
    noun = "an object" if isinstance(many, inspect.DictType) else "a list"
    length = span(many.min_length, many.max_length)
    return f"{noun} of {length} entries" if length else noun


def value_at(body: Json, path: tuple[Key, ...]) -> str:
    """Return the offending value as text, shortened; "" where it cannot be shown."""
    found: Json = body
    for key in path:
        match found, key:
            case dict(), str() if key in found:
                found = found[key]
            case list(), int() if key < len(found):
                found = found[key]
            case _:
                return ""
    if body is None:
        return ""
    said = msgspec.json.encode(found).decode()
    return said if len(said) <= SHOWN_MAX else f"{said[: SHOWN_MAX - 1]}…"


def has_a_pattern(found: inspect.Type) -> bool:
    """Whether the type is a name, so that a wrong length makes it no name."""
    return any(isinstance(v, inspect.StrType) and v.pattern for v in variants(found))


def field_names(shape: type[msgspec.Struct], path: tuple[Key, ...]) -> list[str]:
    """Return the names of the fields that the object at `path` may have."""
    found = type_at(shape, path)
    return [
        field.encode_name
        for variant in (variants(found) if found else ())
        if isinstance(variant, inspect.StructType)
        for field in variant.fields
    ]


def fields_of(shape: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """Return the fields of a message."""
    found = _type_of(shape)
    return found.fields if isinstance(found, inspect.StructType) else ()
