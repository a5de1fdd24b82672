"""What people are told of one label, in the words that the manual and the documents use."""

from enum import Enum

import attrs


class Change(Enum):
    """How HAProxy follows a label that comes, changes or goes."""

    LIVE = "live"
    RELOAD = "one reload"
    NONE = "nothing in HAProxy"


SWITCH = "true, t, yes or y, in any case; all else is false"
FALSE = "false"
NOTHING = "none"


@attrs.frozen(kw_only=True)
class Manual:
    """What people are told of a label.

    `what` it does, the `values` that it takes, its `default`, an `example` of its text, how a
    `change` comes about, and in `but` where that is otherwise: by version of HAProxy or by setting.
    """

    what: str
    values: str
    example: str
    default: str = NOTHING
    change: Change = Change.LIVE
    but: str = ""
