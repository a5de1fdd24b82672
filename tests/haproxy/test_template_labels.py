"""Templates of one app's backend: its section is raw, its servers stay live."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import pytest

from sidecar.desired.model import Desired
from sidecar.marathon.schema import App
from sidecar.plan.steps import AddServer, Plan
from tests.builders import a_task, an_app, desired_of
from tests.conditions import eventually
from tests.haproxy.skeleton_rig import (
    Answer,
    Rig,
    a_folder,
    a_layout,
    a_rig,
    free_ports,
    get,
    tasks,
)

HOST = "web.test"
TASKS = ("one", "two")
Checks = Sequence[Mapping[str, Any]]
SERVER = "server {serverName} {host_ipv4}:{port} id {serverId}{cookieOptions}{healthCheckOptions}"
HTTP_CHECK = {"protocol": "HTTP", "path": "/fail", "portIndex": 0, "intervalSeconds": 1}


@attrs.frozen
class Shop:
    """An HAProxy that is started for each test, with one app and whatever its labels say."""

    rig: Rig
    port: int
    tasks: dict[str, int]

    def desired(
        self, *names: str, labels: Mapping[str, str] | None = None, checks: Checks = ()
    ) -> Desired:
        """The app with these tasks and labels; no problem."""
        desired = desired_of([self.app(names, labels or {}, checks)])
        assert not desired.problems
        return desired

    def app(self, names: tuple[str, ...], labels: Mapping[str, str], checks: Checks) -> App:
        """The app."""
        named = {f"HAPROXY_0_{name}": text for name, text in {"VHOST": HOST, **labels}.items()}
        rows = [
            a_task(TASKS.index(name), "/web", host="127.0.0.1", ports=[self.tasks[name]])
            for name in names
        ]
        return an_app(
            "/web", labels=named, service_ports=(self.port,), tasks=rows, healthChecks=list(checks)
        )

    def starts_with(self, desired: Desired) -> str:
        """Write the file, which passes its check; its text."""
        text = self.rig.write(desired)
        code, said = self.rig.check()
        assert code == 0, said
        return text

    def get(self, path: str = "/", **headers: str) -> Answer:
        """A request at the service port."""
        return get(self.port, path, **headers)


@pytest.fixture
def shop(haproxy_binary: str) -> Iterator[Shop]:
    """Two tasks to choose from, and a folder."""
    with a_folder() as folder, tasks(TASKS) as ports:
        [port] = free_ports(1)
        yield Shop(a_rig(haproxy_binary, folder, a_layout(folder, (port,))), port, ports)


def test_servers_of_a_raw_section_come_and_go_without_a_reload(shop: Shop) -> None:
    """What was replaced holds, and so does what was not, which still changes by its label."""
    options = {"BACKEND_HTTP_OPTIONS": "  http-request set-header X-Mine yes\n"}
    shop.starts_with(shop.desired("one", labels=options))
    with shop.rig.running():
        assert shop.get().seen["x-mine"] == "yes"
        assert "x-forwarded-proto" not in shop.get().seen
        assert "x-forwarded-for" not in shop.get().seen

        shop.rig.settle(shop.desired("one", "two", labels={"USE_HSTS": "true", **options}))
        answers = [shop.get() for _ in range(4)]
        assert {answer.task for answer in answers} == {"one", "two"}
        assert all("strict-transport-security" in answer.headers for answer in answers)

        shop.rig.settle(shop.desired("two", labels=options))
        assert {shop.get().task for _ in range(4)} == {"two"}


def test_a_replaced_template_is_a_reason_to_reload_with_its_name(shop: Shop) -> None:
    """Until then the app is served as it was."""
    shop.starts_with(shop.desired("one"))
    wanted = shop.desired(
        "one", labels={"BACKEND_HTTP_OPTIONS": "  http-request set-header X-Mine yes\n"}
    )
    with shop.rig.running():
        with shop.rig.api() as api:
            reasons = shop.rig.plan(wanted, shop.rig.observe(api)).reasons
        assert [reason.kind for reason in reasons] == ["raw configuration"]
        assert shop.get().seen["x-forwarded-proto"] == "http"

        shop.rig.write(wanted)
        shop.rig.reload()
        with shop.rig.api() as api:
            assert shop.rig.plan(wanted, shop.rig.observe(api)) == Plan()
        assert eventually_seen(shop, "x-mine") == "yes"


def eventually_seen(shop: Shop, header: str) -> str:
    """A header, once a new worker answers."""
    eventually(lambda: header in shop.get().seen)
    return shop.get().seen[header]


@pytest.mark.parametrize(
    ("labels", "seen"),
    [
        (
            {"BACKEND_HSTS_OPTIONS": "  http-response set-header X-Seen hsts", "USE_HSTS": "true"},
            "hsts",
        ),
        (
            {
                "HTTP_BACKEND_REVPROXY_PATH": "/p",
                "HTTP_BACKEND_REVPROXY_GLUE": "  http-response set-header X-Seen {rootpath}",
            },
            "/p",
        ),
        (
            {"BACKEND_HEAD": "backend {backend}\n  http-response set-header X-Seen {balance}"},
            "roundrobin",
        ),
        ({"BACKEND_HTTP_OPTIONS": "  rspadd X-Seen:\\ old"}, "old"),
    ],
)
def test_answers_carry_what_a_piece_says(shop: Shop, labels: dict[str, str], seen: str) -> None:
    """Each in the place of ours."""
    shop.starts_with(shop.desired("one", labels=labels))
    with shop.rig.running():
        answer = shop.get()

    assert answer.headers["x-seen"] == seen
    assert "strict-transport-security" not in answer.headers


def test_requests_carry_what_a_piece_says(shop: Shop) -> None:
    """PROXYPASS in words of its own."""
    glue = '  reqirep "^([^ :]*)\\ {proxypath}/?(.*)" "\\1\\ /new/\\2"'
    labels = {"HTTP_BACKEND_PROXYPASS_PATH": "/old", "HTTP_BACKEND_PROXYPASS_GLUE": glue}
    shop.starts_with(shop.desired("one", labels=labels))
    with shop.rig.running():
        assert shop.get("/old/x").path == "/new/x"


@pytest.mark.parametrize(("network", "status"), [("127.0.0.1", 200), ("10.0.0.0/8", 403)])
def test_networks_are_matched_as_the_template_says(shop: Shop, network: str, status: int) -> None:
    """And the list is closed."""
    acl = "  acl network_allowed src {network_allowed}\n"
    labels = {
        "BACKEND_NETWORK_ALLOWED_ACL": network,
        "HTTP_BACKEND_NETWORK_ALLOWED_ACL": acl,
    }
    shop.starts_with(shop.desired("one", labels=labels))
    with shop.rig.running():
        answer = shop.get()

    assert answer.status == status
    assert answer.seen.get("x-forwarded-proto") == ("http" if status == 200 else None)


def test_stickiness_is_as_the_template_says(shop: Shop) -> None:
    """Under a cookie of another name."""
    options = "  cookie MINE insert indirect nocache"
    shop.starts_with(
        shop.desired("one", labels={"STICKY": "true", "BACKEND_STICKY_OPTIONS": options})
    )
    with shop.rig.running():
        assert shop.get().headers["set-cookie"].startswith("MINE=")


def test_checks_are_made_as_the_template_says(shop: Shop) -> None:
    """At another path than Marathon's."""
    options = "  option httpchk GET /good\n"
    labels = {"BACKEND_HTTP_HEALTHCHECK_OPTIONS": options}
    shop.starts_with(shop.desired("one", checks=[HTTP_CHECK], labels=labels))
    with shop.rig.running():
        shop.rig.settle(shop.desired("one", "two", checks=[HTTP_CHECK], labels=labels))
        eventually(lambda: all_passed(shop))
        assert {shop.get().task for _ in range(4)} == {"one", "two"}


