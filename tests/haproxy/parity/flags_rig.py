"""HAProxy as marathon-lb's words want it, around the same apps, and hellos to its TLS port.

The words go through the drop-in's own command, up to where the main job would begin; then HAProxy
is started from what that would write.
"""

import base64
import contextlib
import datetime as dt
import http.server
import json
import os
import re
import signal
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
import structlog
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sidecar import app, assembly, inspection
from sidecar.cli import main
from sidecar.desired.model import Desired
from sidecar.dropin.table import VARIABLES
from sidecar.settings import Settings
from tests.builders import VERSION, a_task
from tests.haproxy.parity.rig import Row, Site, fill
from tests.haproxy.skeleton_rig import a_folder, a_rig, free_ports, tasks
from tests.marathon.scripted_server import Connection, Request, ScriptedServer
from tests.pems import known

LOGIN, TOKEN = "user:a-word", "a-token"
SERVED = ("/web", "/other", "/enabled", "/half", "/checked", "/lb", "/own", "/zero", "/ip")
OWN_TASKS = ("/peer", "/silent", "/tunnel", "/full")
DOORS = (*SERVED, *OWN_TASKS)
Json = dict[str, Any]


@attrs.frozen
class Setup:
    """A command line with its environment, and what it makes of the same apps.

    `labels` are more of an app's, `only` are further apps that there are, `login` is what Marathon
    asks for.
    """

    rows: tuple[Row, ...]
    words: tuple[str, ...] = ("--group", "external")
    variables: Mapping[str, str] = attrs.field(factory=dict)
    labels: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    only: tuple[str, ...] = ()
    login: str = ""


class _Peer(http.server.BaseHTTPRequestHandler):
    """Answers with the port that the balancer came from."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Serve a connection, which may be torn when HAProxy ends."""
        with contextlib.suppress(ConnectionResetError):
            super().handle()

    def do_GET(self) -> None:
        """Say it."""
        body = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Say nothing."""


@contextlib.contextmanager
def silent_tasks() -> Iterator[Mapping[str, int]]:
    """Tasks that take connections and say nothing, and one that takes none for being full."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=100) as silent,
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
    ):
        port = silent.getsockname()[1]
        yield {"/silent 1": port, "/tunnel 1": port, "/full 1": full.getsockname()[1]}


@contextlib.contextmanager
def a_peer() -> Iterator[int]:
    """A task whose answers tell its connections apart; its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Peer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


def told(setup: Setup, doors: Mapping[str, int], ports: Mapping[str, int], dead: int) -> list[Json]:
    """The apps as Marathon tells of them."""
    one = {name: [a_task(1, name, host="127.0.0.1", ports=[ports[f"{name} 1"]])] for name in DOORS}
    one["/half"] += [a_task(2, "/half", host="127.0.0.1", ports=[dead])]
    one["/checked"] += [a_task(2, "/checked", host="127.0.0.1", ports=[ports["/checked 2"]])]
    one["/checked"][0]["healthCheckResults"] = [{"alive": True}]
    one["/ip"][0] |= {"host": "10.9.9.9", "ipAddresses": [{"ipAddress": "127.0.0.1"}]}
    more: dict[str, Json] = {
        "/checked": {"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}]},
        "/ip": {
            "networks": [{"mode": "container"}],
            "portDefinitions": [],
            "container": {"portMappings": [{"containerPort": ports["/ip 1"], "servicePort": 0}]},
        },
    }
    own = {
        "/other": {"HAPROXY_GROUP": "internal"},
        "/enabled": {"HAPROXY_0_ENABLED": "true"},
        "/tunnel": {"HAPROXY_0_MODE": "tcp"},
    }
    usual = [name for name in DOORS if name not in {"/own", "/zero", "/ip"}]
    return [
        {
            "id": name,
            "version": VERSION,
            "labels": {
                "HAPROXY_GROUP": "external",
                "HAPROXY_0_VHOST": f"{name[1:]}.test",
                **own.get(name, {}),
                **setup.labels.get(name, {}),
            },
            "portDefinitions": [{"port": doors[name]}],
            "tasks": one[name],
            **more.get(name, {}),
        }
        for name in (*usual, *setup.only)
    ]


def a_marathon(apps: list[Json], login: str) -> ScriptedServer:
    """A Marathon that may ask for a login; the secret of Vault lies beside it."""
    wanted = "Basic " + base64.b64encode(login.encode()).decode()
    user, _, word = LOGIN.partition(":")

    def script(connection: Connection, request: Request) -> None:
        if request.path == "/v1/secret" and request.headers["x-vault-token"] == TOKEN:
            connection.reply(json.dumps({"data": {"user": user, "pass": word}}).encode())
        elif login and request.headers.get("authorization") != wanted:
            connection.reply(b"{}", status="401 Unauthorized")
        else:
            found = {"apps": apps} if request.path == "/v2/apps" else []
            connection.reply(json.dumps(found).encode())

    return ScriptedServer(script)


def an_rsa_certificate(name: str) -> str:
    """A certificate with an RSA key, which old ciphers need."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=9))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM).decode() + secret.decode()


