"""The page at `/`, its news for scripts at `/live`, the explanations, and what both look like."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib import resources

import attrs

from sidecar.channels import Published
from sidecar.errors import SidecarError, UsageError
from sidecar.explain.values import Explanation
from sidecar.reconcile.status import Status
from sidecar.web.page import view
from sidecar.web.page.catalogue import Catalogues
from sidecar.web.page.rendering import Rendering, Shown
from sidecar.web.page.sampler import Sampler
from sidecar.web.pages import Answer, Pages, Request

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HTML = "text/html; charset=utf-8"
_FILES = {"/page.css": "text/css", "/page.js": "text/javascript", "/page.svg": "image/svg+xml"}
_LONGEST = 200
_MOST_OPEN = 20
_LONGEST_KNOWN = 8_000


class StatusPages:
    """Shows a status to browsers, with and without scripts."""

    def __init__(
        self,
        published: Published[Status],
        sampler: Sampler,
        explain: Callable[[str], Explanation],
        troubles: Callable[[], Mapping[str, str]] = dict,
        *,
        poll: float = 0.0,
    ) -> None:
        """Take where the status is, who counts, who explains, and what else may be wrong.

        `poll` is in seconds, 0 where Marathon's events are followed.
        """
        self._poll = poll
        self._published = published
        self._sampler = sampler
        self._explain = explain
        self._troubles = troubles
        self._catalogues = Catalogues()
        self._rendering = Rendering()

    def pages(self) -> Pages:
        """All pages, by path."""
        files = {path: _file(path, kind) for path, kind in _FILES.items()}
        return {"/": self._page, "/live": self._live, "/explain": self._explained, **files}

    def _page(self, request: Request) -> Answer:
        return _html(self._rendering.whole(self._shown(request)))

    def _live(self, request: Request) -> Answer:
        known = request.query.get("known", "")[:_LONGEST_KNOWN].split(".")
        return Answer.of_json(self._rendering.news(self._shown(request), frozenset(known)))

    def _shown(self, request: Request) -> Shown:
        asked, status = _asked(request.query), self._published.get()
        catalogue = self._catalogues.of(status)
        samples = self._sampler.look(view.watched(asked, catalogue))
        page = view.page(asked, catalogue, status, samples)
        return Shown(
            attrs.evolve(asked, page=page.number),
            status,
            view.totals(catalogue, samples),
            page,
            tuple(view.warnings(status, self._troubles())),
            time.time(),
            self._poll,
        )

    def _explained(self, request: Request) -> Answer:
        asked = request.query.get("url", "")
        told, trouble, status = None, "", HTTPStatus.OK
        try:
            told = self._explain(asked) if asked.strip() or _wants_json(request) else None
        except UsageError as error:
            trouble, status = str(error), HTTPStatus.BAD_REQUEST
        except SidecarError as error:
            trouble, status = str(error), HTTPStatus.SERVICE_UNAVAILABLE
        if _wants_json(request):
            return Answer.of_json(attrs.asdict(told) if told else {"message": trouble}, status)
        return _html(self._rendering.explanation(asked, told, trouble), status)


def _asked(query: Mapping[str, str]) -> view.Asked:
    """What is asked for; whatever makes no sense is left away."""
    kind, number = query.get("show", ""), query.get("page", "")
    opened = (app_id for app_id in query.get("open", "").split(",") if app_id)
    return view.Asked(
        query.get("q", "")[:_LONGEST].strip(),
        kind if kind in view.KINDS else view.KINDS[0],
        int(number) if number.isascii() and number.isdecimal() and len(number) < 7 else 1,  # noqa: PLR2004 (digits)
        tuple(dict.fromkeys(opened))[:_MOST_OPEN],
    )


def _wants_json(request: Request) -> bool:
    """Whether whoever asks is no browser: those say first that they want HTML."""
    return "text/html" not in request.accept


def _html(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(body, _HTML, status, (("Content-Security-Policy", _POLICY),))


def _file(path: str, kind: str) -> Callable[[Request], Answer]:
    body = resources.files("sidecar.web.page").joinpath(f"static{path}").read_bytes()
    answer = Answer(body, f"{kind}; charset=utf-8")
    return lambda _: answer
