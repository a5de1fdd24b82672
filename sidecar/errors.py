"""Every error this project raises on purpose, each saying who is at fault.

A message is one sentence for the operator: what failed, and what to do about it. Bad input from one
app is never an error here; it is a `Problem` of that app (see `sidecar.desired.model`).
"""


class SidecarError(Exception):
    """The root; raised only through its leaves."""

    exit_code = 1


class UsageError(SidecarError):
    """A setting or argument cannot be used."""

    exit_code = 2


class StateFolderError(SidecarError):
    """The state folder cannot be used: missing rights, no space, or held by another sidecar."""

    exit_code = 2


class MarathonError(SidecarError):
    """Marathon did not give what was asked for."""


class MarathonUnreachableError(MarathonError):
    """No endpoint answered in time."""


class MarathonRefusedError(MarathonError):
    """Marathon answered, but with a refusal (4xx other than 404)."""


class MarathonLockedError(MarathonRefusedError):
    """Marathon refused since a deployment of the app is in progress (409)."""


class MarathonAnswerError(MarathonError):
    """The answer is not what the API documents: no JSON, half of it, or of another shape."""


class StreamEndedError(MarathonError):
    """The event stream ended, went silent, or sent what cannot be read."""


class HaproxyError(SidecarError):
    """HAProxy did not do what was asked."""


class RuntimeUnavailableError(HaproxyError):
    """The stats socket could not be reached, or did not answer in time."""


class ReplyError(HaproxyError):
    """HAProxy's reply has a shape that we do not know."""


class MasterUnavailableError(HaproxyError):
    """The master socket could not be reached, or did not answer in time."""


class ReloadFailedError(HaproxyError):
    """The master refused or failed a reload; the old worker goes on."""


class ConfigurationRejectedError(HaproxyError):
    """A new configuration did not pass its checks; the last good one stays."""
