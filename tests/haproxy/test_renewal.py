"""Certificates that change while a real HAProxy serves them: what TLS clients are shown."""

import datetime as dt
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from sidecar.desired.certificates import (
    CRT_LIST,
    DEFAULT,
    FOLDER,
    Certificate,
    file_of,
    read_pem,
)
from sidecar.haproxy.certificates import CertificateFiles
from sidecar.haproxy.commands import put_certificate, show_certificates
from sidecar.haproxy.runtime import RuntimeApi
from sidecar.plan.observed import CERTIFICATE_LEDGER
from sidecar.plan.steps import (
    AddEntry,
    ListCertificate,
    MakeCertificate,
    RemoveCertificate,
    RenewCertificate,
    Step,
)
from sidecar.reconcile.apply import Applier
from sidecar.reconcile.renewal import CertificatesRead, Renewal
from tests.conditions import eventually
from tests.haproxy.certificate_site import Site, a_sidecar, a_site, no_reload, put
from tests.haproxy.driving_rig import stopped_afterwards, web
from tests.haproxy.skeleton_rig import free_ports
from tests.pems import a_certificate, known, parts, with_chain


@pytest.fixture
def site(short_dir: Path) -> Iterator[Site]:
    """HAProxy with two certificates, of which the first is the one for unknown names."""
    put(short_dir / "given" / "a.pem", known("default.test"))
    put(short_dir / "given" / "one.pem", known("one.test"))
    (port,) = free_ports(1)
    made = a_site(short_dir, web(port, 1), service_ports=[port])
    with stopped_afterwards(short_dir):
        assert not made.wheel.driver.find()
        made.wheel.driver.start(made.wheel.wants)
        made.settle()
        yield made


def test_the_name_that_a_client_asks_for_picks_the_certificate(site: Site) -> None:
    """The first one is for all other names, and for clients that ask for none."""
    assert site.shows(known("one.test"), "one.test")
    assert site.shows(known("default.test"), "other.test")
    assert site.shows(known("default.test"))


def test_a_changed_file_is_served_without_a_reload(site: Site) -> None:
    """Both the one for a name and the one for all others."""
    one, default = a_certificate("one.test"), a_certificate("default.test")
    put(site.folder / "one.pem", one)
    put(site.folder / "a.pem", default)

    with no_reload(site):
        site.settle()
        assert site.shows(one, "one.test")
        assert site.shows(default)
    assert site.wheel.scribe.trouble == ""


def test_an_expired_certificate_is_served_until_its_renewal_is_there(site: Site) -> None:
    """It is the operator's file that counts."""
    expired, renewed = a_certificate("one.test", days=-1), a_certificate("one.test")
    put(site.folder / "one.pem", expired)
    with no_reload(site):
        site.settle()
        assert site.shows(expired, "one.test")

        put(site.folder / "one.pem", renewed)
        site.settle()
        assert site.shows(renewed, "one.test")


def test_new_files_are_served_and_removed_ones_are_not(site: Site) -> None:
    """A name whose certificate is gone gets the default one."""
    with no_reload(site):
        put(site.folder / "two.pem", known("two.test"))
        site.settle()
        assert site.shows(known("two.test"), "two.test")

        (site.folder / "two.pem").unlink()
        site.settle()
        assert site.shows(known("default.test"), "two.test")
    loaded = site.wheel.observe().certificates
    assert set(loaded) == {DEFAULT, file_of(str(site.folder / "one.pem"))}


def test_another_file_becomes_the_default_one(site: Site) -> None:
    """HAProxy never lets the first of its list go, so its content changes."""
    with no_reload(site):
        (site.folder / "a.pem").unlink()
        site.settle()
        assert site.shows(known("one.test"))
        assert set(site.wheel.observe().certificates) == {DEFAULT}

        put(site.folder / "a.pem", known("default.test"))
        site.settle()
        assert site.shows(known("default.test"))
        assert site.shows(known("one.test"), "one.test")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "nonsense",
        parts(known("one.test"))[0],
        parts(known("one.test"))[0] + parts(known("x"))[1],
    ],
    ids=["empty", "nonsense", "no key", "another's key"],
)
def test_a_broken_file_keeps_what_was_good(site: Site, broken: str) -> None:
    """Others are taken over all the same."""
    renewed = a_certificate("default.test")
    put(site.folder / "one.pem", broken)
    put(site.folder / "a.pem", renewed)

    with no_reload(site):
        site.settle()
        assert site.shows(known("one.test"), "one.test")
        assert site.shows(renewed)
    assert list(site.troubles) == [str(site.folder / "one.pem")]


