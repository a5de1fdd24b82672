"""What the agent answers to an `auth` message: whether somebody may come in."""

import base64
import binascii
import concurrent.futures
import hmac
from collections.abc import Callable, Mapping

from sidecar.desired.auth import Auth
from sidecar.spoe import wire
from sidecar.spoe.passwords import BusyError, Passwords, then

AUTH_MESSAGE = "auth"
LONGEST_CREDENTIALS = 2000
"""Bytes of an Authorization header; HAProxy sends one more of a longer one."""

Answer = Mapping[str, wire.Value]
Lookup = Callable[[str], Auth | None]
"""Who may come in, by the key that HAProxy's map has for a backend."""


def answer(
    lookup: Lookup, passwords: Passwords, arguments: Mapping[str, object]
) -> "Answer | concurrent.futures.Future[Answer]":
    """The variables to set: `allowed` or `refused` with the key, or neither where it is not known.

    Only `allowed` opens; the key in it says which lock.
    """
    key = arguments.get("key")
    auth = lookup(key) if isinstance(key, str) else None
    if auth is None or not isinstance(key, str):
        return {"result": "unknown lock"}
    given = credentials(arguments.get("authorization"))
    if given is None:
        return _refused(key, auth, "no credentials")
    user, password = given
    known = hmac.compare_digest(user, auth.user.encode())

    def told(right: bool) -> Answer:  # noqa: FBT001 (a verdict)
        if right and known:
            return {"allowed": key, "result": "allowed"}
        return _refused(key, auth, "refused")

    try:
        # Also for a user that there is not: how long it takes says nothing about users.
        verdict = passwords.verdict(password, auth.password_hash)
    except BusyError:
        return {"result": "busy"}
    return told(verdict) if isinstance(verdict, bool) else then(verdict, told)


def credentials(header: object) -> tuple[bytes, bytes] | None:
    """User and password of a Basic Authorization header; None where there are none."""
    if not isinstance(header, str) or len(header) > LONGEST_CREDENTIALS:
        return None
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def _refused(key: str, auth: Auth, why: str) -> Answer:
    return {"refused": key, "realm": auth.realm, "result": why}
