"""`mlb-sidecar sse` and `poll` as far as nothing is started."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from sidecar import app
from sidecar.cli import main
from sidecar.desired.app_labels import APP_LABELS
from sidecar.desired.label_table import LABELS
from sidecar.desired.templates.table import TEMPLATES
from sidecar.dropin.manual import Chapter, chapters, manual
from sidecar.dropin.table import FLAGS, VARIABLES
from sidecar.settings import Settings
from tests.builders import VERSION, a_task
from tests.marathon.scripted_server import ScriptedServer, answering

WEB = {
    "id": "/web",
    "version": VERSION,
    "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "web.test"},
    "portDefinitions": [{"port": 10007}],
    "tasks": [a_task(1)],
}


@pytest.fixture(autouse=True)
def usual_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variables from outside; log and signals as before."""
    ours = {row.name for row in VARIABLES}
    for name in [name for name in os.environ if name.startswith("MLB_") or name in ours]:
        monkeypatch.delenv(name)
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)}
    yield
    structlog.reset_defaults()
    for number, handler in before.items():
        signal.signal(number, handler)


def call(*arguments: str, **variables: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments, env=variables)


def started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str, **variables: str
) -> tuple[Settings, Result]:
    """The settings that the main job would get."""
    found: list[Settings] = []
    monkeypatch.setattr(app, "run", found.append)
    usual = {
        "MLB_STATE_DIR": str(tmp_path),
        "MLB_SECOND_SOCKET": str(tmp_path / "s" / "socket"),
        "MLB_SSL_DIR": str(tmp_path),
    }
    result = call(*words, **{**usual, **variables})
    assert result.exit_code == 0, result.output
    return found[0], result


def test_a_flag_wins_over_our_variable_and_that_over_the_originals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The defaults come last."""
    variables = {"MARATHON_USER": "u", "MARATHON_PASSWORD": "p", "MLB_MAXCONN": "7"}
    settings, _ = started(monkeypatch, tmp_path, "sse", "--group", "a", **variables)
    assert (settings.auth_credentials, settings.maxconn) == ("u:p", 7)
    assert settings.group == ("a",)
    assert settings.marathon == ("http://master.mesos:8080",)
    assert (settings.poll, settings.reload_interval) == (0, 10)

    variables["MLB_AUTH_CREDENTIALS"] = "v:q"
    settings, _ = started(monkeypatch, tmp_path, "poll", "--group", "a", **variables)
    assert (settings.auth_credentials, settings.poll) == ("v:q", 60)

    more = ("--group", "a", "--auth-credentials", "w:r")
    settings, _ = started(monkeypatch, tmp_path, "sse", *more, **variables)
    assert settings.auth_credentials == "w:r"


def test_what_means_nothing_is_said_and_places_are_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A link for --haproxy-config, a folder for the second socket."""
    link = tmp_path / "etc" / "haproxy.cfg"
    words = ("--group", "a", "--haproxy-map", "--haproxy-config", str(link))
    settings, result = started(monkeypatch, tmp_path, "sse", *words)

    assert result.stderr.count("--haproxy-map: maps are used always") == 1
    assert link.is_symlink()
    assert Path(settings.second_socket).parent.is_dir()


