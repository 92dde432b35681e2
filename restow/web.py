"""The read API of this process: where it listens, what it says of itself, whom it asks."""

import platform
from collections.abc import Mapping
from importlib.metadata import version

from domain.contracts import COMMANDS, Reply, unknown_command
from domain.contracts.catalogue import CONTRACT_VERSION
from domain.meters import Board
from domain.problems import Problem, problem
from domain.subjects import Subjects
from handlers.bus import Bus
from handlers.traces import carried
from projections.web.app import About
from projections.web.openapi import encoded
from restow.client import Client

ACTOR, TENANT = "Restow-Actor", "Restow-Tenant"
OVER_HTTP = "operator"
"""Who asks where nobody is named, as on the typed door."""


class Asking:
    """Hands commands on to the typed door: a `projections.web.app.Commands`."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def __call__(self, name: str, body: bytes, headers: Mapping[str, str]) -> Reply | Problem:
        """Ask for a command as whoever the headers name."""
        if name not in COMMANDS:
            return problem(unknown_command(name))
        actor, tenant = headers.get(ACTOR, OVER_HTTP), headers.get(TENANT, "")
        client = Client(self._bus, self._subjects, actor=actor, tenant=tenant)
        with carried(headers):
            return await client.ask(name, body)


def about(prefix: str, board: Board) -> About:
    """Return what this process says of itself, and what it counts."""
    versions = {
        "restow": version("restow"),
        "contract": CONTRACT_VERSION,
        "prefix": prefix,
        "python": platform.python_version(),
    }
    return About(versions, encoded(), board)
