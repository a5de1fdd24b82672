"""What `make` does first: an environment on machines that have little, told in single sentences."""

import base64
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs
import pytest

from tools.make_venv import configured, download_pip

_ROOT = Path(__file__).resolve().parents[2]
_NO_FILES = {"PIP_CONFIG_FILE": os.devnull}

# A machine without ensurepip and pip, played by hiding both from the interpreter.
_BARE = """
import runpy, sys
sys.modules.update(dict.fromkeys({hidden}))
sys.argv = ["make_venv.py", *sys.argv[1:]]
runpy.run_path({script!r}, run_name="__main__")
"""


@attrs.define
class _Index:
    """A package index on loopback; it answers these pages, and remembers how it was asked."""

    url: str = ""
    pages: dict[str, bytes] = attrs.field(factory=dict)
    credentials: list[str | None] = attrs.field(factory=list)


@pytest.fixture
def index() -> Iterator[_Index]:
    """A running index without pages."""
    found = _Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.credentials.append(self.headers["Authorization"])
            page = found.pages.get(self.path)
            self.send_response(404 if page is None else 200)
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as the base has it)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/simple"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def test_pips_variable_comes_before_its_files(tmp_path: Path) -> None:
    """PIP_INDEX_URL wins over the named file, which wins over the user's."""
    named = tmp_path / "named.conf"
    named.write_text("[global]\nindex-url = https://named/\n")
    user = tmp_path / ".config" / "pip"
    user.mkdir(parents=True)
    (user / "pip.conf").write_text("[global]\nindex-url = https://user/\n")
    environment = {"PIP_CONFIG_FILE": str(named), "PIP_INDEX_URL": "https://variable/"}

    found = list(configured("index-url", environment, tmp_path))

    assert found[:3] == ["https://variable/", "https://named/", "https://user/"]


def test_a_section_for_install_comes_before_the_global_one(tmp_path: Path) -> None:
    """As pip reads its file for the command that is run."""
    named = tmp_path / "pip.conf"
    named.write_text("[global]\ncert = /global.pem\n[install]\ncert = /install.pem\n")

    found = next(configured("cert", {"PIP_CONFIG_FILE": str(named)}, tmp_path))

    assert found == "/install.pem"


def test_a_file_that_is_no_configuration_is_passed_over(tmp_path: Path) -> None:
    """Pip itself says what is wrong with it."""
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text("index-url without a section\n")

    found = list(configured("no-such-setting", {}, tmp_path))

    assert found == []


def test_the_newest_release_of_pip_is_taken(index: _Index, tmp_path: Path) -> None:
    """Numbers are compared as numbers, and what is before a release is left."""
    names = ["pip-9.0.1", "pip-25.3", "pip-100.0rc1", "pip-24.0"]
    links = "".join(f'<a href="../../f/{each}-py3-none-any.whl#sha256=0">x</a>' for each in names)
    index.pages = {"/simple/pip/": links.encode(), "/f/pip-25.3-py3-none-any.whl": b"wheel"}

    wheel = download_pip(index.url, tmp_path, _NO_FILES, tmp_path)

    assert wheel == tmp_path / "pip-25.3-py3-none-any.whl"
    assert wheel.read_bytes() == b"wheel"


def test_the_indexs_user_and_password_are_sent_to_it(index: _Index, tmp_path: Path) -> None:
    """An index with credentials in its URL gets them as pip sends them."""
    index.pages = {"/simple/pip/": b"nothing here"}
    url = index.url.replace("//", "//someone:p%40ss@")

    assert download_pip(url, tmp_path, _NO_FILES, tmp_path) is None

    assert index.credentials == ["Basic " + base64.b64encode(b"someone:p@ss").decode()]


def test_an_index_without_tls_must_be_trusted(tmp_path: Path) -> None:
    """Nobody on the way can hand us a program to run, unless pip was told to trust the host."""
    with pytest.raises(OSError, match=r"mirror\.invalid is not asked without TLS"):
        download_pip("http://mirror.invalid/simple", tmp_path, _NO_FILES, tmp_path)


