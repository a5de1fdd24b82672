"""The templates that begin a section, and the head of the file."""

from sidecar.desired.templates.pieces import Place, Template

HEADS: tuple[Template, ...] = (
    Template(
        "HEAD",
        Place.GLOBAL,
        (),
        """\
global
  spread-checks 5
  max-spread-checks 15000
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-server-options ssl-min-ver TLSv1.2 no-tls-tickets
""",
        "The file's first sections. Sockets, Lua and the master-worker mode are always added.",
        by_app=False,
    ),
    Template(
        "HTTP_FRONTEND_HEAD",
        Place.HTTP,
        (),
        """\
frontend marathon_http_in
  bind *:80
  mode http
""",
        "Begins the frontend of port 80, which knows apps by their VHOST.",
        by_app=False,
        opens="frontend",
    ),
    Template(
        "HTTP_FRONTEND_APPID_HEAD",
        Place.APPID,
        (),
        """\
frontend marathon_http_appid_in
  bind *:9091
  mode http
""",
        "Begins the frontend of port 9091, which knows apps by the header X-Marathon-App-Id.",
        by_app=False,
        opens="frontend",
    ),
    Template(
        "HTTPS_FRONTEND_HEAD",
        Place.HTTPS,
        ("sslCerts",),
        """\
frontend marathon_https_in
  bind *:443 ssl {sslCerts}
  mode http
""",
        "Begins the frontend of port 443. `{sslCerts}` are the words that name the certificates.",
        by_app=False,
        opens="frontend",
    ),
    Template(
        "HTTPS_GROUPED_FRONTEND_HEAD",
        Place.HTTPS,
        (),
        """\
frontend marathon_https_in
  bind *:443
  mode tcp
  tcp-request inspect-delay 5s
  tcp-request content accept if { req.ssl_hello_type 1 }
""",
        "With --group-https-by-vhost: begins the frontend that reads the name of a TLS handshake.",
        by_app=False,
        opens="frontend",
    ),
    Template(
        "HTTPS_GROUPED_VHOST_FRONTEND_HEAD",
        Place.HTTPS,
        ("name", "sslCerts", "bindOpts"),
        """\
frontend {name}
  mode http
  bind abns@{name} accept-proxy ssl {sslCerts}{bindOpts}
""",
        "With --group-https-by-vhost: begins the frontend that ends TLS for one host.",
        by_app=False,
        opens="frontend",
    ),
    Template(
        "HTTPS_GROUPED_VHOST_BACKEND_HEAD",
        Place.HTTPS,
        ("name",),
        """\
backend {name}
  server loopback-for-tls abns@{name} send-proxy-v2
""",
        "With --group-https-by-vhost: the way from the first frontend to that of one host.",
        by_app=False,
        opens="backend",
    ),
    Template(
        "HTTPS_GROUPED_VHOST_FRONTEND_ACL",
        Place.HTTPS,
        ("backend", "host"),
        "  use_backend {backend} if {{ req.ssl_sni -i {host} }}\n",
        "With --group-https-by-vhost: sends the handshakes for one host to its frontend.",
        by_app=False,
    ),
    Template(
        "USERLIST_HEAD",
        Place.USERLIST,
        ("backend", "user", "passwd"),
        """\
userlist user_{backend}
  user {user} password {passwd}
""",
        "The users that AUTH lets in.",
        opens="userlist",
    ),
    Template(
        "FRONTEND_HEAD",
        Place.FRONTEND,
        ("backend", "bindAddr", "servicePort", "sslCert", "bindOptions", "mode"),
        """\
frontend {backend}
  bind {bindAddr}:{servicePort}{sslCert}{bindOptions}
  mode {mode}
""",
        "Begins a service port's frontend. It is renamed where HAProxy wants it to differ from its"
        " backend.",
        opens="frontend",
    ),
    Template(
        "FRONTEND_BACKEND_GLUE",
        Place.FRONTEND,
        ("backend",),
        "  use_backend {backend}\n",
        "Sends what comes to a service port to its backend.",
    ),
    Template(
        "BACKEND_HEAD",
        Place.BACKEND,
        ("backend", "balance", "mode"),
        """\
backend {backend}
  balance {balance}
  mode {mode}
""",
        "Begins a backend: how requests are spread, and the mode.",
        opens="backend",
    ),
)
