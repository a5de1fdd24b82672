"""Templates in the frontends that apps share, and of a service port's own, with requests."""

import base64
import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping

import attrs
import pytest

from sidecar.desired.model import Desired
from sidecar.desired.templates.overrides import NO_OVERRIDES, Overrides
from sidecar.desired.templates.reading import read_template
from sidecar.desired.templates.table import TEMPLATES
from sidecar.haproxy.self_signed import make_self_signed
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Plan
from tests.builders import a_task, an_app, desired_of
from tests.haproxy.skeleton_rig import (
    WITHIN,
    Answer,
    Rig,
    a_folder,
    a_layout,
    a_rig,
    ask,
    free_ports,
    get,
    tasks,
)

HASH = "$5$mlbsalt$.q9ARGVuNsR8AmqXJQbzWIhmqiBVJOJ3dW7t/KfUKR0"  # of "secret"
NAMES = ("a", "b", "c")
OWN = "  acl host_{cleanedUpHostname} hdr(host) -i {hostname}\n"
ROUTE = "  use_backend {backend} if host_{cleanedUpHostname}\n"
Labels = Mapping[str, str]


@attrs.frozen
class Street:
    """An HAProxy with ports 80, 443 and 9091, and apps that each have a task of its name."""

    rig: Rig
    ports: Mapping[str, int]
    tasks: Mapping[str, int]

    def desired(self, overrides: Overrides = NO_OVERRIDES, **apps: Labels) -> Desired:
        """These apps with these labels, each with its own host; no problem."""
        desired = self.wanted(apps, overrides)
        assert not desired.problems
        return desired

    def wanted(self, apps: Mapping[str, Labels], overrides: Overrides = NO_OVERRIDES) -> Desired:
        """The same, with whatever problems."""
        return desired_of(
            [
                an_app(
                    f"/{name}",
                    labels={
                        f"HAPROXY_0_{label}": text
                        for label, text in ({"VHOST": f"{name}.test"} | dict(labels)).items()
                    },
                    service_ports=(self.ports[name],),
                    tasks=[a_task(1, f"/{name}", host="127.0.0.1", ports=[self.tasks[name]])],
                )
                for name, labels in apps.items()
            ],
            overrides=overrides,
        )

    @contextlib.contextmanager
    def running(self, desired: Desired) -> Iterator[None]:
        """An HAProxy that was started for this, and needs nothing more."""
        self.rig.write(desired)
        code, said = self.rig.check()
        assert code == 0, said
        with self.rig.running():
            assert self.rig.plan(desired, self.observe()) == Plan()
            yield

    def observe(self) -> Observed:
        """What HAProxy says."""
        with self.rig.api() as api:
            return self.rig.observe(api)

    def reasons(self, desired: Desired) -> list[str]:
        """The kinds of reasons to reload for this."""
        return [reason.kind for reason in self.rig.plan(desired, self.observe()).reasons]

    def host(self, host: str, path: str = "/", **headers: str) -> Answer:
        """A request on port 80."""
        assert self.rig.layout.http_port is not None
        return get(self.rig.layout.http_port, path, Host=host, **headers)

    def secure(self, host: str, path: str = "/") -> Answer:
        """A request on port 443."""
        assert self.rig.layout.https_port is not None
        context = ssl.create_default_context(cadata=(self.rig.folder / "own.pem").read_text())
        context.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", self.rig.layout.https_port), WITHIN) as plain,
            context.wrap_socket(plain, server_hostname=host) as client,
        ):
            connection = http.client.HTTPConnection(host, timeout=WITHIN)
            connection.sock = client
            with contextlib.closing(connection):
                return ask(connection, path)


@pytest.fixture
def street(haproxy_binary: str) -> Iterator[Street]:
    """Nothing runs yet."""
    with a_folder() as folder, tasks(NAMES) as found:
        *numbers, https = free_ports(len(NAMES) + 1)
        (folder / "own.pem").write_text(make_self_signed("own.test"))
        (folder / "crt-list.txt").write_text(f"{folder}/own.pem\n")
        layout = a_layout(folder, tuple(numbers), https_port=https)
        rig = a_rig(haproxy_binary, folder, layout)
        yield Street(rig, dict(zip(NAMES, numbers, strict=True)), found)


def overrides(**texts: str) -> Overrides:
    """Templates as they are read."""
    return Overrides.of(
        {name: read_template(TEMPLATES[name], text) for name, text in texts.items()}
    )


def test_a_rule_of_an_app_may_match_more_than_its_host(street: Street) -> None:
    """What the maps give to somebody else stays his."""
    wide = "  acl wide hdr_end(host) -i .test\n  use_backend {backend} if wide\n"
    with street.running(street.desired(a={"HTTP_FRONTEND_ACL": wide}, b={})):
        assert street.host("a.test").task == "a"
        assert street.host("elsewhere.test").task == "a"
        assert street.host("b.test").task == "b"
        assert street.host("a.other").status == 503


