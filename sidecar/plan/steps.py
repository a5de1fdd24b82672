"""The steps of a plan: each one change of HAProxy's state, as a value without HAProxy's syntax."""

from collections.abc import Mapping

import attrs

from sidecar.desired.certificates import Certificate
from sidecar.desired.model import Server, ServerName


@attrs.frozen
class AddServer:
    """Make a server; it starts in maint."""

    backend: str
    server: Server


@attrs.frozen
class EnableServer:
    """Let a server get requests, and have its health `checked`, if it is to be.

    It gets them at once, or first waits `down` until a check has found it well.
    """

    backend: str
    name: ServerName
    checked: bool = False
    down: bool = False


@attrs.frozen
class RaiseServer:
    """Call a server healthy, whatever HAProxy's checks have found so far; they go on."""

    backend: str
    name: ServerName


@attrs.frozen
class MoveServer:
    """Give a server another address and port."""

    backend: str
    name: ServerName
    address: str
    port: int


@attrs.frozen
class WeighServer:
    """Give a server another weight."""

    backend: str
    name: ServerName
    weight: int


@attrs.frozen
class StopServer:
    """Put a server into maint: no new request, streams in progress go on."""

    backend: str
    name: ServerName


@attrs.frozen
class DeleteServer:
    """Delete a server in maint; HAProxy refuses while streams are left, unless `cut` ends them."""

    backend: str
    name: ServerName
    cut: bool = False


@attrs.frozen
class AddEntry:
    """Add a key that the map does not have."""

    file: str
    key: str
    value: str


@attrs.frozen
class SetEntry:
    """Change the value of a key that the map has; `was` is the value until now."""

    file: str
    key: str
    value: str
    was: str = attrs.field(default="", eq=False)


@attrs.frozen
class DeleteEntry:
    """Take a key out of a map; `was` is its value until now."""

    file: str
    key: str
    was: str = attrs.field(default="", eq=False)


@attrs.frozen
class ReplaceMap:
    """Put a whole table in the place of another, at one moment."""

    file: str
    entries: Mapping[str, str]


@attrs.frozen
class AddBackend:
    """Make a backend from an archetype; it gets no traffic before it is published."""

    backend: str
    archetype: str


@attrs.frozen
class PublishBackend:
    """Let a backend get traffic; no error if it does already."""

    backend: str


@attrs.frozen
class WithdrawBackend:
    """Let a backend get no more traffic; no error if it gets none."""

    backend: str


@attrs.frozen
class DeleteBackend:
    """Delete a backend that is withdrawn and has no server."""

    backend: str


@attrs.frozen
class MakeCertificate:
    """Make a place for a certificate, which is empty at first."""

    file: str


@attrs.frozen
class RenewCertificate:
    """Put certificate, chain and key in the place of those that are there, at one moment."""

    certificate: Certificate

    @property
    def file(self) -> str:
        """Its name."""
        return self.certificate.file


@attrs.frozen
class ListCertificate:
    """Have port 443 serve a certificate."""

    file: str


@attrs.frozen
class UnlistCertificate:
    """Have port 443 serve it no more."""

    file: str


@attrs.frozen
class RemoveCertificate:
    """Forget a certificate that nothing uses."""

    file: str


ServerStep = (
    AddServer | EnableServer | RaiseServer | MoveServer | WeighServer | StopServer | DeleteServer
)
MapStep = AddEntry | SetEntry | DeleteEntry | ReplaceMap
BackendStep = AddBackend | PublishBackend | WithdrawBackend | DeleteBackend
CertificateStep = (
    MakeCertificate | RenewCertificate | ListCertificate | UnlistCertificate | RemoveCertificate
)
Step = ServerStep | MapStep | BackendStep | CertificateStep


@attrs.frozen
class Reason:
    """Why a reload is needed: `kind` is of a small closed set (a metric's label), `detail` is not.

    Kinds: section, archetype, raw configuration, deployment group, spares, cookies, server options,
    port, bind, vhost, certificate, map, backend, true names, signal.
    """

    kind: str
    detail: str

    def __str__(self) -> str:
        """The words for the log and for status."""
        return f"{self.kind}: {self.detail}"


@attrs.frozen
class Plan:
    """What to send now, in order, and why a reload is needed besides."""

    steps: tuple[Step, ...] = ()
    reasons: tuple[Reason, ...] = ()

    def __bool__(self) -> bool:
        """False when HAProxy is as desired."""
        return bool(self.steps or self.reasons)
