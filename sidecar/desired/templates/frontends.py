"""The templates of the frontends of ports 80, 443 and 9091: whose request it is, and where it goes.

Names of ACLs (`host_{cleanedUpHostname}`, `path_{backend}`, `auth_{cleanedUpHostname}`,
`app_{cleanedUpAppId}`) are what users' own templates refer to.
"""

from sidecar.desired.templates.pieces import Place, Template

_ROUTE = ("cleanedUpHostname", "hostname", "path", "realm", "backend", "appId")
_REDIRECT = ("cleanedUpHostname", "backend", "bindAddr")
_APP_ID = ("cleanedUpAppId", "appId", "hostname", "backend")
_MAP = ("haproxy_dir", "hostname")

FRONTENDS: tuple[Template, ...] = (
    Template(
        "HTTP_FRONTEND_ACL",
        Place.HTTP,
        _ROUTE,
        """\
  acl host_{cleanedUpHostname} hdr(host) -i {hostname}
  use_backend {backend} if host_{cleanedUpHostname}
""",
        "Port 80: one host, without path and password.",
    ),
    Template(
        "HTTP_FRONTEND_ACL_WITH_AUTH",
        Place.HTTP,
        _ROUTE,
        """\
  acl host_{cleanedUpHostname} hdr(host) -i {hostname}
  acl auth_{cleanedUpHostname} http_auth(user_{backend})
  http-request auth realm "{realm}" if host_{cleanedUpHostname} !auth_{cleanedUpHostname}
  use_backend {backend} if host_{cleanedUpHostname}
""",
        "Port 80: one host, with AUTH.",
    ),
    Template(
        "HTTP_FRONTEND_ACL_WITH_PATH",
        Place.HTTP,
        _ROUTE,
        """\
  acl host_{cleanedUpHostname} hdr(host) -i {hostname}
  acl path_{backend} path_beg {path}
  use_backend {backend} if host_{cleanedUpHostname} path_{backend}
""",
        "Port 80: one host, with PATH.",
    ),
    Template(
        "HTTP_FRONTEND_ACL_WITH_AUTH_AND_PATH",
        Place.HTTP,
        _ROUTE,
        """\
  acl host_{cleanedUpHostname} hdr(host) -i {hostname}
  acl auth_{cleanedUpHostname} http_auth(user_{backend})
  acl path_{backend} path_beg {path}
  http-request auth realm "{realm}" if host_{cleanedUpHostname} path_{backend} \
!auth_{cleanedUpHostname}
  use_backend {backend} if host_{cleanedUpHostname} path_{backend}
""",
        "Port 80: one host, with AUTH and PATH.",
    ),
    Template(
        "HTTP_FRONTEND_ACL_ONLY",
        Place.HTTP,
        _ROUTE,
        """\
  acl host_{cleanedUpHostname} hdr(host) -i {hostname}
""",
        "Port 80: each of several hosts; the routing follows once.",
    ),
    Template(
        "HTTP_FRONTEND_ACL_ONLY_WITH_PATH",
        Place.HTTP,
        _ROUTE,
        """\
  acl path_{backend} path_beg {path}
""",
        "Port 80: the path of several hosts, before them.",
    ),
    Template(
        "HTTP_FRONTEND_ACL_ONLY_WITH_PATH_AND_AUTH",
        Place.HTTP,
        _ROUTE,
        """\
  acl path_{backend} path_beg {path}
  acl auth_{cleanedUpHostname} http_auth(user_{backend})
""",
        "Port 80: the path and the password of several hosts, before them.",
    ),
    Template(
        "HTTP_FRONTEND_ROUTING_ONLY",
        Place.HTTP,
        _ROUTE,
        """\
  use_backend {backend} if host_{cleanedUpHostname}
""",
        "Port 80: after several hosts.",
    ),
    Template(
        "HTTP_FRONTEND_ROUTING_ONLY_WITH_AUTH",
        Place.HTTP,
        _ROUTE,
        """\
  acl auth_{cleanedUpHostname} http_auth(user_{backend})
  http-request auth realm "{realm}" if host_{cleanedUpHostname} !auth_{cleanedUpHostname}
  use_backend {backend} if host_{cleanedUpHostname}
""",
        "Port 80: after several hosts, with AUTH.",
    ),
    Template(
        "HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH",
        Place.HTTP,
        _ROUTE,
        """\
  use_backend {backend} if host_{cleanedUpHostname} path_{backend}
""",
        "Port 80: after several hosts, with PATH.",
    ),
    Template(
        "HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH_AND_AUTH",
        Place.HTTP,
        _ROUTE,
        """\
  http-request auth realm "{realm}" if host_{cleanedUpHostname} path_{backend} \
!auth_{cleanedUpHostname}
  use_backend {backend} if host_{cleanedUpHostname} path_{backend}
""",
        "Port 80: after several hosts, with PATH and AUTH.",
    ),
    Template(
        "BACKEND_REDIRECT_HTTP_TO_HTTPS",
        Place.HTTP,
        _REDIRECT,
        """\
  http-request redirect scheme https code 301 if !{{ ssl_fc }} host_{cleanedUpHostname}
""",
        "Port 80: with REDIRECT_TO_HTTPS.",
    ),
    Template(
        "BACKEND_REDIRECT_HTTP_TO_HTTPS_WITH_PATH",
        Place.HTTP,
        _REDIRECT,
        """\
  http-request redirect scheme https code 301 if !{{ ssl_fc }} host_{cleanedUpHostname} \
path_{backend}
""",
        "Port 80: with REDIRECT_TO_HTTPS and PATH.",
    ),
    Template(
        "HTTPS_FRONTEND_ACL",
        Place.HTTPS,
        _ROUTE,
        """\
  use_backend {backend} if {{ ssl_fc_sni {hostname} }}
""",
        "Port 443: each host, without path and password.",
    ),
    Template(
        "HTTPS_FRONTEND_ACL_WITH_AUTH",
        Place.HTTPS,
        _ROUTE,
        """\
  acl auth_{cleanedUpHostname} http_auth(user_{backend})
  http-request auth realm "{realm}" if {{ ssl_fc_sni {hostname} }} !auth_{cleanedUpHostname}
  use_backend {backend} if {{ ssl_fc_sni {hostname} }}
""",
        "Port 443: each host, with AUTH.",
    ),
    Template(
        "HTTPS_FRONTEND_ACL_WITH_PATH",
        Place.HTTPS,
        _ROUTE,
        """\
  use_backend {backend} if {{ ssl_fc_sni {hostname} }} path_{backend}
""",
        "Port 443: each host, with PATH.",
    ),
    Template(
        "HTTPS_FRONTEND_ACL_WITH_AUTH_AND_PATH",
        Place.HTTPS,
        _ROUTE,
        """\
  acl auth_{cleanedUpHostname} http_auth(user_{backend})
  http-request auth realm "{realm}" if {{ ssl_fc_sni {hostname} }} path_{backend} \
!auth_{cleanedUpHostname}
  use_backend {backend} if {{ ssl_fc_sni {hostname} }} path_{backend}
""",
        "Port 443: each host, with AUTH and PATH.",
    ),
    Template(
        "HTTPS_FRONTEND_ACL_ONLY_WITH_PATH",
        Place.HTTPS,
        _ROUTE,
        """\
  acl path_{backend} path_beg {path}
""",
        "Port 443: the path, before the hosts.",
    ),
    Template(
        "HTTPS_FRONTEND_AUTH_ACL_ONLY",
        Place.HTTPS,
        _ROUTE,
        """\
  acl auth_{cleanedUpHostname} http_auth(user_{backend})
""",
        "Port 443: the password alone. marathon-lb names it and uses it nowhere.",
    ),
    Template(
        "HTTPS_FRONTEND_AUTH_REQUEST_ONLY",
        Place.HTTPS,
        _ROUTE,
        """\
  http-request auth realm "{realm}" if {{ ssl_fc_sni {hostname} }} !auth_{cleanedUpHostname}
""",
        "Port 443: the question for the password alone. marathon-lb names it and uses it nowhere.",
    ),
    Template(
        "HTTPS_FRONTEND_ROUTING_ONLY_WITH_PATH_AND_AUTH",
        Place.HTTPS,
        _ROUTE,
        """\
  http-request auth realm "{realm}" if host_{cleanedUpHostname} path_{backend} \
!auth_{cleanedUpHostname}
  use_backend {backend} if host_{cleanedUpHostname} path_{backend}
""",
        "Port 443: the routing alone. marathon-lb names it and uses it nowhere.",
    ),
    Template(
        "HTTP_FRONTEND_APPID_ACL",
        Place.APPID,
        _APP_ID,
        """\
  acl app_{cleanedUpAppId} hdr(x-marathon-app-id) -i {appId}
  use_backend {backend} if app_{cleanedUpAppId}
""",
        "Port 9091: an app's first HTTP port.",
    ),
    Template(
        "MAP_HTTP_FRONTEND_ACL",
        Place.HTTP,
        _MAP,
        """\
  use_backend %[req.hdr(host),host_only,lower,map({haproxy_dir}/domain2backend.map)]
""",
        "Port 80: all hosts, by the map.",
    ),
    Template(
        "MAP_HTTP_FRONTEND_ACL_ONLY",
        Place.HTTP,
        _MAP,
        """\
  use_backend %[req.hdr(host),host_only,lower,map({haproxy_dir}/domain2backend.map)]
""",
        "Port 80: all hosts of ports with several, by the map.",
    ),
    Template(
        "MAP_HTTPS_FRONTEND_ACL",
        Place.HTTPS,
        _MAP,
        """\
  use_backend %[ssl_fc_sni,lower,map({haproxy_dir}/domain2backend.map)]
""",
        "Port 443: all hosts, by the map.",
    ),
    Template(
        "MAP_HTTP_FRONTEND_APPID_ACL",
        Place.APPID,
        _MAP,
        """\
  use_backend %[req.hdr(x-marathon-app-id),lower,map({haproxy_dir}/app2backend.map)]
""",
        "Port 9091: all apps, by the map.",
    ),
)
