"""Labels that cannot be used: the app keeps its last good form, and nobody else notices."""

import json
import time

import pytest

from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.clients import command
from tests.system.rig import Rig, eventually

pytestmark = pytest.mark.timeout(120)

LONG = "x" * 10_000
NAMED = (
    ("VHOST", "two words.test"),
    ("VHOST", "a.test\nserver evil 192.0.2.1:80"),
    ("VHOST", "a.test; disable frontend stats"),
    ("VHOST", "a.test <<"),
    ("VHOST", '"quoted".test'),
    ("VHOST", "schön.test"),
    ("VHOST", LONG),
    ("PATH", "/a;b"),
    ("PATH", "/<<"),
    ("PATH", '/"a"'),
    ("PATH", "/schön"),
    ("PATH", "/" + LONG),
    ("PORT", "99999"),
    ("PORT", "80 81"),
    ("MODE", "http\nmode tcp"),
    ("MODE", "udp"),
    ("BALANCE", "round robin"),
    ("BALANCE", "roundrobin\nserver evil 192.0.2.1:80"),
    ("BALANCE", f"hdr({LONG})"),
    ("BACKEND_WEIGHT", "heavy"),
    ("BACKEND_WEIGHT", "9" * 400),
)
# No problem: what is silent, or but a notice.
SILENT = (
    ("STICKY", "no; \n<< 'quoted' schön " + LONG),
    ("PATH", ""),
    ("NOBODY_READS_THIS", "a\nb; c << d"),
)


def test_apps_with_bad_labels_keep_their_last_good_form_and_hurt_nobody() -> None:
    """All of them spoil a label at once; their tasks are served on, and so is everybody else."""
    with system.running("--spares", "40") as rig:
        ports = rig.ports.service
        other = web("/other", port=ports[0])
        good = [
            web(f"/app{n}", port=ports[1 + n], env={"LINGER": "0"})
            for n in range(len(NAMED) + len(SILENT))
        ]
        for app in (other, *good):
            rig.marathon.write(app)
        for app in (other, *good):
            rig.routed(app["id"], 1, within=60)
        before = rig.proxy.identity

        bad = [
            labelled(app, **{name: text})
            for app, (name, text) in zip(good, NAMED + SILENT, strict=True)
        ]
        for app in bad:
            rig.marathon.write(app)
        started = time.monotonic()
        rig.marathon.write(labelled(other, VHOST="other.test,elsewhere.test"))
        eventually(lambda: rig.reaches("/other", host="elsewhere.test"), "others go on")
        took = time.monotonic() - started

        for app in bad:
            eventually(lambda app=app: rig.settled(app["id"]), "it is deployed")  # type: ignore[misc]
            rig.routed(app["id"], 1)
            # HAProxy's own check may have found the task before it listened: it looks again soon.
            host = f"{app['id'][1:]}.test"
            eventually(lambda app=app, host=host: rig.reaches(app["id"], host=host), "it serves")  # type: ignore[misc]
        assert named_problems(rig) == {
            (app["id"], f"HAPROXY_0_{name}") for app, (name, _) in zip(bad, NAMED, strict=False)
        }
        assert {(line["app"], line["field"]) for line in rig.sidecar.log("problem")} >= (
            named_problems(rig)
        )
        assert rig.proxy.identity == before
        assert took < 5

        for app in good:
            rig.marathon.write(app)
        eventually(lambda: named_problems(rig) == set(), "all problems are over", within=60)


def named_problems(rig: Rig) -> set[tuple[str, str]]:
    """The problems that `mlb-sidecar status` names: app and field."""
    done = command("status", "--json", "--state-dir", str(rig.folder))
    return {(each["app"], each["field"]) for each in json.loads(done.stdout)["problems"]}


def test_an_app_that_never_had_a_good_form_is_left_out_until_it_has_one() -> None:
    """Its problem is told for people as well; the next definition brings it in."""
    with system.running() as rig:
        bad = web("/bad", port=rig.ports.service[0])
        rig.marathon.deploy(labelled(bad, VHOST="no host"))
        rig.deploy(web("/good", port=rig.ports.service[1]))

        eventually(lambda: rig.sidecar.problems("/bad"), "the problem is named")
        assert rig.proxy.servers("/bad") == {}
        told = command("status", "--state-dir", str(rig.folder)).stdout
        assert "PROBLEM: app /bad: HAPROXY_0_VHOST: 'no host' is not a host name" in told

        rig.deploy(bad)
        assert rig.reaches("/bad", host="bad.test")
        assert rig.sidecar.problems("/bad") == {}
