"""From marathon-lb's words to our settings: pure, from arguments and environment to values.

What becomes of them keeps marathon-lb's order: a flag wins over our variables (`MLB_…`), those win
over the environment of the original, and that over the defaults.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import attrs

from sidecar.dropin.table import FLAGS, Flag
from sidecar.errors import UsageError
from sidecar.settings import flag

STATE_DIR = "/marathon-lb"
HAPROXY_SOCKET = "/var/run/haproxy/socket"
MAXCONN = 50_000

_DEV_NULL = "/dev/null"
_LEVELS = {
    "CRITICAL": "error",
    "ERROR": "error",
    "WARNING": "warning",
    "INFO": "info",
    "DEBUG": "debug",
    "NOTSET": "debug",
}


@attrs.frozen
class Translation:
    """What was asked for.

    `arguments` are flags of ours, `defaults` values for settings that nobody gave, `notes` what to
    say about flags without meaning. `config_link` is where a link to haproxy.cfg is wanted.
    """

    arguments: tuple[str, ...] = attrs.field(repr=False)
    defaults: Mapping[str, Any] = attrs.field(repr=False)
    notes: tuple[str, ...]
    dry: bool
    longhelp: bool
    config_link: str


class _Parser(argparse.ArgumentParser):
    """Refuses in one sentence, by our error."""

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        raise UsageError(f"{message}; {self.prog} --help lists the flags")


def parser(mode: str) -> argparse.ArgumentParser:
    """The parser of marathon-lb's flags; a flag that was not given is not in what it returns."""
    made = _Parser(
        prog=f"mlb-sidecar {mode}",
        description="Do the main job with marathon-lb's flags and environment.",
        argument_default=argparse.SUPPRESS,
    )
    for row in FLAGS:
        made.add_argument(*_names(row), **_form(row))
    return made


def _names(row: Flag) -> list[str]:
    return [row.name, *([row.short] if row.short else [])]


def _form(row: Flag) -> dict[str, Any]:
    default = " ".join(row.default) if isinstance(row.default, tuple) else row.default
    shown = "" if default in {None, ""} else f" Default: {default}."
    form: dict[str, Any] = {"help": (row.becomes + shown).replace("%", "%%")}
    metavar = "N" if row.kind == "number" else "TEXT"
    match row.kind:
        case "switch":
            return form | {"action": "store_true"}
        case "words":
            return form | {"nargs": "+", "metavar": metavar}
        case "repeated":
            return form | {"action": "append", "metavar": metavar}
        case "number":
            return form | {"type": int, "metavar": metavar}
    return form | {"metavar": metavar}


def translate(mode: str, words: Sequence[str], environ: Mapping[str, str]) -> Translation:
    """Read marathon-lb's flags and environment.

    Raises:
        UsageError: a flag or a value that the original refuses too.
    """
    given = vars(parser(mode).parse_args(list(words)))
    arguments = [*_as_they_are(given), *_translated(given)]
    return Translation(
        arguments=tuple(arguments),
        defaults=_defaults(mode, given, environ),
        notes=tuple(f"{row.name}: {row.gone}" for row in FLAGS if row.gone and row.key in given),
        dry=given.get("dry", False),
        longhelp=given.get("longhelp", False),
        config_link=given.get("haproxy_config", ""),
    )


def _as_they_are(given: Mapping[str, Any]) -> list[str]:
    """The flags that are settings of ours under another name, or under their own."""
    found: list[str] = []
    for row in FLAGS:
        if not row.ours or row.key not in given:
            continue
        value = given[row.key]
        if row.kind == "switch":
            found.append(flag(row.ours))
            continue
        found += [f"{flag(row.ours)}={each}" for each in _list(value)]
    return found


def _list(value: Any) -> list[Any]:  # noqa: ANN401 (as argparse gives it)
    return value if isinstance(value, list) else [value]


def _translated(given: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if given.get("dont_bind_http_https"):
        found += ["--http-port=0", "--https-port=0"]
    if "ssl_certs" in given:
        paths = (path.strip() for path in given["ssl_certs"].split(","))
        found += [f"--ssl-certs={path}" for path in paths if path]
    if "reload_interval" in given:
        found.append(f"--reload-interval={max(1, given['reload_interval'])}")
    if "max_backoff" in given:
        found.append(f"--max-backoff={max(1, given['max_backoff'])}")
    if "log_level" in given:
        found.append(f"--log-level={_level(given['log_level'])}")
    if "syslog_socket" in given:
        found.append(f"--syslog-socket={_socket(given['syslog_socket'])}")
    if {"min_serv_port_ip_per_task", "max_serv_port_ip_per_task"} & given.keys():
        found.append(f"--assigned-ports={_assigned(given)}")
    return found


def _level(text: str) -> str:
    try:
        return _LEVELS[text.upper()]
    except KeyError:
        known = ", ".join(_LEVELS)
        raise UsageError(f"--log-level {text!r} is not one of {known}") from None


def _socket(path: str) -> str:
    return "" if path == _DEV_NULL else path


def _assigned(given: Mapping[str, Any]) -> str:
    names = ("min_serv_port_ip_per_task", "max_serv_port_ip_per_task")
    defaults = {row.key: row.default for row in FLAGS}
    first, last = (given.get(name, defaults[name]) for name in names)
    if bool(first) != bool(last):
        raise UsageError(
            "--min-serv-port-ip-per-task and --max-serv-port-ip-per-task are both 0, or none is"
        )
    if first > last:
        raise UsageError(
            "--min-serv-port-ip-per-task is larger than --max-serv-port-ip-per-task; swap them"
        )
    return f"{first}-{last}" if first else "none"


def _defaults(mode: str, given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """What holds where neither a flag nor a variable of ours says otherwise."""
    rows = {row.key: row.default for row in FLAGS}
    found: dict[str, Any] = {
        "state_dir": STATE_DIR,
        "true_names": "quiet",
        "reload_interval": float(rows["reload_interval"]),
        "log_level": _level(rows["log_level"]),
        "log_format": rows["log_format"],
        "group": (),
        "maxconn": MAXCONN,
        "second_socket": HAPROXY_SOCKET,
        "syslog_socket": _socket(environ.get("SYSLOG_SOCKET") or _DEV_NULL),
        "skip_app": environ.get("FRAMEWORK_NAME", ""),
        "dcos_auth_credentials": environ.get("DCOS_SERVICE_ACCOUNT_CREDENTIAL", ""),
        "templates": _templates(environ),
    }
    if options := environ.get("HAPROXY_GLOBAL_DEFAULT_OPTIONS"):
        found["default_options"] = options
    if environ.get("HAPROXY_SYSLOGD"):
        found["haproxy_log"] = "stdout"
    if environ.get("MARATHON_USER") and environ.get("MARATHON_PASSWORD"):
        found["auth_credentials"] = f"{environ['MARATHON_USER']}:{environ['MARATHON_PASSWORD']}"
    if mode == "poll" and not given.get("sse"):
        found["poll"] = _poll_interval(environ.get("POLL_INTERVAL") or "60")
    return found


def _templates(environ: Mapping[str, str]) -> tuple[str, ...]:
    sandbox = environ.get("MESOS_SANDBOX", "")
    return (*([f"{sandbox}/templates"] if sandbox else []), f"{STATE_DIR}/templates")


def _poll_interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"POLL_INTERVAL {text!r} must be a number of seconds above 0")
    return seconds
