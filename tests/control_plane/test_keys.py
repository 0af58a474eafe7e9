"""Places among keys, told as text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from control_plane import keys


@given(name=st.binary(max_size=20))
@example(name=b"near/\xff")
@example(name="ü".encode()[:1])
def test_a_cursor_is_text_and_never_behind_its_key(name: bytes) -> None:
    told = keys.cursor(keys.ASSIGNMENTS + name, keys.ASSIGNMENTS)
    assert told.encode() <= name


@given(name=st.text(max_size=20))
def test_a_key_of_ours_is_its_own_cursor(name: str) -> None:
    assert keys.cursor(keys.ASSIGNMENTS + name.encode(), keys.ASSIGNMENTS) == name


@pytest.mark.parametrize("key", [b"", b"short", keys.ASSIGNMENTS, keys.ASSIGNMENTS + b"no-slash"])
def test_a_key_that_names_no_tenant_has_none(key: bytes) -> None:
    """Also where modules are compiled."""
    assert keys.tenant_in(key) == b""
    assert keys.directory_tenant(key) == b""


def test_a_key_of_a_tenant_names_it() -> None:
    key = keys.assignment("acme", "anna")
    assert keys.tenant_in(key) == keys.directory_tenant(key) == b"acme"
