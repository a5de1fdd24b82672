"""The status page as a person uses it: in a browser, with a Marathon that changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from tests.system import rig as system
from tests.system.apps import labelled, web
from tests.system.browser import CONTRAST, a_chromium, a_tab, needs_chromium
from tests.system.clients import loading
from tests.system.ports import free_ports
from tests.system.rig import Rig

pytestmark = [pytest.mark.timeout(120), needs_chromium]

EVIL = "<script>document.title = 'taken over'; alert(1)</script><img src=x onerror=alert(2)>"


@contextmanager
def a_cluster() -> Iterator[Rig]:
    """An app with two tasks, another one, and one whose labels are an attack."""
    with system.running() as rig:
        ports = rig.ports.service
        rig.deploy(web("/shop", port=ports[0], instances=2))
        rig.deploy(web("/blog", port=ports[1]))
        rig.marathon.write(labelled(web("/evil", port=ports[2]), MODE=EVIL))
        system.eventually(lambda: rig.sidecar.problems("/evil"), "the attack is a problem")
        yield rig


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """One cluster for all tests here."""
    with a_cluster() as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests here."""
    with a_chromium() as found:
        yield found


def address(rig: Rig, path: str = "/") -> str:
    """A page of the sidecar."""
    return f"http://127.0.0.1:{rig.ports.web}{path}"


def row(app_id: str) -> str:
    """The script that finds an app's row."""
    return f"document.getElementById('app:{app_id}')"


def test_an_app_is_opened_and_filtered_and_a_scale_is_seen_to_happen(
    chromium: Chromium, rig: Rig, tmp_path: Path
) -> None:
    """All without reading the page again; nothing that labels say is run."""
    with a_tab(chromium, address(rig), viewport={"width": 1280, "height": 900}) as tab:
        page = tab.page
        page.evaluate("window.mark = 'the same page'")

        page.get_by_role("link", name="/shop").first.click()
        tab.until(f"{row('/shop')}.querySelectorAll('.detail tbody tr').length === 2")
        page.get_by_role("searchbox", name="Filter").fill("shop.test")
        tab.until("document.querySelectorAll('#apps > tbody').length === 1")
        rig.marathon.write(web("/shop", port=rig.ports.service[0], instances=4))
        tab.until(f"{row('/shop')}.querySelector('.share').innerText.startsWith('4/4')")
        tab.until(f"{row('/shop')}.querySelectorAll('.detail tbody tr').length === 4")
        assert page.url.endswith("open=%2Fshop&q=shop.test")
        tab.until("document.getElementById('cycles').innerText.includes('server in')")

        page.get_by_role("searchbox", name="Filter").fill("evil")
        tab.until(f"{row('/evil')} && document.querySelectorAll('#apps > tbody').length === 1")
        assert EVIL[:40] in tab.text("#apps .problem")
        assert page.evaluate("window.mark") == "the same page"
        assert page.title() == "marathon-lb-sidecar"
        assert tab.complaints == []
        tab.picture(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 20_000
        rig.marathon.write(web("/shop", port=rig.ports.service[0], instances=2))


def test_requests_are_drawn_while_somebody_looks(chromium: Chromium, rig: Rig) -> None:
    """The total and the app's own plot grow; numbers are those of HAProxy."""
    with loading() as load, a_tab(chromium, address(rig)) as tab:
        load.begin(
            *("blog",), port=rig.ports.http, host="blog.test", answer="hello from /blog ", rate=100
        )
        tab.until(f"Number({row('/blog')}.querySelector('.plot .value').innerText) > 20")
        tab.until("Number(document.querySelector('.tile .value').innerText) > 20")
        points = "querySelector('.plot polyline').getAttribute('points').split(' ').length"
        tab.until(f"{row('/blog')}.{points} > 3")
        tab.page.get_by_role("link", name="/blog").first.click()
        server = "querySelector('.detail .plot .value').innerText"
        tab.until(
            f"{row('/blog')}.querySelector('.detail') && Number({row('/blog')}.{server}) > 20"
        )
        assert tab.complaints == []


def test_a_reload_is_told_with_its_reason(chromium: Chromium, rig: Rig) -> None:
    """A service port outside of the range costs one; it stands there as soon as it is done."""
    far = free_ports().service[0]
    with a_tab(chromium, address(rig)) as tab:
        tab.until("document.getElementById('reloads').innerText.includes('not reloaded')")
        rig.marathon.write(web("/far", port=far))
        tab.until(f"document.querySelector('#reloads li')?.innerText.includes('{far}')")
        assert tab.text("#reloads .count") == "1"


def test_focus_stays_where_it_was_while_the_page_changes(chromium: Chromium, rig: Rig) -> None:
    """A row that is drawn anew keeps the keyboard's place; keys alone open it."""
    with a_tab(chromium, address(rig)) as tab:
        tab.page.get_by_role("link", name="/blog").first.focus()
        tab.page.keyboard.press("Enter")
        tab.until(f"{row('/blog')}.querySelector('.detail')")
        tab.until("document.activeElement.innerText === '/blog'")
        assert tab.page.evaluate("document.activeElement.ariaExpanded") == "true"
        tab.page.keyboard.press("Enter")
        tab.until(f"!{row('/blog')}.querySelector('.detail')")
        tab.until("document.activeElement.innerText === '/blog'")


def test_the_essentials_work_without_scripts(chromium: Chromium, rig: Rig) -> None:
    """Links open and close, the button filters."""
    with a_tab(chromium, address(rig), java_script_enabled=False) as tab:
        tab.page.get_by_role("link", name="/blog").first.click()
        assert tab.page.locator("#apps .detail tbody tr").count() == 1
        tab.page.get_by_role("searchbox", name="Filter").fill("shop")
        tab.page.get_by_role("button", name="Filter").click()
        assert tab.count("#apps > tbody") == 1
        assert tab.page.get_by_text("shop.test").count() >= 1


def test_a_request_is_explained_from_the_page(chromium: Chromium, rig: Rig) -> None:
    """The field at the top leads to the explanation; it is safe to ask anything."""
    with a_tab(chromium, address(rig)) as tab:
        field = tab.page.get_by_role("textbox", name="Explain")
        field.fill("http://shop.test/x")
        field.press("Enter")
        tab.page.wait_for_url("**/explain?url=*")
        assert "goes to backend shop_" in tab.text(".answer")

        field.fill(f"http://shop.test/{EVIL}")
        field.press("Enter")
        tab.page.wait_for_url("**onerror**")
        field.fill("/evil")
        field.press("Enter")
        tab.page.wait_for_url("**%2Fevil")
        assert EVIL[:40] in tab.text("main")
        assert tab.complaints == []


def test_nothing_of_the_table_is_cut_off_on_a_usual_screen(chromium: Chromium, rig: Rig) -> None:
    """With an app open; on a telephone the table is another one."""
    with a_tab(
        chromium, address(rig, "/?open=/shop"), viewport={"width": 1280, "height": 900}
    ) as tab:
        tab.until("document.querySelectorAll('.detail .plot polyline').length > 1")
        wide = "document.querySelector('.wide')"
        assert tab.page.evaluate(f"{wide}.scrollWidth <= {wide}.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/?open=/shop", "/explain?url=http://shop.test/"])
