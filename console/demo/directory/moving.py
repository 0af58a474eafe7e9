"""Chapter 9: eu-west is drained, and Anna moves with everything that is hers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from console.demo.directory import proving, writing
from console.demo.directory.demo_stack import ANNAS_NUMBER, DemoStack
from console.demo.directory.story import Story
from console.demo.directory.writing import Launch
from control_plane.printable import number_of
from homeport import errors
from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2

RATE_PER_S = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What is an account's, counted. digests: of all of it, by kind."""

    names: int
    contacts: int
    conversations: int
    messages: int
    digests: Mapping[str, str]

    def words(self) -> str:
        return (
            f"{self.names} names, {number_of(self.contacts, 'contact')}, "
            f"{number_of(self.conversations, 'conversation')}, {self.messages} messages"
        )


def move(story: Story, stack: DemoStack, launch: Launch) -> None:
    """Tells it."""
    before = belongings(stack, "anna")
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


def belongings(stack: DemoStack, account: str) -> Belongings:
    """All that an account's unit and the directory have of it."""
    with stack.person(account) as person, stack.directory() as calls:
        settings = person.settings()
        settings.ClearField("names_time")  # when the directory was asked last
        contacts = person.contacts()
        conversations = person.conversations()
        messages = [one for about in conversations for one in person.messages(about.id)]
        held = calls.account(account)
    return Belongings(
        names=len(held.handles) + len(held.identifiers),
        contacts=len(contacts),
        conversations=len(conversations),
        messages=len(messages),
        digests={
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
