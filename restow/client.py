"""Asking Restow over the bus: one command, one reply or one problem, as the typed door says it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.contracts import Reply
from domain.messages import Code, Refusal
from domain.problems import Problem, problem
from domain.subjects import Subjects
from handlers.bus import Bus, BusUnavailableError, fits, request
from handlers.traces import headers_of

PATIENCE_S = 10.0
"""How long an answer is waited for."""

_answers = msgspec.json.Decoder(dict[str, Any])


class Client:
    """Asks the commands of one region. `actor` is written down with what is done."""

    def __init__(self, bus: Bus, subjects: Subjects, *, actor: str = "", tenant: str = "") -> None:
        self._bus = bus
        self._subjects = subjects
        given = {"Restow-Actor": actor, "Restow-Tenant": tenant}
        self._headers = {name: value for name, value in given.items() if value}

    async def ask(
        self, name: str, body: Mapping[str, Any] | bytes, *, within_s: float = PATIENCE_S
    ) -> Reply | Problem:
        """Ask the command `name` and return what the engine said.

        Nobody there is the problem `bus.unavailable`, no answer in time `wait.timeout`; after the
        latter it may have happened, so ask again with the same id.
        """
        said = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {**self._headers, **headers_of()}
        if not fits(self._bus, said, headers):
            detail = f"the command has {len(said):,} bytes, the bus takes {self._bus.max_payload:,}"
            return problem(Refusal(Code.REQUEST_TOO_LARGE, detail, "$"))
        subject = self._subjects.service(name)
        sent = headers or None
        try:
            answer = await request(self._bus, subject, said, within_s=within_s, headers=sent)
        except BusUnavailableError as error:
            return problem(_unheard(error, within_s))
        return understood(answer)


def understood(answer: bytes) -> Reply | Problem:
    """Return what an answer's bytes say."""
    said = _answers.decode(answer)
    return msgspec.convert(said, Problem) if "code" in said else msgspec.convert(said, Reply)


def _unheard(error: BusUnavailableError, within_s: float) -> Refusal:
    if isinstance(error.__cause__, TimeoutError):
        detail = (
            f"no answer within {within_s:g} s; it may be done all the same, ask with the same id"
        )
        return Refusal(Code.WAIT_TIMEOUT, detail)
    hint = "no engine is running; start `restow up`"
    return Refusal(Code.BUS_UNAVAILABLE, hint, facts={"said": str(error)})
