"""The table of the labels of a whole app, with their manuals; whoever uses one reads it."""

import attrs

from sidecar.desired.label_manual import Change, Manual


@attrs.frozen
class AppLabel:
    """A label of a whole app, and its manual."""

    name: str
    manual: Manual


APP_LABELS: tuple[AppLabel, ...] = (
    AppLabel(
        "HAPROXY_GROUP",
        Manual(
            what="The balancers that take the app: those with --group of one of these names.",
            values="names of groups, separated by commas",
            default="none: only a balancer with --group '*' takes it",
            example="external",
        ),
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_GROUP",
        Manual(
            what="The service that the app is a version of: two apps of a group are one backend.",
            values="a name, written like an app id",
            example="shop",
            but="Before HAProxy 3.4 the first app of a group is one reload.",
        ),
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_STARTED_AT",
        Manual(
            what="When the app was deployed; the later one is the new version.",
            values="a time of ISO 8601, UTC if it names no zone",
            default="the earliest time there is",
            example="2026-01-31T10:00:00",
        ),
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_TARGET_INSTANCES",
        Manual(
            what="How many tasks of both versions stay in service while the new ones come; read"
            " beside NEW_INSTANCES.",
            values="a number",
            default="1",
            example="3",
        ),
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_NEW_INSTANCES",
        Manual(
            what="How many of them are to be of the new version, for zdd; with it the app that was"
            " scaled last is the new one.",
            values="a number",
            example="0",
        ),
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_ALT_PORT",
        Manual(
            what="The service port that zdd gives the app every other time.",
            values="a port",
            example="10008",
            change=Change.NONE,
        ),
    ),
    AppLabel(
        "HAPROXY_DEPLOYMENT_COLOUR",
        Manual(
            what="A note that zdd writes: which of the two versions this is.",
            values="blue or green",
            example="blue",
            change=Change.NONE,
        ),
    ),
    AppLabel(
        "HAPROXY_APP_ID",
        Manual(
            what="A note that zdd writes: the id of both versions, without a colour.",
            values="an app id",
            example="/shop",
            change=Change.NONE,
        ),
    ),
)
