import pytest

from sidecar.desired.auth import Auth
from sidecar.desired.hashes import hash_problem
from sidecar.desired.label_table import LABELS
from sidecar.desired.labels import PortLabels, balance_needs_http, read_port_labels
from sidecar.desired.model import Mode
from sidecar.desired.readers import Paths
from tests.builders import an_app, desired_of, tasks

LONG_HOST = ".".join(["a" * 60] * 5)


def read(name: str, text: str) -> PortLabels:
    """The labels of port 0 when it has this one, which must be accepted."""
    labels, refused = read_port_labels({f"HAPROXY_0_{name}": text}, 0)
    assert refused == ()
    return labels


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("VHOST", "web.test", PortLabels(vhosts=("web.test",))),
        ("VHOST", " Web.TEST , b.test,, ", PortLabels(vhosts=("web.test", "b.test"))),
        ("VHOST", "a.test,A.test", PortLabels(vhosts=("a.test",))),
        ("VHOST", "b_b.test.,10.0.0.1", PortLabels(vhosts=("b_b.test.", "10.0.0.1"))),
        ("VHOST", "FD00::0:1", PortLabels(vhosts=("[fd00::1]",))),
        ("VHOST", "[::1],::1", PortLabels(vhosts=("[::1]",))),
        ("VHOST", "", PortLabels()),
        ("PATH", "/api", PortLabels(paths=Paths(("/api",), given=True))),
        ("PATH", " /b  /a /b ", PortLabels(paths=Paths(("/b", "/a"), given=True))),
        ("PATH", "-i /Api /X", PortLabels(paths=Paths(("/api", "/x"), any_case=True, given=True))),
        ("PATH", "/a -i", PortLabels(paths=Paths(("/a",), given=True))),
        ("PATH", "noslash", PortLabels(paths=Paths((), given=True))),
        ("PATH", "-i", PortLabels(paths=Paths((), any_case=True))),
        ("PATH", "", PortLabels()),
        ("PATH", "/%20~!$&()*+,=:@", PortLabels(paths=Paths(("/%20~!$&()*+,=:@",), given=True))),
        ("PORT", " 12345 ", PortLabels(port=12345)),
        ("PORT", "+65535", PortLabels(port=65535)),
        ("MODE", "HTTP", PortLabels(mode=Mode.HTTP)),
        ("MODE", " tcp", PortLabels(mode=Mode.TCP)),
        ("BALANCE", "leastconn", PortLabels(balance="leastconn")),
        ("BALANCE", " static-rr ", PortLabels(balance="roundrobin")),
        ("BALANCE", "random(2)", PortLabels(balance="random(2)")),
        ("BALANCE", "hdr(X-User)", PortLabels(balance="hdr(x-user)")),
        ("BALANCE", "URI", PortLabels(balance="uri")),
        ("STICKY", "true", PortLabels(sticky=True)),
        ("STICKY", " Y ", PortLabels(sticky=True)),
        ("STICKY", "T", PortLabels(sticky=True)),
        ("STICKY", "1", PortLabels()),
        ("STICKY", "on", PortLabels()),
        ("BACKEND_WEIGHT", "-7", PortLabels(weight=-7)),
        ("BACKEND_WEIGHT", "1000000", PortLabels(weight=1000000)),
        ("GROUP", "internal, external ,", PortLabels(groups=frozenset({"internal", "external"}))),
        ("ENABLED", "no", PortLabels(enabled=False)),
        ("ENABLED", "yes", PortLabels(enabled=True)),
        ("VHOST", "*.Example.com", PortLabels(vhosts=("*.example.com",))),
        ("USE_HSTS", "true", PortLabels(hsts=True)),
        ("REDIRECT_TO_HTTPS", "t", PortLabels(redirect_to_https=True)),
        ("HTTP_BACKEND_PROXYPASS_PATH", " /app ", PortLabels(proxy_path="/app")),
        ("HTTP_BACKEND_REVPROXY_PATH", "/app", PortLabels(answer_path="/app")),
        ("HTTP_BACKEND_REDIR", "https://a.test/x?y", PortLabels(root_path="https://a.test/x?y")),
        ("BACKEND_HEALTHCHECK_PORT_INDEX", "1", PortLabels(check_port_index=1)),
        ("AUTH", "my realm:me:$1$x$y", PortLabels(auth=Auth("my realm", "me", "$1$x$y"))),
        ("AUTH", "", PortLabels()),
        ("BIND_ADDR", "127.0.0.2", PortLabels(bind_address="127.0.0.2")),
        ("BIND_OPTIONS", "alpn  h2", PortLabels(bind_options=("alpn", "h2"))),
        ("SSL_CERT", "/a.pem crt /b.pem", PortLabels(certificates=("/a.pem", "/b.pem"))),
    ],
)  # fmt: skip
def test_a_label_is_read(name: str, text: str, expected: PortLabels) -> None:
    """Each label fills its own field and no other."""
    assert read(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("VHOST", "a b.test", "not a host name"),
        ("VHOST", "web.test;x", "not a host name"),
        ("VHOST", "a.*.test", "not a host name"),
        ("VHOST", "*", "not a host name"),
        ("BACKEND_NETWORK_ALLOWED_ACL", "10.0.0.0/33", "neither an address nor a network"),
        ("BACKEND_NETWORK_ALLOWED_ACL", "10.0.0.1;x", "neither an address nor a network"),
        ("BACKEND_NETWORK_ALLOWED_ACL", "10.0.0.1 " * 201, "are too many"),
        ("HTTP_BACKEND_PROXYPASS_PATH", "app", "not a path"),
        ("HTTP_BACKEND_PROXYPASS_PATH", "/a b", "not a path"),
        ("HTTP_BACKEND_REDIR", "ftp://x", "neither a path nor a URL"),
        ("HTTP_BACKEND_REVPROXY_PATH", "/a\nb", "neither a path nor a URL"),
        ("AUTH", "realm:user", "two colons"),
        ("AUTH", "realm:user:ha:sh", "two colons"),
        ("AUTH", "realm::hash", "its user"),
        ("AUTH", 'r"m:user:hash', "its realm"),
        ("AUTH", "realm:user:ha\nsh", "its hash"),
        ("BIND_ADDR", "1.2.3.4 ssl", "not an address"),
        ("BIND_OPTIONS", "ssl\tcrt '/x'", "characters"),
        ("BIND_OPTIONS", "process all", "not for an app"),
        ("SSL_CERT", "/a b;c", "characters"),
        ("BACKEND_HEALTHCHECK_PORT_INDEX", "one", "not a whole number"),
        ("VHOST", "web.test:80", "not a host name"),
        ("VHOST", "-a.test", "not a host name"),
        ("VHOST", "a..test", "not a host name"),
        ("VHOST", "bücher.test", "not a host name"),
        ("VHOST", "fe80::1%eth0;show", "with a zone"),
        ("VHOST", LONG_HOST, "not a host name"),
        ("PATH", "/a;b", "';'"),
        ("PATH", "/a'b", '"\'"'),
        ("PATH", "/a#b", "'#'"),
        ("PATH", '/a"b', "'\"'"),
        ("PATH", "/a\\b", r"'\\'"),
        ("PATH", "/<<", "'<'"),
        ("PATH", "/é", "'é'"),
        ("PATH", "/a\x00", r"'\x00'"),
        ("PATH", "/" + "a" * 1024, "longer than 1024"),
        ("PORT", "0", "not a port"),
        ("PORT", "65536", "not a port"),
        ("PORT", "-1", "not a port"),
        ("PORT", "http", "not a whole number"),
        ("PORT", "", "not a whole number"),
        ("PORT", "1e3", "not a whole number"),
        ("PORT", "١٢", "not a whole number"),
        ("MODE", "udp", "neither http nor tcp"),
        ("BALANCE", "roundrobin 1", "not one of"),
        ("BALANCE", "hdr(a b)", "not one of"),
        ("BALANCE", "hdr(-a)", "not one of"),
        ("BALANCE", "hdr(a-)", "not one of"),
        ("BALANCE", "random(0)", "not one of"),
        ("BALANCE", "random(100)", "not one of"),
        ("BACKEND_WEIGHT", "1.5", "not a whole number"),
        ("BACKEND_WEIGHT", "1000001", "too large"),
    ],
)
def test_a_label_that_cannot_be_used_is_refused_with_its_reason(
    name: str, text: str, reason: str
) -> None:
    """The label counts as absent, and the reason names what is wrong on one line."""
    labels, refused = read_port_labels({f"HAPROXY_0_{name}": text}, 0)

    assert labels == PortLabels()
    [(label, said)] = refused
    assert label == f"HAPROXY_0_{name}"
    assert reason in said
    assert said.isprintable()


