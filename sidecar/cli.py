"""The command line: every command, its flags made from the settings' table, its errors and codes.

Exit codes: 0 done, 1 it failed, 2 wrong arguments or a state folder that cannot be used.
"""

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import click
from click.core import ParameterSource

from sidecar import app, inspection, telemetry
from sidecar.control import NotRunningError, ask
from sidecar.desired.model import Problem
from sidecar.dropin import command as dropin
from sidecar.dropin.manual import chapters, manual
from sidecar.errors import SidecarError, UsageError
from sidecar.reconcile.explainer import BusyError
from sidecar.settings import Option, Settings, completed, flag, options, variable
from sidecar.signals import ignore_wishes
from sidecar.zdd.command import zdd

Command = TypeVar("Command", bound=Callable[..., Any])

_EVERYWHERE = ("state_dir", "log_format", "log_level", "syslog_socket")
_READS_MARATHON = {"Marathon", "Apps"}
"""Sections of settings that a command needs which reads apps."""


class _Group(click.Group):
    """Turns our errors into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (as click has it)
        """Run a command."""
        try:
            return super().invoke(ctx)
        except SidecarError as error:
            click.echo(f"mlb-sidecar: {error}", err=True)
            sys.exit(error.exit_code)


class _Flag(click.Option):
    """A setting's flag, which knows its section of the help."""

    section = "Options"


