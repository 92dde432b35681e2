"""What an act has at hand: commands that must be taken, stories watched to their end, a teller."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from domain.contracts import Reply
from domain.problems import Problem
from restow.cli.output import on_terminal, tell
from restow.cli.progress import Live, Plain, headline
from restow.cli.watch import is_good, is_over, noun, query, summary
from restow.demo.watching import Watching
from restow.up import Site

POLL_S = 0.1
PATIENCE_S = 60.0
"""How long anything in the demo may take."""

Story = Mapping[str, Any]


class DemoError(Exception):
    """The demo cannot go on: what must happen did not."""


class Asked(msgspec.Struct, frozen=True):
    """A command that was asked, and what was answered."""

    command: str
    about: str
    reply: Reply


class Scene:
    """The site, what was asked so far, and how it is told."""

    def __init__(self, site: Site, watching: Watching) -> None:
        self.site = site
        self.watching = watching
        self.asked: list[Asked] = []
        self._began = time.monotonic()

    def tell(self, line: str) -> None:
        """Say what goes on, with the seconds since the beginning."""
        tell(f"{time.monotonic() - self._began:5.1f} s  {line}")

    async def ask(self, command: str, body: Mapping[str, Any], about: str) -> Reply:
        """Ask for a command that must be taken. Raises `DemoError` where it is refused."""
        answer = await self.site.talk.ask(command, body)
        if isinstance(answer, Problem):
            message = f"{command} {about} was refused: {answer.code}: {answer.detail}"
            raise DemoError(message)
        self.asked.append(Asked(command, about, answer))
        return answer

    async def read(self, question: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Put a question; while nobody answers, again. Raises `DemoError` at last."""
        give_up = time.monotonic() + PATIENCE_S
        while isinstance(answer := await self.site.talk.read(question, body), Problem):
            if answer.status not in {503, 504} or time.monotonic() > give_up:
                message = f"{question} {dict(body)}: {answer.detail}"
                raise DemoError(message)
            await asyncio.sleep(POLL_S)
        return answer

    async def until(self, true: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until something is true. Raises `DemoError` where it does not become so."""
        give_up = time.monotonic() + PATIENCE_S
        while not await true():
            if time.monotonic() > give_up:
                message = f"waited {PATIENCE_S:.0f} s in vain until {what}"
                raise DemoError(message)
            await asyncio.sleep(POLL_S)

    async def story(self, name: str, position: int = 0) -> Story:
        """Return an operation, a migration or a growth as it is now."""
        return await self.read(query(name), {noun(name): name, "min_position": position})

    async def ended(self, reply: Reply) -> None:
        """Wait until all that a command began is over. Raises `DemoError` where it went wrong."""
        for name in reply.operation_ids or (reply.operation_id,):
            await self.until_over(name, reply.position)

    async def until_over(self, name: str, position: int) -> Story:
        """Watch a story to its end. Raises `DemoError` where it went wrong or took too long."""
        give_up = time.monotonic() + PATIENCE_S
        with Live() if on_terminal() else Plain() as progress:
            while not is_over(story := await self.story(name, position)):
                progress.show(story)
                if time.monotonic() > give_up:
                    message = f"not over after {PATIENCE_S:.0f} s: {headline(story)}"
                    raise DemoError(message)
                await asyncio.sleep(POLL_S)
            progress.show(story)
        if not is_good(story):
            raise DemoError(summary(story))
        self.tell(summary(story))
        return story

    async def sampled(self, container: str, host: str) -> None:
        """Wait until a host has said what a container counts. Raises `DemoError`."""

        async def said() -> bool:
            return bool(self.watching.on(container, host))

        await self.until(said, f"{host} says what {container} counts")

    async def containers(self, layer: str, environment: str = "shop") -> list[Story]:
        """Return the containers of a layer."""
        page = await self.read("container.list", {"environment": environment, "layer": layer})
        return list(page["items"])
