"""Planted bugs, hunted in random worlds: how long it takes until one is wrong.

`make planted` writes into docs/reliability.md which world was wrong, after how much processor time,
and what was said of it. The test begins with that world. What still shows in the world that is told
of is left as it is; the others, and with ARGS=--all each, are hunted from the first world on.
"""

import re
import sys
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


def told() -> dict[str, tuple[int, float, str]]:
    """Return what the table tells of each bug that was noticed: world, processor time, its row."""
    found = re.finditer(
        r"^\| `(\w+)` \| .*? \| (\d+) \| ([\d.]+) \|.*$", PAGE.read_text(), re.MULTILINE
    )
    return {one[1]: (int(one[2]), float(one[3]), one[0]) for one in found}


def known() -> dict[str, int]:
    """Return in which world each bug showed when the table was written."""
    return {name: seed for name, (seed, _, _) in told().items()}


def summary(taken: list[float]) -> str:
    """Say how many were noticed, and how soon."""
    taken.sort()
    return (
        f"{len(PLANTED)} bugs, {len(taken)} noticed: half of them within {median(taken):.1f} s"
        f" of processor time, the last after {taken[-1]:.1f} s."
    )


def main(*, anew: bool) -> None:
    """Hunt those that do not show where the page says, or all anew; write it into the page."""
    rows, taken, before = [], list[float](), {} if anew else told()
    for name in PLANTED:
        seed, cpu_s, line = before.get(name, (0, 0.0, ""))
        noticed = bool(line) and hunt(name, worlds=1, first=seed) is not None
        if not noticed:
            caught = hunt(name)
            line = row(name, caught)
            noticed, cpu_s = caught is not None, caught.cpu_s if caught else 0.0
        rows.append(line)
        taken += [cpu_s] if noticed else []
        print(line, flush=True)  # noqa: T201
    before_it, _, rest = PAGE.read_text().partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    said = "\n".join([summary(taken), "", *HEAD, *rows])
    PAGE.write_text(f"{before_it}{BEGINS}\n{said}\n{ENDS}{after}")


if __name__ == "__main__":
    main(anew="--all" in sys.argv[1:])
