"""What a query string wants, or what is wrong with it: the field, what it may hold, what to do."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from domain.messages import Code, Instant, Refusal
from projections.answers import did_you_mean
from projections.choice import OPERATORS, Choice
from projections.moments import NUMBER_MAX, Moment
from projections.questions import LIMIT_DEFAULT, LIMIT_MAX, WAIT_DEFAULT_MS, WAIT_MAX_MS
from projections.views import VIEWS, View, columns

QUERY_BYTES_MAX = 8_192
CURSOR_MAX = 2_000
OWN = ("limit", "cursor", "sort", "fields", "min_position", "wait_ms", "as_of")
YES_NO = {"true": 1, "false": 0}

PLACE = 3
"""What names a place in a list: the value that it is sorted by, number, key."""

Pairs = Sequence[tuple[str, str]]


class Freshness(msgspec.Struct, frozen=True):
    """How new an answer must be, how long to wait for that; or which moment of the past."""

    min_position: int = 0
    wait_ms: int = WAIT_DEFAULT_MS
    as_of: Moment | None = None


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on: at which position, of which question, after which line.

    `past`: the position is one of the past, not one that is kept open.
    """

    position: int
    past: bool
    question: bytes
    after: tuple[Any, ...]


class Wanted(msgspec.Struct, frozen=True):
    """A list as it is wanted. `question` is what a cursor must have been made for."""

    choice: Choice
    fields: tuple[str, ...]
    fresh: Freshness
    question: bytes
    cursor: Cursor | None


class InvalidError(Exception):
    """A parameter is not valid; carries the refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def invalid(detail: str, name: str, **facts: Any) -> InvalidError:
    return InvalidError(Refusal(Code.REQUEST_INVALID, detail, f"query {name}", facts))


def single(pairs: Pairs) -> dict[str, str]:
    """Return the parameters by name. Raises `InvalidError` for one that is there twice."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            detail = f"{name} is there twice; give it once"
            raise invalid(detail, name)
        if "\0" in value:
            detail = f"{name} has a character that nothing is called by"
            raise invalid(detail, name)
        found[name] = value
    return found


def wanted(view: View, pairs: Pairs) -> Wanted:
    """Read what a list is wanted of. Raises `InvalidError`."""
    given = single(pairs)
    where = tuple(_comparison(view, name, given[name]) for name in given if name not in OWN)
    sort, descending = _sort(view, given.get("sort"))
    question = blake2b(repr((view.name, where, sort, descending)).encode(), digest_size=8).digest()
    cursor = read_cursor(given["cursor"], question) if "cursor" in given else None
    return Wanted(
        choice=Choice(
            view,
            where,
            sort,
            descending,
            cursor.after if cursor else None,
            number(given, "limit", LIMIT_DEFAULT, (1, LIMIT_MAX)),
        ),
        fields=fields(view, given),
        fresh=freshness(given),
        question=question,
        cursor=cursor,
    )


def freshness(given: Mapping[str, str]) -> Freshness:
    """Read how new an answer must be. Raises `InvalidError`."""
    past = moment(given, "as_of") if "as_of" in given else None
    least = number(given, "min_position", 0, (0, NUMBER_MAX))
    if past is not None and least:
        detail = "as_of is the past, min_position what is to come; give one of them"
        raise invalid(detail, "as_of")
    return Freshness(least, number(given, "wait_ms", WAIT_DEFAULT_MS, (0, WAIT_MAX_MS)), past)


def only(given: Mapping[str, str], names: Sequence[str]) -> None:
    """Raise `InvalidError` where there is a parameter of another name."""
    for name in given:
        if name not in names:
            offer, near = did_you_mean(name, names)
            detail = f"there is no parameter {name[:80]!r}{offer}"
            raise invalid(detail, name[:80], near=near)


def number(given: Mapping[str, str], name: str, usual: int, allowed: tuple[int, int]) -> int:
    """Read a number within its range, both ends included. Raises `InvalidError`."""
    if name not in given:
        return usual
    low, high = allowed
    found = _whole(given[name])
    if found is None or not low <= found <= high:
        detail = f"{name} must be a number from {low:,} to {high:,}, got {given[name][:40]!r}"
        raise invalid(detail, name, min=low, max=high)
    return found


