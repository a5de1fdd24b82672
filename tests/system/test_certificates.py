"""Certificates as users of marathon-lb give them, renewed while everything runs."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pems import a_certificate, known, parts, shows
from tests.system.apps import web
from tests.system.clients import command
from tests.system.ports import Ports
from tests.system.rig import Proxy, eventually, short_folder
from tests.system.test_dropin import DropIn, dropped_in

pytestmark = pytest.mark.timeout(120)


def put(path: Path, pem: str) -> None:
    """Write a file as programs do that renew certificates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_text(pem)
    beside.replace(path)


@contextmanager
def a_site() -> Iterator[tuple[Path, DropIn, Ports, Proxy]]:
    """`sse --ssl-certs` with a file and a folder that holds another."""
    with short_folder() as given:
        put(given / "default.pem", known("default.test"))
        put(given / "more" / "one.pem", known("one.test"))
        words = ("--group", "external", "--log-format", "json", "--ssl-certs")
        paths = f"{given}/default.pem,{given}/more"
        with dropped_in("sse", *words, paths) as (sidecar, _, ports, proxy):
            sidecar.until_synced()
            yield given, sidecar, ports, proxy


def test_certificates_come_change_and_go_without_a_reload() -> None:
    """A file and a folder with commas between; the same worker all along."""
    with a_site() as (given, sidecar, ports, proxy):
        before = proxy.identity
        assert shows(ports.https, known("default.test"))
        assert shows(ports.https, known("one.test"), "one.test")

        renewed = a_certificate("one.test")
        put(given / "more" / "one.pem", renewed)
        put(given / "more" / "two.pem", known("two.test"))
        eventually(lambda: shows(ports.https, renewed, "one.test"), "the renewed one")
        eventually(lambda: shows(ports.https, known("two.test"), "two.test"), "the new one")
        (given / "more" / "two.pem").unlink()
        eventually(lambda: shows(ports.https, known("default.test"), "two.test"), "it is gone")

        assert proxy.identity == before
        assert sidecar.state()["reloads"]["count"] == 0
        text = sidecar.log_text() + json.dumps(sidecar.state())
        assert not any(line in text for line in parts(renewed)[1].splitlines()[1:3])


def test_a_broken_file_is_a_problem_in_status_and_the_good_one_is_served() -> None:
    """Until it is mended."""
    with a_site() as (given, sidecar, ports, _):
        file = given / "more" / "one.pem"
        put(file, parts(known("one.test"))[0])
        eventually(lambda: sidecar.state()["certificates"]["troubles"], "it is told")
        told = command("status", "--state-dir", str(sidecar.folder)).stdout
        assert f"PROBLEM: certificate {file}: holds no certificate with its key any more" in told
        assert len(sidecar.log("certificate", path=str(file))) == 1
        assert shows(ports.https, known("one.test"), "one.test")

        renewed = a_certificate("one.test")
        put(file, renewed)
        eventually(lambda: shows(ports.https, renewed, "one.test"), "the mended one")
        eventually(lambda: not sidecar.state()["certificates"]["troubles"], "it is over")


def test_a_sidecar_that_starts_again_plans_nothing_and_goes_on_renewing() -> None:
    """HAProxy goes on; a certificate that changed meanwhile is taken over."""
    with a_site() as (given, sidecar, ports, proxy):
        renewed = a_certificate("one.test")
        put(given / "more" / "one.pem", renewed)
        eventually(lambda: shows(ports.https, renewed, "one.test"), "the renewed one")
        before = proxy.identity
        sidecar.kill()
        sidecar.log_file.unlink()

        sidecar.start()
        sidecar.until_synced()
        eventually(lambda: sidecar.state()["cycles"] >= 1, "it has looked")
        assert sidecar.log("send") == []
        assert shows(ports.https, renewed, "one.test")

        sidecar.kill()
        again = a_certificate("one.test")
        put(given / "more" / "one.pem", again)
        sidecar.start()
        eventually(lambda: shows(ports.https, again, "one.test"), "what changed meanwhile")
        assert proxy.identity == before
        assert sidecar.stop(signal.SIGTERM) == 0


def test_a_certificate_that_cannot_be_used_ends_the_start_with_code_2() -> None:
    """And a sentence that names it, without a word of its key."""
    with short_folder() as folder:
        put(folder / "bad.pem", parts(known("one.test"))[0] + parts(known("two.test"))[1])
        settings = ("--state-dir", str(folder / "state"), "--ssl-certs", str(folder / "bad.pem"))
        done = command("run", *settings, "--https-port", "1")

    assert done.returncode == 2
    reason = "its private key does not fit its first certificate"
    assert done.stderr.strip().endswith(f"mlb-sidecar: certificate {folder}/bad.pem: {reason}")


def test_certificates_of_the_environment_are_served_and_in_no_text() -> None:
    """HAPROXY_SSL_CERT for all names, with its newlines written out; numbered ones for theirs."""
    variables = {
        "HAPROXY_SSL_CERT": known("default.test").replace("\n", "\\n"),
        "HAPROXY_SSL_CERT7": known("seven.test"),
    }
    with dropped_in("sse", "--group", "external", **variables) as (sidecar, _, ports, proxy):
        sidecar.until_synced()
        assert shows(ports.https, known("default.test"))
        assert shows(ports.https, known("seven.test"), "seven.test")
        assert (sidecar.folder / "ssl" / "cert7.pem").read_text() == known("seven.test")

        text = sidecar.log_text() + json.dumps(sidecar.state()) + proxy.say("show env")
        keys = [parts(known(f"{name}.test"))[1] for name in ("default", "seven")]
        assert not any(line in text for key in keys for line in key.splitlines()[1:3])


def test_without_certificates_a_self_signed_one_is_where_labels_look_for_it() -> None:
    """As marathon-lb's `run` script leaves it; it stays the same at the next start."""
    with dropped_in("sse", "--group", "external") as (sidecar, _, ports, _):
        sidecar.until_synced()
        made = (sidecar.folder / "ssl" / "cert.pem").read_text()
        assert shows(ports.https, made)
        sidecar.kill()
        sidecar.start()
        sidecar.until_synced()
        assert shows(ports.https, made)


def test_hosts_are_apart_with_group_https_by_vhost() -> None:
    """An app brings its own certificate for its host; one reload, and renewals need none."""
    with short_folder() as given:
        put(given / "own.pem", known("own.test"))
        words = ("--group", "external", "--group-https-by-vhost", "--log-format", "json")
        with dropped_in("sse", *words) as (sidecar, marathon, ports, proxy):
            sidecar.until_synced()
            app = web("/own", port=ports.service[0])
            app["labels"]["HAPROXY_0_SSL_CERT"] = str(given / "own.pem")
            marathon.deploy(app, timeout=60)
            eventually(lambda: shows(ports.https, known("own.test"), "own.test"), within=60)
            eventually(lambda: "vhost" in sidecar.state()["reloads"]["reasons"], "its reason")
            before = proxy.identity

            renewed = a_certificate("own.test")
            put(given / "own.pem", renewed)
            eventually(lambda: shows(ports.https, renewed, "own.test"), "the renewed one")
            assert proxy.identity == before
            assert sidecar.log("a flag means nothing here") == []
