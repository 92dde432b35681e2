"""From bytes to a command, or to a refusal that names the field and what it may hold.

Strict: unknown fields are refused, for a misspelt one in a destructive command must not be
ignored. Whatever the bytes are, the answer is a value; nothing here raises.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from domain.contracts.catalogue import COMMANDS
from domain.contracts.checks import check
from domain.contracts.explaining import explain
from domain.contracts.fields import Json
from domain.messages import AskName, Code, PublicCommand, Refusal

REQUEST_BYTES_MAX = 64 * 1024
"""A command has at most this many bytes."""
NEAR_MAX = 3
"""So many names are offered instead of one that is not known."""
CLOUD_EVENT = "application/cloudevents+json"

_decoders: Mapping[str, msgspec.json.Decoder[PublicCommand]] = {
    name: msgspec.json.Decoder(contract.shape) for name, contract in COMMANDS.items()
}

S = TypeVar("S", bound=msgspec.Struct)


class Envelope(msgspec.Struct, frozen=True):
    """A CloudEvent in structured mode that carries a command in `data`."""

    specversion: Literal["1.0"]
    id: AskName
    source: Annotated[str, Meta(min_length=1)]
    type: str
    data: msgspec.Raw
    datacontenttype: Literal["application/json"] = "application/json"


_envelopes = msgspec.json.Decoder(Envelope)
_anything = msgspec.json.Decoder()


def decode_command(name: str, body: bytes, content_type: str = "") -> PublicCommand | Refusal:
    """Read the command `name` from JSON, plain or as a structured CloudEvent.

    Refuses with `command.unknown`, `request.too_large`, `request.invalid` or
    `limits.out_of_range`.
    """
    if name not in COMMANDS:
        return unknown_command(name)
    if len(body) > REQUEST_BYTES_MAX:
        return Refusal(
            Code.REQUEST_TOO_LARGE,
            f"the body has {len(body):,} bytes, at most {REQUEST_BYTES_MAX:,} are allowed",
            "$",
            {"bytes": len(body), "bytes_max": REQUEST_BYTES_MAX},
        )
    if content_type.partition(";")[0].strip().lower() == CLOUD_EVENT:
        return _from_cloud_event(name, body)
    return _from_json(name, body)


def unknown_command(name: str) -> Refusal:
    """Say that there is no such command, and which are named nearly so."""
    near = get_close_matches(name, COMMANDS, n=NEAR_MAX, cutoff=0.5)
    offer = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(COMMANDS)}"
    return Refusal(
        Code.COMMAND_UNKNOWN,
        f"there is no command {name[:80]!r}; {offer}",
        "$.type",
        {"near": near},
    )


def _from_json(name: str, body: bytes, root: str = "$") -> PublicCommand | Refusal:
    command = _decoded(_decoders[name], body, root)
    if isinstance(command, Refusal):
        return command
    refused = check(command)
    return command if refused is None else replace(refused, path=root + refused.path[1:])


def _from_cloud_event(name: str, body: bytes) -> PublicCommand | Refusal:
    envelope = _decoded(_envelopes, body, "$")
    if isinstance(envelope, Refusal):
        return envelope
    names = (name, f"io.restow.command.{name}.v1")
    if envelope.type not in names:
        detail = f"type must be {' or '.join(names)}, got {envelope.type[:80]!r}"
        return Refusal(Code.REQUEST_INVALID, detail, "$.type")
    command = _from_json(name, bytes(envelope.data), "$.data")
    if isinstance(command, Refusal) or command.id is not None:
        return command
    return replace(command, id=envelope.id)


def _decoded(decoder: msgspec.json.Decoder[S], body: bytes, root: str) -> S | Refusal:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        return explain(str(error), decoder.type, plain(body), root)
    except msgspec.DecodeError as error:
        said = str(error).lower() if body else "it is empty"
        return Refusal(Code.REQUEST_INVALID, f"the body is not JSON: {said}", root)
    except UnicodeDecodeError as error:
        return Refusal(Code.REQUEST_INVALID, f"the body is not UTF-8: {error.reason}", root)
    except RecursionError:
        return Refusal(Code.REQUEST_INVALID, "the body is nested too deeply", root)


def plain(body: bytes) -> Json:
    """Return the body as it is, for showing what was wrong with it; None where it is nothing."""
    try:
        found: Json = _anything.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found
