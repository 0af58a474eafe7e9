"""Logs as JSON lines on stderr, one object each, ready for any collector.

A line written while a call is traced names the trace and the span (`control_plane.tracing`).
Addresses of clients are personal data: whoever logs one hands over a `ClientAddress`, and what is
shown of it is said here.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping

from control_plane.client_address import AddressDetail, ClientAddress, truncate_address
from control_plane.tracing.current import current_trace

FOREIGN = ("aiohttp",)
"""Loggers of libraries that write addresses of peers as plain text."""


class JsonFormatter(logging.Formatter):
    """time (RFC 3339, UTC), level, logger, message, trace_id and span_id where there are some,
    and the traceback where there is one."""

    def __init__(self, addresses: AddressDetail = AddressDetail.TRUNCATED) -> None:
        super().__init__()
        self._addresses = addresses

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        trace = current_trace()
        if trace is not None:
            line["trace_id"], line["span_id"] = trace.trace_id, trace.span_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)

    def _message(self, record: logging.LogRecord) -> str:
        """The record's text, its addresses as they may be shown."""
        arguments = record.args
        if not arguments:
            return str(record.msg)
        foreign = record.name.partition(".")[0] in FOREIGN
        if isinstance(arguments, Mapping):
            return str(record.msg) % {
                name: self._shown(value, foreign) for name, value in arguments.items()
            }
        return str(record.msg) % tuple(self._shown(value, foreign) for value in arguments)

    def _shown(self, value: object, foreign: bool) -> object:
        if isinstance(value, ClientAddress):
            return value.shown(self._addresses)
        if foreign and isinstance(value, str) and truncate_address(value) != "?":
            return ClientAddress(value).shown(self._addresses)
        return value


def log_as_json(level: str, addresses: AddressDetail = AddressDetail.TRUNCATED) -> None:
    """Sends everything from `level` up to stderr. addresses: what is shown of clients'."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(addresses))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
