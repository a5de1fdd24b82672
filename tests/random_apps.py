"""Apps by a random generator of one's own: many short lives, made far faster than by hypothesis."""

import random
from collections.abc import Mapping
from typing import Any

import attrs

from sidecar.marathon.schema import App
from tests.builders import a_task, an_app
from tests.strategies import APP_IDS, PATHS

HOSTS = (
    *("*.test", "one.test", "two.test", "ONE.test", "*.one.test", "x.one.test"),
    *("one.test,two.test", "*.test,x.one.test"),
)
_LABELS: Mapping[str, tuple[str, ...]] = {
    "VHOST": HOSTS,
    "PATH": PATHS[:-2],
    "BALANCE": ("roundrobin", "leastconn", "source", "hdr(x-user)"),
    "STICKY": ("true", "false"),
    "MODE": ("http", "http", "tcp"),
    "BACKEND_WEIGHT": ("-1", "0", "1", "7"),
    "USE_HSTS": ("true",),
    "REDIRECT_TO_HTTPS": ("yes", "no"),
    "BACKEND_NETWORK_ALLOWED_ACL": ("127.0.0.1", "10.0.0.0/9 fd00::/8"),
    "HTTP_BACKEND_PROXYPASS_PATH": ("/api", "/x/"),
    "HTTP_BACKEND_REDIR": ("/start",),
}
RAW: Mapping[str, tuple[str, ...]] = {
    "BACKEND_HTTP_OPTIONS": ("  fullconn 9\n",),
    "BACKEND_SERVER_OPTIONS": ("server {serverName} {host_ipv4}:{port} maxconn 5",),
}
"""What makes a backend's section, or its servers, the app's own."""
OWN_TLS: Mapping[str, tuple[str, ...]] = {"BIND_OPTIONS": ("no-sslv3",)}
"""What makes a host's frontend its own, where hosts are told apart."""


@attrs.frozen
class RandomApps:
    """`more` are labels besides the usual; `groups` has some apps in one deployment group."""

    chance: random.Random
    more: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    groups: bool = True

    def later(self, apps: Mapping[str, App]) -> dict[str, App]:
        """Some time later: apps have come, gone, changed, scaled, or swapped their labels."""
        found = dict(apps)
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            self._change(found)
        return found

    def _change(self, apps: dict[str, App]) -> None:
        kind = self.chance.choice(("new", "new", "goes", "scales", "swap", "empties", "labels"))
        if kind == "new" or not apps:
            app_id = self.chance.choice(APP_IDS)
            apps[app_id] = self.app(app_id)
            return
        app, other = (apps[self.chance.choice(sorted(apps))] for _ in range(2))
        if kind == "goes":
            del apps[app.id]
        elif kind == "swap":
            apps[app.id] = attrs.evolve(app, labels=other.labels)
            apps[other.id] = attrs.evolve(other, labels=app.labels)
        elif kind == "labels":
            apps[app.id] = attrs.evolve(self.app(app.id), tasks=app.tasks)
        else:
            tasks = () if kind == "empties" else self.app(app.id).tasks
            apps[app.id] = attrs.evolve(app, tasks=tasks)

    def app(self, app_id: str) -> App:
        """One that can be used, with up to three tasks."""
        pick = self.chance.choice
        hosts = ("10.0.0.1", "10.0.0.2", "fd00::2")
        numbers = self.chance.sample(range(1, 7), pick((1, 2, 1, 3, 0)))
        rows = [
            a_task(each, app_id, host=pick(hosts), ports=[31000 + each, 32000 + each])
            for each in numbers
        ]
        protocol = pick((None, None, "HTTP", "TCP", "COMMAND"))
        fields: dict[str, Any] = {
            "service_ports": tuple(pick(range(10000, 10004)) for _ in range(pick((1, 1, 2)))),
            "labels": self._labels() | (self._group() if self.groups else {}),
        }
        if protocol is not None:
            fields["healthChecks"] = [{"protocol": protocol, "path": "/ok", "portIndex": 0}]
        return an_app(app_id, instances=len(rows), tasks=rows, **fields)

    def _labels(self) -> dict[str, str]:
        choices = {**_LABELS, **self.more}
        names = set(self.chance.sample(sorted(choices), self.chance.choice((1, 2, 3, 0, 2))))
        if "BALANCE" in names:
            names.discard("MODE")  # a hash of a header needs mode http
        if "BALANCE" in names or self.chance.random() < 0.6:
            names.add("VHOST")
        return {f"HAPROXY_0_{name}": self.chance.choice(choices[name]) for name in sorted(names)}

    def _group(self) -> dict[str, str]:
        if self.chance.random() < 0.6:
            return {}
        started = self.chance.choice(("2020-01-01", "2020-01-02"))
        labels = {
            "HAPROXY_DEPLOYMENT_GROUP": "group",
            "HAPROXY_DEPLOYMENT_STARTED_AT": started,
        }
        if target := self.chance.choice(("", "1", "3")):
            labels["HAPROXY_DEPLOYMENT_NEW_INSTANCES"] = "0"
            labels["HAPROXY_DEPLOYMENT_TARGET_INSTANCES"] = target
        if canary := self.chance.choice(("", "0", "5", "100")):
            labels["HAPROXY_0_CANARY_WEIGHT"] = canary
        return labels
