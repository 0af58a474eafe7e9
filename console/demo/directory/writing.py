"""Chapter 5: Anna writes, and it arrives: in another unit, by mail and as a text, once, also where
who takes it was killed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from console.demo.directory import answering, outage, outside
from console.demo.directory.demo_stack import DemoStack
from console.demo.directory.story import Story
from console.local.stack_plan import agent_name

WHILE_DOWN = 5  # messages
MEANWHILE = (*(f"Point {number}" for number in range(1, WHILE_DOWN + 1)), "That is all.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The conversation of Anna and Ben. members: those that Anna names."""

    conversation: bytes
    members: tuple[str, ...]
    ben: str


def write(story: Story, stack: DemoStack, ben: str) -> Launch:
    """Tells it; the conversation that came of it."""
    launch = Launch(conversation=uuid.uuid4().bytes, members=(ben, *outside.PEOPLE), ben=ben)
    say(stack, "anna", launch, outside.FIRST)
    arrives(stack, ben, launch, 1)
    story.check(
        "Anna's message from eu-west is in Ben's client at eu-north",
        [("anna", outside.FIRST)],
        said(stack, ben, launch),
    )
    say(stack, ben, launch, "Ten is fine.")
    arrives(stack, "anna", launch, 2)
    story.check("and his answer in hers", (ben, "Ten is fine."), said(stack, "anna", launch)[-1])
    outside.reach(story, stack, launch.conversation)
    answering.answer(story, stack, launch.conversation, ben)
    outage.provider_goes(stack)
    write_while_down(story, stack, launch)
    outage.states_say_so(story, stack, MEANWHILE)
    outage.provider_returns(story, stack, MEANWHILE)
    return launch


def write_while_down(story: Story, stack: DemoStack, launch: Launch) -> None:
    """Ben's unit is killed, and started again once everything was sent."""
    before = said(stack, launch.ben, launch)
    stack.local.kill_program(agent_name("eu-north"))
    for text in MEANWHILE[:WHILE_DOWN]:
        say(stack, "anna", launch, text)
    sent = said(stack, "anna", launch)
    stack.until("eu-north to serve again", lambda: "eu-north" in stack.local.units)
    arrives(stack, launch.ben, launch, len(before) + WHILE_DOWN)
    # What comes twice comes behind the others.
    say(stack, "anna", launch, MEANWHILE[-1])
    arrives(stack, launch.ben, launch, len(sent) + 1)
    story.check(
        f"eu-north is killed (-9) while she sends {WHILE_DOWN} more: once it serves again all are "
        "there, in order, none twice",
        [*sent, ("anna", MEANWHILE[-1])],
        said(stack, launch.ben, launch),
    )
    story.figure("messages", len(sent) + 1)


def say(stack: DemoStack, account: str, launch: Launch, text: str) -> None:
    """One message of an account."""
    members = [*launch.members] if account == "anna" else []
    with stack.person(account) as person:
        person.send_to(members, text, conversation=launch.conversation, message=uuid.uuid4().bytes)


def said(stack: DemoStack, account: str, launch: Launch) -> list[tuple[str, str]]:
    """Who said what, as an account has it."""
    with stack.person(account) as person:
        return [(one.sender, one.content.text) for one in person.messages(launch.conversation)]


def arrives(stack: DemoStack, account: str, launch: Launch, count: int) -> None:
    """Waits until an account has so many messages of the conversation."""

    def there() -> bool:
        found = stack.asking(lambda: said(stack, account, launch))
        return found is not None and len(found) >= count

    stack.until(f"{count} messages to be with {account}", there)
