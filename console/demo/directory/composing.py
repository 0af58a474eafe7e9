"""Chapter 4: as whom Anna writes and at which of Ben's addresses: what is suggested and why, what
each choice does to the other side, and what is warned of."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from console.cli.calls.conversations import FoundName
from console.cli.calls.identities import IdentityCalls, contactees_of
from console.cli.markup import escape
from console.demo.directory import answering, outside
from console.demo.directory.demo_stack import ANNAS_NUMBER, DOMAIN, DemoStack
from console.demo.directory.person import Person
from console.demo.directory.proving import PRIVATE, WORK, prove_by_mail
from console.demo.directory.story import Story
from homeport.api.communication.v1 import conversation_pb2, profile_pb2
from homeport.api.communication.v1 import identity_pb2 as pb

BEN_WORK, BEN_HOME = "ben@contoso.example", "ben@mail.example"
OWN, HIS = ([f"mailto:{one}" for one in pair] for pair in ((WORK, PRIVATE), (BEN_WORK, BEN_HOME)))
AT_WORK, AT_HOME = "The plans are ready.", "Come and see the garden."
ANSWER, OFFER = "On Sunday, then.", "Our offer for the hall is below."
BLIND = "blind copy"


def compose(story: Story, stack: DemoStack, ben: str) -> None:
    """Tells it."""
    for address, label in ((BEN_WORK, "work"), (BEN_HOME, "private")):
        prove_by_mail(story, stack, ben, address, label=label, findable=True, whose="his")
    with stack.person(ben) as person:
        person.change_contacts(["anna"], [])
        for uri in HIS:
            person.show_to(uri, profile_pb2.Audience(contacts=True))
    with composer(stack, "anna") as calls:
        people = calls.found([BEN_WORK, BEN_HOME, *outside.ADDRESSES])
        story.check(
            "Anna finds Ben by either of his addresses; Carla has mail alone, and Dev a number",
            [ben, ben, *outside.PEOPLE],
            [one.member for one in people],
        )
        home, _ = send(calls, people[:1], OWN[1], HIS[1], AT_HOME)
        send(calls, people[:1], OWN[0], HIS[0], AT_WORK)
        suggest(story, calls, people, ben)
        choose(story, calls, people, ben)
    answered(story, stack, ben, home)
    blindly(story, stack)


def suggest(story: Story, calls: IdentityCalls, people: list[FoundName], ben: str) -> None:
    """What is suggested where nothing is chosen, and that all of it says why."""
    found = calls.suggest(pb.SuggestRequest(contactees=contactees_of(people)))
    offered = sorted(one.identifier for one in found.contactor.ranked)
    story.check("she may write as @anna, at work, privately and by number",
                sorted(["@anna", *OWN, f"tel:{ANNAS_NUMBER}"]), offered)  # fmt: skip
    story.check(
        "what she used last is suggested: from work, to Ben at work",
        [OWN[0], {ben: HIS[0], **{one: one for one in outside.PEOPLE}}],
        [
            found.contactor.identifier,
            {one.member: one.choice.identifier for one in found.contactees},
        ],
    )
    choices = [found.contactor, *(one.choice for one in found.contactees)]
    reasons = [bool(one.why) for one in choices]
    reasons += [bool(each.why) for one in choices for each in one.ranked]
    story.check(f"each of the {len(reasons)} says why", [True] * len(reasons), reasons)
    tell_why(story, "From", found.contactor)


def choose(story: Story, calls: IdentityCalls, people: list[FoundName], ben: str) -> None:
    """Each side ranks the other; what was chosen stays."""
    his = contactees_of(people[:2])
    found = calls.suggest(pb.SuggestRequest(contactees=his, chosen_from=OWN[1]))
    ranked = [one.identifier for one in found.contactees[0].choice.ranked]
    story.check("she picks her private address: Ben's company drops behind his private one",
                [HIS[1], HIS[0]], ranked)  # fmt: skip
    story.check("and nothing is warned of", [], [one.rule for one in found.warnings])
    asked = pb.SuggestRequest(contactees=his, chosen_from=OWN[1], chosen_to={ben: HIS[0]})
    found = calls.suggest(asked)
    story.check(
        "she insists on his company's: a warning that nobody has seen that address there",
        [["unknown identity", OWN[1]]],
        [[one.rule, one.about] for one in found.warnings],
    )
    story.tell(f"  [dim]{escape(found.warnings[0].text)}[/]")
    chosen = [found.contactor.identifier, found.contactees[0].choice.identifier]
    story.check("both choices stand", [OWN[1], HIS[0]], chosen)
    found = calls.suggest(pb.SuggestRequest(contactees=his, chosen_to={ben: HIS[0]}))
    story.check("she picks his company's alone: From returns to work", OWN[0],
                found.contactor.identifier)  # fmt: skip
    tell_why(story, "From", found.contactor)


def answered(story: Story, stack: DemoStack, ben: str, conversation: bytes) -> None:
    """Ben has it at the identifier that was chosen, from the one that was, and his answer is met
    from there."""

    def arrived() -> conversation_pb2.Message | None:
        with stack.person(ben) as person:
            return next(iter(person.messages(conversation)), None)

    got = stack.until("what Anna wrote privately to be with Ben", arrived)
    story.check(
        "what she wrote privately names her private address and his, and no other of theirs",
        [OWN[1], {ben: HIS[1]}],
        [got.content.from_identifier, dict(got.content.to_identifiers)],
    )
    with composer(stack, ben) as calls:
        planned = calls.plan_reply(pb.PlanReplyRequest(message=got.id))
        story.check("Ben answers: from where it came to, to where it came from",
                    [HIS[1], [["anna", OWN[1]]]], plan_of(planned))  # fmt: skip
        answer = uuid.uuid4().bytes
        calls.send_as(
            planned.contactor.identifier,
            {one.member: one.identifier for one in planned.to},
            conversation_pb2.SendMessageRequest(
                conversation=planned.conversation,
                id=answer,
                content=conversation_pb2.Content(text=ANSWER, in_reply_to=got.id),
            ),
        )
    with composer(stack, "anna") as calls:
        stack.until(
            "Ben's answer to be with Anna",
            lambda: any(one.id == answer for one in calls.messages(conversation)),
        )
        mode = pb.REPLY_MODE_REPLY_ALL
        planned = calls.plan_reply(pb.PlanReplyRequest(message=answer, mode=mode))
    story.check(
        "and she answers him privately, though she wrote from work since; a reply to all shows "
        "nobody anything new",
        [OWN[1], [[ben, HIS[1]]], []],
        [*plan_of(planned), [one.rule for one in planned.warnings]],
    )
    tell_why(story, "From", planned.contactor)


def blindly(story: Story, stack: DemoStack) -> None:
    """Carla writes to Ben's company, and Anna has a blind copy, at the address of her handle."""
    with stack.person("anna") as person:
        open_by_mail(person, everyone=True)
    mail = EmailMessage()
    mail["Authentication-Results"] = f"{DOMAIN}; dkim=pass header.d=mail.example"
    mail["From"], mail["To"], mail["Bcc"] = outside.CARLA, BEN_WORK, f"anna@{DOMAIN}"
    mail["Subject"], mail["Message-ID"] = "The offer", f"<{uuid.uuid4().hex}@mail.example>"
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail.set_content(f"{OFFER}\n")
    answering.bring(stack, mail)
    with composer(stack, "anna") as calls:

        def came() -> conversation_pb2.Message | None:
            found = (one for about in calls.conversations() for one in calls.messages(about.id))
            return next((one for one in found if one.content.text.strip() == OFFER), None)

        got = stack.until("Carla's mail to be with Anna", came)
        plans = [
            calls.plan_reply(pb.PlanReplyRequest(message=got.id, mode=mode))
            for mode in (pb.REPLY_MODE_REPLY, pb.REPLY_MODE_REPLY_ALL)
        ]
    story.check(
        "Carla mails Ben's company, with a blind copy to Anna: an answer to Carla shows nobody; a "
        "warning that one to all would show her",
        [["mailto:" + outside.CARLA], [], sorted(["mailto:" + outside.CARLA, HIS[0]]), 1],
        [
            [one.member for one in plans[0].to],
            [one.rule for one in plans[0].warnings if one.rule == BLIND],
            sorted(one.member for one in plans[1].to),
            [one.rule for one in plans[1].warnings].count(BLIND),
        ],
    )
    warned = next(one for one in plans[1].warnings if one.rule == BLIND)
    story.tell(f"  [dim]{escape(warned.text)}[/]")
    with stack.person("anna") as person:
        open_by_mail(person, everyone=False)


