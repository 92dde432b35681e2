"""The shim beside a container: it runs it, keeps its log, checks its health, and fences it.

It is a process of its own, so that a container lives on when its agent does not. Started by
`launch`, it returns when the container runs and goes on by itself. SIGTERM stops the container in
good order, SIGHUP at once; SIGUSR1 says that the switch of the host has been turned. A container
that ends by itself is started again, later each time.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from handlers.agent.runc.charge import Charge, Told, hold, sign
from handlers.agent.runc.health import Pulse
from handlers.agent.runc.held import Held
from handlers.agent.runc.logfile import LogFile
from handlers.agent.runc.tightening import LooseError, tighten
from handlers.agent.switch import FORM, NEVER_S

PR_SET_CHILD_SUBREAPER = 36
AGAIN_MIN_S = 0.5
AGAIN_MAX_S = 60.0
SETTLED_S = 60.0
"""Who has run for so long is not in a crash loop: it is started again soon."""
READ_BYTES = 65_536
UP = b"up"
CATCHES = "SigCgt:"


class NotStartedError(RuntimeError):
    """The container could not be started; the message says why."""


class Shim:
    """One container, from its start to its end for good."""

    def __init__(self, charge: Charge, told: Path) -> None:
        self._charge = charge
        self._path = told
        self._told = Told(restarts=charge.restarts)
        self._log = LogFile(Path(charge.log))
        self._wake, wakes = os.pipe()
        os.set_blocking(wakes, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self._wakes = wakes
        self._pipes: dict[int, str] = {}
        self._pid = 0
        self._pidfd = -1
        self._pulse: Pulse | None = None
        self._held: Held | None = None
        self._verdict = False
        self._ending = False
        self._fenced = False
        self._kill_s = NEVER_S
        self._again_s = NEVER_S
        self._began_s = 0.0
        self._pause_s = AGAIN_MIN_S
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _frame: object) -> None:
        """All else is done in `run`; what is held is not waited for there."""
        if self._held is not None and number in (signal.SIGTERM, signal.SIGHUP):
            self._ending = True

    def begin(self) -> None:
        """Start the container, or have it held. Raises `NotStartedError`."""
        self._tell("stopped")  # whatever an earlier shim has told
        self._runc("delete", "--force")
        stdio = self._stdio()
        if self._charge.images:
            self._restore(stdio)
            return
        said = self._runc("create", *self._bundle(), stdio=stdio)
        for fd in stdio:
            os.close(fd)
        if said := said or self._tightened(self._first()) or self._runc("start"):
            self._give_up(said)
        self._runs(self._first())

    def _stdio(self) -> tuple[int, int, int]:
        """Return what the container reads and writes; its other ends are ours."""
        pipes = [os.pipe() for _ in range(3)]
        (stdin, closed), (out, stdout), (err, stderr) = pipes
        os.close(closed)
        self._pipes |= {out: "out", err: "err"}
        return stdin, stdout, stderr

    def _bundle(self) -> tuple[str, ...]:
        self._pid_file.unlink(missing_ok=True)
        return ("--bundle", self._charge.bundle, "--pid-file", str(self._pid_file))

    @property
    def _pid_file(self) -> Path:
        return Path(self._charge.bundle, "pid")

    def _first(self) -> int:
        return int(self._pid_file.read_text())

    def _give_up(self, said: str) -> NoReturn:
        self._runc("delete", "--force")
        self._close_pipes()
        raise NotStartedError(said)

    def _restore(self, stdio: tuple[int, int, int]) -> None:
        """Restore it and return when it is held; `go_on` waits until it may go."""
        self._held = Held(self._charge, self._bundle(), stdio)
        pid = self._held.pid()
        if not pid:
            self._give_up(self._held.why())
        if said := self._tightened(pid):
            self._held.wait(lambda: True)
            self._give_up(said)
        self._told = Told(restarts=self._charge.restarts)
        self._pid = pid
        self._tell("held")

    def _tightened(self, pid: int) -> str:
        """Have its mounts tight before it runs; return "", or why they cannot be."""
        try:
            tighten(pid, self._charge.masked)
        except LooseError as error:
            return str(error)
        return ""

    def go_on(self) -> bool:
        """Return whether it goes on: one that is held may never."""
        if self._held is None:
            return True
        went = self._held.wait(lambda: self._ending)
        self._pid = 0
        if not went:
            self._runc("delete", "--force")
            self._close_pipes()
            self._tell("stopped")
            return False
        self._held, self._charge = None, replace(self._charge, images="")
        self._runs(self._first(), healthy=self._charge.healthy)
        return True

    def _runs(self, pid: int, *, healthy: bool = False) -> None:
        self._pid, self._pidfd = pid, os.pidfd_open(pid)
        self._began_s = time.monotonic()
        self._verdict = healthy
        self._pulse = Pulse(self._charge, pid, self._hear, healthy=healthy)
        self._tell("running")

    def _hear(self, healthy: bool) -> None:  # noqa: FBT001 - called by the thread that checks
        self._verdict = healthy
        os.write(self._wakes, b"\0")

    def run(self) -> None:
        """Return when there is no container any more, and none is to be started."""
        while not (self._ending and not self._pid):
            for fd in self._ready():
                if fd == self._pidfd:
                    self._ended()
                elif fd == self._wake:
                    self._woken()
                else:
                    self._read(fd)
            self._look_at_clock()
        self._tell("stopped")

    def _ready(self) -> list[int]:
        watch = select.poll()
        for fd in (self._wake, *self._pipes, *((self._pidfd,) if self._pid else ())):
            watch.register(fd, select.POLLIN)
        until_s = min(self._kill_s, self._again_s, self._switch_s())
        left_s = max(0.0, until_s - time.monotonic())
        timeout = None if until_s == NEVER_S else left_s * 1_000 + 1
        return [fd for fd, _ in watch.poll(timeout)]

    def _woken(self) -> None:
        numbers = os.read(self._wake, READ_BYTES)
        if signal.SIGCHLD in numbers:
            self._reap_strays()
        if signal.SIGHUP in numbers:
            self._end(0.0)
        elif signal.SIGTERM in numbers:
            self._end(self._charge.grace_s if self._listens() else 0.0)
        if self._pid and self._verdict != self._told.healthy:
            self._tell("running")

    def _end(self, grace_s: float) -> None:
        """Stop for good: ask, and after a while do not ask."""
        self._ending = True
        self._again_s = NEVER_S
        if self._pid and grace_s:
            self._signal(signal.SIGTERM)
        self._kill_s = time.monotonic() + grace_s

    def _listens(self) -> bool:
        """Tell whether the first process catches SIGTERM: else the kernel would not deliver it."""
        try:
            lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        except OSError:
            return False
        mask = next((line.split()[1] for line in lines if line.startswith(CATCHES)), "0")
        return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)

    def _look_at_clock(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._switch_s():
            self._fenced = self._ending = True
            self._again_s, self._kill_s = NEVER_S, now_s
        if now_s >= self._kill_s:
            self._kill_s = NEVER_S
            self._kill()
        if now_s >= self._again_s:
            self._again_s = NEVER_S
            self._try_again()

    def _kill(self) -> None:
        """Kill it, frozen or not: a signal is taken at the thaw, before anything else is done."""
        if not self._pid:
            return
        self._signal(signal.SIGKILL)
        for thawed in ("THAWED", "0"):
            try:
                Path(self._charge.freezer).write_text(thawed)
            except OSError:
                continue  # it is the other kind, or gone

    def _signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return  # it has ended; that is heard in a moment

    def _switch_s(self) -> float:
        """Return until when it may run, on the machine's monotonic clock."""
        if self._charge.keep or self._fenced:
            return NEVER_S
        try:
            written = Path(self._charge.switch).read_bytes()
        except FileNotFoundError:
            return NEVER_S
        return float(FORM.unpack(written)[0]) if len(written) == FORM.size else NEVER_S

    def _ended(self) -> None:
        """It is over: by itself, or because it was to be."""
        _, status = os.waitpid(self._pid, 0)
        os.close(self._pidfd)
        self._pid, self._pidfd = 0, -1
        if self._pulse is not None:
            self._pulse.end()
        for fd in tuple(self._pipes):
            self._drain(fd)
        self._close_pipes()
        if self._ending:
            self._tell("stopped")
        self._runc("delete", "--force")
        self._reap()
        if self._ending:
            return
        settled = time.monotonic() - self._began_s >= SETTLED_S
        self._pause_s = AGAIN_MIN_S if settled else self._pause_s
        self._later(os.waitstatus_to_exitcode(status), "")

    def _later(self, code: int | None, why: str) -> None:
        self._again_s = time.monotonic() + self._pause_s
        self._log.note(why or f"ended with {code}; again in {self._pause_s:g} s")
        self._pause_s = min(2 * self._pause_s, AGAIN_MAX_S)
        self._tell("stopped", code=code, why=why)

    def _try_again(self) -> None:
        self._told = Told(restarts=self._told.restarts + 1)
        try:
            self.begin()
        except NotStartedError as error:
            self._later(None, str(error))

    def _reap(self) -> None:
        """Reap what was left to us by processes that have ended."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return

    def _reap_strays(self) -> None:
        """Reap what a check of health that was given up has left to us, in this thread.

        Before, the first process of the container cannot end: the kernel has it wait for all.
        """
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            if int(child) != self._pid:
                with suppress(ChildProcessError):
                    os.waitpid(int(child), os.WNOHANG)

    def _read(self, fd: int) -> None:
        data = os.read(fd, READ_BYTES)
        if data:
            self._log.write(self._pipes[fd], data)
        else:
            del self._pipes[fd]
            os.close(fd)

    def _drain(self, fd: int) -> None:
        os.set_blocking(fd, False)
        try:
            while data := os.read(fd, READ_BYTES):
                self._log.write(self._pipes[fd], data)
        except BlockingIOError:
            return

    def _close_pipes(self) -> None:
        for fd in self._pipes:
            os.close(fd)
        self._pipes = {}

    def _runc(self, verb: str, *words: str, stdio: tuple[int, int, int] | None = None) -> str:
        """Run runc; return "", or what it said where it failed."""
        log = Path(self._charge.bundle, "runc.log")
        log.unlink(missing_ok=True)
        stdin, stdout, stderr = stdio or (subprocess.DEVNULL,) * 3
        ended = subprocess.run(  # noqa: S603 - as charged by the agent
            (
                *(self._charge.runc, "--root", self._charge.state, "--log", str(log)),
                *("--log-format", "json", verb, *words, self._charge.name),
            ),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            check=False,
        )
        if not ended.returncode:
            return ""
        said = log.read_text().splitlines() if log.exists() else []
        return json.loads(said[-1])["msg"] if said else f"runc {verb} ended with {ended.returncode}"

    def _tell(self, state: str, *, code: int | None = None, why: str = "") -> None:
        restarts = self._told.restarts
        self._told = Told(state, self._pid, self._verdict and bool(self._pid), restarts, code, why)
        self._told.write(self._path)


def launch(folder: Path) -> int:
    """Start the shim of the container with these files; return 0 when that runs, else 1."""
    lock = hold(folder / "shim.lock")
    if lock is None:
        sys.stderr.write("another shim is there\n")
        return 1
    heard, says = os.pipe()
    if os.fork():
        os.close(says)
        with os.fdopen(heard, "rb") as answer:
            said = answer.read()
        if said != UP:
            sys.stderr.write(said.decode(errors="replace") or "the shim died")
        return 0 if said == UP else 1
    os.setsid()
    sign(lock)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _detach(folder / "shim.err")
    shim = Shim(Charge.read(folder / "charge.json"), folder / "seen.json")
    try:
        shim.begin()
    except NotStartedError as error:
        os.write(says, str(error).encode())
        return 1
    os.write(says, UP)
    os.close(says)
    if shim.go_on():
        shim.run()
    return 0


def _detach(errors: Path) -> None:
    """Keep nothing of whoever started us; what goes wrong here is written into a file."""
    null = os.open(os.devnull, os.O_RDWR)
    err = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for fd, place in ((null, 0), (null, 1), (err, 2)):
        os.dup2(fd, place)
    os.chdir("/")
