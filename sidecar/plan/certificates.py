"""The steps that bring certificates in, change them and take them out, while HAProxy runs.

HAProxy reports of a certificate only the fingerprint, not its chain; the ledger has a digest of the
whole. It is written after the change, so that one that was cut short is done again.
"""

from sidecar.desired.certificates import DEFAULT, Certificate
from sidecar.desired.model import Desired
from sidecar.plan.observed import CERTIFICATE_LEDGER, Observed
from sidecar.plan.ordering import Phases
from sidecar.plan.steps import (
    AddEntry,
    DeleteEntry,
    ListCertificate,
    MakeCertificate,
    Reason,
    RemoveCertificate,
    RenewCertificate,
    SetEntry,
    UnlistCertificate,
)

SMALLEST_LIMIT = 15_000
"""Bytes that every HAProxy takes in one command."""


def look_after(
    phases: Phases, desired: Desired, observed: Observed, *, largest: int
) -> tuple[Reason, ...]:
    """Have HAProxy serve the certificates that are desired; why only a reload brings some in.

    `largest` is how many bytes of a certificate this HAProxy takes at run time.
    """
    reasons: list[Reason] = []
    wanted = {certificate.file: certificate for certificate in desired.certificates}
    list_is_there = any(each.listed for each in observed.certificates.values())
    # The default one last: what it was until now may be on its way to a place of its own.
    for certificate in sorted(desired.certificates, key=lambda each: each.file == DEFAULT):
        there = observed.certificates.get(certificate.file)
        if certificate.listed and not list_is_there:
            reasons.append(Reason("certificate", "the list of port 443 is not loaded"))
        elif not certificate.listed and there is None:
            why = f"{certificate.source} is not loaded for its service port"
            reasons.append(Reason("certificate", why))
        elif _differs(certificate, observed) and len(certificate.text) > largest:
            why = f"{certificate.source} is larger than HAProxy takes at run time"
            reasons.append(Reason("certificate", why))
        else:
            _bring_in(phases, certificate, observed)
    _take_out(phases, wanted, observed)
    return tuple(dict.fromkeys(reasons))


def _differs(certificate: Certificate, observed: Observed) -> bool:
    there = observed.certificates.get(certificate.file)
    if there is None or there.fingerprint != certificate.fingerprint:
        return True
    return observed.maps[CERTIFICATE_LEDGER].get(certificate.file) != certificate.digest


def _bring_in(phases: Phases, certificate: Certificate, observed: Observed) -> None:
    file = certificate.file
    there = observed.certificates.get(file)
    ledger = observed.maps[CERTIFICATE_LEDGER]
    if there is None:
        phases.certificates.append(MakeCertificate(file))
    if _differs(certificate, observed):
        phases.certificates.append(RenewCertificate(certificate))
    if certificate.listed and (there is None or not there.listed):
        phases.certificates.append(ListCertificate(file))
    if file not in ledger:
        phases.certificates.append(AddEntry(CERTIFICATE_LEDGER, file, certificate.digest))
    elif ledger[file] != certificate.digest:
        phases.certificates.append(SetEntry(CERTIFICATE_LEDGER, file, certificate.digest))


def _take_out(phases: Phases, wanted: dict[str, Certificate], observed: Observed) -> None:
    """Take out what is not desired; what a bind line still uses goes with that, by a reload.

    So does the list, where none of it is desired: HAProxy serves no port without a certificate.
    """
    keeps_list = any(certificate.listed for certificate in wanted.values())
    for file, there in sorted(observed.certificates.items()):
        certificate = wanted.get(file)
        unlisted = keeps_list and there.listed and (certificate is None or not certificate.listed)
        if unlisted:
            phases.removed_certificates.append(UnlistCertificate(file))
        if certificate is None and (unlisted or not there.used):
            phases.removed_certificates.append(RemoveCertificate(file))
    for file in sorted(set(observed.maps[CERTIFICATE_LEDGER]) - set(wanted)):
        phases.removed_certificates.append(DeleteEntry(CERTIFICATE_LEDGER, file))
