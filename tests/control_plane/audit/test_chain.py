"""The chain: whatever is done to it is found, and the first entry at fault is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.audit.chain import AuditRecord, extend, link
from control_plane.audit.entry import START, AuditEntry, AuditPhase, ChainPoint, decode_entry
from tests.support.audit_chains import TAMPERINGS, asked, chain, fault_of, swap

KINDS = pytest.mark.parametrize("kind", TAMPERINGS.values(), ids=TAMPERINGS.keys())


def test_a_chain_that_nobody_touched_is_whole():
    for length in (0, 1, 2, 50):
        records = chain(length)
        assert fault_of(records, records[-1].point if records else START) is None


def test_a_hash_is_that_of_the_hash_before_and_the_content():
    first, second = chain(2)
    assert first.hash == link(bytes(32), first.content)
    assert second.hash == link(first.hash, second.content)
    assert decode_entry(second.content).previous == first.hash.hex()


@KINDS
def test_each_kind_of_tampering_is_found_at_each_place(kind):
    records = chain(6)
    for at in range(6):
        first = at - 1 if kind is swap and at == 5 else at  # the last one with the one before
        assert fault_of(kind(records, at), records[-1].point) == first + 1


@given(st.data())
def test_whatever_is_done_at_several_places_is_found(data):
    records = chain(data.draw(st.integers(2, 12)))
    head = records[-1].point
    made = records
    for _ in range(data.draw(st.integers(1, 3))):
        if len(made) < 2:
            break
        kind = data.draw(st.sampled_from(list(TAMPERINGS.values())))
        made = kind(made, data.draw(st.integers(0, len(made) - 1)))
    if made != records:
        assert fault_of(made, head) is not None


@given(st.integers(0, 400), st.integers(1, 255), st.integers(0, 3))
def test_no_byte_of_a_record_can_be_another(place, difference, which):
    records = chain(4)
    one = records[which]
    content = bytearray(one.content)
    content[place % len(content)] ^= difference
    made = [*records[:which], replace(one, content=bytes(content)), *records[which + 1 :]]
    assert fault_of(made, records[-1].point) == which + 1


def test_the_newest_entries_cannot_be_cut_off():
    records = chain(5)
    assert fault_of(records[:3], records[-1].point) == 4
    assert fault_of([], records[-1].point) == 1


def test_a_head_that_does_not_fit_is_found():
    records = chain(3)
    assert fault_of(records, ChainPoint(sequence=3, hash="00" * 32)) == 3


def test_a_chain_that_was_rewritten_as_a_whole_is_found_by_a_head_that_was_noted():
    noted = chain(3)[-1].point
    other: list[AuditRecord] = []
    for number in range(5):
        head = other[-1].point if other else START
        other.append(extend(head, asked(number, target="forged"), 1_000))
    assert fault_of(other, other[-1].point) is None
    assert fault_of(other, other[-1].point, known=[noted]) == 3
    assert fault_of(other[:2], other[1].point, known=[noted]) == 3
    grown = chain(5)
    assert fault_of(grown, grown[-1].point, known=[noted]) is None


def trimmed_chain() -> tuple[list[AuditRecord], ChainPoint]:
    """Ten entries of which four are gone, and the entry that says so."""
    records = chain(10)
    gone = records[3].point
    says = AuditEntry(id="t", phase=AuditPhase.TRIMMED, trimmed=gone)
    records.append(extend(records[-1].point, says, 2_000))
    return records[4:], gone


def test_what_was_trimmed_leaves_a_chain_that_is_whole():
    records, gone = trimmed_chain()
    assert fault_of(records, records[-1].point, gone) is None


def test_what_was_removed_is_no_trim():
    records, gone = trimmed_chain()
    # One more is gone than the log says, whether or not the mark was moved along.
    assert fault_of(records[1:], records[-1].point, gone) == 5
    assert fault_of(records[1:], records[-1].point, records[0].point) == 5
    # And a trim that nobody wrote down.
    others = chain(10)
    assert fault_of(others[4:], others[-1].point, others[3].point) == 4
