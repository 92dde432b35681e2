"""What hosts say to each other when a container moves, as JSON on `<p>.peer.<host>.<verb>`."""

import asyncio

import msgspec

from domain.messages import ContainerId, HostId, MigrationId
from domain.subjects import Subjects
from handlers.agent.link import Link
from handlers.agent.pace import Pace
from handlers.agent.runtime import Image, Room
from handlers.bus import UNREADABLE

CHECKS_MAX = 3
"""How often a target is asked for room before it counts as silent."""


class PeerFailedError(RuntimeError):
    """The other host refused, or did not answer; the message says which and why."""


class Saying(msgspec.Struct, frozen=True, tag_field="verb"):
    """What one host says to another. The tag is the last token of the subject."""


class Check(Saying, frozen=True, tag="check"):
    """Is there room, and where is it to be sent?"""

    migration: MigrationId
    room: Room


class Prepare(Saying, frozen=True, tag="prepare"):
    """Restore this and hold it."""

    migration: MigrationId
    source: HostId
    image: Image


class Go(Saying, frozen=True, tag="go"):
    """It is handed over to you: let it run."""

    migration: MigrationId


class Drop(Saying, frozen=True, tag="drop"):
    """It stays here: forget what you hold, for ever."""

    migration: MigrationId
    container: ContainerId
    source: HostId


class Whose(Saying, frozen=True, tag="whose"):
    """From the target: I hold it and heard neither go nor drop."""

    migration: MigrationId


class ResizeThere(Saying, frozen=True, tag="resize"):
    """I was told to resize it, and it is with you now."""

    container: ContainerId
    cloudlets: int
    limit: int


AnySaying = Check | Prepare | Go | Drop | Whose | ResizeThere

WHOSE = "whose"
VERBS = ("check", "prepare", "go", "drop", "resize")
"""All that is said but `WHOSE`, which is answered before these are."""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The other host's answer. `running_ms` and `reachable_ms` count from its hearing `Go`."""

    ok: bool
    detail: str = ""
    endpoint: str = ""
    standing: str = ""
    running_ms: int = 0
    reachable_ms: int = 0


_encoder = msgspec.json.Encoder()
_reply_decoder = msgspec.json.Decoder(Reply)


class Peers:
    """The other hosts."""

    def __init__(self, link: Link, subjects: Subjects, pace: Pace) -> None:
        self._link = link
        self._subjects = subjects
        self._pace = pace

    async def ask(self, host: HostId, saying: AnySaying) -> Reply | None:
        """Ask once; None where the other host did not answer in time."""
        verb = str(saying.__struct_config__.tag)
        data = await self._link.ask(
            self._subjects.peer(host, verb), _encoder.encode(saying), within_s=self._pace.ask_s
        )
        try:
            return None if data is None else _reply_decoder.decode(data)
        except UNREADABLE:
            return None

    async def check(self, host: HostId, saying: Check) -> Reply:
        """Ask a few times. Raises `PeerFailedError` where there is no room or no answer."""
        for _, pause in zip(range(CHECKS_MAX), self._pace.pauses(), strict=False):
            if reply := await self.ask(host, saying):
                return self._agreed(host, reply)
            await asyncio.sleep(pause)
        message = f"{host} does not answer"
        raise PeerFailedError(message)

    async def insist(self, host: HostId, saying: AnySaying) -> Reply:
        """Ask until there is an answer. Raises `PeerFailedError` where it is a refusal."""
        for pause in self._pace.pauses():
            if reply := await self.ask(host, saying):
                return self._agreed(host, reply)
            await asyncio.sleep(pause)
        raise AssertionError

    def _agreed(self, host: HostId, reply: Reply) -> Reply:
        if not reply.ok:
            message = f"{host}: {reply.detail}"
            raise PeerFailedError(message)
        return reply
