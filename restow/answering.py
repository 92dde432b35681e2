"""Questions answered from reads at hand, as the read side answers them over the bus."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.messages import Refusal
from domain.problems import Problem, problem
from projections import pages
from projections import questions as q
from projections.pages import Query
from projections.reads import Reads

ANSWER_BYTES_MAX = 1024 * 1024
"""An answer is as large as one from the bus, so that lists come in the same pages."""


class Asked(msgspec.Struct, frozen=True):
    """A question that was understood."""

    query: Query
    question: q.Question


def understood(query: str, body: Mapping[str, Any]) -> Asked | Problem:
    """Return what is asked, or why nobody can answer it."""
    found = pages.find(query)
    if isinstance(found, Refusal):
        return problem(found)
    question = pages.decode(found, msgspec.json.encode(body))
    return problem(question) if isinstance(question, Refusal) else Asked(found, question)


def answered(reads: Reads, asked: Asked) -> dict[str, Any] | Problem:
    """Return what the read side would say whose reads are these."""
    if isinstance(asked.question, q.Status):
        return msgspec.json.decode(pages.status(reads, ()), type=dict[str, Any])
    said = pages.answer(asked.query, reads, asked.question, ANSWER_BYTES_MAX)
    if isinstance(said, Refusal):
        return problem(said)
    return msgspec.json.decode(said, type=dict[str, Any])
