"""Reads a server's metrics port: what /metrics, /readyz and the Date header say."""

from __future__ import annotations

import http.client
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_TIMEOUT_S = 3.0
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)")
_VERSION = re.compile(r'version="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """None: the server does not say."""

    ready: bool
    version: str | None
    store_connected: float | None
    geo_build_s: float | None  # Unix time
    clock_skew_s: float | None  # server's clock less ours; whole seconds


def scrape(address: str) -> Scrape:
    """What the metrics port at host:port says. Raises OSError, http.client.HTTPException."""
    text, skew_s = _get(address, "/metrics")
    samples: dict[str, float] = {}
    version = None
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        if found is None:
            continue
        name, labels, value = found.groups()
        samples[name] = float(value)
        if name == "homeport_build_info" and (told := _VERSION.search(labels or "")):
            version = told.group(1)
    return Scrape(
        ready=_get(address, "/readyz")[0].strip() == "ready",
        version=version,
        store_connected=samples.get("homeport_store_connected"),
        geo_build_s=samples.get("homeport_geo_build_timestamp_seconds"),
        clock_skew_s=skew_s,
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
