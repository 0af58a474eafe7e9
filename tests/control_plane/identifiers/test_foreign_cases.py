"""Cases of others: what somebody can register by publicsuffix.org, PRECIS by precis_i18n."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from control_plane.identifiers.domains import read_domain, registrable_domain
from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.precis import PrecisError, username_case_mapped
from tests.support.corpora import corpus

pytestmark = pytest.mark.corpora
_CASE = re.compile(r"^checkPublicSuffix\((null|'[^']*'), (null|'[^']*')\);", re.MULTILINE)


def test_what_somebody_can_register_is_what_the_list_says():
    """Of names that are domains here; both sides in the form of A-labels."""
    wrong, compared = [], 0
    for name, wanted in _CASE.findall(corpus("suffixes/test_psl.txt").read_text()):
        read = read_domain(name.strip("'"))
        if name == "null" or not isinstance(read, Identifier):
            continue
        compared += 1
        expected = None if wanted == "null" else read_domain(wanted.strip("'"))
        assert expected is None or isinstance(expected, Identifier)
        found = registrable_domain(read)
        if found != (expected.normal if expected is not None else None):
            wrong.append((name, wanted, found))
    assert wrong == []
    assert compared > 60


def test_user_names_are_mapped_as_precis_maps_them():
    rows: list[dict[str, Any]] = json.loads(corpus("handles/golden.json").read_text())
    wrong, compared = [], 0
    for row in rows:
        if row["profile"] != "UsernameCaseMapped":
            continue
        compared += 1
        try:
            found: str | None = username_case_mapped(row["input"])
        except PrecisError:
            found = None
        if found != row["output"]:
            wrong.append((row["input"], row["output"], found))
    assert wrong == []
    assert compared > 20
