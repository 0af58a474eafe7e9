"""ProcessorSampler: how much of a processor servers use while a load runs, by their metrics ports.

A thread of its own looks each second: whoever reads what load processes say must not wait for
servers that are overwhelmed.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

EVERY_S = 1.0
ASK_WITHIN_S = 2.0
METRIC = "process_cpu_seconds_total"


class ProcessorSampler:
    """A context manager: inside it, it looks. addresses: host:port of metrics ports; none: it
    never knows."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="processor sampler", daemon=True)
        self._before: dict[str, tuple[float, float]] = {}  # when, and processor time until then
        self._used: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._addresses:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._addresses:
            self._thread.join(ASK_WITHIN_S * len(self._addresses) + EVERY_S)

    @property
    def busiest(self) -> float:
        """Processors that the busiest server used when it was last looked at; 0.0: not known."""
        return max(self._used.values(), default=0.0)

    def _look(self) -> None:
        while not self._stop.wait(EVERY_S):
            for address in self._addresses:
                try:
                    text = metrics_text(address)
                    seconds = processor_seconds(text)
                except (OSError, http.client.HTTPException, ValueError):
                    self._before.pop(address, None)  # it has other things to do
                    continue
                now = time.monotonic()
                if address in self._before:
                    then, had = self._before[address]
                    self._used[address] = max(0.0, seconds - had) / max(1e-3, now - then)
                self._before[address] = now, seconds


def metrics_text(address: str) -> str:
    """What a metrics port says. Raises OSError, http.client.HTTPException."""
    connection = http.client.HTTPConnection(address, timeout=ASK_WITHIN_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode("utf-8", "replace")
    finally:
        connection.close()


def processor_seconds(text: str) -> float:
    """The processor time that a text of /metrics says. Raises ValueError where it says none."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == METRIC:
                return float(sample.value)
    raise ValueError(f"no {METRIC}")
