"""Images on a host: by name and by digest, made of layers that are folders below one another.

A layer is unpacked into a folder of its own, so that no symbolic link of one layer can lead the
files of the next one astray; an overlay puts them together. What is there under a digest is whole.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from handlers.agent.runtime import RuntimeFailedError

SHA256 = "sha256:"
BLOCK_BYTES = 1 << 20


class Config(msgspec.Struct, frozen=True):
    """How the software of an image is started. `user` is `uid` or `uid:gid`, as numbers."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}
    folder: str = "/"
    user: str = "0"
    labels: Mapping[str, str] = {}
    volumes: tuple[str, ...] = ()


class Bundle(msgspec.Struct, frozen=True):
    """An image that is here: its digest, its layers (the lowest first), how it is started."""

    digest: str
    layers: tuple[str, ...]
    config: Config = Config()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Bundle)


class Images:
    """The images under one folder: `names/`, `bundles/` and `layers/`."""

    def __init__(self, folder: Path) -> None:
        self._names = folder / "names"
        self._bundles = folder / "bundles"
        self._layers = folder / "layers"
        for place in (self._names, self._bundles, self._layers):
            place.mkdir(parents=True, exist_ok=True, mode=0o711)

    def find(self, image: str) -> Bundle:
        """Return the image of this name, or of the digest behind an @. Raises `RuntimeFailedError`.

        `shop/web:3@sha256:…` is that very image, whatever the name means by now.
        """
        name, _, digest = image.partition("@")
        named = self._names / quote(name, safe="")
        if not digest:
            digest = named.read_text().strip() if named.is_file() else ""
        path = self._bundles / digest.removeprefix(SHA256)
        if not digest or not path.is_file():
            message = f"image {image} is not on this host: `restow image add {name} FILE` adds it"
            raise RuntimeFailedError(message)
        return _decoder.decode(path.read_bytes())

    def names(self) -> Mapping[str, str]:
        """Return every name, and the digest that it means."""
        return {unquote(path.name): path.read_text().strip() for path in self._names.iterdir()}

    def layer(self, name: str) -> Path:
        """Return the folder of a layer."""
        return self._layers / name

    def put(self, name: str, bundle: Bundle) -> None:
        """Have an image whose layers are here, under a name."""
        _replace(self._bundles / bundle.digest, _encoder.encode(bundle))
        _replace(self._names / quote(name, safe=""), f"{SHA256}{bundle.digest}\n".encode())

    def remove(self, name: str, used: frozenset[str] = frozenset()) -> bool:
        """Forget a name, and what no other name means; digests that are `used` are kept."""
        named = self._names / quote(name, safe="")
        if not named.is_file():
            return False
        named.unlink()
        meant = used | {digest.removeprefix(SHA256) for digest in self.names().values()}
        for path in self._bundles.iterdir():
            if path.name not in meant:
                path.unlink()
        bundles = (_decoder.decode(path.read_bytes()) for path in self._bundles.iterdir())
        kept = {layer for bundle in bundles for layer in bundle.layers}
        for folder in self._layers.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder)
        return True


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            seen.update(block)
    return seen.hexdigest()


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole, or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
