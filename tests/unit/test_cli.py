import json
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest
import structlog
from click.testing import CliRunner, Result

from sidecar.cli import _all, _with_settings, main
from sidecar.dropin.manual import chapters, manual
from sidecar.reconcile.description import describe
from sidecar.reconcile.holding import Hold
from sidecar.reconcile.status import Status
from sidecar.settings import Option, Settings, flag, options, variable
from sidecar.web.control import ControlServer
from tests.builders import VERSION, a_task
from tests.marathon.scripted_server import ScriptedServer, answering

PASSWORD = "a-secret-word"
COMMANDS = ("run", "render", "plan", "status", "maps", "release", "demo")
SOME_APP = {
    "id": "/web",
    "version": VERSION,
    "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "web.test"},
    "portDefinitions": [{"port": 10007}],
    "tasks": [a_task(1)],
}


@pytest.fixture(autouse=True)
def usual_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of ours from outside; the logging that a command sets up is undone."""
    for name in [name for name in os.environ if name.startswith("MLB_")]:
        monkeypatch.delenv(name)
    yield
    structlog.reset_defaults()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A state folder with a path short enough for sockets."""
    with TemporaryDirectory(prefix="mlb") as name:
        yield Path(name)


def call(*arguments: object, **variables: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, [str(each) for each in arguments], env=variables)


