"""`restow image`, `restow sweep`: what real hosts have on this machine, and taking it away."""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from domain.messages import HostId
from domain.problems import Exit
from handlers.agent.runc.adding import add_archive, add_layout
from handlers.agent.runc.images import Bundle, Config, Images
from handlers.agent.runc.lives import Lives
from handlers.agent.runc.places import Places
from handlers.agent.runc.sweeping import sweep as sweep_all
from handlers.agent.runtime import RuntimeFailedError
from restow.cli.exits import EndedError, UsageError
from restow.cli.flags import SHOWN, Showing, noun
from restow.cli.output import Item, Page, field, say, show_list, tell
from restow.cli.spelling import pairs
from restow.cli.sure import Yes, meant, somebody
from restow.settings import AGENTS_FOLDER, IMAGES_FOLDER, data_directory

image = noun("image", "Images on this machine, which its real hosts start containers from.")
LAYOUT = "oci-layout"
COLUMNS = (
    field("IMAGE", "name"),
    field("DIGEST", "short"),
    field("LAYERS", "layers"),
    field("RUNS", "runs"),
    field("USER", "user", wide=True),
    field("VOLUMES", "volumes", wide=True),
    field("WHOLE-DIGEST", "digest", wide=True),
)
SHORT = 12
Data = Annotated[
    Path | None, Parameter(help="Data directory of its agents; else RESTOW_DATA, ./.restow.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Starts:
    """How the software in an archive is started; an OCI layout says it itself."""

    command: Annotated[tuple[str, ...], Parameter(name="--command", allow_leading_hyphen=True)] = ()
    """A word of the command line; as often as needed."""
    env: tuple[str, ...] = ()
    """A variable, as NAME=VALUE; as often as needed."""
    volume: tuple[str, ...] = ()
    """Where it writes; as often as needed."""
    user: str = "0"
    """The user it runs as, as uid or uid:gid."""
    health: str = ""
    """How it is checked: tcp:8080, http:8080/healthz, command:/bin/check."""


USUAL = Starts()


@image.command(
    help_epilogue="For example: restow image add web:1 root.tgz --command /bin/web --volume /data"
)
async def add(
    name: str, file: Path, /, *, ref: str = "", starts: Starts = USUAL, data: Data = None
) -> None:
    """Add an image: an archive of a root folder, or an OCI layout (a folder, or an archive of one).

    --ref chooses an image of a layout that has several.
    """
    images = images_of(data)
    try:
        if is_layout(file):
            digest = await add_layout(images, name, file, ref)
        else:
            digest = await add_archive(images, name, file, _config(starts))
    except RuntimeFailedError as error:
        say(f"error: {error}")
        raise EndedError(Exit.FAILED) from error
    tell(f"added {name}, sha256:{digest}")


@image.command(name="list", help_epilogue="For example: restow image list -o wide")
def list_images(*, data: Data = None, how: Showing = SHOWN) -> None:
    """List images, by name."""
    images = images_of(data)
    lines = [_line(name, images.find(name)) for name in sorted(images.names())]
    show_list(Page(lines), COLUMNS, how.look, lambda line: str(line["name"]))


@image.command(help_epilogue="For example: restow image remove web:1")
def remove(name: str, /, *, data: Data = None) -> None:
    """Remove an image; one that containers of this machine run from stays under its digest."""
    if not images_of(data).remove(name, _used(data or data_directory())):
        say(f"error: there is no image {name}; `restow image list` shows those that are here")
        raise EndedError(Exit.NOT_FOUND)
    tell(f"removed {name}")


def sweep(host: str, /, *, data: Data = None, yes: Yes = False) -> None:
    """Remove what a real host left on this machine: containers, mounts, cgroups, disks.

    For a host that was removed, or whose agent will not run again; its agent must not be running.
    For example: restow sweep h01
    """
    folder = (data or data_directory()) / AGENTS_FOLDER / host
    if not (folder / "runc").is_dir():
        say(f"error: host {host} left nothing in {folder}")
        raise EndedError(Exit.NOT_FOUND)
    if not yes:
        act = f"remove every container of {host} on this machine, with its disk"
        somebody(act)
        meant(act)
    gone = sweep_all(Places.of(folder, HostId(host)))
    tell(f"removed {len(gone)} containers of {host}")


def images_of(data: Path | None) -> Images:
    return Images((data or data_directory()) / IMAGES_FOLDER)


def is_layout(file: Path) -> bool:
    """Tell an OCI layout from the archive of a root folder. Raises `UsageError`."""
    if file.is_dir():
        return (file / LAYOUT).is_file()
    try:
        with tarfile.open(file) as archive:
            return any(Path(entry.name).as_posix() == LAYOUT for entry in archive)
    except (OSError, tarfile.TarError) as error:
        message = f"{file} is neither an archive nor an OCI layout: {error}"
        raise UsageError(message) from error


def _config(starts: Starts) -> Config:
    labels = {"restow.health": starts.health} if starts.health else {}
    return Config(
        command=starts.command,
        variables=pairs(starts.env, "variable"),
        user=starts.user,
        labels=labels,
        volumes=starts.volume,
    )


def _line(name: str, bundle: Bundle) -> Item:
    config = bundle.config
    return {
        "name": name,
        "short": bundle.digest[:SHORT],
        "digest": f"sha256:{bundle.digest}",
        "layers": len(bundle.layers),
        "runs": " ".join((*config.entrypoint, *config.command)),
        "user": config.user,
        "volumes": list(config.volumes),
    }


def _used(data: Path) -> frozenset[str]:
    """Return the digests that containers of this machine run from."""
    agents = data / AGENTS_FOLDER
    hosts = (
        [path for path in agents.iterdir() if (path / "runc").is_dir()] if agents.is_dir() else []
    )
    lives = (Lives(Places.of(path, HostId(path.name))) for path in hosts)
    return frozenset(life.digest for one in lives for life in one.all())
