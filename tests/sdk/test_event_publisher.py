"""Events that are published while no server answers are kept, sent again in order, and once."""

from __future__ import annotations

import threading
from concurrent import futures

import grpc
import pytest

import homeport
from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc
from homeport.event_spool import EventSpool

WITHIN_S = 60.0


class Feeds(feed_pb2_grpc.FeedServiceServicer):
    """A service that keeps events once. away: answers are refused; lose: kept, and not answered."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.last: object = None
        self.calls = 0
        self.away = threading.Event()
        self.lose = 0
        self.refuse = ""

    def PublishBatch(self, request, context):
        self.calls += 1
        if self.away.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, "the feeds are away")
        response = feed_pb2.PublishBatchResponse()
        for event in request.events:
            result = response.results.add()
            if event.id == self.refuse:
                result.error.code, result.error.message = "INVALID_ARGUMENT", "no such field"
                continue
            self.last = event
            result.duplicate = event.id in self.kept
            result.position = self.kept.setdefault(event.id, len(self.kept) + 1)
        if self.lose:
            self.lose -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
        return response


@pytest.fixture
def feeds():
    return Feeds()


@pytest.fixture
def address(feeds):
    limit = [("grpc.max_receive_message_length", 1 << 20)]  # as a real one has it
    server = grpc.server(futures.ThreadPoolExecutor(4), options=limit)
    feed_pb2_grpc.add_FeedServiceServicer_to_server(feeds, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def publisher(address: str, **more) -> homeport.EventPublisher:
    return homeport.EventPublisher(address, jitter=lambda: 0.0, **more)


def publish(to: homeport.EventPublisher, name: str) -> futures.Future:
    return to.publish("road.speed", {"kmh": 50}, source="/road", id=name, subject="a7")


def test_events_are_kept_in_the_order_in_which_they_were_published(feeds, address):
    with publisher(address) as to:
        answers = [publish(to, f"e{number}") for number in range(1_200)]
    assert [one.result(0).position for one in answers] == list(range(1, 1_201))
    assert list(feeds.kept) == [f"e{number}" for number in range(1_200)]


def test_no_batch_is_larger_than_a_server_takes(feeds, address):
    """Events of the size that makes a batch of them come nearest to it."""
    feeds.away.set()
    with publisher(address, tenant="t" * 63) as to:
        first = publish(to, "first")
        empty = to.publish("f", {"x": ""}, source="/s", id="e10")
        with to._changed:
            size = to._spool._waiting[-1].size
        text = "x" * ((1 << 20) // 64 - size - 2)  # 2: how long it is takes more bytes
        answers = [to.publish("f", {"x": text}, source="/s", id=f"e{n}") for n in range(11, 99)]
        feeds.away.clear()
        for one in (first, empty, *answers):
            one.result(WITHIN_S)
    assert len(feeds.kept) == 90


def test_an_event_names_its_flow_and_its_cause_where_they_are_given(feeds, address):
    with publisher(address) as to:
        to.publish("f", {}, source="/s", correlation_id="flow", causation_id="i-1").result(WITHIN_S)
        told = {name: one.ce_string for name, one in feeds.last.attributes.items()}
        assert (told["correlationid"], told["causationid"]) == ("flow", "i-1")
        publish(to, "e").result(WITHIN_S)
        assert set(feeds.last.attributes) == {"datacontenttype", "subject"}


def test_what_is_published_while_the_service_is_away_is_sent_when_it_is_back(feeds, address):
    feeds.away.set()
    with publisher(address) as to:
        answers = [publish(to, f"e{number}") for number in range(30)]
        while feeds.calls < 3:
            answers.append(publish(to, f"e{len(answers)}"))
            threading.Event().wait(0.01)
        assert not any(one.done() for one in answers)
        feeds.away.clear()
        assert [one.result(WITHIN_S).position for one in answers] == list(
            range(1, len(answers) + 1)
        )


def test_an_event_whose_answer_was_lost_is_there_once(feeds, address):
    feeds.lose = 2
    with publisher(address) as to:
        assert publish(to, "e").result(WITHIN_S) == homeport.Published(1, True)
    assert feeds.kept == {"e": 1}


def test_the_next_server_is_asked_where_one_is_gone(feeds, address):
    with publisher(f"127.0.0.1:1,{address}") as to:
        assert publish(to, "e").result(WITHIN_S).position == 1


def test_an_event_that_is_refused_is_told_and_others_go_on(feeds, address):
    feeds.refuse = "bad"
    with publisher(address) as to:
        bad, good = publish(to, "bad"), publish(to, "good")
        with pytest.raises(homeport.InvalidRequest, match="no such field"):
            bad.result(WITHIN_S)
        assert good.result(WITHIN_S).position == 1


def test_more_than_there_is_room_for_is_refused_at_once(feeds, address):
    feeds.away.set()
    to = publisher(address, most_events=2)
    for name in ("a", "b"):
        publish(to, name)
    with pytest.raises(homeport.NoRoom):
        publish(to, "c")
    to.close(timeout_s=0.0)


def test_who_has_waited_for_too_long_is_told(feeds, address):
    feeds.away.set()
    with publisher(address, hold_s=0.0) as to, pytest.raises(homeport.Unavailable):
        publish(to, "a").result(WITHIN_S)


def test_a_closed_one_takes_nothing_and_leaves_nobody_waiting(feeds, address):
    feeds.away.set()
    to = publisher(address)
    waiting = publish(to, "a")
    to.close(timeout_s=0.0)
    with pytest.raises(homeport.Unavailable):
        waiting.result(WITHIN_S)
    with pytest.raises(RuntimeError):
        publish(to, "b")


def test_a_batch_stays_the_same_until_it_is_ended():
    spool = EventSpool[str](
        most_events=5, most_bytes=100, batch_events=2, batch_bytes=30, hold_s=1.0
    )
    assert spool.add("a", 20, 0.0)
    assert spool.begin() == ["a"]
    assert spool.add("b", 20, 0.5)
    assert spool.begin() == ["a"]
    spool.end()
    assert (spool.begin(), len(spool), spool.bytes) == (["b"], 1, 20)
    assert not spool.is_given_up(1.5)
    assert spool.is_given_up(1.6)
