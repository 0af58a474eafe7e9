"""Which own identity answers a mail, by foreign cases written anew.

Facts (message, own identities, expected) from thunderbird/thunderbird-android `IdentityHelperTest`
(1ad45023, Apache-2.0; 7 cases) and mozilla/releases-comm-central `browser_replyCatchAll` (041dd7ff,
MPL-2.0; 8 cases). One answer differs from theirs on purpose: where an address is an identity's by a
pattern alone, the answer is from the identity, which is proved, and says at which address it came.
"""

from __future__ import annotations

import pytest

from deployment_units.services.identities.identity import (
    NO_HISTORY,
    Mailbox,
    Original,
    OwnIdentity,
    ReplyMode,
)
from deployment_units.services.identities.replying import plan_reply


def boxes(text: str) -> tuple[Mailbox, ...]:
    return tuple(Mailbox(uri=f"mailto:{one.strip()}") for one in text.split(",") if one.strip())


def answer(own: list[OwnIdentity], **headers: str):
    original = Original(
        sender=Mailbox(uri="mailto:ben@contoso.example"),
        **{name: boxes(text) for name, text in headers.items()},
    )
    return plan_reply(ReplyMode.REPLY, original, own, NO_HISTORY, now_ms=0)


ANNAS = [
    OwnIdentity(uri=f"mailto:{one}@northwind.example")
    for one in ("anna", "a1", "a2", "a3", "a4", "a5")
]
ALL = {
    "to": "a1@northwind.example",
    "cc": "a2@northwind.example",
    "x_original_to": "a3@northwind.example",
    "delivered_to": "a4@northwind.example",
    "envelope_to": "a5@northwind.example",
}
NAMES = list(ALL)


@pytest.mark.parametrize("first", range(6), ids=[*NAMES, "in-none-of-them"])
def test_the_first_header_that_names_an_identity_decides(first: int) -> None:
    headers = ALL | {name: f"carla{n}@mail.example" for n, name in enumerate(NAMES[:first])}
    expected = ANNAS[first + 1] if first < len(NAMES) else ANNAS[0]
    assert answer(ANNAS, **headers).contactor.uri == expected.uri


def test_without_any_of_these_headers_it_is_the_first_identity() -> None:
    assert answer(ANNAS).contactor.uri == ANNAS[0].uri


FIRST, SECOND = "anna@northwind.example", "anna@mail.example"
OTHER, BY_PATTERN = "anna@contoso.example", "shop@mail.example"
ANY_FIRST, ANY_SECOND = "*@northwind.example", "*@mail.example"


@pytest.mark.parametrize(
    ("to", "envelope", "patterns", "expected", "received_at"),
    [
        pytest.param(SECOND, SECOND, ("", ""), SECOND, "", id="no-pattern-named-twice"),
        pytest.param(SECOND, "", ("", ""), SECOND, "", id="no-pattern-named-once"),
        pytest.param(SECOND, "", ("", ANY_SECOND), SECOND, "", id="itself-though-a-pattern-fits"),
        pytest.param(
            SECOND, SECOND, ("", ANY_SECOND), SECOND, "", id="itself-in-both-though-a-pattern-fits"
        ),
        pytest.param(
            SECOND, BY_PATTERN, ("", ""), SECOND, "", id="itself-before-another-in-the-envelope"
        ),
        pytest.param(
            OTHER, BY_PATTERN, ("", ANY_SECOND), SECOND, BY_PATTERN, id="by-the-pattern-alone"
        ),
        pytest.param(OTHER, "", ("", ""), FIRST, "", id="somebody-elses-without-a-pattern"),
        pytest.param(
            OTHER, "", (ANY_FIRST, ANY_SECOND), FIRST, "", id="somebody-elses-and-no-pattern-fits"
        ),
    ],
)
def test_patterns_speak_where_no_header_names_an_identity(
    to: str, envelope: str, patterns: tuple[str, str], expected: str, received_at: str
) -> None:
    own = [
        OwnIdentity(uri=f"mailto:{uri}", patterns=(pattern,) if pattern else ())
        for uri, pattern in zip((FIRST, SECOND), patterns, strict=True)
    ]
    found = answer(own, to=to, envelope_to=envelope)
    assert found.contactor.uri == f"mailto:{expected}"
    assert found.received_at == (f"mailto:{received_at}" if received_at else "")


def test_a_sub_address_is_that_of_its_identity() -> None:
    own = [OwnIdentity(uri=f"mailto:{one}") for one in (FIRST, SECOND)]
    found = answer(own, to="anna+shop@mail.example")
    assert (found.contactor.uri, found.received_at) == (
        f"mailto:{SECOND}",
        "mailto:anna+shop@mail.example",
    )
