"""A read API of a made-up journal, and beside it a bare route: what a request costs at least.

Run as a process: `python -m benchmarks.site FRAMES_FILE`. It prints its port once it has caught up.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.contracts import Reply
from domain.decider import Frame
from domain.facts import Fact
from domain.problems import Problem
from domain.wire import decode_frame
from projections.feed import last_position
from projections.keeping import Keeping
from projections.keyframes import Keyframes
from projections.reaching import Reaching
from projections.shelf import FileShelf
from projections.web.app import About, Api
from projections.web.lists import Lists
from projections.web.past import Pasts
from projections.web.serving import Server, application, config_of, listen
from restow.loop import run

CATCH_UP_MS = 600_000
LINE = b'{"id":"node7","host":"h01","state":"running"}'


class Recorded:
    """Frames that were written before: a `projections.feed.Frames`."""

    def __init__(self, frames: list[Frame[Fact]]) -> None:
        self._frames = frames

    async def follow(self, after: int | None) -> AsyncGenerator[tuple[int, Frame[Fact]]]:
        for number, frame in enumerate(self._frames[after or 0 :], (after or 0) + 1):
            yield number, frame
        await asyncio.Event().wait()

    async def before(self, position: int) -> int | None:
        return sum(last_position(frame) <= position for frame in self._frames) or None

    async def end(self) -> int:
        return last_position(self._frames[-1])


async def nobody(name: str, body: bytes, headers: Mapping[str, str]) -> Reply | Problem:  # noqa: ARG001
    """Take any command and do nothing."""
    return Reply(status="done", command_id="none", position=0)


async def bare(_request: Request) -> Response:
    return Response(LINE, media_type="application/json")


async def serve(frames: list[Frame[Fact]]) -> None:
    """Serve until this process is ended."""
    journal = Recorded(frames)
    with TemporaryDirectory() as folder:
        shelf = FileShelf(Path(folder, "views"))
        keeping = Keeping(journal, shelf)
        reaching = Reaching(journal, Keyframes(Path(folder, "keyframes")))
        async with shelf.writing(), asyncio.TaskGroup() as group:
            group.create_task(keeping.run())
            await keeping.progress.wait(await journal.end(), CATCH_UP_MS)
            lists = Lists(keeping, Pasts(keeping, reaching))
            api = Api(keeping, lists, nobody, About({}, b"{}"))
            app = application(api, more=[Route("/bare", bare, name="/bare")])
            listening = listen("127.0.0.1", 0)
            print(listening.getsockname()[1], flush=True)  # noqa: T201 - to the parent process
            await Server(config_of(app)).serve(sockets=[listening])


if __name__ == "__main__":
    data = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=list[bytes])
    run(serve(list(map(decode_frame, data))))
