"""`restow sim`: simulated worlds from seeds; what goes wrong in one is made small and shown."""

import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from domain.problems import Exit
from restow.cli.exits import EndedError
from restow.cli.flags import OUTPUT, PLAIN
from restow.cli.output import Format, Look, out, say, show_item
from restow.simulation.many import Life, Sum, simulate, town_of, world_of
from restow.simulation.shrinking import shrink, title, wrong_in, wrong_with
from restow.simulation.stories import Story

USUAL = 200
PROGRESS_S = 5.0
HOUR_MS = 3_600_000

Count = Annotated[int | None, Parameter(validator=Number(gte=1))]
Shape = Annotated[Format, OUTPUT]
First = Annotated[int | None, Parameter(validator=Number(gte=0))]


def sim(
    *,
    seeds: Count = None,
    seed: First = None,
    leases: Annotated[bool, PLAIN] = False,
    output: Shape = "table",
) -> None:
    """Live simulated worlds: the real region amid hosts and messages that go wrong.

    Each seed is one world, always the same. Everything is checked after every event and at the
    end. A story that goes wrong is made as small as it can be, and told. Then it ends with 9.

    Parameters
    ----------
    seeds
        How many worlds; 200, or with --seed the one.
    seed
        The first one.
    leases
        Worlds of another kind: hosts that hold leases and nothing else, every beat of them, on
        clocks that drift, while networks fall apart and engines are replaced without knowing it.
    output
        table, or json.
    """
    first = seed or 0
    count = seeds or (USUAL if seed is None else 1)
    began = time.monotonic()
    sum_ = _watched(range(first, first + count), count, town_of if leases else world_of)
    took = time.monotonic() - began
    if output in {"json", "jsonl"}:
        show_item(msgspec.to_builtins(sum_), Look(output), lambda _: str(first))
    else:
        _tell(sum_, took)
    if not sum_.wrong:
        return
    if leases:
        say(wrong_in(lambda: town_of(sum_.wrong[0])))
        say(f"replay it: restow sim --leases --seed {sum_.wrong[0]}")
        raise EndedError(Exit.DIFFERENT)
    smallest = shrink(Story(sum_.wrong[0]))
    say(wrong_with(smallest))
    say(f"error: {title(smallest)}")
    say(f"replay it: restow sim --seed {smallest.seed}")
    raise EndedError(Exit.DIFFERENT)


def _watched(seeds: range, count: int, life_of: Callable[[int], Life]) -> Sum:
    """Simulate, and say now and then how far it is; the first world that is wrong ends it."""
    sum_, said = Sum(), time.monotonic()
    for sum_ in simulate(seeds, life_of):
        if time.monotonic() - said > PROGRESS_S:
            said = time.monotonic()
            say(f"{sum_.worlds:,} of {count:,} worlds, {sum_.events:,} events")
        if sum_.wrong:
            break
    return sum_


def _tell(sum_: Sum, took_s: float) -> None:
    hours = sum_.simulated_ms / HOUR_MS
    out(f"{sum_.worlds:,} worlds, {hours:,.0f} h simulated in {took_s:,.0f} s")
    out(f"{sum_.frames:,} frames, {sum_.events:,} events, checked after each")
    out(f"{len(sum_.wrong)} violations")