def test_texts_can_be_read_in_light_and_dark_and_on_narrow_screens(
    chromium: Chromium, rig: Rig, scheme: str, path: str
) -> None:
    """A contrast of 4.5 at least, and nothing beyond the edge of a telephone."""
    screen = {"width": 360, "height": 800}
    with a_tab(chromium, address(rig, path), color_scheme=scheme, viewport=screen) as tab:
        tab.until("document.querySelectorAll('.badge').length > 1")
        assert tab.page.evaluate(CONTRAST) == []
        assert tab.page.evaluate("document.scrollingElement.scrollWidth") <= screen["width"]
        assert tab.complaints == []


def test_a_row_on_a_telephone_has_no_gaps_and_ages_stay_in_one_piece(
    chromium: Chromium, rig: Rig
) -> None:
    """An app that is not served has no servers and plots: they take no room."""
    with a_tab(chromium, address(rig), viewport={"width": 420, "height": 800}) as tab:
        tab.until(f"{row('/evil')} && !document.querySelector('.fresh').innerText.includes('UTC')")
        shown = f"[...{row('/evil')}.querySelectorAll('tr:first-child > td')]"
        assert tab.page.evaluate(f"{shown}.every((each) => each.innerText || !each.clientWidth)")
        lines = "document.querySelector('.fresh')"
        one = f"parseFloat(getComputedStyle({lines}).lineHeight)"
        assert tab.page.evaluate(f"{lines}.offsetHeight < 4.6 * {one}")


def test_the_page_says_so_when_the_sidecar_is_gone(chromium: Chromium) -> None:
    """What was last known stays, and is told to be old."""
    with system.running() as rig, a_tab(chromium, address(rig)) as tab:
        tab.until("document.getElementById('live').innerText === 'Live.'")
        rig.sidecar.kill()
        tab.until("document.getElementById('live').innerText.includes('has not answered')")
        rig.sidecar.start()
        tab.until("document.getElementById('live').innerText === 'Live.'")
