"""Takes packages of any of Debian's suites, by the mirror that apt is configured for here.

Nothing is installed: apt gets a state of its own in a folder, and the packages are unpacked beside
it.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_APT_TAKES = 300.0


class NotHadError(Exception):
    """What cannot be had here; the text says why."""


def find_mirror(targets: str) -> str:
    """Debian's own mirror among what `apt-get indextargets` lists, one `URI suite` a line.

    Raises:
        NotHadError: none is configured.
    """
    for line in targets.splitlines():
        uri, _, _ = line.partition(" ")
        if re.search(r"/debian/?$", uri):
            return uri
    raise NotHadError("apt is configured for no mirror of Debian here")


def mirror() -> str:
    """The mirror that apt is configured for here.

    Raises:
        NotHadError: there is none, or no apt.
    """
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"]
    return find_mirror(run([*targets, "Created-By: Packages"]))


def source_lines(mirror: str, suites: Sequence[str]) -> str:
    """The text of an apt source list for these suites alone."""
    lines = [f"deb [signed-by={_KEYRING}] {mirror} {suite} main\n" for suite in suites]
    return "".join(lines)


def apt_options(folder: Path) -> list[str]:
    """What keeps apt to a state of its own in the folder: no package counts as installed."""
    places = {
        "Dir::Etc::SourceList": "sources.list",
        "Dir::Etc::SourceParts": "none",
        "Dir::Etc::PreferencesParts": "none",
        "Dir::State": ".",
        "Dir::State::Lists": "lists",
        "Dir::State::Status": "status",
        "Dir::Cache": ".",
        "Dir::Cache::Archives": "archives",
    }
    values = {name: str(folder / place) for name, place in places.items()}
    values["Acquire::Check-Valid-Until"] = "false"  # experimental's list may be past its date
    values["Acquire::Languages"] = "none"
    values["APT::Sandbox::User"] = ""
    values["APT::Install-Recommends"] = "false"
    return [part for name, value in values.items() for part in ("-o", f"{name}={value}")]


def unpack(suites: Sequence[str], packages: Sequence[str], work: Path, *, needs: bool) -> Path:
    """Fetch packages of the first suite, and return the folder where they were unpacked.

    With `needs` all that they depend on comes too, from any of the suites.

    Raises:
        NotHadError: apt, dpkg or a package cannot be had.
    """
    for program in ("apt-get", "dpkg"):
        if shutil.which(program) is None:
            raise NotHadError(f"{program} is not installed")
    tree, archives = work / "tree", work / "archives"
    for name in ("lists/partial", "archives/partial", "none", "tree"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(source_lines(mirror(), suites))
    apt = ["apt-get", "-qq", "-y", *apt_options(work)]
    run([*apt, "update"])
    get = ("--download-only", "install") if needs else ("download",)
    run([*apt, "-t", suites[0], *get, *packages], folder=archives)
    for package in sorted(archives.glob("*.deb")):
        run(["dpkg", "-x", str(package), str(tree)])
    return tree


def run(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    within: float = _APT_TAKES,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> str:
    """Run a program to its end with `given` as its input, and return what it printed.

    Raises:
        NotHadError: it is not there, took too long, or failed.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            input=given,
            cwd=folder,
            env=environment,
            timeout=within,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHadError(str(error)) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotHadError(f"{command[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout
