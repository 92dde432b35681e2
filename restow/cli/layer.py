"""`restow layer`: containers of one kind; scaled, restarted and limited together."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from restow.cli import spelling
from restow.cli.flags import (
    HERE,
    PLAINLY,
    SAME_SIZE,
    SEQUENCE,
    SIMPLY,
    USUAL,
    Asking,
    At,
    Reading,
    Sequence,
    Size,
    noun,
)
from restow.cli.naming import LAYER
from restow.cli.output import Column, Item, field, text
from restow.cli.spelling import Body, given, layer_key, number, pairs
from restow.cli.sure import Yes, count_layer, sure
from restow.cli.talk import ask, show_all, show_one

layer = noun("layer", "Layers: containers of one kind that work and scale together.")


def _name(item: Item) -> str:
    return f"{item.get('environment')}/{item.get('name')}"


def _operable(item: Item) -> str:
    return f"{text(item.get('operable'))}/{text(item.get('count'))}"


Name = Annotated[str, LAYER, Parameter(help="ENVIRONMENT/LAYER, as in shop/app.")]

Spec = Annotated[str, Parameter(help="NAME[:COUNT][:KEY=VALUE or WORD]..., as in cache:2:hard.")]

COLUMNS = (
    Column("LAYER", _name),
    field("COUNT", "count"),
    Column("OPERABLE", _operable),
    field("RESERVED", "reserved"),
    field("LIMIT", "limit"),
    field("OPERATION", "operation"),
    field("QUEUE", "queue", wide=True),
    field("ROLE", "role", wide=True),
    field("IMAGE", "image", wide=True),
    field("APPLICATION", "application", wide=True),
    field("APART", "anti_affinity", wide=True),
    field("POLICY", "policy", wide=True),
    field("ON-LOST", "on_lost", wide=True),
    field("CONTAINERS", "containers", wide=True),
)


@Parameter(name="*", group=SEQUENCE)
@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How containers are added and taken away."""

    victim: Literal["newest", "skew"] | None = None
    """Which one goes: the newest, or the one whose removal evens the spread [default: newest]."""
    dns: Literal["remove", "keep"] | None = None
    """Take a container out of DNS and balancer before it is stopped, or not."""
    accept_downtime: bool = False
    """Go on where no other container of the layer is operable."""
    no_queue: bool = False
    """Refuse (exit code 5) instead of waiting behind another operation."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(
            victim=self.victim,
            remove_from_dns=None if self.dns is None else self.dns == "remove",
            accept_downtime=self.accept_downtime or None,
            queue=False if self.no_queue else None,
        )


AS_USUAL = Scaling()


@Parameter(name="*", group="What it is like")
@dataclass(frozen=True, kw_only=True)
class Kind:
    """What may be changed of a layer."""

    policy: Literal["spread", "pack", "virtuozzo-loadmark"] | None = None
    """How hosts are chosen."""
    var: tuple[str, ...] = ()
    """Environment variable KEY=VALUE; those given replace all."""
    port: tuple[int, ...] = ()
    """Port that it serves; those given replace all."""
    on_lost: Literal["fence", "keep"] | None = None
    """Stop where its host is cut off, or run on; from when a container is next started."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(
            policy=self.policy,
            variables=pairs(self.var, "variable") or None,
            ports=list(self.port) or None,
            on_lost=self.on_lost,
        )


AS_IT_IS = Kind()


@Parameter(name="*", group="Where it comes from")
@dataclass(frozen=True, kw_only=True)
class Source:
    """Where an application comes from: an archive, or a repository."""

    archive: str | None = None
    """URL of an archive: https:// or file://."""
    sha256: str | None = None
    """What the archive's SHA-256 must be."""
    vcs: str | None = None
    """URL of a repository: https://, ssh://, git:// or file://."""
    ref: str | None = None
    """Branch, tag or commit in it [default: its default branch]."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(archive=self.archive, sha256=self.sha256, vcs=self.vcs, ref=self.ref)


NOWHERE = Source()


def _key(name: str) -> Body:
    environment, one = layer_key(name)
    return {"environment": environment, "layer": one}


@layer.command(name="list", help_epilogue="For example: restow layer list shop")
async def list_layers(
    environment: str | None = None, /, *, at: At = HERE, how: Reading = PLAINLY
) -> None:
    """List layers, of one environment or of all."""
    await show_all("layer.list", given(environment=environment), COLUMNS, at=at, how=how)


@layer.command(help_epilogue="For example: restow layer show shop/app")
async def show(name: Name, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one layer, named ENVIRONMENT/LAYER."""
    await show_one("layer.show", _key(name), "name", at=at, how=how)


