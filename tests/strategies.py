"""Strategies for hypothesis: apps, label texts, and HAProxys in every state of disrepair."""

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st

from sidecar.desired.certificates import Certificate, choose, file_of, read_pem
from sidecar.desired.labels import TEMPLATE_LABELS
from sidecar.desired.model import Archetype, MapName, Mode, ServerName, TraitMap
from sidecar.marathon.schema import App
from sidecar.plan.observed import (
    BACKEND_LEDGER,
    CERTIFICATE_LEDGER,
    SERVER_LEDGER,
    Observed,
    ObservedServer,
    State,
)
from sidecar.plan.servers import ledger_key
from tests.builders import a_task, an_app, row
from tests.haproxy_model import ModelCertificate
from tests.pems import known, with_chain

APP_IDS = ("/a", "/a/b", "/a_b", "/b", "/c", "/d")
MANY_HOSTS = ",".join(f"h{number}.test" for number in range(14))
HOSTS = ("*.test", "one.test", "two.test", "ONE.test", "[fd00::1]", "one.test,two.test", MANY_HOSTS)
PATHS = ("/", "/api", "/api/v2", "/apix", "-i /API", "-i /api/v2 /b", "/b /api", "nothing", "")
BALANCES = ("roundrobin", "leastconn", "source", "hdr(x-user)", "random(2)")

nasty_texts = st.sampled_from(
    (
        "a\nb",
        "x;show info",
        "<<",
        "a <<\n",
        "\x00",
        "'",
        '"',
        "#",
        "\\",
        "\ud800",
        "$HOME",
        "%[src]",
        "/a;b",
        "/a<<b",
        "/a b\tc",
        "/é",
        "{name}",
        "١٢",
        "-i",
        "a" * 3000,
        "/" + "a" * 3000,
        ",".join(f"h{number}.test" for number in range(50)),
        "hdr(x-sticky)",
        "99999999999999999999",
        "-1",
        " http ",
    )
)
label_texts = st.one_of(
    st.text(max_size=20),
    nasty_texts,
    st.sampled_from((*HOSTS, *PATHS, *BALANCES, "http", "tcp", "true", "10003", "0", "5", "*")),
)
label_names = st.builds(
    "HAPROXY_{}_{}".format,
    st.integers(0, 1),
    st.sampled_from(
        (
            "VHOST",
            "PATH",
            "PORT",
            "MODE",
            "BALANCE",
            "STICKY",
            "BACKEND_WEIGHT",
            "GROUP",
            "ENABLED",
            "AUTH",
            "BIND_OPTIONS",
            "BIND_ADDR",
            "SSL_CERT",
            "USE_HSTS",
            "REDIRECT_TO_HTTPS",
            "BACKEND_NETWORK_ALLOWED_ACL",
            "HTTP_BACKEND_PROXYPASS_PATH",
            "HTTP_BACKEND_REVPROXY_PATH",
            "HTTP_BACKEND_REDIR",
            "CANARY_WEIGHT",
            "WAKE",
            "WAKE_TIMEOUT",
            "SLEEP_AFTER",
            "TRACE_SAMPLE",
            "BACKEND_HEALTHCHECK_PORT_INDEX",
            *(template.name for template in TEMPLATE_LABELS),
        )
    ),
)
template_texts = st.sampled_from(
    (
        "",
        "  timeout server 9s\n",
        "  http-request set-header X-T yes\n",
        "global",
        "  frontend x\n  bind :80\n",
        "backend {backend}\n  timeout server 9s\n  no-such-word\n",
        "backend {backend}\nbackend other\n",
        "  server {serverName} {host_ipv4}:{port} id {serverId}{cookieOptions} maxconn 5\n",
        "  server {serverName} {host_ipv4}:{port} sni 'str(a;b)'\n",
        "{healthCheckPath",
        "  acl x src {network_allowed}\n",
        "  http-request set-map(/state/domain2backend.map) a b\n",
    )
)
any_labels = st.dictionaries(
    st.one_of(
        label_names,
        st.just("HAPROXY_GROUP"),
        st.sampled_from(("GROUP", "STARTED_AT", "TARGET_INSTANCES", "NEW_INSTANCES")).map(
            "HAPROXY_DEPLOYMENT_{}".format
        ),
        st.text(max_size=8),
    ),
    st.one_of(label_texts, template_texts),
    max_size=5,
)


