"""A data-sharing server of a version to come, with one table more: `python -m
tests.support.newer_sharing …`."""

from __future__ import annotations

from control_plane.sqlite.schema import Schema
from data_sharing import __main__ as program
from data_sharing.wiring import server

NEWER = Schema(part="newer", steps=(("CREATE TABLE newer (text TEXT)",),))

if __name__ == "__main__":
    server.SCHEMAS = (*server.SCHEMAS, NEWER)
    raise SystemExit(program.main())
