"""Templates that the operator replaced for all apps, on a real HAProxy."""

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from sidecar.desired.model import Desired
from sidecar.desired.templates.overrides import Overrides
from sidecar.desired.templates.reading import read_template
from sidecar.desired.templates.table import TEMPLATES
from sidecar.errors import UsageError
from sidecar.marathon.schema import App
from sidecar.plan.steps import Plan
from sidecar.reconcile.templates import OperatorTemplates
from tests.builders import desired_of
from tests.conditions import eventually
from tests.haproxy.driving_rig import (
    ONE,
    a_wheel,
    settings_for,
    started,
    stopped_afterwards,
    web,
)
from tests.haproxy.skeleton_rig import Rig, a_folder, a_layout, a_rig, free_ports, get

HEAD = """\
global
  maxconn 400
  daemon
  stats socket /nowhere/socket expose-fd listeners
  lua-load /marathon-lb/getpids.lua
defaults
  timeout client 61s
  timeout server 62s
  mode tcp
listen mine
  bind 127.0.0.1:{port}
  mode http
  http-request return status 418
"""


@pytest.fixture
def rig(haproxy_binary: str, service_port: int) -> Iterator[Rig]:
    """A folder and a layout; nothing runs yet."""
    with a_folder() as folder:
        yield a_rig(haproxy_binary, folder, a_layout(folder, (service_port,)))


def overrides(**texts: str) -> Overrides:
    """Templates as they are read."""
    return Overrides.of(
        {name: read_template(TEMPLATES[name], text) for name, text in texts.items()}
    )


def written(rig: Rig, app: App | None, found: Overrides) -> Desired:
    """What is desired, in a file that passes its check."""
    desired = desired_of([app] if app else [], overrides=found)
    assert not desired.problems
    rig.write(desired)
    code, said = rig.check()
    assert code == 0, said
    return desired


def test_new_apps_are_live_under_templates_that_name_none(
    rig: Rig, ports: dict[str, int], service_port: int
) -> None:
    """The archetypes hold them; what they do not replace goes on."""
    found = overrides(
        BACKEND_HEAD="backend {backend}\n  balance {balance}\n  mode {mode}\n  retries 2",
        BACKEND_HTTP_OPTIONS="  rspadd X-All:\\ yes",
    )
    written(rig, None, found)
    with rig.running():
        rig.settle(desired_of([web(service_port, ports[ONE])], overrides=found))
        answer = get(service_port)

    assert (answer.headers["x-all"], answer.task) == ("yes", ONE)
    assert "x-forwarded-proto" not in answer.seen


def test_a_template_with_an_apps_name_in_it_is_in_every_apps_section(
    rig: Rig, ports: dict[str, int], service_port: int
) -> None:
    """Structure, with servers that are live."""
    text = "backend {backend}\n  http-response set-header X-Backend {backend}"
    found = overrides(BACKEND_HEAD=text)
    wanted = written(rig, web(service_port, ports[ONE]), found)
    with rig.running():
        with rig.api() as api:
            assert rig.plan(wanted, rig.observe(api)) == Plan()
        assert get(service_port).headers["x-backend"] == f"web_{service_port}"


def test_other_templates_are_a_reason_to_reload(rig: Rig) -> None:
    """Archetypes are made otherwise, frontends begin otherwise."""
    written(rig, None, overrides())
    wanted = desired_of(
        [],
        overrides=overrides(
            BACKEND_HTTP_OPTIONS="", HEAD="global", HTTP_FRONTEND_APPID_HEAD="frontend x\n bind :1"
        ),
    )
    with rig.running(), rig.api() as api:
        found = [str(reason) for reason in rig.plan(wanted, rig.observe(api)).reasons]

    said = "section: other settings, or another version, made"
    assert f"{said} the global section" in found
    assert f"{said} the frontend of app ids" in found
    assert any(each.startswith("archetype: http-roundrobin ") for each in found)
    assert not any("tcp-roundrobin" in each for each in found)


def test_a_head_of_old_leaves_us_our_sockets_and_endpoints(
    rig: Rig, ports: dict[str, int], service_port: int
) -> None:
    """Its limits and timeouts hold for ours, its own sections are there."""
    [mine] = free_ports(1)
    wanted = written(
        rig, web(service_port, ports[ONE]), overrides(HEAD=HEAD.replace("{port}", str(mine)))
    )
    text = (rig.folder / "haproxy.cfg").read_text()
    with rig.running():
        with rig.api() as api:
            assert "Maxconn: 400" in api.ask("show info")
            assert rig.plan(wanted, rig.observe(api)) == Plan()
        assert get(mine).status == 418
        with urlopen(f"http://127.0.0.1:{rig.layout.stats_port}/_haproxy_getpids") as answer:
            assert answer.status == 200
        assert get(service_port).task == ONE
    assert text.count("timeout server 62s") > 10
    assert "/nowhere/socket" not in text


def test_frontends_begin_as_the_operator_says(
    rig: Rig, ports: dict[str, int], service_port: int
) -> None:
    """With our routing behind that."""
    http, appid = free_ports(2)
    head = (
        "frontend {name}\n  bind 127.0.0.1:{port}\n  mode http\n  http-response set-header X-F yes"
    )
    written(
        rig,
        web(service_port, ports[ONE]),
        overrides(
            HTTP_FRONTEND_HEAD=head.format(name="mine", port=http),
            HTTP_FRONTEND_APPID_HEAD=head.format(name="marathon_http_appid_in", port=appid),
        ),
    )
    with rig.running():
        by_host = get(http, Host="web.test")
        by_id = get(appid, X_Marathon_App_Id="/web")

    assert (by_host.task, by_host.headers["x-f"]) == (ONE, "yes")
    assert (by_id.task, by_id.headers["x-f"]) == (ONE, "yes")


def test_templates_that_haproxy_refuses_at_start_are_named(
    short_dir: Path, ports: dict[str, int], service_port: int
) -> None:
    """With its words; no app is blamed."""
    wheel = a_wheel(settings_for(short_dir, [service_port]), web(service_port, ports[ONE]))
    wheel.wants.templates = OperatorTemplates([], {"HAPROXY_BACKEND_HTTP_OPTIONS": " no-such-word"})
    with stopped_afterwards(short_dir), pytest.raises(UsageError) as error:
        wheel.driver.start(wheel.wants)

    assert "HAPROXY_BACKEND_HTTP_OPTIONS" in str(error.value)
    assert "no-such-word" in str(error.value)
    assert not wheel.wants.refused


def test_templates_that_haproxy_refuses_later_give_way_to_the_last_good_ones(
    short_dir: Path, ports: dict[str, int], service_port: int, tmp_path: Path
) -> None:
    """And the next good ones are taken by a reload."""
    file = tmp_path / "HAPROXY_BACKEND_HTTP_OPTIONS"
    file.write_text("  http-response set-header X-T one\n")
    settings = settings_for(short_dir, [service_port])
    templates = OperatorTemplates([str(tmp_path)])
    with started(settings, web(service_port, ports[ONE]), templates=templates) as wheel:
        assert get(service_port).headers["x-t"] == "one"

        file.write_text("  no-such-word\n")
        templates.refresh()
        wheel.follow()
        assert wheel.reload_when_due()  # it was sifted: look again
        assert not wheel.follow()
        assert wheel.driver.reload_due() is None
        assert "no-such-word" in templates.trouble

        file.write_text("  http-response set-header X-T two\n")
        templates.refresh()
        wheel.follow()
        assert wheel.reload_when_due()
        eventually(lambda: get(service_port).headers["x-t"] == "two")
        assert not wheel.wants.refused