@st.composite
def good_labels(draw: st.DrawFn) -> dict[str, str]:
    """Labels of one port that can be used."""
    choices: dict[str, tuple[str, ...]] = {
        "VHOST": HOSTS,
        "PATH": PATHS,
        "BALANCE": BALANCES[:-1],
        "STICKY": ("true", "false"),
        "MODE": ("http", "http", "tcp"),
        "BACKEND_WEIGHT": ("-1", "0", "1", "7"),
        "USE_HSTS": ("true",),
        "REDIRECT_TO_HTTPS": ("yes", "no"),
        "BACKEND_NETWORK_ALLOWED_ACL": ("127.0.0.1", "10.0.0.0/9 fd00::/8"),
        "HTTP_BACKEND_PROXYPASS_PATH": ("/api", "/x/"),
        "HTTP_BACKEND_REVPROXY_PATH": ("/api",),
        "HTTP_BACKEND_REDIR": ("/start",),
        "BACKEND_HTTP_OPTIONS": ("  fullconn 9\n",),
        "HTTP_FRONTEND_ACL": ("  use_backend {backend} if {{ path /x }}\n",),
        "BACKEND_SERVER_OPTIONS": ("server {serverName} {host_ipv4}:{port} maxconn 5",),
    }
    size = draw(st.sampled_from((1, 2, 3, 0)))
    names = draw(st.permutations(sorted(choices)))[:size]
    if "BALANCE" in names and "MODE" in names:
        names.remove("BALANCE")  # a hash of a header needs mode http
    if "BALANCE" in names and "VHOST" not in names:
        names.append("VHOST")
    return {f"HAPROXY_0_{name}": draw(st.sampled_from(choices[name])) for name in names}


@st.composite
def group_labels(draw: st.DrawFn) -> dict[str, str]:
    """Labels of an app in a deployment group; most apps are in none."""
    if draw(st.integers(0, 2)):
        return {}
    labels = {
        "HAPROXY_DEPLOYMENT_GROUP": "group",
        "HAPROXY_DEPLOYMENT_STARTED_AT": draw(st.sampled_from(("2020-01-01", "2020-01-02"))),
    }
    target = draw(st.sampled_from(("", "1", "3")))
    if target:
        labels["HAPROXY_DEPLOYMENT_NEW_INSTANCES"] = "0"
        labels["HAPROXY_DEPLOYMENT_TARGET_INSTANCES"] = target
    canary = draw(st.sampled_from(("", "0", "5", "100")))
    if canary:
        labels["HAPROXY_0_CANARY_WEIGHT"] = canary
    return labels


@st.composite
def apps_with_ids(
    draw: st.DrawFn, app_id: str, service_ports: Sequence[int] = range(10000, 10004)
) -> App:
    """One app that can be used, with up to three tasks."""
    size = draw(st.sampled_from((1, 2, 1, 3, 0)))
    numbers = draw(st.permutations(range(1, 7)))[:size]
    hosts = st.sampled_from(("10.0.0.1", "10.0.0.2", "fd00::2"))
    ports = draw(st.lists(st.sampled_from(service_ports), min_size=1, max_size=2))
    rows = [
        a_task(number, app_id, host=draw(hosts), ports=[31000 + number, 32000 + number])
        for number in numbers
    ]
    protocol = draw(st.sampled_from((None, "HTTP", "TCP", "COMMAND")))
    checks = [] if protocol is None else [{"protocol": protocol, "path": "/ok", "portIndex": 0}]
    return an_app(
        app_id,
        labels=draw(good_labels()) | draw(group_labels()),
        instances=size,
        service_ports=tuple(ports),
        tasks=rows,
        healthChecks=checks,
    )


@st.composite
def worlds(draw: st.DrawFn) -> list[App]:
    """A few apps, each id once."""
    size = draw(st.sampled_from((2, 3, 4, 1, 0)))
    return [draw(apps_with_ids(app_id)) for app_id in draw(st.permutations(APP_IDS))[:size]]


