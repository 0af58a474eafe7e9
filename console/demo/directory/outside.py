"""Chapter 5, those without an account: Carla has mail alone, Dev a telephone alone."""

from __future__ import annotations

from email.message import EmailMessage

from console.demo.directory.demo_stack import DEVS_NUMBER, DemoStack
from console.demo.directory.mail_provider import text_of
from console.demo.directory.story import Story
from homeport.api.communication.v1 import delivery_pb2 as pb

CARLA, DEV = "carla@mail.example", DEVS_NUMBER
FIRST = "Shall we meet at ten?"
REACHED = ("handed_over", "delivered", "seen")
ADDRESSES = (CARLA, DEV)
PEOPLE = (f"mailto:{CARLA}", f"tel:{DEV}")


def reach(story: Story, stack: DemoStack, conversation: bytes) -> None:
    """What Anna sent is in the mailbox and on the telephone, and its states say no more."""
    (mail, *_) = stack.until("Carla's mail", lambda: mails(stack, FIRST))
    got = stack.until("Dev's text", lambda: texts(stack, FIRST))
    forms = [bool(text_of(mail)), bool(text_of(mail, "html"))]
    story.check("the same message is in Carla's mailbox, as text and as HTML", [True, True], forms)
    story.check("and on Dev's telephone, in one text", 1, len(got))

    def states() -> dict[str, pb.Delivery] | None:
        with stack.deliveries("anna") as calls:
            found = {one.recipient: one for one in calls.deliveries(b"", only_open=False)}
        known = [found.get(one) for one in PEOPLE]
        return found if all(one is not None and state(one) in REACHED for one in known) else None

    found = stack.until("what became of both", states)
    named = [state(found[one]) for one in PEOPLE]
    story.check(
        "Carla's is handed over, and no more is said of it; Dev's is delivered",
        ["handed_over", "delivered"],
        named,
    )
    for one in PEOPLE:
        story.tell(f"  [dim]{one}: {found[one].attempts[-1].evidence}[/]")


def mails(stack: DemoStack, said: str) -> list[EmailMessage]:
    """What came to Carla with these words, the oldest first."""
    return [one for one in stack.mailboxes.mails(CARLA) if said in text_of(one)]


def texts(stack: DemoStack, said: str) -> list[str]:
    """What came to Dev with these words, the oldest first."""
    return [one for _, one in stack.texts(DEV) if said in one]


def state(delivery: pb.Delivery) -> str:
    """In one word."""
    name = pb.DeliveryState.Name(delivery.state)
    return name.removeprefix("DELIVERY_STATE_").lower()
