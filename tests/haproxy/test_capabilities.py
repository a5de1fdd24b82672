"""What the running binary says it can do, beside what its version was seen to do."""

from sidecar.haproxy.capabilities import read_program, read_version, read_worker
from sidecar.haproxy.process import haproxy_version, runtime_commands
from sidecar.haproxy.runtime import RuntimeApi
from tests.haproxy.conftest import RunningHaproxy


def test_a_worker_and_its_program_say_what_its_version_was_seen_to_do(
    haproxy: RunningHaproxy, haproxy_binary: str
) -> None:
    """Asked either way, the answer is the same, and each can be asked."""
    version = haproxy_version(haproxy_binary)
    with RuntimeApi(haproxy.stats_socket) as api:
        worker = read_worker(version, *api.ask_all(("help", "add server help")))
    program = read_program(version, runtime_commands(haproxy_binary))
    by_version = read_version(version)

    assert worker.commands is not None
    assert program.commands is not None
    assert (worker.server_keywords is not None) is (by_version.version >= (3, 2))
    assert worker.makes_backends is program.makes_backends is by_version.makes_backends
    assert worker.static_cookies is by_version.static_cookies
