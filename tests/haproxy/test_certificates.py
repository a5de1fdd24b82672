"""Files and folders of certificates, as people and programs write them."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509

from sidecar.errors import StateFolderError, UsageError
from sidecar.haproxy.certificates import CertificateFiles, Look
from sidecar.haproxy.self_signed import SELF_SIGNED, self_signed
from sidecar.reconcile.trial import Trial
from tests.pems import a_certificate, known, parts

PEM, OTHER = known("one.test"), known("two.test")
CERTIFICATE, KEY = parts(PEM)


def a_pem(path: Path, text: str = PEM) -> Path:
    """A file, whose change is seen also within one tick of the file system's clock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000,) * 2)
    return path


def goods(look: Look) -> dict[str, str]:
    """The good content, by path."""
    return {path: pem.text for path, pem in look.good.items()}


def at_rest(files: CertificateFiles) -> Look:
    """What counts after a change: it has been the same for two looks."""
    files.look()
    return files.look()


# --- at the start ---


def test_without_certificates_one_is_made_once(tmp_path: Path) -> None:
    """A restart changes nothing for those who have trusted it; its owner alone may read it."""
    file = self_signed(tmp_path)
    first = file.read_text()

    assert self_signed(tmp_path).read_text() == first
    assert file == tmp_path / SELF_SIGNED
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(first.encode())
    assert certificate.subject == certificate.issuer
    assert CertificateFiles([file]).first().good


def test_a_state_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """It is not there."""
    with pytest.raises(StateFolderError):
        self_signed(tmp_path / "missing")


def test_files_keep_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    """The first is the one for unknown names."""
    second, first = a_pem(tmp_path / "b.pem"), a_pem(tmp_path / "c.pem")

    assert list(CertificateFiles([first, second]).first().good) == [str(first), str(second)]


def test_of_a_folder_the_certificates_are_taken_in_order_of_their_names(tmp_path: Path) -> None:
    """What is no certificate with its key lies there for other reasons."""
    b, a = a_pem(tmp_path / "b.pem"), a_pem(tmp_path / "a.crt")
    a_pem(tmp_path / "readme.txt", "about these files")
    a_pem(tmp_path / "ca.pem", CERTIFICATE)
    a_pem(tmp_path / ".hidden.pem")
    (tmp_path / "deeper").mkdir()
    os.mkfifo(tmp_path / "pipe")

    look = CertificateFiles([tmp_path]).first()

    assert look == Look({str(a): look.good[str(b)], str(b): look.good[str(b)]}, {})
    assert list(look.good) == [str(a), str(b)]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        pytest.param(("x.pem", "x.pem.key"), "x.pem", id="as HAProxy has it"),
        pytest.param(("tls.crt", "tls.key"), "tls.crt", id="as Kubernetes has it"),
        pytest.param(("fullchain.pem", "privkey.pem"), "fullchain.pem", id="as certbot has it"),
    ],
)
def test_a_key_in_a_file_of_its_own_is_found(
    tmp_path: Path, names: tuple[str, str], taken: str
) -> None:
    """Whether the file is given, or its folder."""
    a_pem(tmp_path / names[0], CERTIFICATE)
    a_pem(tmp_path / names[1], KEY)
    a_pem(tmp_path / "chain.pem", CERTIFICATE)

    for path in (tmp_path, tmp_path / taken):
        assert goods(CertificateFiles([path]).first()) == {str(tmp_path / taken): PEM}


def test_the_folder_of_all_that_certbot_has_can_be_given(tmp_path: Path) -> None:
    """One folder below it for each name."""
    for name, pem in (("one.test", PEM), ("two.test", OTHER)):
        certificate, key = parts(pem)
        a_pem(tmp_path / name / "fullchain.pem", certificate)
        a_pem(tmp_path / name / "privkey.pem", key)
    a_pem(tmp_path / "README", "about these files")

    found = goods(CertificateFiles([tmp_path]).first())
    assert list(found.values()) == [PEM, OTHER]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(None, "cannot be read: No such file", id="nothing there"),
        pytest.param("about this file", "holds no certificate with its key", id="no PEM"),
        pytest.param(CERTIFICATE, "holds no certificate", id="no key"),
        pytest.param(KEY, "holds no certificate", id="only key"),
        pytest.param(CERTIFICATE + parts(OTHER)[1], "its private key does not", id="another's key"),
        pytest.param(PEM + "x" * 1_000_000, "holds no certificate", id="too large"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    """By its path, in one sentence."""
    path = tmp_path / "one.pem"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UsageError, match=f"certificate {path}: {reason}"):
        CertificateFiles([path]).first()


