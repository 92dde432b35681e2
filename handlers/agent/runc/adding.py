"""How an image comes to a host: out of an archive of a root folder, or out of an OCI layout.

Whatever is unpacked has the digest that it was named by. Nothing of an image is run or followed
while it is unpacked; what a layer hides of those below is told to the overlay in its own words.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from handlers.agent.runc.images import SHA256, Bundle, Config, Images, digest_of
from handlers.agent.runc.tools import run
from handlers.agent.runtime import RuntimeFailedError

_T = TypeVar("_T")

INDEX = "index.json"
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
MANIFESTS_OF_INDEX = "application/vnd.oci.image.index.v1+json"


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    media_type: str = ""
    annotations: Mapping[str, str] = {}


class Index(msgspec.Struct, frozen=True):
    manifests: tuple[Descriptor, ...]


class Manifest(msgspec.Struct, frozen=True):
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Settings(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of an OCI configuration that says how it is started."""

    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    working_dir: str = ""
    user: str = ""
    labels: Mapping[str, str] | None = None
    volumes: Mapping[str, Mapping[str, str]] | None = None


class Configuration(msgspec.Struct, frozen=True):
    config: Settings = Settings()


async def add_archive(images: Images, name: str, archive: Path, config: Config) -> str:
    """Have the image that an archive of its root folder is, and return its digest.

    Raises `RuntimeFailedError`.
    """
    layer = await _layer(images, archive, digest_of(archive))
    digest = _named(config, layer)
    images.put(name, Bundle(digest, (layer,), config))
    return digest


def _named(config: Config, layer: str) -> str:
    """Return what an image is called that is one layer: another start is another image."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config"
        path.write_bytes(msgspec.json.encode((config, layer), order="deterministic"))
        return digest_of(path)


async def add_layout(images: Images, name: str, layout: Path, ref: str = "") -> str:
    """Have an image out of an OCI layout (a folder, or an archive of one); return its digest.

    `ref` chooses among several. Raises `RuntimeFailedError`, also where a blob is not what it is
    named by.
    """
    if layout.is_file():  # noqa: ASYNC240 - a look at one file
        with tempfile.TemporaryDirectory(prefix="restow-image-") as folder:
            await run("tar", "-x", "-C", folder, "-f", str(layout), "--no-same-owner")
            return await add_layout(images, name, Path(folder), ref)
    top = _chosen(_decoded(layout / INDEX, Index), ref)
    if top.media_type == MANIFESTS_OF_INDEX:
        top = _chosen(_decoded(_blob(layout, top), Index), "")
    manifest = _decoded(_blob(layout, top), Manifest)
    settings = _decoded(_blob(layout, manifest.config), Configuration).config
    layers = [
        await _layer(images, _blob(layout, one), one.digest.removeprefix(SHA256))
        for one in manifest.layers
    ]
    digest = top.digest.removeprefix(SHA256)
    images.put(name, Bundle(digest, tuple(layers), config_of(settings)))
    return digest


def config_of(said: Settings) -> Config:
    """Return how an OCI image is started."""
    pairs = (variable.partition("=") for variable in said.env or ())
    return Config(
        entrypoint=said.entrypoint or (),
        command=said.cmd or (),
        variables={key: value for key, _, value in pairs},
        folder=said.working_dir or "/",
        user=said.user or "0",
        labels=said.labels or {},
        volumes=tuple(said.volumes or ()),
    )


def _chosen(index: Index, ref: str) -> Descriptor:
    named = [
        one
        for one in index.manifests
        if not ref or one.annotations.get("org.opencontainers.image.ref.name") == ref
    ]
    if not named or (ref and len(named) > 1):
        message = f"the layout has {len(named)} images named {ref!r} of {len(index.manifests)}"
        raise RuntimeFailedError(message)
    return named[0]


def _blob(layout: Path, one: Descriptor) -> Path:
    """Return the file of a blob, which is what its digest says."""
    digest = one.digest.removeprefix(SHA256)
    path = layout / "blobs" / "sha256" / digest
    if not digest.isalnum() or not path.is_file() or digest_of(path) != digest:
        message = f"the layout lacks blob {one.digest}, or it is damaged"
        raise RuntimeFailedError(message)
    return path


def _decoded(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        message = f"{path.name} of the layout cannot be read: {error}"
        raise RuntimeFailedError(message) from error


async def _layer(images: Images, archive: Path, digest: str) -> str:
    """Unpack a layer, unless it is here: whole or not at all."""
    place = images.layer(digest)
    if place.is_dir():
        return digest
    fresh = place.with_name(f".{digest}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o755)
    await run("tar", "-x", "-p", "--numeric-owner", "-C", str(fresh), "-f", str(archive))
    fresh.chmod(0o755)
    _hide(fresh)
    fresh.replace(place)
    return digest


def _hide(layer: Path) -> None:
    """Turn what OCI calls whiteouts into those of overlays."""
    for folder, _, files in os.walk(layer):
        for name in files:
            if not name.startswith(WHITEOUT):
                continue
            (Path(folder) / name).unlink()
            if name == OPAQUE:
                os.setxattr(folder, "trusted.overlay.opaque", b"y")
            else:
                gone = Path(folder) / name.removeprefix(WHITEOUT)
                os.mknod(gone, stat.S_IFCHR, os.makedev(0, 0))