@layer.command(help_epilogue="For example: restow layer add shop cache:2:reserved=2")
async def add(environment: str, spec: Spec, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Add a layer, written as in `restow env create --layer`."""
    body: Body = {"environment": environment, "layer": spelling.layer(spec)}
    await ask("layer.add", body, at=at, how=how)


@layer.command(help_epilogue="For example: restow layer change shop/app --var MODE=fast")
async def change(
    name: Name, /, *, kind: Kind = AS_IT_IS, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Change what the next containers of a layer are like; those that run keep what they have."""
    await ask("layer.change", {**_key(name), **kind.body}, at=at, how=how)


@layer.command(help_epilogue="For example: restow layer remove shop/cache")
async def remove(name: Name, /, *, yes: Yes = False, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Stop and remove all containers of a layer, then the layer."""
    question = ("layer.show", _key(name))
    await sure(f"remove {name}", question, count_layer, yes=yes, at=at, how=how)
    await ask("layer.remove", _key(name), at=at, how=how)


@layer.command(
    help_epilogue="For example:\n\nrestow layer scale shop/app 6\n\nrestow layer scale shop/app +2"
)
async def scale(
    name: Name,
    count: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    scaling: Scaling = AS_USUAL,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Scale a layer to COUNT containers, or by +N or -N."""
    wanted = number(count, "COUNT")
    size = {"by": wanted} if count.startswith(("+", "-")) else {"count": wanted}
    await ask("layer.scale", {**_key(name), **size, **scaling.body}, at=at, how=how)


@layer.command(help_epilogue="For example: restow layer limits shop/app --reserved 2 --limit 16")
async def limits(
    name: Name,
    /,
    *,
    size: Size = SAME_SIZE,
    sequence: Sequence = USUAL,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Set the cloudlets of every container of a layer, without a restart."""
    await ask("layer.limits", {**_key(name), **size.body, **sequence.body}, at=at, how=how)


@layer.command(
    help_epilogue="For example:\n\n"
    "restow layer restart shop/app --delay 5s\n\n"
    "restow layer restart shop/app --all-at-once --accept-downtime"
)
async def restart(
    name: Name, /, *, sequence: Sequence = USUAL, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Restart all containers of a layer, one by one or all at once."""
    await ask("layer.restart", {**_key(name), **sequence.body}, at=at, how=how)


@layer.command(
    help_epilogue="For example:\n\n"
    "restow layer redeploy shop/app restow/counter:2 --on-failure rollback\n\n"
    "restow layer redeploy shop/app restow/counter:2 --surge --delay 5s"
)
async def redeploy(
    name: Name,
    image: Annotated[str, Parameter(help="The image, with its tag.")],
    /,
    *,
    sequence: Sequence = USUAL,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Replace all containers of a layer by ones of another image; what is theirs is kept."""
    await ask("layer.redeploy", {**_key(name), "image": image, **sequence.body}, at=at, how=how)


@layer.command(
    help_epilogue="For example:\n\n"
    "restow layer deploy shop/app --archive https://example.org/shop.zip\n\n"
    "restow layer deploy shop/app --vcs https://git.example.org/shop.git --ref v1.4.2"
)
async def deploy(
    name: Name,
    /,
    *,
    source: Source = NOWHERE,
    sequence: Sequence = USUAL,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Deploy an application into all containers of a layer, from an archive or a repository."""
    await ask("layer.deploy", {**_key(name), **source.body, **sequence.body}, at=at, how=how)
