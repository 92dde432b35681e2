"""Which bus is meant, and who says so."""

import msgspec
import pytest

from restow.locks import HeldError, held, is_held
from restow.settings import SettingsError, Up, find_region, read_up, write_up

UP = Up("nats://127.0.0.1:4333", "r7", 12, 34, "http://127.0.0.1:8333")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch, tmp_path):
    for name in ("RESTOW_URL", "NATS_URL", "NATS_CONTEXT", "RESTOW_PREFIX", "RESTOW_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def write_context(tmp_path, name, url):
    folder = tmp_path / "config" / "nats" / "context"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.encode({"url": url, "creds": ""}))


def test_without_any_word_the_way_on_is_told():
    with pytest.raises(SettingsError, match=r"start `restow up`, or give --url"):
        find_region()


def test_up_in_this_directory_is_found_with_its_prefix(tmp_path):
    (tmp_path / ".restow").mkdir()
    write_up(tmp_path / ".restow", UP)

    region = find_region()

    assert (region.address.servers, region.prefix) == (UP.url, "r7")
    assert region.source.endswith("up.json")


def test_each_source_goes_before_the_next(monkeypatch, tmp_path):
    (tmp_path / ".restow").mkdir()
    write_up(tmp_path / ".restow", UP)
    found = [find_region().source]
    write_context(tmp_path, "prod", "nats://context:1")
    monkeypatch.setenv("NATS_CONTEXT", "prod")
    found.append(find_region().source)
    monkeypatch.setenv("NATS_URL", "nats://nats-url:1")
    found.append(find_region().source)
    monkeypatch.setenv("RESTOW_URL", "nats://restow-url:1")
    found.append(find_region().source)
    found.append(find_region("nats://flag:1").source)

    assert found[1:] == ["NATS context", "NATS_URL", "RESTOW_URL", "--url"]
    assert found[0].endswith("up.json")
    assert find_region("nats://flag:1").address.servers == "nats://flag:1"
    assert find_region().address.servers == "nats://restow-url:1"


def test_the_prefix_is_the_flag_or_the_environment_or_the_usual_one(monkeypatch):
    assert find_region("nats://a:1").prefix == "restow"
    monkeypatch.setenv("RESTOW_PREFIX", "r2")
    assert find_region("nats://a:1").prefix == "r2"
    assert find_region("nats://a:1", "r3").prefix == "r3"


def test_a_prefix_that_cannot_be_a_subject_is_refused():
    with pytest.raises(SettingsError, match="inner hyphens"):
        find_region("nats://a:1", "R.2")


def test_a_context_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("NATS_CONTEXT", "gone")
    with pytest.raises(SettingsError, match="gone"):
        find_region()


def test_what_up_wrote_down_can_be_read_again(tmp_path):
    assert read_up(tmp_path) is None
    write_up(tmp_path, UP)
    assert read_up(tmp_path) == UP
    assert [path.name for path in tmp_path.iterdir()] == ["up.json"]


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "up.json").write_text("{")
    with pytest.raises(SettingsError, match=r"up\.json cannot be read"):
        read_up(tmp_path)


def test_a_data_directory_has_one_holder(tmp_path):
    data = tmp_path / "data"
    assert not is_held(data)
    with held(data):
        assert is_held(data)
        with pytest.raises(HeldError), held(data):
            raise AssertionError
    assert not is_held(data)
