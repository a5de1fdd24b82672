"""The sidecar's own port: what a platform and an operator get there, while things go wrong."""

import json
import os
import signal
import socket

import pytest

from sidecar.control import ask
from sidecar.settings import Settings
from tests.monitoring import PROMETHEUS_OWN, metrics_named
from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.clients import Json, command, get
from tests.system.rig import Rig, always, eventually

pytestmark = pytest.mark.timeout(90)


def page(rig: Rig, path: str) -> tuple[int, Json]:
    """One of the pages that are JSON; status 0 where nobody listens."""
    status, text = get(rig.ports.web, path)
    return status, json.loads(text) if status else {}


def ready(rig: Rig) -> bool:
    """Whether requests may be sent to its HAProxy."""
    return page(rig, "/readyz")[0] == 200


def test_it_is_ready_while_marathon_is_away_and_not_while_haproxy_is() -> None:
    """It stays alive all the time."""
    with system.running() as rig:
        rig.deploy(web("/app", port=rig.ports.service[0]))
        assert page(rig, "/readyz") == (200, {"ready": True, "why": ""})
        same = ask(Settings(state_dir=str(rig.folder)), "GET", "/healthz")
        assert (same["alive"], set(same)) == (True, set(page(rig, "/healthz")[1]))
        (told,) = rig.sidecar.log("pages")
        assert told["at"] == f"http://127.0.0.1:{rig.ports.web}"
        assert "/readyz" in told["paths"]

        rig.marathon.__exit__(None, None, None)
        eventually(lambda: not rig.sidecar.state()["freshness"]["stream"], "the stream is lost")
        always(lambda: ready(rig), "it is ready without a Marathon", seconds=1)
        for pid in system.masters(rig.folder):
            os.killpg(pid, signal.SIGKILL)
        eventually(lambda: not ready(rig), "it is not ready without an HAProxy")
        assert page(rig, "/healthz")[0] == 200
        eventually(lambda: ready(rig), "it is ready with the HAProxy that was started again")

        rig.sidecar.kill()
        rig.sidecar.start()
        eventually(lambda: ready(rig), "so is a sidecar that finds this HAProxy, and no Marathon")


def test_a_start_without_marathon_and_without_apps_is_not_ready() -> None:
    """Nothing is known that could be served; Marathon's absence is said."""
    with system.rig() as rig:
        rig.marathon.__exit__(None, None, None)
        rig.sidecar.start("--patience", "0.2")
        eventually(lambda: rig.sidecar.state().get("haproxy", {}).get("worker"), "HAProxy is up")

        status, told = page(rig, "/readyz")

        assert status == 503
        assert told["why"].startswith("no app is known yet: ")
        assert page(rig, "/healthz")[0] == 200


def test_a_port_for_pages_that_is_taken_ends_the_start() -> None:
    """Code 2 and one sentence that names it; HAProxy was not started."""
    with system.rig() as rig, socket.create_server(("127.0.0.1", rig.ports.web)):
        done = command("run", *rig.sidecar.arguments)

        assert done.returncode == 2
        assert f"--web-port {rig.ports.web} cannot be had" in done.stderr
        assert "Traceback" not in done.stderr
        assert rig.proxy.master() is None


def test_the_metrics_of_a_running_sidecar_tell_what_it_did() -> None:
    """An app that comes and goes: events, fetches, steps, how long it took; no name of it."""
    with system.running() as rig:
        rig.deploy(web("/secret-app", port=rig.ports.service[0], instances=2))

        found = scrape(rig)

        assert found["mlb_event_stream_connected"] == found["mlb_haproxy_answers"] == 1
        assert found['mlb_events_total{type="status_update_event"}'] >= 2
        assert found['mlb_fetches_total{result="done",what="all"}'] >= 1
        assert found["mlb_marathon_received_bytes_total"] > 100
        assert found['mlb_steps_total{kind="add_server",result="done"}'] == 2
        assert 0 < found["mlb_event_to_applied_seconds_sum"] < 10
        assert found["mlb_cycle_seconds_count"] >= 2
        assert found["mlb_runtime_commands_total"] > 20
        assert found["mlb_haproxy_starts_total"] == found["mlb_haproxy_workers_total"] == 1
        assert (found["mlb_apps"], found['mlb_servers{state="ready"}']) == (1, 2)
        assert found["mlb_reloads_total"] == 0
        assert 0 <= found["mlb_seconds_since_last_event"] < 60
        assert 0 <= found["mlb_writer_silent_seconds"] < 10
        assert not [series for series in found if "secret-app" in series or "{host" in series]

        rig.sidecar.send(signal.SIGUSR1)
        eventually(
            lambda: scrape(rig).get('mlb_reloads_by_reason_total{reason="signal"}') == 1,
            "a reload is counted",
        )
        assert rig.answer(host="nobody.test") == "404"
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(10)
            stranger.connect(str(rig.folder / "agent.sock"))
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"frame too big" in stranger.recv(100)
        eventually(
            lambda: not metrics_named() - names(scrape(rig)) - PROMETHEUS_OWN,
            "every metric of the dashboard and the alerts is there",
        )
        found = scrape(rig)
        assert found['mlb_spoe_answers_total{message="route",result="unknown-host"}'] == 1
        assert found['mlb_spoe_connections_refused_total{reason="frame too big"}'] == 1
        assert 0 < found["mlb_spoe_answer_seconds_sum"] < 1
        eventually(lambda: scrape(rig)["mlb_haproxy_workers_total"] == 2, "so is its worker")


def names(found: dict[str, float]) -> set[str]:
    """The metrics, without their labels."""
    return {series.partition("{")[0] for series in found}


def scrape(rig: Rig) -> dict[str, float]:
    """What Prometheus gets: series and values."""
    status, text = get(rig.ports.web, "/metrics")
    assert status == 200
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in rows}


def test_an_app_cannot_have_the_sidecars_port() -> None:
    """It is told; its host is served, and pages are answered."""
    with system.running() as rig:
        app = labelled(web("/app", port=rig.ports.service[0]), PORT=str(rig.ports.web))
        rig.marathon.deploy(app)
        eventually(lambda: rig.reaches("/app", host="app.test"), "its host is served")

        assert "port 0" in rig.sidecar.problems("/app")
        assert ready(rig)


@pytest.mark.parametrize("word", ["0", "none"])
def test_there_are_no_pages_where_none_are_wanted(word: str) -> None:
    """Nobody listens; all else is as ever."""
    with system.rig("--web-port", word) as rig:
        rig.sidecar.start()
        rig.sidecar.until_synced()

        assert page(rig, "/healthz")[0] == 0
        assert rig.sidecar.log("pages") == []
