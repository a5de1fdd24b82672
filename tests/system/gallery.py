"""Takes the picture of the status page that the documents show: `make screenshot`.

A local Marathon with some apps, a sidecar, a HAProxy, clients that come in waves, and a browser.
"""

import math
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.system import rig as system
from tests.system.apps import Json, echo, labelled, web
from tests.system.browser import a_chromium, a_tab, program
from tests.system.clients import get
from tests.system.rig import Rig

_WINDOW = {"width": 1360, "height": 960}
_RATES = {"/shop/web": 16, "/shop/api": 10, "/blog": 8, "/wiki": 4}
_STEP = 0.1


def _apps(ports: Sequence[int]) -> list[Json]:
    take = iter(ports)
    shop = labelled(web("/shop/web", port=next(take), instances=4), VHOST="shop.example.com")
    api = labelled(web("/shop/api", port=next(take), instances=2), VHOST="shop.example.com")
    blog = web("/blog", port=next(take), instances=3)
    wiki = web("/wiki", port=next(take), instances=2)
    return [
        labelled(shop, STICKY="true"),
        labelled(api, PATH="/api"),
        labelled(blog, VHOST="blog.example.com,www.blog.example.com"),
        labelled(wiki, VHOST="wiki.example.com", USE_HSTS="true"),
        echo("/queue", port=next(take)),
    ]


def _ask(rig: Rig, ended: threading.Event) -> None:
    """Requests in waves, each app's in its own time."""
    begun = time.monotonic()
    while not ended.wait(_STEP):
        passed = time.monotonic() - begun
        for number, (path, rate) in enumerate(_RATES.items()):
            wave = 1 + 0.7 * math.sin(passed / 5 + number) + 0.3 * math.sin(passed * 1.7)
            host = "shop" if path.startswith("/shop") else path[1:]
            for _ in range(round(rate * wave * _STEP)):
                asked = "/api/x" if path.endswith("api") else "/"
                get(rig.ports.http, asked, {"Host": f"{host}.example.com"})


def take(picture: Path, *, grows: float = 62.0) -> None:
    """Take it, once the plots have grown for so many seconds."""
    ended = threading.Event()
    with system.running() as rig, a_chromium() as chromium:
        ports = rig.ports.service
        for app in _apps(ports):
            rig.deploy(app)
        rig.marathon.write(labelled(web("/legacy", port=ports[6]), MODE="udp"))
        system.eventually(lambda: rig.sidecar.problems("/legacy"), "it has a problem")
        clients = threading.Thread(target=_ask, args=(rig, ended))
        clients.start()
        address = f"http://127.0.0.1:{rig.ports.web}/?open=/shop/web"
        try:
            with a_tab(chromium, address, viewport=_WINDOW) as tab:
                time.sleep(grows)  # the plots are of the last minute
                rig.deploy(web("/billing", port=ports[5], instances=2))
                tab.until("document.getElementById('app:/billing')?.innerText.includes('2/2')")
                time.sleep(2)  # so that it has a plot too
                tab.picture(picture)
        finally:
            ended.set()
            clients.join()


if __name__ == "__main__":
    if program() is None:
        sys.exit("no Chromium here (Debian: apt-get install chromium)")
    take(Path(sys.argv[1]))
