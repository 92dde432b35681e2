"""Asks again and again on one connection, and takes its time with a large file on another."""

import sys
from hashlib import sha256
from http.client import HTTPConnection, HTTPResponse

from tests.hosts.clients import GOOD, WITHIN_S, say, steps

SIP_BYTES = 8_192
"""So much of the large file is taken at each step: it lasts for as long as the test."""


def asked(talk: HTTPConnection, path: str) -> HTTPResponse:
    talk.request("GET", path)
    response = talk.getresponse()
    assert response.status == 200, response.status
    return response


def connected(address: str) -> HTTPConnection:
    talk = HTTPConnection(address, 80, timeout=WITHIN_S)
    talk.auto_open = False
    talk.connect()
    return talk


def main(address: str, size: int, digest: str) -> None:
    kept, slow = connected(address), connected(address)
    download, taken, seen = asked(slow, "/large"), 0, sha256()
    for number in steps():
        assert asked(kept, "/small").read() == b"small\n"
        if number % 50 == 0:
            assert asked(connected(address), "/small").read() == b"small\n"
        seen.update(sip := download.read(SIP_BYTES))
        taken += len(sip)
    assert 0 < taken < size // 2, "the download must last for as long as the test"
    rest = download.read()
    seen.update(rest)
    assert (taken + len(rest), seen.hexdigest()) == (size, digest)
    say(GOOD)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