def test_without_pip_anywhere_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    """A Debian python3 without python3-venv, and no index: exit code 2, and no traceback."""
    done = _make_venv(tmp_path, hidden=["ensurepip", "pip"], environment={})

    assert done.returncode == 2
    assert done.stderr.startswith("python3 can make no virtual environment with pip here: install")
    assert "python3-venv" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_pip_comes_from_the_configured_index_where_python_has_none(
    index: _Index, tmp_path: Path
) -> None:
    """Pip is installed out of its own wheel; here it is one that only says that it was run."""
    index.pages = {
        "/simple/pip/": b'<a href="pip-1.0-py3-none-any.whl">pip</a>',
        "/simple/pip/pip-1.0-py3-none-any.whl": _pip_wheel(tmp_path),
    }
    environment = {"PIP_INDEX_URL": index.url, "SAID": str(tmp_path / "said")}

    done = _make_venv(tmp_path, hidden=["ensurepip", "pip"], environment=environment)

    assert (
        "install --quiet --disable-pip-version-check --constraint requirements.lock"
        in (tmp_path / "said").read_text()
    )
    assert done.returncode == 0, done.stderr


def test_a_failed_installation_ends_in_a_sentence(index: _Index, tmp_path: Path) -> None:
    """When packages cannot be had, the last line says so, and that make goes on later."""
    index.pages = {
        "/simple/pip/": b'<a href="pip-1.0-py3-none-any.whl">pip</a>',
        "/simple/pip/pip-1.0-py3-none-any.whl": _pip_wheel(tmp_path),
    }
    environment = {"PIP_INDEX_URL": index.url, "SAID": str(tmp_path / "said"), "FAIL": "embedded"}

    done = _make_venv(tmp_path, hidden=["ensurepip", "pip"], environment=environment)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("the packages could not be installed")


@pytest.mark.parametrize(
    "python", ["/nowhere/python3", "false"], ids=["no such program", "too old a Python"]
)
def test_a_python_that_will_not_do_is_named_in_a_sentence(checkout: Path, python: str) -> None:
    """`make PYTHON=…` checks that Python before it does anything."""
    done = _make(checkout, f"PYTHON={python}", "venv")

    assert done.returncode == 2
    assert f"Python 3.11 or later is needed, and {python} is none" in done.stderr
    assert not (checkout / ".venv").exists()


def test_make_does_nothing_when_nothing_changed(checkout: Path) -> None:
    """An environment that is newer than what it is made from is left alone."""
    _pretend_installed(checkout, place=checkout)

    done = _make(checkout, "--dry-run", "venv")

    assert "make_venv.py" not in done.stdout
    assert done.returncode == 0


def test_a_checkout_that_was_moved_is_installed_anew(checkout: Path) -> None:
    """Its scripts name the interpreter at the old place."""
    _pretend_installed(checkout, place=checkout / "elsewhere")

    done = _make(checkout, "--dry-run", "venv")

    assert "make_venv.py" in done.stdout


def test_another_python_makes_another_environment(checkout: Path) -> None:
    """What was made by one Python is not used where another is asked for, else it is kept."""
    _pretend_installed(checkout, place=checkout)
    (checkout / ".venv" / "python").write_text("python3.11\n")

    other = _make(checkout, "--dry-run", "venv", "PYTHON=python3.12")
    same = _make(checkout, "--dry-run", "venv", "PYTHON=python3.11")

    assert "rm -rf .venv" in other.stdout
    assert "make_venv.py" not in same.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make venv` needs of the project, in a folder whose name has a space."""
    folder = tmp_path / "a checkout"
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "tools/make_venv.py"):
        shutil.copy(_ROOT / name, folder / name)
    return folder


def _pretend_installed(checkout: Path, *, place: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "place").write_text(f"{place}\n")
    (checkout / ".venv" / "installed").touch()


def _make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without the variables of a make that these tests may run under.
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    return subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _make_venv(
    folder: Path, *, hidden: list[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the tool on a machine that lacks the hidden modules and has no configuration of pip."""
    script = str(_ROOT / "tools" / "make_venv.py")
    code = _BARE.format(hidden=hidden, script=script)
    return subprocess.run(
        [sys.executable, "-c", code, str(folder / ".venv"), "embedded"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **_NO_FILES, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _pip_wheel(folder: Path) -> bytes:
    """A wheel with a pip that writes down how it was called, and can install only itself."""
    package = folder / "wheel" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os, pathlib, sys, sysconfig, zipfile\n"
        "with open(os.environ['SAID'], 'a') as said:\n"
        "    print(*sys.argv[1:], file=said)\n"
        "if sys.argv[-1].endswith('.whl'):\n"
        "    zipfile.ZipFile(sys.argv[-1]).extractall(sysconfig.get_path('purelib'))\n"
        "fail = os.environ.get('FAIL')\n"
        "sys.exit(1 if fail and fail in sys.argv[-1] else 0)\n"
    )
    archive = shutil.make_archive(str(folder / "pip"), "zip", folder / "wheel")
    return Path(archive).read_bytes()
