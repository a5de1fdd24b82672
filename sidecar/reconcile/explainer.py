"""Answers what other threads ask, from what the writer knows and what HAProxy counts now."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import attrs

from sidecar.channels import Published
from sidecar.errors import HaproxyError, SidecarError
from sidecar.explain.explanation import backends_of, explain
from sidecar.explain.facts import Facts, Load, Loads
from sidecar.explain.question import ByHost, Doors, read_question
from sidecar.explain.servers import place_of
from sidecar.explain.values import Explanation
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.haproxy.statistics import SERVERS, read_stat, show_stat
from sidecar.reconcile.derivation import Derivation
from sidecar.reconcile.evidence import facts_of, scene_of
from sidecar.reconcile.loop import Look, Message
from sidecar.reconcile.status import Status

_PATIENCE = 5.0
_SPACING = 0.05
_MOST_ASKED = 50


class BusyError(SidecarError):
    """The writer did not come to answer."""


class Explainer:
    """One answer at a time, and few a second, so that the writer is not kept from its work."""

    def __init__(
        self,
        put: Callable[[Message], None],
        published: Published[Status],
        connect: Callable[[], RuntimeApi],
        doors: Doors,
        *,
        unmatched: Callable[[str, str], str] | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        """Take how to reach the writer, and HAProxy; `patience` is in seconds.

        `unmatched` says what HAProxy does with a host and a path that no rule matches.
        """
        self._unmatched = unmatched
        self._patience = patience
        self._put = put
        self._published = published
        self._connect = connect
        self._doors = doors
        self._one = threading.Lock()
        self._not_before = 0.0

    def explain(self, asked: str) -> Explanation:
        """The answer to what somebody asks.

        Raises:
            UsageError: it is nothing that can be asked.
            BusyError: nothing is known in time.
        """
        question = read_question(asked, self._doors)
        if not self._one.acquire(timeout=self._patience):
            raise BusyError("others ask too much at the moment; try again")
        try:
            time.sleep(max(0.0, self._not_before - time.monotonic()))
            facts = self._facts(lambda derivation: facts_of(question, derivation))
            scene = attrs.evolve(scene_of(self._published.get()), doors=self._doors)
            if self._unmatched is not None and isinstance(question, ByHost):
                unmatched = self._unmatched(question.host, question.path)
                scene = attrs.evolve(scene, unmatched=unmatched)
            names = backends_of(question, facts, scene)
            places = [place for name in names if (place := place_of(scene, name))]
            return explain(question, facts, scene, self._loads(places[:_MOST_ASKED]))
        finally:
            self._not_before = time.monotonic() + _SPACING
            self._one.release()

    def _facts(self, see: Callable[[Derivation], Facts]) -> Facts:
        answer: Future[Facts] = Future()

        def look(derivation: Derivation) -> None:
            try:
                answer.set_result(see(derivation))
            except Exception as error:  # noqa: BLE001 (it is the asker's, and no end of the writer)
                answer.set_exception(error)

        self._put(Look(look))
        try:
            return answer.result(self._patience)
        except TimeoutError as error:
            raise BusyError(f"the sidecar was busy for {self._patience:g} s; try again") from error

    def _loads(self, places: Sequence[str]) -> Loads:
        """What HAProxy says of the servers of these backends; nothing where it does not answer."""
        if not places:
            return {}
        try:
            with self._connect() as api:
                texts = api.ask_all([show_stat(place, SERVERS) for place in places])
                rows = [row for text in texts for row in read_stat(text)]
        except HaproxyError:
            return {}
        return {(row.proxy, row.name): Load(row.streams, row.status, row.check) for row in rows}
