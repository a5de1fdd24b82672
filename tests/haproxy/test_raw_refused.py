import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.errors import ReloadFailedError
from sidecar.haproxy import process
from sidecar.marathon.schema import App, AppId
from sidecar.reconcile import engine
from tests.haproxy.driving_rig import (
    ONE,
    TWO,
    Wheel,
    a_wheel,
    settings_for,
    stopped_afterwards,
    web,
)
from tests.haproxy.skeleton_rig import free_ports, get

SERVER = "server {serverName} {host_ipv4}:{port} id {serverId}"
NONSENSE = {"HAPROXY_0_BIND_OPTIONS": "no-such-word"}


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Each check by `haproxy -c`, as it is made."""
    made: list[Path] = []
    check = process.check_configuration

    def counted(binary: str, config: Path, *, timeout: float) -> process.CheckResult:
        made.append(config)
        return check(binary, config, timeout=timeout)

    monkeypatch.setattr(process, "check_configuration", counted)
    return made


@pytest.fixture
def forty(short_dir: Path, ports: dict[str, int]) -> Iterator[tuple[Wheel, list[App]]]:
    """Forty apps with bind options of their own, one of which has nonsense, before any start."""
    numbers = free_ports(40)
    good = {"HAPROXY_0_BIND_OPTIONS": "maxconn 100"}
    apps = [
        web(
            number,
            ports[ONE],
            name=f"app{place:02}",
            **(NONSENSE if place in {3, 17, 39} else good),
        )
        for place, number in enumerate(numbers)
    ]
    with stopped_afterwards(short_dir):
        yield a_wheel(settings_for(short_dir, numbers), *apps), apps


def test_at_start_three_of_forty_apps_are_refused_and_the_rest_serves(
    forty: tuple[Wheel, list[App]], checks: list[Path]
) -> None:
    """Found by halves; the reason is HAProxy's own."""
    wheel, apps = forty
    wheel.driver.start(wheel.wants)

    assert set(wheel.wants.refused) == {"/app03", "/app17", "/app39"}
    assert all("no-such-word" in reason for reason in wheel.wants.refused.values())
    trials = [path for path in checks if path.name.endswith(".trial")]
    assert len(trials) <= 2 + 3 * (6 + 1) + 1  # log2(40) is less than 6; all once more at the end
    assert not wheel.follow()
    assert get(apps[0].port_definitions[0].port).task == ONE
    assert not list(trials[0].parent.glob("*.trial"))


def test_while_it_runs_one_app_is_refused_and_others_get_what_they_want(
    wheel: Wheel, ports: dict[str, int]
) -> None:
    """The reload happens, without the one; nothing asks for another."""
    bad, good = free_ports(2)
    wheel.wants.apps.append(web(bad, ports[TWO], name="bad", **NONSENSE))
    wheel.wants.apps.append(web(good, ports[TWO], name="good", HAPROXY_0_BIND_OPTIONS="maxconn 9"))
    wheel.follow()
    assert wheel.reload_when_due()  # it was sifted: look again
    wheel.follow()
    assert wheel.reload_when_due()
    assert not wheel.follow()

    assert set(wheel.wants.refused) == {"/bad"}
    assert get(good).task == TWO
    assert wheel.driver.reload_due() is None


def test_server_words_that_are_refused_at_run_time_lead_to_haproxys_own_reason(
    wheel: Wheel, ports: dict[str, int]
) -> None:
    """They are tried at once; only a reload's check says whether they are wrong at all times."""
    [number] = free_ports(1)
    options = {"HAPROXY_0_BACKEND_SERVER_OPTIONS": f"{SERVER} inter banana"}
    wheel.wants.apps.append(web(number, ports[TWO], name="bad", **options))

    wheel.follow()
    wheel.follow()

    assert wheel.reload_when_due()  # it was sifted: look again
    wheel.follow()
    assert set(wheel.wants.refused) == {"/bad"}
    assert "unexpected character 'b'" in wheel.wants.refused[AppId("/bad")]


