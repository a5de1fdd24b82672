"""Puts the packet filter back as it was: a container engine leaves its chains and policies."""

import shutil
from collections.abc import Mapping

import attrs

from tools.debian_packages import NotHadError, run

_CHAINS = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
}
_WITHIN = 20.0


@attrs.frozen
class Rules:
    """The tables that an engine writes to, by program and table, each as its program saves it."""

    tables: Mapping[tuple[str, str], str]

    @classmethod
    def now(cls) -> "Rules":
        """Read them; what cannot be read is left out."""
        found = {}
        for program in ("iptables", "ip6tables"):
            for table in _CHAINS:
                try:
                    found[program, table] = _read(program, table)
                except NotHadError:
                    continue
        return cls(found)

    def restore(self) -> None:
        """Write those that are not as they were.

        Raises:
            NotHadError: a table could not be written.
        """
        for (program, table), text in self.tables.items():
            if _read(program, table) != text:
                restore = shutil.which(f"{program}-restore") or f"{program}-restore"
                run([restore], given=text, within=_WITHIN)


def _read(program: str, table: str) -> str:
    saved = run([f"{program}-save", "-t", table], within=_WITHIN)
    return clean(saved) or blank(table)


def clean(saved: str) -> str:
    """What `iptables-save` printed, without its times and counters."""
    lines = [line for line in saved.splitlines() if not line.startswith("#")]
    lines = [line.split(" [")[0] + " [0:0]" if line[:1] == ":" else line for line in lines]
    return "".join(f"{line}\n" for line in lines)


def blank(table: str) -> str:
    """A table that was never used."""
    chains = "".join(f":{chain} ACCEPT [0:0]\n" for chain in _CHAINS[table])
    return f"*{table}\n{chains}COMMIT\n"
