import os
from pathlib import Path

import pytest

from sidecar.reading import read_file, special


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """Whoever writes it cannot fill our memory."""
    (tmp_path / "file").write_bytes(b"x" * 100)

    assert read_file(tmp_path / "file", 100) == b"x" * 100
    assert read_file(tmp_path / "file", 10) == b"x" * 10


@pytest.mark.timeout(10)
def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """Nobody will ever write into it."""
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="is a pipe or a device"):
            read_file(path, 10)
        assert special(str(path)) == "is a pipe or a device, and no file"
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 10)


@pytest.mark.timeout(10)
def test_a_pipe_that_was_given_at_the_start_is_waited_for() -> None:
    """As a shell's `<(command)` is."""
    reader, writer = os.pipe()
    os.write(writer, b"me:secret\n")
    os.close(writer)

    assert read_file(Path(f"/dev/fd/{reader}"), 100, pipe=True) == b"me:secret\n"
    os.close(reader)


def test_files_folders_and_what_is_not_there_are_nothing_special(tmp_path: Path) -> None:
    """Others say what is wrong with them; what the kernel shows as files is none."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/proc/self/mem")

    assert [special(str(tmp_path / name)) for name in ("file", "", "missing", "a\0b")] == [""] * 4
    assert special(str(tmp_path / "link"))
    assert special("/proc/kmsg")
