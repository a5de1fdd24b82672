"""Finds the apps whose raw configuration HAProxy refuses, without a check for each app.

All together are checked first, since that is nearly always good. Where they do not pass, the first
of them that spoils it is sought by halves, set aside, and the rest is checked again: a check for
all, one without any, and about log2(apps) + 1 for each culprit.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import structlog

from sidecar.desired.raw import raw_apps, with_raw_of
from sidecar.desired.templates.overrides import NO_OVERRIDES
from sidecar.errors import HaproxyError, StateFolderError
from sidecar.haproxy.config import Renderer
from sidecar.marathon.schema import AppId
from sidecar.reconcile.engine import Engine
from sidecar.reconcile.narration import narrate_problems, one_line
from sidecar.reconcile.scribe import Page
from sidecar.reconcile.wants import Wants

_ALERT = re.compile(r"\[ALERT\][^:]*: (?:config : )?(?:parsing )?(?:\[[^\]]*\] ?:? ?)?(.*)")
_LONGEST_REASON = 300
_BEGINNING = 100  # of a longer one: what it is about; its end says what is wrong
_ROUNDS = 5  # what an app falls back to may be refused in its turn

log = structlog.get_logger("haproxy")


class Sieve:
    """Sifts what is desired before HAProxy is to load it."""

    def __init__(self, engine: Engine, renderer: Renderer) -> None:
        self._engine = engine
        self._renderer = renderer
        self._good = NO_OVERRIDES
        self._trouble = ""

    def sift(self, wants: Wants, page: Callable[[], Page], *, again: Callable[[], None]) -> bool:
        """Have what HAProxy refuses left as it was; whether there was any.

        `page` is what HAProxy would start from, and `again` settles it anew.
        """
        before = page().desired
        if why := self.against_templates(page()):
            wants.refuse_templates(why)
            again()
        found = sift(wants, lambda: self.refused(page()), again=again, tell=self._tell)
        if found:
            narrate_problems(before, page().desired)
        return found or bool(why)

    def _tell(self, trouble: str) -> None:
        """Tell why nothing can be checked, once for each reason."""
        if trouble and trouble != self._trouble:
            log.error("raw configuration not checked", reason=trouble)
        self._trouble = trouble

    def against_templates(self, page: Page) -> str:
        """What HAProxy says against the operator's templates without what apps bring; or nothing.

        Only templates that it has not taken yet are tried.
        """
        if page.desired.overrides == self._good or self._engine.unchecked(page.version):
            return ""
        trial = with_raw_of(page.desired, ())
        try:
            text = self._engine.complaint(self._renderer.render(trial, page.layout))
        except (HaproxyError, StateFolderError) as error:
            self._tell(one_line(error))
            return ""
        if not text:
            self._good = page.desired.overrides
        return first_alert(text) if text else ""

    def refused(self, page: Page) -> Mapping[AppId, str]:
        """The apps whose raw configuration the running HAProxy refuses, and its words.

        There are none where nothing can be checked here, or where it is not their fault.

        Raises:
            HaproxyError: the check does not answer.
            StateFolderError: the folder cannot be written.
        """
        apps = raw_apps(page.desired)
        if not apps or self._engine.unchecked(page.version):
            return {}

        def complaint(tried: Sequence[AppId]) -> str:
            """What HAProxy says against these apps' raw configuration; empty if it takes it."""
            trial = with_raw_of(page.desired, frozenset(tried))
            return self._engine.complaint(self._renderer.render(trial, page.layout))

        found = culprits(apps, complaint)
        return {app: f"HAProxy refuses it: {first_alert(text)}" for app, text in found.items()}


def sift(
    wants: Wants,
    refused: Callable[[], Mapping[AppId, str]],
    *,
    again: Callable[[], None],
    tell: Callable[[str], None],
) -> bool:
    """Have apps that are refused want something else, until all are taken; whether any were.

    `again` settles anew what is desired. A check that cannot be made is told and lets everything
    pass: the reload's own check stands behind it.
    """
    for round_number in range(_ROUNDS):
        try:
            reasons = refused()
        except (HaproxyError, StateFolderError) as error:
            tell(one_line(error))
            return round_number > 0
        tell("")
        if not reasons:
            return round_number > 0
        wants.refuse(reasons)
        again()
    return True


def culprits(
    apps: Sequence[AppId], complaint: Callable[[Sequence[AppId]], str]
) -> dict[AppId, str]:
    """The apps without which no complaint is left, each with the complaint that it adds."""
    found: dict[AppId, str] = {}
    good: list[AppId] = []
    suspects = list(apps)
    text = complaint(suspects)
    if text and complaint(()):
        return {}  # it is not theirs: also without them HAProxy refuses
    while text:
        passing, failing = 0, len(suspects)
        while failing - passing > 1:
            middle = (passing + failing) // 2
            said = complaint([*good, *suspects[:middle]])
            if said:
                failing, text = middle, said
            else:
                passing = middle
        found[suspects[passing]] = text
        good += suspects[:passing]
        suspects = suspects[failing:]
        text = complaint([*good, *suspects]) if suspects else ""
    return found


def first_alert(text: str) -> str:
    """HAProxy's own words for the first fault, without the place in a file nobody else has."""
    for line in text.splitlines():
        found = _ALERT.search(line)
        if found is not None:
            return _shortened(found[1].strip())
    return _shortened(" ".join(text.split()))


def _shortened(text: str) -> str:
    """A reason without its middle, where HAProxy lists all words that it knows."""
    if len(text) <= _LONGEST_REASON:
        return text
    return f"{text[:_BEGINNING]} … {text[-(_LONGEST_REASON - _BEGINNING) :]}"
