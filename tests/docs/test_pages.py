"""What the hand-written pages name is there: files, words, commands, bodies."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from cyclopts import CycloptsError, MissingArgumentError

from domain.contracts import decode_command
from domain.messages import PublicCommand
from domain.problems import EXIT_MEANINGS
from domain.subjects import Subjects
from handlers.journal.checkpoints import bucket
from handlers.journal.stream import journal, others
from restow.cli.app import app
from restow.codemap import ROOMS, first_sentence

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
GENERATED = {"commands.md", "errors.md", "events.md"}
"""Pages that are generated as a whole; those who make them test them."""

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
WORD = re.compile(r"`([^`\n]+)`")
NAMED = re.compile(r"`((?:domain|handlers|projections|restow|tests|docs|benchmarks)/[\w./-]*)`")
TYPED = re.compile(r"\s*(?:\.venv/bin/)?restow ([a-z].*?)(?: > \S+)?(?:\s\s+#.*)?")
BODY = re.compile(r"restow\.(?:svc\.v1|cmd\.v1\.acme)\.([a-z]+\.[a-z]+)\"?,? b?'(\{.*?\})'")


def inside(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def code() -> str:
    """Return all product code and the simulation, for words to be looked up in."""
    folders = [*ROOMS, "tests/simulation"]
    return "\n".join(p.read_text() for folder in folders for p in (ROOT / folder).rglob("*.py"))


def typed() -> Iterator[tuple[str, str]]:
    """Give every command line of Restow that a page shows, and the page."""
    for page in PAGES:
        if page.name in GENERATED:
            continue
        text = page.read_text()
        spans = [*WORD.findall(text), *text.splitlines()]
        for said in spans:
            found = TYPED.fullmatch(said)
            if found and not re.search(r"[A-Z<…]{3}|[<…]", found[1]):
                yield inside(page), found[1]


@pytest.mark.parametrize("page", PAGES, ids=inside)
def test_every_link_leads_somewhere(page):
    links = LINK.findall(page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=inside)
def test_every_file_that_is_named_is_there(page):
    named = NAMED.findall(page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_word_of_the_glossary_is_used_in_the_code():
    rows = [line.split("|") for line in (ROOT / "docs/glossary.md").read_text().splitlines()]
    words = [word for row in rows if len(row) == 6 for word in WORD.findall(row[3])]

    assert len(words) > 50
    assert [word for word in words if not re.search(rf"\b{re.escape(word)}\b", code())] == []


def objection(line: str) -> str:
    """Say what is wrong with a command line; prose may name a command without its arguments."""
    try:
        app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)
    except MissingArgumentError:
        return "" if re.fullmatch(r"(?:[a-z]+(?:-[a-z]+)* ?)+", line) else "it lacks an argument"
    except CycloptsError as error:
        return str(error)
    return ""


def test_every_command_line_that_is_shown_can_be_typed():
    assert {(page, line): objection(line) for page, line in typed() if objection(line)} == {}


def test_the_pages_show_command_lines():
    assert len(set(typed())) > 10


def test_every_body_that_is_shown_is_a_command():
    bodies = [found for page in PAGES for found in BODY.findall(page.read_text())]

    decoded = {name: decode_command(name, body.encode()) for name, body in bodies}

    assert len(bodies) > 3
    assert [one for one in decoded.values() if not isinstance(one, PublicCommand)] == []


def test_the_exit_codes_are_those_of_the_command_line():
    page = (ROOT / "docs/operating.md").read_text()

    told = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert [(int(code), meaning) for code, meaning in told] == [
        (code.value, meaning) for code, meaning in EXIT_MEANINGS.items()
    ]


def test_the_streams_are_those_that_an_engine_makes():
    page = (ROOT / "docs/operating.md").read_text()
    made = [journal(Subjects()), *others(Subjects()), bucket(Subjects())]

    told = set(re.findall(r"^\| `(\S*<PREFIX>-\w+)`", page, re.MULTILINE))
    assert {name.replace("<PREFIX>", "RESTOW") for name in told} == {one.name for one in made}


def test_every_decision_says_what_it_costs_and_what_would_change_it():
    decisions = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    parts = ["## Context", "## Decision", "## Price", "## What would change our mind"]

    assert len(decisions) > 8
    assert [
        inside(page)
        for page in decisions
        if re.findall(r"^## .*$", page.read_text(), re.MULTILINE) != parts
    ] == []


def test_every_decision_is_in_the_list():
    listed = LINK.findall((ROOT / "docs/decisions/README.md").read_text())

    there = {page.name for page in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert {link for link in listed if link[0].isdigit()} == there


def test_the_map_says_one_sentence_a_module():
    assert first_sentence("One thing. Another thing.\n\nMore.") == "One thing"
    assert first_sentence("One thing | in\ntwo lines.") == "One thing \\| in two lines"
