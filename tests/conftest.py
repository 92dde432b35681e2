"""How many examples and worlds are tried, what a skipped test means, and where each begins."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from tests.sharing import Sharing

pytest_plugins = ["tests.nats", "tests.postgres", "tests.views.rooms"]

settings.register_profile("default", deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=500, deadline=None, print_blob=True)
settings.register_profile("night", max_examples=20_000, deadline=None, print_blob=True)
settings.load_profile("default")  # another one: --hypothesis-profile=night


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Let logs be on stdout again: a process that a test ran in here sets them up for itself."""
    yield
    structlog.reset_defaults()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("restow")
    group.addoption("--seeds", type=int, default=200, help="how many worlds to simulate")
    group.addoption("--seed", type=int, default=None, help="simulate this world only")
    group.addoption("--fail-on-skip", action="store_true", help="a skipped test is a failure")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets what it runs in the background not hear it, nor all that is started there.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("fail_on_skip"):
        config.pluginmanager.register(Skips())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    return Sharing(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a `seed` once for every world."""
    if "seed" in metafunc.fixturenames:
        only = metafunc.config.getoption("seed")
        worlds = range(metafunc.config.getoption("seeds"))
        metafunc.parametrize("seed", worlds if only is None else [only])


class Skips:
    """Lists what was skipped, and makes the run fail for it."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which --fail-on-skip forbids", red=True)
            terminalreporter.write_line("\n".join(self.skipped))
