"""Chapter 5, the way back: Carla answers by mail and Dev by text, and both answers are messages.

Carla's mail is brought as any server brings one: to each unit that takes mail, in turn, until one
has it, and again later where none has.
"""

from __future__ import annotations

import smtplib
import uuid
from email.message import EmailMessage

from console.demo.directory import outside
from console.demo.directory.demo_stack import DOMAIN, SERVICE_NUMBER, DemoStack
from console.demo.directory.mail_provider import text_of
from console.demo.directory.story import Story
from console.demo.directory.telephones import TAKEN, type_text
from control_plane.printable import quoted
from homeport.api.communication.v1 import conversation_pb2 as pb

BY_MAIL, BY_TEXT = "Ten suits me, and I bring the plans.", "I come at half past"
SMTP_S = 120.0


def answer(story: Story, stack: DemoStack, conversation: bytes, ben: str) -> None:
    """Tells it."""
    (asked,) = outside.mails(stack, outside.FIRST)
    bring(stack, reply_to(asked, BY_MAIL))
    by_mail = arrived(stack, "anna", conversation, BY_MAIL)
    story.check(
        "Carla answers by mail: in the conversation it is hers, without what she quoted, and "
        "vouched for",
        [outside.PEOPLE[0], "anna", True],
        [by_mail.sender, by_mail.via, by_mail.content.by_mail.verified],
    )
    text(stack, BY_TEXT)
    # Anna's unit and Ben's have both texted him from one number: either takes it.
    by_text = arrived(stack, "anna", conversation, BY_TEXT)
    story.check("Dev by text: it is his", [outside.PEOPLE[1], True],
                [by_text.sender, by_text.via in ("anna", ben)])  # fmt: skip
    passed_on = [arrived(stack, ben, conversation, said).sender for said in (BY_MAIL, BY_TEXT)]
    story.check("Ben has both as well", [*outside.PEOPLE], passed_on)
    stack.until("Carla's answer on Dev's telephone", lambda: outside.texts(stack, BY_MAIL))
    stack.until("Dev's answer in Carla's mailbox", lambda: outside.mails(stack, BY_TEXT))
    story.check(
        "and they have each other's: Dev hers as a text, Carla his as a mail",
        [1, 1],
        [len(outside.texts(stack, BY_MAIL)), len(outside.mails(stack, BY_TEXT))],
    )


def reply_to(asked: EmailMessage, said: str) -> EmailMessage:
    """What a program for mail makes of "Reply": the answer above, all of the other mail below. It
    comes by a relay in front of the units, which says who vouches for it."""
    mail = EmailMessage()
    mail["Authentication-Results"] = f"{DOMAIN}; dkim=pass header.d=mail.example"
    mail["From"] = outside.CARLA
    mail["To"] = str(asked.get("Reply-To", asked["From"]))
    mail["Subject"] = f"Re: {asked['Subject']}"
    mail["Date"] = str(asked["Date"])
    mail["Message-ID"] = f"<{uuid.uuid4().hex}@mail.example>"
    mail["In-Reply-To"] = str(asked["Message-ID"])
    quoted = "\n".join(f"> {line}" for line in text_of(asked).splitlines())
    mail.set_content(f"{said}\n\nOn Saturday, Anna wrote:\n\n{quoted}\n")
    return mail


def bring(stack: DemoStack, mail: EmailMessage) -> None:
    """Until a unit has said that it has it; the same mail again is the same mail."""

    def taken() -> bool:
        return any(_hand_over(address, mail) for address in stack.local.addresses("mail").values())

    stack.until("a unit to take the mail", taken)


def _hand_over(address: str, mail: EmailMessage) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with smtplib.SMTP(host, int(port), "mx.mail.example", timeout=SMTP_S) as smtp:
            smtp.send_message(mail)
    except (smtplib.SMTPException, OSError):  # that of another unit, or not now
        return False
    return True


def text(stack: DemoStack, said: str) -> None:
    """From Dev's telephone to the number from which the texts come."""
    text_id = uuid.uuid4().hex  # under which a text that is tried again is the same

    def taken() -> bool:
        code = type_text(stack.text_line, outside.DEV, SERVICE_NUMBER, said, text_id=text_id)
        return code == TAKEN

    stack.until("a unit to take the text", taken)


def arrived(stack: DemoStack, account: str, conversation: bytes, said: str) -> pb.Message:
    """The message of exactly this text, once an account has it."""

    def look() -> pb.Message | None:
        with stack.person(account) as person:
            found = [one for one in person.messages(conversation) if one.content.text == said]
        return found[0] if found else None

    return stack.until(
        f"the answer {quoted(said)} to be with {account}", lambda: stack.asking(look)
    )
