"""Delivery states: what is claimed is what was heard, whatever the order in which it came."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.states import (
    LAST_NUMBER,
    MOST_ATTEMPTS,
    MOST_WORDS,
    AttemptEvidence,
    AttemptState,
    DeliveryEnd,
    DeliveryRecord,
    DeliveryState,
    EndEvidence,
    Evidence,
    RoutedEvidence,
    advance,
    driven_anew,
)

CHANNELS = {1: Channel.IN_APP, 2: Channel.MAIL, 3: Channel.PUSH}


def heard(
    number: int,
    state: AttemptState,
    at_ms: int = 5,
    words: str = "",
    lost: tuple[str, ...] = (),
) -> AttemptEvidence:
    return AttemptEvidence(
        number=number, channel=CHANNELS[number], state=state, at_ms=at_ms, words=words, lost=lost
    )


def ended(end: DeliveryEnd, at_ms: int = 9, words: str = "") -> EndEvidence:
    return EndEvidence(end=end, at_ms=at_ms, words=words)


def after(*evidence: Evidence) -> DeliveryRecord:
    delivery = DeliveryRecord()
    for one in evidence:
        delivery = advance(delivery, one)
    return delivery


ROUTED = RoutedEvidence(at_ms=1)
ATTEMPTS = [heard(number, state) for number in CHANNELS for state in AttemptState]
ENDS = [ended(end) for end in DeliveryEnd]
ALL: list[Evidence] = [ROUTED, *ATTEMPTS, *ENDS]
pieces = st.one_of(
    st.just(ROUTED),
    st.builds(
        heard,
        st.sampled_from(sorted(CHANNELS)),
        st.sampled_from(AttemptState),
        st.integers(0, 9),
        st.text("ab", max_size=2),
        st.lists(st.integers(0, 40).map(str), max_size=20).map(tuple),
    ),
    st.builds(ended, st.sampled_from(DeliveryEnd), st.integers(0, 9), st.text("ab", max_size=2)),
)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param([], DeliveryState.KEPT, id="nothing was heard"),
        pytest.param([ROUTED], DeliveryState.ROUTED, id="there is a plan"),
        pytest.param([heard(2, AttemptState.BEGUN)], DeliveryState.ROUTED, id="it is being sent"),
        pytest.param(
            [heard(2, AttemptState.HANDED_OVER)], DeliveryState.HANDED_OVER, id="a server took it"
        ),
        pytest.param(
            [heard(2, AttemptState.HANDED_OVER), heard(2, AttemptState.FAILED)],
            DeliveryState.ROUTED,
            id="it bounced and another channel is left",
        ),
        pytest.param(
            [heard(2, AttemptState.FAILED), ended(DeliveryEnd.UNDELIVERABLE)],
            DeliveryState.UNDELIVERABLE,
            id="it bounced and none is left",
        ),
        pytest.param(
            [heard(2, AttemptState.HANDED_OVER), ended(DeliveryEnd.EXPIRED)],
            DeliveryState.HANDED_OVER,
            id="no receipt ever came of what a server took",
        ),
        pytest.param(
            [heard(2, AttemptState.UNKNOWN), ended(DeliveryEnd.UNDELIVERABLE)],
            DeliveryState.UNKNOWN,
            id="it may have arrived before nothing was left",
        ),
        pytest.param(
            [heard(2, AttemptState.BEGUN), ended(DeliveryEnd.EXPIRED)],
            DeliveryState.UNKNOWN,
            id="it ended while it was being sent",
        ),
        pytest.param([ended(DeliveryEnd.EXPIRED)], DeliveryState.EXPIRED, id="it was too late"),
        pytest.param(
            [ROUTED, ended(DeliveryEnd.WITHHELD)], DeliveryState.WITHHELD, id="a rule withheld it"
        ),
        pytest.param(
            [ended(DeliveryEnd.EXPIRED), heard(1, AttemptState.DELIVERED)],
            DeliveryState.DELIVERED,
            id="a receipt came after the end",
        ),
        pytest.param(
            [heard(1, AttemptState.FAILED), heard(2, AttemptState.DELIVERED)],
            DeliveryState.DELIVERED,
            id="the second channel brought it",
        ),
        pytest.param(
            [heard(2, AttemptState.DELIVERED), heard(2, AttemptState.FAILED)],
            DeliveryState.DELIVERED,
            id="a mailbox had it before what forwards it failed",
        ),
        pytest.param(
            [heard(2, AttemptState.HANDED_OVER), heard(2, AttemptState.DELAYED)],
            DeliveryState.DELAYED,
            id="the server still tries",
        ),
        pytest.param(
            [heard(2, AttemptState.DELAYED), ended(DeliveryEnd.EXPIRED)],
            DeliveryState.DELAYED,
            id="the server still tries what is not worth it any more",
        ),
        pytest.param(
            [heard(2, AttemptState.DELAYED), heard(2, AttemptState.RELAYED)],
            DeliveryState.HANDED_OVER,
            id="it was delayed and went on to who tells nothing",
        ),
        pytest.param(
            [heard(2, AttemptState.DELAYED), heard(2, AttemptState.DELIVERED)],
            DeliveryState.DELIVERED,
            id="it was delayed and arrived",
        ),
        pytest.param(
            [heard(2, AttemptState.DELAYED), heard(2, AttemptState.FAILED)],
            DeliveryState.ROUTED,
            id="it was delayed and bounced",
        ),
        pytest.param(
            [heard(2, AttemptState.DELAYED), heard(3, AttemptState.HANDED_OVER)],
            DeliveryState.HANDED_OVER,
            id="another channel took it meanwhile",
        ),
        pytest.param([heard(1, AttemptState.SEEN)], DeliveryState.SEEN, id="a client showed it"),
        pytest.param(
            [heard(2, AttemptState.SEEN)], DeliveryState.DELIVERED, id="no mail is known to be seen"
        ),
        pytest.param(
            [heard(3, AttemptState.DELIVERED)],
            DeliveryState.HANDED_OVER,
            id="a push service knows no device",
        ),
    ],
)
def test_a_state_says_what_was_heard(evidence: list[Evidence], expected: DeliveryState) -> None:
    for order in permutations(evidence):
        assert after(*order).state is expected


CLAIMS = {
    DeliveryState.HANDED_OVER: {
        AttemptState.HANDED_OVER, AttemptState.RELAYED, AttemptState.DELIVERED, AttemptState.SEEN
    },
    DeliveryState.DELAYED: {AttemptState.DELAYED},
    DeliveryState.DELIVERED: {AttemptState.DELIVERED, AttemptState.SEEN},
    DeliveryState.SEEN: {AttemptState.SEEN},
}  # fmt: skip
END_OF = {
    DeliveryState.EXPIRED: DeliveryEnd.EXPIRED,
    DeliveryState.UNDELIVERABLE: DeliveryEnd.UNDELIVERABLE,
    DeliveryState.WITHHELD: DeliveryEnd.WITHHELD,
}


def check_claims(evidence: list[Evidence], state: DeliveryState) -> None:
    """A second reading of what may be claimed, from the evidence alone."""
    attempts = [one for one in evidence if isinstance(one, AttemptEvidence)]
    ends = {one.end for one in evidence if isinstance(one, EndEvidence)}
    if state in CLAIMS:
        assert any(one.state in CLAIMS[state] for one in attempts)
    if state is DeliveryState.SEEN:
        assert any(
            one.channel is Channel.IN_APP and one.state is AttemptState.SEEN for one in attempts
        )
    if state in (DeliveryState.HANDED_OVER, DeliveryState.DELAYED):
        failed = {one.number for one in attempts if one.state is AttemptState.FAILED}
        taken = {one.number for one in attempts if one.state in CLAIMS[state]}
        assert taken - failed
    if state in END_OF:
        assert END_OF[state] in ends
    if state is DeliveryState.KEPT:
        assert evidence == []
    receipts = [one for one in attempts if one.channel is Channel.IN_APP]
    if any(one.state is AttemptState.SEEN for one in receipts):
        assert state is DeliveryState.SEEN


def test_every_sequence_of_up_to_three_pieces_claims_no_more_than_it_has() -> None:
    for length in (0, 1, 2, 3):
        for sequence in product(ALL, repeat=length):
            check_claims(list(sequence), after(*sequence).state)


@given(st.lists(pieces, max_size=12))
def test_any_sequence_claims_no_more_than_it_has(evidence: list[Evidence]) -> None:
    check_claims(evidence, after(*evidence).state)


@given(st.lists(pieces, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_evidence_does_not_matter(evidence: list[Evidence], random: object) -> None:
    shuffled = list(evidence)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert after(*shuffled) == after(*evidence)


@given(st.lists(pieces, max_size=8), st.data())
def test_what_is_heard_again_changes_nothing(evidence: list[Evidence], data: st.DataObject) -> None:
    known = after(*evidence)
    if evidence:
        again = data.draw(st.sampled_from(evidence))
        assert advance(known, again) is known


@given(st.lists(pieces, max_size=8), pieces)
def test_no_attempt_goes_back_and_no_receipt_is_taken_back(
    evidence: list[Evidence], more: Evidence
) -> None:
    before, now = after(*evidence), advance(after(*evidence), more)
    states = {one.number: one.state for one in now.attempts}
    assert all(states[one.number].strength >= one.state.strength for one in before.attempts)
    if before.state is DeliveryState.SEEN:
        assert now.state is DeliveryState.SEEN
    if before.state is DeliveryState.DELIVERED:
        assert now.state in (DeliveryState.DELIVERED, DeliveryState.SEEN)


@given(st.lists(pieces, max_size=8))
def test_a_state_names_what_it_stands_on(evidence: list[Evidence]) -> None:
    delivery = after(*evidence)
    stands = delivery.state not in (DeliveryState.KEPT, DeliveryState.ROUTED)
    assert (delivery.decisive is not None) is stands


def test_of_words_alike_in_strength_the_earliest_stand() -> None:
    first = heard(2, AttemptState.HANDED_OVER, 5, "250 queued as A")
    second = heard(2, AttemptState.HANDED_OVER, 7, "250 queued as B")
    for order in ((first, second), (second, first)):
        assert after(*order).attempts[0].words == "250 queued as A"


def test_the_other_sides_words_are_bounded_and_harmless() -> None:
    kept = after(heard(2, AttemptState.HANDED_OVER, 5, "\x1b[2J" + "x" * 10_000)).attempts[0]
    assert len(kept.words) == MOST_WORDS
    assert "\x1b" not in kept.words


@pytest.mark.parametrize("number", [0, -1, LAST_NUMBER + 1])
def test_an_attempt_that_cannot_be_is_refused(number: int) -> None:
    evidence = AttemptEvidence(
        number=number, channel=Channel.MAIL, state=AttemptState.BEGUN, at_ms=0
    )
    with pytest.raises(InvalidInput, match="not within"):
        advance(DeliveryRecord(), evidence)


def test_an_attempt_keeps_its_channel() -> None:
    begun = after(heard(1, AttemptState.BEGUN))
    other = AttemptEvidence(number=1, channel=Channel.MAIL, state=AttemptState.DELIVERED, at_ms=0)
    with pytest.raises(InvalidInput, match="went over in_app"):
        advance(begun, other)


def test_values_are_kept_and_every_state_has_its_weight() -> None:
    kept = ["BEGUN", "UNKNOWN", "HANDED_OVER", "FAILED", "DELIVERED", "SEEN", "DELAYED", "RELAYED"]
    assert [AttemptState(number).name for number in range(len(AttemptState))] == kept
    assert len({one.strength for one in AttemptState}) == len(AttemptState)


def test_numbers_go_on_where_a_delivery_begins_anew_and_it_has_all_its_attempts() -> None:
    delivery = DeliveryRecord()
    numbers = []
    for _ in range(3):
        delivery = driven_anew(delivery)
        while delivery.may_try:
            numbers.append(delivery.next_number)
            failed = AttemptEvidence(
                number=delivery.next_number,
                channel=Channel.TEXT,
                state=AttemptState.FAILED,
                at_ms=1,
            )
            delivery = advance(delivery, failed)
        ended = EndEvidence(end=DeliveryEnd.UNDELIVERABLE, at_ms=2)
        delivery = advance(delivery, ended)
        assert delivery.state is DeliveryState.UNDELIVERABLE
    assert numbers == [*range(1, len(numbers) + 1)]
    assert len(numbers) == 3 * MOST_ATTEMPTS - 2  # of each later time one is kept from before
    assert len(delivery.attempts) == MOST_ATTEMPTS