def test_a_second_socket_that_cannot_be_is_left_out_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is no reason not to start."""
    there = {"MLB_SECOND_SOCKET": "/dev/null/socket"}
    settings, result = started(monkeypatch, tmp_path, "sse", "--group", "a", **there)

    assert settings.second_socket == ""
    assert result.stderr.count("no second admin socket at /dev/null/socket") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sse", "--nonsense", "--group", "a"), "--nonsense"),
        (("sse",), "no group is given"),
        (("poll", "--group"), "--group"),
        (("sse", "--group", "a", "--log-format", "%(nothing)s"), "--log-format"),
        (("sse", "--group", "a", "--auth-credentials", "nobody"), "USER:PASSWORD"),
    ],
)
def test_wrong_words_end_with_code_2_and_one_sentence(words: tuple[str, ...], says: str) -> None:
    """On standard error, without a traceback."""
    result = call(*words)

    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("mlb-sidecar: ")
    assert says in line


@pytest.mark.parametrize("words", [("sse", "--group", "a"), ("poll", "--dry", "--group", "a")])
def test_default_options_that_haproxy_does_not_have_are_named_by_their_variable(
    words: tuple[str, ...],
) -> None:
    """Nobody has given our flag."""
    result = call(*words, HAPROXY_GLOBAL_DEFAULT_OPTIONS="redispatch,bogus")

    assert result.exit_code == 2
    assert result.stderr.startswith("mlb-sidecar: HAPROXY_GLOBAL_DEFAULT_OPTIONS has 'bogus'")


def test_dry_prints_the_configuration_and_touches_nothing(tmp_path: Path) -> None:
    """The apps of now are in it; a secret is not."""
    folder = tmp_path / "state"
    with ScriptedServer(answering(json.dumps({"apps": [WEB]}).encode())) as server:
        result = call(
            "sse", "--dry", "--group", "external", "-m", server.url, "--log-level", "ERROR",
            "--auth-credentials", "user:a-secret-word", MLB_STATE_DIR=str(folder),
        )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    assert "backend web_10007 from " in result.stdout
    assert f"    stats socket {app_socket()} mode 600 level admin\n" in result.stdout
    assert "a-secret-word" not in result.output
    assert not folder.exists()


def test_dry_tells_the_problems_of_apps_beside_the_configuration(tmp_path: Path) -> None:
    """On standard error, where they are in nobody's way."""
    bad = {**WEB, "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_MODE": "neither"}}
    words = ("sse", "--dry", "--group", "external", "--log-format", "console")
    with ScriptedServer(answering(json.dumps({"apps": [bad]}).encode())) as server:
        result = call(*words, "-m", server.url, MLB_STATE_DIR=str(tmp_path / "state"))

    assert "HAPROXY_0_MODE" in result.stderr
    assert "HAPROXY_0_MODE" not in result.stdout


def app_socket() -> str:
    """Where scripts look for HAProxy's socket."""
    return "/var/run/haproxy/socket"


def test_the_manual_has_every_row_of_every_table() -> None:
    """Flags, variables and labels; more tables can be added."""
    text = call("poll", "--longhelp").stdout

    names = [*(row.name for row in FLAGS), *(row.name for row in VARIABLES)]
    assert [name for name in names if name not in text] == []
    assert [row.name for row in LABELS if f"HAPROXY_{{n}}_{row.name}\n" not in text] == []
    assert [row.name for row in APP_LABELS if f"  {row.name}\n" not in text] == []
    assert manual([Chapter("More", "Words.", (("NAME", "What it is."),))]) == (
        "MORE\nWords.\n\n  NAME\n      What it is.\n"
    )


@pytest.mark.parametrize("mode", ["sse", "poll"])
def test_help_lists_the_flags(mode: str) -> None:
    """All of them, without starting anything."""
    result = call(mode, "--help")

    assert result.exit_code == 0
    assert [row.name for row in FLAGS if row.name not in result.stdout] == []


def test_secrets_are_not_among_the_settings_that_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither in the text of all settings."""
    account: Mapping[str, Any] = {"uid": "a", "private_key": "a-secret-word"}
    words = ("--group", "a", "--dcos-auth-credentials", json.dumps(account))
    settings, result = started(monkeypatch, tmp_path, "sse", *words)

    assert "a-secret-word" not in repr(settings) + result.output


def test_the_manual_tells_of_every_template() -> None:
    """With its placeholders, and whether a label replaces it."""
    text = " ".join(manual(chapters()).split())

    for name, template in TEMPLATES.items():
        assert f" HAPROXY_{name} " in text
        assert all(f"{{{placeholder}}}" in text for placeholder in template.placeholders)
    assert "Label: HAPROXY_{n}_BACKEND_HEAD." in text
    assert "Label: HAPROXY_{n}_HEAD." not in text
