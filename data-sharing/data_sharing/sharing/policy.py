"""FeedPolicy: what the producer of a feed says about who reads which of its fields, for what.

The words are those of purpose limitation (GDPR, article 5) and of ODRL: a policy has permissions,
here `grants`, each with its assignees, its purpose and its legal basis. What is not granted is not
shared: a feed that has a policy is closed to all but its producer until the policy says otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

import msgspec

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from data_sharing.documents import read_as, value_of
from data_sharing.instruction import OUTCOME_FEED
from data_sharing.sharing.fields import ATTRIBUTES, path_of

Basis = Literal[
    "consent", "contract", "legal-obligation", "vital-interests", "public-task",
    "legitimate-interests",
]  # fmt: skip
"""GDPR, article 6. `consent` needs that of the user the event is about; the others do not."""
TenantReader = Literal["rules", "plans", "operators"]

MOST_POLICIES = 200  # in one document
MOST_GRANTS = 32  # of one feed
MOST_ENTRIES = 200  # fields and masks of one feed, all grants together
MOST_APPLICATIONS = 100  # of one grant
MOST_PREFIX = 16
LONGEST_PURPOSE = 200
LONGEST_FEED = 256


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PrefixMask(_Strict, frozen=True, kw_only=True):
    """The first characters of a text, so many."""

    prefix: int


MaskSpec = Literal["drop", "null", "hash", "year"] | PrefixMask


class GrantSpec(_Strict, frozen=True, kw_only=True):
    """Readers, what they read and what for. tenant: of the tenant's own, `rules` (and forecasts)
    that are no application's, `plans` that rules change, `operators` who read along."""

    purpose: str
    fields: list[str]
    applications: list[str] = []
    tenant: list[TenantReader] = []
    basis: Basis = "consent"
    masks: dict[str, MaskSpec] = {}


class FeedPolicy(_Strict, frozen=True, kw_only=True):
    """Of one feed. subject: where an event says which user it is about."""

    feed: str  # CloudEvents type
    subject: str = "key"  # `key`, `subject` or a JSON Pointer into the data
    grants: list[GrantSpec] = []
    description: str = ""


class SharingDocument(_Strict, frozen=True, kw_only=True):
    """A file of policies."""

    policies: list[FeedPolicy]


def parse_policies(text: str, name: str = "document") -> list[FeedPolicy]:
    """Raises InvalidInput."""
    document = read_as(value_of(text, name), SharingDocument, name)
    if len(document.policies) > MOST_POLICIES:
        raise InvalidInput(
            "policies", f"policies: {len(document.policies):,} in one document; at most "
            f"{MOST_POLICIES}"
        )  # fmt: skip
    for feed, count in Counter(one.feed for one in document.policies).items():
        if count > 1:
            raise InvalidInput("policies", f"policies.{feed}: stands there {count:,} times")
    for one in document.policies:
        check_policy(one)
    return document.policies


def check_policy(policy: FeedPolicy) -> None:
    """Raises InvalidInput naming what is wrong."""
    at = f"policies.{policy.feed}"
    if not 0 < len(policy.feed) <= LONGEST_FEED:
        raise InvalidInput("policies", f"policies: a feed has 1 to {LONGEST_FEED} characters")
    if policy.feed == OUTCOME_FEED:
        raise InvalidInput(at, f"{at}: outcomes are nobody's feed; their own rules say who reads")
    if policy.subject == "":
        raise InvalidInput(f"{at}.subject", f"{at}.subject: all of the data names no user")
    _path(policy.subject, f"{at}.subject")
    if len(policy.grants) > MOST_GRANTS:
        raise InvalidInput(at, f"{at}.grants: {len(policy.grants):,}; at most {MOST_GRANTS}")
    entries = sum(len(one.fields) + len(one.masks) for one in policy.grants)
    if entries > MOST_ENTRIES:
        raise InvalidInput(at, f"{at}: {entries:,} fields and masks; at most {MOST_ENTRIES}")
    for number, grant in enumerate(policy.grants):
        for field, complaint in _complaints(grant):
            place = f"{at}.grants[{number}].{field}"
            raise InvalidInput(place, f"{place}: {complaint}")
        for field in (*grant.fields, *grant.masks):
            _path(field, f"{at}.grants[{number}].fields")
        for application in grant.applications:
            check_slug(application, f"{at}.grants[{number}].applications")


def _complaints(grant: GrantSpec) -> Iterator[tuple[str, str]]:
    complaint = purpose_complaint(grant.purpose)
    if complaint:
        yield "purpose", complaint
    if not grant.applications and not grant.tenant:
        yield "applications", "name who reads: `applications`, or `tenant` for its own readers"
    if len(grant.applications) > MOST_APPLICATIONS:
        yield "applications", f"{len(grant.applications):,}; at most {MOST_APPLICATIONS}"
    if not grant.fields:
        yield "fields", 'names nothing; all of the data is ""'
    for field, mask in grant.masks.items():
        if field in ATTRIBUTES:
            yield "masks", f"{field} is an attribute; leave it out of `fields`"
        if isinstance(mask, PrefixMask) and not 1 <= mask.prefix <= MOST_PREFIX:
            yield "masks", f"prefix {mask.prefix} is not within 1 to {MOST_PREFIX}"


def purpose_complaint(purpose: str) -> str:
    """What is wrong with a purpose; empty: nothing."""
    if not purpose.strip():
        return "says nothing; write what the fields are read for"
    if len(purpose) > LONGEST_PURPOSE:
        return f"has {len(purpose):,} characters; at most {LONGEST_PURPOSE}"
    return "" if purpose.isprintable() else "must be one line of printable text"


def _path(field: str, place: str) -> None:
    try:
        path_of(field)
    except ValueError as error:
        raise InvalidInput(place, f"{place}: {error}") from None
