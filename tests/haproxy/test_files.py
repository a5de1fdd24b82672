import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sidecar.errors import StateFolderError
from sidecar.haproxy.files import (
    ConfigurationFile,
    remove_leftovers,
    write_all,
    write_atomically,
)


def test_a_file_is_written_with_its_mode(tmp_path: Path) -> None:
    """The content is exact, and only the owner may read it."""
    path = tmp_path / "a.map"

    assert write_atomically(path, "k é\n")

    assert path.read_bytes() == "k é\n".encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_the_one_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    """A page for everybody is readable by everybody."""
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "page", "x", mode=0o644)
    finally:
        os.umask(before)

    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o644


def test_the_same_content_touches_nothing(tmp_path: Path) -> None:
    """It stays the same file, and keeps its time."""
    path = tmp_path / "a.map"
    write_atomically(path, "k v\n")
    before = path.stat()

    assert not write_atomically(path, "k v\n")

    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_reader_of_the_old_file_keeps_it_whole(tmp_path: Path) -> None:
    """A change is another file under the same name."""
    path = tmp_path / "a.map"
    write_atomically(path, "old\n")
    with path.open() as reader:
        write_atomically(path, "new and longer\n")

        assert reader.read() == "old\n"
    assert path.read_text() == "new and longer\n"


