"""The kinds of aggregates: what each is called, where the fleet keeps it, how its ids begin.

Whoever has to go through all of them, or through all stories, does it by this list.
"""

from collections.abc import Mapping

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """A kind of aggregate. `prefix`: of ids that Restow gives; `story`: it goes on, and ends."""

    noun: str
    table: str
    prefix: str = ""
    story: bool = False


KINDS = (
    Kind("host", "hosts"),
    Kind("environment", "environments"),
    Kind("layer", "layers"),
    Kind("container", "containers", "node"),
    Kind("operation", "operations", "op", story=True),
    Kind("migration", "migrations", "mv", story=True),
    Kind("evacuation", "evacuations", "ev", story=True),
    Kind("recovery", "recoveries", "rc", story=True),
    Kind("growth", "growths", "gr", story=True),
    Kind("rebalance", "rebalances", "rb", story=True),
    Kind("trigger", "triggers", "tr"),
    Kind("tenant", "limits"),
    Kind("dead", "dead", "dl"),
    Kind("watch", "vigil"),
)

TABLES: Mapping[str, str] = {kind.noun: kind.table for kind in KINDS}
"""The noun of each kind of aggregate, and its table in the fleet."""
STORIES: Mapping[str, str] = {kind.noun: kind.table for kind in KINDS if kind.story}
"""Likewise of stories alone. They are numbered one after another."""
PREFIXES: Mapping[str, str] = {kind.prefix: kind.noun for kind in KINDS if kind.prefix}
"""How ids begin, and the noun of what they name: `op` of `op3` is an operation."""


def noun_by(name: str) -> str:
    """Return the noun of what a name names by how it begins: `op3`; "" where it tells nothing."""
    prefix = name.rstrip("0123456789")
    return PREFIXES.get(prefix, "") if prefix != name else ""


def story_by(name: str) -> str:
    """Return the noun of the story that a name names, "" where it names none."""
    noun = noun_by(name)
    return noun if noun in STORIES else ""
