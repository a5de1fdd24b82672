import stat
from pathlib import Path

import pytest
from cryptography import x509

from sidecar import assembly
from sidecar.desired.model import Desired
from sidecar.errors import StateFolderError, UsageError
from sidecar.haproxy.certificates import CRT_LIST, SELF_SIGNED, make_self_signed, write_crt_list
from sidecar.haproxy.process import check_configuration
from sidecar.side_files import write_side_files
from tests.haproxy.driving_rig import settings_for
from tests.haproxy.skeleton_rig import free_ports

PEM = make_self_signed("one.test")


def listed(folder: Path) -> list[str]:
    """The crt-list's lines."""
    return (folder / CRT_LIST).read_text().splitlines()


def a_pem(path: Path, text: str = PEM) -> Path:
    """A file with a certificate and its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_certificates_one_is_made_once(tmp_path: Path) -> None:
    """A restart changes nothing for those who have trusted it."""
    write_crt_list(tmp_path, [])
    first = (tmp_path / SELF_SIGNED).read_text()
    write_crt_list(tmp_path, [])

    assert listed(tmp_path) == [str(tmp_path / SELF_SIGNED)]
    assert (tmp_path / SELF_SIGNED).read_text() == first
    certificate = x509.load_pem_x509_certificate(first.encode())
    assert certificate.subject == certificate.issuer


def test_only_their_owner_may_read_what_is_written(tmp_path: Path) -> None:
    """There is a key in it."""
    write_crt_list(tmp_path, [])

    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (CRT_LIST, SELF_SIGNED)}
    assert modes == {0o600}


def test_files_keep_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    """The first is the one for unknown names; nothing is made beside them."""
    second = a_pem(tmp_path / "b.pem")
    first = a_pem(tmp_path / "c.pem")
    write_crt_list(tmp_path, [first, second])

    assert listed(tmp_path) == [str(first), str(second)]
    assert not (tmp_path / SELF_SIGNED).exists()


def test_of_a_folder_the_certificates_are_taken_in_order_of_their_names(tmp_path: Path) -> None:
    """What is no certificate with its key lies there for other reasons."""
    folder = tmp_path / "certs"
    b, a = a_pem(folder / "b.pem"), a_pem(folder / "a.crt")
    a_pem(folder / "readme.txt", "about these files")
    a_pem(folder / "ca.pem", PEM.partition("-----BEGIN PRIVATE")[0])
    (folder / "deeper").mkdir()
    write_crt_list(tmp_path, [folder])

    assert listed(tmp_path) == [str(a), str(b)]


def test_links_lead_to_their_files(tmp_path: Path) -> None:
    """HAProxy is told where a mounted secret really lies."""
    real = a_pem(tmp_path / "real" / "one.pem")
    link = tmp_path / "one.pem"
    link.symlink_to(real)
    write_crt_list(tmp_path, [link])

    assert listed(tmp_path) == [str(real)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(None, "cannot be read: No such file", id="nothing there"),
        pytest.param("about this file", "holds no certificate with its key", id="no PEM"),
        pytest.param(PEM.partition("-----BEGIN PRIVATE")[0], "holds no certificate", id="no key"),
        pytest.param(PEM[PEM.index("-----BEGIN PRIVATE") :], "holds no certificate", id="only key"),
    ],
)
def test_a_path_without_a_certificate_is_refused_by_its_flag(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    """Before anything is written."""
    path = tmp_path / "one.pem"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UsageError, match=f"--ssl-certs {path} {reason}"):
        write_crt_list(tmp_path, [path])
    assert not (tmp_path / CRT_LIST).exists()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """Somebody meant to give certificates."""
    (tmp_path / "certs").mkdir()

    with pytest.raises(UsageError, match="holds no certificate"):
        write_crt_list(tmp_path, [tmp_path / "certs"])


def test_a_state_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """It is not there."""
    with pytest.raises(StateFolderError):
        write_crt_list(tmp_path / "missing", [])


@pytest.mark.parametrize("name", ["with space.pem", "a#b.pem", "a[b].pem", "a\nb.pem"])
def test_a_file_that_no_list_can_name_is_refused(tmp_path: Path, name: str) -> None:
    """HAProxy would read another path, or options."""
    with pytest.raises(UsageError, match="has a character that no crt-list takes"):
        write_crt_list(tmp_path, [a_pem(tmp_path / "certs" / name).parent])


@pytest.mark.parametrize("name", ["one.pem", "häuser,und;mehr\"'.pem"])
def test_haproxy_takes_what_is_listed(short_dir: Path, haproxy_binary: str, name: str) -> None:
    """Whatever the files are called."""
    given = a_pem(short_dir / "certs" / name)
    settings = settings_for(
        short_dir, free_ports(1), https_port=free_ports(1)[0], ssl_certs=(str(given),)
    )
    write_side_files(settings)
    rendered = assembly.renderer().render(Desired(), assembly.layout(settings))
    config = short_dir / "haproxy.cfg"
    config.write_text(rendered.text)
    for map_name, text in rendered.maps.items():
        (short_dir / map_name).write_text(text)

    result = check_configuration(haproxy_binary, config)
    assert result.ok, result.text
