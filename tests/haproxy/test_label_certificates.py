"""Certificates that labels name for their service port, which change while HAProxy serves them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.desired.certificates import (
    DEFAULT,
    file_of,
)
from tests.haproxy.certificate_site import Site, a_sidecar, a_site, no_reload, put
from tests.haproxy.driving_rig import stopped_afterwards, web
from tests.haproxy.skeleton_rig import free_ports
from tests.pems import a_certificate, known, shows


@pytest.fixture
def named(short_dir: Path) -> Path:
    """A file that a label names."""
    return put(short_dir / "labels" / "own.pem", known("own.test"))


@pytest.fixture
def own(short_dir: Path, named: Path) -> Iterator[tuple[Site, int]]:
    """HAProxy with an app whose service port has a certificate of its own; that port."""
    put(short_dir / "given" / "a.pem", known("default.test"))
    (port,) = free_ports(1)
    app = web(port, 1, HAPROXY_0_SSL_CERT=str(named))
    made = a_site(short_dir, app, service_ports=[port])
    with stopped_afterwards(short_dir):
        assert not made.wheel.driver.find()
        made.wheel.driver.start(made.wheel.wants)
        made.settle()
        yield made, port


def test_a_label_s_certificate_is_served_on_its_service_port(own: tuple[Site, int]) -> None:
    """And the one of port 443 on that port."""
    site, port = own

    assert shows(port, known("own.test"))
    assert site.shows(known("default.test"), "own.test")
    assert site.wheel.driver.reload_due() is None


def test_a_renewed_file_of_a_label_is_served_without_a_reload(
    own: tuple[Site, int], named: Path
) -> None:
    """The bind line stays as it is."""
    site, port = own
    renewed = a_certificate("own.test")
    put(named, renewed)

    with no_reload(site):
        site.settle()
        assert shows(port, renewed)


def test_a_broken_file_of_a_label_keeps_what_was_good_also_through_a_reload_and_a_restart(
    own: tuple[Site, int], named: Path
) -> None:
    """HAProxy loads a copy, which the next sidecar finds as well."""
    site, port = own
    renewed = a_certificate("own.test")
    put(named, renewed)
    site.settle()
    put(named, "nonsense")
    site.settle()
    assert list(site.troubles) == [str(named)]
    site.wheel.driver.ask_for_reload("a test")
    assert site.wheel.reload_when_due()
    assert shows(port, renewed)

    renewal, again = a_sidecar(site.wheel.settings, *site.wheel.wants.apps)
    assert again.driver.find()
    assert not again.follow()
    assert "holds no certificate" in renewal._told.troubles[str(named)]
    again.driver.ask_for_reload("a test")
    assert again.reload_when_due()
    assert shows(port, renewed)


def test_an_app_that_comes_with_a_label_needs_one_reload(own: tuple[Site, int]) -> None:
    """Its file is read when it is wanted; what an app leaves behind goes with the next reload."""
    site, _ = own
    other = put(site.folder.parent / "labels" / "other.pem", known("other.test"))
    (first,) = site.wheel.wants.apps
    (port,) = free_ports(1)
    second = web(port, 1, name="second", HAPROXY_0_SSL_CERT=str(other))
    site.wheel.wants.apps = [first, second]
    site.settle()
    assert site.wheel.reload_when_due()
    site.settle()
    assert shows(port, known("other.test"))
    assert site.wheel.driver.reload_due() is None

    site.wheel.wants.apps = [second]
    site.settle()
    assert site.wheel.driver.reload_due() is None
    site.wheel.driver.ask_for_reload("a test")
    assert site.wheel.reload_when_due()
    site.settle()
    assert set(site.wheel.observe().certificates) == {DEFAULT, file_of(str(other))}


def test_one_file_for_a_label_and_for_port_443_is_loaded_once(short_dir: Path) -> None:
    """Unless it is the default one, whose place may get another content."""
    put(short_dir / "given" / "a.pem", known("default.test"))
    both = put(short_dir / "given" / "both.pem", known("both.test"))
    (port,) = free_ports(1)
    site = a_site(short_dir, web(port, 1, HAPROXY_0_SSL_CERT=str(both)), service_ports=[port])
    with stopped_afterwards(short_dir):
        site.wheel.driver.start(site.wheel.wants)
        site.settle()
        assert set(site.wheel.observe().certificates) == {DEFAULT, file_of(str(both))}

        renewed = a_certificate("both.test")
        put(both, renewed)
        with no_reload(site):
            site.settle()
            assert shows(port, renewed)
            assert site.shows(renewed, "both.test")

            (site.folder / "a.pem").unlink()  # the other one is the default one now
            put(site.folder / "c.pem", known("c.test"))
            site.settle()
            assert shows(port, renewed)
            assert site.shows(renewed)


def test_a_file_that_was_never_there_is_its_app_s_problem(own: tuple[Site, int]) -> None:
    """In HAProxy's words; others are served."""
    site, port = own
    (first,) = site.wheel.wants.apps
    (second_port,) = free_ports(1)
    second = web(second_port, 1, name="second", HAPROXY_0_SSL_CERT="/not/there.pem")
    site.wheel.wants.apps = [first, second]
    site.settle()
    site.wheel.reload_when_due()

    assert "/not/there.pem" in site.wheel.wants.refused[second.id]
    assert shows(port, known("own.test"))
    assert site.troubles == {}
