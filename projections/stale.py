"""Which lines are to be told anew when something changes: an entry of the fleet, or a stream."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from domain.container import Container
from domain.fleet import Fleet

Key = Any
"""What names an entry of a table: an id, or the two names of a layer."""
Marks = Iterable[tuple[str, Key]]


def of_host(_fleet: Fleet, key: Key, _old: Any) -> Marks:
    return (("host", key),)


def of_environment(fleet: Fleet, key: Key, _old: Any) -> Marks:
    """Its layers stand as it stands, and share its version."""
    yield "environment", key
    found = fleet.environments.get(key)
    yield from (("layer", (key, name)) for name in (found.layers if found else ()))


def of_layer(_fleet: Fleet, key: Key, _old: Any) -> Marks:
    return (("layer", key), ("environment", key[0]))


def of_container(fleet: Fleet, key: Key, old: Container | None) -> Marks:
    """Layers and environments count those that are operable."""
    yield "container", key
    one = fleet.containers.get(key) or old
    if one is not None:
        yield "layer", (one.environment, one.layer)
        yield "environment", one.environment


def of_order(_fleet: Fleet, key: Key, _old: Any) -> Marks:
    return (("order", key),)


def of_limits(_fleet: Fleet, key: Key, _old: Any) -> Marks:
    return (("tenant", key),)


def of_trigger(_fleet: Fleet, key: Key, _old: Any) -> Marks:
    return (("trigger", key),)


def of_letter(_fleet: Fleet, key: Key, _old: Any) -> Marks:
    return (("dead", key),)


def of_vigil(_fleet: Fleet, key: Key, _old: Any) -> Marks:
    return (("watch", key),)


def of_story(_fleet: Fleet, _key: Key, _old: Any) -> Marks:
    """Nothing: the stories of sagas are told when an event of their stream comes."""
    return ()


STALE: Mapping[str, Callable[[Fleet, Key, Any], Marks]] = {
    "hosts": of_host,
    "environments": of_environment,
    "networks": of_story,  # as its environment's line
    "layers": of_layer,
    "containers": of_container,
    "orders": of_order,
    "limits": of_limits,
    "dead": of_letter,
    "triggers": of_trigger,
    "operations": of_story,
    "migrations": of_story,
    "evacuations": of_story,
    "recoveries": of_story,
    "growths": of_story,
    "rebalances": of_story,
    "growing": of_story,
    "vigil": of_vigil,
    "counters": of_story,
    "ended": of_story,
    "deadlines": of_story,
    "waiting": of_story,
    "moving": of_story,
}
"""Which lines are to be told anew when an entry of a table of the fleet is not as before."""


def marks_of_stream(fleet: Fleet, stream: str) -> Iterator[tuple[str, Key]]:
    """Return the lines that show the version of a stream."""
    noun, _, name = stream.partition(".")
    if noun == "environment":
        yield from of_environment(fleet, name, None)
    else:
        yield noun, name
