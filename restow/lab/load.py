"""Requests at a fixed rate from a process of its own, until its input ends; then says how it went.

`python load.py ADDRESS PORT HOST RATE`. Every other request has a connection of its own, the others
go over connections that are kept. Answers with one line: done, failed, and what failed.
"""

import asyncio
import re
import sys
from collections import Counter

TICK_S = 0.05
PATIENCE_S = 10.0
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
Kept = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
Where = tuple[str, int]


async def request(where: Where, host: str, kept: Kept | None) -> str:
    """Ask once; return "" or what went wrong."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            if kept:
                reader, writer = kept.pop()
            else:
                reader, writer = await asyncio.open_connection(*where)
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            status = head.split()[1].decode()
            if status == "200":
                found = LENGTH.search(head)
                await reader.readexactly(int(found[1]) if found else 0)
                if kept is not None:
                    kept.append((reader, writer))
                    return ""
            writer.close()
    except (OSError, asyncio.IncompleteReadError) as error:
        return type(error).__name__
    return "" if status == "200" else status


async def main(where: Where, host: str, rate: int) -> None:
    clock = asyncio.get_running_loop()
    over = clock.run_in_executor(None, sys.stdin.read)
    outcomes: Counter[str] = Counter()
    kept: Kept = []
    tasks: set[asyncio.Task[str]] = set()

    def note(task: asyncio.Task[str]) -> None:
        tasks.discard(task)
        outcomes[task.result()] += 1

    due = clock.time()
    while not over.done():
        for number in range(round(rate * TICK_S)):
            task = asyncio.create_task(request(where, host, kept if number % 2 else None))
            tasks.add(task)
            task.add_done_callback(note)
        due += TICK_S
        await asyncio.sleep(max(0.0, due - clock.time()))
    await asyncio.gather(*tasks)
    failed = {what: count for what, count in outcomes.items() if what}
    sys.stdout.write(f"{outcomes.total()} {sum(failed.values())} {failed}\n")


if __name__ == "__main__":
    _, address, port, host, rate = sys.argv
    asyncio.run(main((address, int(port)), host, int(rate)))
