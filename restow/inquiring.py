"""Questions that the read API answers from the journal: `projections.web.inquiries.Inquiries`.

One after the other, each within a time: who listens to changes must not notice.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic

from domain.certificate import Checked
from domain.decider import Frame
from domain.facts import Fact
from domain.messages import Code, Refusal
from projections.feed import Frames, H, last_position
from restow.certificates import certified

WITHIN_S = 20.0
"""How long an answer may take."""
KEPT_MAX = 64
"""Certificates that are kept: what is over does not change."""
TURN = 100
"""Frames after which others have their turn."""

Hash = Callable[[H, Frame[Fact]], bytes]
"""Returns the hash that the journal has of a frame, which was read at this head."""


class Inquiring(Generic[H]):
    """Reads a journal for one question at a time."""

    def __init__(self, frames: Frames[H], hash_of: Hash[H], within_s: float = WITHIN_S) -> None:
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
            try:
                async with asyncio.timeout(self._within_s):
                    found = await certified(self._written(), name)
            except TimeoutError:
                return self._too_long(f"`restow op certificate {name[:200]}` has no such limit")
            if isinstance(found, Checked):
                self._certificates[name] = found
                while len(self._certificates) > KEPT_MAX:
                    self._certificates.popitem(last=False)
            return found

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

    def _too_long(self, way_on: str) -> Refusal:
        """Refuse what would keep others waiting."""
        detail = f"the journal took longer than {self._within_s:g} s to read; {way_on}"
        return Refusal(Code.WAIT_TIMEOUT, detail)
