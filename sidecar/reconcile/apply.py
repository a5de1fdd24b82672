"""Sends the steps of a plan, reads every reply, and stops short where one did not come out.

Steps of one kind that follow each other go out together. A step that was refused takes along what
depends on it: whatever concerns the same server or certificate, and all that would lead traffic to
its backend or take servers out of it.
"""

import itertools
from collections.abc import Iterator, Sequence

import attrs

from sidecar.haproxy import commands
from sidecar.haproxy.capabilities import Capabilities
from sidecar.haproxy.replies import (
    Verdict,
    VerdictKind,
    judge,
    read_certificate,
    read_certificates,
    read_map,
)
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.observed import (
    BACKEND_LEDGER,
    CERTIFICATE_LEDGER,
    LEDGERS,
    SERVER_LEDGER,
    TRAIT_FILES,
)
from sidecar.plan.servers import stands_in_for
from sidecar.plan.steps import (
    AddBackend,
    AddEntry,
    AddServer,
    CertificateStep,
    DeleteBackend,
    DeleteEntry,
    DeleteServer,
    EnableServer,
    MoveServer,
    PublishBackend,
    RaiseServer,
    RenewCertificate,
    ReplaceMap,
    SetEntry,
    Step,
    StopServer,
    WeighServer,
    WithdrawBackend,
)
from sidecar.plan.traits import place_of

_MOST_OF_A_KEY = 100
_UNSAYABLE = "it holds a character that no command may have"
_SKIPPED = "not sent, since a step that it depends on did not come out"


@attrs.frozen
class Result:
    """How one step ended; `verdict` None means that it was not sent."""

    step: Step
    verdict: Verdict | None
    commands: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """One word: done, waiting, refused or skipped."""
        return self.verdict.kind.value if self.verdict else "skipped"

    @property
    def text(self) -> str:
        """HAProxy's own words, or why nothing was asked."""
        return self.verdict.text if self.verdict else _SKIPPED


@attrs.define
class _Blocked:
    """What must not be touched any more in this plan."""

    unmade: set[str] = attrs.field(factory=set)
    backends: set[str] = attrs.field(factory=set)
    servers: set[tuple[str, str]] = attrs.field(factory=set)
    certificates: set[str] = attrs.field(factory=set)

    def block(self, step: Step, verdict: Verdict) -> None:
        if (file := _certificate_of(step)) is not None:
            self.certificates.add(file)
            return
        if isinstance(step, AddBackend | PublishBackend):
            self.unmade.add(step.backend)
        if isinstance(step, WithdrawBackend | DeleteBackend):
            self.backends.add(step.backend)
        if isinstance(step, AddEntry | SetEntry) and step.file == BACKEND_LEDGER:
            self.backends.add(step.key)
        if isinstance(step, AddEntry | SetEntry | DeleteEntry) and step.file in TRAIT_FILES:
            # Nothing is led to a backend that would not treat it as it must.
            self.backends.add(place_of(step.key))
        elif isinstance(step, SetEntry | DeleteEntry) and step.file not in LEDGERS:
            # The key leads where it led before: nothing is to be taken out there.
            self.backends.add(step.was.rpartition(" ")[2])
        for server in _servers_of(step):
            self.servers.add(server)
            # A server that is still there keeps its backend from being given away, no more.
            if verdict.kind is VerdictKind.REFUSED and not isinstance(step, DeleteServer):
                self.backends.add(server[0])

    def holds(self, step: Step) -> bool:
        if (file := _certificate_of(step)) is not None:
            return file in self.certificates
        servers = _servers_of(step)
        if any(server in self.servers or server[0] in self.unmade for server in servers):
            return True
        if not self.unmade.isdisjoint(_backends_of(step)):
            return True
        if isinstance(step, StopServer | DeleteServer):
            replaced = stands_in_for(step.name)  # it goes when the one it stands for is back
            if replaced is not None and (step.backend, replaced) in self.servers:
                return True
        leaves = _is_release(step) or isinstance(step, WithdrawBackend | DeleteBackend)
        if leaves and any(backend in _backends_of(step) for backend, _ in self.servers):
            return True
        if isinstance(step, AddServer | EnableServer | MoveServer | WeighServer):
            return False
        return not self.backends.isdisjoint(_backends_of(step))


