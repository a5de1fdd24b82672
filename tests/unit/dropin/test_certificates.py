"""HAPROXY_SSL_CERT, HAPROXY_SSL_CERT0 to 100, and the place that labels know, with real files."""

import stat
from pathlib import Path

import pytest

from sidecar.desired.certificates import read_pem
from sidecar.dropin.certificates import certificate_paths
from sidecar.errors import UsageError
from tests.pems import known, parts

PEM, OTHER = known("one.test"), known("two.test")


def test_a_variable_is_put_into_the_file_that_labels_name(tmp_path: Path) -> None:
    """For its owner alone; the numbered ones beside it."""
    folder = tmp_path / "ssl"
    variables = {"HAPROXY_SSL_CERT": PEM, "HAPROXY_SSL_CERT0": OTHER, "HAPROXY_SSL_CERT100": PEM}
    found = certificate_paths((), variables, str(folder))

    names = ("cert.pem", "cert0.pem", "cert100.pem")
    assert found == (tuple(str(folder / name) for name in names), "")
    assert [(folder / name).read_text() for name in names] == [PEM, OTHER, PEM]
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in names} == {0o600}


def test_paths_that_are_given_come_first(tmp_path: Path) -> None:
    """As in the original; a path is not taken twice."""
    given = ("/certs/a.pem", f"{tmp_path}/cert.pem")

    found = certificate_paths(given, {"HAPROXY_SSL_CERT": PEM}, str(tmp_path))
    assert found == (given, "")
    assert certificate_paths(("/certs/a.pem",), {}, str(tmp_path)) == (("/certs/a.pem",), "")


@pytest.mark.parametrize("newline", ["\\n", "\\r\\n", "\r\n", "\n\n"])
def test_newlines_may_be_written_as_two_characters(tmp_path: Path, newline: str) -> None:
    """Where an environment can hold none."""
    certificate_paths((), {"HAPROXY_SSL_CERT": PEM.replace("\n", newline)}, str(tmp_path))

    assert (tmp_path / "cert.pem").read_text() == PEM


def test_numbered_ones_need_the_one_without_a_number(tmp_path: Path) -> None:
    """As in the original; 101 is not read at all."""
    found, _ = certificate_paths((), {"HAPROXY_SSL_CERT1": PEM}, str(tmp_path))
    assert found == (f"{tmp_path}/cert.pem",)
    variables = {"HAPROXY_SSL_CERT": PEM, "HAPROXY_SSL_CERT101": PEM, "HAPROXY_SSL_CERT2": ""}
    assert certificate_paths((), variables, str(tmp_path))[0] == (f"{tmp_path}/cert.pem",)


def test_what_is_no_certificate_is_refused_by_the_variables_name(tmp_path: Path) -> None:
    """Without a word of it, and nothing is written."""
    mixed = parts(PEM)[0] + parts(OTHER)[1]
    with pytest.raises(UsageError, match="HAPROXY_SSL_CERT5 cannot be served: its private") as no:
        certificate_paths((), {"HAPROXY_SSL_CERT": PEM, "HAPROXY_SSL_CERT5": mixed}, str(tmp_path))
    assert parts(OTHER)[1].splitlines()[1] not in str(no.value)
    assert not (tmp_path / "cert5.pem").exists()


def test_a_folder_that_cannot_be_written_is_an_error_for_what_was_given(tmp_path: Path) -> None:
    """There is a file where it should be."""
    (tmp_path / "ssl").touch()
    with pytest.raises(
        UsageError, match=r"HAPROXY_SSL_CERT cannot be put into the file .*: .*MLB_SSL_DIR"
    ):
        certificate_paths((), {"HAPROXY_SSL_CERT": PEM}, str(tmp_path / "ssl"))


def test_without_any_the_one_at_the_known_place_is_served(tmp_path: Path) -> None:
    """Somebody mounted it."""
    (tmp_path / "cert.pem").write_text(PEM)

    assert certificate_paths((), {}, str(tmp_path)) == ((f"{tmp_path}/cert.pem",), "")
    assert (tmp_path / "cert.pem").read_text() == PEM


def test_without_any_one_is_made_at_the_known_place_once(tmp_path: Path) -> None:
    """Labels may name it; a restart changes nothing."""
    assert certificate_paths((), {}, str(tmp_path)) == ((f"{tmp_path}/cert.pem",), "")
    made = (tmp_path / "cert.pem").read_text()
    assert read_pem(made).text == made
    certificate_paths((), {}, str(tmp_path))
    assert (tmp_path / "cert.pem").read_text() == made


def test_something_else_at_the_known_place_is_left_alone(tmp_path: Path) -> None:
    """Some systems keep their authorities there; ours is in the state folder then."""
    (tmp_path / "cert.pem").write_text(parts(PEM)[0])

    found, trouble = certificate_paths((), {}, str(tmp_path))
    assert found == ()
    assert trouble.endswith("there is something else")
    assert (tmp_path / "cert.pem").read_text() == parts(PEM)[0]


def test_a_known_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The main job goes on with one in the state folder."""
    (tmp_path / "ssl").touch()

    found, trouble = certificate_paths((), {}, str(tmp_path / "ssl"))
    assert found == ()
    assert trouble.startswith(f"no certificate is made at {tmp_path}/ssl/cert.pem: File exists;")
    assert "choose another state folder" not in trouble
