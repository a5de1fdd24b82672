"""What the local Marathon does with processes: the tasks', its own, and the example task."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from sidecar.demo.example_apps import echo, example_apps, example_command
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from tests.marathon.local_marathon_rig import PATIENCE, Json, ask, deployed, fetch, sleeper, web

ROOT = Path(__file__).parents[2]


@pytest.fixture
def marathon() -> Iterator[LocalMarathon]:
    """A Marathon with short graces."""
    with LocalMarathon(LocalMarathonSettings(grace=2, back_off=0.05)) as local:
        yield local


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process is there and is not only waiting for its parent to notice its end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def printed(path: Path) -> str:
    """What the tasks wrote so far."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_a_task_is_told_who_and_where_it_is(tmp_path: Path) -> None:
    """Its environment names its host, its ports, its app, its version and itself."""
    output = tmp_path / "output"
    ports = [{"port": 0, "name": "http-api"}, {"port": 0, "name": "dns", "protocol": "udp"}]
    app = sleeper(cmd="env && exec sleep 600", portDefinitions=ports, env={"OWN": "a b"})
    with LocalMarathon(LocalMarathonSettings(task_output=output)) as marathon:
        (task,) = marathon.deploy(app)
        eventually(lambda: "OWN=a b\n" in printed(output))
        lines = printed(output).splitlines()

    first, second = task.ports
    assert {
        "HOST=127.0.0.1",
        f"PORT={first}",
        f"PORT0={first}",
        f"PORT1={second}",
        f"PORTS={first},{second}",
        f"PORT_HTTP_API={first}",
        f"PORT_DNS={second}",
        "MARATHON_APP_ID=/sleeper",
        f"MARATHON_APP_VERSION={task.version}",
        f"MESOS_TASK_ID={task.id}",
    } <= set(lines)


def test_arguments_instead_of_a_command_reach_the_task_as_they_are(tmp_path: Path) -> None:
    """No shell takes them apart."""
    output = tmp_path / "output"
    app = sleeper(cmd=None, args=["/bin/echo", "a  b", "$HOME"])
    with LocalMarathon(LocalMarathonSettings(task_output=output)) as marathon:
        marathon.write(app)
        eventually(lambda: "a  b $HOME\n" in printed(output))


def test_a_task_that_ignores_sigterm_is_killed_after_its_grace(marathon: LocalMarathon) -> None:
    """Not before, and not much later."""
    stubborn = sleeper(cmd="trap '' TERM; sleep 600 & wait; wait", taskKillGracePeriodSeconds=0.5)
    (task,) = marathon.deploy(stubborn)
    pid = marathon.pid(task.id)
    eventually(lambda: _children(pid) != [])
    began = time.monotonic()
    ask(marathon, "DELETE", "/v2/apps/sleeper")
    marathon.wait(lambda: not marathon.tasks("/sleeper"))

    assert 0.5 <= time.monotonic() - began < 5
    assert not runs(pid)


def test_processes_that_a_task_started_end_with_it(marathon: LocalMarathon) -> None:
    """The signals go to the whole group."""
    (task,) = marathon.deploy(sleeper(cmd="sleep 600 & sleep 601 & wait"))
    pid = marathon.pid(task.id)
    eventually(lambda: len(_children(pid)) == 2)
    children = _children(pid)
    ask(marathon, "DELETE", "/v2/apps/sleeper")
    marathon.wait(lambda: not marathon.tasks("/sleeper"))

    assert not any(runs(child) for child in children)


def test_a_task_serves_on_between_sigterm_and_its_end(marathon: LocalMarathon) -> None:
    """The example task lingers, so a request in between is answered."""
    (task,) = marathon.deploy(web(env={"LINGER": "0.7"}))
    ask(marathon, "DELETE", "/v2/apps/web")
    eventually(lambda: marathon.tasks("/web")[0].condition.state == "TASK_KILLING")
    answer = requests.get(f"http://127.0.0.1:{task.ports[0]}/", timeout=5)
    marathon.wait(lambda: not marathon.tasks("/web"))

    assert answer.status_code == 200


def test_a_port_in_use_is_never_handed_out() -> None:
    """Of two ports the free one is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = LocalMarathonSettings(task_ports=range(port, port + 2), port_rest=0)
        with LocalMarathon(settings) as marathon:
            (task,) = marathon.deploy(sleeper())

    assert task.ports == (port + 1,)


def test_required_ports_are_the_tasks_ports(marathon: LocalMarathon) -> None:
    """With requirePorts the host port is the service port; a second task waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    app = sleeper(requirePorts=True, portDefinitions=[{"port": port}])
    (task,) = marathon.deploy(app)
    ask(marathon, "PUT", "/v2/apps/sleeper", {"instances": 2})
    eventually(lambda: len(marathon._book.of("/sleeper")) == 2)
    while_waiting = fetch(marathon, "/sleeper")["tasks"]
    ask(marathon, "DELETE", f"/v2/apps/sleeper/tasks/{task.id}?scale=true&force=true")
    deployed(marathon, "/sleeper")

    assert [each["ports"] for each in while_waiting] == [[port]]
    (second,) = marathon.tasks("/sleeper")
    assert second.ports == (port,)
    assert second.id != task.id


