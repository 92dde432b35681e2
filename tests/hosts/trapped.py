"""An agent that stands still at a step of a hand-over, until what the test has in mind is done.

`python -m tests.hosts.trapped URL PREFIX DATA RUN HOST ADDRESS` is the real agent of a host. Just
after its ledger has the line of the step that `DATA/HOST.trap` names, it calls that file
`HOST.sprung`, and does nothing at all until it is gone.
"""

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from domain.memory import AnyEntry, ArrivalPrepared, ArrivalRan, ArrivalWent, HandedOver, ReportOwed
from domain.messages import HostId
from domain.orders import ReportPhase
from domain.subjects import Subjects
from handlers.agent.behaviour import Behaviour
from handlers.agent.link import Link
from handlers.agent.neighbours import Neighbours
from handlers.agent.pace import Pace
from handlers.agent.process import Site
from handlers.agent.records import Records
from handlers.agent.runc.hardening import Profile
from handlers.agent.runc.images import Images
from handlers.agent.runc.moving import Reach
from handlers.agent.runc.runtime import real
from handlers.bus import connect

LOOK_S = 0.005
PACE = Pace(hello_s=0.5, probe_s=0.2, ask_s=1.0, doubt_s=0.5, retry_min_s=0.05, retry_max_s=0.5)
_decoder = msgspec.msgpack.Decoder(tuple[AnyEntry, ...])


def step_of(entry: AnyEntry) -> str:
    """Return which step of a hand-over a line of a ledger is; "" where it is none."""
    match entry:
        case ReportOwed(report=ReportPhase(phase=phase)):
            return phase
        case HandedOver():
            return "handed-over"
        case ArrivalPrepared():
            return "prepared"
        case ArrivalWent():
            return "went"
        case ArrivalRan():
            return "ran"
        case _:
            return ""


class Trapped(Records):
    """A ledger whose writer stands still once it has written a line."""

    def append(self, data: bytes) -> None:
        super().append(data)
        trap = self.path.parent.with_suffix(".trap")
        if trap.exists() and trap.read_text() in map(step_of, _decoder.decode(data)):
            sprung = trap.with_suffix(".sprung")
            trap.replace(sprung)
            while sprung.exists():
                time.sleep(LOOK_S)


async def serve(url: str, prefix: str, data: Path, run: Path, host: str, address: str) -> None:  # noqa: PLR0913, PLR0917 - the settings of a process
    kind = real(Images(run / "images"), Profile.MOVABLE, run=run, reach=Reach(address))
    bus = await connect(url, name=host)
    async with Neighbours().serving(address) as neighbours:
        site = Site(
            Link(bus),
            Subjects(prefix),
            data,
            Behaviour(),
            PACE,
            Trapped.open,
            neighbours,
            kind=kind,
        )
        await site.host(HostId(host))


if __name__ == "__main__":
    _, url, prefix, data, run, host, address = sys.argv
    asyncio.run(serve(url, prefix, Path(data), Path(run), host, address))
