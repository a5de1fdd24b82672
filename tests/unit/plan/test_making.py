"""Tables: backends that are made at run time, and the commands that this takes."""

import attrs
import pytest

from sidecar.desired.model import Archetype, BackendName, Desired, MapName, Mode, Target
from sidecar.plan.abilities import Abilities
from sidecar.plan.diff import plan
from sidecar.plan.facts import ARCHETYPES, Expected, write_digests
from sidecar.plan.making import interim_name
from sidecar.plan.observed import Observed
from sidecar.plan.reasons import true_name_reasons
from tests.builders import HTTP, TCP, a_backend, a_desired, an_observed, row, seen
from tests.unit.plan.plan_text import ONE, SPARE, said

NAME = BackendName("web_10000")
FIRST = Archetype(Mode.HTTP, "first")
INTERIM = interim_name(NAME, FIRST.name)
KNOWN = write_digests({each.name: "digest" for each in (HTTP, TCP, FIRST)})
FREE, ITS_OWN = r"-\ -\ 0\ http-{0}", r"web_10000\ /web\ 10000\ http-{0}"


def an_app(archetype: Archetype = HTTP, section: str = "") -> Desired:
    """App /web with one server and one host."""
    backend = attrs.evolve(a_backend([ONE], archetype), section=section)
    return a_desired([backend], {MapName.DOMAIN: {"web.test": Target(NAME)}})


def seen_with(observed: Observed, known: str = KNOWN) -> Observed:
    """The same in a worker that has these archetypes."""
    return attrs.evolve(observed, facts={ARCHETYPES: known})


def between(desired: Desired, observed: Observed, lasting: tuple[str, ...] = ()) -> list[str]:
    """The plan on an HAProxy that makes backends."""
    return said(
        plan(
            desired, observed, Expected(), abilities=Abilities(makes_backends=True), lasting=lasting
        )
    )


def serving(**rows: str) -> Observed:
    """The app in its own backend with one server, and these free ones beside it."""
    backends = {str(NAME): [seen(ONE)], **{name: [] for name in rows}}
    return seen_with(
        an_observed(backends, {NAME: row(NAME), **rows}, domain={"web.test": str(NAME)})
    )


def test_a_new_app_has_its_own_backend_from_the_start() -> None:
    """It is noted, made and published before it is the app's; then as ever."""
    assert between(an_app(), seen_with(an_observed())) == [
        rf"add map backend2app.map {NAME} {FREE.format('roundrobin')}",
        f"add backend {NAME} from http-roundrobin",
        f"publish backend {NAME}",
        rf"set map backend2app.map {NAME} {ITS_OWN.format('roundrobin')}",
        f"add map server2spec.map {NAME}/s1 -",
        f"add server {NAME}/s1 10.0.0.1:31001 id 1",
        f"set server {NAME}/s1 state ready",
        f"add map domain2backend.map web.test {NAME}",
    ]


def test_a_backend_whose_making_was_cut_short_is_published_again() -> None:
    """Nobody can tell whether it is; who owns it is told after that."""
    begun = seen_with(an_observed({NAME: []}, {NAME: row()}))

    assert between(an_app(), begun)[:2] == [
        f"publish backend {NAME}",
        rf"set map backend2app.map {NAME} {ITS_OWN.format('roundrobin')}",
    ]


def test_a_row_of_a_backend_that_is_gone_is_written_anew() -> None:
    """And not taken for one that is left over."""
    stale = seen_with(an_observed({}, {NAME: row(NAME, TCP)}))
    found = between(an_app(), stale)

    assert found[0] == rf"set map backend2app.map {NAME} {FREE.format('roundrobin')}"
    assert not [line for line in found if line.startswith("del map")]


def test_an_app_that_goes_leaves_nothing() -> None:
    """Its backend is nobody's before it is withdrawn, and its row goes last."""
    assert between(Desired(), serving()) == [
        "del map domain2backend.map web.test",
        f"set server {NAME}/s1 state maint",
        f"del server {NAME}/s1",
        rf"set map backend2app.map {NAME} {FREE.format('roundrobin')}",
        f"del map server2spec.map {NAME}/s1",
        f"unpublish backend {NAME}",
        f"del backend {NAME}",
        f"del map backend2app.map {NAME}",
    ]


