"""Chapter 5, while others are away: the mail provider is killed, and nothing is lost or sent twice.

What could not be handed over is tried again by Anna's unit itself, after half a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.demo.directory import outside
from console.demo.directory.demo_stack import DemoStack
from console.demo.directory.mail_provider import text_of
from console.demo.directory.story import Story
from homeport.api.communication.v1 import delivery_pb2 as pb


def provider_goes(stack: DemoStack) -> None:
    """Once nothing is under way to it. Ends with SIGKILL."""
    stack.until("all mail to be handed over", lambda: not _open(stack))
    stack.mail.kill()


def states_say_so(story: Story, stack: DemoStack, texts: Sequence[str]) -> None:
    """Of messages that were sent meanwhile."""

    def failed() -> list[pb.Delivery]:
        found = [one for one in _open(stack) if one.attempts and one.attempts[-1].failed]
        return found if len(found) >= len(texts) else []

    waiting = stack.until("the attempts to fail", failed)
    states = {outside.state(one) for one in waiting}
    story.check(
        f"the mail provider was killed before: of the {len(texts)} mails to Carla none is said to "
        "be handed over",
        [False, 0],
        [bool(states & {*outside.REACHED}), len(_new(stack, texts))],
    )
    story.tell(f"  [dim]{waiting[0].attempts[-1].evidence}[/]")


def provider_returns(story: Story, stack: DemoStack, texts: Sequence[str]) -> None:
    """Where it was. texts: of what was sent while it was away, each once."""
    stack.start_mail_again()
    stack.until("the mails to be in Carla's mailbox", lambda: len(_new(stack, texts)) >= len(texts))
    stack.until("all mail to be handed over", lambda: not _open(stack))
    story.check(
        "it is there again, and her unit tries again: each is in Carla's mailbox, none twice",
        sorted(texts),
        sorted(_new(stack, texts).values()),
    )
    story.figure("mails", len(texts))


def _open(stack: DemoStack) -> list[pb.Delivery]:
    """Of Anna's messages to Carla, those that her mail provider has not taken."""
    with stack.deliveries("anna") as calls:
        found = calls.deliveries(b"", only_open=True)
    to_carla = [one for one in found if one.recipient == outside.PEOPLE[0]]
    return [one for one in to_carla if outside.state(one) not in outside.REACHED]


def _new(stack: DemoStack, texts: Sequence[str]) -> dict[str, str]:
    """What Carla has of these, by Message-ID, which is how her mailbox knows a mail again."""
    mails = {str(one["Message-ID"]): text_of(one).strip() for one in outside.mails(stack, "")}
    return {known: said for known, said in mails.items() if said in texts}
