import pytest

from sidecar.desired.templates.filling import TemplateError
from sidecar.desired.templates.guarding import Guarded, check_guardable, guarded

OWN = "use_backend %[str(web_1)]"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("http-request deny", "http-request deny if me"),
        ("http-request deny if a b", "http-request deny if me a b"),
        ("http-request deny if a or b || c", "http-request deny if me a or me b or me c"),
        ("http-request deny unless a or b", "http-request deny unless !me or a or b"),
        ("redirect scheme https if !{ ssl_fc }", "redirect scheme https if me !{ ssl_fc }"),
        ("acl a path -i /x", "acl a path -i /x"),
        (r"http-response set-header X a\ b", "http-response set-header X 'a b' if me"),
    ],
)
def test_a_rule_holds_for_its_apps_requests_alone(line: str, rule: str) -> None:
    """Whatever else it asks for."""
    assert guarded(f"  {line}  \n\n", "me", "web_1") == Guarded(f"    {rule}\n")


@pytest.mark.parametrize(
    ("line", "route"),
    [
        ("use_backend web_1 if a", f"{OWN} if me a"),
        ("use_backend web_1", f"{OWN} if me"),
        ("use_backend other_1 unless a", "use_backend other_1 unless !me or a"),
        ("use_backend %[req.hdr(x)]", "use_backend %[req.hdr(x)] if me"),
    ],
)
def test_a_route_to_its_own_backend_does_not_hold_it(line: str, route: str) -> None:
    """HAProxy looks the name up for each request."""
    assert guarded(line, "me", "web_1") == Guarded("", f"    {route}\n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("default_backend web_1", "default_backend would hold for all apps of this port"),
        ("tcp-request content reject", "tcp-request would hold for all apps"),
        ("timeout client 1s", "timeout would hold"),
        ("acl mlb_raw always_false", "names that begin with mlb_ are the balancer's own"),
        ("use_backend x if !mlb_raw", "names that begin with mlb_ are the balancer's own"),
    ],
)
def test_what_cannot_be_kept_to_one_app_is_refused(line: str, reason: str) -> None:
    """By its first word."""
    with pytest.raises(TemplateError, match=reason):
        check_guardable(f"acl a path /\n{line}")
