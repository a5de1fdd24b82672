"""Many apps in one real HAProxy, and statements about it, a row each, with requests that show it.

Apps are told in few words (`app`), and so are requests (`Ask`) and what they bring (`Got`). Ports
are the kernel's choice: in labels and in what is expected `{name}` stands for the port of a door.
"""

import contextlib
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.x509.oid import NameOID

from sidecar.desired.certificates import CRT_LIST
from sidecar.desired.claims import PortRules
from sidecar.desired.compose import compose
from sidecar.desired.derive import Rules
from sidecar.desired.model import Desired
from sidecar.marathon.schema import App
from tests.builders import a_task, an_app, part_of
from tests.haproxy.skeleton_rig import WITHIN, Rig, a_folder, a_layout, a_rig, free_ports, tasks
from tests.pems import known

CLOSED = "closed"
"""In the place of a status: the connection was closed without a word."""
REFUSED = "refused"
"""The same: nobody listens."""

_DOOR = re.compile(r"\{([a-z0-9/:.-]+)\}")


# --- apps ---


@attrs.frozen
class Sketch:
    """An app in few words; each of its tasks serves each of its ports."""

    labels: Mapping[str, str]
    tasks: tuple[Mapping[str, Any], ...]
    ports: int
    health: tuple[bool | None, ...]
    fields: Callable[[Sequence[Sequence[int]]], Mapping[str, Any]]

    def places(self, app_id: str) -> list[list[str]]:
        """The names of what answers: `/app 1` for the first port, `/app:1 1` for the next."""
        return [
            [f"{door} {number}" for door in doors_of(app_id, self.ports)]
            for number in range(1, len(self.tasks) + 1)
        ]


def app(
    tasks: int | Sequence[Mapping[str, Any]] = 1,
    *,
    ports: int = 1,
    labels: Mapping[str, str] | None = None,
    health: Sequence[bool | None] = (),
    fields: Mapping[str, Any]
    | Callable[[Sequence[Sequence[int]]], Mapping[str, Any]]
    | None = None,
    **of_port_0: str,
) -> Sketch:
    """An app: labels of port 0 as they come, others by their whole names.

    `tasks` are how many, or fields of each; `fields` are the app's own, perhaps made from the ports
    that its tasks have; `health` is what was last heard of each task.
    """
    named = {f"HAPROXY_0_{name}": text for name, text in of_port_0.items()} | dict(labels or {})
    each = ({},) * tasks if isinstance(tasks, int) else tuple(tasks)
    made = fields if callable(fields) else lambda _: fields or {}
    return Sketch(named, each, ports, tuple(health), made)


