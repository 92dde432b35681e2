"""JSON Schemas of commands, events, replies and problems, made from their types."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain.contracts.catalogue import CommandContract, EventContract
from domain.contracts.replies import Reply
from domain.problems import Problem

Document = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/{name}"


def schema_of(shape: type[msgspec.Struct]) -> Document:
    """Return a schema that stands alone, with what it refers to under `$defs`."""
    (reference,), components = components_of([shape], REFERENCE)
    name = str(reference["$ref"]).rpartition("/")[2]
    found = components.pop(name)
    return {**found, "$defs": components} if components else dict(found)


def components_of(
    shapes: Sequence[object], reference: str
) -> tuple[tuple[Document, ...], Document]:
    """Return references to shapes, and their schemas by name.

    Patterns end with `$`, which means the very end to those who read schemas.
    """
    references, components = msgspec.json.schema_components(shapes, ref_template=reference)
    return references, msgspec.json.decode(
        msgspec.json.encode(components).replace(rb"\\Z", b"$"), type=Document
    )


def command_schema(contract: CommandContract) -> Document:
    """Return the schema of a command's body; `type` may be left out, for the subject names it."""
    schema = schema_of(contract.shape)
    schema["required"] = [name for name in schema["required"] if name != "type"]
    return {
        "$schema": DIALECT,
        "$id": schema_name(contract.name),
        **schema,
        "title": contract.name,
        "description": contract.text,
        "examples": [example(contract)],
    }


def example(contract: CommandContract) -> Document:
    """Return the example of a command as one would type it."""
    body: Document = msgspec.to_builtins(contract.example)
    del body["type"]
    return body


def event_schema(contract: EventContract) -> Document:
    """Return the schema of an event's data; its name is outside, in the CloudEvent."""
    schema = schema_of(contract.shape)
    properties: Mapping[str, Any] = schema["properties"]
    return {
        "$schema": DIALECT,
        "$id": schema_name(contract.name),
        **schema,
        "title": contract.name,
        "description": contract.text,
        "properties": {name: kind for name, kind in properties.items() if name != "t"},
        "required": [name for name in schema["required"] if name != "t"],
    }


def reply_schema() -> Document:
    """Return the schema of what is said to a command that was taken."""
    return schema_of(Reply)


def problem_schema() -> Document:
    """Return the schema of what is said to a command that was not."""
    return schema_of(Problem)


def schema_name(name: str, version: int = 1) -> str:
    """Return the name of a schema, which is no address: `restow:schema/layer.scale/1`."""
    return f"restow:schema/{name}/{version}"
