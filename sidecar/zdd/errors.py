"""Why a deployment ends early; the exit codes are those of marathon-lb's zdd.py."""

from sidecar.errors import SidecarError


class DeclinedError(SidecarError):
    """Somebody said no at a prompt."""

    exit_code = 1


class StoppedError(SidecarError):
    """Something else is in the way: a deployment in progress, a hook that fails."""

    exit_code = 2


class ArgumentError(SidecarError):
    """Flags do not go together with what there is."""

    exit_code = 3


class MissingFieldError(SidecarError):
    """The app's JSON lacks something."""

    exit_code = 4


class BalancerError(SidecarError):
    """A balancer does not answer."""

    exit_code = 5


class MarathonReadError(SidecarError):
    """Marathon does not say what there is."""

    exit_code = 6


class CreateError(SidecarError):
    """The new app could not be made, or its tasks did not come into service."""

    exit_code = 7


class DeleteError(SidecarError):
    """An app could not be deleted."""

    exit_code = 8


class ScaleError(SidecarError):
    """An app could not be scaled, or its tasks not be killed."""

    exit_code = 9