def test_a_rule_of_an_app_may_match_less_than_its_host(street: Street) -> None:
    """Other ways to the app stay open."""
    text = (
        OWN + "  use_backend {backend} if host_{cleanedUpHostname} {{ req.hdr(x-key) -m found }}\n"
    )
    with street.running(street.desired(a={"HTTP_FRONTEND_ACL": text})):
        assert street.host("a.test").status == 503
        assert street.host("a.test", X_Key="k").task == "a"
        assert street.secure("a.test").task == "a"
        assert get(street.ports["a"]).task == "a"


def test_a_rule_without_a_condition_is_for_its_app_alone(street: Street) -> None:
    """Nobody else is refused, redirected, or led away."""
    text = "  http-request deny deny_status 429\n  use_backend {backend}\n"
    with street.running(street.desired(a={"HTTP_FRONTEND_ACL": text}, b={}, c={})):
        assert street.host("a.test").status == 429
        assert [street.host(f"{name}.test").task for name in "bc"] == ["b", "c"]


def test_rules_of_two_apps_hold_each_for_its_own(street: Street) -> None:
    """The heavier one has the host that both want."""
    text = OWN + "  http-request set-header X-By {backend}\n" + ROUTE
    both = {"VHOST": "both.test", "HTTP_FRONTEND_ACL": text}
    apps = {"a": {**both, "BACKEND_WEIGHT": "1"}, "b": {**both, "BACKEND_WEIGHT": "5"}}
    desired = street.wanted(apps)
    with street.running(desired):
        answer = street.host("both.test")

    assert answer.task == "b"
    assert answer.seen["x-by"] == f"b_{street.ports['b']}"


def test_a_redirect_in_an_apps_own_words(street: Street) -> None:
    """With a path that goes without; the app next door has ours."""
    text = (
        "  http-request redirect scheme https code 302 if host_{cleanedUpHostname}"
        " !{{ path_beg /plain }}\n  use_backend {backend} if host_{cleanedUpHostname}\n"
    )
    labels = {"REDIRECT_TO_HTTPS": "true", "BACKEND_REDIRECT_HTTP_TO_HTTPS": text}
    with street.running(
        street.desired(a={**labels, "HTTP_FRONTEND_ACL": OWN}, b={"REDIRECT_TO_HTTPS": "true"})
    ):
        assert street.host("a.test").status == 302
        assert street.host("a.test", "/plain").task == "a"
        assert street.host("b.test", "/plain").status == 301
        assert street.secure("a.test").task == "a"


def test_a_password_in_an_apps_own_words(street: Street) -> None:
    """One path goes without it, on port 80 alone."""
    text = (
        OWN
        + "  acl auth_{cleanedUpHostname} http_auth(user_{backend})\n"
        + '  http-request auth realm "{realm}" if host_{cleanedUpHostname}'
        + " !auth_{cleanedUpHostname} !{{ path /open }}\n"
        + ROUTE
    )
    labels = {"AUTH": f"my realm:me:{HASH}", "HTTP_FRONTEND_ACL_WITH_AUTH": text}
    known = base64.b64encode(b"me:secret").decode()
    with street.running(street.desired(a=labels)):
        asked = street.host("a.test")
        assert (asked.status, asked.headers["www-authenticate"]) == (401, 'Basic realm="my realm"')
        assert street.host("a.test", Authorization=f"Basic {known}").task == "a"
        assert street.host("a.test", "/open").task == "a"
        assert street.secure("a.test", "/open").status == 401


def test_a_user_list_in_an_apps_own_words(street: Street) -> None:
    """A second user comes in."""
    text = (
        "userlist user_{backend}\n  user {user} password {passwd}\n  user you password {passwd}\n"
    )
    known = base64.b64encode(b"you:secret").decode()
    with street.running(street.desired(a={"AUTH": f"r:me:{HASH}", "USERLIST_HEAD": text})):
        assert street.host("a.test").status == 401
        assert street.host("a.test", Authorization=f"Basic {known}").task == "a"


def test_port_443_in_an_apps_own_words(street: Street) -> None:
    """Port 80 stays as it is."""
    text = "  use_backend {backend} if {{ ssl_fc_sni {hostname} }} {{ path /only }}\n"
    with street.running(street.desired(a={"HTTPS_FRONTEND_ACL": text}, b={})):
        assert street.secure("a.test", "/only").task == "a"
        assert street.secure("a.test").status == 503
        assert street.secure("b.test").task == "b"
        assert street.host("a.test").task == "a"