def test_a_template_that_is_refused_leaves_the_others_as_they_are(
    wheel: Wheel, ports: dict[str, int]
) -> None:
    """With its text in the reason."""
    bad, good = free_ports(2)
    options = "HAPROXY_0_BACKEND_HTTP_OPTIONS"
    wheel.wants.apps.append(web(bad, ports[TWO], name="bad", **{options: "  no-such-word"}))
    wheel.wants.apps.append(web(good, ports[TWO], name="good", **{options: "  fullconn 9"}))
    wheel.follow()
    assert wheel.reload_when_due()
    wheel.follow()
    assert wheel.reload_when_due()
    assert not wheel.follow()

    assert set(wheel.wants.refused) == {"/bad"}
    assert "no-such-word" in wheel.wants.refused[AppId("/bad")]
    assert get(good).task == TWO


def test_an_app_that_is_refused_does_not_stand_in_the_way_of_the_file(
    wheel: Wheel, ports: dict[str, int]
) -> None:
    """What the next process starts from has everything else, though no reload follows."""
    bad, good = free_ports(2)
    options = {"HAPROXY_0_BACKEND_HTTP_OPTIONS": "  no-such-word"}
    wheel.wants.apps.append(web(bad, ports[TWO], name="bad", **options))
    wheel.wants.apps.append(web(good, ports[TWO], name="good"))
    wheel.follow()
    wheel.wants.apps = [app for app in wheel.wants.apps if app.id != "/good"]
    wheel.follow()
    assert wheel.reload_when_due()  # it was sifted: look again
    assert not wheel.follow()

    wheel.scribe.interrupt()
    wheel.scribe.run()
    assert not wheel.scribe.trouble
    assert "no-such-word" not in (Path(wheel.settings.state_dir) / "haproxy.cfg").read_text()


def test_the_file_waits_for_a_reload_that_is_coming_and_is_never_refused(
    wheel: Wheel, ports: dict[str, int]
) -> None:
    """What HAProxy refuses is found by the reload; no error about a file is told before it."""
    wheel.scribe.interrupt()
    wheel.scribe.run()
    [number] = free_ports(1)
    wheel.wants.apps.append(web(number, ports[TWO], name="bad", **NONSENSE))
    wheel.follow()
    wheel.clock.now += 0.1
    wheel.scribe.run()
    assert not wheel.scribe.trouble

    assert wheel.reload_when_due()  # it was sifted: look again
    wheel.settle()
    wheel.scribe.run()
    assert not wheel.scribe.trouble
    assert "no-such-word" not in (Path(wheel.settings.state_dir) / "haproxy.cfg").read_text()


