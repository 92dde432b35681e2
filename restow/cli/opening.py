"""`restow open`: the dashboard of what `restow up` runs, at the place of what was named."""

import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from domain.problems import Exit
from restow.cli.exits import UsageError
from restow.cli.output import out, say
from restow.settings import data_directory, read_up

PAGES = (
    "fleet",
    "operations",
    "events",
    "time",
    "commands",
    "hosts",
    "environments",
    "containers",
    "health",
)
STORIES = ("op", "mv", "ev", "rc")


def place(name: str) -> str:
    """Return where a thing is on the dashboard. Raises `UsageError`.

    `node3`, `host.h02`, `environment.shop`, `op3`, a position of the journal, or a page.
    """
    noun, dot, rest = name.partition(".")
    if name in PAGES:
        return name
    if name.isdecimal():
        return f"events/{name}"
    if name.startswith("node") and name.removeprefix("node").isdecimal():
        return f"fleet/container/{name}"
    if name[:2] in STORIES and name[2:].isdecimal():
        return f"operations/{name}"
    if dot and noun == "host":
        return f"fleet/host/{rest}"
    if dot and noun == "environment":
        return f"environments/{rest}"
    pages = ", ".join(PAGES)
    message = f"{name!r} is nowhere; write node3, host.h02, environment.shop, op3, 812, or: {pages}"
    raise UsageError(message)


def open_(
    name: str = PAGES[0],
    /,
    *,
    data: Annotated[Path | None, Parameter(help="The one `restow up` was given.")] = None,
    show: Annotated[
        bool, Parameter(name="--print", help="Print the address, open nothing.")
    ] = False,
) -> int:
    """Open the dashboard in a browser: the fleet, or the place of what is named.

    Prints the address, too, for browsers on other machines: forward its port with `ssh -L`.
    """
    where = place(name)
    found = read_up(data or data_directory())
    if found is None or not found.http:
        say(f"error: nothing is up in {data or data_directory()}")
        say("  try   restow up      or   restow demo --keep")
        return Exit.UNREACHABLE
    address = f"{found.http}/#/{where}"
    out(address)
    if not (show or webbrowser.open(address)):
        say("no browser could be opened here; open the address yourself")
    return Exit.DONE
