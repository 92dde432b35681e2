"""A region that answers as it is told, on a real bus; and the command line, run to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import pytest

from domain.messages import Code, Refusal
from domain.problems import problem
from domain.subjects import Subjects
from handlers.bus import Bus, Message, flush, listen, silence
from restow.cli import main

Json = Mapping[str, Any]


class Ended(msgspec.Struct):
    """What a command line left: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


class Booth:
    """Answers commands and questions with what it was told to say, and remembers them.

    Several answers to one name are given in turn, the last one for ever.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self._answers: dict[str, list[Json]] = {}

    def says(self, name: str, *answers: Json) -> None:
        self._answers[name] = list(answers)

    def refuses(self, name: str, code: Code, detail: str, **facts: Any) -> None:
        told = problem(Refusal(code, detail, "$.field", facts), "cmd-1", 42)
        self.says(name, msgspec.to_builtins(told))

    def body(self, name: str) -> dict[str, Any]:
        """Return the body of the only time that `name` was asked, without its id."""
        bodies = [body for heard, body in self.heard if heard == name]
        assert len(bodies) == 1, self.heard
        return {key: value for key, value in bodies[0].items() if key != "id"}

    def answer(self, name: str, body: bytes) -> bytes:
        self.heard.append((name, msgspec.json.decode(body or b"{}")))
        answers = self._answers[name]
        return msgspec.json.encode(answers.pop(0) if len(answers) > 1 else answers[0])


@pytest.fixture
async def booth(bus: Bus, subjects: Subjects) -> AsyncIterator[Booth]:
    booth = Booth()
    ears = [
        await listen(bus, subject(">"), _answering(bus, booth, len(subject(""))))
        for subject in (subjects.service, subjects.query)
    ]
    await flush(bus)
    yield booth
    for ear in ears:
        await silence(bus, ear)


def _answering(bus: Bus, booth: Booth, start: int) -> Callable[[Message], Any]:
    async def answer(message: Message) -> None:
        await bus.publish(message.reply, booth.answer(message.subject[start:], message.data))

    return answer


@pytest.fixture
def restow(nats_url, prefix, monkeypatch, capsys, tmp_path):
    """Return what runs a command line on the test's region, in a directory of its own."""
    monkeypatch.setenv("RESTOW_URL", nats_url)
    monkeypatch.setenv("RESTOW_PREFIX", prefix)
    monkeypatch.delenv("RESTOW_OUTPUT", raising=False)
    monkeypatch.chdir(tmp_path)

    async def run(*words: str) -> Ended:
        code = await asyncio.to_thread(main, words)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run
