"""The page's HTML: whole, and in parts that each have a digest, of which a browser asks for news.

Everything is escaped by jinja2's autoescape; what labels say is text, never markup.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlencode

import attrs
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sidecar.explain.values import Explanation
from sidecar.reconcile.status import Status
from sidecar.web.page.view import KINDS, Asked, Page, Plans, Totals, plans

_NONE = "\u2013"
_DIGEST = 8
_LONG = 28  # characters
_CYCLES_SHOWN = 12
_PROBLEMS_SHOWN = 100
_NOTICES_SHOWN = 30


@attrs.frozen
class Part:
    """A piece of the page that is replaced as a whole; `id` is its element's."""

    id: str
    html: Markup
    digest: str


@attrs.frozen
class Shown:
    """All that one page shows."""

    asked: Asked
    status: Status
    totals: Totals
    page: Page
    warnings: tuple[tuple[str, str], ...]
    now: float
    poll: float = 0.0
    """Seconds between fetches where no events are followed."""

    @property
    def plans(self) -> tuple[Plans, ...]:
        """The last plans, equal ones that follow each other as one."""
        return plans(self.status.history.cycles)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the head counts: problems, and apps that no server serves."""
        t = self.totals
        problems = f"{t.problems} problem{'s' if t.problems != 1 else ''}"
        down = f"{t.down} app{'s' if t.down != 1 else ''} down"
        return tuple(text for count, text in ((t.problems, problems), (t.down, down)) if count)


class Rendering:
    """Renders for several threads."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("sidecar.web.page", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            moment=_moment, explained=_explained, number=_number, took=_took, breakable=_breakable
        )
        self._environment.globals.update(
            link=link,
            KINDS=KINDS,
            CYCLES=_CYCLES_SHOWN,
            PROBLEMS=_PROBLEMS_SHOWN,
            NOTICES=_NOTICES_SHOWN,
        )

    def whole(self, shown: Shown) -> bytes:
        """The page for a browser that has nothing yet."""
        parts = self.parts(shown)
        template = self._environment.get_template("status.html.j2")
        return _encoded(template.render(vars_of(shown, parts)))

    def parts(self, shown: Shown) -> tuple[Part, ...]:
        """The parts of the page, in its order; those of apps have ids that begin with `app:`."""
        macros = self._environment.get_template("parts.html.j2").module
        found = [
            _part(name, getattr(macros, name)(shown))
            for name in ("state", "tiles", "warnings", "pager", "problems", "cycles", "reloads")
        ]
        render_app = getattr(macros, "app")  # noqa: B009 (a macro, which no type knows)
        apps = [_part(f"app:{app.id}", render_app(app, shown.asked)) for app in shown.page.apps]
        return (*found, *apps)

    def news(self, shown: Shown, known: Collection[str]) -> dict[str, Any]:
        """What a browser has to change that knows parts with these digests."""
        parts = self.parts(shown)
        return {
            "now": shown.now,
            "order": [[part.id, part.digest] for part in parts],
            "parts": {part.digest: part.html for part in parts if part.digest not in known},
        }

    def explanation(self, asked: str, told: Explanation | None, trouble: str) -> bytes:
        """The page that explains."""
        template = self._environment.get_template("explain.html.j2")
        return _encoded(template.render(asked=asked, told=told, trouble=trouble))


def vars_of(shown: Shown, parts: Collection[Part]) -> Mapping[str, Any]:
    """What the template of the whole page names."""
    by_id = {part.id: part for part in parts}
    apps = [part for part in parts if part.id.startswith("app:")]
    return {"shown": shown, "parts": by_id, "apps": apps}


def link(asked: Asked, **changes: Any) -> str:  # noqa: ANN401 (fields of Asked)
    """The address of the page with something asked otherwise."""
    other = attrs.evolve(asked, **changes)
    query = {"q": other.text, "show": other.kind if other.kind != "all" else ""}
    query |= {"page": str(other.page) if other.page > 1 else "", "open": ",".join(other.open)}
    given = {key: text for key, text in query.items() if text}
    return f"/?{urlencode(given, errors='replace')}" if given else "/"


def _part(name: str, html: str) -> Part:
    text = Markup(str(html).strip())  # noqa: S704 (what a template with autoescape gave)
    digest = hashlib.sha256(f"{name}\n{text}".encode("utf-8", "replace")).hexdigest()
    return Part(name, text, digest[:_DIGEST])


def _breakable(name: str) -> Markup:
    """A long name that a browser may break where a person would."""
    parts = re.split(r"(?<=[^/.][/.])", name) if len(name) > _LONG else [name]
    return Markup("<wbr>").join(parts)


def _explained(asked: str) -> str:
    """The address of an explanation."""
    return f"/explain?{urlencode({'url': asked}, errors='replace')}"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _utc(moment: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment, dt.UTC)


def _iso(moment: float) -> str:
    return _utc(moment).isoformat(timespec="seconds")


def _clock(moment: float) -> str:
    return f"{_utc(moment):%H:%M:%S}"


def _moment(moment: float | None) -> Markup:
    """A point in time; a script turns it into an age."""
    if moment is None:
        return Markup("never")
    return Markup('<time datetime="{}" data-at="{:.0f}">{} UTC</time>').format(
        _iso(moment), moment, _clock(moment)
    )


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}".replace(",", "\u202f")


def _took(seconds: float | None) -> str:
    if seconds is None:
        return _NONE
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
