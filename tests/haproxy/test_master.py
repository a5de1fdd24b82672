import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.errors import MasterUnavailableError, ReplyError
from sidecar.haproxy.master import MasterCli
from sidecar.haproxy.process import haproxy_version
from sidecar.haproxy.replies import read_info, read_map
from tests.haproxy.conftest import RunningHaproxy
from tests.haproxy.scripted_socket import Expect, Hang, Script, Send, scripted_socket

GREETING: Script = (Expect(1), Send(b"master> "), Expect(2))


def proc(*, reloads: int, worker: int | None, failed: int = 0) -> Send:
    """An answer to `show proc`."""
    rows = [f"10 master {reloads} [failed: {failed}] 0d00h00m01s 2.6.12", "# workers"]
    if worker is not None:
        rows.append(f"{worker} worker 0 0d00h00m01s 2.6.12")
    text = "\n".join(("#<PID> <type> <reloads> <uptime> <version>", *rows, "# programs"))
    return Send(f"{text}\n\nmaster> ".encode())


@pytest.fixture
def master(haproxy: RunningHaproxy) -> MasterCli:
    """The master CLI of a real HAProxy."""
    return MasterCli(haproxy.master_socket)


def test_the_master_lists_its_worker(haproxy: RunningHaproxy, master: MasterCli) -> None:
    """The pid is the process that we started; the worker is another."""
    processes = master.processes()

    assert processes.master_pid == haproxy.pid
    assert (processes.reloads, processes.failed_reloads) == (0, 0)
    assert len(processes.workers) == 1
    assert processes.workers[0].pid != haproxy.pid


def test_the_worker_answers_through_the_master(haproxy: RunningHaproxy, master: MasterCli) -> None:
    """It is the worker that the master lists, and payloads reach it too."""
    info = read_info(master.ask_worker("show info"))
    added = master.ask_worker(f"add map {haproxy.map_file} <<\n/a b c\n/d e")
    entries = read_map(master.ask_worker(f"show map {haproxy.map_file}"))

    assert int(info["Pid"]) == master.processes().workers[0].pid
    assert added == ""
    assert entries == (("/one", "app"), ("/a", "b c"), ("/d", "e"))


def test_a_reload_ends_with_the_new_worker(haproxy: RunningHaproxy, master: MasterCli) -> None:
    """The new worker is current, and it reads the new files."""
    before = master.processes()
    Path(haproxy.map_file).write_text("/two spare\n")

    outcome = master.reload()

    after = master.processes()
    assert outcome.succeeded
    assert outcome.worker_pid == after.workers[0].pid != before.workers[0].pid
    assert after.reloads == before.reloads + 1
    assert read_map(master.ask_worker(f"show map {haproxy.map_file}")) == (("/two", "spare"),)


def test_a_reload_with_a_bad_file_fails_and_the_worker_stays(
    haproxy: RunningHaproxy, master: MasterCli, haproxy_binary: str
) -> None:
    """The outcome says so with HAProxy's own words, and a good reload heals it."""
    good = haproxy.configuration.read_text()
    haproxy.configuration.write_text(good + "\nfrontend bad\n    bind 127.0.0.1:1 nonsense\n")
    worker = master.processes().workers[0].pid

    failed = master.reload()
    answered = master.ask_worker("show info")
    haproxy.configuration.write_text(good)
    healed = master.reload()

    assert not failed.succeeded
    assert failed.worker_pid == worker
    if not haproxy_version(haproxy_binary).startswith("2.6"):  # which says nothing
        assert "nonsense" in failed.log
    assert int(read_info(answered)["Pid"]) == worker
    assert healed.succeeded
    assert healed.worker_pid != worker


def test_reloads_at_the_same_time_are_serialised(master: MasterCli) -> None:
    """None is lost: each caller gets a worker of its own."""
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(lambda _: master.reload(), range(3)))

    assert all(outcome.succeeded for outcome in outcomes)
    assert len({outcome.worker_pid for outcome in outcomes}) == 3
    assert master.processes().reloads == 3


def test_a_reload_that_is_busy_too_long_says_so(haproxy: RunningHaproxy, master: MasterCli) -> None:
    """A caller does not wait for another's reload beyond its own deadline."""
    with master._reloading, pytest.raises(MasterUnavailableError, match="another reload"):
        master.reload(timeout=0.1)


def test_a_reload_with_another_binds_port_fails(haproxy: RunningHaproxy, master: MasterCli) -> None:
    """A bind conflict is a failed reload, whatever the configuration's check says."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with haproxy.configuration.open("a") as file:
            file.write(f"\nfrontend taken\n    bind 127.0.0.1:{port}\n    default_backend app\n")
        outcome = master.reload()

    assert not outcome.succeeded
    now = master.processes()
    assert outcome.worker_pid == (now.workers or now.old_workers)[0].pid


def test_an_empty_answer_is_settled_by_the_processes(short_dir: Path) -> None:
    """HAProxy 2.6 closes without a word, and refuses connections while it loads."""
    path = short_dir / "m"
    scripts: tuple[Script, ...] = (
        [*GREETING, proc(reloads=0, worker=11)],
        [Expect(1)],  # `reload`: closed without an answer
        [],  # refused while it loads
        [*GREETING, Send(b"half of an ans")],
        [*GREETING, proc(reloads=1, worker=12)],
    )
    with scripted_socket(path, *scripts) as heard:
        outcome = MasterCli(str(path)).reload(timeout=10)

    assert (outcome.succeeded, outcome.worker_pid, outcome.log) == (True, 12, "")
    assert heard[1] == b"reload\n"


def test_an_empty_answer_with_the_same_worker_is_a_failure(short_dir: Path) -> None:
    """The counter grew and nothing else changed."""
    path = short_dir / "m"
    scripts: tuple[Script, ...] = (
        [*GREETING, proc(reloads=0, worker=11)],
        [Expect(1)],
        [*GREETING, proc(reloads=1, worker=11, failed=1)],
    )
    with scripted_socket(path, *scripts):
        outcome = MasterCli(str(path)).reload(timeout=10)

    assert (outcome.succeeded, outcome.worker_pid) == (False, 11)


def test_a_lost_reload_is_sent_again(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A master that just started may reset the connection and forget the reload."""
    monkeypatch.setattr("sidecar.haproxy.master._LOST_AFTER", 0.0)
    path = short_dir / "m"
    scripts: tuple[Script, ...] = (
        [*GREETING, proc(reloads=0, worker=11)],
        [Expect(1)],
        [*GREETING, proc(reloads=0, worker=11)],
        [Expect(1), Send(b"Success=1\n--\nlog\n")],
        [*GREETING, proc(reloads=1, worker=None)],
        [*GREETING, proc(reloads=1, worker=11)],
        [*GREETING, proc(reloads=1, worker=12)],
    )
    with scripted_socket(path, *scripts) as heard:
        outcome = MasterCli(str(path)).reload(timeout=10)

    assert (outcome.succeeded, outcome.worker_pid, outcome.log) == (True, 12, "log")
    assert [asked for asked in heard if asked == b"reload\n"] == [b"reload\n"] * 2


