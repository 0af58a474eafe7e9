"""The metrics endpoint that cannot have its port."""

from __future__ import annotations

import socket

import pytest
from prometheus_client.registry import CollectorRegistry

from control_plane.errors import InvalidInput
from control_plane.supervision import Supervisor
from control_plane.telemetry.endpoint import MetricsEndpoint, Readiness


def test_a_port_that_is_taken_is_said_in_the_systems_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        supervisor = Supervisor(clock=lambda: 0.0, jitter=lambda: 0.0)
        endpoint = MetricsEndpoint(
            listen, CollectorRegistry(), supervisor, ready=lambda: Readiness.READY
        )
        with pytest.raises(InvalidInput) as caught, endpoint:
            pass
    assert caught.value.message == (
        f"cannot listen on {listen} for metrics: Address already in use; "
        "choose another --metrics-listen"
    )
