"""KnownClients: who was told of its home lately is known, in a table of one size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provisioner.provisioning.known_clients import KnownClients


@given(st.lists(st.text(max_size=40), min_size=1, max_size=50))
def test_who_was_noted_last_is_known(names: list[str]) -> None:
    known = KnownClients(1 << 6)
    for name in names:
        known.note("t", name)
        assert known.knows("t", name)


def test_hardly_anybody_is_taken_for_another() -> None:
    known = KnownClients(1 << 16)
    for number in range(50_000):
        known.note("t", f"client-{number}")
    strangers = sum(known.knows("t", f"stranger-{number}") for number in range(50_000))
    assert strangers < 50
    remembered = sum(known.knows("t", f"client-{number}") for number in range(50_000))
    assert remembered > 30_000


def test_nobody_is_known_at_first() -> None:
    known = KnownClients(1 << 10)
    assert not any(known.knows("t", f"client-{number}") for number in range(1_000))


def test_a_client_of_another_tenant_with_the_same_id_is_another_one() -> None:
    known = KnownClients(1 << 16)
    for number in range(1_000):
        known.note("city", f"client-{number}")
    assert sum(known.knows("bank", f"client-{number}") for number in range(1_000)) < 10
    assert sum(known.knows("city", f"client-{number}") for number in range(1_000)) > 900