def test_closing_leaves_no_process_and_no_thread_behind() -> None:
    """Not even those of a task that ignores signals."""
    with LocalMarathon() as marathon:
        stubborn = sleeper(cmd="trap '' TERM; while :; do sleep 1; done", instances=2)
        tasks = [*marathon.deploy(stubborn), *marathon.deploy(web())]
        pids = [marathon.pid(task.id) for task in tasks]
        assert all(runs(pid) for pid in pids)

    assert not any(runs(pid) for pid in pids)


def test_a_killed_marathon_takes_its_tasks_with_it() -> None:
    """Even SIGKILL, which it cannot notice, leaves no task behind."""
    with command("--port", "0") as (process, url):
        app = sleeper(instances=2, cmd="trap '' TERM; sleep 600 & wait; wait")
        requests.post(f"{url}/v2/apps", json=app, timeout=5).raise_for_status()
        eventually(lambda: len(_children(process.pid)) == 3)  # two tasks and the watchdog
        groups = _children(process.pid)
        eventually(lambda: sum(len(_children(pid)) for pid in groups) == 2)
        everything = groups + [child for pid in groups for child in _children(pid)]
        process.kill()
        eventually(lambda: not any(runs(pid) for pid in everything))

    assert len(everything) == 5


def test_the_command_says_where_it_is_and_ends_on_sigterm() -> None:
    """One line, at once usable; SIGTERM ends it and its tasks, with code 0."""
    with command("--port", "0", "--examples", "--service-ports", "15000-15009") as (process, url):
        eventually(lambda: len(_tasks(url)) == 6)
        apps = requests.get(f"{url}/v2/apps", timeout=5).json()["apps"]
        children = _children(process.pid)
        process.terminate()

        assert process.wait(timeout=PATIENCE) == 0
    assert sorted(app["id"] for app in apps) == ["/echo", "/hello", "/shop/api"]
    assert not any(runs(pid) for pid in children)


@pytest.mark.parametrize(
    "arguments", [("--task-ports", "32000"), ("--service-ports", "20-10"), ("--port", "x")]
)
def test_the_command_refuses_what_it_cannot_use(arguments: tuple[str, ...]) -> None:
    """With click's code 2, and the value in the message."""
    done = subprocess.run(
        [sys.executable, "-m", "sidecar.demo.marathon_server", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 2
    assert arguments[1] in done.stderr


def test_the_example_command_is_one_process(marathon: LocalMarathon) -> None:
    """Its shells are replaced, so that signals reach the task itself."""
    (task,) = marathon.deploy(web())
    line = Path(f"/proc/{marathon.pid(task.id)}/cmdline").read_text(encoding="utf-8")

    assert line.startswith(sys.executable)
    assert fetch(marathon, "/web")["cmd"] == example_command()


def test_the_example_task_answers_many_requests_on_one_connection(
    marathon: LocalMarathon,
) -> None:
    """Keep-alive, with the path and who answers in the text; HEAD has no body."""
    (task,) = marathon.deploy(web())
    base = f"http://127.0.0.1:{task.ports[0]}"
    with requests.Session() as session:
        texts = [session.get(f"{base}/hello?{n}", timeout=5).text for n in range(3)]
        head = session.head(f"{base}/", timeout=5)

    assert "hello from /web (task " + task.id in texts[0]
    assert f"port {task.ports[0]}, version {task.version})" in texts[0]
    assert [text.rstrip().rpartition(" ")[2] for text in texts] == [
        "/hello?0",
        "/hello?1",
        "/hello?2",
    ]
    assert head.text == ""
    assert int(head.headers["Content-Length"]) > 0


def test_the_example_task_serves_several_connections_at_once(marathon: LocalMarathon) -> None:
    """A client that says nothing keeps nobody else waiting."""
    (task,) = marathon.deploy(web())
    with socket.create_connection(("127.0.0.1", task.ports[0]), timeout=5):
        answer = requests.get(f"http://127.0.0.1:{task.ports[0]}/", timeout=5)

    assert answer.status_code == 200


def test_the_echo_task_speaks_first(marathon: LocalMarathon) -> None:
    """A greeting that names the app, then each line comes back."""
    (task,) = marathon.deploy(echo(instances=1) | {"env": {"LINGER": "0"}})
    address = ("127.0.0.1", task.ports[0])
    with socket.create_connection(address, timeout=5) as client, client.makefile("rwb") as stream:
        greeting = stream.readline().decode()
        stream.write(b"one\ntwo\n")
        stream.flush()
        lines = [stream.readline(), stream.readline()]

    assert greeting.startswith(f"hello from /echo (task {task.id}, host 127.0.0.1, port ")
    assert lines == [b"one\n", b"two\n"]


def test_the_example_apps_are_ones_that_a_balancer_takes() -> None:
    """All are of the external group, and each has two instances and a health check."""
    for app in example_apps():
        labels: Json = app["labels"]

        assert labels["HAPROXY_GROUP"] == "external"
        assert app["instances"] == 2
        assert len(app["healthChecks"]) == 1


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The local Marathon as a process of its own, and its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar.demo.marathon_server", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """The processes that a process started and that run."""
    found = []
    for entry in os.scandir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that just ended
            children = Path(entry.path, "children").read_text(encoding="ascii")
            found += [int(word) for word in children.split()]
    return [child for child in found if runs(child)]


def _tasks(url: str) -> list[Json]:
    tasks: list[Json] = requests.get(f"{url}/v2/tasks?status=running", timeout=5).json()["tasks"]
    return tasks
