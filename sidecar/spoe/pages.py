"""The page that says why there is no answer; nothing of the request is in it."""

import enum
import html
import json

import attrs


class Form(enum.Enum):
    """How a page is written; each value is the word that HAProxy picks the content type by."""

    TEXT = "text"
    HTML = "html"
    JSON = "json"


_MOST_TYPES = 20
_EARLIER_IS_BETTER = 1e-6
_FORMS = {
    "text/html": Form.HTML,
    "application/xhtml+xml": Form.HTML,
    "application/json": Form.JSON,
    "application/problem+json": Form.JSON,
    "text/plain": Form.TEXT,
}


@attrs.frozen
class Cause:
    """Why there is no answer: a word for programs, a sentence for people, and the status.

    `retry` is when to ask again, in seconds.
    """

    word: str
    title: str
    sentence: str
    status: int
    retry: int


UNKNOWN_HOST = Cause(
    "unknown-host", "Unknown host", "No app is served under this host name and path.", 404, 60
)
UNKNOWN_APP = Cause("unknown-app", "Unknown app", "No app is served under this app id.", 404, 60)
UNUSABLE = Cause(
    "no-usable-task",
    "No usable task",
    "The app is known, and none of its tasks can take requests at the moment.",
    503,
    5,
)
ASLEEP = Cause(
    "scaled-to-zero", "Scaled to zero", "The app is known, and is scaled to no instance.", 503, 30
)
LEFT_OUT = Cause(
    "app-not-served",
    "Not served",
    "The app is known, and is not served as long as it asks for what cannot be had.",
    503,
    30,
)
COMING = Cause(
    "coming", "Not ready yet", "The app is known, and its first task is being brought in.", 503, 1
)
HELD = Cause(
    "held",
    "Not certain",
    "What is known of the apps is held back until it is certain; this one may be among them.",
    503,
    5,
)
STARTING = Cause(
    "starting", "Starting", "The balancer has not learnt yet which apps there are.", 503, 2
)
CAUSES = (UNKNOWN_HOST, UNKNOWN_APP, UNUSABLE, ASLEEP, LEFT_OUT, COMING, HELD, STARTING)


def form_for(accept: str) -> Form:
    """The form that a client likes best, by its Accept header; text where it says nothing."""
    best, form = 0.0, Form.TEXT
    for position, item in enumerate(accept.split(",")[:_MOST_TYPES]):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        liked = _quality(parameters) - position * _EARLIER_IS_BETTER
        if kind in _FORMS and liked > best:
            best, form = liked, _FORMS[kind]
    return form


def _quality(parameters: list[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def page(cause: Cause, form: Form, *, status: int) -> str:
    """The body of the answer, one line; HAProxy ends a text's, since 2.6 would spell ours %0A."""
    match form:
        case Form.JSON:
            told = {"status": status, "reason": cause.word, "message": cause.sentence}
            return json.dumps(told)
        case Form.HTML:
            title = html.escape(f"{status} {cause.title}")
            return (
                f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}'
                f"</title></head><body><h1>{title}</h1><p>{html.escape(cause.sentence)}</p>"
                "</body></html>"
            )
    return f"{status} {cause.title}: {cause.sentence}"
