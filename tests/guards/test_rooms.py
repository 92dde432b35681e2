"""What the rooms promise, and no tool on the shelf checks: purity, size, names, silence.

Every test lists the offences it found, so a failure names the places to mend.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
ROOMS = ("domain", "handlers", "projections", "restow")

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
README_LINES_MAX = 120

TOP_LEVEL = {
    *ROOMS,
    *("tests", "benchmarks", "docs", "web", "requirements"),
    *("README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml"),
    *("compose.yaml", "Containerfile", ".ci", ".gitignore"),
}
LEFT_BY_TOOLS = {
    *(".git", ".venv", ".coverage", ".hypothesis", "htmlcov", "node_modules", "__pycache__"),
    *(".restow", ".hosts"),
    *(".grimp_cache", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
}

SPOKEN_IN = {
    "nats": {
        "handlers.bus",
        "projections.process",
        "projections.queries",
        "projections.relay",
        "benchmarks.echo",
    },
    "apsw": {"projections.sqlite"},
    "asyncpg": {"projections.server", "projections.postgres", "projections.schemas"},
    "dns": {"handlers.traffic.authority"},
    "starlette": {"projections.web"},
    "uvicorn": {"projections.web.serving"},
    "eventsourcing": {"handlers.recorder", "projections.audit"},
}
"""Outside packages, and the only modules (or packages) that may import them."""

# The brackets keep these patterns from matching this file.
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E])\b")
REGISTRY = re.compile(
    r"""
    \bpypi[.][a-z] | pythonhosted[.]org | https?://\S+/simple\b
    | npmjs[.](org|com) | yarnpkg[.]com
    | (deb|ftp|security|snapshot)[.]debian[.]org | (archive|ports|security)[.]ubuntu[.]com
    | proxy[.]golang[.]org | crates[.]io
    """,
    re.VERBOSE,
)


def files(*folders: str, suffix: str = "") -> Iterator[Path]:
    """Walk these folders (or single files), except for what tools leave behind."""
    for folder in folders:
        path = ROOT / folder
        for found in sorted([path, *path.rglob("*")]):
            wanted = found.name.endswith(suffix) and not LEFT_BY_TOOLS & {*inside(found).split("/")}
            if wanted and found.is_file():
                yield found


def inside(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def walked(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


def nodes(*folders: str) -> Iterator[tuple[str, ast.AST]]:
    """Give every node of the Python files in these folders, and where it stands."""
    for path in files(*folders, suffix=".py"):
        name = inside(path)
        for node in walked(path):
            yield f"{name}:{getattr(node, 'lineno', 0)}", node


def lines_that_match(pattern: re.Pattern[str], paths: Iterator[Path]) -> list[str]:
    return [
        f"{inside(path)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def names_everything(exception: ast.expr | None) -> bool:
    """Tell whether `except` followed by this catches what nobody foresaw."""
    match exception:
        case None | ast.Name("Exception" | "BaseException"):
            return True
        case ast.Tuple(exceptions):
            return any(map(names_everything, exceptions))
        case _:
            return False


def imported_names(node: ast.AST) -> set[str]:
    match node:
        case ast.Import(names):
            return {alias.name for alias in names}
        case ast.ImportFrom(module, names):
            return {f"{module}.{alias.name}" for alias in names} | {f"{module}"}
        case _:
            return set()


@cache
def graph() -> grimp.ImportGraph:
    first, *others = ROOMS
    return grimp.build_graph(first, *others, include_external_packages=True, cache_dir=None)


def importers(package: str) -> set[str]:
    return (
        graph().find_modules_that_directly_import(package) if package in graph().modules else set()
    )


def test_the_domain_does_not_wait():
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)

    assert [place for place, node in nodes("domain") if isinstance(node, waiting)] == []


PLACING = (
    "domain.arranging",
    "domain.lacking",
    "domain.placement",
    "domain.occupancy",
    "domain.ground",
    "domain.room",
)
"""The modules that look at all hosts at once."""


def test_the_domain_leans_on_msgspec_alone_and_placement_on_numpy():
    leaning = {
        (module, outside)
        for module in graph().modules
        if module.partition(".")[0] == "domain"
        for outside in graph().find_modules_directly_imported_by(module)
        if outside.partition(".")[0] not in {"domain", "msgspec", *sys.stdlib_module_names}
    }

    allowed = {(module, "numpy") for module, _ in leaning if module in PLACING}
    assert leaning - allowed == set()


def test_outside_packages_are_spoken_only_in_the_files_that_exist_for_them():
    elsewhere = {
        (module, package)
        for package, allowed in SPOKEN_IN.items()
        for module in importers(package)
        if not any(f"{module}.".startswith(f"{place}.") for place in allowed)
    }

    assert elsewhere == set()


def test_every_module_says_what_it_is_about():
    python = files(*ROOMS, suffix=".py")

    assert [inside(path) for path in python if not ast.get_docstring(tree(path))] == []


def test_files_are_short():
    lengths = {inside(path): length(path) for path in files(*ROOMS, suffix=".py")}

    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_functions_fit_the_eye():
    long = [
        f"{place} {node.name}"
        for place, node in nodes(*ROOMS, "tests", "benchmarks")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]

    assert long == []


def test_nobody_catches_what_nobody_foresaw():
    catchalls = [
        place
        for place, node in nodes(*ROOMS)
        if isinstance(node, ast.ExceptHandler) and names_everything(node.type)
    ]

    assert catchalls == []


def test_nothing_is_mocked():
    mocks = {"mock", "unittest.mock", "pytest_mock"}

    assert [place for place, node in nodes("tests") if imported_names(node) & mocks] == []


def test_nothing_is_left_unfinished():
    assert lines_that_match(UNFINISHED, files(*ROOMS, "tests", "benchmarks", suffix=".py")) == []


def test_the_top_level_holds_what_the_map_shows():
    strangers = {path.name for path in ROOT.iterdir()} - TOP_LEVEL - LEFT_BY_TOOLS

    assert {name for name in strangers if not name.startswith(".coverage.")} == set()


def test_the_readme_is_a_page():
    assert [n for n in map(length, files("README.md")) if n > README_LINES_MAX] == []


def test_no_file_names_a_registry():
    assert lines_that_match(REGISTRY, files(*sorted(TOP_LEVEL))) == []
