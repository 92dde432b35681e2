"""How values are typed on the command line: durations, labels, layers, and `environment/layer`."""

import re
from collections.abc import Iterable, Mapping, Sequence

from restow.cli.exits import UsageError

UNITS_MS: Mapping[str, int] = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = re.compile(r"-?(\d+(ms|s|m|h|d))+")
DURATION_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
PLAIN_SECONDS = re.compile(r"-?\d+")

Body = dict[str, object]
"""The body of a command or query, as it is sent: what JSON can say."""

WORDS: Mapping[str, tuple[str, object]] = {
    "stateful": ("stateful", True),
    "stateless": ("stateful", False),
    "hard": ("anti_affinity", "hard"),
    "soft": ("anti_affinity", "soft"),
    "fence": ("on_lost", "fence"),
    "keep": ("on_lost", "keep"),
}
"""Words of a layer that need no value."""
NUMBERS: Mapping[str, str] = {"reserved": "reserved", "limit": "limit", "disk": "disk_gib"}
TEXTS: Mapping[str, str] = {"role": "role", "image": "image", "policy": "policy"}
LISTS: Mapping[str, str] = {"group": "groups", "volume": "volumes", "port": "ports"}
KEYS = (*NUMBERS, *TEXTS, *LISTS, "var")


def milliseconds(text: str) -> int:
    """Read `30s`, `1m30s`, `500ms`, or plain seconds, as milliseconds. Raises `UsageError`."""
    if PLAIN_SECONDS.fullmatch(text):
        return int(text) * 1_000
    if not DURATION.fullmatch(text):
        message = f"{text!r} is no duration; write 30s, 1m30s, 500ms, or plain seconds"
        raise UsageError(message)
    parts = DURATION_PART.findall(text)
    total = sum(int(count) * UNITS_MS[unit] for count, unit in parts)
    return -total if text.startswith("-") else total


def seconds(text: str) -> int:
    """Read a duration that must be whole seconds. Raises `UsageError`."""
    total = milliseconds(text)
    if total % 1_000:
        message = f"{text!r} is not a whole number of seconds"
        raise UsageError(message)
    return total // 1_000


def pairs(words: Iterable[str], what: str = "label") -> dict[str, str]:
    """Read `key=value` words. Raises `UsageError` where one has no `=`."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            message = f"{what} {word!r} is not KEY=VALUE"
            raise UsageError(message)
        found[key] = value
    return found


def layer_key(text: str) -> tuple[str, str]:
    """Read `shop/app` as environment and layer. Raises `UsageError`."""
    environment, slash, layer = text.partition("/")
    if not (environment and slash and layer) or "/" in layer:
        message = f"{text!r} names no layer; write ENVIRONMENT/LAYER, as in shop/app"
        raise UsageError(message)
    return environment, layer


def number(text: str, what: str) -> int:
    """Read a whole number. Raises `UsageError`."""
    try:
        return int(text)
    except ValueError:
        message = f"{what} wants a whole number, not {text!r}"
        raise UsageError(message) from None


def layer(text: str) -> Body:
    """Read a layer such as `app:3:reserved=2:limit=8:hard` as the body of a `LayerSpec`.

    The name comes first, then optionally the count, then words (`stateful`, `hard`, …) and
    settings. A piece that is neither belongs to the value before it: `image=nginx:1.25` is one
    image. Raises `UsageError` where nothing fits.
    """
    name, *pieces = text.split(":")
    body: Body = {"name": name}
    if pieces and PLAIN_SECONDS.fullmatch(pieces[0]):
        body["count"] = int(pieces.pop(0))
    for piece in _joined(text, pieces):
        if piece in WORDS:
            key, value = WORDS[piece]
            body[key] = value
        else:
            _set(body, *piece.split("=", 1))
    return body


def _joined(text: str, pieces: Sequence[str]) -> list[str]:
    """Put together again what a colon inside of a value has torn apart."""
    joined: list[str] = []
    for piece in pieces:
        key, equals, _ = piece.partition("=")
        if piece in WORDS or (equals and key in KEYS):
            joined.append(piece)
        elif joined and "=" in joined[-1]:
            joined[-1] += f":{piece}"
        else:
            message = f"layer {text!r}: {piece!r} is none of {', '.join((*KEYS, *WORDS))}"
            raise UsageError(message)
    return joined


def _set(body: Body, key: str, value: str) -> None:
    if key in NUMBERS:
        body[NUMBERS[key]] = number(value, key)
    elif key in TEXTS:
        body[TEXTS[key]] = value
    elif key == "var":
        known = body.get("variables", {})
        body["variables"] = {**(known if isinstance(known, dict) else {}), **pairs([value], key)}
    else:
        known = body.get(LISTS[key], [])
        item = number(value, key) if key == "port" else value
        body[LISTS[key]] = [*(known if isinstance(known, list) else []), item]


def given(**fields: object) -> Body:
    """Return the fields that were given: those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
