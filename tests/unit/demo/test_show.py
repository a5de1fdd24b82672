import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sidecar.assembly import haproxy_program
from sidecar.demo import show
from sidecar.errors import UsageError
from sidecar.haproxy.ports import busy_ports
from sidecar.haproxy.process import is_running, start, stop_softly
from sidecar.limits import check
from sidecar.settings import Settings

FRONTENDS = ("http_port", "https_port", "appid_port", "stats_port")
NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="mlb") as name:
        yield Path(name)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program holds."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def at(folder: Path, **fields: Any) -> Settings:  # noqa: ANN401 (fields of Settings)
    """Settings for that folder, on loopback."""
    return Settings(state_dir=str(folder), bind="127.0.0.1", **fields)


def ports_of(settings: Settings) -> list[int]:
    """The frontends' ports."""
    return [getattr(settings, name) for name in FRONTENDS]


def test_at_home_it_listens_on_loopback_and_keeps_its_state_among_temporary_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first look needs no rights and disturbs nobody."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    settings = show._at_home(Settings(), NOTHING)

    assert settings.bind == "127.0.0.1"
    assert settings.state_dir == f"{folder}/mlb-sidecar-{os.getuid()}"
    check(settings)


def test_what_somebody_chose_stays(folder: Path) -> None:
    """A flag or variable wins."""
    chosen = Settings(bind="0.0.0.0", state_dir=str(folder))

    assert show._at_home(chosen, frozenset({"bind", "state_dir"})) == chosen


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user could have put anything there."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    foreign = folder / "mlb-sidecar-0"
    foreign.mkdir()
    os.chown(foreign, 12345, 12345)

    with pytest.raises(UsageError, match="belongs to somebody else"):
        show._at_home(Settings(), NOTHING)


def test_a_taken_port_is_replaced_and_that_is_said(
    folder: Path, taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person who opens the usual address learns the other one."""
    settings = show._with_free_ports(at(folder, http_port=taken), NOTHING)

    assert f"port {taken} is in use by another process: using {settings.http_port}" in (
        capsys.readouterr().out
    )
    assert settings.http_port >= 8000
    assert len(set(ports_of(settings))) == 4
    assert busy_ports("127.0.0.1", ports_of(settings)) == {}
    check(settings)


def test_the_sidecars_own_port_is_a_free_one_that_no_frontend_has(folder: Path) -> None:
    """Also beside an HAProxy that runs already, which holds none of ours."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        (folder / show._PORTS_FILE).write_text("{}")
        settings = at(folder, stats_port=9093)
        first = show._with_free_ports(settings, frozenset({"stats_port"}))
        chosen = at(folder, web_port=other.getsockname()[1])
        kept = show._with_free_ports(chosen, frozenset({"web_port"}))

    assert first.web_port in range(9099, 10_000)
    assert first.web_port not in ports_of(first)
    assert kept.web_port == chosen.web_port


def test_a_chosen_port_is_never_replaced(folder: Path, taken: int) -> None:
    """Also no other frontend gets it; whether it can be had, the start will say."""
    settings = show._with_free_ports(
        at(folder, http_port=taken, stats_port=taken), frozenset({"http_port"})
    )

    assert settings.http_port == taken
    assert settings.stats_port != taken


def test_without_a_running_haproxy_ports_are_chosen_anew(folder: Path, taken: int) -> None:
    """What an earlier run had may be taken by now."""
    (folder / show._PORTS_FILE).write_text(f'{{"http_port": {taken}}}')

    assert show._with_free_ports(at(folder), NOTHING).http_port != taken


def test_a_running_haproxy_keeps_its_ports(folder: Path) -> None:
    """A demo that was killed and is started again finds HAProxy where it was."""
    first = show._with_free_ports(at(folder), NOTHING)
    config = folder / "haproxy.cfg"
    config.write_text(
        "defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n"
        f"frontend f\n bind 127.0.0.1:{first.http_port}\n http-request return status 204\n"
    )
    binary = haproxy_program(Settings())
    assert binary is not None
    master = start(binary, config, folder)
    try:
        again = show._with_free_ports(at(folder), NOTHING)
        chosen = show._with_free_ports(at(folder, http_port=1), frozenset({"http_port"}))
    finally:
        stop_softly(master, grace=0)

    assert not is_running(master)
    assert ports_of(again) == ports_of(first)
    assert ports_of(chosen) == [1, *ports_of(first)[1:]]


def test_where_no_port_is_free_it_is_said(taken: int) -> None:
    """With what to do about it."""
    with pytest.raises(UsageError, match="give one by flag"):
        show._free("127.0.0.1", [taken, taken, taken], set())


def test_the_local_marathon_comes_with_three_apps_and_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its tasks run when it is handed over; afterwards nobody listens there."""
    with show._local_marathon() as url:
        apps = requests.get(f"{url}/v2/apps", timeout=10).json()["apps"]
        assert sorted(app["id"] for app in apps) == ["/echo", "/hello", "/shop/api"]
        assert all(app["tasksRunning"] == 2 for app in apps)

    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


@pytest.mark.parametrize("local", [True, False])
def test_every_address_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], *, local: bool
) -> None:
    """With commands to try, where the apps are known."""
    settings = Settings(
        marathon=("http://127.0.0.1:8123",), bind="*", http_port=8001, state_dir=str(folder)
    )
    show._say(settings, {}, local=local)

    said = capsys.readouterr().out
    assert "left out" not in said
    assert "http://127.0.0.1:8001" in said
    assert "https://127.0.0.1:443" in said
    assert "http://127.0.0.1:8123" in said
    assert str(folder) in said
    assert "127.0.0.1:10000-10100" in said
    assert ("curl -H 'Host: hello.localhost'" in said) == local


def test_service_ports_that_are_taken_are_said_beside_the_others(
    folder: Path, taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another balancer may have the usual range."""
    settings = at(folder, service_ports=f"{taken}")
    show._say(settings, show._busy_service_ports(settings), local=True)

    said = capsys.readouterr().out
    assert "service ports     none; give others by --service-ports\n" in said
    assert f" {taken}: left out, since it is in use by another process" in said
    free = show._free("127.0.0.1", range(20000, 30000), set())
    show._say(at(folder, service_ports=f"{free},{taken}"), {taken: "is taken"}, local=True)
    assert f"but for {taken}: left out, since it is taken" in capsys.readouterr().out
