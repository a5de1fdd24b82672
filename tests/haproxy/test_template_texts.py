"""Any text whatever as one app's template, on the real `haproxy -c`."""

from collections.abc import Iterator, Sequence

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sidecar.desired.labels import TEMPLATE_LABELS
from sidecar.desired.model import Desired
from sidecar.desired.raw import raw_apps, with_raw_of
from sidecar.desired.templates.confinement import SECTION_KEYWORDS
from sidecar.marathon.schema import App, AppId
from sidecar.reconcile.sifting import culprits
from tests.builders import a_task, an_app, desired_of
from tests.haproxy.skeleton_rig import Rig, a_folder, a_layout, a_rig

STRANGE = AppId("/strange")
HASH = "$5$mlbsalt$.q9ARGVuNsR8AmqXJQbzWIhmqiBVJOJ3dW7t/KfUKR0"
USES = {
    "VHOST": "s.test,t.test",
    "PATH": "/p",
    "AUTH": f"r:me:{HASH}",
    "STICKY": "true",
    "USE_HSTS": "true",
    "HTTP_BACKEND_PROXYPASS_PATH": "/p",
    "HTTP_BACKEND_REVPROXY_PATH": "/p",
    "BACKEND_NETWORK_ALLOWED_ACL": "10.0.0.0/8",
}
"""Labels with which a port uses many templates."""

LINES = (
    *("global", "backend other", "  frontend x\t# y", "listen x :1", "userlist user_{backend}"),
    *('"back""end" x', "back\\end x", "\\x62ackend x", "'global'", "no backend x", "\tdefaults"),
    *(
        "backend {backend}",
        "frontend {backend}",
        "  bind {bindAddr}:{servicePort}",
        "  mode {mode}",
    ),
    *("  option forwardfor", "  http-request deny", "  acl a path /x", "  use_backend {backend}"),
    *("  no-such-word", "  http-request set-header X {hostname}", "  acl mlb_raw always_true"),
    *("  server {serverName} {host_ipv4}:{port} id {serverId}", "  server x 127.0.0.1:1"),
    *("  server {serverName} {host_ipv4}:{port} no-such-word", "  server a;b <<EOT:1"),
    *(".if TRUE", ".endif", "  http-request deny if { path /x", '  http-request deny "', "$HOME"),
    *(
        '  http-request set-header X "$HOME"',
        "  errorfile 503 /none",
        "  bind *:443",
        "  timeout x",
    ),
    *("  rspadd X:\\ y", "  reqirep ^a b", "{", "}", "{{", "{nobody}", "{backend.x}", "\r", "\x00"),
    *("  user me password x", "check", "check inter banana", "  \\", "a" * 3000, "é", "\ud800"),
    *("  http-request lua.none", "  filter trace", "  stick-table type ip size 1", "  mode tcp"),
)
texts = st.one_of(st.lists(st.sampled_from(LINES), max_size=4).map("\n".join), st.text(max_size=30))


@st.composite
def some_labels(draw: st.DrawFn) -> dict[str, str]:
    """Labels of a few templates: their usual texts, alone or with a line more, or any text."""
    found: dict[str, str] = {}
    for template in draw(st.lists(st.sampled_from(TEMPLATE_LABELS), min_size=1, max_size=3)):
        usual = st.just(template.text)
        longer = st.builds("{}{}\n".format, usual, st.sampled_from(LINES))
        found[template.name] = draw(st.one_of(usual, longer, longer, texts))
    return found


@pytest.fixture(scope="module")
def rig(haproxy_binary: str) -> Iterator[Rig]:
    """A folder; nothing runs."""
    with a_folder() as folder:
        yield a_rig(haproxy_binary, folder, a_layout(folder, (10000, 10001)))


def an_owner(app_id: str, port: int, labels: dict[str, str]) -> App:
    """An app with a task, a check and these labels."""
    named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
    return an_app(
        app_id,
        labels=named,
        service_ports=(port,),
        tasks=[a_task(1, app_id)],
        healthChecks=[{"protocol": "HTTP", "path": "/ok", "portIndex": 0}],
    )


def passes(rig: Rig, desired: Desired) -> tuple[bool, str]:
    """Whether HAProxy takes what is rendered for this, and that."""
    rendered = rig.write(desired)
    return rig.check()[0] == 0, rendered


def sections(text: str) -> set[str]:
    """The lines that begin a section, as HAProxy finds them."""
    lines = (line.split("#")[0].split() for line in text.splitlines())
    found = {" ".join(words[:2]) for words in lines if words and words[0] in SECTION_KEYWORDS}
    return {section for section in found if not section.startswith("backend spare.")}


@given(labels=some_labels())
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
def test_no_template_text_hurts_another_app_or_leaves_its_section(
    rig: Rig, labels: dict[str, str]
) -> None:
    """What HAProxy refuses is found to be that app's; the rest passes, and is what it was."""
    good = an_owner("/good", 10001, {"VHOST": "good.test", "BACKEND_HTTP_OPTIONS": "  fullconn 9"})
    alone = desired_of([good])
    both = desired_of([an_owner(str(STRANGE), 10000, {**USES, **labels}), good])

    assert both.backends["good_10001"] == alone.backends["good_10001"]  # type: ignore[index]  # a name

    def complaint(tried: Sequence[AppId]) -> str:
        taken, _ = passes(rig, with_raw_of(both, frozenset(tried)))
        return "" if taken else "refused"

    found = culprits(raw_apps(both), complaint)

    assert set(found) <= {STRANGE}
    kept = [app_id for app_id in raw_apps(both) if app_id not in found]
    assert passes(rig, with_raw_of(both, frozenset(kept)))[0]
    theirs = {
        "backend strange_10000",
        "userlist user_strange_10000",
        "frontend mlb_port_10000",
    }
    archetypes = {f"defaults {each.archetype.name}" for each in both.backends.values()}
    rendered = rig.write(both)  # with what HAProxy refuses, if it does
    assert sections(rendered) <= sections(rig.write(alone)) | theirs | archetypes


def test_the_sections_of_a_file_are_found() -> None:
    """So the test above can fail."""
    assert sections("global\n  x\nbackend a from b\n# backend c\n backend d") == {
        "global",
        "backend a",
        "backend d",
    }


def test_a_text_that_haproxy_refuses_is_found_to_be_its_apps(rig: Rig) -> None:
    """So the law above is not empty."""
    labels = {"VHOST": "s.test", "BACKEND_HTTP_OPTIONS": "  no-such-word"}
    both = desired_of([an_owner(str(STRANGE), 10000, labels)])

    assert not passes(rig, both)[0]
    [backend] = both.backends.values()
    assert backend.plain is not None
    assert passes(rig, attrs.evolve(both, backends={backend.name: backend.plain}))[0]
