"""Instructions as they travel: good for one platform until their deadline, each refusal its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from control_plane.identity.jws import base64url, from_base64url
from data_sharing.instruction import Cause, Instruction, instruction_id
from data_sharing.signing import (
    MAX_INSTRUCTION_BYTES,
    Delivery,
    InstructionRefusal,
    InstructionVerifier,
    RefusalReason,
    SigningKey,
    sign,
)

NOW_MS = 1_800_000_000_000
KEY = SigningKey.of(b"k" * 32)
OTHER_KEY = SigningKey.of(b"o" * 32)
DOOR = InstructionVerifier("acme", "hub", {KEY.key_id: KEY.public_bytes()})
INSTRUCTION = Instruction(
    id=instruction_id("acme", "/traffic", "1", "leave-earlier", 1, 0),
    tenant="acme",
    application="alarm",
    version="1.0.0",
    artifact="ab" * 32,
    action="ring",
    configuration={"tone": "é", "volume": 40},
    deadline_ms=NOW_MS + 60_000,
    idempotent=False,
    decided_at_ms=NOW_MS,
    rule="leave-earlier",
    rule_version=3,
    plan="work",
    modification={"timing": {"earlier_min": 20}},
    causes=(Cause("/traffic", "1", "traffic.slow", 7),),
)
DELIVERY = Delivery(instruction=INSTRUCTION, platform="hub", partition="0", fence=4, attempt=1)


def signed(delivery: Delivery = DELIVERY, key: SigningKey = KEY, now_ms: int = NOW_MS) -> str:
    return sign(delivery, key, now_ms)


def resigned(change: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    """A token of the service's own key with other claims or another header."""
    first, claims, _ = signed().split(".")
    document = msgspec.json.decode(from_base64url(claims)) | change
    if header is not None:
        first = base64url(
            msgspec.json.encode(msgspec.json.decode(from_base64url(first)) | header)
        ).decode()
    message = f"{first}.{base64url(msgspec.json.encode(document)).decode()}".encode()
    return (message + b"." + base64url(KEY.private.sign(message))).decode()


def test_a_good_instruction_arrives_as_it_was_sent() -> None:
    assert DOOR.check(signed(), NOW_MS) == DELIVERY


def altered() -> str:
    header, claims, signature = signed().split(".")
    document = msgspec.json.decode(from_base64url(claims)) | {"action": "explode"}
    return f"{header}.{base64url(msgspec.json.encode(document)).decode()}.{signature}"


def late(by_ms: int) -> str:
    due = structs.replace(INSTRUCTION, deadline_ms=NOW_MS - by_ms)
    return signed(replace(DELIVERY, instruction=due))


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param("", RefusalReason.MALFORMED, id="nothing"),
        pytest.param("a.b.c", RefusalReason.MALFORMED, id="no-jwt"),
        pytest.param("é" * 10, RefusalReason.MALFORMED, id="not-ascii"),
        pytest.param("a" * (MAX_INSTRUCTION_BYTES + 1), RefusalReason.MALFORMED, id="too-long"),
        pytest.param(signed() + "=", RefusalReason.MALFORMED, id="padded"),
        pytest.param(resigned({"fence": -1}), RefusalReason.MALFORMED, id="a-negative-fence"),
        pytest.param(resigned({"attempt": 0}), RefusalReason.MALFORMED, id="no-attempt"),
        pytest.param(resigned({"iss": "homeport"}), RefusalReason.MALFORMED, id="another-issuer"),
        pytest.param(resigned({}, {"typ": "JWT"}), RefusalReason.MALFORMED, id="a-ticket"),
        pytest.param(
            resigned({}, {"alg": "none"}), RefusalReason.MALFORMED, id="an-algorithm-of-its-own"
        ),
        pytest.param(
            resigned({}, {"crit": ["x"]}), RefusalReason.MALFORMED, id="a-critical-extension"
        ),
        pytest.param(resigned({}, {"kid": "d-x"}), RefusalReason.FORGED, id="a-key-nobody-knows"),
        pytest.param(signed(key=OTHER_KEY), RefusalReason.FORGED, id="signed-by-somebody-else"),
        pytest.param(altered(), RefusalReason.FORGED, id="another-action-written-in"),
        pytest.param(
            signed(replace(DELIVERY, platform="car")),
            RefusalReason.WRONG_PLATFORM,
            id="for-another",
        ),
        pytest.param(
            signed(replace(DELIVERY, instruction=structs.replace(INSTRUCTION, tenant="globex"))),
            RefusalReason.WRONG_PLATFORM,
            id="for-a-platform-of-that-name-elsewhere",
        ),
        pytest.param(late(1), RefusalReason.EXPIRED, id="a-millisecond-late"),
        pytest.param(
            signed(now_ms=NOW_MS + 60_000), RefusalReason.NOT_YET_VALID, id="from-the-future"
        ),
    ],
)
def test_each_flaw_is_refused_by_its_name(token: str, expected: RefusalReason) -> None:
    refusal = DOOR.check(token, NOW_MS)
    assert isinstance(refusal, InstructionRefusal)
    assert refusal.reason is expected
    assert refusal.message


def test_a_refusal_repeats_nothing_that_nobody_signed() -> None:
    refusal = DOOR.check(altered(), NOW_MS)
    assert isinstance(refusal, InstructionRefusal)
    assert (refusal.instruction, refusal.attempt) == ("", 0)


def test_a_deadline_is_good_to_its_last_millisecond() -> None:
    assert isinstance(DOOR.check(late(0), NOW_MS), Delivery)


@given(st.text(max_size=300))
def test_whatever_arrives_is_answered(token: str) -> None:
    assert isinstance(DOOR.check(token, NOW_MS), InstructionRefusal)


@given(st.integers(min_value=0, max_value=len(signed()) - 1), st.sampled_from("Aa0-_."))
def test_a_changed_character_never_passes(place: int, other: str) -> None:
    token = signed()
    if token[place] != other:
        changed = token[:place] + other + token[place + 1 :]
        assert isinstance(DOOR.check(changed, NOW_MS), InstructionRefusal)


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_ids_are_the_same_for_the_same_cause_only(one: list[str], other: list[str]) -> None:
    assert (instruction_id(*one) == instruction_id(*other)) is (one == other)
