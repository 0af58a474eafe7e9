"""Claims: what may become of them, whatever was done to them before."""

from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.identifier import IdentifierKind
from provisioner.directory.claim_rules import (
    CONTEST_MS,
    QUARANTINE_MS,
    after_proof,
    confirmed,
    freed,
    handle_refusal,
    settled,
    withdrawn,
)
from provisioner.directory.claims import ClaimState, DirectoryClaim, Holder, PendingClaim

KINDS = [one.value for one in IdentifierKind]
accounts = st.sampled_from(["anna", "ben", "carla"])
steps = st.lists(
    st.tuples(accounts, st.integers(0, 2 * CONTEST_MS), st.booleans()), min_size=1, max_size=30
)


@given(kind=st.sampled_from(KINDS), steps=steps)
def test_an_account_loses_what_it_has_only_after_time_to_prove_it_again(kind, steps):
    """Whatever is proved by whom and when: whoever has it keeps it for CONTEST_MS at least after
    they proved it last, unless they are gone."""
    claim, now_ms, proved_at = None, 1_000, {}
    for account, waits_ms, goes in steps:
        now_ms += waits_ms
        before = {one.account for one in claim.holders} if claim else set()
        gone = before - {account} if goes else set()
        outcome = after_proof(
            claim,
            kind,
            Holder(account=account, proved_ms=now_ms),
            gone=gone,
            request="r",
            now_ms=now_ms,
        )
        claim = outcome.after
        after = {one.account for one in claim.holders}
        for lost in before - after - gone:
            assert now_ms - proved_at[lost] >= (CONTEST_MS if kind != "tel" else CONTEST_MS // 7)
            assert outcome.loses == lost
        assert outcome.held == (account in after)
        assert after  # somebody has it
        assert kind == "mailto" or len(after) == 1
        if outcome.held:
            proved_at[account] = now_ms


@given(spelt=st.sampled_from(["anna", "anna-m", "annarn"]), waits_ms=st.integers(0, 2**40))
def test_a_freed_handle_is_its_former_accounts_alone_until_it_is_anybodys(spelt, waits_ms):
    held = DirectoryClaim(holders=(Holder(account="anna", life_ms=5),), handle="anna-m")
    claim = freed(held, "anna", "r", 1_000)
    assert claim is not None
    assert claim.state is ClaimState.QUARANTINED
    now_ms = 1_000 + waits_ms
    assert handle_refusal(claim, spelt, "anna", 5, now_ms) is None
    for account, life_ms in (("ben", 5), ("anna", 6)):
        refused = handle_refusal(claim, spelt, account, life_ms, now_ms)
        assert (refused is None) == (waits_ms >= QUARANTINE_MS)
        assert refused is None or refused.reason == "QUARANTINED"


def test_a_proved_identifier_is_free_at_once():
    both = DirectoryClaim(holders=(Holder(account="anna"), Holder(account="ben")))
    one = freed(both, "anna", "r", 0)
    assert one is not None
    assert [holder.account for holder in one.holders] == ["ben"]
    assert freed(one, "ben", "r", 0) is None
    assert freed(one, "anna", "r", 0) == one


@given(replaces=st.booleans(), before=st.sets(accounts), quarantined=st.booleans())
def test_a_claim_that_was_left_half_way_comes_to_what_the_record_says(
    replaces, before, quarantined
):
    pending = PendingClaim(
        holder=Holder(account="dora"), request="r", session="p", replaces=replaces
    )
    plain = DirectoryClaim(
        holders=tuple(Holder(account=one) for one in sorted(before)),
        request="q",
        until_ms=9 if quarantined and not before else 0,
    )
    claim = DirectoryClaim(
        holders=plain.holders, request="q", until_ms=plain.until_ms, pending=pending
    )
    assert claim.state is ClaimState.CLAIMING
    done = settled(claim, listed=True)
    assert done == confirmed(claim, pending)
    assert done.holder("dora") is not None
    assert replaces == (len(done.holders) == 1) or not before
    undone = settled(claim, listed=False)
    assert undone == withdrawn(claim)
    assert undone == (plain if before or plain.until_ms else None)