def test_port_9091_in_an_apps_own_words(street: Street) -> None:
    """Under another name too."""
    text = "  use_backend {backend} if {{ req.hdr(x-marathon-app-id) -m str nick {appId} }}\n"
    with street.running(street.desired(a={"HTTP_FRONTEND_APPID_ACL": text}, b={})):
        by_id = {
            name: get(street.rig.layout.appid_port, X_Marathon_App_Id=name)
            for name in ("/a", "nick", "/b", "none")
        }

    assert [by_id[name].task for name in ("/a", "nick", "/b")] == ["a", "a", "b"]
    assert by_id["none"].status == 503


def test_several_hosts_and_a_path_in_the_operators_words(street: Street) -> None:
    """For every app that has such; its own backend is where the rules say."""
    found = overrides(
        HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH="  use_backend {backend} if"
        " host_{cleanedUpHostname} path_{backend} {{ req.hdr(x-key) -m found }}\n"
    )
    labels = {"VHOST": "one.test,two.test", "PATH": "/p"}
    with street.running(street.desired(found, a=labels, b={})):
        for host in ("one.test", "two.test"):
            assert street.host(host, "/p/x", X_Key="k").task == "a"
            assert street.host(host, "/p/x").status == 503
        assert street.host("b.test").task == "b"


def test_the_maps_in_the_operators_words(street: Street) -> None:
    """Paths still come first; what the rule says takes the place of ours."""
    found = overrides(
        MAP_HTTP_FRONTEND_ACL="  use_backend"
        " %[req.hdr(x-host),lower,map({haproxy_dir}/domain2backend.map)]\n",
        MAP_HTTP_FRONTEND_APPID_ACL="  use_backend"
        " %[req.hdr(x-id),lower,map({haproxy_dir}/app2backend.map)]\n",
    )
    with street.running(street.desired(found, a={}, b={"PATH": "/p"})):
        assert street.host("a.test").status == 503
        assert street.host("any", X_Host="a.test").task == "a"
        assert street.host("b.test", "/p").task == "b"
        assert get(street.rig.layout.appid_port, X_Id="/a").task == "a"
        assert street.secure("a.test").task == "a"


def test_rules_are_structure_and_what_is_gone_is_none(street: Street) -> None:
    """An app that leaves and comes again needs no reload for its rules."""
    ruled = {"HTTP_FRONTEND_ACL": OWN + ROUTE}
    other = {"HTTP_FRONTEND_ACL": OWN + "  http-request deny\n" + ROUTE}
    with street.running(street.desired(a=ruled, b={})):
        assert street.reasons(street.desired(a=other, b={})) == ["raw configuration"]
        assert "raw configuration" in street.reasons(street.desired(a={}, b={}))
        assert "raw configuration" in street.reasons(street.desired(a=ruled, b=ruled))
        assert street.reasons(street.desired(b={})) == []

        street.rig.settle(street.desired(b={}))
        assert street.host("a.test").status == 503
        if not street.rig.layout.makes_backends:
            street.rig.settle(street.desired(a=ruled, b={}))
            assert street.host("a.test").task == "a"


def test_a_service_port_in_an_apps_own_words(street: Street) -> None:
    """Its servers are live; with none left the port answers that nobody is there."""
    labels = {
        "MODE": "http",
        "FRONTEND_HEAD": "frontend {backend}\n  bind {bindAddr}:{servicePort}{bindOptions}\n"
        "  mode {mode}\n  http-response set-header X-Front yes\n",
        "FRONTEND_BACKEND_GLUE": "  use_backend {backend} unless {{ path /no }}\n",
    }
    wanted = street.desired(a=labels, b={})
    with street.running(wanted):
        answer = get(street.ports["a"])
        assert (answer.task, answer.headers["x-front"]) == ("a", "yes")
        assert get(street.ports["a"], "/no").status == 503
        assert "x-front" not in get(street.ports["b"]).headers
        assert street.host("a.test").task == "a"
        assert "bind" in street.reasons(street.desired(a={"MODE": "http"}, b={}))


def test_every_service_port_in_the_operators_words(street: Street) -> None:
    """Tcp and http alike."""
    found = overrides(
        FRONTEND_HEAD="frontend {backend}\n  bind {bindAddr}:{servicePort}\n  mode {mode}\n"
        "  maxconn 77\n"
    )
    with street.running(street.desired(found, a={}, b={"VHOST": "", "MODE": "tcp"})):
        assert get(street.ports["a"]).task == "a"
        assert get(street.ports["b"]).task == "b"
        with street.rig.api() as api:
            rows = [line.split(",") for line in api.ask("show stat").splitlines()]
        limits = {row[0]: row[6] for row in rows if row[0].startswith("mlb_port_")}
    assert limits == {f"mlb_port_{street.ports[name]}": "77" for name in "ab"}
