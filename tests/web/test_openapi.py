"""The document of the read API and what it does are held against each other by made-up requests.

What the document allows is taken, what it does not allow is refused; every answer is as it says.
"""

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from domain.contracts import Reply, decode_command
from domain.contracts.catalogue import COMMANDS
from domain.messages import Refusal
from domain.problems import Problem, problem
from projections.views import VIEWS
from tests.projections.journal import MemoryJournal
from tests.views.shelves import reached
from tests.web.conftest import END, FRAMES, served

EXAMPLES = 4
"""Made-up requests of each kind for each resource: a second each on a slow machine."""
VIEWS_TRIED = ("container", "event", "command", "tenant")
"""The resources of all views are made by the same few lines; these show each kind of them."""
WAIT_MS = "20"
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.positive_data_acceptance,
    checks.negative_data_rejection,
]
PATHS = [
    *(f"/v1/{VIEWS[name].plural}{one}" for name in VIEWS_TRIED for one in ("", "/{key}")),
    *(
        "/v1/status",
        "/v1/projections",
        "/v1/certificates/{name}",
        "/v1/density",
        "/v1/undo",
        "/v1/undo/between",
        "/readyz",
        "/version",
        "/metrics",
    ),
]


async def commands(name: str, body: bytes, headers: Mapping[str, str]) -> Reply | Problem:
    """Take what is a command, and refuse what is none, as the typed door does.

    What contradicts itself is taken, too: what its members have to do with each other no document
    tells.
    """
    command = decode_command(name, body)
    if isinstance(command, Refusal) and not shaped(name, body):
        return problem(command, "c-1")
    return Reply(status="done", command_id="c-1", position=END)


def shaped(name: str, body: bytes) -> bool:
    """Tell whether each member of a command may be so, whatever the others are."""
    try:
        msgspec.json.decode(body, type=COMMANDS[name].shape)
    except (KeyError, msgspec.DecodeError):
        return False
    return True


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a read API from a loop of its own; return where."""
    found: list[str] = []
    there, over = threading.Event(), threading.Event()

    async def serve() -> None:
        folder: Path = tmp_path_factory.mktemp("views")
        async with served(MemoryJournal(FRAMES), folder, commands=commands) as site:
            await reached(site.keeping, END)
            found.append(site.url)
            there.set()
            await asyncio.to_thread(over.wait)

    serving = threading.Thread(target=lambda: asyncio.run(serve()))
    serving.start()
    assert there.wait(60)
    yield found[0]
    over.set()
    serving.join(60)


def asked(operation: Any, mode: GenerationMode, url: str) -> int:
    """Ask in made-up ways, the same each time; return how often."""
    many = 0
    with requests.Session() as session:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Case[Any]) -> None:
            nonlocal many
            many += 1
            if "min_position" in case.query:
                case.query["wait_ms"] = WAIT_MS  # nothing comes that could be waited for
            response = case.call(base_url=url, session=session)
            if not is_beyond_the_document(response.json):
                # Which members are left out by `fields` is more than a schema can say.
                left = [checks.response_schema_conformance] if "fields" in case.query else []
                case.validate_response(response, checks=CHECKS, excluded_checks=left)

        ask()
    return many


def is_beyond_the_document(body: Any) -> bool:
    """Tell whether it depends on what there is, not on how it was asked, that this was refused.

    Cursors are those that were given out; a moment or a position may not have come yet. And to
    JSON Schema 3.0 is an integer, which it is not to us.
    """
    try:
        said = msgspec.convert(body(), Problem)
    except (ValueError, msgspec.ValidationError):
        return False
    if "must be a whole number" in said.detail and re.search(r"got -?[0-9]+\.0\b", said.detail):
        return True
    return said.path in {"query cursor", "query as_of", "query min_position"} and (
        "cursor" in said.detail
        or "has not come yet" in said.detail
        or "was not reached within" in said.detail
        or "give one of them" in said.detail
    )


@pytest.mark.parametrize("path", PATHS)
def test_what_may_be_read_is_as_the_document_says(url, path):
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operation = schema[path]["GET"]
    assert asked(operation, GenerationMode.POSITIVE, url) > 0
    if "query" in {one.location for one in operation.iter_parameters()}:
        assert asked(operation, GenerationMode.NEGATIVE, url) > 0


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_commands_are_as_the_document_says(url, mode):
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    assert asked(schema["/v1/commands"]["POST"], mode, url) > 0
