"""Pages written by hand with parts made from the code.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`: the diagram of a story, the
deadlines, an example, or the map of a room.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from restow import codemap, example, stories

PART = re.compile(r"(<!-- generated: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages(root: Path) -> Mapping[str, str]:
    """Return the pages with parts, each part made anew, by their paths."""
    return {
        str(path.relative_to(root)): filled(root, text)
        for path in sorted((root / "docs").rglob("*.md"))
        if PART.search(text := path.read_text("utf-8"))
    }


def filled(root: Path, page: str) -> str:
    """Return a page with every part made anew."""
    return PART.sub(lambda found: f"{found[1]}\n{part(root, found[2])}\n{found[3]}", page)


def part(root: Path, name: str) -> str:
    """Return what stands in the part called `name`. Raises `LookupError` for a strange one."""
    if name in codemap.ROOMS:
        return codemap.block(root, name)
    return example.block(name) if name in example.EXAMPLES else stories.block(name)


def parts(page: str) -> Iterator[str]:
    """Give the names of the parts of a page."""
    return (found[2] for found in PART.finditer(page))
