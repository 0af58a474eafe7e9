"""A request for every method of a unit's services, which names what may be another tenant's; see
`tests.deployment_units.services.test_other_tenants`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import delivery_pb2 as delivery
from homeport.api.communication.v1 import device_pb2 as devices
from homeport.api.communication.v1 import identity_pb2 as identity
from homeport.api.communication.v1 import invite_pb2 as invites
from homeport.api.communication.v1 import mail_pb2 as mail
from homeport.api.communication.v1 import profile_pb2 as profile
from homeport.api.communication.v1 import push_pb2 as push
from homeport.api.communication.v1 import telephony_pb2 as telephony
from tests.support.telephony_units import P3, V2

UPTIME = Duration(seconds=100_000)

FOREIGN = "northwind"  # the tenant of whoever asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a request may name."""

    account: str
    conversation: bytes
    message: bytes
    uri: str
    handle: str
    offer: str
    press: bytes
    device: str = "another-phone"
    browser: str = "talk.example/another-browser-00"
    virtual: str = V2
    contact: str = P3


NOBODYS = Named(
    account="zoe", conversation=bytes([9]) * 16, message=bytes([8]) * 16, handle="zoe",
    uri="mailto:zoe@talk.example", offer="", press=bytes([7]) * 16,
)  # fmt: skip

