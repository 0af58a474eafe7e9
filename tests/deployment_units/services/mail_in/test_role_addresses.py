"""Mail for postmaster and abuse: always taken, by the account that has the role or by a folder."""

from __future__ import annotations

import mailbox
from pathlib import Path

import aiosmtplib
import pytest

from deployment_units.services.mail_in.role_addresses import is_role, role_handle, with_domain
from deployment_units.services.mail_in.role_box import RoleBox, RoleMail
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.mail_units import CARLA, HOST, MailUnit, mail_unit, mail_units

OPS = {HOST: "anna"}


def box(folder: Path) -> list[mailbox.MaildirMessage]:
    """As a mail program of the operator's sees it."""
    return list(mailbox.Maildir(folder / "postmaster", create=False))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("postmaster@talk.example", True),
        ("PostMaster@talk.example", True),
        ("abuse@talk.example", True),
        ("abuse+4711@talk.example", True),
        ("postmasters@talk.example", False),
        ("anna@talk.example", False),
        ("anna+postmaster@talk.example", False),
        ("@talk.example", False),
        ("", False),
    ],
)
def test_which_addresses_are_roles(address: str, found: bool) -> None:
    assert is_role(address) is found
    assert (role_handle(OPS, address) == "anna") is found


def test_a_role_of_a_domain_for_which_nobody_is_named() -> None:
    assert role_handle(OPS, "postmaster@chat.example") is None


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("Postmaster", "postmaster@talk.example"),
        ("abuse", "abuse"),
        ("postmaster@chat.example", "postmaster@chat.example"),
    ],
)
def test_postmaster_alone_is_that_of_the_host(address: str, found: str) -> None:
    assert with_domain(address, HOST) == found


@pytest.mark.parametrize("to", ["Postmaster@talk.example", "abuse@TALK.example", "postmaster"])
async def test_it_is_in_the_folder_where_nobody_is_named(tmp_path: Path, to: str) -> None:
    async with mail_unit(tmp_path) as unit:
        for _ in range(2):
            assert await unit.mail(to, "\nYour mails bounce.\n") == "2.0.0 kept"
        assert unit.messages() == []
    (mail,) = box(tmp_path)
    assert mail["Return-Path"] == "<carla@mail.example>"
    assert mail["Subject"] == "Re: Beans"
    assert "Your mails bounce." in str(mail.get_payload())
    kept = next((tmp_path / "postmaster" / "new").iterdir())
    assert kept.stat().st_mode & 0o077 == 0


async def test_of_a_domain_that_is_not_ours_it_is_refused(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        assert await unit.mail("postmaster@mail.example", "\nHi.\n") == "RCPT 550"


async def test_it_is_a_message_of_the_account_though_strangers_do_not_reach_it(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path, roles=OPS) as unit:
        await unit.has_handle(open_to_all=False)
        assert await unit.mail("anna@talk.example", "\nHi.\n") == "RCPT 550"
        assert await unit.mail("postmaster@talk.example", "\nIt bounces.\n") == "2.0.0 kept"
        (message,) = unit.messages()
    assert message.sender == CARLA
    assert pb.Content.FromString(message.content).text == "It bounces."
    assert not (tmp_path / "postmaster").exists()


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Subject: From nobody\nMessage-ID: <m@mail.example>", id="nobody wrote it"),
        pytest.param("From: a@b.example, c@d.example\nSubject: Two", id="two wrote it"),
    ],
)
async def test_what_is_nobodys_message_is_in_the_folder(tmp_path: Path, header: str) -> None:
    async with mail_unit(tmp_path, roles=OPS) as unit:
        await unit.has_handle(open_to_all=False)
        said = await unit.mail("postmaster@talk.example", "\nWhose is it?\n", header=header)
        assert said == "2.0.0 kept"
        assert unit.messages() == []
    assert len(box(tmp_path)) == 1


async def test_it_is_in_the_folder_where_nobody_has_the_handle(tmp_path: Path) -> None:
    async with mail_unit(tmp_path, roles=OPS) as unit:
        assert await unit.mail("postmaster@talk.example", "\nIt bounces.\n") == "2.0.0 kept"
    assert len(box(tmp_path)) == 1


async def test_a_full_folder_has_the_other_side_come_again_until_some_are_taken_out(
    tmp_path: Path,
) -> None:
    async with mail_unit(tmp_path, most_role_mails=1) as unit:
        assert await unit.mail("abuse@talk.example", "\nOne.\n") == "2.0.0 kept"
        with pytest.raises(aiosmtplib.SMTPDataError) as full:
            await _plainly(unit, "abuse@talk.example", "Two.")
        assert full.value.code == 452
        next((tmp_path / "postmaster" / "new").iterdir()).unlink()
        await _plainly(unit, "abuse@talk.example", "Two.")
    assert len(box(tmp_path)) == 1


async def test_bytes_are_bounded_too_and_what_was_read_counts(tmp_path: Path) -> None:
    kept = RoleBox(tmp_path / "postmaster", wall_ms=lambda: 1_000, most_bytes=400)
    await kept.keep(RoleMail("", "abuse@talk.example", b"a" * 200))
    (new,) = (tmp_path / "postmaster" / "new").iterdir()
    new.rename(tmp_path / "postmaster" / "cur" / f"{new.name}:2,S")
    await kept.keep(RoleMail("", "abuse@talk.example", b"a" * 200))  # it is there
    with pytest.raises(Exception, match="no room"):
        await kept.keep(RoleMail("", "abuse@talk.example", b"b" * 200))


async def test_it_reaches_the_account_at_another_unit(tmp_path: Path) -> None:
    both = {"london": OPS, "stockholm": OPS}
    async with mail_units(tmp_path, "london", "stockholm", roles=both) as (london, stockholm):
        london.directory.homes["anna"] = ("london", 1)
        await london.has_handle(open_to_all=False)
        assert await stockholm.mail("postmaster@talk.example", "\nHi.\n") == "2.0.0 kept"
        assert len(london.messages()) == 1


async def test_a_unit_lets_no_other_one_say_who_has_the_role(tmp_path: Path) -> None:
    other = {"london": {HOST: "ben"}, "stockholm": OPS}
    async with mail_units(tmp_path, "london", "stockholm", roles=other) as (london, stockholm):
        london.directory.homes["anna"] = ("london", 1)
        await london.has_handle(open_to_all=False)
        await london.has_handle(account="ben", open_to_all=False)
        assert await stockholm.mail("postmaster@talk.example", "\nHi.\n") == "2.0.0 kept"
        assert london.messages() == []
    assert len(box(tmp_path / "stockholm")) == 1


async def _plainly(unit: MailUnit, to: str, text: str) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=unit.port, timeout=30)
    async with client:
        mail = f"From: carla@mail.example\r\n\r\n{text}\r\n".encode()
        await client.sendmail("carla@mail.example", [to], mail)
