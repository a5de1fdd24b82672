import pytest

from sidecar.errors import UsageError
from sidecar.haproxy.proxies import KNOWN, Proxies


def test_options_go_where_they_have_a_meaning() -> None:
    """Frontends, backends, and those of HTTP alone."""
    proxies = Proxies.read("redispatch, http-server-close,dontlognull,tcpka,forwardfor", "")

    assert proxies.of_frontends == ("dontlognull", "http-server-close", "tcpka")
    assert proxies.of_backends("http") == ("http-server-close", "redispatch", "tcpka")
    assert proxies.of_backends("tcp") == ("redispatch", "tcpka")


@pytest.mark.parametrize("text", ["httpchk", "redispatch\nlog x", "nonsense", "a b"])
def test_an_option_that_is_none_is_refused(text: str) -> None:
    """The sentence has those that are."""
    with pytest.raises(UsageError, match="redispatch") as refused:
        Proxies.read(text, "")

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("target", ["/dev/log", "10.0.0.1:514", "logs.test", "[::1]:514"])
def test_a_log_target_is_a_socket_or_a_host(target: str) -> None:
    """As HAProxy takes them."""
    assert Proxies.read("", target).log == target


@pytest.mark.parametrize("target", ["/a b", "x y", "a\nb", "host:port", ";"])
def test_another_log_target_is_refused(target: str) -> None:
    """Nothing gets into the configuration that is more than one word."""
    with pytest.raises(UsageError, match="--haproxy-log"):
        Proxies.read("", target)


def test_no_option_is_known_that_is_written_otherwise() -> None:
    """Names are lower-case words with dashes."""
    assert all(name == name.lower() and name.replace("-", "").isalnum() for name in KNOWN)
