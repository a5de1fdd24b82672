"""A state folder on a volume without room, or that can only be read: at the start, and later."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from tests.system.apps import web
from tests.system.clients import PATIENCE
from tests.system.rig import eventually, haproxy_binary, rig, short_folder

_ROOT = Path(__file__).resolve().parents[2]
_NOBODY = "http://127.0.0.1:9"
_WRITTEN_WITHIN = 20.0  # the file follows five seconds after a change
_WRITTEN_AGAIN = 30.0  # and so long after it could not be written

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a volume"),
]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A volume in the place of a folder."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no volume can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], timeout=PATIENCE, check=True)


@pytest.mark.parametrize(
    ("options", "words", "says"),
    [
        ("size=4k", ["run", "-m", _NOBODY], "No space left on device; give rights or space"),
        ("size=4k", ["sidecar", "run", "-m", _NOBODY], "No space left on device; give rights"),
        ("ro", ["run", "-m", _NOBODY], "cannot be used: Read-only file system"),
        ("ro", ["sidecar", "run", "-m", _NOBODY], "cannot be used: Read-only file system"),
        ("ro", ["haproxy"], "is no folder that user 0 may write to"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_a_volume_that_is_of_no_use_ends_each_role_with_a_sentence_and_code_2(
    options: str, words: Sequence[str], says: str
) -> None:
    """HAProxy alone writes nothing, so a full one does not matter to it."""
    with short_folder() as folder, mounted(folder, options):
        places = [str(Path(sys.executable).parent), str(_ROOT / "haproxy"), os.environ["PATH"]]
        done = subprocess.run(
            ["sh", str(_ROOT / "image" / "entry.sh"), *words],
            env={
                "PATH": os.pathsep.join(places),
                "MLB_STATE_DIR": str(folder),
                "MLB_HAPROXY": haproxy_binary(),
                "MLB_WEB_PORT": "0",
            },
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    assert done.returncode == 2, done.stderr
    assert says in done.stderr.splitlines()[-1]
    assert str(folder) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """A volume without room for a while."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    yield
    ballast.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A volume that can only be read for a while, whoever opens something there.

    What is open for writing keeps a mount from turning so: this is another mount in its place.
    """
    where = str(folder)
    for options in (["--bind", where], ["-o", "remount,bind,ro"]):
        subprocess.run(["mount", *options, where], check=True, timeout=PATIENCE)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", where], check=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("trouble", "says"),
    [(full, "No space left on device"), (read_only, "Read-only file system")],
    ids=["full", "read-only"],
)
def test_apps_come_and_go_while_the_volume_is_of_no_use_and_that_is_told(
    trouble: Callable[[Path], AbstractContextManager[None]], says: str
) -> None:
    """HAProxy follows; only the file of its next start does not, which the status says."""
    with rig() as mine, mounted(mine.folder, "size=8m"):
        mine.sidecar.start()
        mine.sidecar.until_synced()
        mine.deploy(web("/app", port=mine.ports.service[0]))
        with trouble(mine.folder):
            mine.deploy(web("/more", port=mine.ports.service[1], instances=2))

            assert mine.reaches("/more", host="more.test")
            eventually(
                lambda: says in mine.sidecar.state()["file_trouble"],
                "the trouble is told",
                within=_WRITTEN_WITHIN,
            )
        mine.deploy(web("/last", port=mine.ports.service[2]))

        assert mine.reaches("/last", host="last.test")
        eventually(
            lambda: not mine.sidecar.state()["file_trouble"],
            "the trouble is over",
            within=_WRITTEN_WITHIN + _WRITTEN_AGAIN,
        )
        assert "last.test" in (mine.folder / "domain2backend.map").read_text()
        mine.sidecar.stop()
