"""Vault, kernel parameters and known places, with real files and a real server."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecar.dropin.surroundings import (
    link_configuration,
    set_kernel_parameters,
    usable_socket,
    vault_credentials,
)
from sidecar.errors import UsageError
from tests.marathon.scripted_server import ScriptedServer, answering
from tests.pems import a_certificate

SECRET = {"user": "someone", "pass": "a-secret-word"}


@pytest.mark.parametrize("data", [SECRET, {"data": SECRET, "metadata": {}}], ids=["1", "2"])
def test_vault_gives_user_and_password(data: object) -> None:
    """By the token, from the first or second engine."""
    with ScriptedServer(answering(json.dumps({"data": data}).encode())) as server:
        variables = {"VAULT_TOKEN": "t", "VAULT_HOST": "h", "VAULT_PORT": "1", "VAULT_PATH": "p"}
        found = vault_credentials({**variables, "VAULT_URL": f"{server.url}/v1/secret/lb"})

    assert found == "someone:a-secret-word"
    (request,) = server.requests
    assert (request.path, request.headers["x-vault-token"]) == ("/v1/secret/lb", "t")


@pytest.mark.parametrize(
    ("how", "trusted"),
    [
        ({}, False),
        ({"VAULT_SKIP_VERIFY": "false"}, False),
        ({"VAULT_SKIP_VERIFY": "true"}, True),
        ({"VAULT_CACERT": "{pem}"}, True),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # it is what was asked for
def test_vault_is_verified_unless_told_otherwise(
    tmp_path: Path, how: Mapping[str, str], *, trusted: bool
) -> None:
    """marathon-lb never did; a Vault that cannot prove who it is gets no token."""
    pem = tmp_path / "vault.pem"
    pem.write_text(a_certificate("localhost"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    variables = {"VAULT_TOKEN": "t", "VAULT_HOST": "h", "VAULT_PORT": "1", "VAULT_PATH": "p"}
    with ScriptedServer(answering(json.dumps({"data": SECRET}).encode()), tls=tls) as server:
        variables["VAULT_URL"] = server.url.replace("127.0.0.1", "localhost")
        variables |= {name: text.format(pem=pem) for name, text in how.items()}
        if trusted:
            assert vault_credentials(variables) == "someone:a-secret-word"
        else:
            with pytest.raises(UsageError, match="SSLError"):
                vault_credentials(variables)

    assert [request.path for request in server.requests] == ["/"] * trusted


def test_vault_is_not_asked_without_all_its_variables() -> None:
    """As in the original."""
    assert vault_credentials({"VAULT_TOKEN": "t", "VAULT_HOST": "h", "VAULT_PORT": "1"}) == ""


def test_a_vault_that_gives_nothing_is_an_error_without_secrets() -> None:
    """The sentence names where it was asked."""
    with ScriptedServer(answering(b'{"data": {"user": "a-secret-word"}}')) as server:
        variables = {"VAULT_TOKEN": "t-t", "VAULT_HOST": "h", "VAULT_PORT": "1", "VAULT_PATH": "p"}
        with pytest.raises(UsageError, match=f"Vault at {server.url}") as refused:
            vault_credentials({**variables, "VAULT_URL": server.url})

    assert "a-secret-word" not in str(refused.value)
    assert "t-t" not in str(refused.value)


def test_kernel_parameters_are_set(tmp_path: Path) -> None:
    """Each by its file."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "somaxconn").write_text("1\n")
    variables = {"HAPROXY_SYSCTL_PARAMS": "net.somaxconn=16384"}

    assert set_kernel_parameters(variables, tmp_path) == ()
    assert (tmp_path / "net" / "somaxconn").read_text() == "16384"


@pytest.mark.parametrize("word", ["net.nothing=1", "nonsense", "../../etc/passwd=x", "a..b=1"])
def test_a_parameter_that_cannot_be_set_ends_it_unless_told_otherwise(
    tmp_path: Path, word: str
) -> None:
    """HAPROXY_SYSCTL_NONSTRICT makes a sentence of the error."""
    variables = {"HAPROXY_SYSCTL_PARAMS": word}
    with pytest.raises(UsageError, match="HAPROXY_SYSCTL_NONSTRICT=1"):
        set_kernel_parameters(variables, tmp_path)

    (said,) = set_kernel_parameters({**variables, "HAPROXY_SYSCTL_NONSTRICT": "1"}, tmp_path)
    assert word.partition("=")[0] in said


def test_a_folder_for_the_second_socket_is_made_or_the_reason_is_said(tmp_path: Path) -> None:
    """One sentence."""
    assert usable_socket(str(tmp_path / "run" / "haproxy" / "socket")) == ""
    assert (tmp_path / "run" / "haproxy").is_dir()
    assert "no second admin socket at /dev/null/socket" in usable_socket("/dev/null/socket")


def test_a_link_leads_to_the_configuration(tmp_path: Path) -> None:
    """A file that marathon-lb wrote there makes way; the place itself gets no link."""
    link = tmp_path / "etc" / "haproxy.cfg"
    link.parent.mkdir()
    link.write_text("old")

    assert link_configuration(str(link), str(tmp_path)) == ""
    assert link.readlink() == tmp_path / "haproxy.cfg"
    assert link_configuration(str(link), str(tmp_path)) == ""
    assert link_configuration(str(tmp_path / "haproxy.cfg"), str(tmp_path)) == ""
    assert not (tmp_path / "haproxy.cfg").exists()
    assert "no link" in link_configuration("/dev/null/haproxy.cfg", str(tmp_path))
