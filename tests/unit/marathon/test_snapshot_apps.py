"""The rules of the snapshot for whole apps: fetches, definitions, and copies."""

import pytest

from sidecar.marathon.events import (
    AppChanged,
    AppTerminated,
    Resync,
    SchedulerDisconnected,
    TaskGone,
)
from sidecar.marathon.schema import AppId, TaskId, UnreadableApp
from sidecar.marathon.snapshot import Outcome, Snapshot, covers
from tests.builders import a_task, an_app, tasks
from tests.unit.marathon.snapshot_words import (
    CHANGED,
    FETCH,
    NEW,
    NEWEST,
    NOTHING,
    OLD,
    WEB,
    a_snapshot,
    gone,
    health,
    ids,
    instance_gone,
    known,
    running,
)

# --- apps ---


def test_hints_that_prove_nothing_ask_for_a_fetch() -> None:
    """Of the app, of everything, or of nothing."""
    snapshot = a_snapshot()

    assert snapshot.hint(11, AppChanged(WEB)) == FETCH
    assert snapshot.hint(12, Resync("why")) == Outcome(resync="why")
    assert snapshot.hint(13, SchedulerDisconnected()) == NOTHING
    assert snapshot.hint(14, TaskGone(AppId("/other"), TaskId("other.x"), "TASK_LOST")) == NOTHING
    assert known(snapshot) == ids(1, 2)


def test_an_app_that_terminated_is_gone_for_fetches_begun_before() -> None:
    """Single or full; one that is made again later comes with a later fetch."""
    snapshot = a_snapshot()

    assert snapshot.hint(30, AppTerminated(WEB)) == CHANGED
    assert snapshot.fetched(29, WEB, an_app()) == NOTHING
    assert snapshot.fetched_all(29, [an_app()], []) == NOTHING
    assert WEB not in snapshot
    assert snapshot.fetched_all(31, [an_app()], []) == CHANGED
    assert snapshot.hint(32, AppTerminated(AppId("/never"))) == NOTHING


def test_an_app_that_is_not_found_is_removed() -> None:
    """By a single fetch; one that was never known is no news."""
    snapshot = a_snapshot()

    assert snapshot.fetched(20, WEB, None) == CHANGED
    assert snapshot.fetched(21, WEB, None) == NOTHING
    assert snapshot.app_ids() == frozenset()


def test_a_fetch_that_began_before_another_is_not_used() -> None:
    """Answers may overtake each other."""
    snapshot = a_snapshot()

    assert snapshot.fetched(9, WEB, an_app(tasks=[])) == NOTHING
    assert snapshot.fetched(9, WEB, None) == NOTHING
    assert known(snapshot) == ids(1, 2)


def test_an_app_that_the_full_list_lacks_is_gone() -> None:
    """Unless it was fetched by itself after the list was begun."""
    snapshot = a_snapshot()
    other = AppId("/other")
    snapshot.fetched(25, other, an_app(other))

    assert snapshot.fetched_all(20, [], []) == CHANGED
    assert snapshot.app_ids() == {other}


def test_an_app_that_cannot_be_read_keeps_what_was_known() -> None:
    """Its reason is kept until it can be read, or is gone."""
    snapshot = a_snapshot()
    unreadable = UnreadableApp(WEB, "app.id: no")

    assert snapshot.fetched_all(20, [], [unreadable]) == CHANGED
    assert known(snapshot) == ids(1, 2)
    assert snapshot.unreadable == {WEB: "app.id: no"}
    snapshot.fetched(21, WEB, an_app())
    assert snapshot.unreadable == {}
    snapshot.fetched_all(22, [], [unreadable])
    snapshot.fetched_all(23, [], [])
    assert snapshot.unreadable == {}
    assert WEB not in snapshot


def test_a_full_fetch_that_tells_nothing_new_of_an_app_leaves_it_as_it_was() -> None:
    """Its definition stays the same value, so that nothing is derived from it again."""
    snapshot = a_snapshot()
    before = snapshot[WEB].app

    assert snapshot.fetched_all(20, [an_app(tasks=tasks(2))], []) == NOTHING
    assert snapshot[WEB].app is before
    assert snapshot[WEB].fetched_at == 20
    assert snapshot.fetched_all(21, [an_app(tasks=tasks(1))], []) == CHANGED
    assert snapshot.fetched_all(22, [an_app(tasks=tasks(1), version=NEW)], []) == CHANGED
    snapshot.fetched_all(23, [], [UnreadableApp(WEB, "app.id: no")])
    assert snapshot.fetched_all(24, [an_app(tasks=tasks(1), version=NEW)], []) == CHANGED
    assert snapshot.unreadable == {}


