"""Calls: one open channel to the first server that answers, for the length of a command.

Every call has a deadline. A call that fails raises what the client library's calls raise,
homeport.errors.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import grpc

from console.cli.calls.tls_mismatch import mismatch
from console.cli.failure import CommandFailed, ExitCode
from console.cli.profile import Target
from homeport.channels import credentials
from homeport.errors import Unavailable, error_of
from homeport.failure import Code
from homeport.status_details import failure_of

DEADLINE_S = 10.0
_NOT_SENT = "failed to connect to all addresses"  # gRPC's words
_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 30_000),  # so that a watch notices a server that is gone
    ("grpc.keepalive_timeout_ms", 10_000),
]


class Calls:
    """A context manager: inside it, channels are open. Of several servers the first that
    answers is used; of one that ends while it is asked nobody knows what it has done
    (`repeated`)."""

    def __init__(self, target: Target, *, deadline_s: float = DEADLINE_S) -> None:
        self._target = target
        self._servers = list(target.servers)
        self._credentials = credentials(target.tls())
        self._deadline_s = deadline_s
        self.repeated = False  # an earlier server may have done what was asked, unheard
        self._metadata = [("authorization", f"Bearer {target.token}")] if target.token else []
        self._connect()

    def _connect(self) -> None:
        server, credentials = self._servers[0], self._credentials
        self._channel = (
            grpc.insecure_channel(server, options=_OPTIONS)
            if credentials is None
            else grpc.secure_channel(server, credentials, options=_OPTIONS)
        )

    def _call(self, stub: Any, method: str, request: Any, deadline_s: float | None = None) -> Any:
        asked: list[str] = []
        while True:
            asked.append(self._servers[0])
            try:
                call = getattr(stub(self._channel), method)
                # Where requests come in a stream, every attempt needs a new one.
                asked_for = request() if callable(request) else request
                return call(
                    asked_for, timeout=deadline_s or self._deadline_s, metadata=self._metadata
                )
            except grpc.RpcError as error:
                failure = failure_of(error)
                nobody_there = failure.code is Code.UNAVAILABLE and not failure.from_homeport
                if not nobody_there or len(self._servers) == 1:
                    raise error_of(failure, servers=asked, attempts=len(asked)) from error
                # What reached no server was surely not done.
                self.repeated |= not (error.details() or "").startswith(_NOT_SENT)
                self._channel.close()
                del self._servers[0]
                self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()
        said = mismatch(error, self._target) if isinstance(error, Unavailable) else ""
        if said:
            raise CommandFailed(said, ExitCode.UNAVAILABLE) from error
