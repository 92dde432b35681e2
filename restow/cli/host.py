"""`restow host`: hosts, what they carry, and whether they take more."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.naming import Host
from restow.cli.output import Column, Item, age, field, text
from restow.cli.room import show_room
from restow.cli.spelling import Body, given, pairs
from restow.cli.sure import Yes, count_host, sure
from restow.cli.talk import ask, show_all, show_one

host = noun("host", "Hosts: what they carry, and whether they take more.")


@Parameter(name="*", group="Hardware")
@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a host has."""

    memory_mib: int
    """Memory in MiB; 128 make a cloudlet."""
    cpu_mhz: int
    """Processor in MHz, all cores together; 400 make a cloudlet."""
    disk_gib: int
    """Disk in GiB."""
    overcommit: float = 1.0
    """Multiplies the processor."""
    label: Annotated[tuple[str, ...], Parameter(name=("--label", "-l"))] = ()
    """KEY=VALUE, as often as needed; `zone` is the one that spreading looks at."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return {
            "memory_mib": self.memory_mib,
            "cpu_mhz": self.cpu_mhz,
            "disk_gib": self.disk_gib,
            "overcommit": self.overcommit,
            "labels": pairs(self.label),
        }


def _load(item: Item) -> str:
    return f"{text(item.get('used'))}/{text(item.get('cloudlets'))}"


COLUMNS = (
    field("HOST", "id"),
    field("ZONE", "zone"),
    field("STATE", "state"),
    Column("CLOUDLETS", _load),
    field("FREE", "free"),
    field("CONTAINERS", "containers"),
    age("HEARD", "heard_at"),
    field("DISK-FREE", "free_disk", wide=True),
    field("LEAVING", "leaving", wide=True),
    field("ARRIVING", "arriving", wide=True),
    field("LOAD-MARK", "load_mark", wide=True),
    field("LABELS", "labels", wide=True),
    field("TERM", "term", wide=True),
    field("LIVE", "live", wide=True),
    field("NOTE", "note", wide=True),
)


@host.command(name="list", help_epilogue="For example: restow host list -o wide")
async def list_hosts(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List hosts with their load in cloudlets (used/capacity)."""
    await show_all("host.list", {}, COLUMNS, at=at, how=how)


@host.command(help_epilogue="For example: restow host show h03 -o json")
async def show(name: Host, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one host."""
    await show_one("host.show", {"host": name}, "id", at=at, how=how)


@host.command(help_epilogue="For example: restow host room h03 --cloudlets 8")
async def room(
    name: str,
    /,
    *,
    cloudlets: Annotated[int, Parameter(help="So many are to be free.")],
    disk_gib: Annotated[int, Parameter(help="And so much disk, in GiB.")] = 0,
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """Show the cheapest live moves that would make room on a host, or what is missing."""
    wanted: Body = {"host": name, "cloudlets": cloudlets, "disk_gib": disk_gib}
    await show_room(wanted, at=at, how=how)


@host.command(
    help_epilogue="For example: restow host register north1 --memory-mib 65536 --cpu-mhz 102400"
    " --disk-gib 1000 --label zone=north"
)
async def register(
    name: str, /, *, hardware: Hardware, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Make a host known, with what its hardware has; asked again, nothing changes."""
    await ask("host.register", {"host": name, **hardware.body}, at=at, how=how)


@host.command(help_epilogue="For example: restow host relabel h03 zone=south rack=r2")
async def relabel(name: Host, /, *labels: str, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Replace a host's labels by these KEY=VALUE; none takes all away."""
    await ask("host.relabel", {"host": name, "labels": pairs(labels)}, at=at, how=how)


@host.command(help_epilogue="For example: restow host rate h03 420")
async def rate(name: Host, mark: int, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Set a host's load mark (0 to 1000), for the policy virtuozzo-loadmark."""
    await ask("host.rate", {"host": name, "load_mark": mark}, at=at, how=how)


@host.command(help_epilogue='For example: restow host cordon h03 --reason "new memory on Friday"')
async def cordon(name: Host, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Take no new containers on a host; those it has keep running."""
    await ask("host.cordon", {"host": name}, at=at, how=how)


@host.command(help_epilogue="For example: restow host uncordon h03")
async def uncordon(name: Host, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Take new containers on a host again."""
    await ask("host.uncordon", {"host": name}, at=at, how=how)


@host.command(help_epilogue='For example: restow host lose h03 --reason "burnt, unplugged by Ada"')
async def lose(name: Host, /, *, yes: Yes = False, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Vouch that a host is dead; its containers are restarted elsewhere, storm or not.

    If the host lives after all, they run twice: switch it off first. Wants a reason.
    """
    question = ("host.show", {"host": name})
    await sure(f"take host {name} for dead", question, count_host, yes=yes, at=at, how=how)
    await ask("host.lose", {"host": name}, at=at, how=how)


@host.command(help_epilogue="For example: restow host recover h03")
async def recover(name: Host, /, *, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Try again to restart what a lost host carried and could not be restarted elsewhere."""
    await ask("host.recover", {"host": name}, at=at, how=how)


@host.command(help_epilogue="For example: restow host remove h03")
async def remove(name: Host, /, *, yes: Yes = False, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Forget a host that carries nothing."""
    question = ("host.show", {"host": name})
    await sure(f"forget host {name}", question, count_host, yes=yes, at=at, how=how)
    await ask("host.remove", {"host": name}, at=at, how=how)


@Parameter(name="*", group="Moves")
@dataclass(frozen=True, kw_only=True)
class Moves:
    """How containers move."""

    offline: Annotated[bool, Parameter(negative="--live")] = False
    """Stop each container and start it on its target, instead of moving it live."""
    at_once: int | None = None
    """Moves at the same time, at most [default: 2]."""

    @property
    def body(self) -> Body:
        """What goes into the body of the command."""
        return given(live=False if self.offline else None, at_once=self.at_once)


LIVE = Moves()
Targets = Annotated[
    str | None, Parameter(name="--to", help="Only to these hosts, comma-separated.")
]


def names(comma_separated: str | None) -> list[str] | None:
    """Return the names in a list as it is typed; None where none was."""
    if comma_separated is None:
        return None
    return [name.strip() for name in comma_separated.split(",") if name.strip()]


@host.command(
    help_epilogue="For example:\n\nrestow host evacuate h03 --dry-run\n\n"
    "restow host evacuate h03 --to h05,h06 --offline"
)
async def evacuate(
    name: Host,
    /,
    *,
    to: Targets = None,
    moves: Moves = LIVE,
    at: At = HERE,
    how: Asking = SIMPLY,
) -> None:
    """Move every container away from a host, which receives nothing from now on."""
    body = {"host": name, **moves.body, **given(targets=names(to))}
    await ask("host.evacuate", body, at=at, how=how)


@host.command(help_epilogue="For example: restow host restore h03 --dry-run")
async def restore(
    name: Host, /, *, moves: Moves = LIVE, at: At = HERE, how: Asking = SIMPLY
) -> None:
    """Move back what the last evacuation of a host moved away; uncordon it first."""
    await ask("host.restore", {"host": name, **moves.body}, at=at, how=how)


FEASIBILITY = (
    field("HOST", "id"),
    field("STATE", "state"),
    field("ANSWER", "answer"),
    field("CONTAINERS", "containers"),
    field("PLACED", "placed"),
    field("MISSING", "missing_cloudlets"),
    field("MISSING-GIB", "missing_disk_gib"),
    field("WHY", "why"),
    field("LEFT", "left", wide=True),
    field("PLACES", "places", wide=True),
)


@host.command(
    help_epilogue="For example:\n\nrestow host feasibility\n\n"
    "restow host feasibility h03 --to h05,h06 -o json"
)
async def feasibility(
    name: Host | None = None,
    /,
    *,
    to: Targets = None,
    at: At = HERE,
    how: Reading = PLAINLY,
) -> None:
    """Say whether a host's containers could go elsewhere; without a name of each host (N-1)."""
    body = given(host=name, targets=names(to))
    await show_all("host.feasibility", body, FEASIBILITY, at=at, how=how)