def assert_one_sentence(result: Result, code: int) -> str:
    """It failed as an operator likes it: one line on standard error; the line."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("mlb-sidecar: ")
    return line


# --- settings as flags and variables ---


@pytest.mark.parametrize("command", ["run", "demo"])
def test_help_lists_every_setting_with_its_variable(command: str) -> None:
    """The help is the manual of the settings; nothing is left out."""
    text = call(command, "--help").output

    for name, _, _ in options():
        assert re.search(rf"{flag(name)}(?=[ ,\n])", text), name
        assert re.search(rf"{variable(name)}(?=[\];\s])", text), name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """A newcomer finds all of them from the first help."""
    assert command in call("--help").output
    assert call(command, "-h").exit_code == 0


@pytest.mark.parametrize("words", [["--longhelp"], ["run", "--longhelp"], ["sse", "--longhelp"]])
def test_the_manual_is_printed_wherever_it_is_asked_for(words: list[str]) -> None:
    """Nobody has to know which command has it."""
    assert call(*words).stdout.rstrip() == manual(chapters()).rstrip()


def test_help_shows_no_secret() -> None:
    """Not even one that a variable gives: help texts end up in bug reports."""
    text = call("run", "--help", MLB_AUTH_CREDENTIALS=f"user:{PASSWORD}").output

    assert "--auth-credentials" in text
    assert PASSWORD not in text


def _example(default: object, option: Option) -> tuple[list[str], object]:
    """Another value than the default: the words that give it, and the value."""
    if option.choices:
        word = next(word for word in option.choices if word != default)
        return [word], word
    if option.several:
        return ["one", "two"], ("one", "two")
    if isinstance(default, bool) or default is None:
        return ["true"], True
    if isinstance(default, int | float):
        return [str(default + 1)], default + 1
    if option.metavar == "FORM":
        return ["json"], "json"
    return ["/some-value"], "/some-value"


def given(arguments: list[str], **variables: str) -> Settings:
    """The settings that a command gets."""
    got: list[Settings] = []

    @click.command()
    @_with_settings(_all)
    def command(settings: Settings) -> None:
        got.append(settings)

    result = CliRunner().invoke(command, arguments, env=variables, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return got[0]


ROWS = [pytest.param(*row, id=row[0]) for row in options()]


@pytest.mark.parametrize(("name", "default", "option"), ROWS)
def test_a_setting_is_read_from_its_flag(name: str, default: object, option: Option) -> None:
    """Each flag fills its own field."""
    words, value = _example(default, option)
    switch = isinstance(default, bool) or default is None
    arguments = [flag(name)] if switch else [x for word in words for x in (flag(name), word)]

    assert getattr(given(arguments), name) == value


@pytest.mark.parametrize(("name", "default", "option"), ROWS)
def test_a_setting_is_read_from_its_variable(name: str, default: object, option: Option) -> None:
    """Several values are separated by spaces."""
    words, value = _example(default, option)

    assert getattr(given([], **{variable(name): " ".join(words)}), name) == value


def test_nothing_given_is_the_defaults() -> None:
    """The table's defaults are the command line's."""
    assert given([]) == Settings()


def test_a_flag_wins_over_its_variable() -> None:
    """What is nearer counts."""
    assert given(["--http-port", "81"], MLB_HTTP_PORT="82").http_port == 81


def test_a_switch_can_be_turned_off_where_a_variable_turns_it_on() -> None:
    """Also the one that is undecided by default."""
    assert not given(["--no-health-check"], MLB_HEALTH_CHECK="1").health_check
    assert given(["--no-same-network"]).same_network is False
    assert given([]).same_network is None


# --- errors ---


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("run", "--state-dir", "relative"), "--state-dir", id="run"),
        pytest.param(("run", "--service-ports", "x"), "--service-ports", id="ranges"),
        pytest.param(("run", "--haproxy", "/nowhere/haproxy"), "--haproxy", id="no program"),
        pytest.param(("plan", "--auth-credentials", "x"), "--auth-credentials", id="plan"),
        pytest.param(("render", "--bind", "::1"), "--bind", id="render"),
        pytest.param(("maps", "--state-dir", "a b"), "--state-dir", id="maps"),
        pytest.param(("maps", "nothing.map"), "nothing.map", id="no such map"),
        pytest.param(("demo", "--http-port", "70000"), "--http-port", id="demo"),
        pytest.param(("run", "--marathon", "127.0.0.1:80"), "127.0.0.1:80", id="no scheme"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence_and_code_2(
    arguments: tuple[str, ...], named: str, folder: Path
) -> None:
    """It names what to change."""
    more = () if "--state-dir" in arguments else ("--state-dir", str(folder))
    line = assert_one_sentence(call(*arguments, *more), code=2)

    assert named in line


def test_a_folder_whose_sockets_would_have_too_long_a_path_is_refused(folder: Path) -> None:
    """HAProxy could not bind them; the sentence says how long is too long."""
    line = assert_one_sentence(call("run", "--state-dir", folder / ("x" * 90)), code=2)

    assert "shorter path" in line


def test_no_error_shows_a_secret(folder: Path) -> None:
    """Marathon is away, and the line says where it should be, not who we are there."""
    result = call(
        *("render", "--marathon", f"http://user:{PASSWORD}@127.0.0.1:1", "--state-dir", folder),
        MLB_AUTH_CREDENTIALS=f"other:{PASSWORD}",
    )

    assert "127.0.0.1:1" in assert_one_sentence(result, code=1)
    assert PASSWORD not in result.output


@pytest.mark.parametrize("command", ["status", "release"])
def test_without_a_sidecar_it_is_said_so(command: str, folder: Path) -> None:
    """One sentence, and code 1."""
    line = assert_one_sentence(call(command, "--state-dir", folder), code=1)

    assert f"no sidecar answers at {folder}/sidecar.sock" in line


@pytest.mark.parametrize("command", ["maps", "plan"])
def test_without_haproxy_it_is_said_so(command: str, folder: Path) -> None:
    """One sentence, and code 1."""
    line = assert_one_sentence(call(command, "--state-dir", folder), code=1)

    assert f"{folder}/admin.sock" in line


# --- render ---


def test_the_skeleton_is_shown_without_asking_marathon(folder: Path) -> None:
    """Every file under its name, the configuration first; nothing is written."""
    result = call("render", "--skeleton", "--state-dir", folder, "--marathon", "http://127.0.0.1:1")

    assert result.exit_code == 0, result.output
    names = re.findall(r"^# ---- (\S+)$", result.stdout, re.MULTILINE)
    assert names[0] == "haproxy.cfg"
    assert "domain2backend.map" in names
    assert f"stats socket {folder}/admin.sock" in result.stdout
    assert list(folder.iterdir()) == []


def test_the_skeleton_is_written_once(folder: Path) -> None:
    """Its files are named; a second time nothing has changed. Only their owner may read them."""
    first = call("render", "--skeleton", "--write", "--state-dir", folder)
    second = call("render", "--skeleton", "--write", "--state-dir", folder)

    written = [Path(line) for line in first.stdout.splitlines()]
    assert written[-1] == folder / "haproxy.cfg"
    assert all(path.exists() for path in written)
    assert second.stdout == ""
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_that_is_not_there_is_not_made(folder: Path) -> None:
    """A typing error does not become a folder."""
    missing = folder / "missing"
    result = call("render", "--skeleton", "--write", "--state-dir", missing)

    assert str(missing) in assert_one_sentence(result, code=2)
    assert not missing.exists()


def test_what_marathon_has_is_rendered(folder: Path) -> None:
    """Servers in the configuration, routes in the maps."""
    with ScriptedServer(answering(json.dumps({"apps": [SOME_APP]}).encode())) as marathon:
        result = call("render", "--state-dir", folder, "--marathon", marathon.url)

    assert result.exit_code == 0, result.output
    assert "backend web_10007 from http-roundrobin" in result.stdout
    assert "server 10_0_0_1_31001 10.0.0.1:31001" in result.stdout
    assert "\nweb.test web_10007\n" in result.stdout
    assert "\n10007 web_10007\n" in result.stdout


def test_problems_are_told_beside_what_is_rendered(folder: Path) -> None:
    """On standard error."""
    bad = {**SOME_APP, "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_MODE": "neither"}}
    with ScriptedServer(answering(json.dumps({"apps": [bad]}).encode())) as marathon:
        result = call("render", "--state-dir", folder, "--marathon", marathon.url)

    assert result.stderr.startswith("problem: app /web: HAPROXY_0_MODE: ")


def test_a_folder_of_templates_that_is_not_there_is_an_error(folder: Path) -> None:
    """A typing error does not run without the operator's templates."""
    missing = folder / "missing"
    result = call("run", "--state-dir", folder, "--templates", missing)

    assert str(missing) in assert_one_sentence(result, code=2)


