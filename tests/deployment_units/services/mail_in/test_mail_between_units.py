"""Mail that a unit takes for an account of another one: over real SMTP to the wrong unit, and over
real gRPC to the right one, within the session that brought it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosmtplib
import grpc
import pytest

from control_plane.quotas.token_buckets import Rate
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import mail_kept
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.mail_in.incoming import LATER
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.mail_units import ANNA, CARLA, MailUnit, mail_units

BEN = Resident(tenant=TENANT, account="ben", epoch=1)
HEAD = "From: carla@mail.example\nMessage-ID: <{}@mail.example>\n"


def by_mail(message: KeptMessage) -> pb.ByMail:
    return pb.Content.FromString(message.content).by_mail


def at_home(*units: MailUnit) -> None:
    """Anna, in the first of them."""
    units[0].directory.homes["anna"] = (units[0].unit.unit_id, 1)


async def test_an_answer_to_the_wrong_unit_is_kept_in_the_right_one_with_what_was_found_out(
    tmp_path: Path,
) -> None:
    async with mail_units(tmp_path, "london", "stockholm") as (london, stockholm):
        at_home(london)
        london.names.records = {}  # it could not find out by itself who vouches for it
        to = await london.begin()
        assert await stockholm.mail(to, "\nYes.\n") == "2.0.0 kept"
        (message,) = london.messages()
        whole = london.unit.accounts.read(
            ANNA, lambda db, owner: mail_kept.received(db, owner, message.id)
        )
        assert stockholm.messages() == []
    assert (message.sender, by_mail(message).verified) == (CARLA, True)
    assert whole is not None
    assert whole.endswith(b"\r\nYes.\r\n")


async def test_what_nobody_vouches_for_is_not_vouched_for_by_the_hand_over(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "stockholm") as (london, stockholm):
        at_home(london)
        stockholm.names.records = {}
        to = await london.begin()
        assert await stockholm.mail(to, "\nYes.\n") == "2.0.0 kept"
        (message,) = london.messages()
    assert not by_mail(message).verified


async def test_the_same_mail_through_both_units_is_kept_once(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "stockholm") as (london, stockholm):
        at_home(london)
        await london.has_handle()
        for unit in (stockholm, london, stockholm):
            assert await unit.mail("anna@talk.example", "\nHi.\n") == "2.0.0 kept"
        assert len(london.messages()) == 1


async def test_one_mail_to_accounts_of_two_units_in_one_session(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "stockholm") as (london, stockholm):
        at_home(london)
        london.directory.homes["ben"] = ("stockholm", 1)
        await london.has_handle()
        await stockholm.has_handle(account="ben")
        mail = (HEAD.format("m") + "\nTo both.\n").replace("\n", "\r\n").encode()
        both = ["anna@talk.example", "ben@talk.example"]
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=stockholm.port, timeout=30)
        async with client:
            refused, _ = await client.sendmail("carla@mail.example", both, mail)
            assert {to: answer[0] for to, answer in refused.items()} == {"ben@talk.example": 452}
            await client.sendmail("carla@mail.example", list(refused), mail)
        assert len(london.messages()) == len(stockholm.messages(BEN)) == 1


async def test_who_is_hidden_elsewhere_is_told_from_nobody_by_nothing(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "stockholm") as (london, stockholm):
        at_home(london)
        await london.has_handle(open_to_all=False)
        to = await london.begin()
        forged = to.replace("1-", "1-0", 1)
        for address in ("anna@talk.example", "nobody@talk.example", forged):
            assert await stockholm.mail(address, "\nHi.\n") == "RCPT 550"


async def test_an_account_that_moved_since_it_was_looked_for_gets_its_mail(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "stockholm", "paris") as units:
        london, stockholm, paris = units
        moved = Resident(tenant=TENANT, account="anna", epoch=2)
        to = await paris.begin(resident=moved)
        await paris.has_handle(epoch=2)
        london.left("anna", "paris", 2)
        london.directory.believed["anna"] = ("london", 1)
        london.directory.homes["anna"] = ("paris", 2)
        said = [
            await stockholm.mail(address, "\nHi.\n", header=HEAD.format(n))
            for n, address in enumerate((to, "anna@talk.example"))
        ]
        # The unit that it has left was told, though the directory was not.
        said.append(await london.mail(to, "\nHi.\n", header=HEAD.format("x")))
        assert said == ["2.0.0 kept"] * 3
        assert len(paris.messages(moved)) == 3
        assert london.messages() == []


async def test_rows_that_an_account_has_left_behind_get_no_mail(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "paris") as (london, paris):
        await london.has_handle()
        to = await london.begin()
        moved = Resident(tenant=TENANT, account="anna", epoch=2)
        await paris.has_handle(epoch=2)
        london.left("anna", "paris", 2)
        london.directory.homes["anna"] = ("paris", 2)
        assert await paris.begin(resident=moved) == to
        for n, address in enumerate((to, "anna@talk.example")):
            said = await london.mail(address, "\nHi.\n", header=HEAD.format(n))
            assert said == "2.0.0 kept"
        assert len(paris.messages(moved)) == 2
        assert london.messages() == []
        # It comes back, by a later assignment, and its rows are its own again.
        back = Resident(tenant=TENANT, account="anna", epoch=3)
        london.directory.homes["anna"] = ("london", 3)
        assert await london.mail(to, "\nYes.\n") == "2.0.0 kept"
        assert len(london.messages(back)) == 1


async def test_a_unit_that_is_away_has_its_mail_brought_again(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "stockholm") as (london, stockholm):
        at_home(london)
        await london.has_handle()
        there = london.directory.endpoints["london"]
        for endpoint in ("127.0.0.1:1", ""):
            london.directory.endpoints["london"] = endpoint
            assert await stockholm.mail("anna@talk.example", "\nHi.\n") == "RCPT 451"
        london.directory.endpoints["london"] = there
        assert await stockholm.mail("anna@talk.example", "\nHi.\n") == "2.0.0 kept"
        assert len(london.messages()) == 1


async def test_a_unit_that_takes_no_mail_is_asked_again_later(tmp_path: Path) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with mail_units(tmp_path, "stockholm") as (stockholm,):
            stockholm.directory.homes["anna"] = ("london", 1)
            stockholm.directory.endpoints["london"] = f"127.0.0.1:{port}"
            assert await stockholm.mail("anna@talk.example", "\nHi.\n") == "RCPT 451"
    finally:
        await server.stop(0)


async def test_what_the_home_says_of_a_mail_is_what_is_answered(tmp_path: Path) -> None:
    async with mail_units(tmp_path, "london", "stockholm") as (london, stockholm):
        at_home(london)
        to = await london.begin()
        bounce = "From: MAILER-DAEMON@mail.example\nSubject: Undelivered\n"
        said = await stockholm.mail(to, "\nx\n", header=bounce, sender="")
        assert said.startswith("550 5.6.0")
        large = "\n" + ("y" * 70 + "\n") * 18_000  # more than a message of gRPC may have
        many = [await stockholm.mail(to, large, header=HEAD.format(n)) for n in range(2)]
        assert many[0] == "452 4.2.2 the mailbox has no room for it; try again later"
        assert london.messages() == []


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [
        pytest.param({"at_once": 0}, 0, id="at once"),
        pytest.param({"rate": Rate(per_s=0.001, burst=2.0)}, 1, id="in a while"),
    ],
)
async def test_a_unit_that_brings_too_much_is_told_to_wait(
    tmp_path: Path, bounds: dict[str, Any], kept: int
) -> None:
    async with mail_units(tmp_path, "london", "stockholm", **bounds) as (london, stockholm):
        at_home(london)
        await london.has_handle()
        said = [
            await stockholm.mail("anna@talk.example", "\nHi.\n", header=HEAD.format(n))
            for n in range(2)
        ]
        assert len(london.messages()) == kept
    assert said[kept:] == (["RCPT 451"] if kept else [f"{LATER}"] * 2)
