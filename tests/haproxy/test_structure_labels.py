"""Labels that are structure: what they ask for holds once HAProxy was started from the file."""

import base64
import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator

import attrs
import pytest

from sidecar.desired.model import Desired
from sidecar.haproxy.self_signed import make_self_signed
from sidecar.marathon.schema import App
from sidecar.plan.observed import Observed
from sidecar.plan.steps import Plan
from tests.builders import a_task, an_app, desired_of
from tests.haproxy.skeleton_rig import (
    WITHIN,
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


@attrs.frozen
class Structured:
    """A running HAProxy, and where its apps are."""

    rig: Rig
    desired: Desired
    locked: int
    secure: int
    elsewhere: int


@pytest.fixture(scope="module")
def running(haproxy_binary: str) -> Iterator[Structured]:
    """Three apps: one with a password, one with TLS, one at an address of its own."""
    with a_folder() as folder, tasks(("locked", "secure", "elsewhere")) as ports:
        locked, secure, elsewhere = free_ports(3)
        rig = a_rig(haproxy_binary, folder, a_layout(folder, (locked, secure, elsewhere)))
        (folder / "own.pem").write_text(make_self_signed("own.test"))
        wanted = {
            "locked": (locked, {"VHOST": "locked.test", "AUTH": f"my realm:me:{HASH}"}),
            "secure": (
                secure,
                {"MODE": "http", "SSL_CERT": f"{folder}/own.pem", "BIND_OPTIONS": "alpn http/1.1"},
            ),
            "elsewhere": (elsewhere, {"MODE": "http", "BIND_ADDR": "127.0.0.2"}),
        }
        desired = desired_of(
            an_app(
                f"/{name}",
                labels={f"HAPROXY_0_{label}": text for label, text in labels.items()},
                service_ports=(port,),
                tasks=[a_task(1, f"/{name}", host="127.0.0.1", ports=[ports[name]])],
            )
            for name, (port, labels) in wanted.items()
        )
        rig.write(desired)
        code, text = rig.check()  # 3.4 says how long a slow password hash takes
        assert code == 0, text
        with rig.running():
            yield Structured(rig, desired, locked, secure, elsewhere)


def test_a_process_started_with_structure_needs_nothing(running: Structured) -> None:
    """It says of itself what it was made from."""
    with running.rig.api() as api:
        assert running.rig.plan(running.desired, running.rig.observe(api)) == Plan()


@pytest.mark.parametrize(
    ("credentials", "status"), [(None, 401), ("me:wrong", 401), ("me:secret", 200)]
)
def test_a_password_is_asked_for_on_port_80(
    running: Structured, credentials: str | None, status: int
) -> None:
    """With the label's realm."""
    port = running.rig.layout.http_port
    assert port is not None
    headers = {"Host": "locked.test"}
    if credentials:
        encoded = base64.b64encode(credentials.encode()).decode()
        headers["Authorization"] = f"Basic {encoded}"

    answer = get(port, **headers)

    assert answer.status == status
    assert answer.headers.get("www-authenticate") == (
        'Basic realm="my realm"' if status == 401 else None
    )


def test_the_service_port_of_an_app_with_a_password_stays_open(running: Structured) -> None:
    """As it does behind marathon-lb."""
    assert get(running.locked).task == "locked"


def test_a_service_port_speaks_tls_with_its_own_certificate(running: Structured) -> None:
    """And the task is told so."""
    context = ssl.create_default_context(cadata=(running.rig.folder / "own.pem").read_text())
    with (
        socket.create_connection(("127.0.0.1", running.secure), WITHIN) as plain,
        context.wrap_socket(plain, server_hostname="own.test") as client,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", timeout=WITHIN)
        connection.sock = client
        answer = ask(connection)
        connection.close()

    assert (answer.task, answer.seen["x-forwarded-proto"]) == ("secure", "https")


def test_a_service_port_can_have_an_address_of_its_own(running: Structured) -> None:
    """And is not to be had at another."""
    connection = http.client.HTTPConnection("127.0.0.2", running.elsewhere, timeout=WITHIN)
    with contextlib.closing(connection):
        assert ask(connection).task == "elsewhere"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.elsewhere), WITHIN)


def test_what_is_structure_is_a_reason_to_reload_when_it_changes(running: Structured) -> None:
    """A password, once asked for, is not taken away by taking another place; nor a bind."""
    with running.rig.api() as api:
        observed = running.rig.observe(api)
    plain = an_owner("locked", running.locked, VHOST="locked.test")
    other = an_owner("locked", running.locked, VHOST="locked.test", AUTH=f"other:me:{HASH}")
    moved = an_owner("elsewhere", running.elsewhere, MODE="http")

    assert reasons(running, observed, plain) == []  # it takes a spare
    assert reasons(running, observed, other) == ["raw configuration"]
    assert reasons(running, observed, moved) == ["bind"]


def an_owner(name: str, port: int, **labels: str) -> App:
    """One of the apps, with other labels."""
    named = {f"HAPROXY_0_{label}": text for label, text in labels.items()}
    return an_app(f"/{name}", labels=named, service_ports=(port,), tasks=[a_task(1, f"/{name}")])


def reasons(running: Structured, observed: Observed, app: App) -> list[str]:
    """The kinds of reasons that the plan for this app alone has."""
    return [reason.kind for reason in running.rig.plan(desired_of([app]), observed).reasons]
