from typing import Any

import attrs

from sidecar.desired.claims import PortRules
from sidecar.desired.derive import Rules
from sidecar.desired.model import Backend, Problem, Server
from sidecar.marathon.schema import App, AppId, UnreadableApp
from sidecar.plan.observed import State
from sidecar.reconcile.derivation import Derivation
from tests.builders import a_server, a_task, an_app, an_observed, desired_of, row, seen, tasks

WEB = AppId("/web")
BROKEN = {"HAPROXY_0_MODE": "neither"}
NEW = "2021-01-01T00:00:00.000Z"
CHECKED: dict[str, Any] = {"healthChecks": [{"protocol": "HTTP"}]}


@attrs.define
class Known:
    """A derivation, and numbers that only grow for what is fetched."""

    derivation: Derivation = attrs.field(factory=lambda: Derivation(Rules()))
    number: int = 0

    def fetch(self, app: App) -> bool:
        """Take an app as fetched; whether it differs now."""
        self.number += 1
        self.derivation.snapshot.fetched(self.number, app.id, app)
        return self.derivation.update([app.id])

    def backends(self) -> dict[str, Backend]:
        """The desired backends."""
        return {str(k): v for k, v in self.derivation.desired(PortRules(), {}).backends.items()}

    def servers(self) -> list[str]:
        """The desired servers' addresses, of all backends."""
        backends = self.backends().values()
        return [f"{server.address}:{server.port}" for each in backends for server in each.servers]

    def problems(self) -> tuple[Problem, ...]:
        """The problems of all apps."""
        return self.derivation.desired(PortRules(), {}).problems


def knowing(*apps: App, rules: Rules | None = None) -> Known:
    """A derivation that has fetched these apps."""
    known = Known(Derivation(rules or Rules()))
    for app in apps:
        known.fetch(app)
    return known


def server_of(app: App) -> Server:
    """The one server that an app should have."""
    (backend,) = desired_of([app]).backends.values()
    (server,) = backend.servers
    return server


def test_an_app_as_it_was_differs_in_nothing() -> None:
    """The first time it is news, the second time it is not."""
    known = Known()

    assert known.fetch(an_app(tasks=tasks(1)))
    assert not known.fetch(an_app(tasks=tasks(1)))


def test_a_broken_definition_keeps_the_last_good_form_and_follows_the_tasks() -> None:
    """Ports, hosts and mode stay as they were; tasks come and go; the problem is told."""
    labels = {"HAPROXY_0_VHOST": "web.test"}
    known = knowing(an_app(labels=labels, tasks=tasks(1)))
    before = known.backends()["web_10000"]
    known.fetch(an_app(labels=labels | BROKEN, version=NEW, tasks=[a_task(2), a_task(3)]))

    after = known.backends()["web_10000"]
    assert after.archetype == before.archetype
    assert known.servers() == ["10.0.0.1:31002", "10.0.0.1:31003"]
    assert [problem.field for problem in known.problems()] == ["HAPROXY_0_MODE"]


def test_a_repaired_definition_is_used_and_its_problem_over() -> None:
    """The newest that can be used counts."""
    known = knowing(an_app(labels=BROKEN, tasks=tasks(1)))
    known.fetch(an_app(labels={"HAPROXY_0_MODE": "http"}, version=NEW, tasks=tasks(1)))

    assert known.backends()["web_10000"].archetype.mode.value == "http"
    assert known.problems() == ()
    assert known.derivation.without_form() == frozenset()


def test_an_app_that_was_never_good_is_left_out_until_its_history_helps() -> None:
    """A form out of the history fills the gap; the problem of the newest one stays."""
    known = knowing(an_app(labels=BROKEN, tasks=tasks(1)))
    assert known.backends() == {}
    assert known.derivation.without_form() == {WEB}

    known.derivation.give_form(WEB, an_app())
    known.derivation.update([WEB])

    assert known.servers() == ["10.0.0.1:31001"]
    assert known.derivation.without_form() == frozenset()
    assert [problem.field for problem in known.problems()] == ["HAPROXY_0_MODE"]