def written(words: tuple[str, ...], variables: Mapping[str, str]) -> Settings:
    """Have the drop-in read its words; where it would begin, write what HAProxy starts from."""
    found: list[Settings] = []

    def begin(settings: Settings) -> None:
        inspection.write(settings, skeleton=False)
        found.append(settings)

    names = {each.name for each in VARIABLES} | {x for x in os.environ if x.startswith("MLB_")}
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app, "run", begin)
        clean: dict[str, str | None] = dict.fromkeys(names)
        result = CliRunner().invoke(main, words, env={**clean, **variables})
    structlog.reset_defaults()
    for number, handler in before.items():
        signal.signal(number, handler)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return found[0]


@contextlib.contextmanager
def balancing(binary: str, setup: Setup) -> Iterator[Site]:
    """Start HAProxy as these words want it."""
    names = (*(f"{name} 1" for name in SERVED), "/checked 2")
    with (
        a_folder() as folder,
        tasks(names) as task_ports,
        a_peer() as peer,
        silent_tasks() as silent,
    ):
        numbers = free_ports(len(DOORS) + 5)
        own = dict(zip(("http", "https", "appid", "stats"), numbers, strict=False))
        *service, dead = numbers[4:]
        doors = own | dict(zip(DOORS, service, strict=True))
        (folder / "login").write_text(LOGIN)
        (folder / "given.pem").write_text(known("given.test"))
        (folder / "rsa.pem").write_text(an_rsa_certificate("rsa.test"))
        (folder / "sandbox" / "templates").mkdir(parents=True)
        (folder / "sandbox" / "templates" / "HAPROXY_BACKEND_HTTP_OPTIONS").write_text(
            "  option forwardfor\n  http-response set-header X-Sandbox yes\n"
        )
        place = {"{folder}": str(folder)}
        setup = attrs.evolve(
            setup,
            labels={
                name: {key: filled(text, doors, place) for key, text in each.items()}
                for name, each in setup.labels.items()
            },
        )
        apps = told(setup, doors, {**task_ports, **silent, "/peer 1": peer}, dead)
        with a_marathon(apps, setup.login) as marathon:
            place["{marathon}"] = marathon.url
            last = () if "--marathon" in setup.words else ("--marathon", marathon.url)
            settings = written(
                ("sse", *(filled(word, doors, place) for word in setup.words), *last),
                {
                    **{f"MLB_{name.upper()}_PORT": str(port) for name, port in own.items()},
                    "MLB_BIND": "127.0.0.1",
                    "MLB_HAPROXY": binary,
                    "MLB_STATE_DIR": str(folder),
                    "MLB_SECOND_SOCKET": str(folder / "second.sock"),
                    "MLB_SSL_DIR": str(folder / "ssl"),
                    "MLB_SERVICE_PORTS": ",".join(str(doors[x]) for x in DOORS if x != "/ip"),
                    "MLB_SPARES": "1",
                    "MLB_SPARES_EACH": "1",
                    # No agent runs here; and this is how marathon-lb had it.
                    "MLB_ERROR_PAGES": "plain",
                    "MLB_AUTH": "userlists",
                    **{key: filled(text, doors, place) for key, text in setup.variables.items()},
                },
            )
        rig = a_rig(binary, folder, assembly.layout(settings))
        with rig.running():
            yield Site(rig, doors, task_ports, Desired())


def filled(text: str, doors: Mapping[str, int], places: Mapping[str, str]) -> str:
    """A text with ports and places in it."""
    for name, place in places.items():
        text = text.replace(name, place)
    return fill(text, doors)


def session(site: Site, door: str, sent: bytes, like: str) -> str:
    """What HAProxy says of a client who has sent this and waits, once it is like that."""
    address = ("127.0.0.1", site.doors[door])
    with socket.create_connection(address, 10) as client, site.rig.api() as api:
        client.sendall(sent)
        mine = f"src=127.0.0.1:{client.getsockname()[1]} "
        deadline = time.monotonic() + 5
        found = ""
        while not re.search(like, found) and time.monotonic() < deadline:
            found = next((x for x in api.ask("show sess").splitlines() if mine in x), found)
        return found


# --- TLS as a client's hello finds it ---


@attrs.frozen
class Hello:
    """What a client and port 443 have agreed on."""

    version: str | None
    cipher: str
    protocol: str | None
    ticket: bool


def hello(
    site: Site,
    *,
    version: ssl.TLSVersion,
    ciphers: str = "DEFAULT:@SECLEVEL=0",
    sni: str | None = None,
    alpn: tuple[str, ...] = (),
) -> Hello:
    """Say hello to port 443 in this version and with these ciphers alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what is asked about
        context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    plain = socket.create_connection(("127.0.0.1", site.doors["https"]), 10)
    with plain, context.wrap_socket(plain, server_hostname=sni) as secure:
        agreed = secure.cipher()
        return Hello(
            secure.version(),
            agreed[0] if agreed else "",
            secure.selected_alpn_protocol(),
            ticket=secure.session is not None and secure.session.has_ticket,
        )
