"""The log of a running sidecar: for people, for machines, for syslog; each thing once."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.rig import Rig, eventually, short_folder
from tests.system.test_dropin import dropped_in

pytestmark = pytest.mark.timeout(90)

PASSWORD = "a-secret-word"


@contextmanager
def syslog() -> Iterator[tuple[Path, list[bytes]]]:
    """A syslog daemon's socket, and all that came to it so far."""
    got: list[bytes] = []
    with short_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(folder / "log"))
        made.settimeout(0.1)
        ending = threading.Event()

        def read() -> None:
            while not ending.is_set():
                try:
                    got.append(made.recv(65536))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield folder / "log", got
        finally:
            ending.set()
            thread.join(10)


def lines(rig: Rig) -> list[dict[str, object]]:
    """Every line of the log, each of which is JSON."""
    return [json.loads(line) for line in rig.sidecar.log_text().splitlines()]


def test_machines_get_json_with_each_reload_and_its_reasons_and_each_problem_once() -> None:
    """Full fetches and changes of other apps tell nothing anew; nothing but JSON is written."""
    variables = ("--auth-credentials", f"user:{PASSWORD}")
    with system.running(*variables) as rig:
        bad = labelled(web("/bad", port=rig.ports.service[0]), BALANCE="at-random")
        rig.marathon.deploy(bad)
        eventually(lambda: rig.sidecar.problems("/bad"), "the problem is known")
        outside = rig.ports.service[-1] + 5
        rig.marathon.deploy(web("/far", port=outside))
        eventually(lambda: rig.sidecar.log("reloaded"), "a port outside of the range reloads")
        for instances in (2, 1):
            rig.resync()
            rig.deploy(web("/good", port=rig.ports.service[1], instances=instances))

        (told,) = [each for each in rig.sidecar.log("problem") if each["app"] == "/bad"]
        assert told["level"] == "warning"
        assert told["field"] == "HAPROXY_0_BALANCE"
        assert "at-random" in told["reason"]
        (reloaded,) = rig.sidecar.log("reloaded")
        assert str(outside) in reloaded["why"]
        assert reloaded["why"].startswith("port: ")

        rig.deploy(web("/bad", port=rig.ports.service[0]))
        assert len(rig.sidecar.log("problem solved", app="/bad")) == 1
        assert all({"event", "level", "timestamp"} <= each.keys() for each in lines(rig))
        assert PASSWORD not in rig.sidecar.log_text()


def test_syslog_gets_what_the_console_gets_as_marathon_lb_has_it() -> None:
    """In the form of --log-format, each line with its severity; the console goes on."""
    with syslog() as (path, got):
        words = ("sse", "--group", "external", "--syslog-socket", str(path))
        with dropped_in(*words) as (sidecar, marathon, ports, _):
            sidecar.until_synced()
            marathon.deploy(labelled(web("/bad", port=ports.service[0]), MODE="udp"), timeout=60)
            eventually(lambda: any(b"problem app=/bad" in line for line in got), "it is told there")
            assert sidecar.stop() == 0
            console = sidecar.log_text().splitlines()

        sent = [line.decode().removesuffix("\0") for line in got]
        pattern = re.compile(r"<(\d+)>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} marathon_lb: (.*)")
        found = [pattern.fullmatch(line) for line in sent]
        assert all(found), [line for line, match in zip(sent, found, strict=True) if not match]
        severities = {match[2].split(" ")[0]: match[1] for match in found if match}
        assert (severities["problem"], severities["connected"]) == ("12", "14")
        # The time is put on each of the two by itself.
        messages = {line.partition(" marathon_lb: ")[2] for line in sent}
        assert messages <= {line.partition(" marathon_lb: ")[2] for line in console}


def test_a_syslog_daemon_that_does_not_read_does_not_stop_the_work() -> None:
    """Its queue fills with the first lines; apps go on being served, and the end is clean."""
    with short_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(folder / "log"))
        flags = ("--syslog-socket", str(folder / "log"), "--log-level", "debug")
        with system.running(*flags) as rig:
            for instances in range(1, 6):
                rig.deploy(web("/app", port=rig.ports.service[0], instances=instances))

            assert len(lines(rig)) > 100
            assert rig.sidecar.stop() == 0
