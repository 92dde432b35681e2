"""The dashboard that is shipped is the build of what is in `web/`, also where there is no Node."""

import json
import re
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
STATIC = ROOT / "projections" / "web" / "static"
LEFT_OUT = {"node_modules", ".svelte-kit"}
BUNDLE_BYTES_MAX = 250_000
LINES_MAX = 400


def sources() -> list[Path]:
    """Return what the bundle is made of, as `web/vite.config.ts` finds it."""
    return [
        path
        for path in WEB.rglob("*")
        if path.is_file()
        and not LEFT_OUT & {*path.relative_to(WEB).parts}
        and not path.name.endswith(".test.ts")
    ]


def sum_of_sources() -> str:
    whole = sha256()
    named = {path.relative_to(WEB).as_posix(): path for path in sources()}
    for name in sorted(named):
        digest = sha256(named[name].read_bytes()).hexdigest()
        whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


def test_the_bundle_is_the_build_of_the_sources():
    built_from = (STATIC / "sources.txt").read_text("utf-8").strip()

    assert built_from == sum_of_sources(), "make web, and commit projections/web/static"


def test_the_page_loads_what_is_there_and_nothing_else():
    page = (STATIC / "index.html").read_text("utf-8")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert loaded
    assert [name for name in loaded if not (STATIC / name.removeprefix("/")).is_file()] == []
    assert re.findall(r"<script(?![^>]* src=)|<style|\bstyle=|\bon[a-z]+=", page) == []


def test_the_bundle_is_small():
    bundle = sum(path.stat().st_size for path in (STATIC / "assets").iterdir())

    assert bundle <= BUNDLE_BYTES_MAX


def test_what_the_page_is_built_with_is_pinned_and_names_no_address():
    package = json.loads((WEB / "package.json").read_text("utf-8"))
    lock = json.loads((WEB / "package-lock.json").read_text("utf-8"))["packages"]
    loose = {
        name
        for name, version in package["devDependencies"].items()
        if not version[0].isdigit() or lock[f"node_modules/{name}"]["version"] != version
    }

    assert loose == set()
    assert "dependencies" not in package
    assert [name for name, entry in lock.items() if "resolved" in entry] == []
    assert [name for name, entry in lock.items() if name and "integrity" not in entry] == []
    assert "ignore-scripts=true" in (WEB / ".npmrc").read_text("utf-8")


def test_sources_of_the_page_are_short():
    lengths = {
        path.relative_to(WEB).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in sources()
        if path.suffix in {".ts", ".svelte", ".css"}
    }

    assert {name for name, lines in lengths.items() if lines > LINES_MAX} == set()
