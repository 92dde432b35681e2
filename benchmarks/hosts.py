"""`make bench-hosts`: live moves of real containers, limits, and restarts under load, in a lab.

`python -m benchmarks.hosts [--moves N] [--record]`, as root, after `make hosts`. A client asks over
one connection as often as it can, up to a thousand times a second; what it waited is what counts.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, machine, table
from domain.messages import ContainerId, HostId
from handlers.agent.runc.cgroups import cgroups_here
from handlers.agent.runc.places import Places
from restow.demo.scene import Scene, Story
from restow.demo.watching import Watching
from restow.lab.clients import RATE, Line, Load, asking, calling
from restow.lab.image import NAME, PORT
from restow.lab.servers import ZONE
from restow.lab.site import Lab, lab_up
from restow.logs import quiet
from restow.settings import AGENTS_FOLDER
from restow.up import Site

RECORD = Path(__file__).with_name("hosts.md")
MARK = "<!-- measured -->"
GAPS_S = {8: 0.35, 64: 0.5, 256: 0.9}
"""Goals for the client's longest wait, by the MiB that a container has filled."""
RATIO = 1.1
TOTAL_S = 30.0
LIMIT_S = 0.5
SHARE_MS = 100
CLOUDLET_MIB = 128
LIMITS = 30
MOVES = 5
POLL_S = 0.001
MS = 1_000


class Move(msgspec.Struct, frozen=True):
    """One live move. `share_ms`: from the command until disk passes begin."""

    freeze_ms: int
    total_ms: int
    gap_ms: int
    share_ms: int


class Bench:
    """A lab that is up, and what is measured in it."""

    def __init__(self, lab: Lab, site: Site, moves: int) -> None:
        self._lab = lab
        self._scene = Scene(site, Watching())
        self._moves = moves

    async def moved(self, mib: int) -> list[Move]:
        """Move a container that has filled so much, again and again."""
        name = f"m{mib}"
        layer = {
            "name": "counter",
            "image": NAME,
            "ports": [PORT],
            "stateful": True,
            "limit": 2 + mib // CLOUDLET_MIB,
            "variables": {"MEMORY_MIB": str(mib)},
        }
        await self._made(name, layer)
        async with calling(*self._lab.stateful) as line:
            await line.stretch(ask=False)
            moves = [await self._move(name, line) for _ in range(self._moves)]
        await self._gone(name)
        return moves

    async def _made(self, name: str, layer: Story) -> None:
        body = {"environment": name, "layers": [layer], "reason": "measured"}
        await self._scene.ended(await self._scene.ask("environment.create", body, name))

    async def _gone(self, name: str) -> None:
        body = {"environment": name, "reason": "measured"}
        await self._scene.ended(await self._scene.ask("environment.remove", body, name))

    async def _move(self, name: str, line: Line) -> Move:
        (one,) = await self._scene.containers("counter", name)
        await line.stretch()
        asked_s = time.monotonic()
        body = {"container": one["id"], "reason": "measured"}
        reply = await self._scene.ask("container.migrate", body, one["id"])
        answered_ms = (time.monotonic() - asked_s) * MS
        story = await self._scene.until_over(reply.operation_id, reply.position)
        gap_ms = (await line.stretch()).gap_ms
        after = {phase["phase"]: phase["after_ms"] for phase in story["phases"]}
        share_ms = round(answered_ms) + after["copying"]
        return Move(story["freeze_ms"], story["total_ms"], gap_ms, share_ms)

    async def under_load(self) -> tuple[list[Load], list[float]]:
        """Restart a layer one by one and change its limits, while requests come in."""
        layer = {"name": "app", "count": 3, "image": NAME, "ports": [PORT], "limit": 2}
        await self._made("shop", layer)
        loads: list[Load] = []
        app = f"app.shop.{ZONE}"
        async with asking(self._lab, app, loads, "restart one by one"):
            body = {"environment": "shop", "layer": "app", "delay_s": 0, "reason": "measured"}
            reply = await self._scene.ask("layer.restart", body, "shop/app")
            await self._scene.ended(reply)
        took: list[float] = []
        async with asking(self._lab, app, loads, f"{LIMITS} changes of limits"):
            took += [await self._limited(3 + number % 2) for number in range(LIMITS)]
        await self._gone("shop")
        return loads, took

    async def _limited(self, limit: int) -> float:
        """Change a limit; return after how many seconds the kernel has it."""
        one = (await self._scene.containers("app"))[0]
        folder = self._lab.data / AGENTS_FOLDER / one["host"]
        places = Places.of(folder, HostId(one["host"]))
        cgroup = f"{places.cgroup}/{ContainerId(one['id'])}"
        wanted = limit * CLOUDLET_MIB << 20
        asked_s = time.monotonic()
        body = {"container": one["id"], "limit": limit, "reason": "measured"}
        await self._scene.ask("container.scale", body, one["id"])
        there = False
        while not there:
            await asyncio.sleep(POLL_S)
            there = cgroups_here().limited(cgroup)["memory"] == wanted
        return time.monotonic() - asked_s