# --- a sidecar that runs ---


HELD = Hold("it would take away all 3 servers", frozenset())


def test_what_is_rendered_has_the_settings_of_the_sidecar_that_runs_there(folder: Path) -> None:
    """And does without the service ports that it leaves out; what is given wins."""
    told = {
        "settings": {"bind": "127.0.0.1", "http_port": 8123, "service_ports": "10000-10002"},
        "problems": [],
        "busy_ports": {"10001": "is in use by another process"},
    }
    server = ControlServer(folder / "sidecar.sock", state=lambda: told, commands={})
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        result = call("render", "--skeleton", "--state-dir", folder)
        chosen = call("render", "--skeleton", "--state-dir", folder, "--http-port", "8124")
    finally:
        server.interrupt()
        thread.join(10)

    assert "bind 127.0.0.1:8123\n" in result.stdout
    assert "bind 127.0.0.1:10000,127.0.0.1:10002\n" in result.stdout
    assert "bind 127.0.0.1:8124\n" in chosen.stdout


@pytest.fixture
def released(folder: Path, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """A control socket in the folder; what was released through it. By default a fetch is held."""
    done: list[str] = []
    hold: Hold | None = getattr(request, "param", HELD)
    state: dict[str, Any] = describe(Status(started=1.0, version="2.8.25", hold=hold))
    server = ControlServer(
        folder / "sidecar.sock",
        state=lambda: state,
        commands={"release": lambda: done.append("now")},
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    yield done
    server.interrupt()
    thread.join(10)


def test_status_is_told_to_a_person_and_to_a_program(folder: Path, released: list[str]) -> None:
    """Lines, or everything as JSON."""
    text = call("status", "--state-dir", folder)
    data = call("status", "--json", "--state-dir", folder)

    assert text.exit_code == data.exit_code == 0
    assert text.stdout.startswith("HAProxy 2.8.25, ")
    assert json.loads(data.stdout)["haproxy"]["version"] == "2.8.25"


def test_release_is_passed_on(folder: Path, released: list[str]) -> None:
    """The running sidecar is told, and the operator that it was."""
    result = call("release", "--state-dir", folder)

    assert result.stdout == "released\n"
    assert released == ["now"]


@pytest.mark.parametrize("released", [None], indirect=True, ids=["nothing held"])
def test_where_nothing_is_held_nothing_is_released(folder: Path, released: list[str]) -> None:
    """The operator learns it, and a fetch that is held a moment later waits for its own word."""
    result = call("release", "--state-dir", folder)

    assert result.exit_code == 0
    assert result.stdout == "nothing is held\n"
    assert released == []
