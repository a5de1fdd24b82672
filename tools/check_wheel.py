"""Builds the wheel, installs it beside the checkout, and has its command render the skeleton.

    .venv/bin/python tools/check_wheel.py

The templates and the Lua files are links in the checkout; the wheel has to hold them as files.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
_BROUGHT = (
    *("share/haproxy/haproxy.cfg.j2", "share/lua/endpoints.lua"),
    *("web/page/templates/status.html.j2", "web/page/static/page.js"),
)
_TIMEOUT = 300


def main() -> int:
    """Check the wheel; say in one sentence what is wrong with it, or that it is whole."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(*_PIP, "wheel", ".", "--no-deps", "--wheel-dir", str(folder))
        wheel = next(folder.glob("*.whl"))
        installed = folder / "installed"
        _run(*_PIP, "install", "--no-deps", "--target", str(installed), str(wheel))
        package = installed / "sidecar"
        missing = [each for each in _BROUGHT if not (package / each).is_file()]
        if missing:
            print(f"the wheel lacks {', '.join(missing)}", file=sys.stderr)
            return 1
        text = _render(installed, folder)
    if str(Path.cwd()) in text or "frontend" not in text:
        print("the installed wheel renders no skeleton of its own", file=sys.stderr)
        return 1
    print(f"{wheel.name} is whole")
    return 0


def _render(installed: Path, folder: Path) -> str:
    """The skeleton as the installed command shows it, away from the checkout."""
    command = installed / "bin" / "mlb-sidecar"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return _run(str(command), "render", "--skeleton", cwd=folder, env=environment)


def _run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