def views_named(given: Mapping[str, str]) -> frozenset[str]:
    """Read the names of views; none: all. Raises `InvalidError`."""
    names = frozenset(name for name in given.get("views", "").split(",") if name)
    for name in names:
        if name not in VIEWS:
            offer, near = did_you_mean(name, VIEWS)
            detail = f"there is no view {name[:80]!r}{offer}"
            raise invalid(detail, "views", near=near)
    return names


def fields(view: View, given: Mapping[str, str]) -> tuple[str, ...]:
    """Read which members of lines are wanted; none: all. Raises `InvalidError`."""
    if "fields" not in given:
        return ()
    names = tuple(given["fields"].split(","))
    members = [field.name for field in msgspec.structs.fields(view.line)]
    for name in names:
        if name not in members:
            offer, near = did_you_mean(name, members)
            detail = f"{view.plural} have no field {name[:80]!r}{offer}"
            raise invalid(detail, "fields", near=near)
    return names


def _sort(view: View, said: str | None) -> tuple[str, bool]:
    if said is None:
        return "", view.latest_first
    name = said.removeprefix("-")
    if name not in columns(view):
        offer, near = did_you_mean(name, columns(view))
        detail = f"{view.plural} cannot be sorted by {name!r}{offer}; `-` in front turns the order"
        raise invalid(detail, "sort", near=near)
    return name, said.startswith("-")


def _comparison(view: View, said: str, text: str) -> tuple[str, str, Any]:
    name, _, operator = said.partition(".")
    operator = operator or "eq"
    kinds = columns(view)
    if name not in kinds:
        offer, near = did_you_mean(name, [*kinds, *OWN])
        detail = f"{view.plural} have no parameter {name[:80]!r}{offer}"
        raise invalid(detail, said[:80], near=near)
    if operator not in OPERATORS or (operator == "prefix" and kinds[name] is int):
        allowed = [one for one in OPERATORS if one != "prefix" or kinds[name] is str]
        detail = f"{name} can be compared by {', '.join(allowed)}, not by {operator[:40]!r}"
        raise invalid(detail, said[:80], operators=allowed)
    return name, operator, text if kinds[name] is str else _value(said, text)


def _value(name: str, text: str) -> int:
    if text in YES_NO:
        return YES_NO[text]
    found = _whole(text)
    if found is None:
        found = _time(text)
    if found is None:
        detail = f"{name} must be a whole number, true, false or a time, got {text[:40]!r}"
        raise invalid(detail, name)
    return found


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(NUMBER_MAX))):
        return None
    return int(text) if abs(int(text)) <= NUMBER_MAX else None


def _time(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else int(found.timestamp() * 1_000)


def moment(given: Mapping[str, str], name: str) -> Moment:
    """Read a position, or a time. Raises `InvalidError`."""
    text = given.get(name, "")
    position = _whole(text)
    if position is not None and position >= 0:
        return Moment(position=position)
    at = _time(text)
    if at is None:
        detail = f"{name} must be a position (1234) or a time with a zone (2026-11-21T10:00:00Z)"
        detail = f"{detail}, got {text[:40]!r}"
        raise invalid(detail, name)
    return Moment(at=Instant(at))


def write_cursor(cursor: Cursor) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str, question: bytes) -> Cursor:
    """Read a cursor that was given out for the same question. Raises `InvalidError`."""
    detail = "this is no cursor of this list; take `next` of the page before, and change nothing"
    if len(text) > CURSOR_MAX or not text.isascii():
        raise invalid(detail, "cursor")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.msgpack.decode(data, type=Cursor)
    except (ValueError, msgspec.DecodeError) as error:
        raise invalid(detail, "cursor") from error
    if cursor.question != question or abs(cursor.position) > NUMBER_MAX:
        raise invalid(detail, "cursor")
    if len(cursor.after) != PLACE or not all(map(_is_plain, cursor.after)):
        raise invalid(detail, "cursor")
    return cursor


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and abs(value) <= NUMBER_MAX)
