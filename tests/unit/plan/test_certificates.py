import attrs

from sidecar.desired.certificates import DEFAULT, Certificate, file_of
from sidecar.desired.model import Desired
from sidecar.plan.abilities import Abilities
from sidecar.plan.diff import plan
from sidecar.plan.facts import Expected
from sidecar.plan.observed import CERTIFICATE_LEDGER, Observed, ObservedCertificate
from sidecar.plan.steps import (
    AddEntry,
    DeleteEntry,
    ListCertificate,
    MakeCertificate,
    Plan,
    Reason,
    RemoveCertificate,
    RenewCertificate,
    SetEntry,
    UnlistCertificate,
)
from tests.builders import an_observed

FIRST = Certificate(DEFAULT, "/etc/ssl/a.pem", "text of a", "AA")
SECOND = Certificate(file_of("/etc/ssl/b.pem"), "/etc/ssl/b.pem", "text of b", "BB")
OWN = Certificate(file_of("/o.pem"), "/o.pem", "text of o", "OO", listed=False)


def seen(*certificates: Certificate, ledger: dict[str, str] | None = None) -> Observed:
    """An HAProxy that has these, as they should be."""
    noted = {each.file: each.digest for each in certificates}
    observed = an_observed()
    return attrs.evolve(
        observed,
        maps={**observed.maps, CERTIFICATE_LEDGER: {**noted, **(ledger or {})}},
        certificates={
            each.file: ObservedCertificate(each.fingerprint, each.listed) for each in certificates
        },
    )


def planned(observed: Observed, *certificates: Certificate, largest: int = 1000) -> Plan:
    """The plan for these certificates."""
    desired = Desired(certificates=certificates)
    abilities = Abilities(largest_certificate=largest)
    return plan(desired, observed, Expected(), abilities=abilities)


def noted(certificate: Certificate) -> tuple[str, str, str]:
    """The ledger's entry of one."""
    return CERTIFICATE_LEDGER, certificate.file, certificate.digest


def test_what_is_there_already_needs_nothing() -> None:
    """Fingerprint, digest and place are as they should be."""
    assert planned(seen(FIRST, SECOND, OWN), FIRST, SECOND, OWN) == Plan()


def test_a_changed_certificate_is_renewed_and_then_noted() -> None:
    """In this order: one that was cut short is done again."""
    renewed = attrs.evolve(SECOND, text="new text", fingerprint="CC")

    steps = planned(seen(FIRST, SECOND), FIRST, renewed).steps

    assert steps == (RenewCertificate(renewed), SetEntry(*noted(renewed)))


def test_a_changed_chain_is_noticed_by_the_ledger() -> None:
    """HAProxy reports the same fingerprint."""
    renewed = attrs.evolve(FIRST, text="text of a, and a chain")

    assert RenewCertificate(renewed) in planned(seen(FIRST), renewed).steps


def test_what_somebody_else_changed_is_repaired() -> None:
    """The ledger knows nothing of it; the fingerprint does."""
    other = attrs.evolve(FIRST, fingerprint="EE")

    assert planned(seen(other), FIRST).steps == (RenewCertificate(FIRST),)


def test_a_new_one_is_made_filled_listed_and_noted() -> None:
    """Before anything else of a plan."""
    steps = planned(seen(FIRST), FIRST, SECOND).steps

    assert steps == (
        MakeCertificate(SECOND.file),
        RenewCertificate(SECOND),
        ListCertificate(SECOND.file),
        AddEntry(*noted(SECOND)),
    )


def test_one_that_is_gone_leaves_the_list_before_it_is_removed() -> None:
    """And its row of the ledger after it."""
    assert planned(seen(FIRST, SECOND), FIRST).steps == (
        UnlistCertificate(SECOND.file),
        RemoveCertificate(SECOND.file),
        DeleteEntry(CERTIFICATE_LEDGER, SECOND.file),
    )


def test_where_the_default_one_is_gone_the_next_takes_its_place_first() -> None:
    """Its own entry goes afterwards, so that its names are served all along."""
    moved = attrs.evolve(SECOND, file=DEFAULT)

    steps = planned(seen(FIRST, SECOND), moved).steps

    assert steps[:2] == (RenewCertificate(moved), SetEntry(*noted(moved)))
    assert steps[2] == UnlistCertificate(SECOND.file)


def test_what_a_killed_sidecar_left_half_made_is_finished() -> None:
    """An empty place is filled, one that is filled is listed."""
    empty = attrs.evolve(
        seen(FIRST, SECOND),
        certificates={
            FIRST.file: ObservedCertificate("AA", listed=True),
            SECOND.file: ObservedCertificate("", listed=False, used=False),
        },
    )

    assert planned(empty, FIRST, SECOND).steps == (
        RenewCertificate(SECOND),
        ListCertificate(SECOND.file),
    )
    assert planned(empty, FIRST).steps[:1] == (RemoveCertificate(SECOND.file),)


def test_one_that_is_too_large_for_a_command_waits_for_a_reload() -> None:
    """And says so; no part of it is sent."""
    found = planned(seen(FIRST), FIRST, SECOND, largest=5)

    reason = Reason("certificate", "/etc/ssl/b.pem is larger than HAProxy takes at run time")
    assert found == Plan(reasons=(reason,))
    assert planned(seen(FIRST, SECOND), FIRST, SECOND, largest=5) == Plan()


def test_a_service_ports_own_certificate_is_renewed_in_its_place() -> None:
    """It belongs to a bind line and to no list."""
    renewed = attrs.evolve(OWN, text="new", fingerprint="PP")

    steps = planned(seen(FIRST, OWN), FIRST, renewed).steps

    assert steps == (RenewCertificate(renewed), SetEntry(*noted(renewed)))


def test_one_that_no_bind_line_has_loaded_yet_waits_for_a_reload() -> None:
    """Only a reload makes bind lines."""
    found = planned(seen(FIRST), FIRST, OWN)

    assert found.reasons == (Reason("certificate", "/o.pem is not loaded for its service port"),)
    assert found.steps == ()


def test_one_that_a_bind_line_still_uses_goes_with_that() -> None:
    """HAProxy would refuse to remove it."""
    assert planned(seen(FIRST, OWN), FIRST).steps == (DeleteEntry(CERTIFICATE_LEDGER, OWN.file),)


def test_without_a_list_nothing_can_be_listed() -> None:
    """An HAProxy that was started without port 443."""
    reason = Reason("certificate", "the list of port 443 is not loaded")

    assert planned(seen(), FIRST, SECOND) == Plan(reasons=(reason,))


def test_where_port_443_is_given_up_its_list_goes_with_it() -> None:
    """HAProxy would not let the first one go; the frontend leaves by a reload, and all with it."""
    observed = seen(FIRST, SECOND)

    assert not any(
        isinstance(step, UnlistCertificate | RemoveCertificate) for step in planned(observed).steps
    )
