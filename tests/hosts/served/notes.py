"""Keeps notes in SQLite, by HTTP. Each connection is one session: what it begins, it ends itself.

POST /begin, /note, /commit write in a transaction of the session; GET /notes counts what anybody
sees, GET /healthy looks whether the file is whole. Each answer says which process it is.
"""

import json
import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILE = "/data/notes.db"
NAMED = os.urandom(4).hex()


class Session(BaseHTTPRequestHandler):
    """One connection, one thread, one connection to the file."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._notes = sqlite3.connect(FILE, isolation_level=None)
        self._written = 0

    def finish(self) -> None:
        self._notes.close()
        super().finish()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/note":
            self._written += 1
            self._notes.execute("INSERT INTO notes VALUES (?)", (f"note {self._written}",))
        else:
            self._notes.execute({"/begin": "BEGIN IMMEDIATE", "/commit": "COMMIT"}[self.path])
        self._answer(self._written)

    def do_GET(self) -> None:
        asked = "SELECT count(*) FROM notes" if self.path == "/notes" else "PRAGMA integrity_check"
        self._answer(self._notes.execute(asked).fetchone()[0])

    def _answer(self, value: object) -> None:
        body = json.dumps({"process": NAMED, "value": value}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a request every few milliseconds is no news."""


def main() -> None:
    with sqlite3.connect(FILE) as notes:
        notes.execute("PRAGMA journal_mode=WAL")
        notes.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT NOT NULL)")
    ThreadingHTTPServer(("", int(sys.argv[1])), Session).serve_forever()


main()