def test_a_form_out_of_the_history_never_replaces_a_newer_good_one() -> None:
    """The answer may come late."""
    known = knowing(an_app(labels={"HAPROXY_0_MODE": "http"}))
    known.derivation.give_form(WEB, an_app(labels={"HAPROXY_0_MODE": "tcp"}))
    known.fetch(an_app(labels=BROKEN, version=NEW, tasks=tasks(1)))

    assert known.backends()["web_10000"].archetype.mode.value == "http"


def test_an_unreadable_app_keeps_what_it_had_and_has_a_problem() -> None:
    """Its JSON cannot be read today; its tasks are as alive as they were."""
    known = knowing(an_app(tasks=tasks(1)))
    known.derivation.snapshot.fetched_all(9, (), (UnreadableApp(WEB, "labels: not a map"),))
    known.derivation.update([WEB])

    assert known.servers() == ["10.0.0.1:31001"]
    assert known.problems() == (Problem(WEB, "definition", "labels: not a map"),)


def test_an_unreadable_app_that_is_not_known_keeps_what_haproxy_has() -> None:
    """It may have been good before we started."""
    known = Known()
    known.derivation.snapshot.fetched_all(1, (), (UnreadableApp(WEB, "no"),))
    known.derivation.update([WEB])

    assert known.derivation.without_form() == {WEB}
    assert known.problems() == (Problem(WEB, "definition", "no"),)


def test_an_app_that_is_gone_leaves_nothing() -> None:
    """Neither servers nor problems nor hosts."""
    known = knowing(an_app(labels=BROKEN, tasks=[a_task(host="box.test")]))
    known.derivation.snapshot.fetched(9, WEB, None)

    assert known.derivation.update([WEB])
    assert known.backends() == {}
    assert known.problems() == ()
    assert known.derivation.named_hosts() == frozenset()
    assert known.derivation.without_form() == frozenset()


def test_a_copy_goes_another_way() -> None:
    """What a full fetch would change can be looked at, and forgotten."""
    known = knowing(an_app(tasks=[a_task(host="box.test")]))
    other = Known(known.derivation.copy(), known.number)
    other.derivation.resolve("box.test", "10.9.9.9")
    other.fetch(an_app(tasks=tasks(3)))

    assert len(other.servers()) == 3
    assert known.servers() == []
    assert known.derivation.unresolved() == {"box.test"}


def test_hosts_are_known_for_as_long_as_a_task_is_there() -> None:
    """An address is forgotten with the last task, so that it is looked up anew later."""
    known = knowing(an_app(tasks=[a_task(host="box.test")]))
    assert known.derivation.resolve("box.test", "10.9.9.9") == {WEB}
    assert known.derivation.resolve("box.test", "10.9.9.9") == frozenset()
    assert known.derivation.unresolved() == frozenset()

    known.fetch(an_app(tasks=[]))
    known.fetch(an_app(tasks=[a_task(host="box.test")]))

    assert known.derivation.unresolved() == {"box.test"}


def test_an_app_waits_for_the_first_lookup_of_its_hosts_only() -> None:
    """A name that has no address is no reason to wait any longer."""
    known = knowing(an_app(tasks=[a_task(host="box.test")]))

    assert known.derivation.on_unknown_hosts(()) == {WEB}
    assert known.derivation.on_unknown_hosts({"box.test"}) == frozenset()


def test_after_a_restart_a_task_that_serves_counts_as_healthy() -> None:
    """Marathon has no result for it yet; HAProxy sends it requests already."""
    app = an_app(tasks=tasks(2), **CHECKED)
    known = knowing(app, rules=Rules(health_check=True))
    assert known.servers() == []

    serving = seen(server_of(an_app(tasks=tasks(1), **CHECKED)))
    observed = an_observed({"web_10000": [serving]}, {"web_10000": row("web_10000")})
    known.derivation.remember(observed)
    known.derivation.update([WEB])

    assert known.servers() == ["10.0.0.1:31001"]


def test_after_a_restart_what_marathon_says_of_health_counts_more() -> None:
    """A task that failed its check is not taken for healthy because it is still in."""
    failed: dict[str, Any] = {"healthCheckResults": [{"alive": False, "lastFailure": "2020-01-01"}]}
    known = knowing(an_app(tasks=[a_task(1, **failed)], **CHECKED), rules=Rules(health_check=True))

    serving = seen(server_of(an_app(tasks=tasks(1), **CHECKED)))
    observed = an_observed({"web_10000": [serving]}, {"web_10000": row("web_10000")})
    known.derivation.remember(observed)
    known.derivation.update([WEB])

    assert known.servers() == []


