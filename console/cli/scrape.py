"""Reads a server's metrics port: what /metrics, /readyz and the Date header say."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """None: the server does not say."""

    ready: bool
    version: str | None
    store_connected: float | None
    geo_build_s: float | None  # Unix time
    clock_skew_s: float | None  # server's clock less ours; whole seconds
    failing_tasks: tuple[str, ...] = ()  # background tasks that fail now
    damaged: tuple[str, ...] = ()  # keys of records of the store that cannot be read
    policies_behind: float | None = None  # tenants whose newest policy cannot be read
    resting_hooks: tuple[str, ...] = ()  # of policies, that failed too often


def scrape(address: str) -> Scrape:
    """What the metrics port at host:port says. Raises OSError, http.client.HTTPException."""
    text, skew_s = _get(address, "/metrics")
    ready = _get(address, "/readyz")[0].strip() == "ready"
    return read_metrics(text, ready=ready, clock_skew_s=skew_s)


def read_metrics(text: str, *, ready: bool, clock_skew_s: float | None) -> Scrape:
    """What a text of /metrics says. Raises ValueError."""
    samples: dict[str, float] = {}
    version = None
    failing: list[str] = []
    damaged: list[str] = []
    resting: list[str] = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name] = sample.value
            if sample.name == "homeport_build_info":
                version = sample.labels.get("version")
            elif sample.name == "homeport_background_task_failing" and sample.value:
                failing.append(sample.labels.get("task", "?"))
            elif sample.name == "homeport_store_damaged_record" and sample.value:
                damaged.append(sample.labels.get("key", "?"))
            elif sample.name == "homeport_policy_hook_resting" and sample.value:
                resting.append(sample.labels.get("hook", "?"))
    return Scrape(
        ready=ready,
        version=version,
        store_connected=samples.get("homeport_store_connected"),
        geo_build_s=samples.get("homeport_geo_build_timestamp_seconds"),
        clock_skew_s=clock_skew_s,
        failing_tasks=tuple(sorted(failing)),
        damaged=tuple(sorted(damaged)),
        policies_behind=samples.get("homeport_policies_behind"),
        resting_hooks=tuple(sorted(resting)),
    )


def _get(address: str, path: str) -> tuple[str, float | None]:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        before_s = time.time()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        after_s = time.time()
    finally:
        connection.close()
    date = response.getheader("Date")
    if date is None:
        return body, None
    theirs_s = parsedate_to_datetime(date).timestamp()
    # The date is cut to whole seconds: anything from theirs_s to theirs_s + 1 is agreement.
    if theirs_s > after_s:
        return body, theirs_s - after_s
    return body, min(0.0, theirs_s + 1.0 - before_s)