def http_check(path: str = "/", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 (Marathon's own)
    """A health check of Marathon's that HAProxy repeats every second."""
    quick = {"intervalSeconds": 1, "timeoutSeconds": 2, "maxConsecutiveFailures": 0}
    return {"protocol": "HTTP", "path": path, "portIndex": 0, **quick, **fields}


# --- requests and what they bring ---


@attrs.frozen
class Ask:
    """A request at a door: `http`, `https`, `appid`, `stats`, or an app's id: its service port."""

    door: str = "http"
    host: str = ""
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    tls: bool = False
    """At a service port; the door `https` has it anyway."""
    sni: str | None = None
    source: str = "127.0.0.1"
    address: str = "127.0.0.1"


@attrs.frozen
class Got:
    """What is expected of an answer: only what is given counts, None stands for an absent header.

    `headers` are the answer's, `text` stands in its body; `path` and `seen` are the request's, as
    the task got it. `spread` is how many tasks answer the same request, asked many times; `task`
    are then the apps that they are of.
    """

    status: int | str = 200
    task: str | None = None
    path: str | None = None
    headers: Mapping[str, str | None] = attrs.field(factory=dict)
    seen: Mapping[str, str | None] = attrs.field(factory=dict)
    text: str | None = None
    certificate: str | None = None
    spread: int | None = None


@attrs.frozen
class Row:
    """One statement with the requests that show it, and what is said about apps."""

    said: str
    exchanges: tuple[tuple[Ask, Got], ...] = ()
    problems: Mapping[str, str] = attrs.field(factory=dict)
    """App id to some words of a problem; none at all where they are empty."""
    within: float = 0
    """Seconds that it may take to become so."""


def row(
    said: str,
    *exchanges: tuple[Ask, Got],
    problems: Mapping[str, str] | None = None,
    within: float = 0,
) -> Row:
    """A statement, told in few words."""
    return Row(said, exchanges, problems or {}, within)


def said(each: Row) -> str:
    """The name of a row's test."""
    return each.said


@attrs.frozen
class Reply:
    """What came, where `got` has the same fields as what is expected."""

    status: int | str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    task: str = ""
    path: str = ""
    seen: Mapping[str, str] = attrs.field(factory=dict)
    text: str = ""
    certificate: str = ""


@attrs.frozen
class Site:
    """A running HAProxy with its apps, and the ports by the names of the doors."""

    rig: Rig
    doors: Mapping[str, int]
    task_ports: Mapping[str, int]
    desired: Desired

    def fill(self, text: str) -> str:
        """A text with ports in the place of doors."""
        return fill(text, self.doors)

    def ask(self, asked: Ask) -> Reply:
        """Send a request."""
        address = (asked.address, self.doors[asked.door])
        try:
            with socket.create_connection(address, WITHIN, (asked.source, 0)) as plain:
                if asked.door != "https" and not asked.tls:
                    return _ask(plain, asked)
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                with context.wrap_socket(plain, server_hostname=asked.sni) as secure:
                    shown = _name_of(secure.getpeercert(binary_form=True) or b"")
                    return attrs.evolve(_ask(secure, asked), certificate=shown)
        except ConnectionRefusedError:
            return Reply(REFUSED)
        except (ConnectionResetError, http.client.RemoteDisconnected):
            return Reply(CLOSED)

    def shows(self, each: Row) -> None:
        """Check a row, for as long as it may take."""
        for app_id, words in each.problems.items():
            every = (*self.desired.problems, *self.desired.notices)
            told = [str(found) for found in every if found.app_id == app_id]
            assert (not told) if not words else any(self.fill(words) in text for text in told), told
        deadline = time.monotonic() + each.within
        for asked, expected in each.exchanges:
            while True:
                found, wanted = self._compared(asked, expected)
                if found == wanted or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            assert found == wanted, f"{asked}: {found} is not {wanted}"

    def _compared(self, asked: Ask, expected: Got) -> tuple[dict[str, Any], dict[str, Any]]:
        """What came and what should, each cut down to what is expected."""
        reply = self.ask(asked)
        wanted: dict[str, Any] = {"status": expected.status}
        found: dict[str, Any] = {"status": reply.status}
        for name in ("task", "path", "certificate"):
            if (value := getattr(expected, name)) is not None:
                wanted[name] = value
                found[name] = getattr(reply, name).removesuffix(" 1")
        if expected.text is not None:
            wanted["text"] = self.fill(expected.text)
            found["text"] = wanted["text"] if wanted["text"] in reply.text else reply.text
        for name in ("headers", "seen"):
            if given := getattr(expected, name):
                wanted[name] = {key: text and self.fill(text) for key, text in given.items()}
                found[name] = {key: getattr(reply, name).get(key) for key in given}
        if expected.spread is not None:
            wanted["spread"] = expected.spread
            answers = [self.ask(asked) for _ in range(4 * expected.spread + 8)]
            names = {answer.task for answer in answers if answer.task}
            found["spread"] = len(names)
            if expected.task is not None:
                found["task"] = ",".join(sorted({name.rpartition(" ")[0] for name in names}))
        return found, wanted

    def becomes(self, apps: Mapping[str, Sketch], rules: Rules) -> "Site":
        """The same HAProxy with other apps, brought there by commands alone."""
        desired = self.desire(apps, rules)
        self.rig.settle(desired)
        return attrs.evolve(self, desired=desired)

    def desire(self, apps: Mapping[str, Sketch], rules: Rules) -> Desired:
        """What HAProxy should have for other apps."""
        ports = port_rules(self.rig, self.doors)
        return desire(apps, self.doors, self.task_ports, rules, ports)


def _name_of(certificate: bytes) -> str:
    subject = x509.load_der_x509_certificate(certificate).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _ask(stream: socket.socket, asked: Ask) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", timeout=WITHIN)
    connection.sock = stream
    connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
    if asked.host:
        connection.putheader("Host", asked.host)
    for name, text in asked.headers.items():
        connection.putheader(name, text)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    echoed = json.loads(text) if answer.status == 200 and text.startswith('{"task"') else {}
    return Reply(answer.status, headers, text=text, **echoed)


# --- from apps to a running HAProxy ---


@contextlib.contextmanager
def serving(
    binary: str,
    apps: Mapping[str, Sketch],
    *,
    rules: Rules | None = None,
    certificates: Sequence[str] = (),
    doors: Sequence[str] = (),
    **layout: Any,  # noqa: ANN401 (Layout's own)
) -> Iterator[Site]:
    """Start HAProxy with these apps; `doors` are service ports more than apps have by themselves.

    `certificates` are the names on port 443, the first for those who ask for none of them.
    """
    places = [name for key, each in apps.items() for row in each.places(key) for name in row]
    with a_folder() as folder, tasks(tuple(places)) as task_ports:
        names = [name for key, each in apps.items() for name in doors_of(key, each.ports)]
        found = dict(
            zip([*names, *doors], sorted(free_ports(len(names) + len(doors))), strict=True)
        )
        if certificates:
            layout["https_port"] = free_ports(1)[0]
            _write_certificates(folder, certificates)
        rig = a_rig(binary, folder, a_layout(folder, tuple(found.values()), **layout))
        found |= _own_doors(rig)
        desired = desire(apps, found, task_ports, rules or Rules(), port_rules(rig, found))
        rig.write(desired)
        with rig.running():
            yield Site(rig, found, task_ports, desired)


def doors_of(app_id: str, ports: int) -> list[str]:
    """The doors of an app's service ports: its id, then its id with the port's index."""
    return [f"{app_id}:{port}" if port else app_id for port in range(ports)]


def _own_doors(rig: Rig) -> dict[str, int]:
    """The doors of the balancer itself."""
    layout = rig.layout
    ports = {
        "http": layout.http_port,
        "https": layout.https_port,
        "appid": layout.appid_port,
        "stats": layout.stats_port,
    }
    return {name: port for name, port in ports.items() if port is not None}


def _write_certificates(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / f"{name}.pem").write_text(known(name))
    (folder / CRT_LIST).write_text("".join(f"{folder}/{name}.pem\n" for name in names))


def port_rules(rig: Rig, doors: Mapping[str, int]) -> PortRules:
    """Ports that no app can have, and those of the doors whose name begins with `assigned`."""
    pool = sorted(port for name, port in doors.items() if name.startswith("assigned"))
    span = range(pool[0], pool[-1] + 1, max(1, pool[-1] - pool[0])) if pool else range(0)
    return PortRules(assigned=span, reserved=rig.layout.reserved)


def desire(
    apps: Mapping[str, Sketch],
    doors: Mapping[str, int],
    task_ports: Mapping[str, int],
    rules: Rules,
    ports: PortRules,
) -> Desired:
    """What HAProxy should have for these apps."""
    parts = []
    for app_id, sketch in apps.items():
        made = _made(app_id, sketch, doors, task_ports)
        health = {
            task.id: alive
            for task, alive in zip(made.tasks, sketch.health, strict=False)
            if alive is not None
        }
        parts.append(part_of(made, rules, health=health))
    return compose(parts, ports, {})


def _made(
    app_id: str, sketch: Sketch, doors: Mapping[str, int], task_ports: Mapping[str, int]
) -> App:
    rows = [[task_ports[name] for name in places] for places in sketch.places(app_id)]
    return an_app(
        app_id,
        **{
            "labels": {name: fill(text, doors) for name, text in sketch.labels.items()},
            "service_ports": [doors[door] for door in doors_of(app_id, sketch.ports)],
            "tasks": [
                a_task(number, app_id, **{"host": "127.0.0.1", "ports": row, **more})
                for number, (row, more) in enumerate(zip(rows, sketch.tasks, strict=True))
            ],
            **sketch.fields(rows),
        },
    )


def fill(text: str, doors: Mapping[str, int]) -> str:
    """A text with ports in the place of doors; any other brace stays."""
    return _DOOR.sub(lambda match: str(doors.get(match[1], match[0])), text)
