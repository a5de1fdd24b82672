"""The table of the labels of a service port: each with its reader and its manual.

The code reads labels by it; `--longhelp` and docs/labels.md are made from it.
"""

from collections.abc import Callable
from typing import Any

import attrs

from sidecar.desired.label_manual import FALSE, SWITCH, Change, Manual
from sidecar.desired.readers import (
    read_auth,
    read_balance,
    read_bind_address,
    read_bind_options,
    read_bool,
    read_certificates,
    read_groups,
    read_idleness,
    read_index,
    read_instances,
    read_location,
    read_mode,
    read_networks,
    read_paths,
    read_percentage,
    read_port,
    read_prefix,
    read_share,
    read_vhosts,
    read_wake_timeout,
    read_weight,
)


@attrs.frozen
class Label:
    """One label of a service port: the field it fills, its reader, and its manual."""

    name: str
    field: str
    read: Callable[[str], Any]
    manual: Manual


LABELS: tuple[Label, ...] = (
    Label(
        "VHOST",
        "vhosts",
        read_vhosts,
        Manual(
            what="The hosts of the port on ports 80 and 443. `*.example.com` stands for every name"
            " below example.com that no app names itself.",
            values="host names, separated by commas",
            example="shop.example.com,*.shop.example.com",
        ),
    ),
    Label(
        "PATH",
        "paths",
        read_paths,
        Manual(
            what="Only requests whose path begins so are the port's. Needs a VHOST.",
            values="path prefixes, separated by spaces; `-i` before them: in any case",
            default="every path",
            example="/shop /basket",
        ),
    ),
    Label(
        "PORT",
        "port",
        read_port,
        Manual(
            what="Replaces the service port.",
            values="1 to 65535",
            default="the service port that Marathon gives",
            example="10007",
            but="A port that is not bound yet is one reload, which binds a block of 100 around it.",
        ),
    ),
    Label(
        "MODE",
        "mode",
        read_mode,
        Manual(
            what="Whether HAProxy reads requests or hands on bytes.",
            values="http or tcp",
            default="http for a port with a VHOST or an HTTP health check, else tcp",
            example="http",
        ),
    ),
    Label(
        "BALANCE",
        "balance",
        read_balance,
        Manual(
            what="How requests are spread over tasks.",
            values="roundrobin, leastconn, first, random, random(n), source, uri, hdr(name);"
            " static-rr is roundrobin",
            default="roundrobin",
            example="leastconn",
            but="The first app with a form that no app has had is one reload.",
        ),
    ),
    Label(
        "STICKY",
        "sticky",
        read_bool,
        Manual(
            what="Clients stay with a task, by a cookie. Needs mode http.",
            values=SWITCH,
            default=FALSE,
            example="true",
            but="HAProxy 2.6 takes a new task of such an app by a reload.",
        ),
    ),
    Label(
        "BACKEND_WEIGHT",
        "weight",
        read_weight,
        Manual(
            what="Where several rules match a request, the larger wins.",
            values="a whole number from -1000000 to 1000000",
            default="0, and 1 with a PATH",
            example="10",
        ),
    ),
    Label(
        "CANARY_WEIGHT",
        "canary",
        read_percentage,
        Manual(
            what="The percentage of requests for the new app of a deployment group, however many"
            " tasks there are; read of the new app.",
            values="0 to 100, with up to two decimals",
            default="none: tasks of the old app leave as those of the new one come",
            example="2.5",
        ),
    ),
    Label(
        "GROUP",
        "groups",
        read_groups,
        Manual(
            what="Replaces HAPROXY_GROUP for this port.",
            values="names of groups, separated by commas",
            default="HAPROXY_GROUP",
            example="internal",
        ),
    ),
    Label(
        "ENABLED",
        "enabled",
        read_bool,
        Manual(
            what="false leaves this port out; with --strict-mode only true lets it in.",
            values=SWITCH,
            default="true; with --strict-mode false",
            example="true",
        ),
    ),
    Label(
        "REDIRECT_TO_HTTPS",
        "redirect_to_https",
        read_bool,
        Manual(
            what="Requests on port 80 are sent to https, with status 301. Needs a VHOST.",
            values=SWITCH,
            default=FALSE,
            example="true",
        ),
    ),
    Label(
        "USE_HSTS",
        "hsts",
        read_bool,
        Manual(
            what="Answers carry Strict-Transport-Security: max-age=15768000. Needs mode http.",
            values=SWITCH,
            default=FALSE,
            example="true",
        ),
    ),
    Label(
        "BACKEND_NETWORK_ALLOWED_ACL",
        "networks",
        read_networks,
        Manual(
            what="Who may come in; others get 403, on TCP ports a closed connection.",
            values="addresses and networks, separated by spaces, at most 200",
            default="everybody",
            example="127.0.0.1 10.0.0.0/8 fd00::/8",
        ),
    ),
    Label(
        "HTTP_BACKEND_PROXYPASS_PATH",
        "proxy_path",
        read_prefix,
        Manual(
            what="This prefix is taken off request paths, and tasks see the vhost as Host."
            " Needs mode http.",
            values="a path",
            example="/shop",
        ),
    ),
    Label(
        "HTTP_BACKEND_REVPROXY_PATH",
        "answer_path",
        read_location,
        Manual(
            what="Answers whose Location is on this host are sent here instead. Needs mode http.",
            values="a path or a URL",
            example="/shop",
        ),
    ),
    Label(
        "HTTP_BACKEND_REDIR",
        "root_path",
        read_location,
        Manual(
            what="A request for / of the vhost is sent here, with status 301. Needs a VHOST.",
            values="a path or a URL",
            example="/shop/index.html",
        ),
    ),
    Label(
        "BACKEND_HEALTHCHECK_PORT_INDEX",
        "check_port_index",
        read_index,
        Manual(
            what="The port of the same task at which HAProxy checks this one.",
            values="the port's place, from 0; a negative one counts from the last",
            default="the port that Marathon's health check names",
            example="1",
        ),
    ),
    Label(
        "AUTH",
        "auth",
        read_auth,
        Manual(
            what="Ports 80 and 443 ask for a password. The hash is one of crypt(3), as"
            " `openssl passwd -6` makes it.",
            values="realm:user:hash",
            example="Staff only:bob:$6$PmXfaxUg$0N9zBZzD",
            but="With --auth userlists it is one reload.",
        ),
    ),
    Label(
        "BIND_ADDR",
        "bind_address",
        read_bind_address,
        Manual(
            what="The address that the service port binds.",
            values="an address of the machine, or *",
            default="that of --bind",
            example="127.0.0.1",
            change=Change.RELOAD,
        ),
    ),
    Label(
        "BIND_OPTIONS",
        "bind_options",
        read_bind_options,
        Manual(
            what="More words for the bind line of the service port.",
            values="HAProxy's options of `bind`, but for process, interface, namespace, name, id",
            example="ssl-min-ver TLSv1.3 no-tls-tickets",
            change=Change.RELOAD,
        ),
    ),
    Label(
        "SSL_CERT",
        "certificates",
        read_certificates,
        Manual(
            what="The service port speaks TLS with these certificates.",
            values="paths of PEM files as HAProxy sees them, separated by commas",
            example="/etc/ssl/shop.pem",
            change=Change.RELOAD,
            but="What is in the files is renewed without one.",
        ),
    ),
    Label(
        "WAKE",
        "wake",
        read_bool,
        Manual(
            what="While the app is scaled to zero, a request scales it up and waits for its first"
            " task, by whatever way it comes. Needs mode http, by a host or by `MODE`.",
            values=SWITCH,
            default=FALSE,
            example="true",
        ),
    ),
    Label(
        "WAKE_INSTANCES",
        "wake_instances",
        read_instances,
        Manual(
            what="With WAKE: how many tasks the app gets then.",
            values="1 to 1000",
            default="1",
            example="2",
            change=Change.NONE,
        ),
    ),
    Label(
        "WAKE_TIMEOUT",
        "wake_timeout",
        read_wake_timeout,
        Manual(
            what="With WAKE: how long a request waits at most.",
            values="seconds, or a number with s, m or h; at most 600 seconds",
            default="30s",
            example="2m",
        ),
    ),
    Label(
        "SLEEP_AFTER",
        "sleep_after",
        read_idleness,
        Manual(
            what="With WAKE: the app is scaled to zero after so long without a request.",
            values="seconds, or a number with s, m or h, at most 30 days; 0 or off: never",
            default="never",
            example="30m",
            change=Change.NONE,
        ),
    ),
    Label(
        "TRACE_SAMPLE",
        "trace_sample",
        read_share,
        Manual(
            what="The share of requests that are traced, where tracing is on. Needs mode http.",
            values="0 to 1, with up to six decimals",
            default="that of --trace-sample",
            example="0.01",
        ),
    ),
)
