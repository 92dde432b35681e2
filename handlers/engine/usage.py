"""What agents say of what containers use, and how many cloudlets each is to hold because of it.

Samples come over the bus as they are, not through the journal: one that is lost is lost, the next
comes within seconds. Only what is decided from them is an ask.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from domain.agent import Sample, Usage
from domain.decider import Answered, Ask
from domain.fleet import Fleet
from domain.messages import AskId, ContainerId, Instant
from domain.subjects import Subjects
from domain.vertical import Calm, FollowUsage, look
from handlers.bus import UNREADABLE, Bus, Message, silence

log = structlog.stdlib.get_logger(__name__)

_usages = msgspec.json.Decoder(Usage)

WAITING_MAX = 20_000
"""Messages that may wait to be looked at; of more, some are lost, which does no harm."""

AskOf = Callable[[Ask], asyncio.Future[Answered]]


class Followers:
    """Lets containers follow what they use. What it remembers of them may be lost."""

    def __init__(self, fleet: Fleet, ask: AskOf, now: Callable[[], Instant]) -> None:
        self._fleet = fleet
        self._ask = ask
        self._now = now
        self._calm: dict[ContainerId, Calm] = {}

    def hear(self, usage: Usage) -> None:
        """Look at every container of a host; ask where one is to hold more, or less."""
        now = self._now()
        for sample in usage.containers:
            container = self._fleet.containers.get(sample.container)
            if container is None or container.host != usage.host:
                self._calm.pop(sample.container, None)
                continue
            wanted, calm = look(container, self._calm.get(sample.container), sample, now)
            if calm is not None:
                self._calm[sample.container] = calm
            else:
                self._calm.pop(sample.container, None)
            if wanted != container.allocated:
                self._follow(usage, sample, wanted)

    def _follow(self, usage: Usage, sample: Sample, wanted: int) -> None:
        """Ask, and wait for nothing: what comes to nothing is asked again with the next sample."""
        # The blanks keep the name apart from those of clients.
        name = AskId(f"usage {sample.container} {usage.at}")
        ask = Ask(
            name,
            FollowUsage(container=sample.container, cloudlets=wanted),
            actor=f"host:{usage.host}",
        )
        self._ask(ask).add_done_callback(lambda told: told.cancelled() or told.exception())


async def run(bus: Bus, subjects: Subjects, followers: Followers) -> None:
    """Listen to every host, for ever."""

    async def hear(message: Message) -> None:
        try:
            usage = _usages.decode(message.data)
        except UNREADABLE as error:
            log.warning("usage.unreadable", subject=message.subject, error=str(error))
            return
        if subjects.usage(usage.host) == message.subject:
            followers.hear(usage)

    listening = await bus.subscribe(  # pyright: ignore[reportUnknownMemberType] -- of `future=`
        subjects.usage("*"), cb=hear, pending_msgs_limit=WAITING_MAX
    )
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await silence(bus, listening)