def test_the_file_does_not_wait_for_a_reload_that_something_stands_in_the_way_of(
    wheel: Wheel, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process is to know what commands have done meanwhile."""

    def fails(*_: object, **__: object) -> None:
        raise ReloadFailedError("it does not load")

    monkeypatch.setattr(wheel.engine, "reload", fails)
    [number] = free_ports(1)
    good = {"HAPROXY_0_BIND_OPTIONS": "maxconn 100"}
    wheel.wants.apps.append(web(number, ports[TWO], name="good", **good))
    wheel.follow()
    assert not wheel.reload_when_due()

    wheel.scribe.interrupt()
    wheel.scribe.run()
    assert "maxconn 100" in (Path(wheel.settings.state_dir) / "haproxy.cfg").read_text()


@pytest.fixture
def pipe(short_dir: Path) -> str:
    """A pipe into which nobody writes."""
    path = short_dir / "pipe.pem"
    os.mkfifo(path)
    return str(path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("label", "text"), [("SSL_CERT", "{}"), ("BIND_OPTIONS", "ssl ca-file {}")]
)
def test_a_file_that_is_a_pipe_is_its_apps_problem_and_keeps_nobody_waiting(
    wheel: Wheel, ports: dict[str, int], pipe: str, label: str, text: str
) -> None:
    """Neither we nor HAProxy read it."""
    bad, good = free_ports(2)
    wheel.wants.apps.append(
        web(bad, ports[TWO], name="bad", **{f"HAPROXY_0_{label}": text.format(pipe)})
    )
    wheel.wants.apps.append(web(good, ports[TWO], name="good", HAPROXY_0_BIND_OPTIONS="maxconn 9"))
    wheel.follow()
    assert wheel.reload_when_due()
    wheel.settle()

    [problem] = wheel.driver.desired.problems
    assert str(problem).startswith(f"app /bad: HAPROXY_0_{label}: {pipe} is a pipe")
    assert get(good).task == TWO
    assert get(wheel.settings.http_port, Host="bad.test").task == TWO


@pytest.mark.timeout(60)
def test_a_template_that_names_a_pipe_is_refused_and_keeps_nobody_waiting(
    wheel: Wheel, ports: dict[str, int], pipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HAProxy is never asked about it."""
    read: list[str] = []
    check = process.check_configuration

    def noted(binary: str, config: Path, *, timeout: float) -> process.CheckResult:
        read.append(config.read_text())
        return check(binary, config, timeout=timeout)

    monkeypatch.setattr(process, "check_configuration", noted)
    bad, good = free_ports(2)
    options = {"HAPROXY_0_BACKEND_HTTP_OPTIONS": f"  errorfile 503 {pipe}"}
    wheel.wants.apps.append(web(bad, ports[TWO], name="bad", **options))
    wheel.wants.apps.append(web(good, ports[TWO], name="good", HAPROXY_0_BIND_OPTIONS="maxconn 9"))
    wheel.follow()
    assert wheel.reload_when_due()  # it was sifted: look again
    wheel.follow()
    assert wheel.reload_when_due()

    said = wheel.wants.refused[AppId("/bad")]
    assert said == f"HAProxy refuses it: {pipe} is a pipe or a device, and no file"
    assert get(good).task == TWO
    assert read
    assert not [text for text in read if pipe in text]


@pytest.mark.timeout(60)
def test_raw_configuration_that_haproxy_never_gets_through_is_refused(
    wheel: Wheel, ports: dict[str, int], pipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its check takes far longer than those before; others are not held up for ever."""
    monkeypatch.setattr(engine, "_LEAST_PATIENCE", 1.0)
    bad, good = free_ports(2)
    hidden = os.path.relpath(pipe)  # a path that only HAProxy can follow
    options = {"HAPROXY_0_BACKEND_HTTP_OPTIONS": f"  errorfile 503 {hidden}"}
    wheel.wants.apps.append(web(bad, ports[TWO], name="bad", **options))
    wheel.wants.apps.append(web(good, ports[TWO], name="good", HAPROXY_0_BIND_OPTIONS="maxconn 9"))
    wheel.follow()
    assert wheel.reload_when_due()  # it was sifted: look again
    wheel.follow()
    assert wheel.reload_when_due()

    assert "does it name a pipe" in wheel.wants.refused[AppId("/bad")]
    assert get(good).task == TWO


def test_what_has_just_failed_is_not_checked_again_and_again(
    wheel: Wheel, ports: dict[str, int], checks: list[Path]
) -> None:
    """On a full disk nothing can be checked: that is told once."""
    (Path(wheel.settings.state_dir) / "haproxy.cfg.trial").mkdir()
    (Path(wheel.settings.state_dir) / "haproxy.cfg.candidate").mkdir()
    [number] = free_ports(1)
    good = {"HAPROXY_0_BIND_OPTIONS": "maxconn 100"}
    wheel.wants.apps.append(web(number, ports[TWO], name="good", **good))
    wheel.follow()
    with capture_logs() as lines:
        for _ in range(5):
            assert not wheel.reload_when_due()
    told = [line["event"] for line in lines if line["log_level"] == "error"]
    assert told == ["raw configuration not checked", "reload failed"]

    (Path(wheel.settings.state_dir) / "haproxy.cfg.trial").rmdir()
    (Path(wheel.settings.state_dir) / "haproxy.cfg.candidate").rmdir()
    checks.clear()
    for _ in range(3):
        assert not wheel.reload_when_due()
    assert not checks
    wheel.clock.now += 60
    assert wheel.reload_when_due()
    assert get(number).task == TWO
