"""Invitations in the web client, in a real browser: listed, accepted, declined, and why one was not
taken; and what its pages call, over HTTP alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest

from control_plane.errors import Refused
from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import invite_pb2 as pb
from homeport.api.communication.v1.profile_pb2 import Reason
from tests.support.browsers import browsers
from tests.support.web_units import WebUnit, web_unit

BEN = "mailto:ben@contoso.example"


def invitation(group: str, **more) -> pb.Invite:
    made = pb.Invite(
        invitation=group, state=pb.INVITE_STATE_OPEN, organisation="contoso", group=group,
        identifier=BEN, account="anna", **more,
    )  # fmt: skip
    made.expire_time.FromSeconds(1_800_600_000)
    return made


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben") as one:
        one.unit.names.known |= {"anna": ["anna"], "ben": ["ben"]}
        yield one


async def test_what_the_page_calls_is_there(unit: WebUnit) -> None:
    page = files("deployment_units.services.web").joinpath("client/invitations.js").read_text()
    unit.invites.known = [invitation("launch")]
    async with unit.browser("ben") as ben:
        asked = {"ListInvites": {"pageToken": ""}, "AcceptInvite": {"invitation": "launch"},
                 "DeclineInvite": {"invitation": "launch"}}  # fmt: skip
        for method, request in asked.items():
            assert f'"{method}"' in page
            status, said, _ = await ben.ask("POST", f"/api/InviteService/{method}", request)
            assert status == 200, said
        assert said["state"] == "INVITE_STATE_DECLINED"
        status, said, _ = await ben.ask("POST", "/api/InviteService/ListInvites", {})
        assert {"invites", "nextPageToken"} <= set(said)
        assert {"state", "group", "organisation", "identifier", "account", "sent", "why", "refused",
                "expireTime"} <= set(said["invites"][0])  # fmt: skip
        json.dumps(said)


@pytest.mark.slow
async def test_invitations_are_listed_accepted_and_declined(unit: WebUnit) -> None:
    why = [Reason(rule="PRIMARY_MEMBER", clause="a member of contoso", value="contoso")]
    unit.invites.known = [
        invitation("launch", why=why), invitation("choir"), invitation("garden"),
    ]  # fmt: skip
    async with browsers() as opened, opened.window() as ben:
        await ben.go(f"{unit.url}/client/#ticket={unit.ticket('ben')}")
        await ben.sees("signs you in as ben of talk", "#sign-in-form")
        await ben.click("#sign-in-form button")
        await ben.sees("3", "#invitations-count")
        await ben.click("#invitations")
        await ben.sees("Invitations", "#title")
        await ben.sees("launch of contoso", "#invites")
        await ben.sees("anna invites you, at ben@contoso.example", "#invites")
        await ben.sees("PRIMARY_MEMBER: a member of contoso", "#invites")
        assert await ben.run("return document.getElementById('composer').hidden")

        await ben.click("[aria-label='Accept the invitation to launch of contoso']")
        await ben.sees("You are in the group", "#invites")
        await ben.sees("2", "#invitations-count")
        await ben.click("[aria-label='Decline the invitation to choir of contoso']")
        await ben.sees("You declined it", "#invites")
        assert [one.state for one in unit.invites.known] == [
            pb.INVITE_STATE_ACCEPTED, pb.INVITE_STATE_DECLINED, pb.INVITE_STATE_OPEN,
        ]  # fmt: skip

        unit.invites.failure = Refused("GUESTS_FORBIDDEN: contoso takes no guests")
        await ben.click("[aria-label='Accept the invitation to garden of contoso']")
        await ben.sees("contoso takes no guests", "#invites-error")
        await ben.sees("contoso takes no guests", "#invites .error")
        await ben.sees("1", "#invitations-count")  # and may be accepted again
        await ben.click("[aria-label='Accept the invitation to garden of contoso']")
        await ben.until("document.getElementById('invitations-count').hidden")
        # The refused answer is told by its status, which the console notes.
        assert [one for one in await ben.complaints() if "InviteService" not in one] == []


@pytest.mark.slow
async def test_one_that_comes_later_is_seen_and_one_that_was_made_says_what_became_of_it(
    unit: WebUnit,
) -> None:
    async with browsers() as opened, opened.window() as anna:
        await anna.go(f"{unit.url}/client/#ticket={unit.ticket('anna')}")
        await anna.sees("signs you in as anna of talk", "#sign-in-form")
        await anna.click("#sign-in-form button")
        await anna.until("!document.getElementById('client').hidden")
        assert await anna.run("return document.getElementById('invitations').hidden")
        sent = invitation("launch", sent=True)
        sent.account, sent.state = "ben", pb.INVITE_STATE_ACCEPTED
        unit.invites.known = [sent, invitation("choir")]
        request = talk.SendMessageRequest(
            conversation=b"c" * 16, id=b"1" * 16, members=["anna"], content=talk.Content(text="Hi")
        )
        await unit.unit.conversations.SendMessage(request, unit.unit.by_ticket("ben"))  # type: ignore[arg-type]
        await anna.sees("1", "#invitations-count")
        await anna.click("#invitations")
        await anna.sees("You invited ben@contoso.example", "#invites")
        await anna.sees("Accepted by ben", "#invites")
        assert await anna.complaints() == []
