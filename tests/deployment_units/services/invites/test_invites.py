"""Invitations between two units, from the request to the conversation of the group."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest

from control_plane.errors import (
    Exhausted,
    NotFound,
    PermissionDenied,
    Refused,
    StoreUnavailable,
    Unavailable,
)
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.serving.channel_pool import ChannelPool
from deployment_units.services.channels.channel import Channel
from deployment_units.services.invites import kept
from deployment_units.services.invites.groups import MOST_TAKEN
from deployment_units.services.invites.invite import RECEIVED, group_talk_after, group_talk_of
from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import invite_pb2 as pb
from homeport.api.directory.v1 import invitation_pb2 as directory
from provisioner.api.unit_notices import UnitNotices
from provisioner.directory.residence import Residence
from provisioner.organisations.domain_notices import DomainNotice
from provisioner.organisations.policy import Openness
from tests.support.account_units import TENANT
from tests.support.fakes.scripted_channel import LATER, SILENT, TAKEN, ScriptedChannel
from tests.support.inviting_units import BENS, REQUEST, InvitingUnits, inviting_units
from tests.support.organisation_servers import BEN, OPERATOR

CARLA = "mailto:carla@mail.example"
DAY_S = 86_400.0
JOINED = [("ben-contoso", "ben-contoso joined launch of contoso.")]


async def press(units: InvitingUnits, account: str, action: str, id_: bytes) -> talk.ClickResponse:
    """A press of the card in which the account was invited."""
    there = units.there.unit
    (found,) = await units.listed(account)
    row = there.database.read(
        lambda db: db.execute("SELECT message FROM invites WHERE id = ?", (found.invitation,))
    ).fetchone()
    request = talk.ClickRequest(message=row[0], action=action, press=id_)
    return await there.conversations.Click(request, there.by_ticket(account))


async def test_an_invitation_reaches_the_account_that_the_domain_says_and_it_joins(tmp_path):
    async with inviting_units(tmp_path) as units:
        made = await units.invite()
        assert (made.state, made.sent, made.account) == (pb.INVITE_STATE_OPEN, True, "")
        assert await units.listed("ben-fabrikam") == []
        (brought,) = await units.listed("ben-contoso")
        assert [(one.rule, one.value) for one in brought.why] == [
            ("PRIMARY_MEMBER", "contoso"), ("RESPONSIBLE_DOMAIN", "contoso.example"),
        ]  # fmt: skip
        ((said,),) = await units.talks("ben-contoso")
        assert said[0] == "anna"
        assert "PRIMARY_MEMBER" in said[1]
        assert await units.talks("anna") == []  # so that nobody learns whom it reached

        accepted = await units.accept("ben-contoso", made.invitation)
        assert accepted.state == pb.INVITE_STATE_ACCEPTED
        (told,) = await units.listed("anna")
        assert (told.state, told.account) == (pb.INVITE_STATE_ACCEPTED, "ben-contoso")
        assert await units.talks("anna") == [JOINED]
        assert JOINED in await units.talks("ben-contoso")

        # All who are in the group know the one conversation, and write there.
        request = pb.GetGroupConversationRequest(organisation="contoso", group="launch")
        group = await units.ask("anna", "GetGroupConversation", request)
        assert list(group.members) == ["ben-contoso"]
        assert await units.here.read("anna", group.conversation) == JOINED
        assert await units.there.read("ben-contoso", group.conversation) == JOINED
        with pytest.raises(NotFound):
            await units.ask("ben-fabrikam", "GetGroupConversation", request)


async def test_where_others_took_the_groups_id_it_has_another_one_each_time_the_same(tmp_path):
    async with inviting_units(tmp_path) as units:
        members = [*BENS]

        async def asked(unit, method, resident, request):
            return directory.ListGroupMembersResponse(accounts=["anna", *members])

        units.here.directory.invitations = asked
        first = group_talk_of(TENANT, "contoso", "launch", ["anna", *members])
        request = pb.GetGroupConversationRequest(organisation="contoso", group="launch")

        async def found() -> bytes:
            answer = await units.ask("anna", "GetGroupConversation", request)
            assert list(answer.members) == members
            return bytes(answer.conversation)

        assert await found() == first
        await units.here.send("anna", 1, "Hello", "carla", talk=first)  # of others
        second = group_talk_after(first)
        assert [await found(), await found()] == [second, second]
        await units.here.send("anna", 2, "Hello", *members, talk=second)
        assert await found() == second
        await units.carried()
        assert ("anna", "Hello") in await units.there.read("ben-contoso", second)


async def test_who_has_conversations_by_all_ids_of_a_group_is_told_so(tmp_path):
    async with inviting_units(tmp_path) as units:

        async def asked(unit, method, resident, request):
            return directory.ListGroupMembersResponse(accounts=["anna", "dev"])

        units.here.directory.invitations = asked
        taken = group_talk_of(TENANT, "contoso", "launch", ["anna", "dev"])
        for number in range(MOST_TAKEN):
            await units.here.send("anna", number + 1, "Hello", "carla", talk=taken)
            taken = group_talk_after(taken)
        request = pb.GetGroupConversationRequest(organisation="contoso", group="launch")
        with pytest.raises(Exhausted) as refused:
            await units.ask("anna", "GetGroupConversation", request)
        assert refused.value.reason == "GROUP_TALK_TAKEN"


async def test_a_policy_that_changed_in_between_refuses_and_says_so_and_allows_it_again(tmp_path):
    async with inviting_units(tmp_path) as units:
        await units.directory.transfers.set_primary(
            TENANT, "contoso", "contoso.example", "", OPERATOR
        )
        made = await units.invite()
        assert len(await units.listed("ben-fabrikam")) == 1  # the person chooses
        await units.directory.policy("contoso", guests=Openness.NOBODY)
        with pytest.raises(Refused) as refused:
            await units.accept("ben-fabrikam", made.invitation)
        assert refused.value.reason == "GUESTS_FORBIDDEN"
        (found,) = await units.listed("ben-fabrikam")
        assert found.state == pb.INVITE_STATE_OPEN
        assert "GUESTS_FORBIDDEN" in found.refused
        assert "GUESTS_FORBIDDEN" in (await units.talks("ben-fabrikam"))[0][-1][1]

        await units.directory.policy("contoso", guests=Openness.ANYBODY)
        accepted = await units.accept("ben-fabrikam", made.invitation)
        assert accepted.state == pb.INVITE_STATE_ACCEPTED
        # Whom it reached as well is told that it has ended, and nothing else.
        with pytest.raises(Refused) as ended:
            await units.accept("ben-contoso", made.invitation)
        assert ended.value.reason == "NOT_OPEN"


async def test_a_press_accepts_once_however_often_it_is_pressed(tmp_path):
    async with inviting_units(tmp_path) as units:
        await units.invite()
        for _ in range(2):
            clicked = await press(units, "ben-contoso", "accept", bytes([1]) * 16)
            assert clicked.state == talk.PRESS_STATE_WAITING
        await units.carried()
        (found,) = await units.listed("ben-contoso")
        assert found.state == pb.INVITE_STATE_ACCEPTED
        assert await units.talks("anna") == [JOINED]
        # The card has changed, and an old page presses nothing any more.
        clicked = await press(units, "ben-contoso", "accept", bytes([1]) * 16)
        assert clicked.state == talk.PRESS_STATE_DONE


async def test_declined_and_withdrawn_are_told_to_the_other_side(tmp_path):
    async with inviting_units(tmp_path) as units:
        await units.invite()
        await press(units, "ben-contoso", "decline", bytes([1]) * 16)
        await units.carried()
        (told,) = await units.listed("anna")
        assert (told.state, told.account) == (pb.INVITE_STATE_DECLINED, "ben-contoso")

        second = await units.invite(id_=bytes(16))
        request = pb.WithdrawInviteRequest(invitation=second.invitation)
        taken_back = await units.ask("anna", "WithdrawInvite", request)
        assert taken_back.state == pb.INVITE_STATE_WITHDRAWN
        await units.carried()
        states = {one.invitation: one.state for one in await units.listed("ben-contoso")}
        assert states[second.invitation] == pb.INVITE_STATE_WITHDRAWN
        with pytest.raises(Refused, match="withdrawn"):
            await units.accept("ben-contoso", second.invitation)


async def test_who_has_no_account_is_written_to_once_and_finds_it_once_there_is_one(tmp_path):
    async with inviting_units(tmp_path) as units:
        mail = ScriptedChannel(Channel.MAIL, LATER, SILENT, TAKEN)
        units.here.channels[Channel.MAIL] = mail
        made = await units.invite(CARLA)
        assert made.state == pb.INVITE_STATE_OPEN
        for _ in range(4):
            await units.pass_time(60.0)
        assert len({one.message_id for one in mail.sent}) == 1  # by which relays know it
        assert len(mail.sent) == 3
        assert mail.sent[0].address == "carla@mail.example"
        assert made.invitation in mail.sent[0].text
        assert await units.talks("anna") == []

        await units.lives("carla", "stockholm")
        await units.directory.proved("carla", CARLA)
        await units.pass_time(6 * 3_600.0)
        (found,) = await units.listed("carla")
        assert found.state == pb.INVITE_STATE_OPEN
        assert len(mail.sent) == 3
        accepted = await units.accept("carla", made.invitation)
        assert accepted.state == pb.INVITE_STATE_ACCEPTED


async def test_a_text_of_which_nobody_knows_whether_it_went_is_not_sent_again(tmp_path):
    async with inviting_units(tmp_path) as units:
        texts = ScriptedChannel(Channel.TEXT, SILENT, duplicates=False)
        units.here.channels[Channel.TEXT] = texts
        await units.invite("tel:+442079460302")
        await units.pass_time(DAY_S)
        assert len(texts.sent) == 1


async def test_the_letter_is_enough_for_the_address_and_for_nobody_else(tmp_path):
    async with inviting_units(tmp_path) as units:
        made = await units.invite(CARLA)
        await units.lives("carla", "stockholm")
        await units.directory.proved("carla", CARLA)
        with pytest.raises(NotFound):  # it was forwarded
            await units.accept("ben-contoso", made.invitation, CARLA)
        with pytest.raises(NotFound, match="name the address"):
            await units.accept("carla", made.invitation)
        accepted = await units.accept("carla", made.invitation, CARLA)
        assert accepted.state == pb.INVITE_STATE_ACCEPTED


SLOW = 3  # calls that a busy machine does not answer in time come again, too


@pytest.mark.parametrize("lost", [1, 3])
async def test_answers_of_the_directory_that_go_unheard_lose_and_double_nothing(tmp_path, lost):
    async with inviting_units(tmp_path) as units:
        units.lost = lost
        made = await units.invite()
        for _ in range(lost + SLOW):
            await units.pass_time(60.0)
        units.lost = lost
        await units.accept("ben-contoso", made.invitation)
        for _ in range(lost + SLOW):
            await units.pass_time(60.0)
        (told,) = await units.listed("anna")
        assert told.state == pb.INVITE_STATE_ACCEPTED
        assert await units.talks("anna") == [JOINED]
        assert (await units.talks("ben-contoso")).count(JOINED) == 1


async def test_what_was_asked_for_while_the_directory_is_away_is_done_once_it_is_back(tmp_path):
    async with inviting_units(tmp_path) as units:
        away = units.here.directory
        away.failure = StoreUnavailable("the store is away")
        made = await units.invite()
        assert made.state == pb.INVITE_STATE_MAKING
        away.failure = None
        await units.pass_time(60.0)
        assert [one.state for one in await units.listed("ben-contoso")] == [pb.INVITE_STATE_OPEN]
        away.failure = StoreUnavailable("the store is away")
        kept_for_later = await units.accept("ben-contoso", made.invitation)
        assert kept_for_later.state == pb.INVITE_STATE_ACCEPTING
        away.failure = None
        await units.pass_time(60.0)
        assert await units.talks("anna") == [JOINED]


async def test_nobody_is_shown_what_was_not_made_nor_believed_what_was_not_answered(tmp_path):
    async with inviting_units(tmp_path) as units:
        made = await units.invite()
        there, here = units.there.unit, units.here.unit
        forged = pb.DeliverInviteRequest(invitation="f" * 40, identifier=BEN)
        brought = pb.DeliverInviteRequest(invitation=made.invitation, identifier=BEN)
        answered = pb.DeliverInviteRequest(invitation=made.invitation)
        servicer = units.there.invites.servicer
        for request, context in (
            (forged, there.by_introduction("ben-contoso", "anna")),
            (brought, there.by_introduction("ben-contoso", "mallory")),  # who did not make it
            (brought, there.by_introduction("ben-fabrikam", "anna")),  # where it does not go
            (brought, there.by_introduction("ben-contoso", "")),
            (brought, there.by_ticket("ben-contoso")),
        ):
            with pytest.raises(PermissionDenied):
                await servicer.DeliverInvite(request, context)
        with pytest.raises(PermissionDenied):
            await units.here.invites.servicer.DeliverInvite(
                answered, here.by_introduction("anna", "ben-contoso")
            )
        assert await units.listed("ben-fabrikam") == []
        assert [one.state for one in await units.listed("anna")] == [pb.INVITE_STATE_OPEN]


async def test_an_invitation_to_no_group_is_refused_and_kept_as_such(tmp_path):
    async with inviting_units(tmp_path) as units:
        request = pb.CreateInviteRequest(
            request_id=REQUEST, organisation="contoso", group="nothing", identifier=BEN
        )
        with pytest.raises(NotFound, match="no group"):
            await units.ask("anna", "CreateInvite", request)
        assert [one.state for one in await units.listed("anna")] == [pb.INVITE_STATE_REFUSED]
        with pytest.raises(NotFound):
            await units.invite(by="ben-fabrikam", id_=bytes(16))


async def test_invitations_move_with_their_account(tmp_path):
    async with inviting_units(tmp_path) as units:
        made = await units.invite()
        there, here = units.there.unit, units.here.unit
        stream = b"".join([one async for one in there.state.export(TENANT, "ben-contoso")])
        arriving = await here.state.begin(TENANT, "ben-contoso", 2)
        await arriving.append(stream)
        await arriving.commit()
        owner = here.database.read(
            lambda db: db.execute(
                "SELECT owner FROM owners WHERE account = 'ben-contoso' AND state = 'live'"
            ).fetchone()[0]
        )
        row = here.database.read(lambda db: kept.find(db, owner, RECEIVED, made.invitation))
        assert row is not None
        assert row.uri == BEN


async def test_pages_go_on_where_the_one_before_ended(tmp_path):
    async with inviting_units(tmp_path) as units:
        for number in range(5):
            await units.invite(f"mailto:carla{number}@mail.example", id_=bytes([number]) * 16)
            units.here.unit.now += 1.0
        found, token = [], ""
        while True:
            page = await units.ask(
                "anna", "ListInvites", pb.ListInvitesRequest(page_size=2, page_token=token)
            )
            found += [one.identifier for one in page.invites]
            token = page.next_page_token
            if not token:
                break
        assert found == [f"mailto:carla{number}@mail.example" for number in reversed(range(5))]


async def test_an_owner_is_told_of_a_domain_once_and_by_the_control_plane_alone(tmp_path):
    async with inviting_units(tmp_path) as units:
        request = pb.DeliverDomainNoticeRequest(
            organisation="contoso", domain="contoso.example",
            state=pb.DOMAIN_NOTICE_STATE_LAPSING,
        )  # fmt: skip
        request.since.FromMilliseconds(1_800_000_000_000)
        here, servicer = units.here.unit, units.here.invites.servicer
        for _ in range(2):
            await servicer.DeliverDomainNotice(request, here.by_introduction("anna"))
        ((said,),) = await units.talks("anna")
        assert said[0] == "mailto:postmaster@talk.example"
        assert "contoso.example of contoso: Its TXT record has been missing" in said[1]
        for context in (here.by_introduction("anna", "mallory"), here.by_ticket("anna")):
            with pytest.raises(PermissionDenied):
                await servicer.DeliverDomainNotice(request, context)


async def test_the_control_plane_tells_an_owner_over_the_wire(tmp_path):
    async with inviting_units(tmp_path) as units:
        notice = DomainNotice(state="contested", since_ms=1_800_000_000_000)
        home = Residence(
            account="anna", unit_id="london", epoch=1,
            endpoint=units.here.directory.endpoints["london"],
            introduction=IntroductionIssuer(units.here.directory.issuer).make(
                "london", TENANT, "anna", 1, units.here.unit.now, viewer=""
            ),
        )  # fmt: skip
        notices = UnitNotices(ChannelPool(grpc.aio.insecure_channel))
        try:
            await notices.tell(home, "contoso", "contoso.example", notice)
            with pytest.raises(Unavailable):
                await notices.tell(replace(home, endpoint=""), "contoso", "x.example", notice)
        finally:
            await notices.close()
        ((said,),) = await units.talks("anna")
        assert "Another organisation has proved it, too" in said[1]