def all_passed(shop: Shop) -> bool:
    """Whether HAProxy's checks at both tasks have passed."""
    with shop.rig.api() as api:
        rows = [
            line.split(",")
            for line in api.ask("show stat").splitlines()
            if line.startswith("web_") and ",BACKEND," not in line
        ]
    return len(rows) == 2 and all("L7OK" in row for row in rows)


def test_server_options_are_given_to_servers_at_run_time(shop: Shop) -> None:
    """No section of its own is needed: the app comes into a spare."""
    shop.starts_with(desired_of([]))
    with shop.rig.running(), shop.rig.api() as api:
        shop.rig.settle(
            shop.desired("one", labels={"BACKEND_SERVER_OPTIONS": f"{SERVER} send-proxy"})
        )
        steps = shop.rig.plan(
            shop.desired("one", labels={"BACKEND_SERVER_OPTIONS": f"{SERVER} maxconn 7"}),
            shop.rig.observe(api),
        ).steps
        assert any(isinstance(step, AddServer) for step in steps)
        shop.rig.settle(
            shop.desired("one", labels={"BACKEND_SERVER_OPTIONS": f"{SERVER} maxconn 7"})
        )
        assert shop.get().task == "one"


def test_options_that_no_running_haproxy_takes_wait_for_a_reload(shop: Shop) -> None:
    """Tasks leave without one, though."""
    labels = {"BACKEND_SERVER_OPTIONS": f"{SERVER} init-addr none"}
    shop.starts_with(shop.desired("one", labels=labels))
    with shop.rig.running():
        with shop.rig.api() as api:
            todo = shop.rig.plan(shop.desired("one", "two", labels=labels), shop.rig.observe(api))
        assert [reason.kind for reason in todo.reasons] == ["server options"]
        assert "init-addr" in todo.reasons[0].detail

        shop.rig.write(shop.desired("one", "two", labels=labels))
        shop.rig.reload()
        eventually(lambda: {shop.get().task for _ in range(4)} == {"one", "two"})
        shop.rig.settle(shop.desired("two", labels=labels))
        assert {shop.get().task for _ in range(4)} == {"two"}


