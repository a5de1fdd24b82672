"""marathon-lb's flags and variables, each with what it becomes."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sidecar.dropin.table import FLAGS, VARIABLES
from sidecar.dropin.translation import Translation, translate
from sidecar.errors import UsageError
from sidecar.limits import check
from sidecar.settings import Settings

ORIGINAL_FLAGS = {
    "--longhelp", "--marathon", "-m", "--haproxy-config", "--group", "--command", "-c",
    "--max-reload-retries", "--reload-interval", "--strict-mode", "--sse", "-s",
    "--archive-versions", "--health-check", "-H", "--lru-cache-capacity", "--haproxy-map",
    "--dont-bind-http-https", "--group-https-by-vhost", "--ssl-certs", "--skip-validation",
    "--skip-config-cleanup", "--dry", "-d", "--min-serv-port-ip-per-task",
    "--max-serv-port-ip-per-task", "--max-backoff", "--syslog-socket", "--log-format",
    "--log-level", "--marathon-auth-credential-file", "--auth-credentials",
    "--dcos-auth-credentials", "--marathon-ca-cert",
}  # fmt: skip

_READ_ELSEWHERE = ("VAULT_", "HAPROXY_SYSCTL_", "HAPROXY_SSL_CERT", "MLB_SSL_DIR")


def translated(*words: str, mode: str = "sse", **environ: str) -> Translation:
    """What these words become."""
    return translate(mode, words, environ)


def test_every_flag_of_the_original_is_in_the_table() -> None:
    """Neither more nor fewer, short forms included."""
    assert {name for row in FLAGS for name in (row.name, row.short) if name} == ORIGINAL_FLAGS


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["-m", "http://a", "http://b"], ["--marathon=http://a", "--marathon=http://b"]),
        (["--marathon", "http://a"], ["--marathon=http://a"]),
        (["--group", "a", "--group", "*"], ["--group=a", "--group=*"]),
        (["--strict-mode"], ["--strict-mode"]),
        (["-H"], ["--health-check"]),
        (["--dont-bind-http-https"], ["--http-port=0", "--https-port=0"]),
        (["--ssl-certs", "/a.pem, /b"], ["--ssl-certs=/a.pem", "--ssl-certs=/b"]),
        (["--reload-interval", "0"], ["--reload-interval=1"]),
        (["--max-backoff", "20"], ["--max-backoff=20"]),
        (["--min-serv-port-ip-per-task", "10060"], ["--assigned-ports=10060-10100"]),
        (
            ["--min-serv-port-ip-per-task", "0", "--max-serv-port-ip-per-task", "0"],
            ["--assigned-ports=none"],
        ),
        (["--log-level", "critical"], ["--log-level=error"]),
        (["--log-level", "Warning"], ["--log-level=warning"]),
        (["--log-level", "NOTSET"], ["--log-level=debug"]),
        (["--log-format", "%(message)s"], ["--log-format=%(message)s"]),
        (["--syslog-socket", "/dev/log"], ["--syslog-socket=/dev/log"]),
        (["--syslog-socket", "/dev/null"], ["--syslog-socket="]),
        (["--auth-credentials", "a:b"], ["--auth-credentials=a:b"]),
        (["--dcos-auth-credentials", "{}"], ["--dcos-auth-credentials={}"]),
        (["--marathon-ca-cert", "/ca.pem"], ["--marathon-ca-cert=/ca.pem"]),
        (
            ["--marathon-auth-credential-file", "/c"],
            ["--marathon-auth-credential-file=/c"],
        ),
    ],
    ids=str,
)
def test_a_flag_becomes_flags_of_ours(words: Sequence[str], arguments: Sequence[str]) -> None:
    """And nothing is said about it."""
    found = translated(*words)

    assert list(found.arguments) == arguments
    assert found.notes == ()


@pytest.mark.parametrize("row", [row for row in FLAGS if row.gone], ids=lambda row: row.name)
def test_a_flag_without_meaning_is_accepted_and_says_so_once(row: Any) -> None:  # noqa: ANN401 (a row)
    """One line, with the flag and the reason; it changes no setting."""
    value = {"switch": [], "number": ["3"]}.get(row.kind, ["x"])

    found = translated(row.name, *value, *([row.name, *value] if value else []))

    assert found.notes == (f"{row.name}: {row.gone}",)
    assert found.arguments == ()


def test_flags_that_are_no_settings_are_seen() -> None:
    """--dry, --longhelp, --haproxy-config."""
    found = translated("-d", "--longhelp", "--haproxy-config", "/etc/haproxy/haproxy.cfg")

    assert (found.dry, found.longhelp) == (True, True)
    assert found.config_link == "/etc/haproxy/haproxy.cfg"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--no-such-flag"], "--no-such-flag"),
        (["--log-level", "loud"], "--log-level 'loud'"),
        (["--archive-versions", "many"], "--archive-versions"),
        (["--min-serv-port-ip-per-task", "0"], "are both 0, or none is"),
        (["--min-serv-port-ip-per-task", "10200"], "larger than"),
        (["--group"], "--group"),
        (["a-word"], "a-word"),
    ],
)
def test_what_the_original_refuses_is_refused(words: Sequence[str], says: str) -> None:
    """In one sentence that names it."""
    with pytest.raises(UsageError, match=says) as refused:
        translated(*words)

    assert "\n" not in str(refused.value)


DEFAULT: Mapping[str, Any] = translated().defaults


@pytest.mark.parametrize(
    ("environ", "changes"),
    [
        ({"PORTS": "80,443"}, {}),
        ({"MARATHON_USER": "u", "MARATHON_PASSWORD": "p"}, {"auth_credentials": "u:p"}),
        ({"MARATHON_USER": "u"}, {}),
        ({"MARATHON_PASSWORD": "p"}, {}),
        ({"DCOS_SERVICE_ACCOUNT_CREDENTIAL": "{}"}, {"dcos_auth_credentials": "{}"}),
        ({"FRAMEWORK_NAME": "lb"}, {"skip_app": "lb"}),
        ({"SYSLOG_SOCKET": "/dev/log"}, {"syslog_socket": "/dev/log"}),
        ({"HAPROXY_SYSLOGD": "1"}, {"haproxy_log": "stdout"}),
        ({"HAPROXY_GLOBAL_DEFAULT_OPTIONS": "a,b"}, {"default_options": "a,b"}),
        ({"MESOS_SANDBOX": "/mnt"}, {"templates": ("/mnt/templates", "/marathon-lb/templates")}),
        ({"POLL_INTERVAL": "5"}, {}),
    ],
    ids=" ".join,
)
def test_a_variable_becomes_a_default(
    environ: Mapping[str, str], changes: Mapping[str, Any]
) -> None:
    """Below our own variables and flags."""
    assert translated(**environ).defaults == {**DEFAULT, **changes}


@pytest.mark.parametrize(
    "name",
    [row.name for row in VARIABLES if not row.name.startswith(_READ_ELSEWHERE)],
)
def test_every_variable_has_its_row_above(name: str) -> None:
    """The other ones are read where they are used (test_surroundings, test_certificates)."""
    cases = test_a_variable_becomes_a_default.pytestmark[0].args[1]

    assert any(name in environ for environ, _ in cases)


def test_defaults_are_settings_of_ours() -> None:
    """None of them is misspelt, and they can be used."""
    check(Settings(**{**DEFAULT, "group": ("external",)}))
    assert DEFAULT["state_dir"] == "/marathon-lb"
    assert DEFAULT["true_names"] == "quiet"
    assert DEFAULT["maxconn"] == 50_000


def test_poll_fetches_from_time_to_time_unless_it_is_told_to_follow_events() -> None:
    """POLL_INTERVAL is 60 when it is not given, and must be a number."""
    assert translated(mode="poll").defaults["poll"] == 60
    assert translated(mode="poll", POLL_INTERVAL="5").defaults["poll"] == 5
    assert "poll" not in translated("--sse", mode="poll").defaults
    for text in ("soon", "0", "-1", "nan", "inf"):
        with pytest.raises(UsageError, match="POLL_INTERVAL"):
            translated(mode="poll", POLL_INTERVAL=text)


def test_secrets_are_in_no_text_of_a_translation() -> None:
    """Whoever logs it logs none."""
    found = translated("--auth-credentials", "a:secret", MARATHON_USER="u", MARATHON_PASSWORD="pw1")

    assert "secret" not in repr(found)
    assert "pw1" not in repr(found)
