"""What the package brings along for HAProxy: templates, and Lua files in the state folder."""

import hashlib
from importlib import resources
from pathlib import Path

from sidecar.errors import StateFolderError
from sidecar.haproxy.files import write_atomically
from sidecar.settings import Settings


def share_dir() -> Path:
    """The folder with `haproxy/` (templates) and `lua/`, which the package brings along."""
    return Path(str(resources.files("sidecar") / "share")).resolve()


def write_side_files(settings: Settings) -> None:
    """Write what the configuration refers to besides maps and certificates: Lua files.

    HAProxy may run in another container, or outlive the program that started it; so all that it
    reads lies in the state folder.
    """
    state_dir = Path(settings.state_dir)
    for name, text in _lua_files().items():
        target = state_dir / "lua" / name
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateFolderError(f"cannot make {target.parent}: {error.strerror}") from error
        write_atomically(target, text)


def _lua_files() -> dict[str, str]:
    """The Lua files that the package brings along, by their path below `lua/`."""
    root = share_dir() / "lua"
    return {str(file.relative_to(root)): file.read_text() for file in sorted(root.rglob("*.lua"))}


def lua_digest() -> str:
    """Changes when a Lua file does: HAProxy reads them only when it loads its configuration."""
    return hashlib.sha256(repr(sorted(_lua_files().items())).encode()).hexdigest()[:12]
