"""The templates of which a backend and its server lines consist."""

from sidecar.desired.templates.pieces import HEALTH_CHECK, Place, Template

_SERVER_CHECK = "check inter {healthCheckIntervalSeconds}s fall {healthCheckFalls}"

BACKENDS: tuple[Template, ...] = (
    Template(
        "BACKEND_HTTP_OPTIONS",
        Place.BACKEND,
        (),
        """\
  option forwardfor
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
""",
        "The headers that tell tasks whence a request comes.",
    ),
    Template(
        "BACKEND_HSTS_OPTIONS",
        Place.BACKEND,
        (),
        '  http-response add-header Strict-Transport-Security "max-age=15768000"\n',
        "Used with USE_HSTS.",
    ),
    Template(
        "BACKEND_STICKY_OPTIONS",
        Place.BACKEND,
        (),
        "  cookie mesosphere_server_id insert indirect nocache\n",
        "Used with STICKY.",
    ),
    Template(
        "BACKEND_HTTP_HEALTHCHECK_OPTIONS",
        Place.BACKEND,
        HEALTH_CHECK,
        """\
  option httpchk GET {healthCheckPath}
  timeout check {healthCheckTimeoutSeconds}s
""",
        "How tasks with an HTTP health check are checked.",
    ),
    Template(
        "BACKEND_TCP_HEALTHCHECK_OPTIONS",
        Place.BACKEND,
        HEALTH_CHECK,
        "",
        "How tasks with a TCP health check are checked.",
    ),
    Template(
        "HTTP_BACKEND_PROXYPASS_GLUE",
        Place.BACKEND,
        ("hostname", "proxypath"),
        """\
  http-request set-header Host {hostname}
  http-request replace-pathq "(?i)^{proxypath}/?(.*)" "/\\1"
""",
        "Used with HTTP_BACKEND_PROXYPASS_PATH.",
    ),
    Template(
        "HTTP_BACKEND_REVPROXY_GLUE",
        Place.BACKEND,
        ("hostname", "rootpath"),
        "  http-response replace-header Location"
        ' "(?i)^(https?://{hostname}(:[0-9]+)?)?(/.*)" "{rootpath}"\n',
        "Used with HTTP_BACKEND_REVPROXY_PATH.",
    ),
    Template(
        "HTTP_BACKEND_REDIR",
        Place.BACKEND,
        ("hostname", "redirpath"),
        """\
  acl is_root path -i /
  acl is_domain hdr(host) -i {hostname}
  http-request redirect code 301 location {redirpath} if is_domain is_root
""",
        "Used with HTTP_BACKEND_REDIR.",
    ),
    Template(
        "HTTP_BACKEND_NETWORK_ALLOWED_ACL",
        Place.BACKEND,
        ("network_allowed",),
        "  acl network_allowed src {network_allowed}\n",
        "Used for each network of BACKEND_NETWORK_ALLOWED_ACL, in mode http.",
    ),
    Template(
        "HTTP_BACKEND_ACL_ALLOW_DENY",
        Place.BACKEND,
        (),
        """\
  http-request allow if network_allowed
  http-request deny
""",
        "Ends the list of networks, in mode http.",
        by_app=False,
    ),
    Template(
        "TCP_BACKEND_NETWORK_ALLOWED_ACL",
        Place.BACKEND,
        ("network_allowed",),
        "  acl network_allowed src {network_allowed}\n",
        "Used for each network of BACKEND_NETWORK_ALLOWED_ACL, in mode tcp.",
    ),
    Template(
        "TCP_BACKEND_ACL_ALLOW_DENY",
        Place.BACKEND,
        (),
        """\
  tcp-request content accept if network_allowed
  tcp-request content reject
""",
        "Ends the list of networks, in mode tcp.",
        by_app=False,
    ),
    Template(
        "BACKEND_SERVER_OPTIONS",
        Place.SERVER,
        (
            *("serverName", "serverId", "host", "host_ipv4", "port"),
            *("cookieOptions", "healthCheckOptions", "otherOptions"),
        ),
        "  server {serverName} {host_ipv4}:{port} id {serverId}"
        "{cookieOptions}{healthCheckOptions}{otherOptions}\n",
        "One task's server line.",
    ),
    Template(
        "BACKEND_SERVER_HTTP_HEALTHCHECK_OPTIONS",
        Place.SERVER,
        HEALTH_CHECK,
        f"  {_SERVER_CHECK}{{healthCheckPortOptions}}\n",
        "What a server line says of an HTTP health check.",
    ),
    Template(
        "BACKEND_SERVER_TCP_HEALTHCHECK_OPTIONS",
        Place.SERVER,
        HEALTH_CHECK,
        f"  {_SERVER_CHECK}{{healthCheckPortOptions}}\n",
        "What a server line says of a TCP health check.",
    ),
)
