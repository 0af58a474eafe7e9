"""vCards as other address books read them: RFC 6350's lines, escapes and folding."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.identifier import IdentifierKind
from deployment_units.services.profiles.disclosure import ProfileCard
from deployment_units.services.profiles.profile import ProfileIdentifier
from deployment_units.services.profiles.vcard import vcard
from tests.support.vcard_reader.reader import read_elsewhere


def card(
    name: str = "", *identifiers: ProfileIdentifier, account: str = "anna", handle: str = ""
) -> ProfileCard:
    return ProfileCard(account=account, handle=handle, name=name, identifiers=identifiers, modes=())


def unfolded(text: str) -> list[str]:
    """Its lines, as RFC 6350, 3.2 has them read."""
    assert text.endswith("\r\n")
    lines = text[:-2].split("\r\n")
    assert all(len(line.encode()) <= 75 for line in lines)
    whole: list[str] = []
    for line in lines:
        if line.startswith(" "):
            whole[-1] += line[1:]
        else:
            whole.append(line)
    return whole


def read(value: str) -> str:
    """A text from its escaped form (RFC 6350, 3.4)."""
    found, letters = "", iter(value)
    for letter in letters:
        if letter == "\\":
            letter = next(letters)
            letter = {"n": "\n", "N": "\n"}.get(letter, letter)
        found += letter
    return found


def test_a_card_with_everything() -> None:
    kinds = IdentifierKind
    whole = vcard(
        card(
            "Anna, von; B\\C",
            ProfileIdentifier(
                kind=kinds.EMAIL,
                uri="mailto:a%25b@xn--strae-oqa.example",
                shown="A%b@straße.example",
                label="Work",
            ),
            ProfileIdentifier(kind=kinds.PHONE, uri="tel:+442079460301", label="private"),
            ProfileIdentifier(kind=kinds.SIP, uri="sip:a@x.example", label="desk"),
            ProfileIdentifier(kind=kinds.XMPP, uri="xmpp:a@x.example"),
        ),
        tenant="talk",
    )
    assert unfolded(whole) == [
        "BEGIN:VCARD",
        "VERSION:4.0",
        "UID:homeport:talk:anna",
        "FN:Anna\\, von\\; B\\\\C",
        "EMAIL;TYPE=work:A%b@xn--strae-oqa.example",
        "TEL;VALUE=uri;TYPE=home:tel:+442079460301",
        "IMPP:sip:a@x.example",
        "IMPP:xmpp:a@x.example",
        "END:VCARD",
    ]


def test_a_card_has_a_name_even_where_the_profile_has_none() -> None:
    assert "FN:anna é" in unfolded(vcard(card(account="anna é"), tenant="t"))
    assert "FN:@anna" in unfolded(vcard(card(account="a-1", handle="anna"), tenant="t"))


def test_who_may_not_know_the_account_does_not_find_it_in_the_card() -> None:
    for one, name in [(card(account="", handle="anna"), "@anna"), (card(account=""), "Somebody")]:
        assert unfolded(vcard(one, tenant="talk")) == [
            "BEGIN:VCARD", "VERSION:4.0", f"FN:{name}", "END:VCARD",
        ]  # fmt: skip


@given(
    st.text(max_size=300),
    st.text(st.characters(exclude_characters="\r", exclude_categories=("Cs",)), max_size=300),
)
def test_no_text_ends_its_line_or_begins_another(account: str, name: str) -> None:
    lines = unfolded(
        vcard(card(name, account=account.encode("utf-8", "ignore").decode()), tenant="t")
    )
    names = ["BEGIN", "VERSION", *(["UID"] if account else []), "FN", "END"]
    assert [line.partition(":")[0] for line in lines] == names
    shown = "".join(one for one in name if one == "\n" or (one >= " " and one != "\x7f"))
    if shown and name:
        assert read(lines[-2].removeprefix("FN:")) == shown


def _identifiers(local: str, label: str) -> list[ProfileIdentifier]:
    return [
        ProfileIdentifier(
            kind=IdentifierKind.EMAIL,
            uri=f"mailto:{quote(local.casefold(), safe='')}@xn--strae-oqa.example",
            shown=f"{local}@straße.example",
            label=label,
        ),
        ProfileIdentifier(kind=IdentifierKind.PHONE, uri="tel:+442079460301", label="private"),
        ProfileIdentifier(kind=IdentifierKind.SIP, uri="sip:anna@talk.example", label=label),
    ]


NAMES = ["Anna", "Anna, von; B\\C", "a\nb: c", "=", '"', "咖啡 " * 40, "e\u0301\U0001f600" * 30]
LOCALS = ["Anna", "a.b+c", '"a b,c;d"', "jörg", "{a}", "a=b"]


@pytest.mark.corpora
def test_another_reader_finds_what_was_written() -> None:
    """vobject, which reads names, addresses and numbers of version 3 and 4 alike."""
    rows = [(name, LOCALS[at % len(LOCALS)]) for at, name in enumerate(NAMES)]
    rows += [("Anna", local) for local in LOCALS]
    cards = [vcard(card(name, *_identifiers(local, "Work")), tenant="talk") for name, local in rows]
    for (name, local), found in zip(rows, read_elsewhere(cards), strict=True):
        assert [(one, value) for one, value, _ in found] == [
            ("VERSION", "4.0"),
            ("UID", "homeport:talk:anna"),
            ("FN", name),
            ("EMAIL", f"{local}@xn--strae-oqa.example"),
            ("TEL", "tel:+442079460301"),
            ("IMPP", "sip:anna@talk.example"),
        ]
        assert [types for _, _, types in found[3:]] == [["work"], ["home"], ["work"]]