class Applier:
    """Applies plans to one HAProxy."""

    def __init__(self, state_dir: str, capabilities: Capabilities) -> None:
        self._state_dir = state_dir
        self._capabilities = capabilities

    def apply(self, steps: Sequence[Step], api: RuntimeApi) -> tuple[Result, ...]:
        """Send the steps in order; the result of each, in the same order.

        Raises:
            RuntimeUnavailableError: HAProxy does not answer; what was done is not known.
        """
        results: list[Result] = []
        blocked = _Blocked()
        for _, group in itertools.groupby(steps, key=_kind):
            for result in self._send_group(list(group), api, blocked):
                results.append(result)
                if result.verdict is None or result.verdict.kind is not VerdictKind.DONE:
                    verdict = result.verdict or Verdict(VerdictKind.WAITING, _SKIPPED)
                    blocked.block(result.step, verdict)
        return tuple(results)

    def _send_group(
        self, steps: list[Step], api: RuntimeApi, blocked: _Blocked
    ) -> Iterator[Result]:
        if isinstance(steps[0], ReplaceMap):
            held = blocked.holds(steps[0])
            yield Result(steps[0], None) if held else self._replace(steps[0], api)
            return
        if isinstance(steps[0], RenewCertificate):
            held = blocked.holds(steps[0])
            yield Result(steps[0], None) if held else self._renew(steps[0], api)
            return
        encoded = {
            place: self._encoded(step)
            for place, step in enumerate(steps)
            if not blocked.holds(step)
        }
        asked = [line for lines in encoded.values() for line in lines]
        said = api.ask_all(asked)
        if self._capabilities.deletes_one_of_many:
            _delete_the_others(asked, said, api)
        replies = iter(said)
        for place, step in enumerate(steps):
            lines = encoded.get(place)
            if lines is None:
                yield Result(step, None)
            elif not lines:
                yield Result(step, Verdict(VerdictKind.REFUSED, _UNSAYABLE))
            else:
                yield Result(step, _last_of(lines, replies), lines)

    def _encoded(self, step: Step) -> tuple[str, ...]:
        """The commands of a step; none where it cannot be said without harm to other commands."""
        try:
            return commands.encode(step, self._state_dir, self._capabilities)
        except ValueError:
            return ()

    def _replace(self, step: ReplaceMap, api: RuntimeApi) -> Result:
        """Fill a new version of a map, see that it is whole, and put it in place."""
        try:
            tuple(commands.fill(step, self._state_dir, 0))
        except ValueError:
            return Result(step, Verdict(VerdictKind.REFUSED, _UNSAYABLE))
        prepared = commands.prepare(step, self._state_dir)
        reply = api.ask(prepared)
        verdict = judge(prepared, reply)
        if verdict.kind is not VerdictKind.DONE:
            return Result(step, verdict, (prepared,))
        version = int(reply.rpartition(" ")[2])
        filled = tuple(commands.fill(step, self._state_dir, version))
        api.ask_all(filled)
        there = dict(read_map(api.ask(commands.show_map(step.file, self._state_dir, version))))
        if there != step.entries:
            found = f"{len(there)} of {len(step.entries)} entries arrived in the new table"
            return Result(step, Verdict(VerdictKind.REFUSED, found), (prepared, *filled))
        committed = commands.commit(step, self._state_dir, version)
        verdict = judge(committed, api.ask(committed))
        return Result(step, verdict, (prepared, *filled, committed))

    def _renew(self, step: RenewCertificate, api: RuntimeApi) -> Result:
        """Send a certificate, put it in place, and see that HAProxy has it."""
        # Only one change can be under way; what somebody began and left would be put in place.
        left = read_certificates(api.ask(commands.show_certificates()))[1]
        api.ask_all([commands.abort_certificate(path) for path in left])
        put = commands.put_certificate(step, self._state_dir)
        shown: tuple[str, ...] = (put.partition("\n")[0],)  # there is a key in the rest
        verdict = judge(put, api.ask(put))
        if verdict.kind is not VerdictKind.DONE:
            return Result(step, verdict, shown)
        committed = commands.commit_certificate(step, self._state_dir)
        shown = (*shown, committed)
        verdict = judge(committed, api.ask(committed))
        there = read_certificate(api.ask(commands.show_certificate(step.file, self._state_dir)))
        if verdict.kind is VerdictKind.DONE and there.fingerprint != step.certificate.fingerprint:
            verdict = Verdict(VerdictKind.REFUSED, "HAProxy has another certificate there still")
        return Result(step, verdict, shown)