class _NumberOrNone(click.types.IntParamType):
    """A number; none is 0."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 (as click has it)
        """Read the word."""
        return 0 if value == "none" else super().convert(value, param, ctx)


class _Command(click.Command):
    """A command whose help shows the settings by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each under the heading of its section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                section = getattr(parameter, "section", "Options")
                sections.setdefault(section, []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


_Group.command_class = _Command


def _print_manual(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 (as click calls it)
    if value:
        click.echo(manual(chapters()))
        context.exit()


_longhelp = click.option(
    "--longhelp",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_manual,
    help="Print the manual of marathon-lb's flags, of labels and templates.",
)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="marathon-lb-sidecar", prog_name="mlb-sidecar")
@_longhelp
def main() -> None:
    """Watch Marathon and drive HAProxy through its Runtime API, without reloads.

    Every flag can also be given as an environment variable: --http-port is MLB_HTTP_PORT.
    """


main.add_command(zdd)


def _with_settings(wanted: Callable[[str, Option], bool]) -> Callable[[Command], Any]:
    """Give a command the flags of those settings; it is called with a `Settings`."""

    def decorate(function: Command) -> Any:  # noqa: ANN401 (click makes a command of it)
        chosen = [row for row in options() if wanted(row[0], row[2])]

        def command(**values: Any) -> Any:  # noqa: ANN401 (as click has it)
            names = {name for name, _, _ in chosen}
            given = {key: value for key, value in values.items() if key in names}
            rest = {key: value for key, value in values.items() if key not in names}
            settings = Settings(**given)
            telemetry.configure(
                form=settings.log_format,
                level=settings.log_level,
                syslog_socket=settings.syslog_socket,
            )
            return function(settings, **rest)

        functools.update_wrapper(command, function)  # also the options that click noted on it
        for name, default, option in reversed(chosen):
            command = _flag(name, default, option)(command)
        return command

    return decorate


def _flag(name: str, default: Any, option: Option) -> Callable[[Any], Any]:  # noqa: ANN401 (any setting)
    names = [flag(name), *([option.short] if option.short else [])]
    kind: dict[str, Any] = {}
    if isinstance(default, bool) or default is None:
        names = [f"{flag(name)}/--no-{flag(name)[2:]}", *names[1:]]
    elif option.choices:
        kind["type"] = click.Choice(option.choices)
    elif option.none_is_0:
        kind["type"] = _NumberOrNone()
    elif not option.several:
        kind["type"] = type(default)
    cls = type("_FlagOfASection", (_Flag,), {"section": option.section})
    return click.option(
        *names,
        name,
        cls=cls,
        default=default,
        multiple=option.several,
        metavar=option.metavar,
        envvar=variable(name),
        show_envvar=True,
        show_default=default not in ("", (), None) and not option.secret,
        help=option.help,
        **kind,
    )


def _all(_: str, __: Option) -> bool:
    return True


def _reading(name: str, option: Option) -> bool:
    sections = {*_READS_MARATHON, "Frontends", "HAProxy"}
    return option.section in sections or name in {*_EVERYWHERE, "web_port"}


def _running(name: str, _: Option) -> bool:
    return name in _EVERYWHERE


@main.command(short_help="Do the main job: follow Marathon, keep HAProxy as it should be.")
@_with_settings(_all)
@_longhelp
def run(settings: Settings) -> None:
    """Do the main job until stopped: follow Marathon, keep HAProxy as it should be.

    HAProxy is started here, or found again if one runs in the state folder already. With
    --haproxy-socket and --master-socket it is one that somebody else starts from
    STATE_DIR/haproxy.cfg.
    """
    ignore_wishes()
    for folder in settings.templates:
        if not Path(folder).is_dir():
            raise UsageError(f"--templates {folder} is no folder that is there")
    app.run(settings)


_FOR_US = {
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
"""The original's words are read by a parser of their own."""


@main.command(
    short_help="The main job, with marathon-lb's flags: follow events.", context_settings=_FOR_US
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def sse(words: tuple[str, ...]) -> None:
    """Do the main job as marathon-lb's `sse` does, with its flags and environment."""
    ignore_wishes()
    dropin.carry_out("sse", words, _read_settings, click.echo)


@main.command(
    short_help="The main job, with marathon-lb's flags: fetch from time to time.",
    context_settings=_FOR_US,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def poll(words: tuple[str, ...]) -> None:
    """Do the main job as marathon-lb's `poll` does, with its flags and environment."""
    ignore_wishes()
    dropin.carry_out("poll", words, _read_settings, click.echo)


def _read_settings(words: Sequence[str], defaults: Mapping[str, Any]) -> Settings:
    """The settings that `run` would have with these flags, our variables, and other defaults."""
    reader = click.Command("settings", callback=_with_settings(_all)(lambda settings: settings))
    reader.params = list(reversed(getattr(reader.callback, "__click_params__", [])))
    with reader.make_context("mlb-sidecar", list(words), default_map=dict(defaults)) as context:
        settings = reader.invoke(context)
    assert isinstance(settings, Settings)  # noqa: S101 (what the callback above returns)
    return settings


@main.command(short_help="Show HAProxy's configuration and maps.")
@_with_settings(_reading)
@click.option("--skeleton", is_flag=True, help="Without apps: Marathon is not asked.")
@click.option("--write", is_flag=True, help="Into the state folder, instead of to the screen.")
@click.pass_context
def render(context: click.Context, settings: Settings, *, skeleton: bool, write: bool) -> None:
    """Show the configuration and the maps for the apps that Marathon has now.

    Problems of apps are told on standard error. Settings that are not given are those of the
    sidecar that runs in the state folder, if one does.
    """
    settings, running = _as_running(context, settings)
    if write:
        for path in inspection.write(settings, skeleton=skeleton, running=running):
            click.echo(str(path))
        return
    rendered, problems = inspection.rendered(settings, skeleton=skeleton, running=running)
    for name, text in inspection.shown(rendered).items():
        click.echo(f"# ---- {name}\n{text}")
    for problem in problems:
        click.echo(_said(problem), err=True)


@main.command(short_help="Show what would be sent to HAProxy now; send nothing.")
@_with_settings(_reading)
@click.pass_context
def plan(context: click.Context, settings: Settings) -> None:
    """Show what would be sent to HAProxy now, and why it would be reloaded; send nothing.

    Settings that are not given are those of the sidecar that runs in the state folder, if one does.
    """
    settings, running = _as_running(context, settings)
    found = inspection.planned(settings, running)
    for line in inspection.left_out_lines(running.busy):
        click.echo(line)
    for problem in found.problems:
        click.echo(_said(problem))
    for command in found.commands:
        click.echo(command)
    for reason in found.reasons:
        click.echo(f"reload: {reason}")
    if not (found.commands or found.reasons):
        click.echo("nothing: HAProxy is as it should be")


def _as_running(context: click.Context, settings: Settings) -> tuple[Settings, inspection.Running]:
    """What is not given as the sidecar has it that runs in the state folder, and what it knows."""
    try:
        state = ask(settings, "GET", "/state")
    except NotRunningError:
        return settings, inspection.NOT_RUNNING
    known = completed(settings, _chosen(context), state["settings"])
    return known, inspection.running(state)


@main.command(short_help="Show apps, servers, problems, reloads, freshness.")
@_with_settings(_running)
@click.option("--json", "as_json", is_flag=True, help="Everything, for scripts.")
def status(settings: Settings, *, as_json: bool) -> None:
    """Show apps, backends, servers, problems, reloads and freshness of the running sidecar."""
    state = ask(settings, "GET", "/state")
    if as_json:
        click.echo(json.dumps(state, indent=2))
        return
    down = inspection.down(state) if "settings" in state else frozenset()
    for line in inspection.status_lines(state, down):
        click.echo(line.encode("utf-8", "replace"))  # a name may hold half of a character


@main.command(short_help="Say where a request goes and why, or what keeps an app away.")
@_with_settings(_running)
@click.argument("asked", metavar="URL|PORT|APP")
@click.option("--json", "as_json", is_flag=True, help="The same, for scripts.")
def explain(settings: Settings, *, asked: str, as_json: bool) -> None:
    """Say which rule takes a request, which lose and why, and how each server and task is.

    Asked by a URL (http://host/path), a service port (:10000) or an app id (/shop/web). Exit code
    1 where nothing serves it.
    """
    told = ask(settings, "GET", f"/explain?{urlencode({'url': asked})}")
    if "message" in told:
        kind = UsageError if told["code"] == UsageError.exit_code else BusyError
        raise kind(told["message"])
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        for line in inspection.explanation_lines(told):
            click.echo(line.encode("utf-8", "replace"))
    sys.exit(0 if told["served"] else 1)


@main.command(short_help="Show the maps that HAProxy has in memory now.")
@_with_settings(lambda name, _: name in {*_EVERYWHERE, "haproxy_socket", "master_socket"})
@click.argument("names", nargs=-1, metavar="[MAP]...")
def maps(settings: Settings, names: tuple[str, ...]) -> None:
    """Show the maps that HAProxy has in memory now, with the true names of backends."""
    for name, entries in inspection.maps(settings, names).items():
        click.echo(f"# ---- {name}")
        for key, value in entries.items():
            click.echo(f"{key} {value}")


@main.command(short_help="Use a full fetch that is held.")
@_with_settings(_running)
def release(settings: Settings) -> None:
    """Let the running sidecar use a full fetch that it holds because it takes away too much."""
    if ask(settings, "GET", "/state")["held"] is None:
        click.echo("nothing is held")
        return
    ask(settings, "POST", "/release")
    click.echo("released")


@main.command(short_help="Do the main job with a small Marathon of its own.")
@_with_settings(_all)
@click.pass_context
def demo(context: click.Context, settings: Settings) -> None:
    """Do the main job with a small Marathon of its own and three example apps.

    With --marathon (or MARATHON=URL for make run) it follows that Marathon instead.
    """
    from sidecar.demo import show  # noqa: PLC0415 (nobody else needs the local Marathon)

    show.run(settings, chosen=_chosen(context))


def _said(problem: Problem) -> str:
    return f"{'notice' if problem.notice else 'problem'}: {problem}"


def _chosen(context: click.Context) -> frozenset[str]:
    """The settings that somebody gave, by flag or variable."""
    given = {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}
    names: Iterable[str] = context.params
    return frozenset(name for name in names if context.get_parameter_source(name) in given)
