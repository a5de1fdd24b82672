"""Runs a command with a Docker engine: the one that answers here, or else one of its own.

    python -m tools.docker_engine [--install] -- COMMAND…

An engine of its own has its files, its socket and its pid below a temporary folder; afterwards it
is stopped, and the packet filter is as before. That takes root, and with --install what is missing
is installed by apt. In both cases the command gets Compose and Buildx, and the base image of the
Dockerfile: pulled, or made by debootstrap where no registry is reached. BUILD_CA and BUILD_PIP name
files for the secrets of the Dockerfile, where this machine has such.

The code is the command's, or 69 where no engine can be had, or none whose builds reach packages,
with the reason.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from tools.debian_packages import NotHadError, mirror, run, unpack
from tools.packet_filter import Rules

UNAVAILABLE = 69  # sysexits.h
_CHECKOUT = Path(__file__).resolve().parents[1]
_PACKAGES = {"dockerd": "docker.io", "iptables": "iptables", "debootstrap": "debootstrap"}
_PLUGINS_FROM = "trixie"  # bookworm has no Compose 2
_PLUGINS = {"compose": "docker-compose", "buildx": "docker-buildx"}
_ANSWERS = 10.0
_STARTS = 40.0
_STOPS = 40.0
_PULLS = 25.0
_BUILDS = 200.0
_NO_NETWORK = re.compile(
    "Temporary failure resolving|Could not resolve|Could not connect|Network is unreachable"
    "|Failed to establish a new connection|CERTIFICATE_VERIFY_FAILED|ProxyError"
)
_AUTHORITIES = "/usr/local/share/ca-certificates"
_BRIDGE = "docker0"
_BRIDGE_THERE = Path(f"/sys/class/net/{_BRIDGE}")
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@attrs.frozen
class Engine:
    """How the engine is spoken to."""

    environment: Mapping[str, str]

    def docker(self, *words: str, within: float = 120.0) -> str:
        """Run one command of the client.

        Raises:
            NotHadError: it failed.
        """
        return run(["docker", *words], within=within, environment=self.environment)

    def answers(self) -> bool:
        """Whether there is an engine at all."""
        with contextlib.suppress(NotHadError):
            self.docker("version", "--format", "{{.Server.Version}}", within=_ANSWERS)
            return True
        return False

    def has(self, *words: str) -> bool:
        """Whether a command succeeds."""
        with contextlib.suppress(NotHadError):
            self.docker(*words)
            return True
        return False


@contextlib.contextmanager
def some_engine(folder: Path, *, install: bool) -> Iterator[Engine]:
    """An engine with plugins and the base image; the folder is for what it needs.

    Raises:
        NotHadError: none can be had.
    """
    engine = Engine({**os.environ, "DOCKER_BUILDKIT": "1"})
    with contextlib.ExitStack() as stack:
        if engine.answers():
            say("an engine answers here")
        else:
            _bring_programs(install=install)
            if not engine.answers():  # what was installed may have been started
                engine = stack.enter_context(own_engine(folder, engine.environment))
        engine = _with_plugins(engine, folder, install=install)
        suite = base_suite((_CHECKOUT / "Dockerfile").read_text())
        _bring_base(engine, suite, folder)
        try:
            engine.docker("run", "--rm", f"debian:{suite}-slim", "true")
        except NotHadError as error:
            raise NotHadError(f"the engine runs no containers here: {error}") from error
        engine = Engine({**engine.environment, **build_secrets(folder)})
        _see_packages(engine)
        yield engine


@contextlib.contextmanager
def own_engine(folder: Path, environment: Mapping[str, str]) -> Iterator[Engine]:
    """An engine below the folder, gone afterwards.

    Raises:
        NotHadError: it does not start.
    """
    if found := _process("dockerd"):
        raise NotHadError(
            f"process {found} is an engine that does not answer at {_address(environment)}; name"
            " its socket by DOCKER_HOST (a second one would take away its packet filter rules)"
        )
    rules, forwarding = Rules.now(), _FORWARDING.read_text()
    had_bridge = _BRIDGE_THERE.exists()
    program = shutil.which("dockerd") or "dockerd"
    pid_file, log = folder / "dockerd.pid", folder / "dockerd.log"
    address = f"unix://{folder}/docker.sock"
    places = ["--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    with log.open("wb") as file:
        daemon = subprocess.Popen(
            [program, "--host", address, "--pidfile", str(pid_file), *places],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C ends the command; the engine is stopped after it
        )
    engine = Engine({**environment, "DOCKER_HOST": address})
    try:
        _wait_for(engine, daemon, log)
        yield engine
    finally:
        _stop(engine, daemon)
        with _said("what the engine changed is not all put back"):
            _unmount(folder)
            if _FORWARDING.read_text() != forwarding:
                _FORWARDING.write_text(forwarding)
            rules.restore()
            if not had_bridge and _BRIDGE_THERE.exists() and shutil.which("ip"):
                run(["ip", "link", "delete", _BRIDGE])
        say("the engine is stopped")


@contextlib.contextmanager
def _said(what: str) -> Iterator[None]:
    """Tell of what goes wrong, and go on: why there is no engine is what matters."""
    try:
        yield
    except (NotHadError, OSError) as error:
        say(f"{what}: {error}")


def _wait_for(engine: Engine, daemon: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _STARTS
    while not engine.answers():
        if daemon.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines()
            said = " ".join(lines[-2:]) or "it says nothing"  # its last sentence has two lines
            raise NotHadError(f"dockerd does not start: {said}")
        time.sleep(0.1)
    say(f"dockerd {daemon.pid} runs below {log.parent}")


def _stop(engine: Engine, daemon: "subprocess.Popen[bytes]") -> None:
    """End the containers that are left, then the engine."""
    if daemon.poll() is None:
        with contextlib.suppress(NotHadError):
            left = engine.docker("ps", "--all", "--quiet").split()
            if left:
                engine.docker("rm", "--force", "--volumes", *left)
            engine.docker("network", "prune", "--force")
        daemon.terminate()
    try:
        daemon.wait(_STOPS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _unmount(folder: Path) -> None:
    """Take away what the engine left mounted, or its files cannot be removed."""
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in sorted((each for each in places if each.startswith(f"{folder}/")), reverse=True):
        run(["umount", "--lazy", place])


def _bring_programs(*, install: bool) -> None:
    """See to it that an engine can be started."""
    if os.geteuid() != 0:
        raise NotHadError("no engine answers, and only root can start one")
    missing = [package for program, package in _PACKAGES.items() if not shutil.which(program)]
    if not missing:
        return
    if not install:
        raise NotHadError(f"no engine answers, and {', '.join(missing)} is not installed")
    say(f"installing {', '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "-qq", "update"], environment=quiet)
    run(
        ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *missing],
        environment={**quiet, "RUNLEVEL": "1"},  # so that init scripts start no engine
    )


def _with_plugins(engine: Engine, folder: Path, *, install: bool) -> Engine:
    """The engine, spoken to by a client that has Compose 2 and Buildx."""
    missing = [package for name, package in _PLUGINS.items() if not engine.has(name, "version")]
    if not missing:
        return engine
    if not install:
        raise NotHadError(f"docker lacks the plugins {', '.join(missing)}")
    say(f"fetching {', '.join(missing)}")
    work = folder / "plugins"
    work.mkdir()
    tree = unpack([_PLUGINS_FROM], missing, work, needs=False)
    settings = folder / "client"
    shutil.copytree(tree / "usr/libexec/docker/cli-plugins", settings / "cli-plugins")
    return Engine({**engine.environment, "DOCKER_CONFIG": str(settings)})


def base_suite(dockerfile: str) -> str:
    """The suite that the Dockerfile builds on when it is told nothing else.

    Raises:
        NotHadError: it names none.
    """
    found = re.search(r"^ARG SUITE=(\S+)$", dockerfile, re.MULTILINE)
    if found is None:
        raise NotHadError("the Dockerfile has no line ARG SUITE=…")
    return found[1]


def _bring_base(engine: Engine, suite: str, folder: Path) -> None:
    name = f"debian:{suite}-slim"
    if engine.has("image", "inspect", name):
        return
    try:
        engine.docker("pull", "--quiet", name, within=_PULLS)
    except NotHadError as error:
        say(f"{name} cannot be pulled ({error}); making it by debootstrap")
    else:
        say(f"{name} is pulled")
        return
    root = folder / "root"
    run(["debootstrap", "--variant=minbase", suite, str(root), mirror()])
    shutil.rmtree(root / "var/cache/apt/archives")
    packed = folder / "root.tar"
    run(["tar", "-C", str(root), "-cf", str(packed), "."])
    engine.docker("import", str(packed), name)
    shutil.rmtree(root)
    packed.unlink()


def build_secrets(folder: Path) -> dict[str, str]:
    """This machine's own authorities and package index, as files for the build."""
    found = {}
    if texts := [path.read_text() for path in sorted(Path(_AUTHORITIES).glob("*.crt"))]:
        found["BUILD_CA"] = str(folder / "ca.crt")
        (folder / "ca.crt").write_text("\n".join(texts))
    listed = run([sys.executable, "-m", "pip", "config", "list"])
    if text := pip_conf(listed):
        found["BUILD_PIP"] = str(folder / "pip.conf")
        (folder / "pip.conf").write_text(text)
        (folder / "pip.conf").chmod(0o600)
    return found


