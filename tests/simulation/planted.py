"""Planted bugs, hunted in random worlds: how long it takes until one is wrong.

`make planted` hunts each from the first world on, and writes into docs/reliability.md which world
was wrong, after how much processor time, and what was said of it. The test begins with that world.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
import pytest

from restow.simulation.shrinking import wrong_with
from restow.simulation.stories import Story
from tests.simulation import (
    bugs_of_capacity,
    bugs_of_course,
    bugs_of_crashes,
    bugs_of_rebalances,
    bugs_of_service,
    bugs_of_triggers,
)
from tests.simulation.planting import PLANTED

WORLDS_MAX = 1_000
"""How many worlds a planted bug may hide in."""
MODULES = (
    bugs_of_capacity,
    bugs_of_service,
    bugs_of_course,
    bugs_of_crashes,
    bugs_of_rebalances,
    bugs_of_triggers,
)
"""Where they are planted."""
PAGE = Path(__file__).parents[2] / "docs/reliability.md"
BEGINS, ENDS = "<!-- planted -->", "<!-- /planted -->"
HEAD = (
    "| bug | what is wrong | world | CPU s | what was said |",
    "|---|---|---|---|---|",
)


class Caught(msgspec.Struct, frozen=True):
    """In which world a bug showed, after how many of them and how much processor time, and how."""

    name: str
    seed: int
    worlds: int
    cpu_s: float
    said: str


@contextmanager
def planted(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        PLANTED[name](patch)
        yield


def hunt(name: str, worlds: int = WORLDS_MAX, first: int = 0) -> Caught | None:
    """Live worlds with a bug in them until one is wrong."""
    began = time.process_time()
    with planted(name):
        for seed in range(first, first + worlds):
            wrong = wrong_with(Story(seed))
            if wrong:
                took = time.process_time() - began
                return Caught(name, seed, seed - first + 1, took, wrong.splitlines()[-1])
    return None


def first_of(caught: Caught) -> str:
    """Return the first thing that was said to be wrong, short enough for a table."""
    return re.sub(r"[|`<>{}\[\]]", "", caught.said)[:70].strip()


def row(name: str, caught: Caught | None) -> str:
    """Return a line of the table in docs/reliability.md."""
    about = (PLANTED[name].__doc__ or "").rstrip(".")
    if caught is None:
        return f"| `{name}` | {about} | not in {WORLDS_MAX:,} | | |"
    return f"| `{name}` | {about} | {caught.seed} | {caught.cpu_s:.1f} | {first_of(caught)} |"


def known() -> dict[str, int]:
    """Return in which world each bug showed when the table was written."""
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    return {name: int(seed) for name, seed in rows}


def summary(caught: list[Caught]) -> str:
    """Say how many were noticed, and how soon."""
    taken = sorted(one.cpu_s for one in caught)
    return (
        f"{len(PLANTED)} bugs, {len(caught)} noticed: half of them within {median(taken):.1f} s"
        f" of processor time, the last after {taken[-1]:.1f} s."
    )


def main() -> None:
    """Hunt all, and write what came of it into the page."""
    rows, all_ = [], list[Caught]()
    for name in PLANTED:
        caught = hunt(name)
        rows.append(row(name, caught))
        all_ += [caught] if caught else []
        print(rows[-1], flush=True)  # noqa: T201
    before, _, rest = PAGE.read_text().partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    said = "\n".join([summary(all_), "", *HEAD, *rows])
    PAGE.write_text(f"{before}{BEGINS}\n{said}\n{ENDS}{after}")


if __name__ == "__main__":
    main()
