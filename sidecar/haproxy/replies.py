"""What HAProxy's replies say, as frozen values; pure. `ReplyError` where the shape is unknown.

Shapes: `doc/management.txt` of HAProxy 2.6 to 3.4, and replies recorded from the live binaries.
Of a state-changing command's reply only the expected texts count as done. Refusals differ by
version and are never listed: whatever is not expected is one, and so is `Unknown command`, which
HAProxy reports as if it were a notice.
"""

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import attrs

from sidecar.errors import ReplyError

# Bits of srv_admin_state: forced, inherited, by DNS (server without address) and by host name.
_MAINT_BITS = 0x01 | 0x02 | 0x20 | 0x40
_DRAIN_BITS = 0x08 | 0x10

_MAP_LINE = re.compile(r"-?\d+ \((?P<file>.*?)\) ")
_PROCESS_LINE = re.compile(
    r"(?P<pid>\d+)\s+(?P<type>\w+)\s+(?:\[was: \d+\]\s+)?(?P<reloads>\d+)"
    r"(?:\s+\[failed: (?P<failed>\d+)\])?\s+\S+(?:\s+(?P<version>\S+))?\s*"
)
_PROCESS = re.compile(r"^(?:Pid|Start_time_sec): ([0-9]+)$", re.MULTILINE)
_PROCESS_LINES = 2
_NO_BACKEND = "Can't find backend."
_RELOAD = re.compile(r"Success=(?P<digit>[01])(?:\n--)?(?:\n(?P<log>.*))?", re.DOTALL)


@attrs.frozen
class ServerRow:
    """A row of `show servers state`; numbers are as HAProxy writes them."""

    backend: str
    name: str
    id: int
    address: str
    port: int
    operational: int
    admin: int
    weight: int
    check_status: int
    check_state: int
    check_port: int

    @property
    def in_maint(self) -> bool:
        """Takes no traffic at all, for whatever reason."""
        return bool(self.admin & _MAINT_BITS)

    @property
    def in_drain(self) -> bool:
        """Takes only requests that persist to it."""
        return not self.in_maint and bool(self.admin & _DRAIN_BITS)

    @property
    def ready(self) -> bool:
        """Is neither in maint nor in drain; checks may still hold it down."""
        return not self.in_maint and not self.in_drain


@attrs.frozen
class Worker:
    """A worker of `show proc`; `reloads` counts those since it began."""

    pid: int
    reloads: int
    version: str = ""


@attrs.frozen
class Processes:
    """What the master runs. After a failed reload 3.2 and later list the survivor as old."""

    master_pid: int
    reloads: int
    failed_reloads: int
    workers: tuple[Worker, ...]
    old_workers: tuple[Worker, ...]


@attrs.frozen
class ReloadReply:
    """The master's answer to `reload`; `succeeded` None is the empty answer of 2.6."""

    succeeded: bool | None
    log: str


def read_info(text: str) -> Mapping[str, str]:
    """Read `show info`."""
    info = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            raise _unknown("show info", line)
        info[name] = value.strip()
    if "Version" not in info:
        raise _unknown("show info", text)
    return MappingProxyType(info)


def read_environment(text: str) -> Mapping[str, str]:
    """Read `show env`; a line without `=` goes on with the value before it."""
    environment: dict[str, str] = {}
    name = ""
    for line in text.rstrip("\n").split("\n"):
        before, equals, value = line.partition("=")
        if equals:
            name = before
            environment[name] = value
        elif name:
            environment[name] += f"\n{line}"
        else:
            raise _unknown("show env", line)
    return MappingProxyType(environment)


def read_backends(text: str) -> tuple[str, ...]:
    """Read `show backend`: the names, in HAProxy's order."""
    first, *names = text.splitlines() or [""]
    if first != "# name" or any(" " in name for name in names):
        raise _unknown("show backend", text)
    return tuple(name for name in names if name)


def read_servers(text: str) -> tuple[ServerRow, ...]:
    """Read `show servers state`."""
    return tuple(each_server(text))


