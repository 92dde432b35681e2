"""What agents say of what containers use, and how many cloudlets each is to hold because of it.

Samples come over the bus as they are, not through the journal: one that is lost is lost, the next
comes within seconds. Only what is decided from them is an ask. `gauges.py` is told of them too.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from domain.agent import Usage
from domain.container import Container
from domain.decider import Answered, Ask
from domain.fleet import Fleet
from domain.messages import AskId, ContainerId, HostId, Instant
from domain.subjects import Subjects
from domain.vertical import SEEK_PACE_MS, SEEK_REST_MS, Calm, FollowUsage, look, may_seek
from handlers.bus import UNREADABLE, Bus, Message, silence
from handlers.engine.gauges import Gauges, of_those_there

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
        self._sought: dict[HostId, Instant] = {}
        self._sought_last = Instant(0)
        self._gauges = Gauges(fleet)

    def __len__(self) -> int:
        """Return of how many containers, hosts and layers something is remembered."""
        return len(self._calm) + len(self._sought) + len(self._gauges)

    def hear(self, usage: Usage) -> None:
        """Look at every container of a host, and at the layers that triggers watch over."""
        now = self._now()
        self._calm = of_those_there(self._calm, self._fleet.containers)
        self._sought = of_those_there(self._sought, self._fleet.hosts)
        self._resize(usage, now)
        for firing in self._gauges.hear(usage, now):
            # The blanks keep the name apart from those of clients.
            name = AskId(f"trigger {firing.trigger} {now}")
            self._tell(Ask(name, firing, actor=f"trigger:{firing.trigger}"))

    def _resize(self, usage: Usage, now: Instant) -> None:
        """Ask where a container is to hold more, or less."""
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
                self._follow(usage, container, wanted)

    def _follow(self, usage: Usage, container: Container, wanted: int) -> None:
        make_room = self._may_seek(container, wanted)
        if wanted > container.allocated and not make_room and self._is_full(container):
            return
        # The blanks keep the name apart from those of clients.
        name = AskId(f"usage {container.id} {usage.at}")
        ask = Ask(
            name,
            FollowUsage(container=container.id, cloudlets=wanted, make_room=make_room),
            actor=f"host:{usage.host}",
        )
        self._tell(ask)

    def _tell(self, ask: Ask) -> None:
        """Ask, and wait for nothing: what comes to nothing is asked again with the next sample."""
        self._ask(ask).add_done_callback(lambda told: told.cancelled() or told.exception())

    def _is_full(self, container: Container) -> bool:
        return self._fleet.hosts[container.host].free <= 0

    def _may_seek(self, container: Container, wanted: int) -> bool:
        """Say whether room may be looked for now; a search takes time, so there are pauses."""
        now = self._now()
        last = self._sought.get(container.host)
        rests = last is not None and now - last < SEEK_REST_MS
        if rests or now - self._sought_last < SEEK_PACE_MS:
            return False
        if not may_seek(self._fleet, container, wanted):
            return False
        self._sought[container.host] = self._sought_last = now
        return True


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
