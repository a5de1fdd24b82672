"""What the driver asks of whoever knows what is desired."""

from collections.abc import Collection, Mapping
from typing import Protocol

from sidecar.desired.claims import PortRules
from sidecar.desired.model import BackendName, Desired
from sidecar.marathon.schema import AppId


class Wants(Protocol):
    """Says what is desired."""

    def desired(self, ports: PortRules, incumbents: Mapping[int, BackendName]) -> Desired:
        """Everything that HAProxy should have."""

    def protected(self) -> Collection[AppId]:
        """Apps that lose nothing for now, since what they want is not known yet."""

    def refuse(self, reasons: Mapping[AppId, str]) -> None:
        """HAProxy does not take these apps' raw configuration: something else is to be wanted."""

    def refuse_templates(self, reason: str) -> None:
        """HAProxy does not take the operator's templates: the last good ones are to be wanted.

        Raises:
            UsageError: there are none.
        """

    def take(self) -> None:
        """HAProxy takes everything that is wanted now."""
