"""OwnConsents: what one user has consented to, as the user itself sees and changes it.

The user shows the ticket that it has for its unit, to the data-sharing service. All three calls do
the same when they are done twice, so one that had no answer is made again at the next server.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.datasharing.v1 import sharing_pb2, sharing_pb2_grpc
from homeport.channels import Tls, channel_options, credentials, metadata_of
from homeport.endpoints import Endpoints
from homeport.errors import error_of
from homeport.failure import Code
from homeport.status_details import failure_of

TIMEOUT_S = 10.0
PAGE = 1_000
_AWAY = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED})


class GivenConsent(NamedTuple):
    """One consent. application empty: the tenant may read; feed empty: any; fields none: all that
    are granted for the purpose. withdrawn None: it holds."""

    id: str
    application: str
    purpose: str
    feed: str
    fields: tuple[str, ...]
    given: datetime
    withdrawn: datetime | None


class OwnConsents:
    """A context manager, for any number of threads."""

    def __init__(
        self,
        servers: str | Iterable[str],
        ticket: str,
        *,
        tenant: str = "",
        tls: Tls | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """servers: of data sharing. tenant: empty: the ticket's. timeout_s: of each server that is
        asked. Raises ValueError for servers or a ticket that cannot be ones."""
        self._servers = Endpoints(servers)
        self._tenant = tenant
        self._metadata = metadata_of(ticket)
        self._timeout_s = timeout_s
        shown, options = credentials(tls), channel_options(tls)
        self._channels = {
            server: grpc.insecure_channel(server, options)
            if shown is None
            else grpc.secure_channel(server, shown, options)
            for server in self._servers.servers
        }

    def list(self, *, withdrawn: bool = False) -> list[GivenConsent]:
        """Newest first; those that hold, or also those that were withdrawn. Raises
        PermissionDenied, Unauthenticated, Unavailable."""
        found: list[GivenConsent] = []
        page = ""
        while True:
            request = sharing_pb2.ListOwnConsentsRequest(
                tenant=self._tenant, with_withdrawn=withdrawn, page_size=PAGE, page_token=page
            )
            answer = self._ask("ListOwnConsents", request)
            found += map(_given, answer.consents)
            page = answer.next_page_token
            if not page:
                return found

    def give(
        self, purpose: str, *, application: str = "", feed: str = "", fields: Iterable[str] = ()
    ) -> GivenConsent:
        """Lets an application, or the tenant, read for a purpose from the next event on. Raises
        InvalidRequest, Refused where there are too many, and as `list`."""
        request = sharing_pb2.GiveOwnConsentRequest(
            tenant=self._tenant, application=application, purpose=purpose, feed=feed, fields=fields
        )
        return _given(self._ask("GiveOwnConsent", request))

    def withdraw(self, consent_id: str) -> GivenConsent:
        """Nothing is shown by it from the next event on. Raises NotFound, and as `list`."""
        request = sharing_pb2.WithdrawOwnConsentRequest(tenant=self._tenant, consent_id=consent_id)
        return _given(self._ask("WithdrawOwnConsent", request))

    def close(self) -> None:
        """Idempotent."""
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _ask(self, method: str, request: Any) -> Any:
        asked: list[str] = []
        while True:
            server = self._servers.current
            asked.append(server)
            try:
                call = getattr(sharing_pb2_grpc.SharingServiceStub(self._channels[server]), method)
                return call(request, timeout=self._timeout_s, metadata=self._metadata)
            except grpc.RpcError as error:
                failure = failure_of(error)
                if failure.code in _AWAY:
                    self._servers.mark_failed(server)
                    if len(asked) < len(self._servers):
                        continue
                raise error_of(failure, servers=asked, attempts=len(asked)) from error


def _given(one: sharing_pb2.Consent) -> GivenConsent:
    return GivenConsent(
        id=one.consent_id,
        application=one.application,
        purpose=one.purpose,
        feed=one.feed,
        fields=tuple(one.fields),
        given=_time(one.give_time),
        withdrawn=_time(one.withdraw_time) if one.HasField("withdraw_time") else None,
    )


def _time(at: Timestamp) -> datetime:
    return at.ToDatetime(tzinfo=UTC)
