"""A client of the lab: one connection, a request every millisecond, each answer looked at.

`python caller.py ADDRESS PORT`. It says one line when it is connected, and one for each line that
it is told: how many answers there were, what the last one was, and the longest time without one
since the line before, in milliseconds. It ends when its input does, or with a word on what broke.
The standard library alone.
"""

import select
import socket
import sys
import time

PAUSE_S = 0.001
PATIENCE_S = 60.0
REQUEST = b"GET / HTTP/1.1\r\nHost: counter\r\n\r\n"
END = b"\r\n\r\n"


class Caller:
    """One connection, and what was heard over it."""

    def __init__(self, address: str, port: int) -> None:
        self._talk = socket.create_connection((address, port), PATIENCE_S)
        self._talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._word, self._count, self._answers, self._gap_s = "", 0, 0, 0.0
        self._last_s = time.monotonic()

    def ask(self) -> str:
        """Ask once; return "", or what is wrong with the answer."""
        self._talk.sendall(REQUEST)
        data = b""
        while not whole(data):
            more = self._talk.recv(4_096)
            if not more:
                return "the connection was closed"
            data += more
        now_s = time.monotonic()
        self._gap_s, self._last_s = max(self._gap_s, now_s - self._last_s), now_s
        word, _, count = data.partition(END)[2].decode().partition(" ")
        if self._word and (word, int(count)) != (self._word, self._count + 1):
            return f"{word} {count} came after {self._word} {self._count}"
        self._word, self._count, self._answers = word, int(count), self._answers + 1
        return ""

    def said(self) -> str:
        """Return what there is to say, and begin a new stretch."""
        gap_s, self._gap_s = self._gap_s, 0.0
        return f"{self._answers} {self._word} {self._count} {gap_s * 1_000:.0f}"


def whole(data: bytes) -> bool:
    """Tell whether an answer is there to its end; the last line of its head is its length."""
    head, end, body = data.partition(END)
    return bool(end) and len(body) == int(head.rpartition(b":")[2])


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(address: str, port: int) -> str:
    """Return "" when nobody asks any more, or what broke."""
    caller = Caller(address, port)
    wrong = caller.ask()
    say(caller.said())
    while not wrong:
        try:
            wrong = caller.ask()
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        if select.select([sys.stdin], [], [], PAUSE_S)[0]:
            if not sys.stdin.readline():
                return ""
            say(caller.said())
    return wrong


if __name__ == "__main__":
    if broken := main(sys.argv[1], int(sys.argv[2])):
        say(f"broken: {broken}")
        sys.exit(1)
