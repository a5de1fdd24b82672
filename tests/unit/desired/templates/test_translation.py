import pytest

from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.translation import translate, with_live_balance


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            r"  rspadd  Strict-Transport-Security:\ max-age=15768000",
            "  http-response add-header Strict-Transport-Security max-age=15768000",
        ),
        (r"reqadd X-A:\ 5%\ b if { ssl_fc }", "http-request add-header X-A '5%% b' if { ssl_fc }"),
        (
            r'reqirep  "^([^ :]*)\ /app/?(.*)" "\1\ /\2"',
            r"http-request replace-pathq (?i)^/app/?(.*) '/\1'",
        ),
        (
            r"reqrep ^([^\ :]*)\ /a/(b|c)/(.*) \1\ /\2-\3",
            r"http-request replace-pathq ^/a/(b|c)/(.*) '/\1-\2'",
        ),
        (
            r'rspirep "^Location: (https?://a(:[0-9]+)?)?(/.*)" "Location:   /x" if l',
            r"http-response replace-header Location (?i)^(https?://a(:[0-9]+)?)?(/.*) /x if l",
        ),
        (r"reqirep ^Host:\ .* Host:\ b.test", "http-request replace-header Host (?i)^.* b.test"),
        ("rspidel ^Server:.*", "http-response del-header Server"),
        ("rspdel ^X-", "http-response del-header X- -m beg"),
        (
            r"reqideny ^User-Agent:\ .*curl",
            "http-request deny if { req.fhdr(User-Agent) -m reg -i ^.*curl }",
        ),
        ("\tblock if !ok", "\thttp-request deny if !ok"),
        ("option forceclose", "option httpclose"),
        ("clitimeout 5000", "timeout client 5000"),
        (
            r"option httpchk GET /h HTTP/1.1\r\nHost:\ a.test",
            "option httpchk GET /h HTTP/1.1\nhttp-check send hdr Host a.test",
        ),
        ("  daemon", "  # daemon is gone from HAProxy"),
        ("  # rspadd in a comment", "  # rspadd in a comment"),
        ("  http-request deny", "  http-request deny"),
    ],
)
def test_what_has_an_exact_equivalent_is_translated(old: str, new: str) -> None:
    """HAProxy 2.1 and later refuse the left side."""
    assert translate(old) == new


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ("appsession X len 10 timeout 3h", "appsession .* stick-table"),
        ("reqirep ^GET\\ (.*) GET\\ /x\\1", "http-request replace-path instead"),
        ("rsprep ^A:\\ (.*) B:\\ \\1", "http-response replace-header instead"),
        ("rsprep ^A:\\ (x|y)|z A:\\ q", "http-response replace-header instead"),
        ("reqrep ^([^\\ :]*)\\ /a \\1\\ /b", "no exact equivalent"),
        ("reqrep ^([^\\ :]*)\\ /a(.*) \\1\\ /b", "no exact equivalent"),
        ("rspdel Server", "del-header instead"),
        ("reqideny ^GET", "http-request deny if"),
        ("rspadd X", "no header with a value"),
        ("rsprep x", "takes a regular expression"),
        ("rspadd A:\\ b whenever", "neither if nor unless"),
        ("grace 5s", "hard-stop-after"),
        ('rspadd "A: b', "not closed"),
        ("option httpchk GET / HTTP/1.1\\r\\nwhat", "no header"),
    ],
)
def test_what_has_none_is_refused_with_what_to_write(old: str, said: str) -> None:
    """The reason names the directive and its replacement."""
    with pytest.raises(TemplateError, match=said):
        translate(old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  balance static-rr", "  balance roundrobin"),
        ("  hash-type map-based sdbm avalanche", "  hash-type consistent sdbm avalanche"),
        ("  balance {balance}", "  balance {balance}"),
        ("  balance source  # static-rr", "  balance source  # static-rr"),
    ],
)
def test_what_takes_no_server_at_run_time_is_written_as_what_does(old: str, new: str) -> None:
    """HAProxy would refuse each task that comes."""
    assert with_live_balance(f"backend x\n{old}\n") == f"backend x\n{new}\n"