def test_after_a_restart_a_host_has_the_address_that_its_servers_have() -> None:
    """DNS may be away; the server's name holds the host, and so gives its address."""
    app = an_app(tasks=[a_task(host="box.test")])
    before = Known()
    before.fetch(app)
    before.derivation.resolve("box.test", "10.9.9.9")
    before.derivation.update([WEB])
    (server,) = before.backends()["web_10000"].servers

    known = knowing(app)
    observed = an_observed({"spare.x.001": [seen(server)]}, {"spare.x.001": row("web_10000")})
    known.derivation.remember(observed)
    known.derivation.update([WEB])

    assert known.servers() == ["10.9.9.9:31001"]


def test_an_address_is_not_remembered_from_another_hosts_server() -> None:
    """Only a server whose name says that host counts."""
    known = knowing(an_app(tasks=[a_task(host="box.test")]))
    other = seen(server_of(an_app(tasks=tasks(1))))
    observed = an_observed({"web_10000": [other]}, {"web_10000": row("web_10000")})
    known.derivation.remember(observed)

    assert known.derivation.unresolved() == {"box.test"}


OPTIONS = "HAPROXY_0_BIND_OPTIONS"


def an_app_with(options: str, version: str = NEW) -> App:
    """An app whose service port is bound with these words."""
    return an_app(WEB, labels={OPTIONS: options}, tasks=tasks(1), version=version)


def bound_with(known: Known) -> list[str]:
    """The bind options that are desired."""
    return [each.words() for each in known.derivation.desired(PortRules(), {}).frontends.values()]


def test_an_app_whose_raw_configuration_is_refused_goes_back_to_what_haproxy_took() -> None:
    """With its reason as a problem, also when something else about it changes."""
    known = knowing(an_app_with("maxconn 1"))
    known.derivation.take()
    known.fetch(an_app_with("nonsense"))
    assert bound_with(known) == ["nonsense"]

    known.derivation.refuse({WEB: "HAProxy refuses it: unknown"})
    known.derivation.update([WEB])
    assert bound_with(known) == ["maxconn 1"]
    assert known.problems() == (Problem(WEB, "configuration", "HAProxy refuses it: unknown"),)

    known.fetch(an_app_with("nonsense", "2022-01-01T00:00:00.000Z"))
    assert bound_with(known) == ["maxconn 1"]
    assert len(known.problems()) == 1

    known.fetch(an_app_with("maxconn 2"))
    assert bound_with(known) == ["maxconn 2"]
    assert known.problems() == ()


def test_a_refused_app_that_haproxy_never_took_takes_no_form_that_says_the_same() -> None:
    """After a restart its history is asked for one that differs."""
    known = knowing(an_app_with("nonsense"))
    known.derivation.refuse({WEB: "no"})
    known.derivation.update([WEB])
    assert known.derivation.without_form() == {WEB}

    known.derivation.give_form(WEB, an_app_with("nonsense", "2020-01-01T00:00:00.000Z"))
    assert known.derivation.without_form() == {WEB}
    known.derivation.give_form(WEB, an_app_with("maxconn 1"))
    known.derivation.update([WEB])
    assert bound_with(known) == ["maxconn 1"]


def test_a_draining_task_of_a_group_counts_as_alive_after_a_restart() -> None:
    """It is in maint, and would otherwise be taken out with its streams."""
    labels = {"HAPROXY_DEPLOYMENT_GROUP": "g"}
    app = an_app(
        "/g-blue", labels=labels, tasks=tasks(1, "/g-blue"), healthChecks=[{"protocol": "TCP"}]
    )
    known = knowing(app, rules=Rules(health_check=True))
    name = "10_0_0_1_31001"
    parked = seen(a_server(1, name=name), State.MAINT)
    ledger = {"g_10000": row("g_10000").replace("/g ", "/g-blue,/g-green ")}

    known.derivation.remember(an_observed({"g_10000": [parked]}, ledger))

    (record,) = known.derivation.snapshot[AppId("/g-blue")].tasks.values()
    assert record.health is True
