"""What a page of the operator's port is: a path, and a function from a request to an answer.

A page is added by a row in the table that `sidecar.app` gives to the listener. It answers at once
from values that others have published: it never waits for the writer, and never streams.
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Self

import attrs


@attrs.frozen
class Request:
    """What a page may look at; of a parameter that is given twice the last value counts."""

    path: str
    query: Mapping[str, str] = attrs.field(factory=dict)
    accept: str = ""
    """The kinds of answers that the client takes, as it says it."""


@attrs.frozen
class Answer:
    """What goes back; `headers` are those besides type and length."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_text(cls, text: str, status: HTTPStatus = HTTPStatus.OK) -> Self:
        """Lines for a person."""
        return cls(text.encode("utf-8", "replace"), status=status)

    @classmethod
    def of_json(cls, value: Any, status: HTTPStatus = HTTPStatus.OK) -> Self:  # noqa: ANN401 (JSON)
        """A value for a program."""
        return cls((json.dumps(value) + "\n").encode(), "application/json", status)


Page = Callable[[Request], Answer]
Pages = Mapping[str, Page]
"""Pages by their path, which has to be equal: /metrics has nothing below it."""
