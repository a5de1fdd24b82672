"""What HAProxy counts, sampled while somebody looks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import pytest

from sidecar.web.page.sampler import KEPT, Sampler, Samples, Series
from tests.builders import a_task, an_app, desired_of
from tests.conditions import eventually
from tests.haproxy.skeleton_rig import Rig, a_folder, a_layout, a_rig, free_ports, get, tasks


@attrs.frozen
class Counted:
    """A HAProxy with one app, its service port, and a sampler of it that runs."""

    rig: Rig
    port: int
    sampler: Sampler

    def until(self, condition: Callable[[Samples, Series], object], *places: str) -> Samples:
        """Look until something was counted, of all and of the app."""
        found: list[Samples] = []

        def so() -> bool:
            samples = self.sampler.look(places)
            web = samples.backends.get(f"web_{self.port}")
            found.append(samples)
            return web is not None and bool(condition(samples, web))

        eventually(so, within=10)
        return found[-1]


@contextmanager
def running(sampler: Sampler, stopping: threading.Event) -> Iterator[None]:
    """Its thread, which ends."""
    thread = threading.Thread(target=sampler.run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        sampler.interrupt()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def counted(haproxy_binary: str) -> Iterator[Counted]:
    """One app with one task; a sample every twentieth of a second, for half of one."""
    with a_folder() as folder, tasks(("/web 1",)) as ports:
        (port,) = free_ports(1)
        rig = a_rig(haproxy_binary, folder, a_layout(folder, (port,)))
        task = a_task(1, "/web", host="127.0.0.1", ports=[ports["/web 1"]])
        labels = {"HAPROXY_0_MODE": "http"}
        rig.write(desired_of([an_app("/web", labels=labels, service_ports=(port,), tasks=[task])]))
        stopping = threading.Event()
        sampler = Sampler(rig.api, stopping, interval=0.05, interest=0.5)
        with rig.running(), running(sampler, stopping):
            yield Counted(rig, port, sampler)


def test_requests_show_in_the_plot_of_their_backend(counted: Counted) -> None:
    """With the servers in rotation; servers one by one only where somebody looks at them."""
    assert counted.sampler.look().taken is None
    for _ in range(20):
        get(counted.port)

    samples = counted.until(lambda _, web: max(web.rates) and web.up == 1)

    assert samples.servers == {}
    looked = counted.until(lambda samples, _: samples.servers, f"web_{counted.port}", "nowhere")
    ((place, name),) = looked.servers
    assert place == f"web_{counted.port}"
    plotted = counted.until(lambda now, _: len(now.servers[place, name].rates) > 1, place)
    last = plotted.servers[place, name].last
    assert last is not None
    assert last.status == "no check"


def test_the_plot_is_bounded_and_nothing_is_asked_while_nobody_looks(
    counted: Counted,
) -> None:
    """The last minute is kept; what is old is not shown."""
    samples = counted.until(lambda _, web: len(web.rates) == KEPT)
    again = counted.until(lambda now, _: now.taken != samples.taken)
    assert len(again.backends[f"web_{counted.port}"].rates) == KEPT

    def asked() -> int:
        with counted.rig.api() as api:
            return int(api.ask("show info").partition("CumConns: ")[2].split()[0])

    def rests() -> bool:
        before = asked()
        threading.Event().wait(0.7)
        return asked() == before + 1  # our own question alone

    eventually(rests, within=10)
    assert counted.sampler.look() == Samples()
    counted.until(lambda *_: True)  # it wakes again
