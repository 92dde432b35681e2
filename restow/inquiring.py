"""Questions that the read API answers from the journal: `projections.web.inquiries.Inquiries`.

One after the other, each within a time: who listens to changes must not notice.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from domain.certificate import Checked
from domain.decider import Frame
from domain.facts import Fact
from domain.messages import Code, Refusal
from domain.nouns import story_by
from domain.waysback import ways_back
from projections.feed import Frames, H, last_position
from projections.moments import NOW, Moment
from projections.reaching import Reaching
from projections.web.inquiries import WaysBack
from restow.certificates import certified
from restow.undoing import Target, answer, between, followed, rehearse, single

WITHIN_S = 20.0
"""How long an answer may take."""
KEPT_MAX = 64
"""Certificates that are kept: what is over does not change."""
TURN = 100
"""Frames after which others have their turn."""

T = TypeVar("T")

Hash = Callable[[H, Frame[Fact]], bytes]
"""Returns the hash that the journal has of a frame, which was read at this head."""


class Inquiring(Generic[H]):
    """Reads a journal for one question at a time."""

    def __init__(
        self,
        frames: Frames[H],
        reaching: Reaching[H],
        hash_of: Hash[H],
        within_s: float = WITHIN_S,
    ) -> None:
        self._reaching = reaching
        self._within_s = within_s
        self._frames = frames
        self._hash_of = hash_of
        self._certificates: OrderedDict[str, Checked] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def certificate(self, name: str) -> Checked | Refusal:
        """Certify an operation or a migration that is over."""
        async with self._one_at_a_time:
            known = self._certificates.get(name)
            if known is not None:
                self._certificates.move_to_end(name)
                return known
            way_on = f"restow op certificate {name[:200]}"
            found = await self._in_time(certified(self._written(), name), way_on)
            if isinstance(found, Checked):
                self._certificates[name] = found
                while len(self._certificates) > KEPT_MAX:
                    self._certificates.popitem(last=False)
            return found

    async def undo(self, what: str) -> WaysBack | Refusal:
        """Say which commands undo a command; they are tried in a fork, and not sent."""
        async with self._one_at_a_time:
            return await self._in_time(self._ways_back(what), "restow audit undo")

    async def undo_between(self, begin: Moment, end: Moment) -> WaysBack | Refusal:
        """Say which commands undo all that was asked between two moments; they are not sent."""
        async with self._one_at_a_time:
            return await self._in_time(self._ways_between(begin, end), "restow audit undo --from")

    async def _ways_back(self, what: str) -> WaysBack | Refusal:
        noun = story_by(what)
        target = await single(self._reaching, what, f"{noun}.{what}" if noun else "", NOW)
        if target is None:
            detail = f"the journal has no command {what}, and nothing that is called so"
            return Refusal(Code.COMMAND_NOT_FOUND, f"{detail}; see /v1/commands", "query of")
        return await self._undone(target)

    async def _ways_between(self, begin: Moment, end: Moment) -> WaysBack | Refusal:
        return await self._undone(await between(self._reaching, begin, end))

    async def _undone(self, target: Target) -> WaysBack | Refusal:
        undoing, position = await followed(self._reaching, target, NOW)
        going_on = undoing.going_on()
        if going_on:
            name = going_on[0].partition(".")[2]
            detail = f"{name} is not over: wait for it or end it, then undo"
            return Refusal(Code.OPERATION_BUSY, detail, "", {"going_on": len(going_on)})
        told = ways_back(undoing)
        tried = await rehearse(self._reaching, undoing, told.steps, position)
        return answer(undoing, told, tried, position)

    async def _written(self) -> AsyncGenerator[tuple[bytes, Frame[Fact]]]:
        """Yield the frames that are written now, each with its hash."""
        end = await self._frames.end()
        turn = 0
        if not end:
            return
        async with aclosing(self._frames.follow(None)) as steps:
            async for head, frame in steps:
                yield self._hash_of(head, frame), frame
                if last_position(frame) >= end:
                    return
                turn += 1
                if turn % TURN == 0:
                    await asyncio.sleep(0)

    async def _in_time(self, answer: Awaitable[T], way_on: str) -> T | Refusal:
        """Return an answer; refuse what would keep others waiting, and name a way on."""
        try:
            async with asyncio.timeout(self._within_s):
                return await answer
        except TimeoutError:
            detail = f"the journal took longer than {self._within_s:g} s to read"
            return Refusal(Code.WAIT_TIMEOUT, f"{detail}; `{way_on}` has no such limit")
