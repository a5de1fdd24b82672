"""Steps in the words of HAProxy's Runtime API.

The last guard stands here: a word that could end a command or begin another never gets through,
wherever it came from. Syntax: HAProxy's management manual, section 9.3.
"""

import re
from collections.abc import Iterator, Mapping
from typing import assert_never

from sidecar.desired.certificates import CRT_LIST
from sidecar.haproxy.capabilities import Capabilities
from sidecar.plan.steps import (
    AddBackend,
    AddEntry,
    AddServer,
    DeleteBackend,
    DeleteEntry,
    DeleteServer,
    EnableServer,
    ListCertificate,
    MakeCertificate,
    MoveServer,
    PublishBackend,
    RaiseServer,
    RemoveCertificate,
    RenewCertificate,
    ReplaceMap,
    SetEntry,
    Step,
    StopServer,
    UnlistCertificate,
    WeighServer,
    WithdrawBackend,
)

_WORD = re.compile(r"[!$-&(-:=?-\[\]-~@<>*]+")  # printable, without space " # ' ; \
_LONGEST_WORD = 2000  # so that no command outgrows HAProxy's buffer, which ends the conversation
_LARGEST_PAYLOAD = 8000  # bytes; 2.6 drops one that exceeds its buffer without a word


def encode(  # noqa: C901, PLR0912 (a flat list of cases)
    step: Step,
    state_dir: str,
    capabilities: Capabilities,
) -> tuple[str, ...]:
    """The commands of one step; the step is done when the last one is.

    What takes a conversation is not said here: a whole table (`prepare`, `fill`, `commit`), and a
    certificate's content (`put_certificate`, `commit_certificate`).

    Raises:
        ValueError: a name or value could be taken for more than one word.
    """
    match step:
        case AddServer(backend, server):
            words = ["add", "server", f"{backend}/{server.name}"]
            words += [_socket_address(server.address, server.port), "id", str(server.id)]
            words += ["weight", str(server.weight)] if server.weight != 1 else []
            words += ["cookie", server.cookie] if server.cookie else []
            return (_command(*words, *server.keywords),)
        case EnableServer(backend, name, checked, down):
            # `check` alone does nothing at a server that came at run time.
            checks = [_command("enable", "health", f"{backend}/{name}")] if checked else []
            # `health down` before `ready` would be forgotten.
            after = [_health(backend, name, "down")] if down else []
            return (*checks, _state(backend, name, "ready"), *after)
        case RaiseServer(backend, name):
            return (_health(backend, name, "up"),)
        case StopServer(backend, name):
            return (_state(backend, name, "maint"),)
        case MoveServer(backend, name, address, port):
            target = f"{backend}/{name}"
            return (_command("set", "server", target, "addr", address, "port", str(port)),)
        case WeighServer(backend, name, weight):
            return (_command("set", "server", f"{backend}/{name}", "weight", str(weight)),)
        case DeleteServer(backend, name, cut):
            return _delete(backend, name, capabilities, cut=cut)
        case AddBackend(backend, archetype):
            return (_command("add", "backend", backend, "from", archetype),)
        case PublishBackend(backend):
            return (_command("publish", "backend", backend),)
        case WithdrawBackend(backend):
            return (_command("unpublish", "backend", backend),)
        case DeleteBackend(backend):
            return (_command("del", "backend", backend),)
        case AddEntry(file, key, value):
            return (_entry("add", state_dir, file, key, value),)
        case SetEntry(file, key, value):
            return (_entry("set", state_dir, file, key, value),)
        case DeleteEntry(file, key):
            return (_command("del", "map", f"{state_dir}/{file}", key),)
        case MakeCertificate() | ListCertificate() | UnlistCertificate() | RemoveCertificate():
            return (_certificate(step, state_dir),)
        case RenewCertificate() | ReplaceMap():
            raise ValueError("this takes a conversation")
        case _:
            assert_never(step)


def prepare(step: ReplaceMap, state_dir: str) -> str:
    """Open a new version of a map; the reply names it."""
    return _command("prepare", "map", f"{state_dir}/{step.file}")


