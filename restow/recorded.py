"""Usage as it was recorded: the last hour of it on the bus, or a file of the same messages."""

from collections.abc import Collection, Iterator
from contextlib import aclosing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from domain.agent import Usage
from domain.messages import ContainerId
from domain.subjects import Subjects
from handlers.bus import CONNECT_S, UNREADABLE, close, connect
from handlers.journal.pull import pull, stream_seq
from handlers.journal.stream import info
from restow.settings import Region

_usages = msgspec.json.Decoder(Usage)


class UnreadableError(ValueError):
    """A file holds something else than usage."""


def of(usage: Usage, wanted: Collection[str]) -> Usage | None:
    """Return what is said of the containers that are wanted; None where nothing is."""
    mine = tuple(one for one in usage.containers if one.container in wanted)
    return replace(usage, containers=mine) if mine else None


async def lately(
    region: Region, wanted: Collection[ContainerId], *, within_s: float = CONNECT_S
) -> list[Usage]:
    """Return what the stream USE has kept of these containers, oldest first.

    Raises `BusUnavailableError`, `ConsumerLostError`, `JetStreamError`.
    """
    bus = await connect(region.address, name="restow usage", within_s=within_s)
    name = Subjects(region.prefix).stream("USE")
    found: list[Usage] = []
    try:
        stream = await info(bus, name)
        if stream is None or not stream.state.messages:
            return found
        async with aclosing(pull(bus, name, stream.state.first_seq)) as messages:
            async for message in messages:
                if message is None:
                    break
                usage = readable(message.data)
                mine = of(usage, wanted) if usage else None
                if mine is not None:
                    found.append(mine)
                if stream_seq(message) >= stream.state.last_seq:
                    break
    finally:
        await close(bus)
    return found


def readable(data: bytes) -> Usage | None:
    """Return what was said; None where somebody else said something else."""
    try:
        return _usages.decode(data)
    except UNREADABLE:
        return None


def from_file(path: Path, wanted: Collection[ContainerId]) -> Iterator[Usage]:
    """Give the usage in a file, a message on each line. Raises `UnreadableError`, `OSError`."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                usage = of(_usages.decode(line), wanted)
            except UNREADABLE as error:
                message = f"{path}:{number} is no usage as hosts say it: {error}"
                raise UnreadableError(message) from error
            if usage is not None:
                yield usage
