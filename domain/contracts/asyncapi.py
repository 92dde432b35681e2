"""The AsyncAPI 3.0 document: every channel of a region, both doors, outcomes, events, agents."""

from collections.abc import Iterable
from typing import Any

import msgspec

from domain.agent import Hello
from domain.contracts.catalogue import (
    COMMANDS,
    COMMON,
    CONTRACT_VERSION,
    EVENTS,
    CommandContract,
    EventContract,
)
from domain.contracts.decoding import CLOUD_EVENT
from domain.contracts.fields import Json
from domain.contracts.replies import Reply
from domain.contracts.schemas import components_of, example
from domain.facts import members
from domain.orders import AnyReport, Order
from domain.problems import Problem
from domain.subjects import PREFIX_DEFAULT, Subjects

Document = dict[str, Any]

SCHEMAS = "#/components/schemas/"
JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
QUEUE = "q"


def asyncapi(prefix: str = PREFIX_DEFAULT) -> Document:
    """Return the AsyncAPI document of the region `prefix`."""
    subjects = Subjects(prefix)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Restow",
            "version": CONTRACT_VERSION,
            "description": __doc__,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON_TYPE,
        "channels": _channels(subjects),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channels(subjects: Subjects) -> Document:
    return {
        **{_key("typed", c.name): _typed(c, subjects) for c in COMMANDS.values()},
        **{_key("durable", c.name): _durable(c, subjects) for c in COMMANDS.values()},
        "reply": {
            "address": None,
            "title": "Where the asker waits: the reply subject of its request",
            "messages": _refer("reply", "problem"),
        },
        "outcome": {
            "address": subjects.outcome("{tenant}", "id").removesuffix("id") + "{id}",
            "title": "What became of a command of the durable door; kept 24 h",
            "parameters": _parameters(tenant="Of whom the command was", id="The command's id"),
            "messages": _refer("reply", "problem"),
        },
        **{_key("events", noun): _told(noun, subjects) for noun in _nouns()},
        "orders": {
            "address": subjects.orders("{host}"),
            "title": "Orders to a host's agent",
            "parameters": _parameters(host="The agent's host, or routing"),
            "messages": _refer("order"),
        },
        "reports": {
            "address": subjects.reports("{host}"),
            "title": "Reports of a host's agent; each is answered when it is journaled",
            "parameters": _parameters(host="The agent's host"),
            "messages": _refer(*(_tag(report) for report in members(AnyReport))),
        },
        "hello": {
            "address": subjects.hello("{host}"),
            "title": "An agent is there and wants what it owes",
            "parameters": _parameters(host="The agent's host"),
            "messages": _refer("hello"),
        },
    }


def _typed(contract: CommandContract, subjects: Subjects) -> Document:
    return {
        "address": subjects.service(contract.name),
        "title": f"{contract.name}, answered when it is journaled",
        "messages": _refer(contract.name),
    }


def _durable(contract: CommandContract, subjects: Subjects) -> Document:
    return {
        "address": subjects.durable("{tenant}", contract.name),
        "title": f"{contract.name}, kept by a stream until it is answered on `outcome`",
        "parameters": _parameters(tenant="Who asks"),
        "messages": _refer(contract.name),
    }


def _told(noun: str, subjects: Subjects) -> Document:
    return {
        "address": subjects.event(noun, "{id}"),
        "title": f"What happened to one {noun}, in order",
        "parameters": _parameters(id=f"Which {noun}"),
        "messages": _refer(*(e.name for e in EVENTS.values() if e.stream == noun)),
    }


