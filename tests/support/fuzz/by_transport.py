"""ByTransport: all tests of one transport are one piece of work for pytest-xdist's workers."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from tests.support.fuzz.services import TRANSPORTS


class ByTransport(LoadScopeScheduling):
    """Of a test without a transport: a piece by itself."""

    def _split_scope(self, nodeid: str) -> str:
        parameters = nodeid.rpartition("[")[2].rstrip("]").split("-")
        return next((one for one in TRANSPORTS if one in parameters), nodeid)
