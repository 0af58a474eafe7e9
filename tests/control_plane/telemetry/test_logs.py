"""One JSON object a line; what it says of traces and of addresses."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from control_plane.client_address import AddressDetail, ClientAddress
from control_plane.telemetry.logs import JsonFormatter
from control_plane.tracing.current import TraceIds, tracing

ADDRESS = "198.51.100.7"


def record(message: str, *arguments: object, name: str = "homeport", **more: object):
    return logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, None, **more)


def line(one: logging.LogRecord, addresses: AddressDetail = AddressDetail.TRUNCATED):
    text = JsonFormatter(addresses).format(one)
    assert "\n" not in text
    return json.loads(text)


@pytest.mark.parametrize(
    ("addresses", "shown"),
    [
        pytest.param(AddressDetail.TRUNCATED, "198.51.100.0/24", id="truncated"),
        pytest.param(AddressDetail.FULL, ADDRESS, id="full"),
        pytest.param(AddressDetail.NONE, "-", id="none"),
    ],
)
@pytest.mark.parametrize(
    "one",
    [
        pytest.param(record("from %s", ClientAddress(ADDRESS)), id="by-place"),
        pytest.param(record("from %(who)s", {"who": ClientAddress(ADDRESS)}), id="by-name"),
        pytest.param(record("from %s", ADDRESS, name="aiohttp.server"), id="of-a-library"),
    ],
)
def test_an_address_is_shown_as_the_setting_says(one, addresses, shown):
    assert line(one, addresses)["message"] == f"from {shown}"


def test_what_is_no_client_s_address_is_written_as_it_is():
    assert line(record("%d of %s", 3, "10.0.0.1:2379"))["message"] == "3 of 10.0.0.1:2379"
    assert line(record("100% of it"))["message"] == "100% of it"


def test_a_line_of_a_traced_call_names_trace_and_span():
    ids = TraceIds("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    with tracing(ids):
        inside = line(record("x"))
    assert (inside["trace_id"], inside["span_id"]) == (ids.trace_id, ids.span_id)
    assert set(line(record("x"))) == {"time", "level", "logger", "message"}


def test_a_traceback_is_one_field():
    try:
        raise ValueError("no")
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    assert line(failed)["traceback"].endswith("ValueError: no")
