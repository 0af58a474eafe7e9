"""Domains: their A-labels, and which part of one somebody can register.

UTS #46 in non-transitional processing (`straße.de` is not `strasse.de`) by `idna`, which holds
IDNA2008 as well: no emoji, joiners where a script has them. Public suffixes by `publicsuffixlist`
and the list in that package, always asked in A-labels; nothing is fetched.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from control_plane.identifiers.identifier import (
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
)
from control_plane.printable import quoted

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

MAX_OCTETS = 253  # in A-labels, without the root's dot (RFC 1035, 2.3.4)
MAX_LABEL_OCTETS = 63
_MAX_READ = 1_000  # characters of a text in Unicode that is looked at
_REMEMBERED = 4_096  # names outside ASCII, of a thousand characters at most each
_ORDINARY = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+\Z"
)
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # all that separate labels (UTS #46, 4)
_ADDRESS = re.compile(r"\[.*\]?\Z|[0-9a-f]*:[0-9a-f:.]*\Z|v[0-9a-f]+\.", re.I)
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
# Top-level domains that are kept from the list (RFC 2606, RFC 6761, RFC 8375, RFC 9476).
_SPECIAL_USE = frozenset(
    {"alt", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
)
_NAME_REMEDY = "write a full name of letters, digits and '-', such as talk.example"


def read_domain(text: str) -> Identifier | Flaw:
    """The domain that a text names: `normal` in A-labels and small letters without the root's
    dot, `shown` in Unicode. At least two labels; an IP address is none."""
    if len(text) > _MAX_READ:
        return _flaw(FlawReason.TOO_LONG, f"it has {len(text):,} characters", _length_remedy())
    bare = text.strip(" \t\r\n")
    changes = [FormChange.SPACE] if bare != text else []
    if not bare:
        return _flaw(FlawReason.EMPTY, "the domain is empty", _NAME_REMEDY)
    if _DOTS.match(bare[-1]) and len(bare) > 1:
        bare = bare[:-1]
        changes.append(FormChange.TRAILING_DOT)
    normal = bare.lower() if bare.isascii() else bare
    if normal != bare:
        changes.append(FormChange.CASE)
    shown = normal
    if not _ORDINARY.match(normal) or "xn--" in normal or _has_reserved_hyphens(normal):
        names = _by_uts46(normal)
        if isinstance(names, Flaw):
            return names
        a_labels, shown = names
        if "xn--" in a_labels and not normal.isascii():
            changes.append(FormChange.A_LABEL)
        elif a_labels != normal:
            changes.append(FormChange.MAPPED)
        normal = a_labels
    if flaw := _name_flaw(normal):
        return flaw
    return Identifier(
        kind=IdentifierKind.DOMAIN, normal=normal, shown=shown, uri=normal, changes=tuple(changes)
    )


def is_top_level(label: str) -> bool:
    """Whether a name of one label is a top-level domain: of the list, or for special use."""
    if label in _SPECIAL_USE:
        return True
    names = _by_uts46(label)
    if isinstance(names, Flaw):
        return False
    found: str | None = _suffixes().publicsuffix(names[0], accept_unknown=False)
    return found == names[0]


def public_suffix(domain: Identifier) -> str:
    """The part of it that nobody registers as a whole (`co.uk`, `github.io`): in A-labels. A
    top-level domain that the list does not have is one."""
    suffix: str | None = _suffixes().publicsuffix(domain.normal)
    return suffix or domain.normal.rpartition(".")[2]


def ends_in_top_level(domain: Identifier) -> bool:
    """Whether it ends in a top-level domain: the list has a rule for its end, or it is for
    special use."""
    if domain.normal.rpartition(".")[2] in _SPECIAL_USE:
        return True
    found: str | None = _suffixes().publicsuffix(domain.normal, accept_unknown=False)
    return found is not None


def registrable_domain(domain: Identifier) -> str | None:
    """Its public suffix and the label before it, in A-labels; None: it is a public suffix
    itself, and nobody can prove it."""
    found: str | None = _suffixes().privatesuffix(domain.normal)
    return found


@cache
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


@lru_cache(_REMEMBERED)
def _by_uts46(name: str) -> tuple[str, str] | Flaw:
    """In A-labels, and in Unicode. A label that is given as an A-label must be the one of its
    Unicode form: nothing else is read in two ways. Remembered, for it takes 0.1 ms."""
    import idna

    if _ADDRESS.match(name):
        return _address_flaw(name)
    try:
        shown = idna.uts46_remap(name, std3_rules=True, transitional=False)
        a_labels = idna.encode(shown, std3_rules=True).decode()
        if "xn--" in shown:
            shown = idna.decode(a_labels, std3_rules=True)
            again = idna.encode(shown, std3_rules=True).decode()
            if again != a_labels:
                return _label_flaw(name, None)
    except (idna.IDNAError, UnicodeError) as error:
        return _label_flaw(name, error)
    if a_labels.endswith("."):
        return _label_flaw(name, None)
    return a_labels, shown


def _has_reserved_hyphens(name: str) -> bool:
    """Whether a label has '--' where encodings put it (RFC 5891, 4.2.3.1)."""
    return "--" in name and any(label[2:4] == "--" for label in name.split("."))


def _name_flaw(name: str) -> Flaw | None:
    if len(name) > MAX_OCTETS:
        return _flaw(
            FlawReason.TOO_LONG, f"it has {len(name)} octets in A-labels", _length_remedy()
        )
    before, dot, last = name.rpartition(".")
    if _NUMBER.match(last) and (not dot or _NUMBER.match(before.rpartition(".")[2])):
        return _address_flaw(name)
    if not dot:
        return _flaw(
            FlawReason.NOT_QUALIFIED,
            f"{quoted(name)} is one label and means another host on each network",
            _NAME_REMEDY,
        )
    if _NUMBER.match(last):
        return _flaw(
            FlawReason.LABEL, f"{quoted(last)} is no top-level domain: it is a number", _NAME_REMEDY
        )
    return None


def _label_flaw(name: str, error: Exception | None) -> Flaw:
    why = "it reads as another name" if error is None else str(error) or "it is no name"
    for label in _DOTS.split(name):
        if len(label) > MAX_LABEL_OCTETS:
            why = f"a label has {len(label)} characters; {MAX_LABEL_OCTETS} octets are allowed"
        elif not label:
            why = "a label is empty"
        else:
            continue
        break
    return _flaw(FlawReason.LABEL, f"{quoted(name)} is no domain name: {why}", _NAME_REMEDY)


def _address_flaw(name: str) -> Flaw:
    return _flaw(
        FlawReason.IP_ADDRESS,
        f"{quoted(name)} is an IP address, which belongs to a host and to nobody for long",
        "write the name of a domain",
    )


def _length_remedy() -> str:
    return f"at most {MAX_OCTETS} octets in A-labels are allowed, {MAX_LABEL_OCTETS} in each label"


def _flaw(reason: FlawReason, message: str, remedy: str) -> Flaw:
    return Flaw(kind=IdentifierKind.DOMAIN, reason=reason, message=message, remedy=remedy)
