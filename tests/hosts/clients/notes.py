"""Writes notes in one transaction that is open all the time, while others read."""

import json
import sys
from http.client import HTTPConnection
from typing import Any

from tests.hosts.clients import GOOD, WITHIN_S, say, steps


class Session:
    """One connection that is never opened anew."""

    def __init__(self, address: str) -> None:
        self._talk = HTTPConnection(address, 8080, timeout=WITHIN_S)
        self._talk.auto_open = False
        self._talk.connect()
        self.process = ""

    def ask(self, method: str, path: str) -> Any:
        self._talk.request(method, path)
        response = self._talk.getresponse()
        assert response.status == 200, response.status
        said = json.loads(response.read())
        assert self.process in ("", said["process"]), "another process answers"
        self.process = said["process"]
        return said["value"]


def main(address: str) -> None:
    writer, reader = Session(address), Session(address)
    writer.ask("POST", "/begin")
    written = 0
    for written in steps():
        assert writer.ask("POST", "/note") == written
        assert reader.ask("GET", "/notes") == 0, "seen before it was committed"
    writer.ask("POST", "/commit")
    for session in (reader, Session(address)):
        assert session.ask("GET", "/notes") == written
        assert session.ask("GET", "/healthy") == "ok"
    writer.ask("POST", "/begin")
    writer.ask("POST", "/note")
    writer.ask("POST", "/commit")
    assert reader.ask("GET", "/notes") == written + 1
    say(GOOD)


main(sys.argv[1])