def test_an_app_of_another_kind_lives_beside_until_its_name_is_free() -> None:
    """In at the other place, the map over, out of the old one, all of which may take its time."""
    assert between(an_app(FIRST), serving()) == [
        rf"add map backend2app.map {INTERIM} {FREE.format('first')}",
        f"add backend {INTERIM} from http-first",
        f"publish backend {INTERIM}",
        rf"set map backend2app.map {INTERIM} {ITS_OWN.format('first')}",
        f"add map server2spec.map {INTERIM}/s1 -",
        f"add server {INTERIM}/s1 10.0.0.1:31001 id 1",
        f"set server {INTERIM}/s1 state ready",
        f"set map domain2backend.map web.test {INTERIM}",
        f"set server {NAME}/s1 state maint",
        f"del server {NAME}/s1",
        rf"set map backend2app.map {NAME} {FREE.format('roundrobin')}",
        f"del map server2spec.map {NAME}/s1",
        f"unpublish backend {NAME}",
        f"del backend {NAME}",
        f"del map backend2app.map {NAME}",
    ]


def test_it_moves_into_its_own_name_as_soon_as_that_is_free() -> None:
    """From wherever it is: an interim backend, or a spare of another time."""
    for place in (INTERIM, SPARE):
        beside = an_observed(
            {place: [seen(ONE)]}, {place: row(NAME, FIRST)}, domain={"web.test": place}
        )
        found = between(an_app(FIRST), seen_with(beside))

        assert found[1] == f"add backend {NAME} from http-first"
        assert f"set map domain2backend.map web.test {NAME}" in found
        assert found[-2] == f"del backend {place}"


@pytest.mark.parametrize(
    ("own", "away"), [(row(), 1), (row(None, FIRST), 1), (row(NAME), 0), ("garbage", 1)]
)
def test_an_app_that_cannot_have_its_name_back_is_worth_a_quiet_reload(own: str, away: int) -> None:
    """As it is with a stick table; not while its old backend still serves streams."""
    beside = an_observed({NAME: [], INTERIM: [seen(ONE)]}, {NAME: own, INTERIM: row(NAME, FIRST)})

    said = [str(reason) for reason in true_name_reasons(beside)]

    assert said == ["true names: 1 apps live in backends of other names"] * away


def test_what_nobody_wants_is_deleted_but_for_what_lasts() -> None:
    """Spares of another time too."""
    spares = serving(**{SPARE: row(), f"{SPARE}9": row()})

    assert between(an_app(), spares, lasting=(SPARE,)) == [
        f"unpublish backend {SPARE}9",
        f"del backend {SPARE}9",
        f"del map backend2app.map {SPARE}9",
    ]
    assert between(an_app(), spares, lasting=(SPARE, f"{SPARE}9")) == []


@pytest.mark.parametrize("strange", ["garbage", row("other_10000"), row(None, TCP)])
def test_an_app_whose_name_is_not_to_be_had_lives_beside(strange: str) -> None:
    """The ledger decides whose a backend is, not its name."""
    found = between(an_app(FIRST), seen_with(an_observed({NAME: []}, {NAME: strange})))

    assert f"add backend {INTERIM} from http-first" in found


@pytest.mark.parametrize(
    ("desired", "known", "ledger", "reason"),
    [
        (an_app(FIRST), "", {}, "archetype: new archetype http-first"),
        (
            an_app(section="    http-request deny"),
            KNOWN,
            {},
            "raw configuration: web_10000 has lines of its own",
        ),
        (
            an_app(FIRST),
            KNOWN,
            {INTERIM: "garbage"},
            "backend: nobody knows whose web_10000's interim backend is",
        ),
    ],
)
def test_what_cannot_be_made_is_a_reason_to_reload(
    desired: Desired, known: str, ledger: dict[str, str], reason: str
) -> None:
    """The app stays where it is until then."""
    backends = {str(NAME): [seen(ONE)], **{name: [] for name in ledger}}
    there = an_observed(backends, {NAME: row(NAME), **ledger}, domain={"web.test": str(NAME)})

    assert between(desired, seen_with(there, known)) == [f"reload: {reason}"]


def test_what_is_due_for_another_mode_serves_on_until_the_reload() -> None:
    """Its entries stay as they are."""
    there = an_observed({NAME: [seen(ONE)]}, {NAME: row(NAME, TCP)}, port={"10000": str(NAME)})
    found = between(an_app(Archetype(Mode.HTTP, "random(9)")), seen_with(there))

    assert found == ["reload: archetype: new archetype http-random-9"]
