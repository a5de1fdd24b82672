"""The tool that brings a Docker engine: what it makes of this machine, and what it puts back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.debian_packages import NotHadError
from tools.docker_engine import UNAVAILABLE, base_suite, pip_conf, unreached
from tools.packet_filter import blank, clean

_ROOT = Path(__file__).resolve().parents[2]

_MEDDLE = """
import subprocess
from tools.packet_filter import Rules

before = Rules.now()
assert before.tables, "nothing was read"
for words in ("-N ENGINE", "-A FORWARD -j ENGINE", "-P FORWARD DROP",
              "-t nat -N ENGINE", "-t nat -A POSTROUTING -j ENGINE"):
    subprocess.run(["iptables", *words.split()], check=True)
assert Rules.now() != before
before.restore()
assert Rules.now() == before, Rules.now()
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("iptables-save", "unshare"))),
    reason="a packet filter of its own takes root, unshare and iptables",
)
def test_the_packet_filter_is_put_back_as_it_was() -> None:
    """Chains, rules and policies, in a network of its own."""
    command = ["unshare", "--net", sys.executable, "-c", _MEDDLE]
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    if "Operation not permitted" in done.stderr:
        pytest.skip(f"no network of its own here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


def test_times_and_counters_are_no_difference() -> None:
    """Nor is a table that was never used one that has nothing in it."""
    saved = "# now\n*raw\n:PREROUTING ACCEPT [7:9]\n:OUTPUT ACCEPT [1:2]\nCOMMIT\n# then\n"

    assert clean(saved) == blank("raw")


def test_without_an_engine_it_says_why_and_the_command_is_not_run(tmp_path: Path) -> None:
    """With a code that no command of make has."""
    made = tmp_path / "made"
    done = subprocess.run(
        [sys.executable, "-m", "tools.docker_engine", "--", "touch", str(made)],
        cwd=_ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == UNAVAILABLE, done.stderr
    assert done.stdout.startswith("docker_engine: no engine: no engine answers, and ")
    assert not made.exists()


def test_the_base_image_is_the_dockerfiles() -> None:
    """By its default; without one it cannot be told."""
    assert base_suite((_ROOT / "Dockerfile").read_text()) == "trixie"
    with pytest.raises(NotHadError, match="no line ARG SUITE="):
        base_suite("FROM scratch\n")


def test_the_build_is_told_of_this_machines_package_index() -> None:
    """Wherever pip has it from; what else is configured is not for the build."""
    listed = (
        ":env:.cert='/ca.crt'\n:env:.index-url='https://a.test/simple'\n"
        "global.index-url='https://a.test/simple'\nglobal.extra-index-url='https://b.test'\n"
    )

    assert pip_conf(listed) == (
        "[global]\nindex-url = https://a.test/simple\nextra-index-url = https://b.test\n"
    )
    assert pip_conf("global.cert='/ca.crt'\n") == ""


def test_a_build_that_reaches_no_packages_is_told_from_one_that_is_wrong() -> None:
    """The first is the machine's, and no fault of the image."""
    away = "#8 2.1 Err:1 http://deb.test trixie\n  Temporary failure resolving 'deb.test'\n#8 ERROR"

    assert unreached(away) == "Temporary failure resolving 'deb.test'"
    assert unreached("#9 ERROR: COPY sidecar: not found") == ""
