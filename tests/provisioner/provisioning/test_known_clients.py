"""KnownClients: who was told of its home lately is known, in a table of one size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provisioner.provisioning.known_clients import KnownClients


@given(st.lists(st.text(max_size=40), min_size=1, max_size=50))
def test_who_was_noted_last_is_known(names: list[str]) -> None:
    known = KnownClients(1 << 6)
    for name in names:
        known.note(name)
        assert name in known


def test_hardly_anybody_is_taken_for_another() -> None:
    known = KnownClients(1 << 16)
    for number in range(50_000):
        known.note(f"client-{number}")
    strangers = sum(f"stranger-{number}" in known for number in range(50_000))
    assert strangers < 50
    remembered = sum(f"client-{number}" in known for number in range(50_000))
    assert remembered > 30_000


def test_nobody_is_known_at_first() -> None:
    known = KnownClients(1 << 10)
    assert not any(f"client-{number}" in known for number in range(1_000))
