"""What marathon-lb's `run` script does around the program: Vault, kernel parameters, known places.

Each function does one of these at the start; what is not worth an end is returned as a sentence.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from sidecar.errors import UsageError

_VAULT = ("VAULT_TOKEN", "VAULT_HOST", "VAULT_PORT", "VAULT_PATH")
_TIMEOUT = (3.05, 10.0)
_PARAMETER = re.compile(r"([A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*)=(.*)")
_SYSCTL = Path("/proc/sys")


def vault_credentials(environ: Mapping[str, str]) -> str:
    """`user:password` from Vault, where all its variables are given; else empty.

    Raises:
        UsageError: Vault does not give them.
    """
    if not all(environ.get(name) for name in _VAULT):
        return ""
    host, port, path = (environ[name] for name in _VAULT[1:])
    url = environ.get("VAULT_URL") or f"https://{host}:{port}/v1/{path.lstrip('/')}"
    skip = environ.get("VAULT_SKIP_VERIFY", "").lower() in {"1", "t", "true"}
    verify: bool | str = False if skip else environ.get("VAULT_CACERT") or True
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                url,
                headers={"X-Vault-Token": environ["VAULT_TOKEN"]},
                timeout=_TIMEOUT,
                verify=verify,
                allow_redirects=False,
            )
            answer.raise_for_status()
            user, password = _secret(answer.json())
    except (requests.RequestException, OSError, ValueError) as error:
        reason = f"{type(error).__name__}"
        raise UsageError(f"Vault at {url} gives no user and pass: {reason}") from error
    return f"{user}:{password}"


def _secret(value: Any) -> tuple[str, str]:  # noqa: ANN401 (JSON)
    """User and password in an answer of Vault's first or second engine for keys and values."""
    data = value.get("data") if isinstance(value, dict) else None
    inner = data.get("data") if isinstance(data, dict) else None
    found = inner if isinstance(inner, dict) else data
    if not isinstance(found, dict):
        raise ValueError("no data")  # noqa: TRY004 (an answer of the wrong shape)
    user, password = found.get("user"), found.get("pass")
    if not isinstance(user, str) or not isinstance(password, str):
        raise ValueError("no user and pass")  # noqa: TRY004 (the same)
    return user, password


def set_kernel_parameters(environ: Mapping[str, str], root: Path = _SYSCTL) -> tuple[str, ...]:
    """Set HAPROXY_SYSCTL_PARAMS; what could not be set, if HAPROXY_SYSCTL_NONSTRICT says so.

    Raises:
        UsageError: one cannot be set.
    """
    troubles = []
    for word in environ.get("HAPROXY_SYSCTL_PARAMS", "").split():
        trouble = _set(word, root)
        if trouble and not environ.get("HAPROXY_SYSCTL_NONSTRICT"):
            raise UsageError(f"{trouble}; HAPROXY_SYSCTL_NONSTRICT=1 goes on without")
        if trouble:
            troubles.append(trouble)
    return tuple(troubles)


def _set(word: str, root: Path) -> str:
    match = _PARAMETER.fullmatch(word)
    if match is None:
        return f"HAPROXY_SYSCTL_PARAMS has {word!r}, which is not name=value"
    try:
        with (root / match[1].replace(".", "/")).open("r+") as file:
            file.write(match[2])
    except OSError as error:
        return f"the kernel parameter {match[1]} cannot be set: {error.strerror}"
    return ""


def usable_socket(path: str) -> str:
    """Why no socket can be made there, or nothing; its folder is made when it is missing."""
    folder = Path(path).parent
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        probe = folder / ".mlb-sidecar"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"no second admin socket at {path}: {error.strerror}"
    return ""


def link_configuration(link: str, state_dir: str) -> str:
    """Have `link` lead to the state folder's haproxy.cfg; why that cannot be, or nothing.

    marathon-lb writes its file there, so one that is there already makes way.
    """
    target, place = Path(state_dir) / "haproxy.cfg", Path(link)
    if not link or place.absolute() == target:
        return ""
    new = place.with_name(f"{place.name}.mlb-link")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(place)
    except OSError as error:
        return f"no link to haproxy.cfg at {link}: {error.strerror}"
    return ""
