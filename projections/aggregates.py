"""Aggregates by the names that people call them, and their states spelled out."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domain.fleet import Fleet
from domain.nouns import TABLES

NOUNS: Mapping[str, str] = {table: noun for noun, table in TABLES.items()}


def table_of(fleet: Fleet, noun: str) -> dict[Any, Any]:
    """Return the table of a noun. Raises `KeyError` where there is none."""
    table: dict[Any, Any] = getattr(fleet, TABLES[noun])
    return table


def key_of(noun: str, name: str) -> Any:
    """Return what a name is in its table: `shop/app` names a layer."""
    environment, _, layer = name.partition("/")
    return (environment, layer) if noun == "layer" else name


def named(noun: str, key: Any) -> str:
    """Return how an aggregate is called: `container.node7`, `layer.shop/app`."""
    return f"{noun}.{key if isinstance(key, str) else '/'.join(key)}"


def find(fleet: Fleet, called: str) -> Any:
    """Return an aggregate, None if there is none. Raises `KeyError` for a noun that is none."""
    noun, _, name = called.partition(".")
    return table_of(fleet, noun).get(key_of(noun, name))


def everything(fleet: Fleet) -> Iterator[tuple[str, Any]]:
    """Return every aggregate with how it is called, kind by kind."""
    for noun in TABLES:
        for key, one in table_of(fleet, noun).items():
            yield named(noun, key), one


def spelled(value: Any) -> Any:
    """Return a value of the domain with every field under its name, fit for JSON."""
    kind: Any = value.__class__
    if issubclass(kind, msgspec.Struct):
        config = kind.__struct_config__
        tagged = {} if config.tag is None else {str(config.tag_field): config.tag}
        return tagged | {name: spelled(getattr(value, name)) for name in kind.__struct_fields__}
    if issubclass(kind, Mapping):
        return {name: spelled(one) for name, one in value.items()}
    if issubclass(kind, tuple | list):
        return [spelled(one) for one in value]
    return msgspec.to_builtins(value)
