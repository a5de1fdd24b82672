"""Requests for an app that is asleep, on a real HAProxy; the test stands in for the scaler."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import attrs
import pytest
import requests

from sidecar.desired.model import Desired
from sidecar.waking.counters import read_counters
from sidecar.waking.flights import Outcome, Told
from sidecar.web.control import ControlServer
from tests.builders import a_task, an_app, desired_of
from tests.conditions import eventually
from tests.haproxy.skeleton_rig import (
    WITHIN,
    Answer,
    Rig,
    a_folder,
    a_layout,
    a_rig,
    free_ports,
    get,
    tasks,
)

HOST = "nap.test"
LATE = "503 Not started: No task of the app came in time"


@attrs.define
class Nap:
    """An app that is asleep, and who answers for the sidecar."""

    rig: Rig
    port: int
    task: int
    asked: list[tuple[float, str]] = attrs.field(factory=list)
    told: list[int] = attrs.field(factory=list)
    ended: list[tuple[str, str]] = attrs.field(factory=list)
    answer: Callable[[str], Told | None] = lambda _: Told()
    clients: ThreadPoolExecutor = attrs.field(factory=lambda: ThreadPoolExecutor(60))

    def wake(self, name: str, waiting: int) -> Told | None:
        """What the control server is asked by HAProxy."""
        self.asked.append((time.monotonic(), name))
        self.told.append(waiting)
        return self.answer(name)

    def desired(self, *, awake: bool, **labels: str) -> Desired:
        """The app with or without its task."""
        named = {"HAPROXY_0_VHOST": HOST, "HAPROXY_0_WAKE": "true"}
        named |= {f"HAPROXY_0_{name}": text for name, text in labels.items()}
        row = a_task(1, "/nap", host="127.0.0.1", ports=[self.task])
        app = an_app("/nap", labels=named, service_ports=(self.port,), tasks=[row] if awake else [])
        return desired_of([app])

    def becomes(self, *, awake: bool, **labels: str) -> None:
        """Have HAProxy follow, without a reload."""
        self.rig.settle(self.desired(awake=awake, **labels))

    def host(self, path: str = "/") -> Answer:
        """A request on port 80."""
        assert self.rig.layout.http_port is not None
        return get(self.rig.layout.http_port, path, Host=HOST)

    def begin(self, count: int = 1) -> list[Future[Answer]]:
        """Requests that come at once, each in a thread of its own."""
        return [self.clients.submit(self.host) for _ in range(count)]

    def waiting(self) -> int:
        """How many requests the backend has."""
        with self.rig.api() as api:
            rows = self.rig.observe(api).rows()
            (place,) = (name for name, row in rows.items() if row.owner == f"nap_{self.port}")
        [usage] = read_counters(f"{self.rig.folder}/admin.sock", "", (place,)).values()
        return usage.active


@pytest.fixture(scope="module")
def running(haproxy_binary: str) -> Iterator[Nap]:
    """An HAProxy that was started while the app was asleep."""
    with a_folder() as folder, tasks(("task",)) as ports:
        [port] = free_ports(1)
        rig = a_rig(haproxy_binary, folder, a_layout(folder, (port,)))
        nap = Nap(rig, port, ports["task"])
        control = ControlServer(
            folder / "sidecar.sock",
            state=dict,
            commands={},
            wake=nap.wake,
            waited=lambda *told: nap.ended.append(told),
        )
        thread = threading.Thread(target=control.run)
        thread.start()
        rig.write(nap.desired(awake=False))
        try:
            with rig.running():
                yield nap
        finally:
            control.interrupt()
            thread.join(WITHIN)


@pytest.fixture
def nap(running: Nap) -> Nap:
    """The app, asleep, and nobody has asked for it."""
    running.becomes(awake=False)
    for each in (running.asked, running.told, running.ended):
        each.clear()
    running.answer = lambda _: Told("being started")
    return running


def test_fifty_requests_wait_and_are_served_by_the_first_task(nap: Nap) -> None:
    """The sidecar is asked for the app by its true name, once a second for all of them."""
    answers = nap.begin(50)
    eventually(lambda: nap.waiting() == 50)
    assert not any(each.done() for each in answers)
    eventually(lambda: nap.told[-1] == 50)

    nap.becomes(awake=True)

    assert [each.result(WITHIN).task for each in answers] == ["task"] * 50
    assert {name for _, name in nap.asked} == {f"nap_{nap.port}"}
    times = [at for at, _ in nap.asked]
    assert all(later - before > 0.9 for before, later in itertools.pairwise(times))
    eventually(lambda: nap.ended == [(f"nap_{nap.port}", "served")])


def test_a_request_at_the_service_port_and_by_app_id_waits_too(nap: Nap) -> None:
    """Each door leads to the same backend."""
    appid = nap.rig.layout.appid_port
    answers = [
        nap.clients.submit(get, nap.port),
        nap.clients.submit(lambda: get(appid, X_Marathon_App_Id="/nap")),
    ]
    eventually(lambda: nap.waiting() == 2)

    nap.becomes(awake=True)

    assert [each.result(WITHIN).task for each in answers] == ["task", "task"]


def test_requests_to_an_app_that_is_awake_ask_nobody(nap: Nap) -> None:
    """The sidecar has no part in them."""
    nap.becomes(awake=True)
    assert nap.host().status == 200  # once its first check is over
    eventually(lambda: len(nap.ended) == bool(nap.asked))
    nap.asked.clear()

    assert [nap.host().status for _ in range(3)] == [200] * 3
    assert nap.asked == []


def test_a_refusal_is_told_to_all_who_wait(nap: Nap) -> None:
    """As 503 with the reason, at once."""
    nap.answer = lambda _: REFUSED
    began = time.monotonic()

    replies = [raw(nap) for _ in range(2)]

    assert replies[0] == (503, "5", f"503 Not started: {REFUSED.reason}\n")
    assert replies[1] == replies[0]
    assert time.monotonic() - began < 2.5


REFUSED = Told("Marathon does not let us scale it", Outcome.REFUSED)


def raw(nap: Nap, accept: str = "*/*") -> tuple[int, str, str]:
    """Status, Retry-After and body of one request."""
    url = f"http://127.0.0.1:{nap.rig.layout.http_port}/"
    headers = {"Host": HOST, "Accept": accept}
    answer = requests.get(url, headers=headers, timeout=WITHIN)
    return answer.status_code, answer.headers.get("Retry-After", ""), answer.text


def test_a_program_that_waited_is_told_in_json_why(nap: Nap) -> None:
    """As of every request that nothing answers: the status, a word and a sentence."""
    nap.answer = lambda _: REFUSED

    status, again, text = raw(nap, "application/json")

    assert (status, again) == (503, "5")
    assert json.loads(text) == {
        "status": 503,
        "reason": "wake-refused",
        "message": "Marathon does not let us scale it",
    }


def test_a_browser_that_waited_is_told_on_a_page_that_the_reason_cannot_break(nap: Nap) -> None:
    """Marathon's words stand in it, whatever they are."""
    nap.answer = lambda _: Told("it said <script> & 'more' at 100%", Outcome.FAILED)

    status, again, text = raw(nap, "text/html,application/xhtml+xml,*/*;q=0.8")

    assert (status, again) == (503, "5")
    assert text.startswith('<!doctype html><html lang="en">')
    assert "<p>it said (script) + 'more' at 100%</p>" in text