def _operations() -> Document:
    queue = {"nats": {"queue": QUEUE}}
    asked = {
        _key("ask", name): {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{_key('typed', name)}"},
            "summary": contract.summary,
            "bindings": queue,
            "reply": {
                "address": {"location": "$message.header#/reply"},
                "channel": {"$ref": "#/channels/reply"},
            },
        }
        for name, contract in COMMANDS.items()
    }
    kept = {
        _key("keep", name): {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{_key('durable', name)}"},
            "summary": contract.summary,
        }
        for name, contract in COMMANDS.items()
    }
    told = {_key("tell", noun): _action("send", _key("events", noun)) for noun in _nouns()}
    return {
        **asked,
        **kept,
        "answer": _action("send", "outcome"),
        **told,
        "order": _action("send", "orders"),
        "report": _action("receive", "reports"),
        "greet": _action("receive", "hello"),
    }


def _action(action: str, channel: str) -> Document:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _messages() -> Document:
    reports = {
        _tag(report): _message(report.__name__, report.__name__, JSON_TYPE)
        for report in members(AnyReport)
    }
    return {
        **{c.name: _command(c) for c in COMMANDS.values()},
        **{e.name: _event(e) for e in EVENTS.values()},
        "reply": _message("Reply", "Reply", JSON_TYPE),
        "problem": _message("Problem", "Problem", PROBLEM_TYPE),
        "order": _message("Order", "Order", JSON_TYPE),
        "hello": _message("Hello", "Hello", JSON_TYPE),
        **reports,
    }


def _message(name: str, schema: str, content_type: str) -> Document:
    return {
        "name": name,
        "contentType": content_type,
        "payload": {"$ref": f"{SCHEMAS}{schema}"},
    }


def _command(contract: CommandContract) -> Document:
    return {
        **_message(contract.name, contract.shape.__name__, JSON_TYPE),
        "summary": contract.summary,
        "description": contract.text,
        "examples": [{"payload": example(contract)}],
        "x-errors": list(contract.errors + COMMON),
        "x-cli": contract.cli,
        "x-since": contract.since,
    }


def _event(contract: EventContract) -> Document:
    envelope = {
        "type": "object",
        "required": ["specversion", "id", "type", "source", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string"},
            "type": {"const": contract.public_type},
            "source": {"type": "string"},
            "subject": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "position": {"type": "integer", "minimum": 1},
            "aggversion": {"type": "integer", "minimum": 1},
            "data": {"$ref": f"{SCHEMAS}{contract.shape.__name__}"},
        },
    }
    return {
        "name": contract.public_type,
        "contentType": CLOUD_EVENT,
        "description": contract.text,
        "payload": envelope,
        "x-since": contract.since,
    }


def _schemas() -> Document:
    """Return every schema, each once; tags are outside of what they name, so they are optional."""
    tagged = (*(c.shape for c in COMMANDS.values()), *(e.shape for e in EVENTS.values()))
    shapes = (*tagged, Reply, Problem, Order, Hello, *members(AnyReport))
    _, found = components_of(shapes, SCHEMAS + "{name}")
    components: dict[str, Document] = dict(found)
    for event in EVENTS.values():
        _without(components[event.shape.__name__], "t")
    for command in COMMANDS.values():
        components[command.shape.__name__]["required"].remove("type")
    return {name: _undiscriminated(schema) for name, schema in sorted(components.items())}


def _undiscriminated(found: Json) -> Json:
    """Leave out discriminators: they are OpenAPI's, and every variant says its tag anyway."""
    if isinstance(found, list):
        return [_undiscriminated(item) for item in found]
    if not isinstance(found, dict):
        return found
    return {k: _undiscriminated(inner) for k, inner in found.items() if k != "discriminator"}


def _without(schema: Document, name: str) -> None:
    del schema["properties"][name]
    schema["required"].remove(name)


def _refer(*names: str) -> Document:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _parameters(**described: str) -> Document:
    return {name: {"description": text} for name, text in described.items()}


def _key(kind: str, name: str) -> str:
    return f"{kind}-{name}".replace(".", "-")


def _tag(shape: type[msgspec.Struct]) -> str:
    return str(shape.__struct_config__.tag)


def _nouns() -> Iterable[str]:
    return dict.fromkeys(event.stream for event in EVENTS.values())