def test_a_server_that_a_template_names_is_left_alone(shop: Shop) -> None:
    """It answers where no task does."""
    sorry = f"  server sorry 127.0.0.1:{shop.tasks['two']} backup\n"
    shop.starts_with(shop.desired("one", labels={"BACKEND_HTTP_OPTIONS": sorry}))
    with shop.rig.running():
        shop.rig.settle(shop.desired("one", labels={"BACKEND_HTTP_OPTIONS": sorry}))
        assert shop.get().task == "one"
        with shop.rig.api() as api:
            assert "sorry" in shop.rig.observe(api).backends[f"web_{shop.port}"]


def test_a_password_is_asked_for_before_a_replaced_list_of_networks_lets_in(shop: Shop) -> None:
    """`http-request allow` ends all rules: what it must not skip stands before it."""
    labels = {
        "AUTH": "realm:me:$5$x$y",
        "BACKEND_NETWORK_ALLOWED_ACL": "127.0.0.1",
        "HTTP_BACKEND_NETWORK_ALLOWED_ACL": "  acl network_allowed src {network_allowed}\n",
    }
    shop.starts_with(shop.desired("one", labels=labels))
    with shop.rig.running():
        assert shop.rig.layout.http_port is not None
        assert get(shop.rig.layout.http_port, Host=HOST).status == 401


@pytest.mark.parametrize(
    "lines",
    ["balance static-rr", "balance source\n  hash-type map-based"],
    ids=["static-rr", "map"],
)
def test_tasks_come_live_to_a_backend_of_a_fixed_kind_of_balance(shop: Shop, lines: str) -> None:
    """HAProxy would refuse each of them; what it takes does the same."""
    labels = {"BACKEND_HEAD": f"backend {{backend}}\n  {lines}"}
    shop.starts_with(shop.desired("one", labels=labels))
    with shop.rig.running():
        shop.rig.settle(shop.desired("one", "two", labels=labels))
        shop.rig.settle(shop.desired("two", labels=labels))

        assert shop.get().task == "two"