@st.composite
def changes(draw: st.DrawFn, world: list[App]) -> list[App]:
    """The same apps some time later: some are gone, some differ, some are new."""
    later: list[App] = []
    for app in world:
        fate = draw(st.sampled_from(("stays", "stays", "differs", "scales", "goes")))
        if fate == "scales":
            kept = draw(st.integers(0, len(app.tasks)))
            later.append(attrs.evolve(app, tasks=app.tasks[:kept]))
        elif fate != "goes":
            later.append(app if fate == "stays" else draw(apps_with_ids(app.id)))
    known = {app.id for app in world}
    new = [app_id for app_id in APP_IDS if app_id not in known]
    another_comes = draw(st.booleans())
    if new and another_comes:
        later.append(draw(apps_with_ids(new[0])))
    return later


# --- disrepair ---

_GARBAGE = ("", "x", "- - zero http-roundrobin", "a b c d e", "gone_1 /gone 1 http-roundrobin")


@st.composite
def damaged(draw: st.DrawFn, observed: Observed) -> Observed:
    """The same HAProxy after somebody else's commands, or after a sidecar that died midway."""
    for _ in range(draw(st.sampled_from((3, 1, 0, 2, 6)))):
        kind = draw(st.sampled_from(_DAMAGES))
        observed = kind(draw, observed)
    return observed


def _places(observed: Observed) -> list[str]:
    """The backends that matter: those with servers, and a few spares."""
    served = [name for name in sorted(observed.backends) if observed.backends[name]]
    return [*served, *sorted(set(observed.backends) - set(served))[:4]]


def _server_damage(draw: st.DrawFn, observed: Observed) -> Observed:
    """Change something about one server, or what the ledger says of it."""
    there = [(name, key) for name in sorted(observed.backends) for key in observed.backends[name]]
    if not there:
        return observed
    place, name = draw(st.sampled_from(there))
    server = observed.backends[place][name]
    kinds = ("maint", "drain", "down", "new", "id", "weight", "address", "spec", "gone")
    what = draw(st.sampled_from(kinds))
    changes: dict[str, dict[str, Any]] = {
        "maint": {"state": State.MAINT, "usable": False},
        "drain": {"state": State.DRAIN, "usable": False},
        "down": {"usable": False, "checked": True},
        "new": {"tested": False, "checked": True},
        "id": {"id": server.id + 1},
        "weight": {"weight": draw(st.sampled_from((9, 0)))},
        "address": {"address": "10.9.9.9", "port": 9},
    }
    if what == "spec":
        spec = draw(st.sampled_from(("cookie:other", "-", None)))
        return _with_entry(observed, SERVER_LEDGER, ledger_key(place, name), spec)
    servers = dict(observed.backends[place])
    if what == "gone":
        del servers[name]
    else:
        servers[name] = attrs.evolve(server, **changes[what])
    return attrs.evolve(observed, backends={**observed.backends, place: servers})


def _foreign_server(draw: st.DrawFn, observed: Observed) -> Observed:
    """Add a server that nobody noted: a stranger, a stand-in, or one of a name that is wanted."""
    places = _places(observed)
    if not places:  # nothing is spare where backends are made at run time
        return observed
    place = draw(st.sampled_from(places))
    names = ["stranger", *observed.backends[place]]
    name = ServerName(draw(st.sampled_from(names)) + draw(st.sampled_from(("", "_again"))))
    state = draw(st.sampled_from(State))
    number = draw(st.integers(1, 1000))
    usable = state is State.READY
    server = ObservedServer(name, "10.8.8.8", 8, number, 1, state, usable=usable)
    servers = {**observed.backends[place], name: server}
    return attrs.evolve(observed, backends={**observed.backends, place: servers})


def _map_damage(draw: st.DrawFn, observed: Observed) -> Observed:
    """Change, double, add or take out a routing entry."""
    file = draw(st.sampled_from((*MapName, *TraitMap))).value
    keys = [*observed.maps[file], "foreign.test", *(f"{place}|4" for place in _places(observed))]
    key = draw(st.sampled_from(keys))
    places = [*_places(observed), "nowhere"]
    values = [None, "tcp", *places, *(f"000001 {place}" for place in places)]
    if draw(st.booleans()):
        entries = {k: v for k, v in observed.maps[file].items() if k != key}
    else:
        entries = {**observed.maps[file], key: draw(st.sampled_from(values))}
    return attrs.evolve(observed, maps={**observed.maps, file: entries})


