"""The journal of the worlds behaves as a real one: what it keeps, and whom it refuses.

A world is lived in which standbys take over at any moment. What its journal took is then written
by real writers into a real server, and whom it refused is refused there.
"""

import pytest

from domain.decider import Commit, Frame
from domain.facts import Fact
from domain.subjects import Subjects
from domain.wire import decode_frame
from handlers.bus import Bus
from handlers.journal.writer import FencedError, Writer
from restow.simulation.engines import is_fenced
from restow.simulation.machines import Nature
from restow.simulation.world import World
from tests.examples import hosts, shop
from tests.journal.samples import new_writer, whole

Written = tuple[int, int, tuple[Commit[Fact], ...]]

RESTLESS = Nature(takeover=0.4, forget=0.1)


def written(frame: Frame[Fact]) -> Written:
    """Return all of a frame but its link to the one before."""
    return frame.epoch, frame.position, frame.commits


def lived(seed: int) -> list[Frame[Fact]]:
    """Return the journal of a small world in which leaders change all the time."""
    world = World(seed, RESTLESS)
    for command in (*hosts(3), shop(2)):
        world.ask(command)
    world.settle()
    return [decode_frame(data) for data in world.journal]


async def is_refused(writer: Writer, frame: Frame[Fact]) -> bool:
    try:
        await writer.append(list(frame.commits))
    except FencedError:
        return True
    return False


@pytest.mark.parametrize("seed_of_both", range(3))
async def test_a_server_keeps_what_the_model_kept_and_refuses_whom_it_refused(
    bus: Bus, subjects: Subjects, seed_of_both: int
) -> None:
    frames = lived(seed_of_both)
    leader = await new_writer(bus, subjects)
    writers = [leader]
    for frame in frames:
        if not frame.commits:
            leader = await new_writer(bus, subjects)
            writers.append(leader)
            continue
        for writer in writers[-2:]:
            fenced = is_fenced(writer.head.epoch, frame.epoch)
            assert await is_refused(writer, frame) == fenced
    for writer in writers:
        await writer.close()

    first, *others = [frame for _, frame in await whole(bus, subjects)]
    assert written(first) == (1, 1, ())
    assert [written(frame) for frame in others] == [written(frame) for frame in frames]
    assert len(writers) > 3
