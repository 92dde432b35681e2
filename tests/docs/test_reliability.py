"""What the page on reliability says is tested is tested: its table names what there is."""

import re
from pathlib import Path

import pytest

from tests.simulation import planted  # noqa: F401  # fills the list of what is planted
from tests.simulation.planting import PLANTED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text()
ROW = re.compile(
    r"^\| (Q?\d+) \| .*? \| `(tests/[\w/]+\.py)::(\w+)` \| (?:`(\w+)`|none) \|$", re.MULTILINE
)
ROWS = ROW.findall(PAGE)


@pytest.mark.parametrize(("row", "path", "test", "bug"), ROWS, ids=[row[2] for row in ROWS])
def test_a_row_names_a_test_that_is_there_and_a_bug_that_is_planted(row, path, test, bug):
    assert f"def {test}(" in (ROOT / path).read_text(), row
    assert not bug or bug in PLANTED


def test_every_row_of_sequential_operations_is_there():
    assert {row[0] for row in ROWS} == {"Q7", "Q8", "Q9", "Q10", "Q11", "Q12", "Q13", "9"}
    assert len(ROWS) == len(re.findall(r"`tests/[\w/]+\.py::", PAGE))
