import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sidecar.desired.certificates import (
    DEFAULT,
    Certificate,
    Pem,
    PemError,
    choose,
    file_of,
    is_ours,
    read_pem,
)
from tests.pems import a_certificate, known, parts, with_chain

PEM = known("one.test")
CERTIFICATE, KEY = parts(PEM)
SECRET = KEY.splitlines()[1]


def test_a_certificate_is_read_with_what_haproxy_reports_of_it() -> None:
    """Its fingerprint, and when it expires."""
    found = read_pem(a_certificate("one.test", days=3))

    leaf = x509.load_pem_x509_certificate(found.text.encode())
    assert found.fingerprint == leaf.fingerprint(hashes.SHA1()).hex().upper()
    assert found.expires is not None
    assert found.expires - dt.datetime.now(dt.UTC) < dt.timedelta(days=3, minutes=1)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PEM, id="as it is"),
        pytest.param(KEY + CERTIFICATE, id="key first"),
        pytest.param(PEM.replace("\n", "\r\n"), id="of Windows"),
        pytest.param(PEM.replace("\n", "\n\n"), id="empty lines"),
        pytest.param(
            f"Bag Attributes\n  friendlyName: x\n\n{CERTIFICATE}\nabout\n{KEY}", id="words"
        ),
        pytest.param(PEM.rstrip("\n"), id="no newline at the end"),
    ],
)
def test_its_text_is_made_fit_for_a_command(text: str) -> None:
    """No empty line, which would end it, and nothing beside the blocks."""
    assert read_pem(text).text == read_pem(PEM).text
    assert read_pem(text).text == CERTIFICATE + KEY


def test_the_chain_stays_in_its_order_and_counts() -> None:
    """A renewed intermediate is a change, too, though HAProxy shows the same fingerprint."""
    plain, longer = read_pem(PEM), read_pem(with_chain(PEM, 2))

    assert longer.text == with_chain(PEM, 2)
    assert longer.fingerprint == plain.fingerprint
    digests = [choose([("/a.pem", pem)])[0].digest for pem in (plain, longer)]
    assert digests[0] != digests[1]


def test_a_key_may_come_from_a_file_of_its_own() -> None:
    """One in the same text wins, as HAProxy has it."""
    assert read_pem(CERTIFICATE, KEY).text == PEM
    assert read_pem(PEM, parts(known("two.test"))[1]).text == PEM


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8]
)
def test_keys_of_both_forms_are_read(form: serialization.PrivateFormat) -> None:
    """`BEGIN RSA PRIVATE KEY` as well."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        form,
        serialization.NoEncryption(),
    )

    assert read_pem((certificate + secret).decode()).text == (certificate + secret).decode()


def encrypted(form: serialization.PrivateFormat) -> str:
    """The key, with a password."""
    key = serialization.load_pem_private_key(KEY.encode(), None)
    lock = serialization.BestAvailableEncryption(b"password")
    return key.private_bytes(serialization.Encoding.PEM, form, lock).decode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "there is no certificate in it", id="nothing"),
        pytest.param(KEY, "there is no certificate in it", id="a key alone"),
        pytest.param(CERTIFICATE, "there is no private key for it", id="no key"),
        pytest.param(CERTIFICATE + KEY[:80], "there is no private key for it", id="half a key"),
        pytest.param(CERTIFICATE[:90] + KEY, "there is no certificate in it", id="half of it"),
        pytest.param(
            CERTIFICATE + parts(known("two.test"))[1], "key does not fit", id="another's key"
        ),
        pytest.param(CERTIFICATE.replace("M", "!", 1) + KEY, "is damaged", id="no base64"),
        pytest.param(CERTIFICATE.replace("MII", "AAA", 1) + KEY, "is damaged", id="no DER"),
        pytest.param(CERTIFICATE + KEY.replace("MI", "AA", 1), "key is damaged", id="a bad key"),
        pytest.param(
            CERTIFICATE + encrypted(serialization.PrivateFormat.PKCS8), "encrypted", id="PKCS 8"
        ),
        pytest.param(
            CERTIFICATE + encrypted(serialization.PrivateFormat.TraditionalOpenSSL),
            "encrypted",
            id="traditional",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_without_a_word_of_it(text: str, reason: str) -> None:
    """The reason names no content: there may be a key in it."""
    with pytest.raises(PemError, match=reason) as caught:
        read_pem(text)
    told = "".join(map(str, (caught.value, caught.value.__cause__, caught.value.args)))
    assert SECRET[:20] not in told


def test_no_text_of_a_value_holds_a_key() -> None:
    """Whoever puts one into a log or an error shows no secret."""
    pem = read_pem(PEM)
    certificate = choose([("/one.pem", pem)])[0]

    assert SECRET not in repr(pem) + repr(certificate) + str(certificate)


def test_the_first_is_the_default_one_under_a_name_that_stays() -> None:
    """HAProxy never gives up the first of its list, so another content takes its place."""
    one, two = read_pem(PEM), read_pem(known("two.test"))

    first = choose([("/a.pem", one), ("/b.pem", two)])
    other = choose([("/b.pem", two)])

    assert [each.file for each in first] == [DEFAULT, file_of("/b.pem")]
    assert other == (Certificate(DEFAULT, "/b.pem", two.text, two.fingerprint),)


def test_a_path_given_twice_counts_once() -> None:
    """HAProxy would list it twice, and could then not take it out again."""
    pem = read_pem(PEM)

    assert len(choose([("/a.pem", pem), ("/b.pem", pem), ("/a.pem", pem)])) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ssl/one.pem",
        "/x/häuser und mehr;\n.pem",
        "/x/.pem",
        "/x/no",
        "/x/\udcff.pem",
        "/" * 99,
    ],
)
def test_a_copy_has_a_plain_name_that_says_where_it_is_from(path: str) -> None:
    """The same for the same path; another for the same name in another folder."""
    name = file_of(path)

    assert name == file_of(path)
    assert name != file_of(f"/other{path}")
    assert is_ours(name)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")
    assert len(name) < 100


def test_one_whose_expiry_is_not_known_is_a_value_all_the_same() -> None:
    """Where our library does not know its kind."""
    assert choose([("/a.pem", Pem("text", "AA"))])[0].fingerprint == "AA"