def test_a_refused_label_takes_no_other_with_it() -> None:
    """What can be read is read, and every refusal is told."""
    labels, refused = read_port_labels(
        {"HAPROXY_0_VHOST": "a.test", "HAPROXY_0_PORT": "x", "HAPROXY_0_MODE": "y"}, 0
    )

    assert labels == PortLabels(vhosts=("a.test",))
    assert [name for name, _ in refused] == ["HAPROXY_0_PORT", "HAPROXY_0_MODE"]


def test_labels_of_other_ports_are_not_read() -> None:
    """The number in the label's name is the port's place among the app's ports."""
    labels = {"HAPROXY_1_PORT": "x", "HAPROXY_10_PORT": "10010", "HAPROXY_PORT": "5"}

    assert read_port_labels(labels, 0) == (PortLabels(), ())
    assert read_port_labels(labels, 10) == (PortLabels(port=10010), ())


def test_a_reason_shows_a_long_text_only_in_part() -> None:
    """Nobody has to scroll through a label to read what is wrong with it."""
    _, [(_, reason)] = read_port_labels({"HAPROXY_0_PORT": "x" * 5000}, 0)

    assert len(reason) < 120


@pytest.mark.parametrize(
    ("balance", "needs"),
    [("uri", True), ("hdr(x)", True), ("source", False), ("random(2)", False)],
)
def test_algorithms_that_look_at_the_request_need_http(balance: str, *, needs: bool) -> None:
    """A TCP backend has no request to look at."""
    assert balance_needs_http(balance) is needs


