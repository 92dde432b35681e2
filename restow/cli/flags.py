"""Flags that many commands share, in groups, so that each means the same everywhere."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

from restow.cli.output import Format, Look
from restow.cli.spelling import Body, given, seconds

OUTPUT = Parameter(name=("--output", "-o"), env_var="RESTOW_OUTPUT")
PLAIN = Parameter(negative=(), show_default=lambda value: value or None)
"""Flags are off unless given, and a default that is nothing is not worth a word."""

STORE = Parameter(
    show_env_var=False,
    help="PostgreSQL database of the views, postgresql://user@host/database; else RESTOW_STORE"
    " (better, for it may hold a password), else files in the data directory.",
)

SIZE = Group("Size", sort_key=4)
THE_BUS = Group("The bus", sort_key=8)
READING = Group("Reading", sort_key=6)
ASKING = Group("Asking", sort_key=7)
SEQUENCE = Group("How it goes through the containers", sort_key=5)


def noun(name: str, text: str, *, alias: str = "") -> App:
    """Return the group of commands that a noun has: `restow <noun> <verb>`."""
    aliases = (alias,) if alias else ()
    return App(
        name, text, alias=aliases, default_parameter=PLAIN, version_flags=(), help_epilogue=""
    )


SPEED_MAX = 1_000


def _speed_in_range(_: object, value: float) -> None:
    if not 0 < value <= SPEED_MAX:
        message = f"Must be more than 0, and at most {SPEED_MAX:,}."
        raise ValueError(message)


SPEED = Parameter(validator=_speed_in_range)


@Parameter(name="*", group=THE_BUS)
@dataclass(frozen=True, kw_only=True)
class At:
    """Which region is meant; see `restow.settings`."""

    url: Annotated[str | None, Parameter(show_env_var=False)] = None
    """NATS server; else RESTOW_URL, NATS_URL, the chosen NATS context, ./.restow/up.json."""
    prefix: str | None = None
    """Prefix of the region's subjects; else RESTOW_PREFIX, up.json, `restow`."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True, kw_only=True)
class Showing:
    """How data is shown."""

    output: Annotated[Format, OUTPUT] = "table"
    """table, wide, json, jsonl (a line for each), or name."""
    no_headers: bool = False
    """Leave the headers of tables out."""

    @property
    def look(self) -> Look:
        return Look(self.output, headers=not self.no_headers)


@Parameter(name="*", group=READING)
@dataclass(frozen=True, kw_only=True)
class Latest(Showing):
    """How data is read that is always the latest."""

    min_position: int = 0
    """Wait until the answer is at least as new as this position: read your own writes."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True, kw_only=True)
class Then(Latest):
    """How data is read, now or as it was."""

    at: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """As of a position (1234), a time (2026-11-21T10:00:00Z), or so long ago (-2m)."""


@Parameter(name="*", group=READING)
@dataclass(frozen=True, kw_only=True)
class Reading(Then):
    """How data is read, once or whenever it changes."""

    watch: Annotated[bool, Parameter(name=("--watch", "-w"))] = False
    """Show it again whenever it changes, until Ctrl-C."""


@Parameter(name="*", group=ASKING)
@dataclass(frozen=True, kw_only=True)
class Asking:
    """What every command that changes something may carry, and how its answer is shown."""

    dry_run: bool = False
    """Decide, show the plan of all that would happen, write nothing."""
    expect_plan: str | None = None
    """Do what the plan of this name says, or be refused (exit code 5)."""
    wait: Annotated[bool | None, Parameter(negative="--no-wait")] = None
    """Wait until the operation is over, showing each container; the default on a terminal."""
    timeout: str = "10m"
    """Longest wait; the work goes on after it (exit code 6)."""
    expect_version: int | None = None
    """Refuse (exit code 5) unless what is changed still has this version."""
    id: str | None = None
    """Identity of this command: the same one again has no second effect, only the same answer."""
    reason: str | None = None
    """Why; kept with the events."""
    output: Annotated[Format, OUTPUT] = "table"
    """table or wide (a sentence), json or jsonl (the reply as it came), name (of what began)."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(
            dry_run=self.dry_run or None,
            expect_plan=self.expect_plan,
            expect_version=self.expect_version,
            id=self.id,
            reason=self.reason,
        )


@Parameter(name="*", group=SEQUENCE)
@dataclass(frozen=True, kw_only=True)
class Sequence:
    """How an operation goes through a layer's containers; what is not given is the engine's."""

    all_at_once: Annotated[bool, Parameter(negative="--one-by-one")] = False
    """All containers together, or one after another (the default)."""
    delay: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """From healthy of one to the start of the next, 0 to 300 s [default: 30s]."""
    dns: Literal["remove", "keep"] | None = None
    """Take each container out of DNS and balancer first, or leave it in."""
    on_failure: Literal["stop", "continue", "rollback"] | None = None
    """What to do when a step fails [default: stop]."""
    ask: bool = False
    """Wait for `restow op resume` between steps."""
    surge: bool = False
    """Add a further container first, and take it away last."""
    accept_downtime: bool = False
    """Go on where no other container of the layer is operable."""
    no_queue: bool = False
    """Refuse (exit code 5) instead of waiting behind another operation."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(
            mode="simultaneous" if self.all_at_once else None,
            delay_s=None if self.delay is None else seconds(self.delay),
            remove_from_dns=None if self.dns is None else self.dns == "remove",
            on_failure=self.on_failure,
            ask=self.ask or None,
            surge=self.surge or None,
            accept_downtime=self.accept_downtime or None,
            queue=False if self.no_queue else None,
        )


@Parameter(name="*", group=SIZE)
@dataclass(frozen=True, kw_only=True)
class Size:
    """What a container may hold; what is not given stays."""

    reserved: int | None = None
    """Cloudlets that are always its own."""
    limit: int | None = None
    """Cloudlets up to which it may grow."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(reserved=self.reserved, limit=self.limit)


HERE = At()
PLAINLY = Reading()
SHOWN = Showing()
LATEST = Latest()
NOW = Then()
SIMPLY = Asking()
USUAL = Sequence()
SAME_SIZE = Size()
