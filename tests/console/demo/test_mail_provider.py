"""The demo's mail provider, over SMTP."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from console.demo.directory.demo_children import DemoChild
from console.demo.directory.mail_provider import MODULE, Mailboxes, text_of


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[DemoChild]:
    boxes = tmp_path / "mailboxes"
    boxes.mkdir()
    child = DemoChild("mail", MODULE, tmp_path, (f"--mailboxes={boxes}", "--domain=mail.example"))
    child.start("--listen=127.0.0.1:0")
    yield child
    child.stop()


def mail_to(address: str, text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "codes@talk.example", address, "A code"
    mail.set_content(text)
    return mail


def connection(child: DemoChild) -> smtplib.SMTP:
    host, _, port = str(child.facts["smtp"]).rpartition(":")
    return smtplib.SMTP(host, int(port), timeout=30)


def test_what_it_took_is_in_the_mailbox_also_when_it_was_killed(
    provider: DemoChild, tmp_path: Path
) -> None:
    """And it goes on where it was, with other names for what comes then."""
    boxes = Mailboxes(tmp_path / "mailboxes")
    with connection(provider) as smtp:
        smtp.send_message(mail_to("Anna@Mail.example", "1234 5678"))
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.send_message(mail_to("anna@elsewhere.example", "no"))
    address = str(provider.facts["smtp"])
    provider.kill()
    assert [text_of(mail).strip() for mail in boxes.mails("anna@mail.example")] == ["1234 5678"]
    assert text_of(boxes.mails("anna@mail.example")[0], "html") == ""
    provider.start(f"--listen={address}")
    with connection(provider) as smtp:
        smtp.send_message(mail_to("anna@mail.example", "again"))
    assert [text_of(mail).strip() for mail in boxes.mails("anna@mail.example")] == [
        "1234 5678",
        "again",
    ]
