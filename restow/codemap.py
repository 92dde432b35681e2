"""The map of the code: every module with the first sentence of what it says of itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("domain", "handlers", "projections", "restow")


def block(root: Path, room: str) -> str:
    """Return the map of one room as a table."""
    rows = (f"| `{name}` | {about} |\n" for name, about in modules(root, room))
    return "".join(["| module | what it is about |\n", "|---|---|\n", *rows])


def modules(root: Path, room: str) -> Iterator[tuple[str, str]]:
    """Give the path of each module of a room and the first sentence of its docstring."""
    for path in sorted((root / room).rglob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        yield str(path.relative_to(root)), first_sentence(said)


def first_sentence(said: str) -> str:
    paragraph = " ".join(said.partition("\n\n")[0].split())
    sentence = paragraph.partition(". ")[0].removesuffix(".")
    return sentence.replace("|", "\\|")