def test_a_success_without_a_new_worker_is_not_believed_forever(short_dir: Path) -> None:
    """The deadline ends the wait for a worker that never comes, within an answer or between two."""
    path = short_dir / "m"
    scripts: tuple[Script, ...] = (
        [*GREETING, proc(reloads=0, worker=11)],
        [Expect(1), Send(b"Success=1\n")],
        *([*GREETING, proc(reloads=1, worker=11)] for _ in range(100)),
    )
    with (
        scripted_socket(path, *scripts),
        pytest.raises(MasterUnavailableError, match=r"no new worker|timed out"),
    ):
        MasterCli(str(path)).reload(timeout=0.3)


def test_an_answer_that_is_no_reload_answer_raises(short_dir: Path) -> None:
    """A socket without the admin level refuses; that is not a failed reload."""
    path = short_dir / "m"
    scripts: tuple[Script, ...] = (
        [*GREETING, proc(reloads=0, worker=11)],
        [Expect(1), Send(b"Permission denied\n")],
    )
    with scripted_socket(path, *scripts), pytest.raises(ReplyError, match="Permission denied"):
        MasterCli(str(path)).reload(timeout=5)


def test_a_master_that_is_gone_is_unavailable_and_named(short_dir: Path) -> None:
    """Every call says which socket."""
    master = MasterCli(str(short_dir / "nobody"), timeout=0.2)

    with pytest.raises(MasterUnavailableError, match=f"{short_dir}/nobody"):
        master.processes()
    with pytest.raises(MasterUnavailableError, match=f"{short_dir}/nobody"):
        master.ask_worker("show info")
    with pytest.raises(MasterUnavailableError, match=f"{short_dir}/nobody"):
        master.reload(timeout=0.2)


def test_a_dropped_connection_is_tried_again(short_dir: Path) -> None:
    """A master that starts closes what it has accepted; asking for its processes is harmless."""
    path = short_dir / "m"
    scripts: tuple[Script, ...] = (
        [],
        [*GREETING, Send(b"half")],
        [*GREETING, proc(reloads=0, worker=11)],
    )
    with scripted_socket(path, *scripts):
        assert MasterCli(str(path)).processes().master_pid == 10


def test_a_command_for_the_worker_is_sent_once(short_dir: Path) -> None:
    """Whether it was carried out before the connection broke is not known."""
    path = short_dir / "m"
    with (
        scripted_socket(path, [*GREETING], [*GREETING, Send(b"\nmaster> ")]) as heard,
        pytest.raises(MasterUnavailableError),
    ):
        MasterCli(str(path)).ask_worker("set server a/b state maint")

    assert heard == [b"prompt\n@1 set server a/b state maint\n"]


def test_a_master_that_hangs_ends_the_wait_at_the_deadline(short_dir: Path) -> None:
    """A stopped master accepts connections and says nothing."""
    path = short_dir / "m"
    begin = time.monotonic()
    with (
        scripted_socket(path, [Hang()]),
        pytest.raises(MasterUnavailableError, match="timed out"),
    ):
        MasterCli(str(path), timeout=0.2).processes()

    assert time.monotonic() - begin < 5


def test_the_prompt_after_a_failed_reload_is_known(short_dir: Path) -> None:
    """It differs, and a line of the reply that begins like it is no prompt."""
    path = short_dir / "m"
    script: Script = [
        Expect(1),
        Send(b"master[ReloadFailed]> "),
        Expect(2),
        Send(b"master of\nmaster> not the end\n"),
        Send(b"\nmaster[ReloadFailed]> "),
    ]
    with scripted_socket(path, script):
        assert MasterCli(str(path)).ask_worker("x") == "master of\nmaster> not the end"


def test_a_master_without_a_worker_is_unavailable(short_dir: Path) -> None:
    """Its words are in the error."""
    path = short_dir / "m"
    text = b"Can't find the target PID matching the prefix '@1'\nmaster> "
    with (
        scripted_socket(path, [*GREETING, Send(text)]),
        pytest.raises(MasterUnavailableError, match="no worker: Can't find"),
    ):
        MasterCli(str(path)).ask_worker("show info")


def test_the_reloaded_master_keeps_its_pid(haproxy: RunningHaproxy, master: MasterCli) -> None:
    """A reload starts the master's program again in the same process."""
    master.reload()

    assert master.processes().master_pid == haproxy.pid
    os.kill(haproxy.pid, 0)