def _delete_the_others(asked: Sequence[str], said: Sequence[str], api: RuntimeApi) -> None:
    """Take keys out again until HAProxy has none of them left."""
    pairs = zip(asked, said, strict=True)
    left = [line for line, reply in pairs if line.startswith("del map ") and not reply]
    for _ in range(_MOST_OF_A_KEY):
        if not left:
            return
        left = [line for line, reply in zip(left, api.ask_all(left), strict=True) if not reply]


def _last_of(group: Sequence[str], replies: Iterator[str]) -> Verdict:
    """The verdict on a step's last command; those before it only prepare it."""
    verdicts = [judge(command, next(replies)) for command in group]
    return verdicts[-1]


def _kind(step: Step) -> str:  # noqa: C901 (a flat list of cases)
    """Steps of one kind never depend on how another of the same kind ended."""
    if (file := _certificate_of(step)) is not None:
        return f"{type(step).__name__} {file}"
    match step:
        case AddBackend() | PublishBackend() | WithdrawBackend() | DeleteBackend():
            return type(step).__name__
        case RaiseServer():
            return "raise"
        case StopServer() | WeighServer(weight=0):
            return "stop"
        case DeleteServer():
            return "delete"
        case ReplaceMap(file):
            return f"replace {file}"
        case DeleteEntry(file):
            if file in TRAIT_FILES:
                return f"neglect {file}"
            return "forget" if file in {BACKEND_LEDGER, SERVER_LEDGER} else "take away"
        case AddEntry(file) | SetEntry(file) if file in TRAIT_FILES:
            return f"treat {file}"
        case AddEntry(file) | SetEntry(file):
            if file not in {BACKEND_LEDGER, SERVER_LEDGER}:
                return "route"
            return "release" if _is_release(step) else "bring in"
        case _:
            return "bring in"


def _certificate_of(step: Step) -> str | None:
    if isinstance(step, CertificateStep):
        return step.file
    if isinstance(step, AddEntry | SetEntry | DeleteEntry) and step.file == CERTIFICATE_LEDGER:
        return step.key
    return None


def _is_release(step: Step) -> bool:
    return (
        isinstance(step, SetEntry) and step.file == BACKEND_LEDGER and step.value.startswith("- ")
    )


def _servers_of(step: Step) -> frozenset[tuple[str, str]]:
    match step:
        case AddServer(backend, server):
            return frozenset({(backend, server.name)})
        case (
            EnableServer(backend, name)
            | RaiseServer(backend, name)
            | MoveServer(backend, name)
            | WeighServer(backend, name)
            | StopServer(backend, name)
            | DeleteServer(backend, name)
        ):
            return frozenset({(backend, str(name))})
        case AddEntry(file, key) | SetEntry(file, key) | DeleteEntry(file, key):
            if file == SERVER_LEDGER:
                backend, _, server_name = key.partition("/")
                return frozenset({(backend, server_name)})
    return frozenset()


def _backends_of(step: Step) -> frozenset[str]:
    """The backends that a step works on or leads to."""
    match step:
        case (
            StopServer(backend)
            | DeleteServer(backend)
            | WeighServer(backend, weight=0)
            | AddBackend(backend)
            | PublishBackend(backend)
            | WithdrawBackend(backend)
            | DeleteBackend(backend)
        ):
            return frozenset({backend})
        case DeleteEntry(file, key) if file == BACKEND_LEDGER:
            return frozenset({key})
        case AddEntry(file, key, value) | SetEntry(file, key, value):
            if file == SERVER_LEDGER:
                return frozenset()
            if file in TRAIT_FILES:
                return frozenset({place_of(key)})
            return frozenset({key if file == BACKEND_LEDGER else value.rpartition(" ")[2]})
        case ReplaceMap(_, entries):
            return frozenset(value.rpartition(" ")[2] for value in entries.values())
    return frozenset()
