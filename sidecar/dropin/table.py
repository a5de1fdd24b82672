"""Every flag and variable of marathon-lb: its form, its default, and what it becomes here.

The parser, the manual (`--longhelp`) and the tests are made from these two tables.
"""

from typing import Any, Literal

import attrs

Kind = Literal["switch", "text", "number", "words", "repeated"]


@attrs.frozen
class Flag:
    """One flag of marathon-lb.

    `words` takes one or more words after it, `repeated` takes one word but may come again.
    `ours` is the setting that it gives as it is. `gone` is said, once, when a flag is given that
    means nothing any more.
    """

    name: str
    kind: Kind
    becomes: str
    default: Any = None
    short: str = ""
    ours: str = ""
    gone: str = ""

    @property
    def key(self) -> str:
        """The name under which its value is found."""
        return self.name[2:].replace("-", "_")


@attrs.frozen
class Variable:
    """One environment variable that marathon-lb's `run` script or program reads."""

    name: str
    becomes: str
    default: str = ""


FLAGS: tuple[Flag, ...] = (
    Flag("--longhelp", "switch", "Prints the manual of flags, labels and templates."),
    Flag(
        "--marathon",
        "words",
        "Marathon's addresses, for failover.",
        default=("http://master.mesos:8080",),
        short="-m",
        ours="marathon",
    ),
    Flag(
        "--haproxy-config",
        "text",
        "A link there leads to haproxy.cfg in the state folder, where the file itself is.",
        default="/marathon-lb/haproxy.cfg",
    ),
    Flag("--group", "repeated", "Takes apps of this group; * takes all.", ours="group"),
    Flag(
        "--command",
        "text",
        "Nothing.",
        short="-c",
        gone="HAProxy is reloaded over its master socket, without a command",
    ),
    Flag(
        "--max-reload-retries",
        "number",
        "Nothing.",
        default=10,
        gone="a reload that failed is tried again for as long as it is needed",
    ),
    Flag(
        "--reload-interval",
        "number",
        "The shortest time between two reloads, in seconds, at least 1.",
        default=10,
    ),
    Flag(
        "--strict-mode",
        "switch",
        "Takes only ports with HAPROXY_{n}_ENABLED=true.",
        ours="strict_mode",
    ),
    Flag("--sse", "switch", "Follows Marathon's events, in poll mode too.", short="-s"),
    Flag(
        "--archive-versions",
        "number",
        "Nothing.",
        default=5,
        gone="the last good and the last refused haproxy.cfg are kept, and no others",
    ),
    Flag(
        "--health-check",
        "switch",
        "Takes only tasks that Marathon's health checks call alive.",
        short="-H",
        ours="health_check",
    ),
    Flag(
        "--lru-cache-capacity",
        "number",
        "Nothing.",
        default=1000,
        gone="what is known of tasks is kept for as long as they are there",
    ),
    Flag("--haproxy-map", "switch", "Nothing.", gone="maps are used always"),
    Flag(
        "--dont-bind-http-https",
        "switch",
        "Leaves out the frontends on 80 and 443 (MLB_HTTP_PORT=0, MLB_HTTPS_PORT=0).",
    ),
    Flag(
        "--group-https-by-vhost",
        "switch",
        "Virtual hosts whose apps have SSL_CERT or BIND_OPTIONS terminate TLS with these"
        " certificates and options; SNI tells hosts apart.",
        ours="group_https_by_vhost",
    ),
    Flag(
        "--ssl-certs",
        "text",
        "PEM files or folders for the HTTPS port, separated by commas; they have to be there."
        " Without this flag, a self-signed one is made where the default is not there.",
        default="/etc/ssl/cert.pem",
    ),
    Flag(
        "--skip-validation",
        "switch",
        "Nothing.",
        gone="a configuration is checked before HAProxy loads it, always",
    ),
    Flag(
        "--skip-config-cleanup",
        "switch",
        "Nothing.",
        gone="one app's labels cannot spoil the configuration of others",
    ),
    Flag("--dry", "switch", "Prints the configuration for the apps of now, and ends.", short="-d"),
    Flag(
        "--min-serv-port-ip-per-task",
        "number",
        "The first service port for IP-per-task apps that have none; 0 with the next: none.",
        default=10050,
    ),
    Flag("--max-serv-port-ip-per-task", "number", "The last of these ports.", default=10100),
    Flag(
        "--max-backoff",
        "number",
        "The longest pause before Marathon's events are asked for again; never over 30 seconds.",
        default=300,
    ),
    Flag(
        "--syslog-socket",
        "text",
        "The log goes to this syslog socket too; /dev/null for none.",
        default="/dev/null",
    ),
    Flag(
        "--log-format",
        "text",
        "The form of a log line, in the words of Python's logging; also console or json.",
        default="%(asctime)-15s %(name)s: %(message)s",
        ours="log_format",
    ),
    Flag("--log-level", "text", "The least that is logged, in any case.", default="DEBUG"),
    Flag(
        "--marathon-auth-credential-file",
        "text",
        "A file with user:password; it wins over the next two, and may change.",
        ours="marathon_auth_credential_file",
    ),
    Flag(
        "--auth-credentials",
        "text",
        "user:password; it wins over a service account.",
        ours="auth_credentials",
    ),
    Flag(
        "--dcos-auth-credentials",
        "text",
        "The JSON of a DC/OS service account.",
        ours="dcos_auth_credentials",
    ),
    Flag(
        "--marathon-ca-cert",
        "text",
        "CA certificates for Marathon and for the DC/OS login, both of which are verified.",
        ours="marathon_ca_cert",
    ),
)