def pip_conf(listed: str) -> str:
    """A pip.conf with the indexes of `pip config list`; empty if it names none."""
    pattern = r"^\S*\.((?:extra-)?index-url|trusted-host)='(.*)'$"
    lines = [f"{name} = {value}\n" for name, value in re.findall(pattern, listed, re.MULTILINE)]
    return "".join(["[global]\n", *dict.fromkeys(lines)]) if lines else ""


def secret_flags(environment: Mapping[str, str]) -> list[str]:
    """The flags by which a build of the image gets what BUILD_CA and BUILD_PIP name."""
    return [
        word
        for name, variable in (("ca", "BUILD_CA"), ("pip", "BUILD_PIP"))
        if (file := environment.get(variable))
        for word in ("--secret", f"id={name},src={file}")
    ]


def _see_packages(engine: Engine) -> None:
    """See to it that a build reaches packages, by the Dockerfile's own first stage.

    Nothing is built twice: the layers are kept for the build that follows. What fails otherwise
    is left to that one to tell.

    Raises:
        NotHadError: the network has none for a container.
    """
    secrets = secret_flags(engine.environment)
    stage = ["docker", "build", "--progress", "plain", "--target", "build", *secrets]
    try:
        done = subprocess.run(
            [*stage, str(_CHECKOUT)],
            env=engine.environment,
            capture_output=True,
            text=True,
            timeout=_BUILDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotHadError(f"the first stage of the image takes over {_BUILDS:g} s here") from error
    if done.returncode and (lacking := unreached(done.stderr)):
        raise NotHadError(f"a build reaches no packages here: {lacking}")


def unreached(said: str) -> str:
    """The line of a failed build that says that the network was the cause; empty if none does."""
    lines = (line.strip() for line in said.splitlines())
    return next((line for line in lines if _NO_NETWORK.search(line)), "")


def _address(environment: Mapping[str, str]) -> str:
    return environment.get("DOCKER_HOST") or "/var/run/docker.sock"


def _process(name: str) -> int:
    """A process of that name, or 0."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and (folder / "comm").read_text().strip() == name:
                return int(folder.name)
    return 0


def say(sentence: str) -> None:
    """Tell what is being done, since it takes time."""
    print(f"docker_engine: {sentence}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="install what is missing by apt")
    parser.add_argument("command", nargs="+", help="what to run with the engine")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="mlb-engine-", ignore_cleanup_errors=True) as place:
        try:
            with some_engine(Path(place), install=asked.install) as engine:
                return subprocess.run(asked.command, env=engine.environment, check=False).returncode
        except NotHadError as error:
            say(f"no engine: {error}")
            return UNAVAILABLE


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