def told(mib: int, moves: Sequence[Move]) -> list[Figure]:
    """Return the figures of some moves of one size."""
    gaps, freezes = ([getattr(one, name) for one in moves] for name in ("gap_ms", "freeze_ms"))
    gap, freeze = statistics.median(gaps), statistics.median(freezes)
    total = statistics.median(one.total_ms for one in moves)
    goal = GAPS_S[mib]
    return [
        Figure(
            f"client's longest wait, {mib} MiB filled, stop-and-copy",
            f"{min(gaps)} / **{gap:.0f}** / {max(gaps)} ms",
            f"frozen {min(freezes)} / {freeze:.0f} / {max(freezes)} ms, {gap / freeze:.2f} of it;"
            f" {total:.0f} ms in all",
            f"<= {goal:g} s, <= {RATIO} of the freeze, <= {TOTAL_S:.0f} s in all",
            gap <= goal * MS and gap <= RATIO * freeze and total <= TOTAL_S * MS,
        )
    ]


def said(loads: Sequence[Load], took: Sequence[float], moves: Sequence[Move]) -> list[Figure]:
    """Return the figures of what was done under load, and of the control plane's share."""
    slowest = max(took)
    share = statistics.median(one.share_ms for one in moves)
    return [
        *(
            Figure(
                f"failed requests of {one.done:,} at {RATE}/s, {one.act}",
                str(one.failed),
                goal="0",
                good=not one.failed,
            )
            for one in loads
        ),
        Figure(
            f"command until the kernel has the limit, slowest of {len(took)}",
            f"{slowest * MS:.0f} ms",
            f"median {statistics.median(took) * MS:.0f} ms",
            f"<= {LIMIT_S * MS:.0f} ms",
            slowest <= LIMIT_S,
        ),
        Figure(
            "command to move until disk passes begin, median",
            f"{share:.0f} ms",
            goal=f"<= {SHARE_MS} ms",
            good=share <= SHARE_MS,
        ),
    ]


async def run(data: Path, moves: int) -> list[Figure]:
    """Measure everything in one lab."""
    figures: list[Figure] = []
    every: list[Move] = []
    lab = Lab(data, http=-1)
    async with lab_up(lab, print) as site:
        bench = Bench(lab, site, moves)
        for mib in GAPS_S:
            measured = await bench.moved(mib)
            every += measured
            figures += told(mib, measured)
        figures += said(*await bench.under_load(), every)
    return figures


def main() -> None:
    reading = argparse.ArgumentParser(description=__doc__)
    reading.add_argument("--moves", type=int, default=MOVES)
    reading.add_argument("--record", action="store_true")
    asked = reading.parse_args()
    quiet()
    with tempfile.TemporaryDirectory(prefix="restow-bench-") as folder:
        Path(folder).chmod(0o711)
        figures = asyncio.run(run(Path(folder), asked.moves))
    text = f"{MARK}\n\n{table(figures)}\n\n{machine()}.\n"
    sys.stdout.write(text)
    if asked.record:
        before, _, _ = RECORD.read_text().partition(MARK)
        RECORD.write_text(before + text)


if __name__ == "__main__":
    main()