def fill(step: ReplaceMap, state_dir: str, version: int) -> Iterator[str]:
    """The entries of the new version, in payloads that fit HAProxy's buffer."""
    head = f"{_command('add', 'map', f'@{version}', f'{state_dir}/{step.file}')} <<"
    for chunk in _chunks(step.entries):
        yield f"{head}\n{chunk}\n"


def commit(step: ReplaceMap, state_dir: str, version: int) -> str:
    """Put the new version in the old one's place."""
    return _command("commit", "map", f"@{version}", f"{state_dir}/{step.file}")


def show_map(file: str, state_dir: str, version: int | None = None) -> str:
    """Ask for all entries of a map, or of a version in the making."""
    at = [] if version is None else [f"@{version}"]
    return _command("show", "map", *at, f"{state_dir}/{file}")


def show_servers(backend: str) -> str:
    """The command that lists the servers of one backend."""
    return _command("show", "servers", "state", backend)


def show_certificates() -> str:
    """Ask which certificates are loaded."""
    return _command("show", "ssl", "cert")


def show_crt_list(state_dir: str) -> str:
    """Ask which of them port 443 serves."""
    return _command("show", "ssl", "crt-list", _file(CRT_LIST, state_dir))


def show_certificate(file: str, state_dir: str) -> str:
    """Ask what is in one."""
    return _command("show", "ssl", "cert", _file(file, state_dir))


def abort_certificate(path: str) -> str:
    """Drop what was sent for a certificate, by its path, and never put in place."""
    return _command("abort", "ssl", "cert", path)


def put_certificate(step: RenewCertificate, state_dir: str) -> str:
    """Send a certificate's new content; its first line alone may be shown to anybody."""
    return (
        f"{_command('set', 'ssl', 'cert', _file(step.file, state_dir))} <<\n{step.certificate.text}"
    )


def commit_certificate(step: RenewCertificate, state_dir: str) -> str:
    """Put that in place."""
    return _command("commit", "ssl", "cert", _file(step.file, state_dir))


def _certificate(
    step: MakeCertificate | ListCertificate | UnlistCertificate | RemoveCertificate, state_dir: str
) -> str:
    file, crt_list = _file(step.file, state_dir), _file(CRT_LIST, state_dir)
    match step:
        case MakeCertificate():
            return _command("new", "ssl", "cert", file)
        case ListCertificate():
            return _command("add", "ssl", "crt-list", crt_list, file)
        case UnlistCertificate():
            return _command("del", "ssl", "crt-list", crt_list, file)
        case RemoveCertificate():
            return _command("del", "ssl", "cert", file)
        case _:
            assert_never(step)


def _file(name: str, state_dir: str) -> str:
    return f"{state_dir}/{name}"


def _delete(backend: str, name: str, capabilities: Capabilities, *, cut: bool) -> tuple[str, ...]:
    target = f"{backend}/{name}"
    commands: list[str] = []
    if cut:
        commands.append(_command("shutdown", "sessions", "server", target))
        if capabilities.late_idle_connections:
            commands += [_state(backend, name, "drain"), _state(backend, name, "maint")]
    return (*commands, _command("del", "server", target))


def _health(backend: str, name: str, health: str) -> str:
    return _command("set", "server", f"{backend}/{name}", "health", health)


def _state(backend: str, name: str, state: str) -> str:
    return _command("set", "server", f"{backend}/{name}", "state", state)


def _entry(verb: str, state_dir: str, file: str, key: str, value: str) -> str:
    words = value.split(" ")
    return f"{_command(verb, 'map', f'{state_dir}/{file}', key)} " + r"\ ".join(
        _word(word) for word in words
    )


def _socket_address(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _chunks(entries: Mapping[str, str]) -> Iterator[str]:
    chunk = ""
    for key, value in sorted(entries.items()):
        # A payload line without a value swallows the next line; _word refuses an empty one.
        line = f"{_word(key)} {' '.join(_word(word) for word in value.split(' '))}\n"
        if chunk and len(chunk) + len(line) > _LARGEST_PAYLOAD:
            yield chunk
            chunk = ""
        chunk += line
    if chunk:
        yield chunk


def _command(*words: str) -> str:
    return " ".join(_word(word) for word in words)


def _word(text: str) -> str:
    if not _WORD.fullmatch(text) or "<<" in text or len(text) > _LONGEST_WORD:
        raise ValueError(f"{text!r} is not one word of a command")
    return text