# --- definitions ---


def versions(snapshot: Snapshot) -> list[str]:
    """The versions of /web's definitions that are known beside the newest."""
    return [definition.version for definition in snapshot[WEB].older]


def test_versions_without_a_definition_are_asked_for() -> None:
    """Until the definition is learned; scaling alone makes no new one."""
    rows = [a_task(1, version=OLD), a_task(2, version=NEW), a_task(3, version=NEWEST)]
    info = {"lastConfigChangeAt": NEW, "lastScalingAt": NEWEST}
    snapshot = a_snapshot(an_app(version=NEWEST, versionInfo=info, tasks=rows))

    assert snapshot.unknown_versions(WEB) == {OLD}
    assert snapshot.learn(WEB, an_app(version=OLD)) == CHANGED
    assert snapshot.unknown_versions(WEB) == frozenset()
    assert versions(snapshot) == [OLD]


def test_of_an_unknown_app_nothing_is_learned() -> None:
    """It may have gone meanwhile."""
    snapshot = Snapshot(await_health=False)

    assert snapshot.learn(WEB, an_app()) == NOTHING
    assert snapshot.unknown_versions(WEB) == frozenset()


def test_only_the_newest_definitions_are_kept() -> None:
    """One of each version, whatever order they came in."""
    snapshot = a_snapshot()
    for month in (5, 3, 9, 3, 4, 7, 8):
        snapshot.learn(WEB, an_app(version=f"2020-{month:02}-01T00:00:00.000Z"))

    assert [version[5:7] for version in versions(snapshot)] == ["09", "08", "07", "05", "04"]


@pytest.mark.parametrize(
    ("since", "version", "asked", "covered"),
    [
        ("", NEW, NEW, True),
        ("", NEW, OLD, False),
        ("", NEW, NEWEST, False),
        (OLD, NEW, OLD, True),
        (NEW, NEWEST, OLD, False),
        ("", NEW, "", True),
        ("", "", NEW, True),
    ],
)
def test_a_definition_holds_from_its_last_change_to_its_version(
    since: str, version: str, asked: str, *, covered: bool
) -> None:
    """What has no version fits any."""
    app = an_app(version=version, versionInfo={"lastConfigChangeAt": since})

    assert covers(app, asked) is covered


# --- copies ---


def test_a_copy_goes_its_own_way() -> None:
    """A full fetch can be looked at before it counts."""
    snapshot = a_snapshot()
    copy = snapshot.copy()

    copy.hint(11, gone(1))
    copy.hint(12, health(2, healthy=False))
    copy.hint(13, running(2, ports=(5,)))
    copy.fetched_all(14, [], [UnreadableApp(AppId("/x"), "no")])

    assert WEB not in copy
    assert known(snapshot) == ids(1, 2)
    assert snapshot[WEB].health() == {}
    assert snapshot[WEB].current().tasks[1].ports == (31002,)
    assert snapshot.unreadable == {}
    assert snapshot.fetched(15, WEB, an_app(tasks=tasks(2))) == CHANGED
    assert known(snapshot) == ids(1, 2)


def test_a_copy_knows_what_is_gone() -> None:
    """Tasks, instances and apps that ended before it was made."""
    snapshot = a_snapshot()
    snapshot.hint(20, gone(1))
    snapshot.hint(21, instance_gone(2))
    snapshot.hint(22, AppTerminated(AppId("/over")))

    copy = snapshot.copy()
    copy.fetched(19, WEB, an_app(tasks=tasks(3)))

    assert known(copy) == ids(3)
    assert copy.fetched(19, AppId("/over"), an_app("/over")) == NOTHING


def test_an_app_that_could_not_be_read_and_is_gone_is_news() -> None:
    """Its problem must not stay for good."""
    snapshot = Snapshot(await_health=False)
    snapshot.fetched_all(1, [], [UnreadableApp(WEB, "no id")])

    assert snapshot.fetched_all(2, [], []).changed == {WEB}
    assert snapshot.unreadable == {}
