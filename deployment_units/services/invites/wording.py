"""What people read of an invitation: the message that brings it with its card, what becomes of it,
and the letter to somebody who has no account. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from deployment_units.services.invites.invite import InviteRow, InviteState, InviteWhy

ACCEPT, DECLINE = "accept", "decline"
_RULES: Final = {
    "PRIMARY_MEMBER": "the domain of the address belongs to {value}, whose member this account is",
    "SEVERAL_MEMBERS": "the domain of the address belongs to {value}; accept it as whichever of "
    "your accounts there you like",
    "JOINS_BY_DOMAIN": "the domain of the address belongs to {value}, which takes whoever has one",
    "NOT_A_MEMBER": "the domain of the address belongs to {value}, where you have no account; "
    "accept it as whichever of your accounts you like",
    "ONLY_ACCOUNT": "this is the only account with the address",
    "SEVERAL_ACCOUNTS": "several of your accounts have the address; accept it as whichever you "
    "like",
    "NO_ACCOUNT": "no account had the address",
}
_BECAME: Final = {
    InviteState.OPEN: "",
    InviteState.ACCEPTING: "You have accepted; it is being done.",
    InviteState.DECLINING: "You have declined; it is being done.",
    InviteState.ACCEPTED: "You have accepted.",
    InviteState.DECLINED: "You have declined.",
    InviteState.WITHDRAWN: "It was withdrawn, or has ended.",
    InviteState.REFUSED: "It was withdrawn, or has ended.",
}


def why_in_words(why: Sequence[InviteWhy]) -> str:
    """Why it goes to this account, with the rules themselves."""
    rules = "; ".join(f"{one.rule} {one.clause} {one.value}".rstrip() for one in why)
    said = _RULES.get(why[0].rule, "") if why else ""
    said = said.format(value=why[0].value) if why else ""
    return f"{said} ({rules})" if said else rules


def invitation_text(row: InviteRow, why: Sequence[InviteWhy]) -> str:
    """What the message says that brings it, or a revision of it."""
    lines = [
        f"{row.other or 'An operator'} invites you to {row.group_id} of {row.organisation}.",
        f"It went to {_shown(row.uri)}. Why it is here: {why_in_words(why)}.",
    ]
    if row.words:
        lines.append(f"It could not be accepted: {row.words}")
    became = _BECAME.get(InviteState(row.state), "")
    lines.append(became or f"Accept or decline it: the invitation is {row.id}.")
    return "\n".join(lines)


def invitation_card(row: InviteRow, why: Sequence[InviteWhy]) -> str:
    """The same as a card, with two buttons while it is open."""
    text = invitation_text(row, why).splitlines()
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": _plain(line), "wrap": True} for line in text
    ]
    body[0]["weight"] = "Bolder"
    card: dict[str, Any] = {"type": "AdaptiveCard", "version": "1.5", "body": body}
    if row.state == InviteState.OPEN:
        card["actions"] = [
            {"type": "Action.Execute", "id": id_, "title": title, "once": "repeat"}
            for id_, title in ((ACCEPT, "Accept"), (DECLINE, "Decline"))
        ]
    return json.dumps(card)


def joined_text(account: str, row: InviteRow) -> str:
    """To all who are in the group."""
    return f"{account} joined {row.group_id} of {row.organisation}."


def letter_subject(row: InviteRow) -> str:
    return f"An invitation to {row.group_id} of {row.organisation}"


def letter_text(inviter: str, row: InviteRow, client: str) -> str:
    """To somebody without an account. client: the address of the web client; empty: not known."""
    where = f"at {client}/client/ " if client else ""
    return (
        f"{inviter} invites you to {row.group_id} of {row.organisation}.\n\n"
        f"You have no account with {_shown(row.uri)} yet. Make one {where}and prove that address; "
        f"the invitation is there then. It is {row.id}, and is yours alone to accept: who has this "
        "letter and not the address can do nothing with it.\n"
    )


def short_letter(inviter: str, row: InviteRow, client: str) -> str:
    """The same as a text message."""
    where = f" at {client}/client/" if client else ""
    return (
        f"{inviter} invites you to {row.group_id} of {row.organisation}. Make an account{where} "
        "with this number to accept."
    )


def whys_of(rules: Iterable[tuple[str, str, str]]) -> str:
    """As it is kept."""
    return json.dumps([list(one) for one in rules], ensure_ascii=False)


def whys_in(text: str) -> list[InviteWhy]:
    """What `whys_of` made."""
    return [InviteWhy(*one) for one in json.loads(text or "[]")]


def _shown(uri: str) -> str:
    return uri if uri.startswith("@") else uri.partition(":")[2]


def _plain(text: str) -> str:
    """As Markdown that says this and nothing else."""
    return "".join(f"\\{one}" if one in "\\`*_[]()#!<>" else one for one in text)
