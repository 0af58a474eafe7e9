"""Cards that come to Anna by mail, where no client of hers is open, and the pages behind their
buttons, as her mail's scanner and she open them."""

from __future__ import annotations

import re
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlencode

from console.demo.directory import proving
from console.demo.directory.demo_stack import DemoStack
from console.demo.directory.mail_provider import text_of
from homeport.api.communication.v1 import profile_pb2 as pb

_LINK = re.compile(r"https://([a-z0-9-]+)\.talk\.example(/a/[\w-]+)")
_PLACES = (proving.PRIVATE, proving.WORK)  # hers, both proved


class PageLink(NamedTuple):
    """Behind one button. unit: whose page it is."""

    unit: str
    path: str


def prefer_mail(stack: DemoStack, writer: str) -> None:
    """Anna has what a contact writes by mail where her client is closed. writer: that account."""
    with stack.person("anna") as person:
        person.change_contacts([writer], [])
        modes = pb.ModeList(modes=[pb.MODE_MAIL, pb.MODE_IN_APP])
        person.change("UpdateProfile", pb.UpdateProfileRequest(preferred=modes))


def mailed(stack: DemoStack, said: str, button: str) -> EmailMessage:
    """The first mail to her, wherever she has mail, with these words and that button."""

    def look() -> EmailMessage | None:
        mails = [one for place in _PLACES for one in stack.mailboxes.mails(place)]
        fitting = [one for one in mails if said in text_of(one) and links(one).get(button)]
        return fitting[0] if fitting else None

    return stack.until(f"the card with {button} by mail", look)


def links(mail: EmailMessage) -> dict[str, PageLink]:
    """By the titles of their buttons, as the text has them."""
    found = {}
    for line in text_of(mail).splitlines():
        title, _, rest = line.partition(": ")
        if (link := _LINK.fullmatch(rest.strip())) is not None:
            found[title.strip()] = PageLink(*link.groups())
    return found


def in_html(mail: EmailMessage) -> set[PageLink]:
    """Those in the other part."""
    return {PageLink(*found) for found in _LINK.findall(text_of(mail, "html"))}


def scan(stack: DemoStack, mail: EmailMessage) -> list[int]:
    """A scanner opens every link, three times; what it is told, each once."""
    told = {
        stack.browse(link.unit, link.path)[0]
        for link in {*links(mail).values(), *in_html(mail)}
        for _ in range(3)
    }
    return sorted(told)


def press_page(stack: DemoStack, link: PageLink) -> int:
    """She opens it and presses the button, with what is filled in; the status."""
    status, page = stack.browse(link.unit, link.path)
    if status != 200:
        return status
    form = _Form()
    form.feed(page)
    return stack.browse(link.unit, link.path, form=urlencode(form.fields))[0]


def leads_to(stack: DemoStack, link: PageLink) -> PageLink | None:
    """The page of her new home, where the old one says that she has moved."""
    status, page = stack.browse(link.unit, link.path)
    found = _LINK.search(page)
    return PageLink(*found.groups()) if status == 410 and found else None


class _Form(HTMLParser):
    """What a browser would send of a form as it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "input" and (name := named.get("name")):
            self.fields[name] = named.get("value") or ""
