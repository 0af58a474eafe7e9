"""MailService: whom it lets bring mail, and what has to come of one before any of it is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import (
    DataLoss,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
)
from control_plane.identity.introductions import IntroductionIssuer
from deployment_units.services.accounts.accounts import StaleEpoch
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.mail_in.authentication_results import MethodResult
from deployment_units.services.mail_in.mail_messages import PIECE_BYTES, requests_of
from deployment_units.services.mail_in.other_units import HandedMail
from homeport.api.communication.v1 import mail_pb2 as pb
from tests.support.account_units import NOW, TENANT
from tests.support.fakes.call_context import FakeContext
from tests.support.mail_units import ANNA, MailUnit, mail_unit

CONTENT = b"From: carla@mail.example\r\nMessage-ID: <m@mail.example>\r\n\r\nHi.\r\n"
TO = "anna@talk.example"


def shown(
    unit: MailUnit, account: str = "anna", *, viewer: str = "", from_unit: str = "stockholm",
    tenant: str = TENANT, epoch: int = 1,
) -> FakeContext:  # fmt: skip
    return FakeContext(
        IntroductionIssuer(unit.unit.issuer).make(
            "u", tenant, account, epoch, NOW, viewer=viewer, from_unit=from_unit
        )
    )


def requests(to: str = TO, content: bytes = CONTENT) -> list[pb.DeliverMailRequest]:
    return list(requests_of(HandedMail("carla@mail.example", to, content, ())))


async def brought(unit: MailUnit, parts: list[pb.DeliverMailRequest], who: FakeContext) -> None:
    async def sent() -> AsyncIterator[pb.DeliverMailRequest]:
        for part in parts:
            yield part

    await unit.service.DeliverMail(sent(), who)


async def refused(
    unit: MailUnit, parts: list[pb.DeliverMailRequest], who: FakeContext, lives_as: Resident = ANNA
) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await brought(unit, parts, who)
    assert unit.messages(lives_as) == []
    return error.value


async def test_a_unit_that_was_introduced_for_nobody_brings_mail(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        for _ in range(2):
            await brought(unit, requests(), shown(unit))
        assert len(unit.messages()) == 1


async def test_nobody_else_does(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        ticket = unit.unit.by_ticket("anna")
        asked = pb.CheckMailRecipientRequest(recipient=TO)
        for who, kind in (
            (ticket, PermissionDenied),
            (shown(unit, viewer="ben"), PermissionDenied),
            (shown(unit, from_unit=""), PermissionDenied),
            (FakeContext(), Unauthenticated),
        ):
            assert isinstance(await refused(unit, requests(), who), kind)
            with pytest.raises(kind):
                await unit.service.CheckMailRecipient(asked, who)
        await unit.service.CheckMailRecipient(asked, shown(unit))


async def test_what_is_none_of_the_accounts_is_as_what_is_not_there(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        answers_to_anna = await unit.begin()
        await unit.has_handle(account="ben")
        for to, who in (
            (answers_to_anna, shown(unit, "ben")),
            ("anna@other.example", shown(unit)),
            (TO, shown(unit, tenant="northwind")),
            (TO, shown(unit, "nobody")),
        ):
            assert isinstance(await refused(unit, requests(to), who), NotFound)
            with pytest.raises(NotFound):
                await unit.service.CheckMailRecipient(
                    pb.CheckMailRecipientRequest(recipient=to), who
                )


async def test_an_account_that_has_moved_says_so(tmp_path: Path) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle(epoch=2)
        later = Resident(tenant=TENANT, account="anna", epoch=2)
        error = await refused(unit, requests(), shown(unit, epoch=1), later)
        assert isinstance(error, StaleEpoch)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        pytest.param([], InvalidInput, id="nothing"),
        pytest.param(requests()[1:], InvalidInput, id="no envelope"),
        pytest.param(requests()[:1], DataLoss, id="an envelope alone"),
        pytest.param([*requests(), requests()[1]], DataLoss, id="more than was said"),
        pytest.param([*requests()[:1], *requests()], InvalidInput, id="two envelopes"),
        pytest.param(
            [*requests()[:1], pb.DeliverMailRequest(content=b"x" * (PIECE_BYTES + 1))],
            InvalidInput, id="a piece that is too large",
        ),
        pytest.param(
            [*requests()[:1], pb.DeliverMailRequest(content=b"")], InvalidInput, id="empty pieces"
        ),
        pytest.param(
            [pb.DeliverMailRequest(envelope=pb.MailEnvelope(recipient=TO, size_bytes=2_000_000))],
            InvalidInput, id="larger than a mail may be",
        ),
        pytest.param(requests("a" * 1_001 + "@talk.example"), InvalidInput, id="a long address"),
        pytest.param(requests(content=b"Received: x\r\n" * 60 + CONTENT), None, id="a loop"),
    ],
)  # fmt: skip
async def test_what_is_not_a_whole_mail_within_the_bounds_is_not_kept(
    tmp_path: Path, parts: list[pb.DeliverMailRequest], kind: type[ServiceError] | None
) -> None:
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        error = await refused(unit, parts, shown(unit))
        assert isinstance(error, kind) if kind else error.reason == "NOBODYS_MAIL"


async def test_a_result_with_more_words_than_it_may_have_is_refused(tmp_path: Path) -> None:
    results = [
        pb.AuthenticationResult(method="x" * 101),
        pb.AuthenticationResult(method="spf", properties={"smtp.mailfrom": "x" * 1_001}),
        pb.AuthenticationResult(method="spf", properties={f"{n}": "" for n in range(21)}),
    ]
    async with mail_unit(tmp_path) as unit:
        await unit.has_handle()
        for one in results:
            parts = requests()
            parts[0].envelope.results.append(one)
            assert isinstance(await refused(unit, parts, shown(unit)), InvalidInput)


def test_a_mail_is_as_many_pieces_as_it_needs_and_brings_what_counts_of_what_was_found() -> None:
    results = (
        MethodResult(
            method="spf", result="pass",
            properties={"smtp.mailfrom": "x" * 5_000 + "@mail.example", "smtp.helo": "y" * 9_000},
        ),
        MethodResult(method="arc", result="pass"),
    )  # fmt: skip
    content = bytes(2 * PIECE_BYTES + 1)
    first, *pieces = requests_of(HandedMail("", TO, content, results))
    (kept,) = first.envelope.results
    assert (kept.method, dict(kept.properties)) == ("spf", {"smtp.mailfrom": "mail.example"})
    assert [len(one.content) for one in pieces] == [PIECE_BYTES, PIECE_BYTES, 1]
