"""`restow tenant`: how much each tenant may ask for, so that none waits because of another."""

from dataclasses import dataclass

from cyclopts import Parameter

from restow.cli.flags import HERE, PLAINLY, SIMPLY, SIZE, Asking, At, Reading, noun
from restow.cli.output import field
from restow.cli.spelling import Body, given
from restow.cli.talk import ask, show_all, show_one

tenant = noun("tenant", "Tenants: how much each may ask for.")

COLUMNS = (
    field("TENANT", "id"),
    field("RATE", "rate"),
    field("BURST", "burst"),
    field("IN-FLIGHT", "in_flight"),
    field("KEPT", "kept"),
    field("SOURCE", "source"),
)


@Parameter(name="*", group=SIZE)
@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much a tenant may ask for; what is not given stays."""

    rate: int | None = None
    """Commands a second, 1 to 100,000 [default: 500]."""
    burst: int | None = None
    """How many of them may come at once, 1 to 100,000 [default: 1,000]."""
    in_flight: int | None = None
    """Commands that wait for their answer, 1 to 20,000 [default: 1,000]."""
    kept: int | None = None
    """Commands that wait in the durable door's stream, 100 to 1,000,000 [default: 10,000]."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(rate=self.rate, burst=self.burst, in_flight=self.in_flight, kept=self.kept)


NO_BOUNDS = Bounds()


@tenant.command(name="list", help_epilogue="For example: restow tenant list")
async def list_tenants(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List the limits that were set; `_others` stands for every tenant without limits."""
    await show_all("tenant.list", {}, COLUMNS, at=at, how=how)


@tenant.command(help_epilogue="For example: restow tenant show acme")
async def show(name: str, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show the limits that hold for a tenant, and where they come from."""
    await show_one("tenant.show", {"tenant": name}, "id", at=at, how=how)


@tenant.command(
    help_epilogue="For example:\n\nrestow tenant limit acme --rate 50 --burst 100"
    "\n\nrestow tenant limit _others --in-flight 200"
)
async def limit(
    name: str, /, *, bounds: Bounds = NO_BOUNDS, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Set how much a tenant may ask for, or all without limits of their own (`_others`)."""
    await ask("tenant.limit", {"tenant": name, **bounds.body}, at=at, how=how)


@tenant.command(help_epilogue="For example: restow tenant reset acme")
async def reset(name: str, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Forget the limits that were set for a tenant."""
    await ask("tenant.reset", {"tenant": name}, at=at, how=how)
