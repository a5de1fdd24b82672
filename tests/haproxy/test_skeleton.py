"""The rendered configuration in a real HAProxy: it is valid, it starts, and it needs no plan."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from sidecar.desired.model import Archetype, Desired, Mode
from sidecar.plan.steps import Plan, Reason
from tests.builders import a_task, an_app, desired_of
from tests.haproxy.skeleton_rig import ROOT, Rig, a_folder, a_layout, a_rig, free_ports
from tests.haproxy_model import observe
from tests.model_views import view_of, view_wanted
from tests.strategies import any_labels

TASK_HOSTS = ("10.0.0.1", "fd00::1", "::ffff:10.0.0.2")
BALANCES = (
    *("roundrobin", "leastconn", "first", "random", "source", "uri", "static-rr"),
    *("random(2)", "random(99)", "hdr(x-user)", "hdr(x-sticky)"),
)


def a_large_desired(service_ports: tuple[int, ...]) -> Desired:
    """Apps of every kind: each algorithm, sticky or not, hosts, paths, IPv4, IPv6, no tasks."""
    apps = []
    for number, port in enumerate(service_ports):
        app_id = f"/group-{number % 3}/app.{number}"
        labels = {
            "BALANCE": BALANCES[number % len(BALANCES)],
            "MODE": "http" if number % 4 else "tcp",
            "STICKY": "true" if number % 3 else "no",
            "VHOST": f"h{number % 7}.test,[fd00::{number:x}]",
            "PATH": f"/p{number:02} /q{number:02}/%7Ex!$&()*+,=:@"
            if number % 2
            else f"-i /P{number:02}",
        }
        if not number % 4:
            labels = {"MODE": "tcp", "BALANCE": ("leastconn", "source", "first")[number % 3]}
        rows = [
            a_task(task, app_id, host=TASK_HOSTS[task], ports=[31000 + task])
            for task in range(number % 4)
        ]
        named = {f"HAPROXY_0_{name}": text for name, text in labels.items()}
        apps.append(an_app(app_id, labels=named, service_ports=(port,), tasks=rows))
    return desired_of(apps)


@pytest.fixture
def rig(haproxy_binary: str) -> Iterator[Rig]:
    """A rig with sixty service ports that the kernel chose: scattered, so many ranges."""
    with a_folder() as folder:
        yield a_rig(haproxy_binary, folder, a_layout(folder, free_ports(60)))


def test_the_smallest_and_the_largest_configuration_are_valid_without_warnings(rig: Rig) -> None:
    """HAProxy accepts what is rendered for no app and for apps of every kind, and says nothing."""
    large = a_large_desired(tuple(sorted(rig.layout.bound)))
    for desired in (Desired(), large):
        rig.write(desired)
        assert rig.check() == (0, "")
    assert large.problems == ()
    assert sum(len(each.servers) for each in large.backends.values()) > 60


@given(any_labels, any_labels)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    print_blob=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
def test_whatever_labels_say_the_configuration_is_valid(
    haproxy_binary: str, first: dict[str, str], second: dict[str, str]
) -> None:
    """Law 5: no label text, of two apps at once, makes HAProxy refuse or complain."""
    apps = [
        an_app(app_id, labels=labels, service_ports=(10000, 10001), tasks=rows)
        for app_id, labels in (("/a", first), ("/b", second))
        for rows in [[a_task(1, app_id, ports=[31001, 31002])]]
    ]
    with a_folder() as folder:
        rig = a_rig(haproxy_binary, folder, a_layout(folder, (10000,)))
        rig.write(desired_of(apps))

        assert rig.check() == (0, "")


def test_thousands_of_scattered_ports_are_valid(rig: Rig) -> None:
    """However many ranges the statement of the ports names, its line is not too long."""
    rig.layout = attrs.evolve(rig.layout, bound=frozenset(range(10000, 20000, 3)))
    rig.write(Desired())

    assert rig.check() == (0, "")


def test_no_service_port_at_all_is_only_a_warning(rig: Rig) -> None:
    """HAProxy complains of a frontend without a bind, and starts."""
    rig.layout = attrs.evolve(rig.layout, bound=frozenset())
    rig.write(Desired())

    code, text = rig.check()

    assert code == 0
    assert text.count("[WARNING]") == text.count("has no 'bind' directive") == 1


@pytest.mark.parametrize("size", ["smallest", "largest"])
def test_a_fresh_process_needs_no_plan(rig: Rig, size: str) -> None:
    """Law 1 for real: what it reports is what the model says, and equals what is desired."""
    ports = tuple(sorted(rig.layout.bound))
    desired = a_large_desired(ports) if size == "largest" else Desired()
    rig.write(desired)

    with rig.running(), rig.api() as api:
        fresh = rig.observe(api)

    assert rig.plan(desired, fresh) == Plan()
    assert view_of(fresh) == view_wanted(desired)
    modelled = observe(desired, rig.renderer, rig.layout)
    assert fresh.maps == modelled.maps
    assert fresh.facts == modelled.facts
    assert {name: set(found) for name, found in fresh.backends.items()} == {
        name: set(found) for name, found in modelled.backends.items()
    }


def test_after_a_reload_statements_and_servers_are_those_of_the_new_file(rig: Rig) -> None:
    """What an old file stated is gone, though the master hands its environment on."""
    ports = tuple(sorted(rig.layout.bound))
    before, after = a_large_desired(ports[:10]), a_large_desired(ports[5:40])
    rig.write(before)
    with rig.running():
        with rig.api() as api:
            first = rig.observe(api)
        [extra, appid_port] = free_ports(2)
        rig.layout = attrs.evolve(
            rig.layout, bound=rig.layout.bound | {extra}, http_port=None, appid_port=appid_port
        )
        wanted = rig.plan(after, first).reasons
        rig.write(after)
        rig.reload()
        with rig.api() as api:
            second = rig.observe(api)

    assert {reason for reason in wanted if reason.kind == "section"} == {
        Reason("section", "other settings, or another version, made the frontend of app ids"),
        Reason("section", "other settings, or another version, made the frontend of virtual hosts"),
    }
    assert second.worker != first.worker
    assert rig.plan(after, second) == Plan()
    assert second.facts == observe(after, rig.renderer, rig.layout).facts


def test_many_archetypes_fit_into_their_statement(rig: Rig) -> None:
    """Hundreds of header names, one archetype each, and HAProxy still starts and reports them."""
    apps = [
        an_app(
            f"/app-{number}",
            labels={"HAPROXY_0_MODE": "http", "HAPROXY_0_BALANCE": f"hdr({'x' * 50}{number})"},
            service_ports=(number + 1,),
            tasks=[a_task(1, f"/app-{number}")],
        )
        for number in range(200)
    ]
    desired = desired_of(apps)
    rig.layout = attrs.evolve(rig.layout, bound=frozenset(list(rig.layout.bound)[:1]))
    rig.write(desired)

    with rig.running(), rig.api() as api:
        fresh = rig.observe(api)

    assert {reason.kind for reason in rig.plan(desired, fresh).reasons} == {"port"}
    assert Archetype(Mode.HTTP, f"hdr({'x' * 50}7)").name in fresh.facts["ARCHETYPES"]


def test_the_templates_stand_beside_the_package() -> None:
    """What the image and the wheel carry is what is tested here."""
    shared = Path(ROOT / "sidecar" / "share" / "haproxy")

    assert shared.resolve() == (ROOT / "haproxy").resolve()