def open_by_mail(person: Person, *, everyone: bool) -> None:
    """Whether strangers' mail reaches somebody; that of contacts does."""
    audience = profile_pb2.Audience(everyone=everyone, contacts=True)
    person.change(
        "SetReachability",
        profile_pb2.SetReachabilityRequest(mode=profile_pb2.MODE_MAIL, audience=audience),
    )


def composer(stack: DemoStack, account: str) -> IdentityCalls:
    """At the unit of an account, with its ticket; to be opened."""
    return IdentityCalls.at(stack.target, stack.client.provision(account))


def send(
    calls: IdentityCalls, people: list[FoundName], from_: str, at: str, text: str
) -> tuple[bytes, bytes]:
    """A message that begins a conversation: its id, and that of the message."""
    conversation, message = uuid.uuid4().bytes, uuid.uuid4().bytes
    calls.send_as(
        from_,
        {one.member: at for one in people},
        conversation_pb2.SendMessageRequest(
            conversation=conversation,
            id=message,
            members=[one.member for one in people],
            content=conversation_pb2.Content(text=text),
        ),
    )
    return conversation, message


def plan_of(planned: pb.PlanReplyResponse) -> list[Any]:
    """From whom, and to whom where."""
    return [planned.contactor.identifier, [[one.member, one.identifier] for one in planned.to]]


def tell_why(story: Story, side: str, choice: pb.IdentityChoice) -> None:
    why = "; ".join(f"{one.rule}: {one.clause}" for one in choice.why)
    story.tell(f"  [dim]{side}: {escape(choice.identifier)}, {escape(why)}[/]")
