"""The one list of nouns: it is whole, and names are told apart by it."""

import pytest

from domain.fleet import Fleet
from domain.nouns import KINDS, PREFIXES, STORIES, TABLES, noun_by, story_by
from domain.streams import NOUNS


def test_every_stream_has_a_kind_and_every_kind_a_table():
    assert set(NOUNS) == TABLES.keys() - {"layer"}
    assert all(isinstance(getattr(Fleet(), table), dict) for table in TABLES.values())
    assert len(PREFIXES) == sum(bool(kind.prefix) for kind in KINDS)


@pytest.mark.parametrize(
    ("name", "noun", "story"),
    [
        ("node17", "container", ""),
        ("op3", "operation", "operation"),
        ("rb1", "rebalance", "rebalance"),
        ("tr2", "trigger", ""),
        ("dl1", "dead", ""),
        ("op", "", ""),
        ("h03", "", ""),
        ("open3x", "", ""),
        ("", "", ""),
    ],
)
def test_names_tell_what_they_name(name, noun, story):
    assert (noun_by(name), story_by(name)) == (noun, story)
    assert story in {"", *STORIES}