def _ledger_damage(draw: st.DrawFn, observed: Observed) -> Observed:
    """Give a backend away, to nobody, or to somebody unreadable; or note what does not exist."""
    place = draw(st.sampled_from([*_places(observed), "nowhere"]))
    archetypes = (Archetype(Mode.HTTP), Archetype(Mode.TCP), Archetype(Mode.HTTP, sticky=True))
    owners = (None, "a_10000", "b_10001", "gone_1")
    rows = [row(owner, archetype) for owner in owners for archetype in archetypes]
    value = draw(st.one_of(st.sampled_from(rows), st.sampled_from(_GARBAGE), st.none()))
    if draw(st.booleans()):
        return _with_entry(observed, SERVER_LEDGER, f"{place}/gone", "-")
    return _with_entry(observed, BACKEND_LEDGER, place, value)


def _with_entry(observed: Observed, file: str, key: str, value: str | None) -> Observed:
    entries = {k: v for k, v in observed.maps[file].items() if k != key}
    if value is not None:
        entries[key] = value
    return attrs.evolve(observed, maps={**observed.maps, file: entries})


# --- certificates ---

CONTENTS = tuple(read_pem(known(name)) for name in ("one.test", "two.test", "h1.test"))
CONTENTS += tuple(read_pem(with_chain(known("one.test"), links)) for links in (1, 40))
"""Some that differ, two of them only by their chain, one of those too large for a command."""


@st.composite
def certificate_sets(draw: st.DrawFn) -> tuple[Certificate, ...]:
    """Certificates of port 443, and some that bind lines of service ports name."""
    paths = draw(st.lists(st.sampled_from("abcd"), unique=True, min_size=1, max_size=4))
    listed = choose((f"/c/{path}.pem", draw(st.sampled_from(CONTENTS))) for path in paths)
    own = draw(st.lists(st.sampled_from("xy"), unique=True, max_size=2))
    contents = ((f"/o/{path}.pem", draw(st.sampled_from(CONTENTS[:4]))) for path in own)
    bound = (
        Certificate(file_of(path), path, pem.text, pem.fingerprint, listed=False)
        for path, pem in contents
    )
    return (*listed, *bound)


certificate_orders = st.lists(st.integers(0, 3), unique=True, min_size=1).map(
    lambda numbers: choose((f"/c/{number}.pem", CONTENTS[number]) for number in numbers)
)
"""Certificates of port 443 in any order, always the same at the same path."""


def _certificate_damage(draw: st.DrawFn, observed: Observed) -> Observed:
    """Change one by hand, empty, unlist or forget it; or make a foreign one in our folder."""
    there = dict(observed.certificates)
    what = draw(st.sampled_from(("other", "empty", "unlisted", "forgotten", "noted", "foreign")))
    if what == "foreign":
        stranger = ModelCertificate("", listed=False, used=False)
        return attrs.evolve(observed, certificates={file_of("/strange.pem"): stranger, **there})
    if not there:
        return observed
    file = draw(st.sampled_from(sorted(there)))
    if what in {"forgotten", "noted"}:
        value = None if what == "forgotten" else "otherwise"
        return _with_entry(observed, CERTIFICATE_LEDGER, file, value)
    current = there[file]
    assert isinstance(current, ModelCertificate)
    if what == "other":
        # Another chain alone, put there by hand, is what nobody can see.
        others = [pem for pem in CONTENTS if pem.fingerprint != current.fingerprint]
        pem = draw(st.sampled_from(others))
        there[file] = attrs.evolve(current, fingerprint=pem.fingerprint, text=pem.text)
    elif not (current.bound or current.default):  # HAProxy takes neither of these away
        unlisted = attrs.evolve(current, listed=False, used=False)
        empty = attrs.evolve(unlisted, fingerprint="", text="")
        there[file] = empty if what == "empty" else unlisted
    return attrs.evolve(observed, certificates=there)


_DAMAGES = (_server_damage, _map_damage, _ledger_damage, _foreign_server, _certificate_damage)
