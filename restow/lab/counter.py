"""The service of the lab: it counts answers in its memory. `python counter.py PORT`, in an image.

Every answer says a word that is drawn once, at the start, and the number of answers so far: who
asks sees whether it is still the same process, and whether anything was lost. `MEMORY_MIB` of its
memory are filled with what cannot be compressed. The standard library alone, and little of it.
"""

import os
import selectors
import socket
import sys

END = b"\r\n\r\n"
WAITING = 1_000
READ_BYTES = 65_536
HEALTH = b"GET /healthz"


def answer(body: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Counter:
    """One word, one count, and those who ask."""

    def __init__(self, port: int) -> None:
        self._word = os.urandom(4).hex()
        self._count = 0
        self._asked: dict[socket.socket, bytes] = {}
        self._ears = socket.create_server(("0.0.0.0", port), backlog=WAITING)  # noqa: S104
        self._chooser = selectors.DefaultSelector()
        self._chooser.register(self._ears, selectors.EVENT_READ)

    def serve(self) -> None:
        while True:
            for key, _ in self._chooser.select():
                one = key.fileobj
                if one is self._ears:
                    self._greet()
                elif isinstance(one, socket.socket):
                    self._hear(one)

    def _greet(self) -> None:
        one, _ = self._ears.accept()
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._asked[one] = b""
        self._chooser.register(one, selectors.EVENT_READ)

    def _hear(self, one: socket.socket) -> None:
        try:
            data = one.recv(READ_BYTES)
            *asked, rest = (self._asked[one] + data).split(END)
            for request in asked:
                one.sendall(self._reply(request))
        except OSError:
            data, rest = b"", b""
        self._asked[one] = rest
        if not data:
            self._chooser.unregister(one)
            del self._asked[one]
            one.close()

    def _reply(self, request: bytes) -> bytes:
        if request.startswith(HEALTH):
            return answer("well")
        self._count += 1
        return answer(f"{self._word} {self._count}")


if __name__ == "__main__":
    filled = os.urandom(int(os.environ.get("MEMORY_MIB", "0")) << 20)
    Counter(int(sys.argv[1])).serve()
