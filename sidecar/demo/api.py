"""The REST API without HTTP: a request as a value in, an answer as a value out."""

import json
import urllib.parse
from collections.abc import Callable, Mapping

import attrs

from sidecar.demo.complaints import RefusalError
from sidecar.demo.tasks import Json


@attrs.frozen
class Request:
    """One REST request; `path` is without the query."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]]
    body: bytes = b""
    client: str = ""

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a parameter; `name[]` is another spelling of it."""
        return self.query.get(name, ()) + self.query.get(f"{name}[]", ())

    def flag(self, name: str) -> bool:
        """Whether a parameter is true."""
        return self.values(name)[-1:] == ("true",)

    def json(self) -> object:
        """The body.

        Raises:
            RefusalError: it is no JSON.
        """
        try:
            value: object = json.loads(self.body)
        except ValueError as error:
            raise RefusalError(400, "Invalid JSON", [("/", str(error))]) from error
        return value


@attrs.frozen
class Answer:
    """What goes back: a status, a JSON value or text, and headers of its own."""

    status: int
    body: object = None
    text: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def payload(self) -> tuple[bytes, str]:
        """The bytes and their type."""
        if self.text is not None:
            return self.text.encode(), "text/plain;charset=utf-8"
        return json.dumps(self.body, separators=(",", ":")).encode(), "application/json"


def request(method: str, target: str, *, body: bytes = b"", client: str = "") -> Request:
    """Read a request's target."""
    path, _, query = target.partition("?")
    parameters: dict[str, tuple[str, ...]] = {}
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        parameters[name] = (*parameters.get(name, ()), value)
    return Request(method, urllib.parse.unquote(path), parameters, body=body, client=client)


# A route takes the request and the parts of the path that its pattern names.
Action = Callable[[Request, Mapping[str, str]], Answer]


def message(status: int, text: str, **more: str) -> Answer:
    """An answer that is only a message."""
    body: Json = {"message": text, **more}
    return Answer(status, body)
