from typing import Any

import attrs
import pytest

from sidecar.errors import UsageError
from sidecar.limits import check
from sidecar.settings import Settings, flag, options, variable

PASSWORD = "a-secret-word"


def test_the_defaults_can_be_used() -> None:
    """Nobody has to give anything."""
    check(Settings())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"state_dir": "relative/folder"}, "--state-dir", id="a relative folder"),
        pytest.param({"state_dir": ""}, "--state-dir", id="no folder"),
        pytest.param({"state_dir": "/with space"}, "--state-dir", id="a space in the folder"),
        pytest.param({"state_dir": "/a\nb"}, "--state-dir", id="a newline in the folder"),
        pytest.param(
            {"haproxy_socket": "/a;b", "master_socket": "/m"}, "--haproxy-socket", id="socket"
        ),
        pytest.param({"haproxy_socket": "/a"}, "--master-socket", id="only one socket"),
        pytest.param({"master_socket": "/a"}, "--haproxy-socket", id="only the other socket"),
        pytest.param({"auth_credentials": "user"}, "--auth-credentials", id="no password"),
        pytest.param({"bind": "::1"}, "--bind", id="IPv6 without brackets"),
        pytest.param({"bind": "a b"}, "--bind", id="two addresses"),
        pytest.param({"bind": ""}, "--bind", id="no address"),
        pytest.param({"http_port": 65536}, "--http-port", id="no port"),
        pytest.param({"https_port": -1}, "--https-port", id="a negative port"),
        pytest.param({"appid_port": 0}, "--appid-port", id="a port that cannot be left out"),
        pytest.param({"stats_port": 0}, "--stats-port", id="nor can this one"),
        pytest.param({"http_port": 9090}, "same port", id="two frontends on one port"),
        pytest.param({"web_port": 70000}, "--web-port", id="no port for pages"),
        pytest.param({"web_port": 9091}, "--web-port", id="a frontend's port for pages"),
        pytest.param({"web_port": 10007}, "--web-port", id="a service port for pages"),
        pytest.param({"web_bind": "::"}, "--web-bind", id="pages at IPv6 without brackets"),
        pytest.param({"service_ports": "many"}, "--service-ports", id="no range"),
        pytest.param({"service_ports": "20-10"}, "--service-ports", id="a range backwards"),
        pytest.param({"service_ports": "10,,20"}, "--service-ports", id="an empty range"),
        pytest.param({"service_ports": "1-70000"}, "--service-ports", id="a range too far"),
        pytest.param({"assigned_ports": "10-20,30"}, "--assigned-ports", id="two ranges"),
        pytest.param({"assigned_ports": ""}, "--assigned-ports", id="no assigned range"),
        pytest.param({"resync_interval": 0.0}, "--resync-interval", id="no interval"),
        pytest.param({"audit_interval": float("nan")}, "--audit-interval", id="no number"),
        pytest.param({"reload_interval": float("inf")}, "--reload-interval", id="for ever"),
        pytest.param({"stop_grace": float("nan")}, "--stop-grace", id="no number of seconds"),
        pytest.param({"silence": -1.0}, "--silence", id="a negative silence"),
        pytest.param({"audit_interval": 0.0}, "--audit-interval", id="no audit"),
        pytest.param({"reload_interval": 0.0}, "--reload-interval", id="no distance"),
        pytest.param({"patience": -0.1}, "--patience", id="negative patience"),
        pytest.param({"stop_grace": -1.0}, "--stop-grace", id="negative grace"),
        pytest.param({"spares": -1}, "--spares", id="negative spares"),
        pytest.param({"spares_each": -1}, "--spares-each", id="negative spares of each"),
    ],
)
def test_what_cannot_work_is_refused_by_its_flag(changes: dict[str, Any], named: str) -> None:
    """One sentence, on one line, that names what to change."""
    with pytest.raises(UsageError) as refused:
        check(attrs.evolve(Settings(), **changes))

    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"http_port": 0, "https_port": 0}, id="frontends left out"),
        pytest.param({"bind": "[::1]"}, id="IPv6"),
        pytest.param({"bind": "balancer.test"}, id="a host"),
        pytest.param({"service_ports": ""}, id="no service ports from the start"),
        pytest.param({"service_ports": "10000, 10002-10004"}, id="ranges with a space"),
        pytest.param({"assigned_ports": "10050"}, id="one assigned port"),
        pytest.param({"haproxy_socket": "/a", "master_socket": "/b"}, id="beside"),
        pytest.param({"auth_credentials": "user:with:colons"}, id="a password with colons"),
        pytest.param({"patience": 0.0, "stop_grace": 0.0, "spares": 0}, id="nothing of it"),
    ],
)
def test_what_can_work_is_taken(changes: dict[str, Any]) -> None:
    """The checks refuse no more than they must."""
    check(attrs.evolve(Settings(), **changes))


def test_the_password_is_what_follows_the_first_colon() -> None:
    """As curl has it."""
    assert Settings(auth_credentials="user:a:b").credentials == ("user", "a:b")
    assert Settings().credentials is None


def test_no_secret_is_in_the_settings_text() -> None:
    """A traceback or a debug line that shows settings shows no password."""
    text = repr(Settings(auth_credentials=f"user:{PASSWORD}"))

    assert PASSWORD not in text
    assert "state_dir" in text


def test_haproxy_is_somebody_elses_when_its_socket_is_given() -> None:
    """Beside it we start nothing."""
    assert not Settings().beside
    assert Settings(haproxy_socket="/a", master_socket="/b").beside


def test_every_setting_has_a_flag_a_variable_and_a_manual() -> None:
    """The table is the manual: one line for each, with a full stop."""
    rows = list(options())

    assert len(rows) == len(attrs.fields(Settings))
    for name, _, option in rows:
        assert flag(name).startswith("--")
        assert variable(name).startswith("MLB_")
        assert option.section
        assert option.help.endswith(".")
        assert "\n" not in option.help
