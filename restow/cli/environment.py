"""`restow environment` (`env`): what belongs together, created as a whole or not at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from restow.cli.exits import UsageError
from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.naming import Environment
from restow.cli.output import field
from restow.cli.spelling import Body, given, layer, pairs
from restow.cli.sure import Yes, count_environment, sure
from restow.cli.talk import ask, show_all, show_one

environment = noun("environment", "Environments: layers that form one application.")


@Parameter(name="*", group="What is in it")
@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a new environment consists of."""

    layers: Annotated[tuple[str, ...], Parameter(name="--layer")] = ()
    """NAME[:COUNT][:KEY=VALUE or WORD]..., as often as needed. Keys: reserved, limit (cloudlets),
    disk (GiB), role, image, policy, group, volume, port, var. Words: stateful, stateless; hard or
    soft: how its own containers are kept apart; fence or keep: what they do when their host is
    cut off, stop (to be restarted elsewhere) or run on."""
    file: Path | None = None
    """JSON with the members of the command; flags go before it."""
    domain: str | None = None
    """What names end with."""
    group: tuple[str, ...] = ()
    """Anti-affinity group across layers: NAME=hard or NAME=soft."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command. Raises `UsageError`."""
        flags = given(
            layers=[layer(one) for one in self.layers] or None,
            domain=self.domain,
            groups=pairs(self.group, "group") or None,
        )
        return {**(_read(self.file) if self.file else {}), **flags}


EMPTY = Contents()

COLUMNS = (
    field("ENVIRONMENT", "id"),
    field("STATE", "state"),
    field("LAYERS", "layers"),
    field("CONTAINERS", "containers"),
    field("DOMAIN", "domain", wide=True),
    field("GROUPS", "groups", wide=True),
    field("TENANT", "tenant", wide=True),
    field("NETWORK", "network", wide=True),
)


@environment.command(name="list", help_epilogue="For example: restow env list")
async def list_environments(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List environments."""
    await show_all("environment.list", {}, COLUMNS, at=at, how=how)


@environment.command(help_epilogue="For example: restow env show shop")
async def show(name: Environment, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one environment with its layers."""
    await show_one("environment.show", {"environment": name}, "id", at=at, how=how)


@environment.command(
    help_epilogue="For example:\n\n"
    "restow env create shop --layer bl:1 --layer app:3:reserved=2:limit=8"
    " --layer sql:2:reserved=4:stateful:hard\n\n"
    "restow env create shop --file shop.json"
)
async def create(
    name: str, /, *, contents: Contents = EMPTY, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Create an environment; every container finds its host, or nothing is created."""
    body = {**contents.body, "environment": name}
    if "layers" not in body:
        message = "an environment wants a layer; add --layer NAME[:COUNT], or --file"
        raise UsageError(message)
    await ask("environment.create", body, at=at, how=how)


def _read(path: Path) -> Body:
    """Read a JSON object. Raises `UsageError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        message = f"{path} cannot be read as a JSON object: {error}"
        raise UsageError(message) from error


@environment.command(help_epilogue='For example: restow env remove shop --reason "moved away"')
async def remove(
    name: Environment, /, *, yes: Yes = False, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Stop and remove all containers of an environment, then the environment."""
    question = ("environment.show", {"environment": name})
    await sure(f"remove {name}", question, count_environment, yes=yes, at=at, how=how)
    await ask("environment.remove", {"environment": name}, at=at, how=how)


@environment.command(help_epilogue="For example: restow env stop shop")
async def stop(name: Environment, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Stop all containers of an environment, out of DNS first; nothing is removed."""
    await ask("environment.stop", {"environment": name}, at=at, how=how)


@environment.command(help_epilogue="For example: restow env start shop")
async def start(name: Environment, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Start all containers of an environment again, layer after layer.

    What runs in it and was left out of DNS by a failure is put back; what serves is left alone.
    """
    await ask("environment.start", {"environment": name}, at=at, how=how)
