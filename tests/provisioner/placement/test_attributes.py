"""The key of a client with attributes is the same key."""

from __future__ import annotations

from zlib import crc32

import pytest

from provisioner.placement.attributes import (
    NO_ATTRIBUTES,
    attributes_of,
    with_attributes,
)

KEY = b"homeport/assignments/acme/anna"


def test_a_key_with_attributes_is_the_same_key():
    key = with_attributes(KEY, {"kind": "government"})
    assert (key, hash(key), crc32(key)) == (KEY, hash(KEY), crc32(KEY))
    assert {KEY: 1}[key] == 1
    assert attributes_of(key) == {"kind": "government"}


@pytest.mark.parametrize("nothing", [None, {}, NO_ATTRIBUTES])
def test_a_client_without_any_is_asked_about_by_the_key_alone(nothing):
    assert with_attributes(KEY, nothing) is KEY
    assert attributes_of(KEY) is NO_ATTRIBUTES