def test_what_haproxy_would_refuse_never_gets_there(site: Site) -> None:
    """Nor into the file of the next start."""
    put(site.folder / "one.pem", (Path(__file__).parent / "weak.pem").read_text())

    with no_reload(site):
        site.settle()
        assert site.shows(known("one.test"), "one.test")
    assert "HAProxy refuses it" in site.troubles[str(site.folder / "one.pem")]


def test_a_changed_chain_is_taken_over_too(site: Site) -> None:
    """HAProxy shows the same fingerprint before and after."""
    put(site.folder / "one.pem", with_chain(known("one.test"), 2))

    with no_reload(site):
        site.settle()
        with RuntimeApi(site.wheel.engine.placement.admin_socket) as api:
            file = site.wheel.settings.state_dir + "/" + file_of(str(site.folder / "one.pem"))
            assert api.ask(f"show ssl cert {file}").count("Chain Subject") == 2


def test_one_larger_than_a_command_may_be_comes_by_a_reload(site: Site) -> None:
    """2.6 would drop it without a word, or end."""
    large = with_chain(a_certificate("one.test"), 60)
    put(site.folder / "one.pem", large)
    before, can = site.pid, site.wheel.cycle.capabilities

    site.settle()

    if len(large) < can.largest_certificate:
        assert site.shows(large, "one.test")
        assert site.pid == before
        return
    assert site.shows(known("one.test"), "one.test")
    assert site.wheel.reload_when_due()
    site.settle()
    site.comes_to_show(large, "one.test")
    assert site.wheel.driver.reload_due() is None


@pytest.mark.parametrize("links", [0, 10, 24])
def test_whatever_is_sent_arrives(site: Site, links: int) -> None:
    """Up to just below what we take for the limit."""
    pem = with_chain(a_certificate("one.test"), links)
    assert len(pem) < site.wheel.cycle.capabilities.largest_certificate
    put(site.folder / "one.pem", pem)

    with no_reload(site):
        site.settle()
        assert site.shows(pem, "one.test")


def test_a_restarted_sidecar_needs_to_do_nothing(site: Site) -> None:
    """After changes at run time; the ledger and HAProxy's own report tell it."""
    put(site.folder / "one.pem", with_chain(a_certificate("one.test"), 1))
    put(site.folder / "two.pem", known("two.test"))
    site.settle()

    _, again = a_sidecar(site.wheel.settings, *site.wheel.wants.apps)
    with no_reload(site):
        assert again.driver.find()
        assert not again.follow()


def test_a_reload_by_somebody_else_is_made_up_for(site: Site) -> None:
    """It loads the files as they were written last."""
    renewed = a_certificate("one.test")
    put(site.folder / "one.pem", renewed)
    site.settle()
    assert site.wheel.engine.master.reload().succeeded
    site.comes_to_show(known("one.test"), "one.test")

    site.settle()
    assert site.shows(renewed, "one.test")


def test_what_somebody_changed_by_hand_is_repaired_by_an_audit(site: Site) -> None:
    """The ledger knows nothing of it, so HAProxy is asked."""
    file = file_of(str(site.folder / "one.pem"))
    wanted = next(each for each in site.wheel.driver.desired.certificates if each.file == file)
    other = attrs.evolve(wanted, text=a_certificate("one.test"))
    path = f"{site.wheel.settings.state_dir}/{file}"
    with RuntimeApi(site.wheel.engine.placement.admin_socket) as api:
        api.ask(put_certificate(RenewCertificate(other), site.wheel.settings.state_dir))
        assert "Success" in api.ask(f"commit ssl cert {path}")
    assert not site.shows(known("one.test"), "one.test")

    site.wheel.follow(audit=True)
    assert site.shows(known("one.test"), "one.test")
    assert not site.wheel.follow(audit=True)


def test_a_change_that_somebody_began_and_left_stands_in_no_way(site: Site) -> None:
    """HAProxy has one change under way at a time; theirs is dropped, and never put in place."""
    state_dir = site.wheel.settings.state_dir
    left = attrs.evolve(site.wheel.driver.desired.certificates[0], text=a_certificate("left.test"))
    renewed = a_certificate("one.test")
    with RuntimeApi(site.wheel.engine.placement.admin_socket) as api:
        api.ask(put_certificate(RenewCertificate(left), state_dir))
        assert "*" in api.ask(show_certificates())

        put(site.folder / "one.pem", renewed)
        site.settle()
        assert "*" not in api.ask(show_certificates())
    assert site.shows(renewed, "one.test")
    assert site.shows(known("default.test"))


