"""Whom a mail names, and whether it came to somebody whom it does not."""

from __future__ import annotations

import pytest

from deployment_units.services.mail_in.addressees import (
    MOST_ADDRESSEES,
    addressees_of,
    is_blind_copy,
    others_than,
)
from deployment_units.services.mail_in.mail import read_mail


def named(*fields: str) -> tuple[str, ...]:
    head = "\n".join(("From: carla@mail.example", *fields))
    return addressees_of(read_mail(f"{head}\n\nHi.\n".encode()))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        pytest.param([], (), id="none"),
        pytest.param(["To: undisclosed-recipients:;"], (), id="undisclosed"),
        pytest.param(
            ["To: Ben <Ben@Contoso.example>, dev@talk.example", "Cc: carla@mail.example"],
            ("ben@contoso.example", "dev@talk.example", "carla@mail.example"),
            id="of both, in order",
        ),
        pytest.param(["To: a@b.example", "Cc: A@B.example"], ("a@b.example",), id="each once"),
        pytest.param(["To: friends: a@b.example, c@d.example;"], ("a@b.example", "c@d.example"),
                     id="a group"),
        pytest.param(['To: "anna@talk.example" <a@b.example>'], ("a@b.example",), id="a name"),
        pytest.param(["To: a@b.example (not anna@talk.example)"], ("a@b.example",),
                     id="a comment"),
        pytest.param(["To: a@b.example,\n c@d.example"], ("a@b.example", "c@d.example"),
                     id="folded"),
        pytest.param(["To: anna@straße.example"], ("anna@xn--strae-oqa.example",), id="IDN"),
        pytest.param(["To: <>, nobody, @x, x@"], (), id="what is no address"),
        pytest.param(["Bcc: anna@talk.example"], (), id="Bcc is not shown to others"),
    ],
)  # fmt: skip
def test_whom_a_mail_names(fields: list[str], found: tuple[str, ...]) -> None:
    assert named(*fields) == found


def test_no_more_than_so_many() -> None:
    many = ", ".join(f"p{number}@mail.example" for number in range(300))
    assert len(named(f"To: {many}")) == MOST_ADDRESSEES


@pytest.mark.parametrize(
    ("addressees", "blind"),
    [
        pytest.param(["anna@talk.example"], False, id="named"),
        pytest.param(["ben@contoso.example", "Anna+news@talk.example"], False, id="with a detail"),
        pytest.param(["anna@northwind.example"], False, id="another one of hers"),
        pytest.param(["ben@contoso.example"], True, id="somebody else"),
        pytest.param(["anna@contoso.example"], True, id="her namesake"),
        pytest.param([], True, id="nobody"),
    ],
)
def test_a_blind_copy_is_one_that_does_not_name_its_reader(
    addressees: list[str], blind: bool
) -> None:
    own = ["anna@talk.example", "anna@northwind.example"]
    assert is_blind_copy(addressees, own) is blind


def test_who_else_is_named() -> None:
    named = ["anna+x@talk.example", "ben@contoso.example"]
    assert others_than(named, ["anna@talk.example"]) == ("ben@contoso.example",)
