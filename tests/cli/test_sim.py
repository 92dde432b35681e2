"""Simulated worlds from the command line: a summary, or a small story of what went wrong."""

import msgspec

from domain import sequence
from domain.lease import Seats
from domain.problems import Exit
from restow.cli import main


def run(capsys, *line):
    code = main(["sim", *line])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_worlds_are_summed_up(capsys):
    code, out, _ = run(capsys, "--seeds", "3")

    assert not code
    assert out.startswith("3 worlds, ")
    assert out.endswith("0 violations\n")


def test_one_seed_is_one_world_and_always_the_same(capsys):
    first = run(capsys, "--seed", "7", "-o", "json")
    again = run(capsys, "--seed", "7", "-o", "json")

    assert first == again
    told = msgspec.json.decode(first[1])
    assert (told["worlds"], told["wrong"]) == (1, [])


def test_what_goes_wrong_is_made_small_told_and_can_be_replayed(capsys, monkeypatch):
    monkeypatch.setattr(sequence, "obstacle", lambda _fleet, _container: "")

    code, out, err = run(capsys, "--seeds", "100")

    assert code == Exit.DIFFERENT
    assert out.endswith("1 violations\n")
    assert "without an operable container" in err
    assert "error: seed " in err
    assert "restow sim --seed " in err


def test_worlds_of_leases_are_another_kind(capsys):
    code, out, _ = run(capsys, "--leases", "--seeds", "3")

    assert not code
    assert out.startswith("3 worlds, 1 h simulated")
    assert out.endswith("0 violations\n")


def test_a_lease_that_outlasts_its_switch_is_told_and_can_be_replayed(capsys, monkeypatch):
    monkeypatch.setattr(Seats, "carried", lambda _seats, _by: True)

    code, _, err = run(capsys, "--leases", "--seeds", "100")

    assert code == Exit.DIFFERENT
    assert "is lost and runs" in err
    assert "restow sim --leases --seed " in err


def test_no_worlds_are_refused(capsys):
    code, _, err = run(capsys, "--seeds", "0")

    assert code == Exit.USAGE
    assert "--seeds" in err
