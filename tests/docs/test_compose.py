"""The production shape is as safe as it says, as far as can be seen without running it."""

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from handlers.nats_server import MAX_PAYLOAD_BYTES, find_binary
from restow.cli.app import app

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text()
IMAGE = (ROOT / "Containerfile").read_text()
NODES = ("n1", "n2", "n3")
COMMAND = re.compile(r"^    command: (\[.*\])$", re.MULTILINE)


def services() -> dict[str, str]:
    """Return the text of each service by its name; services are indented by two, bodies by four."""
    body = COMPOSE.partition("\nservices:\n")[2].partition("\nconfigs:\n")[0]
    blocks = re.split(r"^  ([a-z0-9-]+):.*\n", body, flags=re.MULTILINE)[1:]
    return dict(zip(blocks[::2], blocks[1::2], strict=True))


def command(service: str) -> list[str]:
    found = COMMAND.search(services()[service])
    assert found is not None
    words: list[str] = json.loads(found[1])
    return words


def values(words: list[str], flag: str) -> list[str]:
    return [after for word, after in pairwise(words) if word == flag]


def nats_configuration() -> str:
    text = COMPOSE.partition("    content: |\n")[2].partition("\nvolumes:")[0]
    return re.sub(r"^      ", "", text, flags=re.MULTILINE).replace("$$", "$")


ENGINES = [name for name in services() if re.fullmatch(r"e\d", name)]
AGENTS = [name for name in services() if name.startswith("agent-")]


def test_three_servers_two_engines_a_reader_and_agents():
    assert [name for name in services() if name in NODES] == [*NODES]
    assert len(ENGINES) == 2
    assert len(AGENTS) == 3
    assert "reader" in services()


@pytest.mark.parametrize("service", [*ENGINES, *AGENTS, "reader"])
def test_every_command_line_can_be_typed(service):
    app.parse_args(command(service), exit_on_error=False, print_error=False)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_keep_streams_three_times_and_verify_every_server(engine):
    words = command(engine)

    assert values(words, "--name") == [engine]
    assert values(words, "--replicas") == ["3"]
    assert values(words, "--monitor") == [f"http://{node}:8222" for node in NODES]
    assert "--relaxed" not in words


def test_the_server_takes_the_configuration(tmp_path):
    configuration = tmp_path / "nats.conf"
    configuration.write_text(nats_configuration())

    said = subprocess.run(
        [find_binary(), "-t", "--config", configuration],
        env={"NATS_NAME": "n1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stderr


def test_what_is_acknowledged_is_on_disk():
    jetstream = nats_configuration().partition("jetstream {")[2].partition("}")[0]

    assert re.search(r"^\s*sync_interval: always$", jetstream, re.MULTILINE)
    assert re.search(r'^\s*store_dir: "/data"$', jetstream, re.MULTILINE)
    assert all(f'volumes: ["{node}:/data"]' in services()[node] for node in NODES)


def test_the_servers_find_each_other_and_are_told_apart():
    assert all(f"nats://{node}:6222" in nats_configuration() for node in NODES)
    assert all(f"NATS_NAME: {node}" in services()[node] for node in NODES)
    assert "server_name: $NATS_NAME" in nats_configuration()


def test_payloads_are_as_large_as_on_one_machine():
    assert MAX_PAYLOAD_BYTES == 1024 * 1024
    assert "max_payload: 1MB" in nats_configuration()


def test_every_host_of_an_agent_is_registered_and_one_agent_is_the_router():
    served = [host for agent in AGENTS for host in values(command(agent), "--host")]
    loop = re.search(r"for host in ([a-z0-9 ]+); do", services()["hosts"])

    assert loop is not None
    assert loop[1].split() == served
    assert ["--routing" in command(agent) for agent in AGENTS].count(True) == 1


def test_hosts_are_registered_by_a_command_that_can_be_typed():
    line = re.search(r"restow (host register .*)", services()["hosts"])

    assert line is not None
    typed = line[1].replace("$$host", "a1").replace("$${host%?}", "a").split()
    app.parse_args(typed, exit_on_error=False, print_error=False)


def test_whoever_must_not_forget_has_a_volume():
    keepers = [*NODES, *AGENTS, "reader"]

    assert [name for name in keepers if f'volumes: ["{name}:/data"]' not in services()[name]] == []
    declared = re.search(r"^volumes: \{ (.*) \}$", COMPOSE, re.MULTILINE)
    assert declared is not None
    assert re.findall(r"([\w-]+): \{\}", declared[1]) == [*NODES, "db", "reader", *AGENTS]


def test_every_anchor_that_is_used_is_there():
    assert set(re.findall(r"\*([a-z]+)", COMPOSE)) <= set(re.findall(r"&([a-z]+)", COMPOSE))
    assert "\t" not in COMPOSE


def test_the_image_is_made_of_what_is_pinned_and_runs_as_nobody_special():
    assert re.findall(r"^FROM (\S+)", IMAGE, re.MULTILINE) == ["python:3.12-slim"]
    assert "--require-hashes --requirement requirements/core.txt" in IMAGE
    assert all(f"COPY {room} {room}\n" in IMAGE for room in ("domain", "handlers", "projections"))
    assert re.search(r"^USER restow$", IMAGE, re.MULTILINE)
