"""The page on reliability has the table of faults that are struck at real containers, all of it."""

from itertools import groupby
from pathlib import Path

from tests.hosts.faults import CELLS

PAGE = Path(__file__).parents[2] / "docs/reliability.md"
BEGIN, END = "<!-- faults -->\n", "<!-- /faults -->"


def table() -> str:
    """Return the table as the page is to have it."""
    rows = [
        f"| {what} | {', '.join(step for _, step in cells)} |"
        for what, cells in groupby(CELLS, key=lambda cell: cell[0])
    ]
    count = f"{len(CELLS)} cells."
    return "\n".join((count, "", "| what is struck | at which step |", "|---|---|", *rows, ""))


def test_the_table_of_faults_is_the_tests_own():
    said = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]

    assert said == table()
    assert len(CELLS) >= 20
