"""Writes what is generated from the code under `docs/`, or says what is not as it should be.

`python -m restow.generate` writes, `python -m restow.generate --check` only compares and ends with
1 where something differs.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from domain.contracts.asyncapi import asyncapi
from domain.contracts.catalogue import COMMANDS, EVENTS
from domain.contracts.pages import commands_page, errors_page, events_page
from domain.contracts.schemas import (
    command_schema,
    event_schema,
    problem_schema,
    reply_schema,
)
from projections.web.openapi import openapi
from restow.counted import metrics_page
from restow.pages import pages as written_pages

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = "docs/contracts"
"""This folder holds nothing but what is generated."""


def contracts() -> Mapping[str, str]:
    """Return the documents that are for machines, by their paths within the project."""
    commands = {f"{CONTRACTS}/commands/{n}.json": command_schema(c) for n, c in COMMANDS.items()}
    events = {f"{CONTRACTS}/events/{n}.json": event_schema(e) for n, e in EVENTS.items()}
    data = {
        **commands,
        **events,
        f"{CONTRACTS}/reply.json": reply_schema(),
        f"{CONTRACTS}/problem.json": problem_schema(),
        f"{CONTRACTS}/asyncapi.json": asyncapi(),
        f"{CONTRACTS}/openapi.json": openapi(),
    }
    return {path: as_text(document) for path, document in data.items()}


def documents() -> Mapping[str, str]:
    """Return every generated document by its path within the project."""
    pages = {
        "docs/commands.md": commands_page(),
        "docs/events.md": events_page(),
        "docs/errors.md": errors_page(),
        "docs/metrics.md": metrics_page(),
        **written_pages(ROOT),
    }
    return {**contracts(), **pages}


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document as JSON that is pleasant to compare."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def differences(root: Path = ROOT) -> list[str]:
    """Return the paths that are not as they should be: missing, different, or left over."""
    return _differing(documents(), root)


def _differing(wanted: Mapping[str, str], root: Path) -> list[str]:
    there = {str(path.relative_to(root)) for path in (root / CONTRACTS).rglob("*.json")}
    wrong = [path for path, text in wanted.items() if _read(root / path) != text]
    return sorted([*wrong, *(there - wanted.keys())])


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def write(root: Path = ROOT) -> list[str]:
    """Make everything as it should be and return the paths that were changed."""
    wanted = documents()
    changed = _differing(wanted, root)
    for path in changed:
        if path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(wanted[path])
        else:
            (root / path).unlink()
    return changed


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    checking = arguments == ["--check"]
    if arguments and not checking:
        print(__doc__, file=sys.stderr)  # noqa: T201 -- this is a command
        return 2
    changed = differences() if checking else write()
    for path in changed:
        print(f"{'differs' if checking else 'written'}: {path}")  # noqa: T201
    return 1 if checking and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