def test_copies_are_for_their_owner_alone_and_old_ones_go(site: Site) -> None:
    """There are keys in them."""
    state_dir = Path(site.wheel.settings.state_dir)
    put(site.folder / "two.pem", known("two.test"))
    (site.folder / "one.pem").unlink()
    site.settle()
    site.wheel.engine.write(site.wheel.driver._rendered())

    copies = sorted((state_dir / FOLDER).iterdir())
    names = {DEFAULT, file_of(str(site.folder / "two.pem"))}
    assert {f"{FOLDER}/{copy.name}" for copy in copies} == names
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in [*copies, state_dir / CRT_LIST]} == {
        0o600
    }
    assert stat.S_IMODE((state_dir / FOLDER).stat().st_mode) == 0o700


def test_no_log_line_holds_a_key(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor does what HAProxy says of itself."""
    renewed = a_certificate("one.test")
    put(site.folder / "one.pem", renewed)
    site.settle()

    said = "".join(capfd.readouterr())
    assert "set ssl cert" in said
    assert not any(line in said for line in parts(renewed)[1].splitlines()[1:3])


# --- the thread ---


def test_the_thread_tells_what_changes_and_what_is_wrong(tmp_path: Path) -> None:
    """And only that; it ends when it is told to."""
    put(tmp_path / "a.pem", known("a.test"))
    stopping, told = threading.Event(), list[CertificatesRead]()
    renewal = Renewal(CertificateFiles([tmp_path]), told.append, stopping=stopping, interval=0.01)
    assert [each.source for each in renewal.begin().certificates] == [str(tmp_path / "a.pem")]
    thread = threading.Thread(target=renewal.run)
    thread.start()
    try:
        put(tmp_path / "b.pem", known("b.test"))
        eventually(lambda: told)
        assert len(told[-1].certificates) == 2
        put(tmp_path / "b.pem", "nonsense")
        eventually(lambda: told[-1].troubles)
        assert len(told[-1].certificates) == 2
        os.utime(tmp_path / "a.pem", ns=(1, 1))
        put(tmp_path / "b.pem", known("b.test"))
        eventually(lambda: not told[-1].troubles)
    finally:
        stopping.set()
        thread.join(10)
    assert len(told) == 3
    assert not thread.is_alive()


def test_that_a_certificate_has_expired_is_told(tmp_path: Path) -> None:
    """On the day itself; it is served all the same."""
    put(tmp_path / "a.pem", a_certificate("a.test", days=1))
    now = [dt.datetime.now(dt.UTC)]
    renewal = Renewal(
        CertificateFiles([tmp_path]),
        lambda _: None,
        stopping=threading.Event(),
        now=lambda: now[0],
    )
    assert not renewal.begin().troubles
    now[0] += dt.timedelta(days=2)

    read = renewal.begin()
    assert "expired on" in read.troubles[str(tmp_path / "a.pem")]
    assert len(read.certificates) == 1


# --- step by step ---


def test_what_depends_on_a_refused_certificate_is_not_sent(site: Site) -> None:
    """It is neither listed nor noted; other certificates are not touched by that."""
    state_dir = site.wheel.settings.state_dir
    bad = Certificate(f"{FOLDER}/bad.pem", "/bad.pem", "nonsense\n", "AA")
    pem = read_pem(known("two.test"))
    good = Certificate(f"{FOLDER}/good.pem", "/good.pem", pem.text, pem.fingerprint)
    steps: list[Step] = []
    for each in (bad, good):
        steps += [MakeCertificate(each.file), RenewCertificate(each), ListCertificate(each.file)]
        steps.append(AddEntry(CERTIFICATE_LEDGER, each.file, each.digest))
    steps.append(RemoveCertificate(bad.file))

    with RuntimeApi(site.wheel.engine.placement.admin_socket) as api:
        results = Applier(state_dir, site.wheel.cycle.capabilities).apply(steps, api)

    outcomes = ["done", "refused", "skipped", "skipped"]
    assert [result.outcome for result in results] == [*outcomes, *["done"] * 4, "skipped"]
    assert "nonsense" not in repr([(result.step, result.commands) for result in results])
    assert site.shows(known("two.test"), "two.test")
    site.wheel.follow(audit=True)
    site.settle()
    assert site.shows(known("default.test"), "two.test")


def test_a_certificate_that_did_not_arrive_as_it_was_sent_is_refused(site: Site) -> None:
    """HAProxy is asked what it has after it said that all went well."""
    wanted = site.wheel.driver.desired.certificates[0]
    step = RenewCertificate(attrs.evolve(wanted, fingerprint="another"))
    state_dir = site.wheel.settings.state_dir

    with RuntimeApi(site.wheel.engine.placement.admin_socket) as api:
        (result,) = Applier(state_dir, site.wheel.cycle.capabilities).apply([step], api)

    assert (result.outcome, result.text) == (
        "refused",
        "HAProxy has another certificate there still",
    )
