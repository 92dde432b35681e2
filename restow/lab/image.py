"""The image of the lab's service, made of what is on this machine: its own Python, and no more.

What is packed is what that Python has loaded once it could serve. Nothing is downloaded.
"""

import asyncio
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from handlers.agent.runc.adding import add_archive
from handlers.agent.runc.images import Config, Images
from handlers.agent.runc.tools import program

NAME = "restow/counter:1"
"""The image of a layer that names none."""
PORT = 8_080
PROGRAM = Path(__file__).with_name("counter.py")
INSIDE = "/srv/counter.py"
LOADED = """
import codecs, importlib, json, os, runpy, selectors, socket, sys, sysconfig, zipfile
import encodings.idna, encodings.latin_1, encodings.utf_8
from importlib.machinery import EXTENSION_SUFFIXES
for name in sys.argv[1:]:
    importlib.import_module(name)
files = [getattr(module, "__file__", None) for module in tuple(sys.modules.values())]
files += [os.path.join(os.path.dirname(os.__file__), "encodings", "aliases.py")]
print(json.dumps([os.path.realpath(sys.executable), *(one for one in files if one)]))
"""
"""Asked of a Python that looks at nobody's settings."""


async def add_counter(images: Images) -> str:
    """Have the image of the counter, and return its digest. Raises `RuntimeFailedError`."""
    with tempfile.TemporaryDirectory(prefix="restow-image-") as folder:
        archive = Path(folder, "root.tar")
        python, libraries = await asyncio.to_thread(pack, archive)
        config = Config(
            command=(python, "-I", "-S", "-B", INSIDE, str(PORT)),
            variables={"LD_LIBRARY_PATH": ":".join(libraries)},
            labels={"restow.health": f"http:{PORT}/healthz"},
        )
        return await add_archive(images, NAME, archive, config)


def pack(
    archive: Path, served: Path = PROGRAM, needed: tuple[str, ...] = ()
) -> tuple[str, list[str]]:
    """Write the archive of a program that needs these modules beside the counter's.

    Return where Python is in it, and where its libraries are; the program is at `INSIDE`.
    """
    python, *modules = loaded(needed)
    shared = [one for one in modules if one.endswith(".so")]
    libraries = libraries_of(python, *shared)
    with tarfile.open(archive, "w") as tar:
        for path in sorted({python, *modules, *libraries}):
            _add(tar, path, Path(path).read_bytes())
        _add(tar, INSIDE, served.read_bytes())
    return python, sorted({str(Path(path).parent) for path in libraries})


def loaded(needed: tuple[str, ...] = ()) -> list[str]:
    """Return this Python, and the files of the modules that a service needs."""
    base = str(getattr(sys, "_base_executable", "") or sys.executable)
    words = (base, "-I", "-S", "-B", "-c", LOADED, *needed)
    said = subprocess.run(words, check=True, capture_output=True)  # noqa: S603 - ourselves
    files: list[str] = json.loads(said.stdout)
    return list(dict.fromkeys(files))


def libraries_of(*programs: str) -> list[str]:
    """Return the shared libraries that programs are loaded with, by the names they go by."""
    words = (program("ldd"), *programs)
    said = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return sorted(set(_paths(said.stdout.splitlines())))


def _paths(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        for word in line.split():
            if line[:1].isspace() and word.startswith("/"):
                yield word


def _add(tar: tarfile.TarFile, path: str, data: bytes) -> None:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.mode, entry.size = 0o755, len(data)
    tar.addfile(entry, io.BytesIO(data))