ROWS: dict[str, Callable[[Named], Message]] = {
    "ConversationService.SendMessage": lambda of: talk.SendMessageRequest(
        conversation=of.conversation,
        id=bytes([5]) * 16,
        replaces=of.message,
        content=talk.Content(text="into it"),
    ),
    "ConversationService.Deliver": lambda of: talk.DeliverRequest(
        conversation=of.conversation,
        id=of.message,
        members=[of.account, "anna"],
        content=talk.Content(text="into it"),
    ),
    "ConversationService.Click": lambda of: talk.ClickRequest(
        message=of.message, action="order", press=of.press
    ),
    "ConversationService.DeliverPress": lambda of: talk.DeliverPressRequest(
        message=of.message, action="order", revision=1, press=of.press
    ),
    "ConversationService.Subscribe": lambda of: talk.SubscribeRequest(),
    "ConversationService.ListConversations": lambda of: talk.ListConversationsRequest(),
    "ConversationService.ListMessages": lambda of: talk.ListMessagesRequest(
        conversation=of.conversation
    ),
    "ConversationService.FindMember": lambda of: talk.FindMemberRequest(name=of.account),
    "ConversationService.MarkSeen": lambda of: talk.MarkSeenRequest(
        conversation=of.conversation, device="laptop", position=1
    ),
    "ConversationService.GetMessage": lambda of: talk.GetMessageRequest(id=of.message),
    "ConversationService.RemoveConversation": lambda of: talk.RemoveConversationRequest(
        conversation=of.conversation
    ),
    "DeliveryService.ListDeliveries": lambda of: delivery.ListDeliveriesRequest(message=of.message),
    "DeliveryService.Redrive": lambda of: delivery.RedriveRequest(
        message=of.message, recipient=of.account
    ),
    "DeliveryService.Receipt": lambda of: delivery.ReceiptRequest(
        receipts=[delivery.MessageReceipt(message=of.message, state=delivery.DELIVERY_STATE_SEEN)]
    ),
    "DeliveryService.GetRules": lambda of: delivery.GetRulesRequest(),
    "DeliveryService.ApplyRules": lambda of: delivery.ApplyRulesRequest(
        document='{"never": ["mail"]}'
    ),
    "DeliveryService.ExplainRoute": lambda of: delivery.ExplainRouteRequest(sender=of.account),
    "MailService.CheckMailRecipient": lambda of: mail.CheckMailRecipientRequest(
        recipient=f"{of.handle}@talk.example"
    ),
    "MailService.DeliverMail": lambda of: mail.DeliverMailRequest(
        envelope=mail.MailEnvelope(recipient=f"{of.handle}@talk.example")
    ),
    "InviteService.CreateInvite": lambda of: invites.CreateInviteRequest(
        request_id=bytes([5]) * 16, organisation="contoso", group="launch", identifier=of.uri
    ),
    "InviteService.WithdrawInvite": lambda of: invites.WithdrawInviteRequest(
        invitation=of.message.hex()
    ),
    "InviteService.AcceptInvite": lambda of: invites.AcceptInviteRequest(
        invitation=of.message.hex(), identifier=of.uri
    ),
    "InviteService.DeclineInvite": lambda of: invites.DeclineInviteRequest(
        invitation=of.message.hex(), identifier=of.uri
    ),
    "InviteService.ListInvites": lambda of: invites.ListInvitesRequest(),
    "InviteService.GetGroupConversation": lambda of: invites.GetGroupConversationRequest(
        organisation="contoso", group="launch"
    ),
    "InviteService.DeliverInvite": lambda of: invites.DeliverInviteRequest(
        invitation=of.message.hex(), identifier=of.uri
    ),
    "InviteService.DeliverDomainNotice": lambda of: invites.DeliverDomainNoticeRequest(
        organisation="contoso",
        domain="contoso.example",
        state=invites.DOMAIN_NOTICE_STATE_LAPSING,
    ),
    "PushService.ListPushAddresses": lambda of: push.ListPushAddressesRequest(),
    "PushService.AddPushAddress": lambda of: push.AddPushAddressRequest(
        address=f"ntfys://ntfy.talk.example/{of.account}"
    ),
    "PushService.ConfirmPushAddress": lambda of: push.ConfirmPushAddressRequest(
        id=of.press.hex(), code="00000000"
    ),
    "PushService.RemovePushAddress": lambda of: push.RemovePushAddressRequest(id=of.press.hex()),
    "IdentityService.Suggest": lambda of: identity.SuggestRequest(
        conversation=of.conversation,
        contactees=[identity.Contactee(member=of.account, identifiers=[of.uri, f"@{of.handle}"])],
        chosen_to={of.account: of.uri},
    ),
    "IdentityService.CheckLeaks": lambda of: identity.CheckLeaksRequest(
        conversation=of.conversation, identifier="@eve", recipients={of.account: of.uri}
    ),
    "IdentityService.PlanReply": lambda of: identity.PlanReplyRequest(message=of.message),
    "DeviceService.SetConsent": lambda of: devices.SetConsentRequest(
        purpose=devices.PURPOSE_REACH, given=True
    ),
    "DeviceService.ReportDevice": lambda of: devices.ReportDeviceRequest(
        device=of.device, uptime=UPTIME
    ),
    "DeviceService.Observe": lambda of: devices.ObserveRequest(
        tenant=FOREIGN,
        site="talk.example",
        browser=of.browser.partition("/")[2],
        purpose=devices.PURPOSE_REACH,
        uptime=UPTIME,
    ),
    "DeviceService.GetMap": lambda of: devices.GetMapRequest(),
    "DeviceService.Explain": lambda of: devices.ExplainBrowserRequest(browser=of.browser),
    "DeviceService.Unlink": lambda of: devices.UnlinkRequest(browser=of.browser, device=of.device),
    "DeviceService.RemoveDevice": lambda of: devices.RemoveDeviceRequest(device=of.device),
    "DeviceService.Erase": lambda of: devices.EraseRequest(),
    "TelephonyService.Route": lambda of: telephony.RouteCallRequest(
        caller=of.contact, dialled=of.virtual, kind=telephony.CALL_KIND_CALL
    ),
    "TelephonyService.Report": lambda of: telephony.ReportCallRequest(
        record=of.message, stage=telephony.CALL_STAGE_BEGAN
    ),
    "TelephonyService.LinkContact": lambda of: telephony.LinkContactRequest(contact=of.contact),
    "TelephonyService.UnlinkContact": lambda of: telephony.UnlinkContactRequest(number=of.contact),
    "TelephonyService.ListLinks": lambda of: telephony.ListLinksRequest(),
    "TelephonyService.ListCalls": lambda of: telephony.ListCallsRequest(),
    "TelephonyService.TraceCall": lambda of: telephony.TraceCallRequest(
        caller=of.contact, dialled=of.virtual
    ),
    "TelephonyService.SetStrangers": lambda of: telephony.SetStrangersRequest(
        strangers=telephony.STRANGERS_ANONYMOUS
    ),
    "TelephonyService.SetRinging": lambda of: telephony.SetRingingRequest(),
    "ProfileService.GetProfile": lambda of: profile.GetProfileRequest(),
    "ProfileService.Reach": lambda of: profile.ReachRequest(),
    "ProfileService.GetSettings": lambda of: profile.GetSettingsRequest(),
    "ProfileService.UpdateProfile": lambda of: profile.UpdateProfileRequest(name="mallory"),
    "ProfileService.AddIdentifier": lambda of: profile.AddIdentifierRequest(uri=of.uri),
    "ProfileService.BeginProof": lambda of: profile.BeginProofRequest(uri=of.uri),
    "ProfileService.ConfirmIdentifier": lambda of: profile.ConfirmIdentifierRequest(
        uri=of.uri, code="12345678"
    ),
    "ProfileService.RemoveIdentifier": lambda of: profile.RemoveIdentifierRequest(uri=of.uri),
    "ProfileService.OfferHandle": lambda of: profile.OfferHandleRequest(
        handle=of.handle, to_account="eve"
    ),
    "ProfileService.AcceptHandle": lambda of: profile.AcceptHandleRequest(offer=of.offer),
    "ProfileService.ClaimHandle": lambda of: profile.ClaimHandleRequest(handle=of.handle),
    "ProfileService.ReleaseHandle": lambda of: profile.ReleaseHandleRequest(handle=of.handle),
    "ProfileService.SetDisclosure": lambda of: profile.SetDisclosureRequest(uri=of.uri),
    "ProfileService.SetReachability": lambda of: profile.SetReachabilityRequest(
        mode=profile.MODE_IN_APP
    ),
    "ProfileService.ChangeContacts": lambda of: profile.ChangeContactsRequest(add=[of.account]),
    "ProfileService.ListContacts": lambda of: profile.ListContactsRequest(),
}
