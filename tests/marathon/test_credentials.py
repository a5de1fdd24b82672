"""Who we are to Marathon: a file that changes, and a DC/OS login that checks each signature."""

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sidecar.errors import MarathonError, UsageError
from sidecar.marathon.client import MarathonClient
from sidecar.marathon.credentials import CredentialFile, DcosLogin, ServiceAccount, basic
from sidecar.marathon.stream import EventStream
from tests.marathon.scripted_server import Connection, Request, ScriptedServer, event

UID = "marathon-lb"


class LoginServer:
    """DC/OS's login: it verifies RS256, and gives numbered tokens; `down` makes it answer 503."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.logins: list[dict[str, Any]] = []
        self.down = False
        self.by_cookie = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"]))
                outer.answer(self, json.loads(text))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/acs/api/v1/auth/login"

    def answer(self, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        """Log in, if the signature is that of the account's key."""
        if self.down:
            request.send_error(503)
            return
        head, claims, signature = body["token"].split(".")
        self.key.public_key().verify(
            _bytes(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        assert json.loads(_bytes(head)) == {"alg": "RS256", "typ": "JWT"}
        assert json.loads(_bytes(claims))["uid"] == body["uid"] == UID
        self.logins.append(json.loads(_bytes(claims)) | {"asked": body["exp"]})
        token = f"token-{len(self.logins)}"
        request.send_response(200)
        if self.by_cookie:
            request.send_header("Set-Cookie", f"dcos-acs-auth-cookie={token}; Path=/")
        text = b"{}" if self.by_cookie else json.dumps({"token": token}).encode()
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def account(self, **changes: str) -> str:
        """The service account's JSON."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        fields = {"uid": UID, "private_key": pem, "login_endpoint": self.url, "scheme": "RS256"}
        return json.dumps(fields | changes)


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture(scope="module")
def running_login() -> Iterator[LoginServer]:
    """One login server for all tests: its key takes a while."""
    login = LoginServer()
    thread = threading.Thread(target=login.server.serve_forever, args=(0.05,))
    thread.start()
    yield login
    login.server.shutdown()
    thread.join()
    login.server.server_close()


@pytest.fixture
def login(running_login: LoginServer) -> LoginServer:
    """The login server, up and without any login."""
    running_login.down = running_login.by_cookie = False
    running_login.logins.clear()
    return running_login


class Clock:
    """A time that a test moves."""

    now = 1_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def dcos(login: LoginServer, said: list[str], clock: Clock) -> DcosLogin:
    """An account that logs in there."""
    return DcosLogin(ServiceAccount.read(login.account()), said.append, clock=clock)


@pytest.mark.parametrize("by_cookie", [False, True])
def test_a_login_is_signed_and_gives_a_token(login: LoginServer, *, by_cookie: bool) -> None:
    """The token comes in the answer or as a cookie; it is used until it ends."""
    login.by_cookie = by_cookie
    clock = Clock()
    account = dcos(login, [], clock)

    assert account.header() == "token=token-1"
    clock.now += 3500
    assert account.header() == "token=token-1"
    assert [(each["exp"], each["asked"]) for each in login.logins] == [(1_000_060, 1_003_600)]


def test_a_token_is_renewed_before_it_ends(login: LoginServer) -> None:
    """A minute before its end another one is fetched."""
    clock = Clock()
    account = dcos(login, [], clock)
    account.header()
    clock.now += 3541

    assert account.header() == "token=token-2"


def test_a_login_that_is_down_is_told_once_and_the_token_used_to_its_end(
    login: LoginServer,
) -> None:
    """Then there is no header to be had, and the error names the login."""
    clock, said = Clock(), []  # type: tuple[Clock, list[str]]
    account = dcos(login, said, clock)
    account.header()
    login.down = True
    clock.now += 3550

    assert [account.header(), account.header()] == ["token=token-1"] * 2
    assert said == [account.trouble] == [f"the login at {login.url} was refused with 503"]
    clock.now += 60
    with pytest.raises(MarathonError, match="auth/login was refused with 503"):
        account.header()

    login.down = False
    assert account.header() == "token=token-2"
    assert account.trouble == ""


def test_a_refused_token_is_replaced_for_fetches_and_for_the_event_stream(
    login: LoginServer,
) -> None:
    """Marathon answers 401 to a token that it no longer knows; the next one is tried at once."""
    good = {"token=token-1"}

    def marathon(connection: Connection, request: Request) -> None:
        if request.headers.get("authorization") not in good:
            connection.reply(b"{}", status="401 Unauthorized")
        elif request.path == "/v2/events":
            connection.begin_events()(event("x", "1"))
            connection.hold()
        else:
            connection.reply(b'{"apps":[]}')

    account = dcos(login, [], Clock())
    with (
        ScriptedServer(marathon) as server,
        MarathonClient([server.url], credentials=account) as client,
    ):
        assert client.apps() == ((), ())
        good.clear()
        good.add("token=token-2")
        assert client.apps() == ((), ())
        good.clear()
        good.add("token=token-3")
        with EventStream(client.open_events()) as stream:
            assert next(iter(stream)) == ("x", "1")
        good.clear()
        with pytest.raises(MarathonError, match="401"):
            client.apps()

    assert len(login.logins) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "lacks uid"),
        ('{"uid": "a"}', "lacks login_endpoint"),
        ('{"uid": "a", "login_endpoint": "http://x", "private_key": "secret"}', "cannot be read"),
        ('{"uid": "a", "login_endpoint": "x", "private_key": "secret"}', "no http or https URL"),
        (
            '{"uid": "a", "login_endpoint": "x", "private_key": "secret", "scheme": "HS256"}',
            "other than RS256",
        ),
    ],
)
def test_an_account_that_cannot_be_used_is_refused_without_quoting_it(text: str, says: str) -> None:
    """The sentence names the flag and the field."""
    with pytest.raises(UsageError, match=says) as refused:
        ServiceAccount.read(text)

    assert "--dcos-auth-credentials" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_credential_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A password with colons is whole; what cannot be read later leaves the last good one."""
    file = tmp_path / "credentials"
    file.write_text("user:a:b\nmore\n")
    said: list[str] = []
    found = CredentialFile(file, said.append)
    assert found.header() == basic("user", "a:b")

    file.write_text("user:another-one\r\n")
    assert found.header() == basic("user", "another-one")
    file.unlink()
    assert [found.header(), found.header()] == [basic("user", "another-one")] * 2
    assert said == [found.trouble]
    assert str(file) in found.trouble
    assert "another-one" not in found.trouble
    file.write_text("back:again\n")
    assert found.header() == basic("back", "again")
    assert found.trouble == ""


@pytest.mark.timeout(20)
def test_a_credential_file_that_becomes_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Nobody writes into it, and every request asks for a header."""
    file = tmp_path / "credentials"
    file.write_text("user:one\n")
    found = CredentialFile(file, lambda _: None)
    file.unlink()
    os.mkfifo(file)

    assert found.header() == basic("user", "one")
    assert "is a pipe or a device, and no file; the last good one stays" in found.trouble


def test_a_credential_file_that_is_no_use_at_start_is_refused_by_its_name(tmp_path: Path) -> None:
    """Missing, and without a colon; an empty one means no credentials, as in the original."""
    file = tmp_path / "credentials"
    with pytest.raises(UsageError, match=r"credentials cannot be used: No such file"):
        CredentialFile(file, print)
    file.write_text("nobody\n")
    with pytest.raises(UsageError, match="is not user:password"):
        CredentialFile(file, print)
    file.write_text("\n")
    assert CredentialFile(file, print).header() is None
