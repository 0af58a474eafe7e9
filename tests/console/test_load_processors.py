"""How much of a processor servers use, as their metrics say."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from console.cli.load_processors import ProcessorSampler, processor_seconds
from tests.support.local_stack import wait_until


class Metrics(http.server.BaseHTTPRequestHandler):
    """Has used ten more seconds of processors at each look."""

    seconds = 0.0

    def do_GET(self) -> None:
        Metrics.seconds += 10.0
        body = (
            f"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {self.seconds}\n"
        )
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def metrics() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_says_what_the_busiest_server_uses_and_not_what_a_silent_one_does(metrics: str) -> None:
    with ProcessorSampler(["127.0.0.1:1", metrics]) as sampler:
        wait_until(lambda: sampler.busiest > 0.0, "two looks")
        assert sampler.busiest > 0.5  # ten seconds, however long ago the look before was


def test_without_servers_it_knows_nothing() -> None:
    with ProcessorSampler([]) as sampler:
        assert sampler.busiest == 0.0


def test_metrics_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match="no process_cpu_seconds_total"):
        processor_seconds("# TYPE up gauge\nup 1\n")
