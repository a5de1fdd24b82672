"""Who we are to Marathon where that changes with time: a credential file, a DC/OS service account.

Both are asked for the Authorization header of each request, by several threads. What cannot be
renewed later is a trouble that is told once; the last good one stays in use.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
import requests
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sidecar.errors import (
    MarathonAnswerError,
    MarathonError,
    MarathonRefusedError,
    MarathonUnreachableError,
    UsageError,
)
from sidecar.reading import read_file

_TIMEOUT = (3.05, 10.0)
_LOGIN_LASTS = 60  # seconds for which a signed login is worth something
_TOKEN_LASTS = 3600
_EARLY = 60.0
_LONGEST_FILE = 10_000
_COOKIE = "dcos-acs-auth-cookie"

Report = Callable[[str], None]


class Authority(Protocol):
    """Says who we are, anew for each request."""

    @property
    def trouble(self) -> str:
        """Why it could not be renewed the last time; empty if it could."""

    def header(self) -> str | None:
        """The value of the Authorization header, None for none.

        Raises:
            MarathonError: there is none to be had now.
        """

    def refused(self, header: str | None) -> bool:
        """Take note that Marathon answered 401 to this value; whether another try may help."""


Credentials = tuple[str, str] | Authority
"""A user and a password, or who says it anew for each request."""


def authority_of(
    *,
    file: str,
    password: tuple[str, str] | None,
    account: str,
    ca_file: str | None,
    report: Report,
) -> Credentials | None:
    """Who we are, out of what is given: a file wins over a password, that over an account.

    Raises:
        UsageError: what is given cannot be used.
    """
    if file:
        return CredentialFile(Path(file), report)
    if password is not None or not account:
        return password
    return DcosLogin(ServiceAccount.read(account), report, ca_file=ca_file)


def basic(user: str, password: str) -> str:
    """The Authorization header for a user and a password (RFC 7617), in UTF-8."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


