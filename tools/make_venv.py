"""Makes the virtual environment and installs the project into it, on a machine that has little.

    python3 tools/make_venv.py FOLDER EXTRAS

Debian's python3 may lack ensurepip. Then pip comes from the system's own pip, or from the package
index that this machine is configured for; where there is neither, one sentence says what to do.
"""

import base64
import configparser
import html
import http.client
import importlib.util
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

_TIMEOUT = 60
_WHEEL = re.compile(r"""href=["']([^"']*?(pip-([0-9.]+)-py3-none-any\.whl)[^"']*)["']""")
_PLACE = "place"
"""A file in the environment with the checkout it was made in: a moved one has dead scripts."""
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_NO_PIP = (
    "python3 can make no virtual environment with pip here: install the package python3-venv"
    " (apt-get install python3-venv) and run make again."
)
_NOT_INSTALLED = (
    "the packages could not be installed, see above; once pip reaches a package index, run make"
    " again: it goes on where it stopped."
)


def main(folder: Path, extras: str) -> int:
    """Make what is missing, install, and say in one sentence what went wrong if it did."""
    python = folder / "bin" / "python"
    if not _is_usable(folder, python):
        print(f"making the virtual environment {folder}", flush=True)
        if not (_make_with_pip(folder, python) or _make_without_pip(folder, python)):
            return _failed(_NO_PIP)
        (folder / _PLACE).write_text(f"{Path.cwd()}\n")
    print(f"installing the packages it needs ({extras})", flush=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--constraint", "requirements.lock", "--editable", f".[{extras}]"]
    if subprocess.run(command, check=False).returncode:
        return _failed(_NOT_INSTALLED)
    return 0


def _failed(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


def _is_usable(folder: Path, python: Path) -> bool:
    """Whether the environment is whole, and where it was made."""
    place = folder / _PLACE
    return place.exists() and place.read_text().strip() == str(Path.cwd()) and _has_pip(python)


def _has_pip(python: Path) -> bool:
    return python.exists() and _succeeds([str(python), "-m", "pip", "--version"])


def _make_with_pip(folder: Path, python: Path) -> bool:
    if importlib.util.find_spec("ensurepip") is None:
        return False
    return _succeeds([sys.executable, "-m", "venv", "--clear", str(folder)]) and _has_pip(python)


def _make_without_pip(folder: Path, python: Path) -> bool:
    """Make an environment without pip, and get pip another way."""
    if not _succeeds([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)]):
        return False
    got = _pip_from_system(python) or _pip_from_index(python)
    return got and _has_pip(python)


def _pip_from_system(python: Path) -> bool:
    if importlib.util.find_spec("pip") is None:
        return False
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "pip"]
    return subprocess.run(command, check=False).returncode == 0  # its own words say why not


def _pip_from_index(python: Path) -> bool:
    """Run pip out of its own wheel to install itself; a wheel is a zip that Python can run."""
    for index in configured("index-url", os.environ, Path.home()):
        with tempfile.TemporaryDirectory() as folder:
            try:
                wheel = download_pip(index, Path(folder), os.environ, Path.home())
            except (OSError, ValueError, http.client.HTTPException):
                continue
            if wheel and _succeeds([str(python), f"{wheel}/pip", "install", "--quiet", str(wheel)]):
                return True
    return False


def download_pip(
    index: str, folder: Path, environment: Mapping[str, str], home: Path
) -> Path | None:
    """Bring the newest pip of an index into the folder; None if it has none."""
    page_url = f"{index.rstrip('/')}/pip/"
    page = _get(page_url, environment, home).decode("utf-8", "replace")
    found = _WHEEL.findall(page)
    if not found:
        return None
    link, name, _ = max(found, key=lambda row: [int(part) for part in row[2].split(".") if part])
    wheel = folder / str(name)
    where = urllib.parse.urljoin(page_url, html.unescape(link))
    wheel.write_bytes(_get(where, environment, home))
    return wheel


def _get(url: str, environment: Mapping[str, str], home: Path) -> bytes:
    """Ask as pip would: with its certificates, and without TLS only a host that it trusts."""
    parts = urllib.parse.urlsplit(url)
    trusted = {
        word for text in configured("trusted-host", environment, home) for word in text.split()
    }
    hosts = {parts.hostname, parts.netloc.rpartition("@")[2]}
    if parts.scheme != "https" and not hosts & (trusted | _LOCAL):
        raise OSError(f"{parts.hostname} is not asked without TLS")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    request = urllib.request.Request(urllib.parse.urlunsplit(bare))  # noqa: S310 (see above)
    if parts.username is not None:
        pair = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    bundle = next(configured("cert", environment, home), None)
    context = ssl.create_default_context(cafile=bundle)
    with urllib.request.urlopen(request, timeout=_TIMEOUT, context=context) as answer:  # noqa: S310 (see above)
        return bytes(answer.read())


def configured(key: str, environment: Mapping[str, str], home: Path) -> Iterator[str]:
    """What pip is configured with, in its order: its variable, then its files, nearest first."""
    value = environment.get(f"PIP_{key.replace('-', '_').upper()}")
    if value:
        yield value
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip's own way to say that no file counts
        return
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    files = [user, home / ".pip/pip.conf", Path("/etc/pip.conf"), Path("/etc/xdg/pip/pip.conf")]
    for file in [Path(named), *files] if named else files:
        yield from _in_file(file, key)


def _in_file(file: Path, key: str) -> Iterator[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file)
    except (OSError, configparser.Error, UnicodeDecodeError):
        return  # pip itself will say what is wrong with it
    for section in ("install", "global"):
        if parser.has_option(section, key):
            yield parser.get(section, key).strip()


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(130)
