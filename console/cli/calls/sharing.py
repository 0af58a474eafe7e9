"""Calls to the data-sharing service about policies of feeds, consents, and who was shown what."""

from __future__ import annotations

from typing import Any

from console.cli.calls.channel import Calls
from homeport.api.datasharing.v1 import sharing_pb2 as pb
from homeport.api.datasharing.v1 import sharing_pb2_grpc as pb_grpc

PAGE = 1_000


class SharingCalls(Calls):
    """A context manager, like all of them."""

    def apply(self, tenant: str, document: str, *, dry_run: bool) -> list[pb.SharingPolicy]:
        """As they are now, in the document's order."""
        request = pb.ApplySharingRequest(tenant=tenant, document=document, dry_run=dry_run)
        return list(self._ask("ApplySharing", request).policies)

    def policies(self, tenant: str) -> list[pb.SharingPolicy]:
        """By feed."""
        return list(self._ask("ListSharing", pb.ListSharingRequest(tenant=tenant)).policies)

    def remove(self, tenant: str, feed: str) -> pb.SharingPolicy:
        """The one that was there."""
        request = pb.RemoveSharingRequest(tenant=tenant, feed=feed)
        removed: pb.SharingPolicy = self._ask("RemoveSharing", request)
        return removed

    def give(self, request: pb.GiveConsentRequest) -> pb.Consent:
        """The consent as it stands."""
        given: pb.Consent = self._ask("GiveConsent", request)
        return given

    def withdraw(self, tenant: str, subject: str, consent_id: str) -> pb.Consent:
        """The consent as it stands."""
        request = pb.WithdrawConsentRequest(tenant=tenant, subject=subject, consent_id=consent_id)
        withdrawn: pb.Consent = self._ask("WithdrawConsent", request)
        return withdrawn

    def consents(self, tenant: str, subject: str, *, withdrawn: bool) -> list[pb.Consent]:
        """Newest first."""
        found: list[pb.Consent] = []
        token = ""
        while True:
            page = self._ask(
                "ListConsents",
                pb.ListConsentsRequest(
                    tenant=tenant, subject=subject, with_withdrawn=withdrawn, page_size=PAGE,
                    page_token=token,
                ),
            )  # fmt: skip
            found += page.consents
            token = page.next_page_token
            if not token:
                return found

    def give_own(self, request: pb.GiveOwnConsentRequest) -> pb.Consent:
        """A consent of the user whose ticket is shown."""
        given: pb.Consent = self._ask("GiveOwnConsent", request)
        return given

    def withdraw_own(self, consent_id: str) -> pb.Consent:
        """The same as it stands now."""
        request = pb.WithdrawOwnConsentRequest(consent_id=consent_id)
        withdrawn: pb.Consent = self._ask("WithdrawOwnConsent", request)
        return withdrawn

    def own_consents(self, *, withdrawn: bool) -> list[pb.Consent]:
        """Of the user whose ticket is shown, newest first."""
        found: list[pb.Consent] = []
        token = ""
        while True:
            page = self._ask(
                "ListOwnConsents",
                pb.ListOwnConsentsRequest(
                    with_withdrawn=withdrawn, page_size=PAGE, page_token=token
                ),
            )
            found += page.consents
            token = page.next_page_token
            if not token:
                return found

    def reads(self, tenant: str) -> list[pb.SharedRead]:
        """By day, feed, reader, purpose and field."""
        found: list[pb.SharedRead] = []
        token = ""
        while True:
            page = self._ask(
                "ListSharedReads",
                pb.ListSharedReadsRequest(tenant=tenant, page_size=PAGE, page_token=token),
            )
            found += page.reads
            token = page.next_page_token
            if not token:
                return found

    def _ask(self, method: str, request: Any) -> Any:
        return self._call(pb_grpc.SharingServiceStub, method, request)
