"""The command line of marathon-lb as its users have it: their arguments, our process, HAProxy."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.demo.local import LocalMarathon
from sidecar.haproxy.process import open_files_allow
from sidecar.haproxy.runtime import RuntimeApi
from tests.system.apps import web
from tests.system.clients import COMMAND, PATIENCE, command, get
from tests.system.ports import Ports, free_ports
from tests.system.rig import Proxy, Sidecar, eventually, local_marathon, short_folder

pytestmark = pytest.mark.timeout(90)


class DropIn(Sidecar):
    """The sidecar, started with the words and variables of marathon-lb."""

    def __init__(
        self, folder: Path, ports: Ports, words: tuple[str, ...], **variables: str
    ) -> None:
        super().__init__(folder, ())
        self._words = words
        names = ("http", "https", "appid", "stats", "web")
        own = {f"MLB_{name.upper()}_PORT": str(getattr(ports, name)) for name in names}
        self.variables = {
            **own,
            "MLB_SERVICE_PORTS": f"{ports.service[0]}-{ports.service[-1]}",
            "MLB_BIND": "127.0.0.1",
            "MLB_STATE_DIR": str(folder),
            "MLB_SECOND_SOCKET": str(folder / "run" / "socket"),
            "MLB_SSL_DIR": str(folder / "ssl"),
            **variables,
        }

    def start(self, *more: str, log_to: Path | None = None) -> None:
        """Start it, without waiting for anything."""
        with (log_to or self.log_file).open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, *self._words, *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.variables,
                start_new_session=True,
            )


@contextmanager
def dropped_in(
    mode: str, *words: str, **variables: str
) -> Iterator[tuple[DropIn, LocalMarathon, Ports, Proxy]]:
    """One that runs, with a Marathon; all is ended afterwards."""
    ports = free_ports()
    with short_folder() as folder, local_marathon(ports) as marathon:
        sidecar = DropIn(folder, ports, (mode, *words, "--marathon", marathon.url), **variables)
        proxy = Proxy(folder)
        sidecar.start()
        try:
            yield sidecar, marathon, ports, proxy
        finally:
            sidecar.end()
            proxy.end()


def served(ports: Ports, host: str) -> bool:
    """Whether an app answers for a host."""
    status, text = get(ports.http, "/", {"Host": host})
    return status == 200 and "hello from" in text


def test_the_words_of_a_usual_deployment_do_the_main_job() -> None:
    """Sse --group external: apps are served, and signals fetch and reload without ending it."""
    with dropped_in("sse", "--group", "external") as (sidecar, marathon, ports, proxy):
        sidecar.until_synced()
        marathon.deploy(web("/app", port=ports.service[0]), timeout=60)
        eventually(lambda: served(ports, "app.test"), "the app is served")
        state = sidecar.state()["settings"]
        assert (state["group"], state["true_names"]) == (["external"], "quiet")
        assert re.search(
            r"^\d{4}-\d\d-\d\d \S+ marathon_lb: connected ", sidecar.log_text(), re.MULTILINE
        )
        room = open_files_allow(50_000)
        assert (sidecar.state()["haproxy"]["maxconn"] == "50000") is room
        assert ("maxconn is left to HAProxy" in sidecar.log_text()) is not room
        with RuntimeApi(str(sidecar.folder / "run" / "socket")) as api:
            assert "backend2app.map" in api.ask("show map")

        fetched = sidecar.state()["freshness"]["last_resync"]
        sidecar.send(signal.SIGHUP)
        eventually(lambda: sidecar.state()["freshness"]["last_resync"] > fetched, "it fetched")
        reloads = proxy.identity[2]
        sidecar.send(signal.SIGUSR1)
        eventually(lambda: proxy.identity[2] == reloads + 1, "it reloaded", within=PATIENCE + 15)
        assert sidecar.stop() == 0


def test_poll_mode_fetches_and_never_opens_a_stream() -> None:
    """An app that comes is there after an interval."""
    variables = {"POLL_INTERVAL": "0.5", "MLB_MAXCONN": "1234", "HAPROXY_SYSLOGD": "1"}
    with dropped_in("poll", "--group", "external", **variables) as (sidecar, marathon, ports, _):
        eventually(lambda: sidecar.state().get("freshness", {}).get("last_resync"), "it fetched")
        marathon.deploy(web("/app", port=ports.service[0]), timeout=60)
        eventually(lambda: served(ports, "app.test"), "the app is served")

        eventually(lambda: "(marathon_http_in/HTTP)" in sidecar.log_text(), "HAProxy's log")
        assert sidecar.state()["freshness"]["stream"] == ""
        assert sidecar.state()["haproxy"]["maxconn"] == 1234
        assert "connected" not in sidecar.log_text()
        told = command("status", "--state-dir", str(sidecar.folder)).stdout
        assert "not followed, all apps are fetched each 0.5 s" in told
        assert sidecar.stop() == 0


def test_a_signal_while_it_starts_does_not_end_it() -> None:
    """SIGHUP and SIGUSR1 in a burst, from when it reads its settings on."""
    words = ("--group", "external", "--log-format", "json", "--max-backoff", "300")
    with dropped_in("sse", *words) as (sidecar, *_):
        eventually((sidecar.folder / "lock").exists, "it begins")
        for _ in range(20):
            sidecar.send(signal.SIGHUP)
            sidecar.send(signal.SIGUSR1)
        sidecar.until_synced()
        assert sidecar.log("signal", asks="reload")
        assert sidecar.log("--max-backoff is 30 s at most")
        assert sidecar.stop() == 0


def test_a_credential_file_that_goes_away_is_in_status_and_log_and_traffic_goes_on() -> None:
    """The last good content stays in use."""
    with short_folder() as there:
        file = there / "credentials"
        file.write_text("user:a-secret-word\n")
        words = ("--group", "external", "--marathon-auth-credential-file", str(file))
        with dropped_in("sse", *words) as (sidecar, *_):
            sidecar.until_synced()
            file.unlink()
            sidecar.send(signal.SIGHUP)
            eventually(lambda: sidecar.state()["credentials_trouble"], "it is said")
            text = sidecar.log_text() + json.dumps(sidecar.state())
            assert sidecar.log_text().count("credentials not renewed") == 1
            assert str(file) in sidecar.state()["credentials_trouble"]
            assert "a-secret-word" not in text
