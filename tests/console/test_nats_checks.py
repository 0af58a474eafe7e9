"""What `homeport doctor --nats` makes of what NATS servers say."""

from __future__ import annotations

import pytest

from console.cli.health_checks import CheckOutcome
from console.cli.nats_checks import NatsServer, NatsStream, check_nats, server_of, streams_of


def varz(name: str = "n1", *, version: str = "2.15.1", sync: bool = True, stored: int = 10) -> dict:
    config = {"max_storage": 100, "sync_always": sync}
    return {
        "server_name": name, "version": version,
        "jetstream": {"config": config, "stats": {"storage": stored}},
    }  # fmt: skip


def jsz(leader: str = "n1", *, replicas: int = 3, **peer: object) -> dict:
    peers = [{"name": "n2", "current": True}, {"name": "n3", "current": True, **peer}]
    stream = {
        "name": "homeport-0", "config": {"num_replicas": replicas},
        "cluster": {"leader": leader, "replicas": peers},
    }  # fmt: skip
    return {"account_details": [{"stream_detail": [stream, {"name": "others"}]}]}


def looked_at(server: dict | str, streams: dict | None = None) -> dict[str, tuple[str, str]]:
    """Outcome and what was seen, by check."""
    one: NatsServer | str = server if isinstance(server, str) else server_of(server)
    found = [] if streams is None else streams_of(streams, "n1", "homeport")
    return {
        each.check: (each.outcome.value, each.seen)
        for each in check_nats({"http://n1": one}, found, "homeport")
    }


def test_servers_that_are_well_are_said_to_be() -> None:
    found = looked_at(varz(), jsz())
    assert {outcome for outcome, _ in found.values()} == {CheckOutcome.OK}
    assert list(found) == [
        "nats", "nats version", "nats sync", "nats storage", "nats streams", "nats replicas",
        "nats lag",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("server", "streams", "check", "outcome", "words"),
    [
        pytest.param("refused", None, "nats", "fail", "does not answer", id="away"),
        pytest.param(varz(version="2.11.4"), jsz(), "nats version", "fail", "2.12", id="old"),
        pytest.param(
            {"server_name": "n1", "version": "2.15.1"}, jsz(), "nats version", "fail",
            "without JetStream", id="no-jetstream",
        ),
        pytest.param(varz(sync=False), jsz(), "nats sync", "fail", "n1", id="syncs-later"),
        pytest.param(varz(stored=85), jsz(), "nats storage", "warn", "15%", id="little-storage"),
        pytest.param(varz(stored=99), jsz(), "nats storage", "fail", "1%", id="no-storage"),
        pytest.param(varz(), None, "nats streams", "warn", "homeport-", id="no-streams"),
        pytest.param(varz(), jsz(""), "nats streams", "fail", "homeport-0", id="no-leader"),
        pytest.param(varz(), jsz(replicas=1), "nats replicas", "warn", "homeport-0", id="one-copy"),
        pytest.param(varz(), jsz(lag=7), "nats lag", "warn", "n3", id="one-that-is-behind"),
        pytest.param(varz(), jsz(offline=True), "nats lag", "warn", "n3", id="one-that-is-away"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(server, streams, check, outcome, words) -> None:
    found = looked_at(server, streams)
    assert found[check][0] == outcome
    assert words in found[check][1]


def test_who_does_not_lead_a_stream_is_not_believed_about_it() -> None:
    seen = {"name": "homeport-0", "replicas": 3, "leader": "n2"}
    streams = [
        NatsStream(**seen, seen_by="n1", behind=("n3",)),
        NatsStream(**seen, seen_by="n2", behind=()),
    ]
    found = check_nats({"http://n1": server_of(varz())}, streams, "homeport")
    assert {one.outcome for one in found} == {CheckOutcome.OK}


def test_a_page_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not a NATS server"):
        server_of({"hello": "world"})
