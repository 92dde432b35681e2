"""How command lines end: exit codes, what is said of an error, and where."""

import os
import resource
import subprocess
import sys

import pytest

from domain.problems import PROBLEMS, Exit

RESTOW = (sys.executable, "-m", "restow")

EXPECTED = {
    400: Exit.USAGE,
    403: Exit.DENIED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    410: Exit.FAILED,
    422: Exit.REFUSED,
    500: Exit.FAILED,
}
PASSING = {429, 503, 504}


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (*RESTOW, *words),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    "code", [code for code, kind in PROBLEMS.items() if kind.status not in PASSING]
)
async def test_every_refusal_has_its_exit_code_and_a_way_on(restow, booth, code):
    booth.refuses("host.cordon", code, "no", hosts=3)

    ended = await restow("host", "cordon", "h01")

    assert ended.code == EXPECTED[PROBLEMS[code].status]
    assert ended.out == ""
    first, numbers, where, way_on, handle = ended.err.splitlines()
    assert first == f"error: {code}: no"
    assert numbers == "  hosts 3"
    assert where == "  at    $.field"
    assert way_on == f"  try   {PROBLEMS[code].way_on}"
    assert handle.startswith("  command ")
    assert "position 42" in handle


async def test_what_passes_by_itself_is_asked_again_under_the_same_id(restow, booth):
    waits = {"code": "engine.not_leader", "status": 503, "detail": "", "type": "", "title": ""}
    done = {"status": "done", "command_id": "c-1", "position": 7}
    booth.says("host.cordon", waits, waits, done)

    ended = await restow("host", "cordon", "h01")

    assert (ended.code, ended.out) == (0, "done  position 7\n")
    ids = [body["id"] for _, body in booth.heard]
    assert len(ids) == 3
    assert len(set(ids)) == 1


async def test_without_an_engine_the_way_to_start_one_is_told(restow, monkeypatch):
    monkeypatch.setattr("restow.talk.PATIENCE_S", 0.1)
    ended = await restow("host", "cordon", "h01")
    assert ended.code == Exit.UNREACHABLE
    assert "error: bus.unavailable: no engine is running; start `restow up`" in ended.err


async def test_without_a_read_side_the_way_to_start_one_is_told(restow):
    ended = await restow("host", "list")
    assert ended.code == Exit.UNREACHABLE
    assert "no read side is running; start `restow up`" in ended.err


async def test_a_bus_that_is_away_is_named_with_who_named_it(restow):
    ended = await restow("host", "list", "--url", "nats://127.0.0.1:1")
    assert ended.code == Exit.UNREACHABLE
    assert "nats://127.0.0.1:1" in ended.err
    assert "named by --url" in ended.err


async def test_where_nobody_names_a_bus_that_is_said(restow, monkeypatch, tmp_path):
    monkeypatch.delenv("RESTOW_URL")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    ended = await restow("host", "list")
    assert ended.code == Exit.UNREACHABLE
    assert "no bus is named; start `restow up`" in ended.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("host lst", 'Did you mean "list"?'),
        ("host list --bogus", "Unknown option"),
        ("host list -o yaml", '"table", "wide", "json", "jsonl", "name"'),
        ("host rate h01 many", "many"),
        ("layer restart app", "ENVIRONMENT/LAYER"),
        ("layer restart shop/app --delay soon", "30s, 1m30s, 500ms"),
        ("layer scale shop/app six", "COUNT wants a whole number"),
        ("env create shop", "an environment wants a layer"),
        ("env create shop --file nowhere.json", "nowhere.json cannot be read"),
        ("command send layer.scale [1]", "no JSON object"),
        ("host list --prefix R.1", "inner hyphens"),
        ("command asked nope", "restow command asked takes no 'nope'"),
        ("up --zones 0", "Must be >= 1"),
        ("up --hosts -3", "Must be >= 1"),
        ("up --engines 0", "Must be >= 1"),
        ("up --speed nan", "more than 0, and at most 1,000"),
        ("up --port 65536", "Must be <= 65535"),
        ("up --prefix R.1", "inner hyphens"),
        ("agent", "as in --host h01"),
        ("agent --host R.1", "as in --host h01"),
        ("agent --host h01 --speed 0", "more than 0"),
        ("engine --name e1 --replicas 9", "Must be <= 5"),
    ],
)
async def test_what_cannot_be_read_ends_with_2_and_help(restow, line, said):
    ended = await restow(*line.split())
    assert (ended.code, ended.out) == (Exit.USAGE, "")
    assert ended.err.startswith("error: ")
    assert said in ended.err
    command = " ".join(word for word in line.split()[:2] if word.isalpha() and word != "lst")
    assert f"  try   restow {command}" in ended.err


def test_the_codes_are_those_that_the_help_shows():
    said = " ".join(run("--help").stdout.split())
    for code in Exit:
        assert f" {code.value} " in said


@pytest.mark.parametrize("noun", ["host", "env", "layer", "ct", "op", "migration", "event"])
def test_every_noun_tells_its_verbs(noun):
    ended = run(noun, "--help")
    assert ended.returncode == 0
    assert "list" in ended.stdout


def test_help_has_an_example():
    assert "restow layer restart shop/app --delay 5s" in run("layer", "restart", "--help").stdout


def test_a_pipe_that_closes_early_is_no_error():
    process = subprocess.Popen(
        (*RESTOW, "command", "list", "-o", "json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as complaints:
        assert complaints.read() == b""
    assert process.wait(30) == 0


def test_off_a_terminal_there_are_no_colours():
    ended = run("layer", "restart", "--help")
    assert "\x1b" not in ended.stdout + ended.stderr


def test_help_comes_at_once():
    """Parts are loaded when they are used: it costs little more than the library itself.

    Processor time, for others may be at work; measured 0.15 s, and 0.08 s for the library.
    """

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run((sys.executable, *command), capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    library = min(seconds("-c", "import cyclopts") for _ in range(3))
    helped = min(seconds("-m", "restow", "--help") for _ in range(3))
    assert helped < 4 * library


def test_help_loads_neither_the_bus_nor_the_domain():
    program = (
        "import sys; from restow.cli import main; main(['--help']);"
        "print(sorted({'nats', 'numpy', 'eventsourcing', 'domain.region'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    ended = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_for_each_shell(shell):
    assert "restow" in run("completion", shell).stdout


def test_versions_are_told():
    assert "restow" in run("version", "-o", "json").stdout
