"""`restow open` says where the dashboard is, at the place of what was named."""

import webbrowser

import pytest

from domain.problems import Exit
from restow.cli.exits import UsageError
from restow.cli.opening import PAGES, open_, place
from restow.settings import Up, write_up

HTTP = "http://127.0.0.1:8333"


@pytest.fixture
def up(tmp_path):
    """Return a directory in which `restow up` wrote down where it is."""
    write_up(tmp_path, Up("nats://127.0.0.1:4333", "r7", 12, 34, http=HTTP))
    return tmp_path


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    addresses: list[str] = []

    def opens(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", opens)
    return addresses


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("node3", "fleet/container/node3"),
        ("host.h02", "fleet/host/h02"),
        ("environment.shop", "environments/shop"),
        ("op3", "operations/op3"),
        ("mv5", "operations/mv5"),
        ("812", "events/812"),
        *((name, name) for name in PAGES),
    ],
)
def test_everything_has_a_place(name, where):
    assert place(name) == where


@pytest.mark.parametrize("name", ["nowhere", "opx", "node", "layer.app"])
def test_what_has_none_is_refused_with_what_has(name):
    with pytest.raises(UsageError, match=r"write node3, host\.h02"):
        place(name)


def test_it_is_opened_and_printed(up, opened, capsys):
    assert open_("op3", data=up) == Exit.DONE
    assert opened == [f"{HTTP}/#/operations/op3"]
    assert capsys.readouterr().out == f"{HTTP}/#/operations/op3\n"


def test_it_can_only_be_printed(up, opened, capsys):
    assert open_(data=up, show=True) == Exit.DONE
    assert opened == []
    assert capsys.readouterr().out == f"{HTTP}/#/fleet\n"


def test_without_a_browser_the_address_is_enough(up, monkeypatch, capsys):
    monkeypatch.setattr(webbrowser, "open", lambda _address: False)
    assert open_(data=up) == Exit.DONE
    assert "open the address yourself" in capsys.readouterr().err


def test_where_nothing_is_up_the_way_on_is_said(tmp_path, capsys):
    assert open_(data=tmp_path) == Exit.UNREACHABLE
    assert "restow up" in capsys.readouterr().err
