"""Makes the virtual environment and installs the project into it, on a machine that has little.

    python3 tools/make_venv.py FOLDER EXTRAS

Debian's python3 may lack ensurepip. Then pip comes from the system's own pip, or from the package
index that this machine is configured for; where there is neither, one sentence says what to do.
"""

import configparser
import importlib.util
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

_OLDEST = (3, 11)
_TIMEOUT = 60
_WHEEL = re.compile(r'href="([^"]*/?(pip-([0-9.]+)-py3-none-any\.whl)[^"]*)"')
_NO_PIP = (
    "python3 can make no virtual environment with pip here: install the package python3-venv"
    " (apt-get install python3-venv) and run make again."
)
_TOO_OLD = "Python 3.11 or later is needed; name one by make PYTHON=python3.11"


def main(folder: Path, extras: str) -> int:
    """Make what is missing, install, and say in one sentence what went wrong if it did."""
    if sys.version_info < _OLDEST:
        print(_TOO_OLD, file=sys.stderr)
        return 2
    python = folder / "bin" / "python"
    if not _has_pip(python):
        print(f"making the virtual environment {folder}", flush=True)
        if not (_make_with_pip(folder, python) or _make_without_pip(folder, python)):
            print(_NO_PIP, file=sys.stderr)
            return 2
    print(f"installing the project ({extras})", flush=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--constraint", "requirements.lock", "--editable", f".[{extras}]"]
    return subprocess.run(command, check=False).returncode


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
    system_pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "pip"]
    if _succeeds(system_pip) and _has_pip(python):
        return True
    return _pip_from_index(python) and _has_pip(python)


def _pip_from_index(python: Path) -> bool:
    """Run pip out of its own wheel to install itself; a wheel is a zip that Python can run."""
    for index in _configured_indexes():
        with tempfile.TemporaryDirectory() as folder:
            try:
                wheel = _download_pip(index.rstrip("/"), Path(folder))
            except OSError:
                continue
            if wheel and _succeeds([str(python), f"{wheel}/pip", "install", "--quiet", str(wheel)]):
                return True
    return False


def _download_pip(index: str, folder: Path) -> Path | None:
    page_url = f"{index}/pip/"
    page = _get(page_url).decode("utf-8", "replace")
    found = _WHEEL.findall(page)
    if not found:
        return None
    link, name, _ = max(found, key=lambda row: [int(part) for part in row[2].split(".") if part])
    wheel = folder / str(name)
    wheel.write_bytes(_get(urllib.parse.urljoin(page_url, link)))
    return wheel


def _get(url: str) -> bytes:
    if not url.startswith("https://"):
        raise OSError(f"{url} is not asked: only https is")
    bundle = os.environ.get("PIP_CERT") or _configured("cert")
    context = ssl.create_default_context(cafile=bundle or None)
    with urllib.request.urlopen(url, timeout=_TIMEOUT, context=context) as answer:  # noqa: S310 (https, see above)
        return bytes(answer.read())


def _configured_indexes() -> Iterator[str]:
    """The indexes that pip is configured for, in its own order of precedence."""
    for value in (os.environ.get("PIP_INDEX_URL"), _configured("index-url")):
        if value:
            yield value


def _configured(key: str) -> str | None:
    """A setting of pip's own files: the user's before the machine's."""
    home = Path.home()
    for file in (home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (OSError, configparser.Error):
            continue
        for section in ("install", "global"):
            if parser.has_option(section, key):
                return parser.get(section, key)
    return None


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