VARIABLES: tuple[Variable, ...] = (
    Variable("PORTS", "Nothing: accepted, and not needed."),
    Variable("POLL_INTERVAL", "Seconds between two full fetches in poll mode.", "60"),
    Variable("MARATHON_USER", "With MARATHON_PASSWORD: as --auth-credentials."),
    Variable("MARATHON_PASSWORD", "With MARATHON_USER: as --auth-credentials."),
    Variable("DCOS_SERVICE_ACCOUNT_CREDENTIAL", "As --dcos-auth-credentials."),
    Variable("VAULT_TOKEN", "With the next three: user and pass are read from Vault at start."),
    Variable("VAULT_HOST", "The host of Vault."),
    Variable("VAULT_PORT", "The port of Vault."),
    Variable("VAULT_PATH", "The path of the secret, below /v1/."),
    Variable("VAULT_URL", "The whole URL of the secret, instead of host, port and path."),
    Variable(
        "VAULT_CACERT", "CA certificates for Vault, which is verified; marathon-lb did not verify."
    ),
    Variable("VAULT_SKIP_VERIFY", "true: Vault is not verified, as marathon-lb had it."),
    Variable("FRAMEWORK_NAME", "The id of the balancer's own app, which is left out."),
    Variable("SYSLOG_SOCKET", "As --syslog-socket.", "/dev/null"),
    Variable(
        "HAPROXY_SSL_CERT",
        "The PEM text of a certificate with its key; it is put into /etc/ssl/cert.pem, and served"
        " besides --ssl-certs. \\n in it is a new line.",
    ),
    Variable(
        "HAPROXY_SSL_CERT0",
        "With HAPROXY_SSL_CERT: one more, put into /etc/ssl/cert0.pem; and so on, up to"
        " HAPROXY_SSL_CERT100.",
    ),
    Variable("MLB_SSL_DIR", "The folder of these files.", "/etc/ssl"),
    Variable("HAPROXY_SYSLOGD", "HAProxy's log goes to the standard output."),
    Variable(
        "HAPROXY_GLOBAL_DEFAULT_OPTIONS",
        "Options of HAProxy's proxies, separated by commas.",
        "redispatch,http-server-close,dontlognull",
    ),
    Variable("HAPROXY_SYSCTL_PARAMS", "Kernel parameters name=value, set at start."),
    Variable("HAPROXY_SYSCTL_NONSTRICT", "A parameter that cannot be set is no error."),
    Variable("MESOS_SANDBOX", "Its folder templates is read before /marathon-lb/templates."),
)
