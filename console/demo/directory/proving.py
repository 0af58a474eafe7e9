"""Chapter 2: Anna proves addresses with codes that travel, and viewers see what she wants."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from console.cli.markup import escape
from console.demo.directory.demo_stack import ANNAS_NUMBER, DOMAIN, DemoStack
from console.demo.directory.mail_provider import text_of
from console.demo.directory.story import Story
from homeport import errors
from homeport.api.communication.v1 import profile_pb2 as pb

WORK, PRIVATE = "anna@northwind.example", "anna@mail.example"
_CODE = re.compile(r"\b(\d{4}) ?(\d{4})\b")  # as the mail has it
MOST_PROBES = 400  # a crawler is stopped long before


def prove_and_show(story: Story, stack: DemoStack, ben: str) -> None:
    """Tells it. ben: the account of Anna's contact."""
    prove_by_mail(story, stack, "anna", WORK, label="work", findable=True)
    prove_by_mail(story, stack, "anna", PRIVATE, label="private", findable=False)
    prove_by_text(story, stack, "anna", ANNAS_NUMBER)
    disclose(stack, ben)
    story.check(
        f"by {WORK}, @anna and {ANNAS_NUMBER} Ben finds one account",
        ["anna"] * 3,
        [found(stack, name, ben) for name in (f"mailto:{WORK}", "@anna", f"tel:{ANNAS_NUMBER}")],
    )
    for viewer, seen, words in (
        ("mallory", [], "a stranger sees her name and that she can be written to in the client"),
        (ben, [f"mailto:{WORK}"], "Ben, a contact, sees her work address, and nobody the number"),
    ):
        with stack.person("anna") as person:
            profile = person.profile(pb.GetProfileRequest(viewer=viewer))
        story.check(words, ("Anna", seen, True), (
            profile.name,
            [one.uri for one in profile.identifiers],
            pb.MODE_IN_APP in profile.modes,
        ))  # fmt: skip
    look_up(story, stack)
    crawl(story, stack)


def look_up(story: Story, stack: DemoStack) -> None:
    """Somebody with a browser, or a program that knows RFC 7033."""
    status, page = stack.fetch("/@anna", accept="text/html")
    story.check(
        f"https://{DOMAIN}/@anna is a page with her name, and none of her addresses",
        [200, True, False, False],
        [status, "Anna" in page, WORK in page, ANNAS_NUMBER in page],
    )
    query = "/.well-known/webfinger?resource="
    status, found = stack.fetch(f"{query}acct%3Aanna%40{DOMAIN}")
    subject = json.loads(found)["subject"] if status == 200 else ""
    story.check("WebFinger finds her by it", f"acct:anna@{DOMAIN}", subject)
    answers = {
        stack.fetch(f"{query}{quote(uri, safe='')}")
        for uri in (f"mailto:{PRIVATE}", "mailto:nobody@mail.example")
    }
    story.check(
        "and by an address that she hides as little as one that is nobody's: one answer",
        [404],
        [code for code, _ in answers],
    )


def prove_by_mail(
    story: Story,
    stack: DemoStack,
    account: str,
    address: str,
    *,
    label: str,
    findable: bool,
    whose: str = "hers",
) -> None:
    """An account proves an address with the code that its mailbox got."""
    uri = f"mailto:{address}"
    before = len(stack.mailboxes.mails(address))
    with stack.person(account) as person:
        channel = person.begin_proof(uri)
        mail = stack.until(
            f"the code in the mailbox of {address}",
            lambda: stack.mailboxes.mails(address)[before:],
        )[0]
        person.confirm(uri, "".join(_CODE.findall(text_of(mail))[0]), findable=findable)
        person.change("AddIdentifier", pb.AddIdentifierRequest(uri=uri, label=label))
    story.check(
        f"a code reaches the mailbox of [bold]{escape(address)}[/] by SMTP; with it the address is "
        f"{whose}",
        ["mail", account],
        [channel, found(stack, uri, account)],
    )


def prove_by_text(story: Story, stack: DemoStack, account: str, number: str) -> None:
    """An account proves a number with the code that its telephone got; contacts find it by that."""
    uri = f"tel:{number}"
    with stack.person(account) as person:
        channel = person.begin_proof(uri)
        (_, text) = stack.until(f"the code on the telephone {number}", lambda: stack.texts(number))[
            -1
        ]
        person.confirm(uri, "".join(_CODE.findall(text)[0]), findable=True)
    story.check(
        f"a code reaches the telephone [bold]{number}[/] as a text; with it the number is hers",
        ["text", account],
        [channel, found(stack, uri)],
    )


def disclose(stack: DemoStack, ben: str) -> None:
    """Anna says who sees what: contacts her work address, nobody the rest."""
    with stack.person("anna") as person:
        person.change("UpdateProfile", pb.UpdateProfileRequest(name="Anna"))
        person.change_contacts([ben], [])
        person.show_to(f"mailto:{WORK}", pb.Audience(contacts=True))


def found(stack: DemoStack, uri: str, viewer: str = "") -> str:
    """The account that a name is of, as a viewer finds it; several: with a comma between."""
    with stack.directory() as calls:
        return ",".join(one.account for one in calls.resolve(uri, viewer=viewer).residences)


def crawl(story: Story, stack: DemoStack) -> None:
    """Mallory walks through the numbers kept for fiction."""
    told: list[str] = []
    with stack.directory() as calls:
        for number in range(MOST_PROBES):
            try:
                calls.resolve(f"tel:+442079460{number:03}", viewer="mallory")
                told.append("found")
            except errors.HomeportError as error:
                told.append(str(error.code))
                if error.code == "RESOURCE_EXHAUSTED":
                    break
    story.check("a crawler that walks through numbers is told NOT_FOUND", ["NOT_FOUND"],
                sorted(set(told[:-1])))  # fmt: skip
    story.check(f"and after {len(told) - 1} of them, to wait", "RESOURCE_EXHAUSTED", told[-1])
    story.figure("probes", len(told))