def test_a_write_that_finds_no_space_leaves_the_old_file_alone(tmp_path: Path) -> None:
    """The error names the file, and nothing half-written stays."""
    path = tmp_path / "a.map"
    write_atomically(path, "old\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StateFolderError, match=rf"cannot write {path}: File too large"):
            write_atomically(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("missing/a.map", "No such file", id="no folder"),
        pytest.param("file/a.map", "Not a directory", id="folder is a file"),
        pytest.param("folder", "Is a directory", id="file is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str, reason: str) -> None:
    """One sentence: which path, why, and what to do."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    with pytest.raises(StateFolderError, match=rf"{tmp_path / name}: {reason}.*state folder"):
        write_atomically(tmp_path / name, "x")


KILLED_WRITER = """
import os, pathlib, signal, sys
from sidecar.haproxy import files
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(pathlib.Path(sys.argv[1]), "half")
"""


def test_what_a_killed_writer_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """The old file is whole, and only the leftovers go."""
    path = tmp_path / "a.map"
    write_atomically(path, "old\n")
    (tmp_path / ".keep").touch()
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, path], check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3

    removed = remove_leftovers(tmp_path)

    assert len(removed) == 1
    assert path.read_text() == "old\n"
    assert sorted(tmp_path.iterdir()) == [tmp_path / ".keep", path]
    assert remove_leftovers(tmp_path) == ()


def test_a_folder_of_a_killed_trial_is_removed_with_its_keys(tmp_path: Path) -> None:
    """What was being checked was never to stay."""
    trial = tmp_path / ".trial.x.unfinished"
    trial.mkdir()
    (trial / "0.pem").write_text("a key")

    assert remove_leftovers(tmp_path) == (trial,)
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_is_written_last(tmp_path: Path) -> None:
    """Where a map cannot be written, the configuration that needs it is not there either."""
    config = tmp_path / "a.cfg"
    files = {config: "new\n", tmp_path / "b.map": "k v\n", tmp_path / "missing" / "c.map": "x\n"}
    write_atomically(config, "old\n")

    with pytest.raises(StateFolderError, match=r"missing/c\.map"):
        write_all(files, config=config)

    assert config.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [config]


def test_only_changed_files_are_reported(tmp_path: Path) -> None:
    """Maps in the order of their names, the configuration at the end."""
    config = tmp_path / "a.cfg"
    files = {config: "c\n", tmp_path / "z.map": "z\n", tmp_path / "b.map": "b\n"}

    assert write_all(files, config=config) == (tmp_path / "b.map", tmp_path / "z.map", config)
    assert write_all(files, config=config) == ()
    files[tmp_path / "z.map"] = "other\n"
    assert write_all(files, config=config) == (tmp_path / "z.map",)


def test_an_accepted_candidate_takes_the_place(tmp_path: Path) -> None:
    """Until then the old configuration stands."""
    file = ConfigurationFile(tmp_path / "haproxy.cfg")
    write_atomically(file.path, "old\n")

    candidate = file.propose("new\n")

    assert candidate.read_text() == "new\n"
    assert file.path.read_text() == "old\n"
    file.accept()
    assert file.path.read_text() == "new\n"
    assert not candidate.exists()


def test_a_rejected_candidate_is_kept_aside(tmp_path: Path) -> None:
    """The operator finds it beside the old one, which stands."""
    file = ConfigurationFile(tmp_path / "haproxy.cfg")
    write_atomically(file.path, "old\n")
    file.propose("bad\n")

    rejected = file.reject()

    assert rejected == tmp_path / "haproxy.cfg.rejected"
    assert rejected.read_text() == "bad\n"
    assert file.path.read_text() == "old\n"
    assert not file.candidate.exists()


def test_the_last_good_configuration_comes_back(tmp_path: Path) -> None:
    """What stood in its place is kept aside; twice is no harm."""
    file = ConfigurationFile(tmp_path / "haproxy.cfg")
    write_atomically(file.path, "good\n")
    file.keep_as_good()
    file.propose("does not bind\n")
    file.accept()

    assert file.restore_good()
    assert file.restore_good()

    assert file.path.read_text() == "good\n"
    assert file.rejected.read_text() == "does not bind\n"


def test_without_a_good_configuration_nothing_comes_back(tmp_path: Path) -> None:
    """The first one that fails has no predecessor."""
    file = ConfigurationFile(tmp_path / "haproxy.cfg")
    write_atomically(file.path, "first\n")

    assert not file.restore_good()

    assert file.path.read_text() == "first\n"


def test_a_candidate_that_is_not_there_is_an_error_with_its_place(tmp_path: Path) -> None:
    """Accepting twice is a mistake that is said."""
    file = ConfigurationFile(tmp_path / "haproxy.cfg")

    with pytest.raises(StateFolderError, match=rf"{file.path}: No such file"):
        file.accept()
    with pytest.raises(StateFolderError, match=rf"cannot read {file.path}"):
        file.keep_as_good()


def test_each_folder_is_synced_once_and_before_the_configuration_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk nothing takes longer than a sync, and a reload waits for all of them."""
    synced: list[str] = []
    sync = os.fsync

    def counted(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(place.name.split(".")[1])
        sync(descriptor)

    folder = tmp_path / "a.folder"
    folder.mkdir()
    monkeypatch.setattr(os, "fsync", counted)
    config = folder / "haproxy.cfg"
    write_all({folder / f"{name}.map": name for name in "cab"} | {config: "x"}, config=config)

    assert sorted(synced[:3]) == ["a", "b", "c"]
    assert synced[3:] == ["folder", "haproxy", "folder"]


def test_files_of_one_reload_are_synced_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes a while for each keeps nobody waiting for their sum."""
    together = threading.Barrier(3, timeout=10)
    sync = os.fsync

    def slow(descriptor: int) -> None:
        if not Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            together.wait()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    files = {tmp_path / f"{name}.map": name for name in "cab"}

    assert write_all(files, config=tmp_path / "haproxy.cfg") == tuple(sorted(files))
    assert {path.read_text() for path in files} == set("abc")


def test_where_one_of_many_cannot_be_synced_none_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old ones stay, and nothing is left beside them."""
    files = {tmp_path / f"{name}.map": name for name in "abc"}
    write_all(files, config=tmp_path / "haproxy.cfg")

    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StateFolderError, match="Input/output error"):
        write_all(dict.fromkeys(files, "new"), config=tmp_path / "haproxy.cfg")
    assert {path.read_text() for path in files} == set("abc")
    assert set(tmp_path.iterdir()) == set(files)
