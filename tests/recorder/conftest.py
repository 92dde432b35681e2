"""Every test here finds the bus in its environment, as an application of the library does."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest

GONE_S = 5.0


def lines() -> list[threading.Thread]:
    """Return the threads of lines that nobody closed."""
    return [thread for thread in threading.enumerate() if thread.name == "recorder-line"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, nats_url: str, prefix: str) -> Iterator[None]:
    monkeypatch.setenv("PERSISTENCE_MODULE", "handlers.recorder")
    monkeypatch.setenv("NATS_URL", nats_url)
    monkeypatch.setenv("RESTOW_PREFIX", prefix)
    yield
    if lines():
        gc.collect()  # some of the library's tests leave closing to `Application.__del__`
    give_up = time.monotonic() + GONE_S
    while lines() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert not lines()
