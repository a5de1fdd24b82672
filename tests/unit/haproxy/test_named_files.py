import os
from pathlib import Path

import pytest

from sidecar.haproxy.named_files import odd_file


@pytest.mark.parametrize(
    "line",
    [
        "errorfile 503 {}",
        "bind :443 ssl crt {} alpn h2",
        "http-request deny if {{ src -f {} }}",
        "http-request set-var(txn.x) path,map_beg({},none)",
        "use_backend %[req.hdr(host),lower,map({})]",
        "lua-load '{}'",
    ],
)
def test_a_pipe_is_found_wherever_a_line_names_it(tmp_path: Path, line: str) -> None:
    """HAProxy reads files at many words."""
    os.mkfifo(tmp_path / "pipe")
    text = f"defaults\n    mode http\n    {line.format(tmp_path / 'pipe')}\n"

    assert odd_file(text) == f"{tmp_path}/pipe is a pipe or a device, and no file"
    assert odd_file(text.replace("/pipe", "/other")) == ""


def test_a_path_with_spaces_is_one_word(tmp_path: Path) -> None:
    """As HAProxy reads it."""
    os.mkfifo(tmp_path / "a pipe")

    assert odd_file(f'errorfile 503 "{tmp_path}/a pipe"') != ""
    assert odd_file(f"errorfile 503 {tmp_path}/a\\ pipe") != ""


def test_devices_never_end_but_for_the_one_that_is_empty() -> None:
    """`errorfile 400 /dev/null` is how to say nothing."""
    assert odd_file("errorfile 503 /dev/zero") == "/dev/zero is a pipe or a device, and no file"
    assert odd_file("errorfile 400 /dev/null") == ""


def test_what_is_only_written_to_may_be_a_pipe(tmp_path: Path) -> None:
    """A log's socket, or what a container has for one."""
    os.mkfifo(tmp_path / "log")

    assert odd_file(f"log {tmp_path}/log local0") == ""
    assert odd_file(f"# {tmp_path}/log\nan 'open quote {tmp_path}/log") == ""
