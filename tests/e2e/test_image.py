"""The image by itself: all in one, as marathon-lb; and what it says when it cannot work."""

import socket
import time
from collections.abc import Sequence
from functools import partial

import pytest

from tests.e2e.stack import IMAGE, Stack, container, docker, json_of, web
from tests.system.rig import eventually

pytestmark = pytest.mark.timeout(120)

_WORDS = ("sse", "--marathon", "http://marathon:8080", "--health-check", "--group", "external")
_COLLECTOR = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/tmp/spans", "ab") as file:
            file.write(bytes(byte if 31 < byte < 127 else 46 for byte in body))
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", 4318), Handler).serve_forever()
"""
_QUICK = ("--health-interval", "1s")
_STRICT = ("--read-only", "--cap-drop", "ALL", "--user", "1234:1234")


def test_the_image_says_what_it_is(image: str) -> None:
    """Labels, a user who is not root, a health check, and no trace of the build's secrets."""
    config = json_of("image", "inspect", "--format", "{{json .Config}}", image)

    assert config["Labels"]["org.opencontainers.image.title"] == "marathon-lb-sidecar"
    assert config["User"] == "900:900"
    assert config["Healthcheck"]["Test"] == ["CMD", "mlb-healthy"]
    found = docker("run", "--rm", "--entrypoint", "sh", image, "-c", "ls /etc/pip.conf /src")
    assert "No such file" in found.stderr
    assert found.stdout == ""


def test_the_pods_containers_are_not_root_and_write_to_the_volume_alone(pods: Stack) -> None:
    """All other tests of the pod ran so."""
    for service in ("haproxy", "sidecar"):
        assert pods.run_in(service, "id", "-u").strip() == "65534"
        said = pods.run_in(service, "sh", "-c", "touch /marathon-lb/mine; touch /mine 2>&1 || :")
        assert "Read-only file system" in said
        assert pods.inspect(service, ".State.Health.Status") == "healthy"


def test_what_outlives_its_parent_in_a_container_is_reaped(pods: Stack) -> None:
    """No zombie is left behind by a command that somebody runs in it."""
    for service in ("haproxy", "sidecar"):
        pid = pods.run_in(service, "sh", "-c", "sleep 0.3 >/dev/null & echo $!").strip()
        eventually(
            partial(is_gone, pods, service, pid),
            f"process {pid} of {service} is gone",
        )


def test_all_in_one_serves_under_marathon_lbs_entry_point_and_an_init(pods: Stack) -> None:
    """With marathon-lb's words and variables, nothing to write to but its volume, no root."""
    app = web("/solo", port=10004)
    pods.deploy(app)
    entry = ("--init", "--entrypoint", "/marathon-lb/run", "--env", "PORTS=9090,9091")
    bind = ("--cap-add", "NET_BIND_SERVICE", "--volume", "/marathon-lb")
    with container(*pods.beside, *_QUICK, *entry, *_STRICT, *bind, IMAGE, *_WORDS) as name:
        eventually(lambda: health(name) == "healthy", "it is healthy", within=60)
        asked = ("exec", name, "curl", "--silent", "--header", "Host: solo.test", "localhost")
        eventually(lambda: "hello from /solo " in docker(*asked).stdout, "the app is served")
        assert "solo_10004" in docker("exec", name, "mlb-sidecar", "status").stdout

        docker("stop", "--time", "20", name)
        assert json_of("inspect", "--format", "{{json .State.ExitCode}}", name) == 0


def test_a_variable_has_the_image_send_spans_to_a_collector(pods: Stack) -> None:
    """Nothing is to be installed; the collector runs in the same container."""
    pods.deploy(web("/solo", port=10004))
    traced = ("MLB_TRACE_ENDPOINT=http://127.0.0.1:4318", "MLB_TRACE_SAMPLE=1")
    flags = [word for each in (*traced, "OTEL_BSP_SCHEDULE_DELAY=50") for word in ("--env", each)]
    with container(*pods.beside, *_QUICK, *flags, IMAGE, *_WORDS) as name:
        docker("exec", "--detach", name, "python", "-c", _COLLECTOR)
        asked = ("exec", name, "curl", "--silent", "--header", "Host: solo.test", "localhost")
        eventually(lambda: "hello from /solo " in docker(*asked).stdout, "the app is served")

        told = ("exec", name, "cat", "/tmp/spans")
        eventually(lambda: "GET solo_10004" in docker(*told).stdout, "a span has come")


