"""`make bench`: measure everything, print it; with `--record` write it into `README.md` here."""

import asyncio
import sys
from pathlib import Path

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
from benchmarks.figures import machine, table

RECORD = Path(__file__).parent / "README.md"
MARK = "<!-- measured -->"


def main() -> None:
    """Run every benchmark, one after the other: they share the machine."""
    figures = [
        *asyncio.run(commands.run()),
        *asyncio.run(fairness.run()),
        *placement.run(),
        *feasibility.run(),
        *room.run(),
        *hours.run(),
        *replay.run(),
        *views.run(),
        *asyncio.run(dashboard.run()),
        *asyncio.run(reading.run()),
        *asyncio.run(visible.run()),
        *asyncio.run(moments.run()),
        *asyncio.run(giant.run()),
    ]
    text = f"{MARK}\n\n{table(figures)}\n\n{machine()}.\n"
    Console(width=160).print(Markdown(text))
    if "--record" in sys.argv:
        before, _, _ = RECORD.read_text().partition(MARK)
        RECORD.write_text(before + text)


if __name__ == "__main__":
    main()