class CredentialFile:
    """A file whose first line is `user:password`; read again whenever it changes."""

    def __init__(self, path: Path, report: Report) -> None:
        """Read it for the first time.

        Raises:
            UsageError: it cannot be read, or its first line has no colon.
        """
        self._path = path
        self._report = report
        self._lock = threading.Lock()
        self.trouble = ""
        self._stamp = self._look()
        try:
            self._header = self._read(pipe=True)
        except (OSError, ValueError) as error:
            raise UsageError(self._sentence(error)) from error

    def header(self) -> str | None:
        """The header of the newest good content."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp or self.trouble:
                self._stamp = stamp
                self._renew()
            return self._header

    def refused(self, header: str | None) -> bool:
        """Whether the file has changed since, unnoticed in its time stamp."""
        with self._lock:
            self._renew()
            return self._header != header

    def _renew(self) -> None:
        before = self.trouble
        try:
            found = self._read()
            if found is None and self._header is not None:
                raise ValueError("it is empty")  # noqa: TRY301 (somebody writes it just now)
            self._header, self.trouble = found, ""
        except (OSError, ValueError) as error:
            self.trouble = self._sentence(error) + "; the last good one stays in use"
        if self.trouble not in {"", before}:
            self._report(self.trouble)

    def _look(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _read(self, *, pipe: bool = False) -> str | None:
        """Read the first line; an empty one means no credentials, as marathon-lb has it."""
        content = read_file(self._path, _LONGEST_FILE, pipe=pipe).decode()
        line = content.partition("\n")[0].rstrip("\r")
        if not line:
            return None
        user, colon, password = line.partition(":")
        if not colon:
            raise ValueError("its first line is not user:password")
        return basic(user, password)

    def _sentence(self, error: OSError | ValueError) -> str:
        reason = "it is no text" if isinstance(error, UnicodeError) else str(error)
        reason = getattr(error, "strerror", None) or reason
        return f"the credential file {self._path} cannot be used: {reason}"


@attrs.frozen
class ServiceAccount:
    """A DC/OS service account: who it is, where it logs in, and the key that proves it."""

    uid: str
    login_endpoint: str
    key: rsa.RSAPrivateKey = attrs.field(repr=False)

    @classmethod
    def read(cls, text: str) -> "ServiceAccount":
        """Read the JSON that DC/OS gives to a service.

        Raises:
            UsageError: it is not that; the sentence never quotes it.
        """
        what = "the DC/OS service account (--dcos-auth-credentials)"
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise UsageError(f"{what} is no JSON") from None
        fields = value if isinstance(value, dict) else {}
        for name in ("uid", "login_endpoint", "private_key"):
            if not isinstance(fields.get(name), str) or not fields[name]:
                raise UsageError(f"{what} lacks {name}")
        if fields.get("scheme") not in {None, "RS256"}:
            raise UsageError(f"{what} has a scheme other than RS256")
        if not fields["login_endpoint"].startswith(("https://", "http://")):
            raise UsageError(f"{what} has a login_endpoint that is no http or https URL")
        try:
            key = serialization.load_pem_private_key(fields["private_key"].encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UsageError(f"{what} has a private_key that cannot be read") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise UsageError(f"{what} has a private_key that is no RSA key")
        return cls(fields["uid"], fields["login_endpoint"], key)

    def signed(self, claims: Mapping[str, Any]) -> str:
        """A JSON web token with these claims, signed RS256 (RFC 7519)."""
        head = _segment({"alg": "RS256", "typ": "JWT"})
        text = f"{head}.{_segment(claims)}"
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_base64(signature)}"


@attrs.frozen
class _Token:
    header: str = attrs.field(repr=False)
    renew_at: float
    ends: float


class DcosLogin:
    """Logs a service account in, and again before its token ends or when it was refused."""

    def __init__(
        self,
        account: ServiceAccount,
        report: Report,
        *,
        ca_file: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._report = report
        self._verify: str | bool = ca_file or True
        self._clock = clock
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self.trouble = ""

    def header(self) -> str | None:
        """The header with a token that holds for a while.

        Raises:
            MarathonError: nobody is logged in, and logging in failed.
        """
        with self._lock:
            token = self._token
            if token is not None and self._clock() < token.renew_at:
                return token.header
            try:
                self._token = self._log_in()
            except MarathonError as error:
                self._note(str(error))
                if token is None or self._clock() >= token.ends:
                    raise
                return token.header  # it holds for some time yet
            self._note("")
            return self._token.header

    def refused(self, header: str | None) -> bool:
        """Forget that token: another one is fetched, unless another thread has it already."""
        with self._lock:
            if self._token is not None and self._token.header == header:
                self._token = None
        return True

    def _note(self, trouble: str) -> None:
        if trouble not in {"", self.trouble}:
            self._report(trouble)
        self.trouble = trouble

    def _log_in(self) -> _Token:
        now = self._clock()
        account = self._account
        body = {
            "uid": account.uid,
            "token": account.signed({"uid": account.uid, "exp": int(now) + _LOGIN_LASTS}),
            "exp": int(now) + _TOKEN_LASTS,
        }
        token = self._post(body)
        ends = min(now + _TOKEN_LASTS, _end_of(token))
        early = min(_EARLY, max(0.0, ends - now) / 4)
        return _Token(f"token={token}", ends - early, ends)

    def _post(self, body: Mapping[str, Any]) -> str:
        url = self._account.login_endpoint
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    url, json=body, timeout=_TIMEOUT, verify=self._verify, allow_redirects=False
                )
                found = answer.cookies.get(_COOKIE) or _token_in(answer)
        except (requests.RequestException, OSError) as error:
            kind = type(error).__name__  # its text could quote the request
            raise MarathonUnreachableError(f"the login at {url} failed: {kind}") from error
        if not answer.ok:
            raise MarathonRefusedError(f"the login at {url} was refused with {answer.status_code}")
        if not found or not found.isascii() or not found.isprintable():
            raise MarathonAnswerError(f"the login at {url} gave no token")
        return found


def _token_in(answer: requests.Response) -> str | None:
    try:
        value = answer.json()
    except ValueError:
        return None
    token = value.get("token") if isinstance(value, dict) else None
    return token if isinstance(token, str) else None


def _end_of(token: str) -> float:
    """When a token ends by its own words; infinite if it does not say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return float("inf")


def _segment(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