def test_every_label_has_a_manual_and_a_name_of_its_own() -> None:
    """The table is what the manual is printed from."""
    assert all(label.manual.what.endswith(".") for label in LABELS)
    assert len({label.name for label in LABELS}) == len(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "$1$salt$hash",
        "$6$rounds=5000$salt$hash",
        "$2y$10$hash",
        "$y$j9T$salt$hash",
        "Ab./0123456zZ",
    ],
)
def test_a_hash_of_crypt_is_taken_for_one(text: str) -> None:
    """By its look: only HAProxy's own C library knows all of them."""
    assert hash_problem(text) == ""


@pytest.mark.parametrize("text", ["secret", "$apr1$salt$hash", "$6$", "{SHA}abc"])
def test_a_password_that_is_no_hash_is_told_with_how_to_make_one(text: str) -> None:
    """HAProxy would answer 401 to everybody, and say nothing. It is not said back."""
    assert "nobody can come in" in hash_problem(text)
    assert "`openssl passwd -6`" in hash_problem(text)
    assert text not in hash_problem(text).replace("$apr1$;", "")


def test_a_plain_password_is_a_problem_unless_a_template_takes_it() -> None:
    """USERLIST_HEAD may say `insecure-password`."""
    labels = {"HAPROXY_0_VHOST": "a.test", "HAPROXY_0_AUTH": "realm:me:secret"}
    template = "userlist user_{backend}\n  user {user} insecure-password {passwd}"

    [problem] = desired_of([an_app(labels=labels, tasks=tasks(1))]).problems
    assert (problem.field, problem.notice) == ("HAPROXY_0_AUTH", False)
    assert "secret" not in problem.reason
    of_app = {**labels, "HAPROXY_0_USERLIST_HEAD": template}
    assert desired_of([an_app(labels=of_app, tasks=tasks(1))]).problems == ()
