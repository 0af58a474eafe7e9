"""The parts of an mmdb file, and values that are none."""

import pytest
from maxminddb.decoder import Decoder

from provisioner.geo.mmdb import DamagedFile, DamagedValue, split, value_at
from tests.support.mmdb import BUILT_AT, encode, flat_record, write_mmdb

CONTENT = write_mmdb({"1.0.0.0/8": flat_record("IE", 53.3, -6.3)}, ip_version=4)


def test_a_file_is_cut_where_its_metadata_says():
    parts = split(CONTENT)
    assert parts.metadata.build_epoch == BUILT_AT
    assert (parts.metadata.nodes, parts.metadata.record_bits) == (8, 24)
    assert len(parts.tree) == 8 * 6
    assert parts.data == encode(flat_record("IE", 53.3, -6.3))


def test_a_description_in_another_language_is_better_than_none():
    assert split(CONTENT.replace(b"Ben", b"Bde")).metadata.description == "made by a test"


def test_there_must_be_zeros_between_tree_and_data():
    content = bytearray(CONTENT)
    content[8 * 6 + 3] = 1
    with pytest.raises(DamagedFile, match="no zeros"):
        split(bytes(content))


@pytest.mark.parametrize(
    "value",
    [
        {"country": {"iso_code": "IE"}, "names": ["Éire", "Ireland"]},
        {"latitude": 53.3, "accuracy_radius": 20, "is_anycast": True},
        "x" * 300,
        {},
    ],
)
def test_values_are_decoded(value):
    assert value_at(Decoder(encode(value)), 0) == value


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing there"),
        pytest.param(encode({"a": 1.5})[:-3], id="a double cut off"),
        pytest.param(b"\x42\xff\xfe", id="a text that is not UTF-8"),
        pytest.param(b"\xe1\xe0\x41x", id="a map as the key of a map"),
        pytest.param(b"\x20\x00", id="a pointer to itself"),
        pytest.param(b"\x64" + bytes(4), id="a double of four bytes"),
        pytest.param(b"\x00\x20", id="a type that is none"),
        pytest.param(b"\xe1\x41x" * 1000 + b"\xe0", id="maps within maps within maps"),
    ],
)
def test_bytes_that_are_no_value_are_damage(data):
    with pytest.raises(DamagedValue):
        value_at(Decoder(data), 0)
