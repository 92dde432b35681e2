"""Settings that cannot be used are refused with the file and the field, before anything starts."""

import pytest

from handlers.agent.router import RoutingFailedError
from handlers.agent.routes import Route, Standing
from handlers.traffic.configuration import fronts, text
from handlers.traffic.settings import (
    Endpoint,
    External,
    Haproxy,
    Key,
    TrafficSettingsError,
    endpoint,
    read_key,
    read_settings,
)

DNS = 'servers = ["127.0.0.1:5353"]\nkey = "tsig.key"\nzones = ["restow.internal"]\n'
HAPROXY = 'socket = "master.sock"\nconfiguration = "haproxy.cfg"\n'
OUTSIDE = 'external = { zone = "apps.example", zone_of = "ZONE", public = ["PUBLIC"] }\n'


def written(tmp_path, dns: str = DNS, haproxy: str = HAPROXY):
    path = tmp_path / "traffic.toml"
    path.write_text(f"[dns]\n{dns}\n[haproxy]\n{haproxy}")
    return path


def outside(zone: str = "restow.internal", public: str = "203.0.113.5") -> str:
    return DNS + OUTSIDE.replace("ZONE", zone).replace("PUBLIC", public)


def test_a_file_with_the_least_and_one_with_all_are_read(tmp_path):
    least = read_settings(written(tmp_path))
    assert (least.haproxy.http, least.dns.external) == ("0.0.0.0:80", None)

    most = read_settings(written(tmp_path, outside(), f"{HAPROXY}drain_s = 30\ncheck = false\n"))
    assert most.dns.external == External("apps.example", "restow.internal", ("203.0.113.5",))
    assert (most.haproxy.drain_s, most.haproxy.check) == (30.0, False)


@pytest.mark.parametrize(
    ("dns", "haproxy", "why"),
    [
        (DNS.replace("key", "keys"), HAPROXY, "unknown field `keys`"),
        (DNS.replace("127.0.0.1:5353", "127.0.0.1:0"), HAPROXY, "the port must be 1 to 65535"),
        (DNS.replace("127.0.0.1:5353", "ns1.example"), HAPROXY, "does not appear to be an IP"),
        (DNS.replace('["restow.internal"]', "[]"), HAPROXY, r"`array` of length >= 1"),
        (DNS.replace("restow.internal", "Restow!"), HAPROXY, r"matching regex .*\$\.dns\.zones"),
        (outside(zone="other.internal"), HAPROXY, "which is not in dns.zones"),
        (outside(public="the balancer"), HAPROXY, "does not appear to be an IP"),
        (DNS, f"{HAPROXY}tcp_ports = [9, 8]\n", "haproxy.tcp_ports is 9 to 8"),
        (DNS, f"{HAPROXY}drain_s = 1000\n", r"`float` <= 100.*\$\.haproxy\.drain_s"),
        (DNS, "socket = 1\n", r"\$\.haproxy\.socket"),
        (DNS, "= = =\n", "Invalid statement"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path, dns, haproxy, why):
    with pytest.raises(TrafficSettingsError, match=rf"traffic\.toml: .*{why}"):
        read_settings(written(tmp_path, dns, haproxy))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrafficSettingsError, match=r"none: cannot be read \(No such file"):
        read_settings(tmp_path / "none")
    with pytest.raises(TrafficSettingsError, match=r"none: cannot be read \(No such file"):
        read_key(tmp_path / "none")


@pytest.mark.parametrize(
    "said",
    [
        "key:\n  - id: restow\n    algorithm: hmac-sha256\n    secret: c2VjcmV0\n",
        'key "restow" {\n\talgorithm hmac-sha256;\n\tsecret "c2VjcmV0";\n};\n',
    ],
)
def test_keys_of_knot_and_of_bind_are_read(tmp_path, said):
    (tmp_path / "key").write_text(said)
    assert read_key(tmp_path / "key") == Key("restow", "hmac-sha256", "c2VjcmV0")


def test_a_file_without_a_key_is_refused_and_not_repeated(tmp_path):
    (tmp_path / "key").write_text("s3cret!")
    with pytest.raises(TrafficSettingsError, match="holds no TSIG key") as refused:
        read_key(tmp_path / "key")
    assert "s3cret" not in str(refused.value)


def test_an_endpoint_has_a_port_that_is_usual():
    assert endpoint("10.0.0.1", 53) == Endpoint("10.0.0.1", 53)
    assert endpoint("[fd00::1]:5353", 53) == Endpoint("fd00::1", 5353)
    assert str(endpoint("fd00::1", 53)) == "[fd00::1]:53"


def route(layer: str, *ports: int, stateful: bool = False) -> Route:
    return Route((f"node1-{layer}", layer), "10.0.0.1", ports, stateful, Standing.IN)


def test_a_port_of_the_balancer_stays_with_its_layer_and_is_given_again_when_it_is_free():
    sql, app = route("sql", 5432, stateful=True), route("app", 8080, 9090)
    first = {front.backend: front.port for front in fronts([sql, app], {}, (20_000, 20_001))}
    assert first == {"app:8080": 0, "app:9090": 20_000, "sql:5432": 20_001}

    later = fronts([sql], first, (20_000, 20_001))
    assert [(front.backend, front.port) for front in later] == [("sql:5432", 20_001)]
    with pytest.raises(RoutingFailedError, match=r"no port .* is left for .* widen haproxy\.tcp"):
        fronts([sql, app], {}, (20_000, 20_000))


def test_the_file_holds_who_is_in_and_nobody_else():
    settings = Haproxy("s", "c", http="10.0.0.9:80")
    coming = Route(("node2-app", "app"), "10.0.0.2", (8080,))
    routes = [route("app", 8080), coming]

    said = text(settings, fronts(routes, {}, (1, 2)), routes, None)

    assert "  server node1-app 10.0.0.1:8080 check inter 1s fall 3 rise 1\n" in said
    assert "node2" not in said
    assert "  bind 10.0.0.9:80\n" in said
    assert "  use_backend app:8080 if { var(txn.host) -m str app }\n" in said