def each_server(text: str) -> Iterator[ServerRow]:
    """Read `show servers state` row by row: ten thousand at once take 5 MB, which stay taken.

    Columns are found by their names.
    """
    lines = text.splitlines()
    if len(lines) < 2 or lines[0] != "1" or not lines[1].startswith("# "):  # noqa: PLR2004 - version line and header
        raise _unknown("show servers state", text)
    names = lines[1][2:].split()
    try:
        columns = [names.index(name) for name in _SERVER_COLUMNS]
        for line in lines[2:]:
            if line:
                yield _server(line.split(" "), columns)
    except (ValueError, IndexError) as error:
        raise _unknown("show servers state", f"{lines[1]} … {error}") from error


def read_servers_of(text: str) -> tuple[ServerRow, ...] | None:
    """Read `show servers state BACKEND`; None where there is no such backend."""
    return None if text.startswith(_NO_BACKEND) else read_servers(text)


def read_worker(text: str) -> tuple[str, ...]:
    """Read which process a worker is, and nothing else, out of `show info`: its pid and start."""
    found = _PROCESS.findall(text)
    if len(found) != _PROCESS_LINES:
        raise _unknown("show info", text)
    return tuple(found)


# In the order of ServerRow's fields.
_SERVER_COLUMNS = (
    "be_name",
    "srv_name",
    "srv_id",
    "srv_addr",
    "srv_port",
    "srv_op_state",
    "srv_admin_state",
    "srv_uweight",
    "srv_check_status",
    "srv_check_state",
    "srv_check_port",
)


def _server(values: Sequence[str], columns: Sequence[int]) -> ServerRow:
    backend, name, identifier, address, *numbers = [values[column] for column in columns]
    return ServerRow(backend, name, int(identifier), address, *map(int, numbers))


def read_map(text: str) -> tuple[tuple[str, str], ...]:
    """Read `show map FILE`: keys and values in HAProxy's order; a value may contain spaces."""
    return tuple(_entry(line) for line in text.split("\n") if line)


def _entry(line: str) -> tuple[str, str]:
    pointer, _, entry = line.partition(" ")
    key, _, value = entry.partition(" ")
    if not pointer.startswith("0x") or not key:
        raise _unknown("show map", line)
    return key, value


@attrs.frozen
class CertificateReply:
    """What `show ssl cert FILE` says; the fingerprint is empty where nothing is in it yet."""

    fingerprint: str
    used: bool


