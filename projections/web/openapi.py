"""The OpenAPI 3.1 document of the read API, made from the views and the catalogue of commands."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain.certificate import Checked
from domain.contracts import Reply
from domain.contracts.catalogue import COMMANDS, CONTRACT_VERSION
from domain.contracts.schemas import components_of, example
from domain.problems import Problem
from projections.choice import OPERATORS
from projections.moments import NUMBER_MAX
from projections.questions import LIMIT_DEFAULT, LIMIT_MAX, WAIT_DEFAULT_MS, WAIT_MAX_MS
from projections.views import ALL, View, columns
from projections.web.density import BUCKETS, BUCKETS_MAX, Density
from projections.web.inquiries import CERTIFICATE, NAME_MAX, UNDO, UNDO_BETWEEN, WaysBack
from projections.web.lists import Projections
from projections.web.params import CURSOR_MAX, OWN

Document = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
NUMBER = {"type": "integer"}
TEXT = {"type": "string"}
POSITION = {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX}
VALUE = {"type": ["integer", "boolean"], "minimum": -NUMBER_MAX, "maximum": NUMBER_MAX}
WORD = {"type": "string", "pattern": "^[^\\u0000]*$"}
"""What can be looked for: nothing is called by a word with a zero in it."""
OWN_SHAPES = (Problem, Reply, Projections, Checked, Density, WaysBack)
"""What is answered beside the lines of views."""
CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": CURSOR_MAX}
MOMENT = {"anyOf": [POSITION, {"type": "string", "format": "date-time"}]}


def openapi() -> Document:
    """Return the document."""
    shapes: Sequence[Any] = [
        *OWN_SHAPES,
        *(view.line for view in ALL),
        *(contract.shape for contract in COMMANDS.values()),
    ]
    references, components = components_of(shapes, REFERENCE)
    each = iter(references[len(OWN_SHAPES) :])
    lines = {view.name: next(each) for view in ALL}
    commands = {name: next(each) for name in COMMANDS}
    paths: Document = {}
    for view in ALL:
        paths[f"/v1/{view.plural}"] = {"get": _list(view, lines[view.name])}
        paths[f"/v1/{view.plural}/{{key}}"] = {"get": _show(view, lines[view.name])}
    paths["/v1/commands"]["post"] = _commands(commands)
    paths.update(_fixed())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Restow",
            "version": CONTRACT_VERSION,
            "description": "Reads the views of a region, tells their changes, takes commands.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [],
        "paths": paths,
        "components": {"schemas": {**components, "Status": STATUS}},
    }


STATUS: Document = {
    "type": "object",
    "description": "How far the views are, and how many lines each has.",
    "properties": {
        "position": NUMBER,
        "epoch": NUMBER,
        "at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
        "counts": {"type": "object", "additionalProperties": NUMBER},
    },
    "required": ["position", "epoch", "at", "counts"],
}


def _list(view: View, line: Document) -> Document:
    page = {
        "type": "object",
        "properties": {"items": {"type": "array", "items": line}, "position": NUMBER, "next": TEXT},
        "required": ["items", "position"],
    }
    return {
        "operationId": f"list_{view.plural}",
        "summary": f"A list of {view.plural}.",
        "description": f"Each member can be compared by {', '.join(OPERATORS)}: `name.ge=3`."
        " A member that is called as a parameter of ours is compared by `limit.eq=3`."
        " A page names the one that follows in `next`; all pages are true at one position.",
        "parameters": [*_list_parameters(view), *_fresh(), *_filters(view)],
        "responses": {
            "200": _answer("A page.", page),
            "304": {"description": "The same as `If-None-Match` names."},
            **_problems(),
        },
    }


def _list_parameters(view: View) -> list[Document]:
    names = [name for column in columns(view) for name in (column, f"-{column}")]
    limit = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
    return [
        _query("limit", limit, "at most so many lines"),
        _query("cursor", CURSOR, "`next` of the page before; all else as it was"),
        _query("sort", {"type": "string", "enum": names}, "a member; `-` in front turns the order"),
        _chosen(view),
    ]


def _filters(view: View) -> list[Document]:
    """Return the plain comparisons; the others have an operator behind a dot.

    A member that is called as one of our own parameters is compared by `limit.eq`.
    """
    kinds: Mapping[type, Document] = {int: VALUE, str: WORD}
    return [
        _query(name, kinds[kind], "equal to this")
        for name, kind in columns(view).items()
        if name not in OWN
    ]


def _fresh() -> list[Document]:
    wait = {"type": "integer", "minimum": 0, "maximum": WAIT_MAX_MS, "default": WAIT_DEFAULT_MS}
    return [
        _query("min_position", POSITION, "at least as new as this; not with as_of"),
        _query("wait_ms", wait, "how long to wait for that"),
        _query("as_of", MOMENT, "as it was: a position that has come, or a time with a zone"),
    ]


def _show(view: View, line: Document) -> Document:
    key = {"name": "key", "in": "path", "required": True, "schema": TEXT}
    tenant = _query("tenant", WORD, "whose command; without it, the operator's")
    more = [tenant] if view.name == "command" else []
    return {
        "operationId": f"show_{view.name}",
        "summary": f"One line of {view.plural}.",
        "parameters": [key, _chosen(view), *_fresh(), *more],
        "responses": {
            "200": _answer("The line.", line),
            "304": {"description": "The same as `If-None-Match` names."},
            **_problems(),
        },
    }


def _commands(references: Mapping[str, Document]) -> Document:
    examples = {
        name: {"value": {"type": name, **example(contract)}} for name, contract in COMMANDS.items()
    }
    body = {"oneOf": list(references.values()), "discriminator": {"propertyName": "type"}}
    headers = [
        {"name": name, "in": "header", "schema": TEXT, "description": text}
        for name, text in (
            ("Restow-Actor", "who asks; written down"),
            ("Restow-Tenant", "for which tenant"),
        )
    ]
    return {
        "operationId": "ask",
        "summary": "A command, answered once it is journaled.",
        "parameters": headers,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": examples}},
        },
        "responses": {
            "200": _answer("Taken.", {"$ref": REFERENCE.format(name="Reply")}),
            **_problems(),
        },
    }


def _fixed() -> Document:
    told = {
        "/livez": "The process runs.",
        "/readyz": "The views have caught up.",
        "/metrics": "Counts for Prometheus.",
    }
    plain: Document = {
        path: {
            "get": {
                "operationId": path[1:],
                "summary": text,
                "responses": {
                    "200": {"description": text, "content": {"text/plain": {"schema": TEXT}}},
                    **_problems(),
                },
            }
        }
        for path, text in told.items()
    }
    status = {"$ref": REFERENCE.format(name="Status")}
    return {
        CERTIFICATE: {"get": _certificate()},
        "/v1/changes": {"get": _changes()},
        "/v1/density": {"get": _density()},
        UNDO: {"get": _undo()},
        UNDO_BETWEEN: {"get": _undo_between()},
        "/v1/status": {
            "get": _plain("status", "How far the views are.", status, _fresh()[:2]),
        },
        "/v1/projections": {
            "get": _plain(
                "projections",
                "The views themselves: how far, how large, when they were compared.",
                {"$ref": REFERENCE.format(name="Projections")},
                [],
            ),
        },
        "/version": {"get": _plain("version", "Versions.", {"type": "object"}, [])},
        "/openapi.json": {"get": _plain("openapi", "This document.", {"type": "object"}, [])},
        **plain,
    }


def _density() -> Document:
    most = {"type": "integer", "minimum": 1, "maximum": BUCKETS_MAX, "default": BUCKETS}
    return _plain(
        "density",
        "Events of every stretch of time, over the whole history.",
        {"$ref": REFERENCE.format(name="Density")},
        [_query("buckets", most, "at most so many stretches, all of one width"), *_fresh()[:2]],
    )


def _undo() -> Document:
    name = {"type": "string", "minLength": 1, "maxLength": NAME_MAX, "pattern": WORD["pattern"]}
    of = {**_query("of", name, "a command's id, a story (op3) or a position"), "required": True}
    text = "The commands that undo a command, tried in a fork; none is sent."
    return _plain("undo", text, {"$ref": REFERENCE.format(name="WaysBack")}, [of])


def _undo_between() -> Document:
    begin = {**_query("from", MOMENT, "what was asked after this moment"), "required": True}
    end = _query("to", MOMENT, "up to this one; without it, up to now")
    text = "The commands that undo all that was asked in a span of time; none is sent."
    ways = {"$ref": REFERENCE.format(name="WaysBack")}
    return _plain("undo_between", text, ways, [begin, end])


def _certificate() -> Document:
    text = "How a layer was served while an operation or a migration went on that is over."
    name = {"name": "name", "in": "path", "required": True, "schema": TEXT}
    checked = {"$ref": REFERENCE.format(name="Checked")}
    return {
        **_plain("certificate", text, checked, [name]),
        "description": "Made from the journal alone, which is read from its first frame, and"
        " checked by another method: `holds` is what both say. At most 20 s.",
    }


def _changes() -> Document:
    return {
        "operationId": "changes",
        "summary": "Changes of lines, as server-sent events.",
        "description": "Events: `change` with `position` and `changes` (`view`, `key`, `line`, null"
        " where it is gone), `resync` (read anew, then listen again), `server-closing`. The id of"
        " an event is a position; `Last-Event-ID` goes on there.",
        "parameters": [
            _several("views", [view.name for view in ALL], "only these views"),
            _query("after", POSITION, "what came after this position"),
        ],
        "responses": {
            "200": {
                "description": "A stream.",
                "content": {"text/event-stream": {"schema": TEXT}},
            },
            **_problems(),
        },
    }


def _plain(name: str, text: str, schema: Document, parameters: list[Document]) -> Document:
    responses = {"200": _answer(text, schema), **_problems()}
    return {
        "operationId": name,
        "summary": text,
        "parameters": parameters,
        "responses": responses,
    }


def _query(name: str, schema: Mapping[str, Any], text: str) -> Document:
    return {"name": name, "in": "query", "schema": dict(schema), "description": text}


def _several(name: str, words: Sequence[str], text: str) -> Document:
    schema = {"type": "array", "items": {"type": "string", "enum": [*words]}, "minItems": 1}
    return {**_query(name, schema, f"{text}, with commas between"), "explode": False}


def _chosen(view: View) -> Document:
    members = [field.name for field in msgspec.structs.fields(view.line)]
    return _several("fields", members, "only these members of each line; all others are left out")


def _answer(text: str, schema: Document) -> Document:
    position = {"schema": NUMBER, "description": "the position that it is true at"}
    return {
        "description": text,
        "headers": {"Restow-Position": position, "ETag": {"schema": TEXT}},
        "content": {"application/json": {"schema": schema}},
    }


def _problems() -> Document:
    content = {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="Problem")}}}
    return {"default": {"description": "Why not, with a way on.", "content": content}}


def encoded() -> bytes:
    return msgspec.json.encode(openapi())
