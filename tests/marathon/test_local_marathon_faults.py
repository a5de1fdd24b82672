"""The local Marathon's fault switches: each makes the one thing go wrong that it says."""

import time
from collections.abc import Iterator

import pytest
import requests

from sidecar.demo.faults import BadAnswer
from sidecar.demo.local import LocalMarathon
from sidecar.demo.settings import LocalMarathonSettings
from tests.marathon.local_marathon_rig import ask, asking_for_events, listening, sleeper


@pytest.fixture
def marathon() -> Iterator[LocalMarathon]:
    """A Marathon with frequent heartbeats."""
    with LocalMarathon(LocalMarathonSettings(heartbeat=0.1)) as local:
        yield local


def test_all_events_can_be_lost(marathon: LocalMarathon) -> None:
    """With a share of 1 nothing but heartbeats comes, while the apps go on."""
    marathon.faults.drop_events = 1
    with listening(marathon) as listener:
        marathon.deploy(sleeper())
        listener.until(lambda: listener.body.endswith(b"\r\n"))

        assert listener.events == []


def test_a_share_of_events_can_be_lost(marathon: LocalMarathon) -> None:
    """Half of many is neither none nor all."""
    marathon.faults.drop_events = 0.5
    with listening(marathon, "?event_type=filler&event_type=last") as listener:
        for _ in range(200):
            marathon.publish("filler")
        marathon.faults.drop_events = 0
        marathon.publish("last")
        listener.until_event("last")

        assert 50 < len(listener.of("filler")) < 150


def test_events_can_be_late_and_stay_in_order(marathon: LocalMarathon) -> None:
    """Each waits as long as is set."""
    marathon.faults.delay_events = 0.4
    with listening(marathon, "?event_type=filler") as listener:
        began = time.monotonic()
        for number in range(5):
            marathon.publish("filler", number=number)
        listener.until_event("filler", number=4)
        elapsed = time.monotonic() - began

        assert [event["number"] for event in listener.of("filler")] == [0, 1, 2, 3, 4]
    assert elapsed >= 0.4


def test_requests_can_hang_and_are_answered_afterwards(marathon: LocalMarathon) -> None:
    """No answer comes while the switch is set; Marathon can be closed meanwhile."""
    marathon.faults.hang = True
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{marathon.url}/ping", timeout=0.3)
    marathon.faults.hang = False

    assert ask(marathon, "GET", "/ping").text == "pong"


def test_a_marathon_that_hangs_can_be_closed() -> None:
    """Requests that wait end with it."""
    with LocalMarathon() as marathon:
        marathon.faults.hang = True
        with asking_for_events(marathon) as listener:
            marathon.wait(lambda: bool(marathon.requests))
            marathon.__exit__(None, None, None)
            listener.until_end()

            assert listener.raw == b""


def test_the_next_answers_can_be_bad(marathon: LocalMarathon) -> None:
    """As many as are set, in their order; then all is well again."""
    marathon.faults.answer_badly(BadAnswer.SERVER_ERROR)
    marathon.faults.answer_badly(BadAnswer.HTML, times=2)
    marathon.faults.answer_badly(BadAnswer.HALF_JSON)
    answers = [ask(marathon, "GET", "/v2/apps") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [500, 502, 502, 200, 200]
    assert answers[1].headers["Content-Type"].startswith("text/html")
    assert [answer.text for answer in answers[3:]] == ['{"app', '{"apps":[]}']


def test_streams_can_be_cut_and_come_back(marathon: LocalMarathon) -> None:
    """The cut is an ordinary end."""
    with listening(marathon) as listener:
        marathon.cut_streams()
        listener.until_end()
    marathon.wait(lambda: marathon.listeners == 0)
    with listening(marathon) as again:
        again.until_event("event_stream_attached")


def test_streams_can_stall(marathon: LocalMarathon) -> None:
    """Nothing comes any more, not even heartbeats, until the switch is reset."""
    with listening(marathon) as listener:
        listener.until_event("event_stream_attached")
        marathon.faults.stall_streams = True
        listener.stays_silent(0.2)  # what was on its way when the switch was set
        marathon.publish("filler")

        assert listener.stays_silent(0.5)
        assert not listener.of("filler")
        marathon.faults.stall_streams = False
        listener.until_event("filler")


def test_a_stalled_stream_can_be_cut(marathon: LocalMarathon) -> None:
    """It ends at once."""
    marathon.faults.stall_streams = True
    with listening(marathon) as listener:
        marathon.cut_streams()
        listener.until_end(timeout=2)


def test_a_marathon_that_does_not_lead_redirects_its_stream(marathon: LocalMarathon) -> None:
    """302 to the leader with the same query; the REST API is answered as if proxied."""
    marathon.faults.leader_url = "http://127.0.0.1:9/"
    answer = requests.get(
        f"{marathon.url}/v2/events?event_type=a&event_type=b",
        headers={"Accept": "text/event-stream"},
        allow_redirects=False,
        timeout=5,
    )

    assert answer.status_code == 302
    assert answer.headers["Location"] == "http://127.0.0.1:9/v2/events?event_type=a&event_type=b"
    assert ask(marathon, "GET", "/v2/apps").status_code == 200


def test_a_leader_that_is_not_ready_closes_a_stream_at_once(marathon: LocalMarathon) -> None:
    """200, then the end, and nobody was attached."""
    marathon.faults.ready = False
    with asking_for_events(marathon) as listener:
        listener.until_end()

        assert listener.head.startswith(b"HTTP/1.1 200 ")
        assert listener.body == b""


def test_any_event_can_be_published(marathon: LocalMarathon) -> None:
    """For what a machine of its own never tells, such as the loss of Mesos."""
    with listening(marathon) as listener:
        marathon.publish("scheduler_reregistered_event", master="m1")

        assert listener.until_event("scheduler_reregistered_event", master="m1")["timestamp"]