def test_all_in_one_stops_within_its_time_though_a_stream_is_open(pods: Stack) -> None:
    """SIGTERM gives streams MLB_STOP_GRACE seconds."""
    pods.deploy(web("/solo", port=10004))
    flags = ("--env", "MLB_STOP_GRACE=2", "--publish", "127.0.0.1::80")
    with container(*pods.beside, *_QUICK, *flags, IMAGE, *_WORDS) as name:
        eventually(lambda: health(name) == "healthy", "it is healthy", within=60)
        place = docker("port", name, "80").stdout.split()[0]
        with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2])), 10) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: solo.test\r\nContent-Length: 4\r\n\r\nab")
            eventually(lambda: streams(name) > 0, "HAProxy has the stream")

            began = time.monotonic()
            docker("stop", "--time", "30", name)
            took = time.monotonic() - began

        assert 2 <= took < 10
        assert json_of("inspect", "--format", "{{json .State.ExitCode}}", name) == 0


def test_a_sidecar_without_haproxy_waits_and_says_for_what(pods: Stack) -> None:
    """It stays, since HAProxy may come; the volume is empty, so there is no socket."""
    with container(*pods.beside, IMAGE, "sidecar", *_WORDS) as name:
        says = "stats socket /marathon-lb/admin.sock did not answer: No such file"
        eventually(lambda: says in logs(name), "it says what it waits for", within=30)
        assert json_of("inspect", "--format", "{{json .State.Running}}", name) is True


@pytest.mark.parametrize(
    ("flags", "words", "says"),
    [
        ((), ["bash"], "'bash' is no role"),
        ((), ["sse", "--nope"], "unrecognized arguments: --nope"),
        (("--cap-drop", "ALL"), _WORDS, "give NET_BIND_SERVICE back"),
        (("--read-only",), _WORDS, "/marathon-lb cannot be used: Read-only file system"),
        (("OTHER",), ["haproxy"], "belongs to another user than 1234"),
        (("SAME",), ["haproxy"], "an HAProxy runs with /marathon-lb already"),
        (("OTHER",), ["sidecar", *_WORDS], "/marathon-lb cannot be used: Permission denied"),
        (("SAME",), ["sidecar", *_WORDS], "is in use by another sidecar"),
        (("SAME", "READ-ONLY"), ["sidecar", *_WORDS], "cannot be used: Read-only file system"),
    ],
    ids=[
        "role",
        "flag",
        "capability",
        "root",
        "haproxys user",
        "second haproxy",
        "user",
        "second",
        "volume",
    ],
)
def test_what_cannot_work_ends_with_a_sentence_and_code_2(
    pods: Stack, flags: Sequence[str], words: Sequence[str], says: str
) -> None:
    """The last line; the folder is that of the pod, taken by another user or by the same."""
    given = list(flags)
    if given[:1] in (["OTHER"], ["SAME"]):
        user = "1234" if given[0] == "OTHER" else "65534:65534"
        mode = ":ro" if "READ-ONLY" in given else ""
        given = ["--user", user, "--volume", f"{pods.project}_state:/marathon-lb{mode}"]

    done = docker("run", "--rm", *pods.beside, *given, IMAGE, *words)

    assert done.returncode == 2, done.stderr
    assert says in done.stderr.splitlines()[-1]


def is_gone(pods: Stack, service: str, pid: str) -> bool:
    """Whether a container has no such process, not even a dead one that nobody waited for."""
    return not pods.run_in(service, "sh", "-c", f"test ! -e /proc/{pid} || echo there")


def health(name: str) -> str:
    """What the engine thinks of a container."""
    return str(json_of("inspect", "--format", "{{json .State.Health.Status}}", name))


def logs(name: str) -> str:
    """What a container said."""
    done = docker("logs", name)
    return done.stdout + done.stderr


def streams(name: str) -> int:
    """How many connections the container's HAProxy has."""
    ask = (
        "echo show info | socat - UNIX-CONNECT:/marathon-lb/admin.sock | sed -n 's/^CurrConns: //p'"
    )
    return int(docker("exec", name, "sh", "-c", ask).stdout or 0)
