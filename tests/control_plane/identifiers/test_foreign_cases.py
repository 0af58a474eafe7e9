"""Cases of others: what somebody can register by publicsuffix.org, PRECIS by precis_i18n, addresses
by isemail."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from control_plane.identifiers.domains import read_domain, registrable_domain
from control_plane.identifiers.emails import MAX_LOCAL_OCTETS, read_email
from control_plane.identifiers.identifier import Flaw, FlawReason, Identifier
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


class _Case(NamedTuple):
    """An address of isemail's, its diagnosis, and what it is here."""

    address: str
    diagnosis: str
    read: Identifier | Flaw


# Where isemail calls an address that of a mailbox, or one that SMTP takes: the others are of
# mail's header alone, obsolete, or none.
_TAKEN = frozenset({"ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN", "ISEMAIL_RFC5321"})
_SPACE = " \t\r\n"


def _refused_as(*reasons: FlawReason) -> Callable[[_Case], bool]:
    return lambda case: isinstance(case.read, Flaw) and case.read.reason in reasons


_DIFFERENT: dict[str, Callable[[_Case], bool]] = {
    "space around it is left out": lambda case: (
        case.address != case.address.strip(_SPACE)
        and isinstance(case.read, Identifier)
        and case.read.normal == case.address.strip(_SPACE)
    ),
    "a domain may end with the root's dot": lambda case: (
        case.diagnosis == "ISEMAIL_ERR_DOT_END"
        and isinstance(case.read, Identifier)
        and case.read.normal == case.address.rstrip(".").lower()
    ),
    "the length of a local part is that of what it says": lambda case: (
        case.diagnosis == "ISEMAIL_RFC5322_LOCAL_TOOLONG"
        and isinstance(case.read, Identifier)
        and "\\" in case.address
        and len(case.read.shown.rpartition("@")[0]) <= MAX_LOCAL_OCTETS
    ),
    "a domain of one label is nobody's": _refused_as(FlawReason.NOT_QUALIFIED),
    "an IP address is no domain": _refused_as(FlawReason.IP_ADDRESS),
    "no top-level domain is a number": lambda case: (
        case.diagnosis == "ISEMAIL_RFC5321_TLDNUMERIC" and _refused_as(FlawReason.LABEL)(case)
    ),
    "a local part says something": lambda case: (
        case.address.startswith('""@') and _refused_as(FlawReason.SYNTAX)(case)
    ),
}
"""Why an address is another thing here than to isemail; each is meant."""


def test_addresses_are_what_isemail_says_or_differ_by_a_rule_of_ours():
    unexplained, used, compared = [], Counter(), 0
    for each in ElementTree.parse(corpus("addresses/tests.xml")).getroot().iter("test"):
        address = "".join(map(_control, each.findtext("address") or ""))
        case = _Case(address, (each.findtext("diagnosis") or "").strip(), read_email(address))
        compared += 1
        taken = (each.findtext("category") or "").strip() in _TAKEN
        if taken == isinstance(case.read, Identifier):
            continue
        rules = [rule for rule, explains in _DIFFERENT.items() if explains(case)]
        used.update(rules)
        if len(rules) != 1:
            unexplained.append((address, case.diagnosis, rules))
    assert unexplained == []
    assert used.keys() == _DIFFERENT.keys()
    assert compared > 160


def _control(one: str) -> str:
    """What the file writes as the picture of a control character."""
    return chr(ord(one) - 0x2400) if 0x2400 <= ord(one) < 0x2420 else one
