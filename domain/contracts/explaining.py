"""Why a body is no command: msgspec's messages, retold with both bounds and what was there."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

import msgspec

from domain.contracts.fields import (
    ANY_NAME,
    ANY_VALUE,
    Json,
    Key,
    allowed,
    field_names,
    has_a_pattern,
    range_of,
    steps,
    type_at,
    value_at,
)
from domain.messages import Code, Refusal

FIELD_SHOWN_MAX = 80
"""Characters of an unknown field's name that are shown."""

_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_BOUND = re.compile(r"^Expected `.+` (<=|>=|<|>|of length) |out of range$")


def explain(message: str, shape: type[msgspec.Struct], body: Json, root: str = "$") -> Refusal:
    """Turn msgspec's message about `body` into a refusal with the field and what it may hold."""
    said, at, where = message.rpartition(" - at ")
    said, where = (said, where) if at else (message, "")
    path = (*steps(where), ANY_NAME) if where.startswith("`key`") else steps(where)
    if unknown := _UNKNOWN.match(said):
        return _unknown_field(shape, (*path, unknown[1][:FIELD_SHOWN_MAX]), root)
    if missing := _MISSING.match(said):
        return _missing_field(shape, (*path, missing[1]), root)
    found = type_at(shape, path)
    beyond = found and _BOUND.search(said) and not has_a_pattern(found)
    may_be = (range_of(found) if found and beyond else "") or _may_be(shape, path)
    got = value_at(body, path)
    detail = f"{label(path)} must be {may_be}" + (f", got {got}" if got else "")
    code = Code.LIMITS_OUT_OF_RANGE if beyond else Code.REQUEST_INVALID
    return Refusal(code, detail, root + written(path))


def _unknown_field(shape: type[msgspec.Struct], path: tuple[Key, ...], root: str) -> Refusal:
    known = field_names(shape, path[:-1])
    near = get_close_matches(str(path[-1]), known, n=1)
    offer = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
    detail = f"unknown field {label(path)}; {offer}"
    return Refusal(Code.REQUEST_INVALID, detail, root + written(path))


def _missing_field(shape: type[msgspec.Struct], path: tuple[Key, ...], root: str) -> Refusal:
    detail = f"{label(path)} is missing; it must be {_may_be(shape, path)}"
    return Refusal(Code.REQUEST_INVALID, detail, root + written(path))


def _may_be(shape: type[msgspec.Struct], path: tuple[Key, ...]) -> str:
    if path == ("type",) and shape.__struct_config__.tag:
        return f"{shape.__struct_config__.tag}, as the subject says"
    found = type_at(shape, path)
    return (allowed(found) if found else "") or "as documented"


def label(path: Iterable[Key]) -> str:
    """Name a field for a person: `delay_s`, `layers[0].count`, `a name in labels`."""
    keys = tuple(path)
    if not keys:
        return "the body"
    if keys[-1] == ANY_NAME:
        return f"a name in {label(keys[:-1])}"
    if keys[-1] == ANY_VALUE:
        return f"a value of {label(keys[:-1])}"
    return written(keys).removeprefix(".")


def written(path: Iterable[Key]) -> str:
    """Write a path as JSON path without its root: `.layers[0].count`, `["no name"]`."""
    return "".join(map(_step, path))


def _step(key: Key) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if key in (ANY_NAME, ANY_VALUE):
        return key
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{msgspec.json.encode(key).decode()}]"
