"""Logs as JSON lines on stderr, one object each, ready for any collector.

Addresses of clients are personal data: whoever logs one passes it through
`truncate_address` first.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import sys
import time


class JsonFormatter(logging.Formatter):
    """time (RFC 3339, UTC), level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as_json(level: str) -> None:
    """Sends everything from `level` up to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def truncate_address(address: str) -> str:
    """The network an address is in: /24 for IPv4, /48 for IPv6; "?" for anything else.

    >>> truncate_address("198.51.100.7")
    '198.51.100.0/24'
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "?"
    bits = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network((parsed, bits), strict=False))
