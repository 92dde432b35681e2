"""A tenant that asks as much as it can: `python -m benchmarks.flood URL TENANT SECONDS`."""

import asyncio
import sys
import time

from benchmarks.commands import PREFIX
from domain.subjects import Subjects
from handlers.bus import BusUnavailableError, connect, request

IN_FLIGHT = 512
WITHIN_S = 10.0


async def flood(url: str, tenant: str, seconds: float) -> None:
    """Ask all the time, whatever is answered; say how much, how much in vain, and the p99 in ms."""
    bus = await connect(url, name=f"bench {tenant}")
    subject = Subjects(PREFIX).service("operation.pause")
    headers = {"Restow-Tenant": tenant}
    until = time.perf_counter() + seconds
    told = {"asked": 0, "limited": 0}
    took: list[float] = []

    async def one() -> None:
        while (begun := time.perf_counter()) < until:
            try:
                answer = await request(
                    bus, subject, b'{"operation":"op999"}', within_s=WITHIN_S, headers=headers
                )
            except BusUnavailableError:
                continue
            took.append((time.perf_counter() - begun) * 1_000)
            told["asked"] += 1
            told["limited"] += b'"rate.limited"' in answer

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(one())
    p99 = sorted(took)[len(took) * 99 // 100]
    sys.stdout.write(f"{told['asked'] / seconds:.0f} {told['limited'] / seconds:.0f} {p99:.0f}\n")
    await bus.close()


if __name__ == "__main__":
    asyncio.run(flood(sys.argv[1], sys.argv[2], float(sys.argv[3])))
