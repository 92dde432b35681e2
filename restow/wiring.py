"""The processes of a region, put together: the one place that knows handlers and projections."""

from collections.abc import Sequence
from pathlib import Path

from handlers.agent import process as agent
from handlers.agent.behaviour import Behaviour
from handlers.engine import process as engine
from restow import logs
from restow.settings import Region


async def run_engine(
    region: Region, name: str, *, monitors: Sequence[str] = (), relaxed: bool = False
) -> None:
    """Run one engine until told to stop; see `handlers.engine.process.run` for what it raises."""
    logs.verbose()
    await engine.run(
        name=name,
        url=region.address.servers,
        prefix=region.prefix,
        relaxed=relaxed,
        monitors=monitors,
    )


async def run_agent(
    region: Region, hosts: Sequence[str], data: Path, behaviour: Behaviour, *, routing: bool
) -> None:
    """Run the agent of some simulated hosts until told to stop."""
    logs.verbose()
    await agent.run(
        hosts,
        url=region.address.servers,
        prefix=region.prefix,
        routing=routing,
        data=data,
        behaviour=behaviour,
    )
