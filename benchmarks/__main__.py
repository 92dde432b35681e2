"""`make bench`: measure everything, print it; with `--record` write it into `README.md` here."""

import argparse
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from benchmarks import (
    commands,
    dashboard,
    fairness,
    feasibility,
    giant,
    hours,
    moments,
    placement,
    reading,
    replay,
    room,
    views,
    visible,
)
from benchmarks.figures import Figure, machine, table
from restow.loop import run

RECORD = Path(__file__).parent / "README.md"
MARK = "<!-- measured -->"


RUNS: Mapping[str, Callable[[], list[Figure] | Coroutine[Any, Any, list[Figure]]]] = {
    "commands": commands.run,
    "fairness": fairness.run,
    "placement": placement.run,
    "feasibility": feasibility.run,
    "room": room.run,
    "hours": hours.run,
    "replay": replay.run,
    "views": views.run,
    "dashboard": dashboard.run,
    "reading": reading.run,
    "visible": visible.run,
    "moments": moments.run,
    "giant": giant.run,
}


def main() -> None:
    """Run benchmarks, one after the other: they share the machine."""
    asked = arguments()
    figures: list[Figure] = []
    for name in asked.names or RUNS:
        found = RUNS[name]()
        figures += run(found) if isinstance(found, Coroutine) else found
    text = f"{MARK}\n\n{table(figures)}\n\n{machine()}.\n"
    Console(width=160).print(Markdown(text))
    if asked.record:
        before, _, _ = RECORD.read_text().partition(MARK)
        RECORD.write_text(before + text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(RUNS)}; or all"
    )
    parser.add_argument("--record", action="store_true", help="write it into benchmarks/README.md")
    asked = parser.parse_args()
    if unknown := sorted({*asked.names} - {*RUNS}):
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(RUNS)}")
    if asked.record and asked.names:
        parser.error("--record writes the whole table; leave the names out")
    return asked


if __name__ == "__main__":
    main()
