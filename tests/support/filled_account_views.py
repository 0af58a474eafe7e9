"""Views of what units keep of accounts, of long texts; see `filled_views`."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType

from console.cli.views import (
    accounts,
    calls,
    conversations,
    deliveries,
    devices,
    identities,
    invites,
    organisations,
    push,
    telephone_numbers,
)
from tests.support.cards import coffee_card

ACCOUNT = "account-" + "0123456789abcdef" * 4
ADDRESS = "mailto:" + "a-long-local-part" * 3 + "@a-long-name-of-an-organisation.example"
TEXT = "words of a message that is longer than any line of a terminal " * 3
ID = "01234567890abcdef0123456789abcde"
_IDENTIFIER = {"uri": ADDRESS, "shown": ADDRESS, "label": "work", "proved": False}
_MESSAGE = {
    "conversation": ID, "position": 12_345_678, "id": ID, "sender": ACCOUNT, "text": TEXT,
    "kept": "2026-11-28 11:30:00 UTC", "card": coffee_card().document, "superseded": False,
    "presses": [{"action": "order", "press": ID, "state": "waiting"}], "via": ACCOUNT,
    "from": ADDRESS, "to": {ACCOUNT: ADDRESS},
    "by_mail": {"address": TEXT, "verified": False, "subject": TEXT, "attachments": [TEXT] * 2,
                "lost": [TEXT]},
}  # fmt: skip
_DELIVERY = {
    "message": ID, "conversation": ID, "recipient": ADDRESS, "state": "handed_over",
    "since": "2026-11-28 11:30:00 UTC", "next": "2026-11-28 11:31:00 UTC", "words": TEXT,
    "attempts": [{"evidence": TEXT, "lost": ["buttons", "formatting", "image"]}],
}  # fmt: skip

_EDGE = {
    "browser": f"talk.example/{ID}", "since": "2026-11-28 11:30:00 UTC",
    "confirmed": "2026-11-28 11:30:00 UTC", "times": 12,
    "evidence": {"apart_ms": 12, "tolerance_ms": 120},
}  # fmt: skip
_CHOICE = {
    "member": ACCOUNT, "identifier": ADDRESS, "chosen": False,
    "why": [{"rule": "contact", "clause": TEXT, "value": "0.50"}],
    "ranked": [
        {"identifier": ADDRESS, "why": [{"rule": "contact", "clause": TEXT, "value": "0.50"}]},
        {"identifier": "@" + "a" * 30, "why": [{"rule": "listed", "clause": TEXT, "value": ""}]},
    ],
}  # fmt: skip

_SLUG = "a-long-name-of-an-organisation-" * 2
_ORGANISATION = {
    "organisation": _SLUG, "name": TEXT, "owners": [ACCOUNT] * 3, "joining": "domain",
    "guests": "listed", "guests_of": [_SLUG] * 2, "visits": "anybody", "visits_to": [],
    "single_sign_on": True, "two_factors": True, "revision": 12_345_678,
}  # fmt: skip
_INVITE = {
    "invitation": "0123456789abcdef" * 2 + "01234567", "state": "withdrawing",
    "organisation": _SLUG, "group": _SLUG, "identifier": ADDRESS, "sent": False,
    "account": ACCOUNT, "refused": TEXT, "expires": "2026-11-28 11:30:00 UTC",
    "why": [{"rule": "PRIMARY_MEMBER", "clause": "PRIMARY_ORGANISATION", "value": _SLUG}] * 2,
}  # fmt: skip
_DOMAIN = {
    "domain": "a-long-name-of-an-organisation.example", "state": "contested", "primary": _SLUG,
    "covers_subdomains": False,
    "checked_at": 1_800_000_000, "failures": 3, "rival": _SLUG, "offered_to": _SLUG,
    "record": {
        "name": "_homeport-challenge.a-long-name-of-an-organisation.example",
        "value": f"homeport-domain-verification={ID}",
    },
}  # fmt: skip

_PUSH = {
    "id": ID, "shown": "ntfys://a-long-name-of-an-organisation.example/topic", "label": TEXT,
    "proved": "2026-11-28 11:30:00 UTC",
}  # fmt: skip

_LINK = {
    "technical": "+442079460101", "contact": "+442079460302", "since": "2026-11-28 11:30:00 UTC",
    "last": "2026-11-28 11:30:00 UTC", "by_stranger": True,
}  # fmt: skip
_CALL = {
    "time": "2026-11-28 11:30:00 UTC", "kind": "call", "direction": "out",
    "technical": "+442079460101", "duration_s": 7_199, "ended": "no-answer",
}  # fmt: skip
_NUMBER = {
    "number": "+442079460001", "pool": _SLUG, "kind": "technical", "state": "technical",
    "account": ACCOUNT, "since": "2026-11-28 11:30:00 UTC", "free": "2027-02-26 11:30:00 UTC",
}  # fmt: skip

ACCOUNT_VIEWS: dict[Callable[..., RenderableType], Callable[[], RenderableType]] = {
    organisations.organisations_table: lambda: organisations.organisations_table(
        [_ORGANISATION] * 2
    ),
    organisations.domains_table: lambda: organisations.domains_table([_DOMAIN] * 2),
    organisations.route_view: lambda: organisations.route_view(
        {
            "outcome": "new_account",
            "accounts": [ACCOUNT] * 3,
            "organisation": _SLUG,
            "why": [{"rule": "PRIMARY_MEMBER", "clause": "PRIMARY_ORGANISATION", "value": _SLUG}],
        }
    ),
    accounts.profile_view: lambda: accounts.profile_view(
        {"name": TEXT, "identifiers": [_IDENTIFIER] * 2, "modes": ["in-app", "mail"], "vcard": ""}
    ),
    accounts.settings_view: lambda: accounts.settings_view(
        {
            "name": TEXT,
            "preferred": ["in-app", "mail"],
            "identifiers": [
                {
                    **_IDENTIFIER,
                    "disclosed_to": ["contacts", ACCOUNT],
                    "state": "contesting",
                    "until": 1_800_000_000,
                    "findable": True,
                }
            ],
            "handles": [{"handle": "a" * 30, "state": "quarantined", "until": 1_800_000_000}],
            "open_to": {"mail": ["contacts", ACCOUNT]},
        }
    ),
    accounts.reach_view: lambda: accounts.reach_view(
        {
            "mode": "mail",
            "uri": ADDRESS,
            "why": [{"rule": "viewer", "clause": TEXT, "value": "telephone"}],
        }
    ),
    identities.suggestion_view: lambda: identities.suggestion_view(
        {
            "from": _CHOICE,
            "to": [_CHOICE] * 2,
            "warnings": [{"rule": "unknown identity", "about": ADDRESS, "text": TEXT}],
        }
    ),
    accounts.contacts_view: lambda: accounts.contacts_view([ACCOUNT, ACCOUNT]),
    deliveries.deliveries_view: lambda: deliveries.deliveries_view([_DELIVERY] * 2),
    devices.map_view: lambda: devices.map_view(
        {
            "consents": [{"purpose": "reach", "since": "2026-11-28 11:30:00 UTC"}],
            "devices": [
                {"device": ID, "label": TEXT, "since": _EDGE["since"], "browsers": [_EDGE] * 2},
                {"device": ID, "label": None, "since": _EDGE["since"], "browsers": []},
            ],
        }
    ),
    devices.report_view: lambda: devices.report_view({"sources": ["tcp", "uptime"], "matched": 12}),
    push.addresses_view: lambda: push.addresses_view(
        {"addresses": [_PUSH, {**_PUSH, "proved": None}]}
    ),
    push.added_view: lambda: push.added_view({**_PUSH, "code_expires": "2026-11-28 11:40:00 UTC"}),
    calls.links_view: lambda: calls.links_view(
        {
            "own": ["+442079460301"] * 3,
            "virtual": ["+442079460001"] * 2,
            "strangers": "anonymous",
            "links": [_LINK] * 2,
        }
    ),
    calls.link_view: lambda: calls.link_view(_LINK),
    calls.unlinked_view: lambda: calls.unlinked_view({"unlinked": False}),
    calls.rings_view: lambda: calls.rings_view({"rings": "+442079460301"}),
    calls.strangers_view: lambda: calls.strangers_view({"strangers": "anonymous"}),
    calls.calls_table: lambda: calls.calls_table([_CALL] * 2),
    calls.trace_view: lambda: calls.trace_view(
        {
            "emergency": None,
            "refused": None,
            "target": "+442079460302",
            "shown": None,
            "stranger": True,
            "why": TEXT,
        }
    ),
    telephone_numbers.numbers_table: lambda: telephone_numbers.numbers_table([_NUMBER] * 2),
    telephone_numbers.added_view: lambda: telephone_numbers.added_view(
        {"added": 1_000, "there": 1_000}
    ),
    telephone_numbers.released_view: lambda: telephone_numbers.released_view(
        {"number": "+442079460001", "released": False}
    ),
    devices.erased_view: lambda: devices.erased_view({"rows": 12_345}),
    devices.explanation_view: lambda: devices.explanation_view(
        {"device": ID, "edge": _EDGE, "ambiguous": [ID] * 2, "why": TEXT}
    ),
    invites.invite_view: lambda: invites.invite_view(_INVITE),
    invites.invites_view: lambda: invites.invites_view(
        {"invites": [_INVITE, {**_INVITE, "sent": True, "account": None, "refused": None}]}
    ),
    invites.conversation_view: lambda: invites.conversation_view(
        {"conversation": ID, "members": [ACCOUNT] * 2}
    ),
    conversations.messages_view: lambda: conversations.messages_view([_MESSAGE] * 2),
    conversations.sent_view: lambda: conversations.sent_view(
        {**_MESSAGE, "kept_for": [ACCOUNT] * 2, "elsewhere": [ACCOUNT]}
    ),
    conversations.conversations_view: lambda: conversations.conversations_view(
        [{"conversation": ID, "members": [ACCOUNT] * 2, "last": 12_345_678, "seen": {}}]
    ),
}