def read_certificates(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read `show ssl cert`: the paths that are loaded, and those with a change under way."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    under_way = tuple(line[1:] for line in lines if line.startswith("*"))
    return tuple(line for line in lines if not line.startswith("*")), under_way


def read_crt_list(text: str) -> tuple[str, ...]:
    """Read `show ssl crt-list FILE`: the paths in it; none where it is not loaded."""
    if not text.startswith("# "):
        return ()
    return tuple(line.split()[0] for line in text.splitlines()[1:] if line.strip())


def read_certificate(text: str) -> CertificateReply:
    """Read `show ssl cert FILE`."""
    fields = dict(line.partition(": ")[::2] for line in text.splitlines())
    if "Status" not in fields:
        raise _unknown("show ssl cert", text)
    return CertificateReply(fields.get("SHA1 FingerPrint", ""), fields["Status"] == "Used")


def read_processes(text: str) -> Processes:
    """Read the master's `show proc`."""
    sections: dict[str, list[re.Match[str]]] = {"": []}
    section = ""
    for line in text.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
        elif line and not line.startswith("#<PID>"):
            match = _PROCESS_LINE.fullmatch(line)
            if match is None:
                raise _unknown("show proc", line)
            sections.setdefault(section, []).append(match)
    if len(sections[""]) != 1 or sections[""][0]["type"] != "master":
        raise _unknown("show proc", text)
    return Processes(
        master_pid=int(sections[""][0]["pid"]),
        reloads=int(sections[""][0]["reloads"]),
        failed_reloads=int(sections[""][0]["failed"] or 0),
        workers=_workers(sections.get("workers", ())),
        old_workers=_workers(sections.get("old workers", ())),
    )


def _workers(rows: Sequence[re.Match[str]]) -> tuple[Worker, ...]:
    return tuple(
        Worker(pid=int(row["pid"]), reloads=int(row["reloads"]), version=row["version"] or "")
        for row in rows
    )


def read_reload(text: str) -> ReloadReply:
    """Read the master's answer to `reload`."""
    if not text.strip():
        return ReloadReply(succeeded=None, log="")
    match = _RELOAD.fullmatch(text.strip())
    if match is None:
        raise _unknown("reload", text)
    return ReloadReply(succeeded=match["digit"] == "1", log=match["log"] or "")


def _unknown(command: str, text: str) -> ReplyError:
    shown = text if len(text) <= 300 else f"{text[:300]}…"  # noqa: PLR2004 - enough to recognise it
    return ReplyError(f"HAProxy's reply to `{command}` has an unknown shape: {shown!r}")


class VerdictKind(enum.Enum):
    """How a command ended."""

    DONE = "done"
    WAITING = "waiting"  # sessions are still there: ask again later
    REFUSED = "refused"


@attrs.frozen
class Verdict:
    """How a command ended, with HAProxy's own words."""

    kind: VerdictKind
    text: str


_SILENT = r""

# The first entry whose words begin the command holds. Warnings may stand in front of the last line.
_EXPECTED: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (words, re.compile(pattern, re.DOTALL))
    for words, pattern in (
        ("add server", r"(.*\n)?New server registered\."),
        ("del server", r"(.*\n)?Server deleted\."),
        ("add backend", r"(.*\n)?New backend registered\."),
        ("del backend", r"(.*\n)?Backend deleted\."),
        ("publish backend", r"(.*\n)?Backend published\."),
        ("unpublish backend", r"(.*\n)?Backend unpublished\."),
        ("prepare map", r"New version created: \d+"),
        ("prepare acl", r"New version created: \d+"),
        ("new ssl", r"New empty .+!"),
        ("set ssl", r"(.*\n)?Transaction (created|updated) for .+!"),
        ("commit ssl", r"Committing .*Success!"),
        ("abort ssl", r"Transaction aborted for .+!"),
        ("add ssl crt-list", r"Inserting .*Success!"),
        ("del ssl crt-list", r"Entry .+ deleted in crtlist .+!"),
        ("del ssl", r"\S+ '[^'\n]+' deleted!"),
        ("wait", r"Done\."),
        ("shutdown sessions", _SILENT),
        *(
            (verb, _SILENT)
            for verb in ("set", "enable", "disable", "add", "del", "commit", "clear")
        ),
    )
)
_ADDRESS = re.compile(
    r"(IP changed from '.*|no need to change the addr.*|port changed from '.*"
    r"|no need to change the port.*) by '.*'"
)
_SET_ADDRESS = re.compile(r"set server \S+ addr ")
_WAITING = re.compile(
    r"(.*\n)?(Server still has connections attached|Wait delay expired\."
    r"|Backend still has attached streams).*",
    re.DOTALL,
)
_RELAY = re.compile(r"@!?\d+ ")


def judge(command: str, reply: str) -> Verdict:
    """Say whether the command was done, must wait for sessions to end, or was refused."""
    asked = " ".join(_RELAY.sub("", command, count=1).partition("\n")[0].split())
    text = reply.strip()
    if _expected(asked).fullmatch(text):
        return Verdict(VerdictKind.DONE, text)
    if asked.startswith(("del server ", "del backend ", "wait ")) and _WAITING.fullmatch(text):
        return Verdict(VerdictKind.WAITING, text)
    return Verdict(VerdictKind.REFUSED, text)


def _expected(asked: str) -> re.Pattern[str]:
    if _SET_ADDRESS.match(asked):
        return _ADDRESS
    for words, pattern in _EXPECTED:
        if f"{asked} ".startswith(f"{words} "):
            return pattern
    return _NOTHING


# For a command that is in no table: no reply is expected, so each is a refusal.
_NOTHING = re.compile(r"(?!)")
