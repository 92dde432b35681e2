"""`restow lab`: real hosts on this machine, each in a network namespace, and what they can do."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from domain.problems import Exit
from handlers.agent.runtime import RuntimeFailedError
from handlers.nats_server import ServerStartError
from restow.cli.flags import noun
from restow.cli.output import say, tell
from restow.cli.running import down as region_down
from restow.crew import MemberEndedError
from restow.demo.scene import DemoError
from restow.lab.site import HOSTS_MAX, Lab, lab_up, sweep
from restow.lab.story import tell_story
from restow.logs import quiet
from restow.settings import data_directory
from restow.stopping import stop_signals
from restow.up import HTTP_DEFAULT, AlreadyUpError, StartError

MOVES = 3
Hosts = Annotated[int, Parameter(validator=Number(gte=2, lte=HOSTS_MAX), help="How many hosts.")]
Http = Annotated[
    int,
    Parameter(
        validator=Number(gte=-1, lte=65_535),
        help="Port of the dashboard on 127.0.0.1; where it is taken, or for -1, another one.",
    ),
]
Data = Annotated[
    Path | None, Parameter(help="Directory of everything that is kept; else RESTOW_DATA, ./.restow")
]
TRY = (
    "restow open",
    "restow env create shop --layer app:3:port=8080",
    "restow ct list -o wide",
    "restow ct migrate node1 h02",
    "restow host evacuate h01",
)

lab = noun(
    "lab", "Real hosts on this machine, each a network namespace: runc, CRIU, Knot, HAProxy."
)


@lab.command
async def up(*, hosts: Hosts = 3, http: Http = HTTP_DEFAULT, data: Data = None) -> int:
    """Start a lab; Ctrl-C stops all of it, and leaves nothing but files.

    Each host is a network namespace with an agent of its own, whose containers are real; NATS, an
    engine and the read side run beside them, a Knot and a HAProxy at the edge. As root. Other
    commands in the same directory find it by themselves.
    """
    plan = Lab(data or data_directory(), hosts, http)

    async def stay() -> int:
        async with lab_up(plan, tell) as site:
            tell("\n".join(["try:", *(f"  {line}" for line in TRY)]))
            tell(f"up, process {site.up.pid}; Ctrl-C stops all of it")
            await asyncio.get_running_loop().create_future()
        return Exit.DONE

    return await _until_stopped(stay)


@lab.command
async def demo(
    *,
    hosts: Hosts = 3,
    moves: Annotated[int, Parameter(validator=Number(gte=1, lte=100), help="Live moves.")] = MOVES,
    http: Http = -1,
    data: Data = None,
) -> int:
    """Show real containers moved live, restarted under load, and a host emptied (a minute).

    A client holds one TCP connection to a counter, through HAProxy, all the time; another one asks
    300 times a second. Prints what they noticed. Ends with 0 only if no request failed, and
    process, counter and connection went on. As root; nothing is left.
    """
    with _directory(data) as where:
        plan = Lab(where, hosts, http)

        async def play() -> int:
            async with lab_up(plan, tell) as site:
                good = await tell_story(plan, site, moves=moves)
            return Exit.DONE if good else Exit.FAILED

        return await _until_stopped(play)


@lab.command
def down(*, data: Data = None) -> int:
    """Stop a lab, and take away what one that was killed has left."""
    where = data or data_directory()
    code = region_down(data=where)
    if code == Exit.DONE and (left := asyncio.run(sweep(where))):
        tell(f"removed what a lab that was killed had left: {', '.join(left)}")
    return code


@contextmanager
def _directory(data: Path | None) -> Generator[Path]:
    """Return where everything is kept; what nobody asked to keep is removed at the end."""
    if data is not None:
        yield data
        return
    made = Path(tempfile.mkdtemp(prefix="restow-lab-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made)


async def _until_stopped(work: Callable[[], Coroutine[None, None, int]]) -> int:
    """Do it until it is done, or a signal says stop; return the exit code."""
    quiet()
    try:
        with stop_signals() as stop:
            doing = asyncio.create_task(work())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                tell("stopping")
                doing.cancel()
            await asyncio.wait({doing})
            stopped.cancel()
            return Exit.INTERRUPTED if doing.cancelled() else doing.result()
    except AlreadyUpError as error:
        say(f"error: a lab is up in {error} already; `restow lab down` stops it")
        return Exit.CONFLICT
    except (DemoError, StartError, ServerStartError, MemberEndedError, RuntimeFailedError) as error:
        say(f"error: {error}")
        return Exit.FAILED
