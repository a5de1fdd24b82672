"""A headless Chromium for tests, where there is one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import ConsoleMessage, Error, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 20_000


def program() -> str | None:
    """The Chromium of this machine."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(
    program() is None, reason="no Chromium here (Debian: apt-get install chromium)"
)


@attrs.frozen
class Tab:
    """One tab, and what it complained of: errors of scripts, and what the policy forbade."""

    page: Page
    complaints: list[str] = attrs.field(factory=list)

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return self.page.locator(selector).count()

    def text(self, selector: str) -> str:
        """What an element says."""
        return self.page.locator(selector).first.inner_text()

    def until(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        self.page.wait_for_function(f"() => {script}", timeout=PATIENCE)

    def picture(self, path: Path) -> None:
        """What a person would see."""
        self.page.screenshot(path=path)


@contextmanager
def a_chromium() -> Iterator[Chromium]:
    """A browser without a window."""
    with sync_playwright() as play:
        # What runs as root, or in a container, has no sandbox of its own.
        chromium = play.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def a_tab(chromium: Chromium, address: str, **context: Any) -> Iterator[Tab]:  # noqa: ANN401 (playwright's own)
    """Open an address as somebody new; `context` are viewport, color_scheme and such."""
    somebody = chromium.new_context(**context)
    found = Tab(somebody.new_page())

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.complaints.append(message.text)

    def note_error(error: Error) -> None:
        found.complaints.append(str(error))

    found.page.on("console", note)
    found.page.on("pageerror", note_error)
    found.page.on("dialog", lambda dialog: found.complaints.append(dialog.message))
    found.page.goto(address)
    yield found
    somebody.close()


CONTRAST = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((x) => x / 255)
    .map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = parse(getComputedStyle(each).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const [one, two] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) bad.push(`${element.tagName} ${element.className}: ${ratio.toFixed(2)}`);
  }
  return bad;
}
"""
"""Finds the texts whose contrast is below 4.5 (WCAG 2.1, AA)."""
