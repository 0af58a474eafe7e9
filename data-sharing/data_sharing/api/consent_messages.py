"""Consents as messages, and what is asked of one that is to be given."""

from __future__ import annotations

import msgspec

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from data_sharing.platforms.messages import timestamp
from data_sharing.sharing.consent import (
    LONGEST_EVIDENCE,
    LONGEST_SUBJECT,
    MOST_FIELDS,
    Consent,
)
from data_sharing.sharing.fields import path_of
from data_sharing.sharing.policy import LONGEST_FEED, purpose_complaint
from homeport.api.datasharing.v1 import sharing_pb2 as pb


class AskedConsent(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be recorded. Its fields are those of Consent."""

    subject: str
    consumer: str
    purpose: str
    feed: str
    fields: tuple[str, ...]
    evidence: str


def consent_to_proto(one: Consent) -> pb.Consent:
    withdrawn = None if one.withdrawn_ms is None else timestamp(one.withdrawn_ms)
    return pb.Consent(
        tenant=one.tenant, consent_id=one.id, subject=one.subject, application=one.consumer,
        purpose=one.purpose, feed=one.feed, fields=one.fields, give_time=timestamp(one.given_ms),
        give_position=one.given_position, evidence=one.evidence, withdraw_time=withdrawn,
        withdraw_position=one.withdrawn_position,
    )  # fmt: skip


def asked_consent(
    request: pb.GiveConsentRequest | pb.GiveOwnConsentRequest, *, subject: str, evidence: str
) -> AskedConsent:
    """Raises InvalidInput."""
    asked = AskedConsent(
        subject=subject, consumer=request.application, purpose=request.purpose, feed=request.feed,
        fields=tuple(request.fields), evidence=evidence,
    )  # fmt: skip
    if not 0 < len(asked.subject) <= LONGEST_SUBJECT:
        raise InvalidInput("subject", f"subject: a user has 1 to {LONGEST_SUBJECT} characters")
    if asked.consumer:
        check_slug(asked.consumer, "application")
    complaint = purpose_complaint(asked.purpose)
    if complaint:
        raise InvalidInput("purpose", f"purpose: {complaint}")
    if len(asked.feed) > LONGEST_FEED:
        raise InvalidInput("feed", f"feed: at most {LONGEST_FEED} characters")
    if len(asked.fields) > MOST_FIELDS:
        raise InvalidInput("fields", f"fields: {len(asked.fields):,}; at most {MOST_FIELDS}")
    if len(asked.evidence) > LONGEST_EVIDENCE:
        raise InvalidInput("evidence", f"evidence: at most {LONGEST_EVIDENCE:,} characters")
    for field in asked.fields:
        try:
            path_of(field)
        except ValueError as error:
            raise InvalidInput("fields", f"fields: {error}") from None
    return asked
