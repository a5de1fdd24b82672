"""The image and what is started of it, once for all these tests; or the reason to skip them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_docker.plugin import Services

from tests.e2e.stack import IMAGE, Stack, docker
from tests.system.clients import Load, loading
from tests.system.ports import free_ports
from tools.docker_engine import secret_flags

_ROOT = Path(__file__).resolve().parents[2]
_BUILD_TAKES = 280


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this checkout."""
    if reason := why_not():
        pytest.skip(f"{reason}; make e2e starts an engine if it can")
    secrets = secret_flags(os.environ)
    done = docker("build", "--tag", IMAGE, *secrets, str(_ROOT), within=_BUILD_TAKES)
    assert done.returncode == 0, done.stderr[-3000:]
    return IMAGE


def why_not() -> str:
    """What these tests lack here; empty if they can run."""
    try:
        engine = docker("version", "--format", "{{.Server.Version}}")
        compose = docker("compose", "version")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no Docker engine answers: {error}"
    if engine.returncode:
        return f"no Docker engine answers: {engine.stderr.strip()}"
    return "docker has no compose" if compose.returncode else ""


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    """One that no other run has."""
    return f"mlb-e2e-{os.getpid()}"


@pytest.fixture(scope="session")
def docker_setup(image: str, stack: Stack) -> str:
    """Start all, and wait until all are healthy; the variables are those of the compose files."""
    os.environ.update(stack.variables)
    return "up --detach --wait --wait-timeout 90"


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    """Leave nothing; what was logged is shown by pytest where a test failed."""
    return ["down --volumes --timeout 3"]


@pytest.fixture(scope="session")
def stack(docker_compose_file: str, docker_compose_project_name: str) -> Stack:
    """The two pods and the Marathon, by their names; `pods` has them running."""
    return Stack(docker_compose_project_name, docker_compose_file, free_ports())


@pytest.fixture
def pods(docker_services: Services, stack: Stack) -> Iterator[Stack]:
    """The same, running; their logs are shown where a test fails."""
    yield stack
    print(stack.compose("logs", "--no-color", "--tail", "40").stdout)  # noqa: T201 (pytest shows it)


@pytest.fixture
def load() -> Iterator[Load]:
    """A client that asks all the time and notes every failure."""
    with loading() as client:
        yield client
