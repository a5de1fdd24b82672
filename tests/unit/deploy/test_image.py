"""The image's files: what the Dockerfile copies and says, as far as it can be told without it."""

import fnmatch
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.cli import main
from sidecar.settings import Settings

_ROOT = Path(__file__).resolve().parents[3]
_DOCKERFILE = (_ROOT / "Dockerfile").read_text()
_ENTRY = (_ROOT / "image" / "entry.sh").read_text()


def instructions(name: str) -> Iterator[str]:
    """The arguments of each instruction of a kind, continued lines being one."""
    text = re.sub(r"^\s*#.*\n", "", _DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == name:
            yield rest


def copied() -> Iterator[str]:
    """What comes from the checkout."""
    for line in instructions("COPY"):
        if "--from=" not in line:
            *sources, _ = (word for word in line.split() if not word.startswith("--"))
            yield from sources


@pytest.mark.parametrize("source", [*copied()])
def test_what_the_dockerfile_copies_is_there_and_not_ignored(source: str) -> None:
    """It exists, and .dockerignore lets it through."""
    kept = False
    for line in (_ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").strip()
        top = source.partition("/")[0]
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(top, pattern):
            kept = line.startswith("!")

    assert (_ROOT / source).exists()
    assert kept


def test_the_wheels_own_files_are_copied() -> None:
    """Those that the package's links lead to, and the constraints of what is installed."""
    links = {path.resolve().name for path in (_ROOT / "sidecar" / "share").iterdir()}

    assert links | {"sidecar", "pyproject.toml", "requirements.lock"} <= set(copied())


def test_the_dockerfile_names_no_host_to_fetch_from() -> None:
    """Whose mirrors and indexes are used is the builder's choice."""
    assert "://" not in _DOCKERFILE
    assert {line.split()[0] for line in instructions("FROM")} == {"debian:${SUITE}-slim"}


def test_the_image_opens_the_ports_of_the_default_settings() -> None:
    """The frontends', the statistics' and the sidecar's own."""
    usual = Settings()
    (ports,) = instructions("EXPOSE")

    assert set(map(int, ports.split())) == {
        usual.http_port, usual.https_port, usual.stats_port, usual.appid_port, usual.web_port
    }  # fmt: skip


def test_the_image_runs_as_somebody_who_is_not_root() -> None:
    """By number, which a platform can check."""
    (user,) = instructions("USER")

    assert all(int(number) > 0 for number in user.split(":"))


def test_what_the_image_starts_is_in_it() -> None:
    """The entry point, the health check, and the script that starts HAProxy."""
    (entry,) = instructions("ENTRYPOINT")
    (health,) = instructions("HEALTHCHECK")
    placed = {line.split()[-1] for line in instructions("COPY")}

    assert f"/usr/local/bin/{json.loads(entry)[-1]}" in placed
    (program,) = json.loads(health.partition("CMD ")[2])
    assert f"/usr/local/bin/{program}" in placed
    assert {"/usr/local/bin/start-beside.sh"} <= placed
    assert "start-beside.sh" in _ENTRY


def test_without_arguments_the_image_does_what_marathon_lbs_does() -> None:
    """Its default command is the same."""
    (command,) = instructions("CMD")

    assert json.loads(command) == ["sse", "--health-check", "--group", "external"]


def test_the_entry_point_hands_on_every_command() -> None:
    """The list in the script is whole."""
    (others,) = re.findall(r"^(demo \|.*)\)$", _ENTRY, re.MULTILINE)

    named = {word.strip() for word in others.split("|")} | {"sse", "poll", "run"}
    assert {name for name in named if not name.startswith("-")} == set(main.commands)
