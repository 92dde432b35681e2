"""`restow host`: hosts, what they carry, and whether they take more."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from restow.cli.flags import HERE, PLAINLY, SIMPLY, Asking, At, Reading, noun
from restow.cli.naming import Host
from restow.cli.output import Column, Item, field, text
from restow.cli.spelling import Body, pairs
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
    field("DISK-FREE", "free_disk", wide=True),
    field("LEAVING", "leaving", wide=True),
    field("ARRIVING", "arriving", wide=True),
    field("LOAD-MARK", "load_mark", wide=True),
    field("LABELS", "labels", wide=True),
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


@host.command(help_epilogue="For example: restow host remove h03")
async def remove(name: Host, /, *, yes: Yes = False, at: At = HERE, how: Asking = SIMPLY) -> None:
    """Forget a host that carries nothing."""
    question = ("host.show", {"host": name})
    await sure(f"forget host {name}", question, count_host, yes=yes, at=at, how=how)
    await ask("host.remove", {"host": name}, at=at, how=how)