def test_without_explanations_the_reason_is_one_line(haproxy_binary: str) -> None:
    """With `--error-pages plain`, whatever the client likes."""
    with a_folder() as folder:
        [port] = free_ports(1)
        layout = a_layout(folder, (port,), explains=False)
        nap = Nap(a_rig(haproxy_binary, folder, layout), port, 1)
        nap.rig.write(nap.desired(awake=False, WAKE_TIMEOUT="1"))
        with nap.rig.running():
            status, again, text = raw(nap, "text/html")
            assert nap.rig.check() == (0, "")
    assert (status, again) == (503, "5")
    assert text == "No task of the app came in time: The sidecar cannot be reached\n"


def test_a_wait_ends_after_the_time_of_the_label(nap: Nap) -> None:
    """It says what held it up, as far as the sidecar knew."""
    nap.becomes(awake=False, WAKE_TIMEOUT="1")
    began = time.monotonic()

    assert raw(nap) == (503, "5", f"{LATE}: being started\n")
    assert 0.9 < time.monotonic() - began < 3
    eventually(lambda: nap.ended == [(f"nap_{nap.port}", "timed-out")])
    nap.answer = lambda _: None
    time_out = raw(nap)
    assert time_out[2] == f"{LATE}: the sidecar knows of no such app that can be woken\n"


def test_who_may_not_come_in_wakes_nothing(nap: Nap) -> None:
    """Nor does who is sent elsewhere."""
    nap.becomes(awake=False, BACKEND_NETWORK_ALLOWED_ACL="10.0.0.0/8")
    assert nap.host().status == 403
    nap.becomes(awake=False, REDIRECT_TO_HTTPS="true")
    assert nap.host().status == 301

    assert nap.asked == []


def test_a_client_that_goes_away_while_it_waits_harms_nobody(nap: Nap) -> None:
    """Others are served; HAProxy may say that it ends the script, which is none of its errors."""
    for _ in range(5):
        assert nap.rig.layout.http_port is not None
        with socket.create_connection(("127.0.0.1", nap.rig.layout.http_port)) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    answers = nap.begin(3)
    eventually(lambda: nap.asked)

    nap.becomes(awake=True)

    assert [each.result(WITHIN).status for each in answers] == [200, 200, 200]
    log = (nap.rig.folder / "log").read_text()
    assert "runtime error" not in log, log


def test_while_the_sidecar_is_away_waiting_ends_early(nap: Nap) -> None:
    """Five seconds are enough for one that is started again."""
    sock = nap.rig.folder / "sidecar.sock"
    hidden = sock.rename(nap.rig.folder / "away.sock")
    try:
        began = time.monotonic()
        status, _, text = raw(nap)
        assert 4.5 < time.monotonic() - began < 8
    finally:
        hidden.rename(sock)
    assert (status, text) == (503, "503 Not started: The sidecar cannot be reached\n")


def test_a_reload_ends_the_wait_of_the_old_worker(nap: Nap) -> None:
    """What changes then reaches the new worker alone; who asks again is served by it."""
    [waits] = nap.begin()
    eventually(lambda: nap.waiting() == 1)
    nap.rig.write(nap.desired(awake=False))

    nap.rig.reload()

    assert waits.result(WITHIN).status == 503
    eventually(nap.rig.is_alone)
    [again] = nap.begin()
    eventually(lambda: nap.waiting() == 1)
    nap.becomes(awake=True)
    assert again.result(WITHIN).task == "task"
