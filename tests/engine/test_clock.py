"""The engine's time goes on evenly, whatever the date of its machine is set to."""

import pytest

from handlers.engine.clock import Clock

SECOND = 1_000_000_000
BEGAN = 1_800_000_000 * SECOND


class Machine:
    """A machine whose date can be set."""

    def __init__(self) -> None:
        self.passed = 0
        self.set_by = 0
        self.clock = Clock(lambda: BEGAN + self.passed + self.set_by, lambda: 77 + self.passed)

    def after(self, seconds: float) -> float:
        """Return how many seconds the engine counts, those of this many times looked."""
        before = self.clock.now()
        for _ in range(10):
            self.passed += int(seconds * SECOND) // 10
            self.clock.now()
        return (self.clock.now() - before) / 1_000


def test_it_is_the_date_at_first_and_as_long_as_nobody_sets_it():
    machine = Machine()
    assert machine.clock.now() == BEGAN // 1_000_000
    assert machine.after(3_600) == 3_600


@pytest.mark.parametrize(("set_by", "counted"), [(3_600, 101), (-3_600, 99)])
def test_a_date_that_is_set_is_followed_slowly(set_by: int, counted: int):
    machine = Machine()
    machine.set_by = set_by * SECOND
    assert machine.after(100) == counted


def test_a_date_that_is_put_right_again_has_done_no_harm():
    machine = Machine()
    machine.set_by = 86_400 * SECOND
    machine.after(10)
    machine.set_by = 0
    machine.after(100)
    assert machine.clock.now() == (BEGAN + machine.passed) // 1_000_000


def test_what_a_clock_drifts_is_made_good():
    machine = Machine()
    machine.set_by = SECOND // 2
    assert machine.after(100) == pytest.approx(100.5)
    assert machine.after(100) == 100


def test_that_the_date_was_set_is_said_once_and_so_is_that_it_agrees(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    machine = Machine()
    machine.set_by = 5 * SECOND
    machine.after(100)
    machine.after(1_000)
    said = capsys.readouterr().out + caplog.text
    assert said.count("engine.date_jumped") == 1
    assert said.count("engine.date_agrees") == 1
