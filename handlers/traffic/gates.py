"""The DNS and the balancer of a file of settings, for a router."""

from pathlib import Path

from handlers.agent.router import Balancer, Names
from handlers.agent.routes import Routes
from handlers.traffic.authority import Authority
from handlers.traffic.balancer import HaproxyBalancer
from handlers.traffic.names import DnsNames
from handlers.traffic.settings import read_key, read_settings


class Gates:
    """Reads the settings at once, and makes DNS and balancer when there is a table of routes.

    Raises `TrafficSettingsError`.
    """

    def __init__(self, path: Path) -> None:
        self._settings = read_settings(path)
        self._authority = Authority(self._settings.dns, read_key(Path(self._settings.dns.key)))

    def __call__(self, routes: Routes) -> tuple[Names, Balancer]:
        external = self._settings.dns.external
        names = DnsNames(self._authority, routes, external)
        return names, HaproxyBalancer(self._settings.haproxy, routes, external)
