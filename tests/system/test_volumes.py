"""A state folder on a volume without room, or that can only be read: at the start, and later."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system.apps import web
from tests.system.clients import PATIENCE
from tests.system.rig import eventually, haproxy_binary, rig, short_folder

_ROOT = Path(__file__).resolve().parents[2]
_NOBODY = "http://127.0.0.1:9"
_WRITTEN_WITHIN = 20.0  # the file follows five seconds after a change

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


def test_apps_come_and_go_while_the_volume_is_full_and_that_is_told() -> None:
    """HAProxy follows; only the file of its next start does not, which the status says."""
    with rig() as mine, mounted(mine.folder, "size=8m"):
        mine.sidecar.start()
        mine.sidecar.until_synced()
        mine.deploy(web("/app", port=mine.ports.service[0]))
        ballast = mine.folder / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)

        mine.deploy(web("/more", port=mine.ports.service[1], instances=2))

        assert mine.reaches("/more", host="more.test")
        eventually(
            lambda: "No space left on device" in mine.sidecar.state()["file_trouble"],
            "the trouble is told",
            within=_WRITTEN_WITHIN,
        )
        ballast.unlink()
        mine.sidecar.stop()
