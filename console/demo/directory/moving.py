"""Chapter 9: eu-west is drained, and Anna moves with everything that is hers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from console.cli.markup import escape
from console.demo.directory import buying, calling, mailed_cards, outside, proving, writing
from console.demo.directory.demo_stack import ANNAS_NUMBER, DemoStack
from console.demo.directory.mailed_cards import PageLink
from console.demo.directory.story import Story
from console.demo.directory.writing import Launch
from control_plane.printable import number_of
from homeport import errors
from homeport.api.communication.v1 import delivery_pb2 as pb_delivery
from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2

RATE_PER_S = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What is an account's, counted. receipts: how far its messages are known to have come.
    digests: of all of it, by kind."""

    names: int
    contacts: int
    conversations: int
    messages: int
    receipts: int
    digests: Mapping[str, str]

    def words(self) -> str:
        return (
            f"{self.names} names, {number_of(self.contacts, 'contact')}, "
            f"{number_of(self.conversations, 'conversation')}, {self.messages} messages, "
            f"what is known of {number_of(self.receipts, 'delivery', 'deliveries')}"
        )


def move(story: Story, stack: DemoStack, launch: Launch, shop: bytes) -> None:
    """Tells it. shop: the conversation with the roastery."""
    link = buying.offered_by_mail(stack, shop)
    before = belongings(stack, "anna")
    pending = outside.state(to_ben(stack, launch))
    with stack.person("anna") as with_old_ticket:
        drain(story, stack)
        home = stack.client.provision("anna")
        story.check("eu-west is drained: Anna is at home in [bold]eu-north[/]", "eu-north",
                    home.unit_id)  # fmt: skip
        try:
            with_old_ticket.settings()
            reason = "answered"
        except errors.HomeportError as error:
            reason = error.reason
    story.check("her former unit sends her on", "STALE_EPOCH", reason)
    after = belongings(stack, "anna")
    story.check(
        f"with her: {before.words()}, the same to the letter", before.digests, after.digests
    )
    again(story, stack, launch)
    seen_by_ben(story, stack, launch, pending)
    press_at_home(story, stack, shop, link)
    calling.again(story, stack)
    for name, count in (("names", after.names), ("messages", after.messages)):
        story.figure(name, count)


def drain(story: Story, stack: DemoStack) -> None:
    """Until nobody is left in eu-west."""
    with stack.fleet() as calls:
        revision = next(one.revision for one in calls.list_units() if one.spec.unit_id == "eu-west")
        calls.drain_unit("eu-west", revision=revision, rate_per_s=RATE_PER_S)

        def done() -> fleet_pb2.MoveJob | None:
            (job,) = (
                one for one in calls.list_move_jobs(with_ended=True) if one.unit_id == "eu-west"
            )
            return job if job.state == fleet_pb2.MOVE_JOB_STATE_DONE else None

        job = stack.until("eu-west to be empty", done)
    story.figure("moved", job.moved)


def again(story: Story, stack: DemoStack, launch: Launch) -> None:
    """Chapters 2 and 5 in short."""
    names = (f"mailto:{proving.WORK}", "@anna", f"tel:{ANNAS_NUMBER}")
    found = [proving.found(stack, name, launch.ben) for name in names]
    story.check("by address, handle and number Ben finds her as before", ["anna"] * 3, found)
    with stack.person("anna") as person:
        seen = person.profile(pb.GetProfileRequest(viewer=launch.ben)).identifiers
    story.check("and sees what he saw", [f"mailto:{proving.WORK}"], [one.uri for one in seen])
    writing.say(stack, "anna", launch, "Written from Stockholm.")
    count = len(writing.said(stack, "anna", launch))
    writing.arrives(stack, launch.ben, launch, count)
    story.check(
        "the conversation goes on: both have the same messages",
        writing.said(stack, "anna", launch),
        writing.said(stack, launch.ben, launch),
    )


def seen_by_ben(story: Story, stack: DemoStack, launch: Launch, pending: str) -> None:
    """What Anna sent before she moved. pending: its state then."""
    before = to_ben(stack, launch)
    with stack.person(launch.ben) as person:
        last = list(person.messages(launch.conversation))[-1].position
        person.mark_seen(launch.conversation, last)

    def seen() -> str:
        state = outside.state(to_ben(stack, launch))
        return state if state == "seen" else ""

    story.check(
        f"Ben opens what she sent from London, {escape(pending)} until then: she is told in "
        "Stockholm that he has seen it",
        [pending, "seen"],
        [outside.state(before), stack.until("Ben's receipt", seen)],
    )


def to_ben(stack: DemoStack, launch: Launch) -> pb_delivery.Delivery:
    """That of the first message of the conversation."""
    with stack.person("anna") as person:
        written = {one.id for one in person.messages(launch.conversation)}
    with stack.deliveries("anna") as calls:
        to_him = [
            one
            for one in calls.deliveries(b"", only_open=False)
            if one.recipient == launch.ben and one.message in written
        ]
    return to_him[-1]


def press_at_home(story: Story, stack: DemoStack, shop: bytes, link: PageLink) -> None:
    """Chapter 6 in short: the card came before she moved, and is answered after it."""
    there = mailed_cards.leads_to(stack, link)
    story.check(
        "the link in a mail that she got before leads from her former unit to her new one",
        ["eu-west", ["eu-north", link.path]],
        [link.unit, list(there or ())],
    )
    assert there is not None
    before = len(buying.orders(stack))
    story.check("she orders on its page", 200, mailed_cards.press_page(stack, there))
    mailed_cards.press_page(stack, there)
    buying.said_in(stack, shop, buying.ONE_BAG)
    story.check("twice: one order more", 1, len(buying.orders(stack)) - before)


def belongings(stack: DemoStack, account: str) -> Belongings:
    """All that an account's unit and the directory have of it."""
    with stack.person(account) as person, stack.directory() as calls:
        settings = person.settings()
        settings.ClearField("names_time")  # when the directory was asked last
        contacts = person.contacts()
        conversations = person.conversations()
        messages = [one for about in conversations for one in person.messages(about.id)]
        held = calls.account(account)
    with stack.deliveries(account) as calls_of_deliveries:
        sent = calls_of_deliveries.deliveries(b"", only_open=False)
    receipts = [
        pb_delivery.Delivery(message=one.message, recipient=one.recipient, state=one.state)
        for one in sent
    ]
    return Belongings(
        names=len(held.handles) + len(held.identifiers),
        contacts=len(contacts),
        conversations=len(conversations),
        messages=len(messages),
        receipts=len(receipts),
        digests={
            "receipts": _digest(receipts),
            "settings": _digest([settings]),
            "contacts": _digest([pb.ListContactsResponse(contacts=contacts)]),
            "conversations": _digest(conversations),
            "messages": _digest(messages),
            "names": _digest([*held.handles, *held.identifiers]),
        },
    )


def _digest(messages: Sequence[Message]) -> str:
    """Of all of them, in order."""
    digest = hashlib.sha256()
    for one in messages:
        part = one.SerializeToString(deterministic=True)
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]
