"""Counts, listens to what it publishes itself, and has a MULTI open all the time."""

import socket
import sys

from tests.hosts.clients import GOOD, WITHIN_S, say, steps

Value = bytes | int | list["Value"] | None


class Session:
    """One connection, in Redis's own words."""

    def __init__(self, address: str) -> None:
        self._socket = socket.create_connection((address, 6379), WITHIN_S)
        self._lines = self._socket.makefile("rb")

    def ask(self, *words: str) -> Value:
        sent = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
        self._socket.sendall("".join(sent).encode())
        return self.hear()

    def hear(self) -> Value:
        line = self._lines.readline().rstrip()
        kind, rest = line[:1], line[1:]
        match kind:
            case b"+":
                return rest
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._lines.read(int(rest) + 2)[:-2]
            case b"*":
                return [self.hear() for _ in range(int(rest))]
            case _:
                message = f"Redis says {line!r}"
                raise AssertionError(message)


def main(address: str) -> None:
    counts, listens, opened = Session(address), Session(address), Session(address)
    born = run_id(counts)
    assert listens.ask("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
    assert opened.ask("MULTI") == b"OK"
    number = 0
    for number in steps():
        assert counts.ask("INCR", "counter") == number
        assert counts.ask("PUBLISH", "news", str(number)) == 1
        assert listens.hear() == [b"message", b"news", str(number).encode()]
        if number <= 100:
            assert opened.ask("INCR", "together") == b"QUEUED"
    together = opened.ask("EXEC")
    assert together == [*range(1, min(number, 100) + 1)]
    assert counts.ask("GET", "counter") == str(number).encode()
    assert run_id(counts) == born, "another process answers"
    assert counts.ask("BGREWRITEAOF") == b"Background append only file rewriting started"
    assert Session(address).ask("PING") == b"PONG"
    say(GOOD)


def run_id(session: Session) -> bytes:
    said = session.ask("INFO", "server")
    assert isinstance(said, bytes)
    return next(line for line in said.split(b"\r\n") if line.startswith(b"run_id:"))


main(sys.argv[1])
