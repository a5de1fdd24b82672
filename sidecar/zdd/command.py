"""The command line of `mlb-sidecar zdd`: marathon-lb's for its zdd.py, `--socket`, `--weight`."""

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import structlog

from sidecar import telemetry
from sidecar.desired.readers import LabelError, read_percentage
from sidecar.errors import UsageError
from sidecar.marathon.credentials import Credentials, authority_of
from sidecar.zdd.balancers import Balancers, ByHttp, BySocket
from sidecar.zdd.decisions import Rules
from sidecar.zdd.definitions import Sizes
from sidecar.zdd.deploy import Deployer, Options
from sidecar.zdd.errors import ArgumentError
from sidecar.zdd.marathon_apps import MarathonApps

_LEVELS = {"CRITICAL": "error", "NOTSET": "debug"}
_NO_SYSLOG = "/dev/null"

_flag = functools.partial(click.option, show_default=True)


@click.command(
    short_help="Replace an app by its next version, without a lost request.",
    context_settings={"help_option_names": ["-h", "--help", "--longhelp"]},
)
@_flag("--json", "-j", "json_path", required=True, metavar="FILE", help="The app, as for Marathon.")
@_flag("--marathon", "-m", multiple=True, required=True, metavar="URL", help="Marathon.")
@_flag(
    "--marathon-lb", "-l", multiple=True, metavar="URL", help="Balancers' statistics, port 9090."
)
@_flag("--socket", metavar="PATH", help="HAProxy's Runtime API, in the place of --marathon-lb.")
@_flag("--dry-run", "-d", is_flag=True, help="Only show the app that would be made.")
@_flag("--force", "-f", is_flag=True, help="Ask nothing.")
@_flag("--step-delay", "-s", default=5.0, metavar="SECONDS", help="Between two looks.")
@_flag("--initial-instances", "-i", default=1, metavar="N", help="Tasks to begin with.")
@_flag("--linear-increase", default=0, metavar="N", help="Tasks to add at a time; 0: by half.")
@_flag("--resume", "-r", is_flag=True, help="Go on with a deployment.")
@_flag("--max-wait", "-w", default=300.0, metavar="SECONDS", help="Patience for each step.")
@_flag("--new-instances", "-n", default=0, metavar="N", help="Stop beside the old app's others.")
@_flag("--weight", metavar="PERCENT", help="Stop with this share of requests for the new app.")
@_flag("--complete-cur", "-c", is_flag=True, help="Then go all the way to the new app.")
@_flag("--complete-prev", "-p", is_flag=True, help="Or back to the old one.")
@_flag("--pre-kill-hook", default="", metavar="PATH", help="Called before tasks are killed.")
@_flag("--syslog-socket", default=_NO_SYSLOG, metavar="PATH", help="The log goes there too.")
@_flag("--log-format", default="console", metavar="FORM", help="console, json or Python's own.")
@_flag("--log-level", default="info", metavar="LEVEL", help="debug, info, warning or error.")
@_flag("--marathon-auth-credential-file", default="", metavar="FILE", help="USER:PASSWORD in it.")
@_flag(
    "--auth-credentials",
    default="",
    metavar="USER:PASSWORD",
    help="For Marathon.",
    envvar="MLB_AUTH_CREDENTIALS",
)
@_flag(
    "--dcos-auth-credentials",
    default="",
    metavar="JSON",
    help="A DC/OS service account.",
    envvar="DCOS_SERVICE_ACCOUNT_CREDENTIAL",
    show_default=False,
)
@_flag("--marathon-ca-cert", default="", metavar="FILE", help="CA certificates for Marathon.")
def zdd(**given: Any) -> None:  # noqa: ANN401 (the options above)
    """Replace an app by its next version: blue by green, task by task, without a lost request.

    The app needs the labels HAPROXY_DEPLOYMENT_GROUP and HAPROXY_DEPLOYMENT_ALT_PORT. Exit codes: 1
    declined, 2 stopped, 3 flags, 4 a field of the app, 5 a balancer, 6 Marathon, 7 not made or not
    in service, 8 not deleted, 9 not scaled.
    """
    level = given["log_level"].upper()
    telemetry.configure(
        form=given["log_format"],
        level=_LEVELS.get(level, level.lower()),
        syslog_socket="" if given["syslog_socket"] == _NO_SYSLOG else given["syslog_socket"],
    )
    force = given["force"]
    deployer = Deployer(
        _options(given),
        MarathonApps(
            given["marathon"], credentials=_credentials(given), ca_file=given["marathon_ca_cert"]
        ),
        _balancers(given),
        lambda question: force or _agreed(question),
        click.echo,
    )
    deployer.run()


def _options(given: dict[str, Any]) -> Options:
    if given["complete_cur"] and given["complete_prev"]:
        raise ArgumentError("--complete-cur and --complete-prev do not go together")
    weight = given["weight"] or ""
    if weight and (given["new_instances"] or given["complete_cur"] or given["complete_prev"]):
        raise ArgumentError("--weight goes with neither --new-instances nor --complete-…")
    if given["initial_instances"] < 1 or given["new_instances"] < 0:
        raise ArgumentError("--initial-instances is at least 1, --new-instances at least 0")
    return Options(
        Path(given["json_path"]),
        dry_run=given["dry_run"],
        step_delay=max(given["step_delay"], 0.05),
        sizes=Sizes(given["initial_instances"], given["new_instances"], _percentage(weight)),
        rules=Rules(given["max_wait"], given["linear_increase"]),
        resume=given["resume"],
        complete_cur=given["complete_cur"],
        complete_prev=given["complete_prev"],
        pre_kill_hook=given["pre_kill_hook"],
    )


def _percentage(text: str) -> str:
    if not text:
        return ""
    try:
        found: Fraction = read_percentage(text)
    except LabelError as error:
        raise ArgumentError(f"--weight {text!r} {error}") from error
    return f"{float(found):g}"


def _balancers(given: dict[str, Any]) -> Balancers:
    if given["socket"]:
        return BySocket(given["socket"])
    if not given["marathon_lb"]:
        raise ArgumentError("name the balancers: --marathon-lb URL, or --socket PATH")
    return ByHttp(given["marathon_lb"])


def _credentials(given: dict[str, Any]) -> Credentials | None:
    user, colon, password = given["auth_credentials"].partition(":")
    if given["auth_credentials"] and not colon:
        raise UsageError("--auth-credentials must be USER:PASSWORD")
    log = structlog.get_logger("zdd")
    return authority_of(
        file=given["marathon_auth_credential_file"],
        password=(user, password) if colon else None,
        account=given["dcos_auth_credentials"],
        ca_file=given["marathon_ca_cert"] or None,
        report=lambda reason: log.warning("credentials not renewed", reason=reason),
    )


def _agreed(question: str) -> bool:
    try:
        return click.confirm(question, default=True, err=True)
    except click.Abort:
        return False
