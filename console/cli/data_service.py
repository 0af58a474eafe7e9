"""Calls to the data-sharing service: applications and feeds.

Unary calls have the deadline of all commands; a submission has longer, because artifacts are
compiled; streams of events last as long as there are events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from console.cli.service import Calls
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import feed_pb2_grpc as feeds_grpc
from homeport.api.datasharing.v1 import registry_pb2 as registry
from homeport.api.datasharing.v1 import registry_pb2_grpc as registry_grpc
from homeport.errors import error_of
from homeport.status_details import failure_of

SUBMIT_S = 300.0
PIECE_BYTES = 256 * 1024


class DataService(Calls):
    """The data-sharing side. A context manager, like all of them."""

    def submit_application(
        self, tenant: str, manifest: str, artifact: bytes, *, dry_run: bool
    ) -> registry.SubmitApplicationResponse:
        """The verdict."""

        def messages() -> Iterator[registry.SubmitApplicationRequest]:
            head = registry.SubmissionHead(tenant=tenant, manifest=manifest, dry_run=dry_run)
            yield registry.SubmitApplicationRequest(head=head)
            for start in range(0, len(artifact), PIECE_BYTES):
                piece = artifact[start : start + PIECE_BYTES]
                yield registry.SubmitApplicationRequest(artifact=piece)

        verdict: registry.SubmitApplicationResponse
        verdict = self._call(
            registry_grpc.ApplicationRegistryStub, "SubmitApplication", messages, SUBMIT_S
        )
        return verdict

    def list_applications(self, tenant: str) -> list[registry.Application]:
        """The current versions, by name."""
        request = registry.ListApplicationsRequest(tenant=tenant)
        answer = self._call(registry_grpc.ApplicationRegistryStub, "ListApplications", request)
        return list(answer.applications)

    def get_application(
        self, tenant: str, name: str, version: str
    ) -> registry.GetApplicationResponse:
        request = registry.GetApplicationRequest(tenant=tenant, name=name, version=version)
        answer: registry.GetApplicationResponse
        answer = self._call(registry_grpc.ApplicationRegistryStub, "GetApplication", request)
        return answer

    def rollback_application(self, tenant: str, name: str, version: str) -> registry.Application:
        request = registry.RollbackApplicationRequest(tenant=tenant, name=name, version=version)
        done: registry.Application
        done = self._call(registry_grpc.ApplicationRegistryStub, "RollbackApplication", request)
        return done

    def deprecate_application(
        self, tenant: str, name: str, version: str, reason: str
    ) -> registry.Application:
        request = registry.DeprecateApplicationRequest(
            tenant=tenant, name=name, version=version, reason=reason
        )
        done: registry.Application
        done = self._call(registry_grpc.ApplicationRegistryStub, "DeprecateApplication", request)
        return done

    def publish_events(
        self, batches: Iterable[feeds.PublishBatchRequest]
    ) -> Iterator[feeds.PublishBatchResponse]:
        """An answer for each batch, in order, while batches still come."""
        yield from self._stream(feeds_grpc.FeedServiceStub(self._channel).PublishEvents, batches)

    def tail(self, request: feeds.TailRequest) -> Iterator[feeds.TailResponse]:
        """Until the end of the log, or for ever where the request follows it."""
        yield from self._stream(feeds_grpc.FeedServiceStub(self._channel).Tail, request)

    def _stream(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        try:
            yield from method(request, metadata=self._metadata, wait_for_ready=False)
        except grpc.RpcError as error:
            raise error_of(failure_of(error), servers=[self._servers[0]], attempts=1) from error
