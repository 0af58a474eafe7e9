"""What a call shows of being a client, held against the client's record."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.auth.shown import CLIENT_KEY_METADATA
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.provisioning.client_proof import (
    ANYONES,
    GATEWAYS,
    ClientProof,
    ShownTicket,
    client_denied,
    key_digest,
)

KEY = "A" * 43
DIGEST = key_digest(KEY)
AT_MS = 1_700_000_000_500
AT_S = AT_MS // 1000


def record(epoch: int = 1, *, key: str = "", first: int = 0, at_ms: int = AT_MS):
    return AssignmentRecord(unit="dublin", epoch=epoch, at_ms=at_ms, key=key, first=first)


def with_ticket(epoch: int, known_at: int, first_ms: int = 0) -> ClientProof:
    return ClientProof(read_ticket=lambda: ShownTicket("dublin", epoch, known_at, first_ms))


def test_a_key_is_known_by_half_of_its_sha_256():
    made = base64.urlsafe_b64encode(hashlib.sha256(KEY.encode()).digest()[:16])
    assert made.rstrip(b"=").decode() == DIGEST


DIGITS = st.text(st.sampled_from("aZ09-_"), min_size=42, max_size=44)


@given(st.text(max_size=50) | DIGITS | st.builds("{}{}".format, DIGITS, st.text(max_size=1)))
def test_a_key_is_43_digits_of_base64url_and_nothing_else(text):
    is_one = re.fullmatch("[A-Za-z0-9_-]{43}", text, re.ASCII) is not None
    assert bool(key_digest(text)) is is_one


@pytest.mark.parametrize(
    "text",
    [
        "", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "+", "ä" * 43, "A" * 42 + " ",
        "A" * 100_000, "A" * 43 + "\n", "\udcff" * 43,
    ],
    ids=[
        "empty", "short", "long", "padded", "other alphabet", "not ASCII", "a space", "huge",
        "a line feed", "not UTF-8",
    ],
)  # fmt: skip
def test_what_is_no_key_counts_as_none(text):
    assert key_digest(text) == ""


@pytest.mark.parametrize(
    ("shown", "kept", "proves"),
    [
        pytest.param(DIGEST, DIGEST, True, id="its key"),
        pytest.param(DIGEST, key_digest("B" * 43), False, id="another's key"),
        pytest.param(DIGEST, "", False, id="a key, and the record has none"),
        pytest.param("", DIGEST, False, id="no key, and the record has one"),
        pytest.param("", "", False, id="no key anywhere"),
    ],
)
def test_a_key_proves_what_its_record_has(shown, kept, proves):
    assert ClientProof(key=shown).proves(record(key=kept)) is proves


@pytest.mark.parametrize(
    ("proof", "known", "proves"),
    [
        pytest.param(with_ticket(1, AT_S, AT_MS), record(), True, id="its first ticket"),
        pytest.param(
            with_ticket(1, AT_S, AT_MS), record(3, first=AT_MS, at_ms=AT_MS + 9_000), True,
            id="of before it moved twice",
        ),
        pytest.param(
            with_ticket(1, AT_S, AT_MS - 1), record(), False,
            id="of its life before, released and made again within the same second",
        ),
        pytest.param(
            with_ticket(4, AT_S + 60, AT_MS - 90_000), record(2, first=AT_MS, at_ms=AT_MS + 1),
            False, id="of its life before, at a higher epoch and issued later",
        ),
        pytest.param(with_ticket(1, AT_S), record(), True, id="an earlier version's ticket"),
        pytest.param(
            with_ticket(1, AT_S - 1), record(), False, id="an earlier version's, of the life before"
        ),
        pytest.param(
            with_ticket(2, AT_S, AT_MS - 5_000), record(2), True,
            id="of a record that an earlier version moved",
        ),
        pytest.param(
            with_ticket(2, AT_S - 60), record(3), True,
            id="of before an earlier version moved it, which did not record since when",
        ),
        pytest.param(
            with_ticket(4, AT_S - 60), record(3), False, id="of an epoch the record never came to"
        ),
        pytest.param(
            with_ticket(3, AT_S - 60), record(3), False, id="of the same epoch, before it began"
        ),
        pytest.param(
            ClientProof(read_ticket=lambda: None), record(), False, id="a ticket that shows nothing"
        ),
    ],
)  # fmt: skip
def test_a_ticket_proves_the_life_of_a_client_it_was_issued_in(proof, known, proves):
    assert proof.proves(known) is proves


def test_a_ticket_is_read_once_and_only_where_it_has_to_be():
    reads = []
    proof = ClientProof(
        key=DIGEST, read_ticket=lambda: reads.append(1) or ShownTicket("dublin", 1, AT_S)
    )
    assert proof.proves(record(key=DIGEST))
    assert (reads, proof.empty) == ([], False)
    assert proof.proves(record())
    assert proof.proves(record())
    assert reads == [1]


def test_a_call_that_shows_nothing_is_empty():
    assert ClientProof().empty
    assert ClientProof(read_ticket=lambda: None).empty
    assert not any(one.empty for one in (ANYONES, GATEWAYS, ClientProof(key=DIGEST)))


def test_who_is_vouched_for_needs_no_proof_and_gets_tickets_where_it_may():
    assert ANYONES.proves(record(key=DIGEST))
    assert GATEWAYS.proves(record(key=DIGEST))
    viewer = ClientProof(vouched=True, tickets=False)
    assert viewer.proves(record())
    assert not viewer.may_have_ticket(record())
    both = ClientProof(vouched=True, tickets=False, key=DIGEST)
    assert both.may_have_ticket(record(key=DIGEST))


def test_the_key_of_a_gateway_binds_nobody():
    assert ClientProof(key=DIGEST, binds=False).bound_key == ""
    assert ClientProof(key=DIGEST).bound_key == DIGEST


def test_the_denial_names_everything_that_counts_and_no_client():
    text = client_denied().message
    assert all(word in text for word in (CLIENT_KEY_METADATA, "ticket", "token", "certificate"))