def test_a_folder_without_any_is_refused_at_the_start(tmp_path: Path) -> None:
    """Somebody meant to give certificates."""
    with pytest.raises(UsageError, match="holds no certificate"):
        CertificateFiles([tmp_path]).first()


def test_a_damaged_file_of_a_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    """It was meant to be served as well."""
    a_pem(tmp_path / "a.pem")
    a_pem(tmp_path / "b.pem", CERTIFICATE + parts(OTHER)[1])

    with pytest.raises(UsageError, match=r"b\.pem: its private key does not fit"):
        CertificateFiles([tmp_path]).first()


# --- later ---


def test_a_changed_file_counts_once_it_is_at_rest(tmp_path: Path) -> None:
    """One that is being written is looked at again."""
    file = a_pem(tmp_path / "one.pem")
    files = CertificateFiles([file])
    files.first()
    a_pem(file, OTHER)

    assert goods(files.look()) == {str(file): PEM}
    assert goods(files.look()) == {str(file): OTHER}


def test_a_file_that_has_not_changed_is_not_tried_again(tmp_path: Path) -> None:
    """Work grows with what changed."""
    asked: list[Mapping[str, str]] = []

    def refusal(texts: Mapping[str, str]) -> Mapping[str, str]:
        asked.append(texts)
        return {}

    a, b = a_pem(tmp_path / "a.pem"), a_pem(tmp_path / "b.pem")
    files = CertificateFiles([tmp_path], refusal)
    files.first()
    a_pem(b, OTHER)
    at_rest(files)
    at_rest(files)

    assert [sorted(texts) for texts in asked if texts] == [[str(a), str(b)], [str(b)]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(None, "cannot be read: No such file", id="gone"),
        pytest.param("", "holds no certificate with its key any more", id="empty"),
        pytest.param(CERTIFICATE, "holds no certificate with its key any more", id="no key"),
        pytest.param(CERTIFICATE + parts(OTHER)[1], "does not fit", id="another's key"),
    ],
)
def test_what_was_good_stays_when_a_file_goes_bad_and_is_left_when_it_is_mended(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    """The trouble is told for as long as it is there."""
    file = a_pem(tmp_path / "one.pem")
    files = CertificateFiles([file])
    files.first()
    if text is None:
        file.unlink()
    else:
        a_pem(file, text)

    look = at_rest(files)
    assert goods(look) == {str(file): PEM}
    assert reason in look.troubles[str(file)]

    a_pem(file, OTHER)
    os.utime(file, ns=(9_000_000_000_000, 9_000_000_000_000))
    assert (goods(at_rest(files)), files.look().troubles) == ({str(file): OTHER}, {})


def test_half_of_a_renewed_pair_waits_for_the_other_half(tmp_path: Path) -> None:
    """Certificate first, then the key."""
    file, key = a_pem(tmp_path / "x.pem", CERTIFICATE), a_pem(tmp_path / "x.pem.key", KEY)
    files = CertificateFiles([tmp_path])
    files.first()
    a_pem(file, parts(OTHER)[0])

    assert goods(at_rest(files)) == {str(file): PEM}
    a_pem(key, parts(OTHER)[1])
    assert goods(at_rest(files)) == {str(file): OTHER}
    assert files.look().troubles == {}


def test_files_come_into_a_folder_and_leave_it(tmp_path: Path) -> None:
    """A file that is missing in one look only is being replaced."""
    a = a_pem(tmp_path / "a.pem")
    files = CertificateFiles([tmp_path])
    files.first()

    b = a_pem(tmp_path / "b.pem", OTHER)
    assert goods(at_rest(files)) == {str(a): PEM, str(b): OTHER}
    a.unlink()
    assert goods(files.look()) == {str(a): PEM, str(b): OTHER}
    assert files.look() == Look({str(b): files.look().good[str(b)]}, {})


def test_the_last_one_of_a_folder_stays(tmp_path: Path) -> None:
    """Nobody means to have HTTPS without a certificate; it is told until there is one again."""
    a = a_pem(tmp_path / "a.pem")
    files = CertificateFiles([tmp_path])
    files.first()
    elsewhere = a.rename(tmp_path / ".hidden")

    files.look()
    look = at_rest(files)
    assert goods(look) == {str(a): PEM}
    assert look.troubles == {str(a): "is gone; as the last one of its folder it stays in use"}
    elsewhere.rename(a)
    look = at_rest(files)
    assert goods(look) == {str(a): PEM}
    assert look.troubles == {}


def test_a_folder_that_cannot_be_read_keeps_all_that_was_good(tmp_path: Path) -> None:
    """And is a trouble."""
    folder = tmp_path / "certs"
    a = a_pem(folder / "a.pem")
    files = CertificateFiles([folder])
    files.first()
    folder.rename(tmp_path / "elsewhere")

    look = at_rest(files)
    assert goods(look) == {str(a): PEM}
    assert look.troubles == {str(folder): "cannot be read: No such file or directory"}


def test_a_damaged_new_file_of_a_folder_is_left_out(tmp_path: Path) -> None:
    """The others are served; it is told."""
    a = a_pem(tmp_path / "a.pem")
    files = CertificateFiles([tmp_path])
    files.first()
    b = a_pem(tmp_path / "b.pem", CERTIFICATE + parts(OTHER)[1])

    look = at_rest(files)
    assert goods(look) == {str(a): PEM}
    assert "does not fit" in look.troubles[str(b)]


def test_links_that_are_switched_are_followed(tmp_path: Path) -> None:
    """As Kubernetes switches a mounted secret: one link for the whole folder."""
    mount = tmp_path / "secret"
    for name, pem in (("..first", PEM), ("..second", OTHER)):
        certificate, key = parts(pem)
        a_pem(mount / name / "tls.crt", certificate)
        a_pem(mount / name / "tls.key", key)
    (mount / "..data").symlink_to("..first")
    for name in ("tls.crt", "tls.key"):
        (mount / name).symlink_to(f"..data/{name}")
    files = CertificateFiles([mount])
    assert list(goods(files.first()).values()) == [PEM]

    (mount / "..new").symlink_to("..second")
    (mount / "..new").replace(mount / "..data")
    assert list(goods(at_rest(files)).values()) == [OTHER]


# --- HAProxy's own word ---


def weak() -> str:
    """A certificate that our library reads and HAProxy's refuses to serve: its key is too short."""
    return (Path(__file__).parent / "weak.pem").read_text()


def test_haproxy_is_asked_before_it_is_to_serve_a_certificate(
    haproxy_binary: str, tmp_path: Path
) -> None:
    """What it refuses would stand in the way of every later configuration."""
    good, bad = a_pem(tmp_path / "certs/good.pem"), a_pem(tmp_path / "certs/weak.pem")
    state = tmp_path / "state"
    state.mkdir()
    files = CertificateFiles([good, bad], Trial(haproxy_binary, state).refused)
    files.first()
    a_pem(good, OTHER)
    a_pem(bad, weak())

    look = at_rest(files)

    assert goods(look) == {str(good): OTHER, str(bad): PEM}
    assert list(look.troubles) == [str(bad)]
    assert look.troubles[str(bad)].startswith("HAProxy refuses it: ")
    assert str(bad) in look.troubles[str(bad)]
    assert list(state.iterdir()) == [], "keys are left"


def test_a_trial_that_cannot_be_made_refuses_nothing(tmp_path: Path) -> None:
    """The check of the whole configuration stands behind it."""
    texts = {"/a.pem": a_certificate("a.test"), "/b.pem": "no certificate"}

    assert Trial("/no/program", tmp_path).refused(texts) == {}
    assert Trial("/bin/true", tmp_path / "missing").refused(texts) == {}


@pytest.mark.timeout(20)
def test_a_path_that_leads_to_a_pipe_is_no_certificate(tmp_path: Path) -> None:
    """Nobody waits for what never comes."""
    os.mkfifo(tmp_path / "pipe.pem")
    look = CertificateFiles([tmp_path / "pipe.pem", Path("/dev/zero")]).begin()

    reason = "cannot be read: is a pipe or a device, and no file"
    assert look.troubles == {str(tmp_path / "pipe.pem"): reason, "/dev/zero": reason}
