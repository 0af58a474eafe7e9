"""To whom a reply goes, by foreign cases written anew.

Facts (message, own identities, who always gets copies, expected) of the 21 tests of
mozilla/releases-comm-central `browser_replyAddresses` (041dd7ff, MPL-2.0). What they say of
newsgroups is left out: nobody here is written to by those. Each row: what the message says, the
mode, copies and blind copies of the identity that answers, and To, Cc, Bcc, Reply-To of the answer.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from deployment_units.services.identities.identity import (
    NO_HISTORY,
    Mailbox,
    Original,
    OwnIdentity,
    ReplyMode,
)
from deployment_units.services.identities.replying import plan_reply

ONE, ALL, LIST = ReplyMode.REPLY, ReplyMode.REPLY_ALL, ReplyMode.REPLY_LIST
ANNA, PRIVATE = "anna@x.example", "private@x.example"
COPIES = f"{ANNA}, dev@x.example"  # of her own, too
_BOX = re.compile(r"(?:(.+) )?<?([^<>\s]+@[^<>\s]+)>?\Z")


def boxes(text: str) -> tuple[Mailbox, ...]:
    found = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        matched = _BOX.match(one)
        assert matched, one
        found.append(Mailbox(uri=f"mailto:{matched[2]}", name=matched[1] or ""))
    return tuple(found)


class Row(NamedTuple):
    says: dict[str, str]
    mode: ReplyMode
    to: str
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    copies: str = ""
    blind: str = ""


def says(sender: str = "Ben <ben@x.example>", **headers: str) -> dict[str, str]:
    return {"sender": sender, **headers}


POST = "mailto:list@x.example"
MUNGED = says(
    to="list@x.example, carla@x.example", reply_to="The List <list@x.example>", list_post=POST
)
PLAIN = says(to=f"Carla <carla@x.example>, team@x.example, {ANNA}", cc="Eve <eve@x.example>")
TEAM = "Ben <ben@x.example>, Carla <carla@x.example>, team@x.example"
ABROAD = says(
    "吉藤英明 <hideaki@x.example>",
    to=f"Carla <carla@x.example>, Åke <ake@x.example>, Иван <ivan@x.example>, {ANNA}",
    cc="王秀英 <xiuying@x.example>",
)
ABROAD_TO = (
    "吉藤英明 <hideaki@x.example>, Carla <carla@x.example>, Åke <ake@x.example>,"
    "Иван <ivan@x.example>"
)
ELSEWHERE = says(to="team@x.example", cc=f"Eve <eve@x.example>, {ANNA}", reply_to="desk@x.example")
POSTED = says(to="list@x.example", cc=f"Eve <eve@x.example>, {ANNA}", list_post=POST)
POSTED_ELSEWHERE = says(
    to=f"list@x.example, {ANNA}", cc="Eve <eve@x.example>", reply_to="desk@x.example",
    list_post=POST,
)  # fmt: skip
ASKED = says(
    to="list@x.example", cc="Eve <eve@x.example>", reply_to="list@x.example",
    mail_reply_to="Ben B. <ben@x.example>",
)  # fmt: skip
FOLLOWED = says(
    to=f"list@x.example, {ANNA}", cc="Eve <eve@x.example>", mail_followup_to="list@x.example"
)
TWO = "Carla <carla@x.example>, Dora <dora@x.example>"
EVE, MOE, DESK = "Eve <eve@x.example>", "Moe <moe@x.example>", "Desk <desk@x.example>"
OWN = says(ANNA.upper(), to=TWO, cc=EVE, bcc=MOE, reply_to=DESK)
OWN_COPY = says(PRIVATE, to=TWO, cc=EVE, reply_to=DESK)
BETWEEN = says(ANNA, to=f"{PRIVATE}, barney@x.example", cc=EVE, reply_to="office@x.example")
BLIND = f"{MOE}, Barney <barney@x.example>"
TO_SELF = says(ANNA, to=ANNA, cc=f"{PRIVATE}, {EVE}", bcc=BLIND, reply_to=PRIVATE)
TO_OTHER_SELF = says(ANNA, to=PRIVATE, cc=EVE, bcc=BLIND)
NEWS = says(to="news@x.example")
NEWS_AND_ANNA = says(to=f"news@x.example, {ANNA}")
SELF_ELSEWHERE = says(ANNA, to=ANNA, reply_to=DESK)

ROWS = {
    "list-that-took-reply-to, reply": Row(MUNGED, ONE, "Ben <ben@x.example>"),
    "list-that-took-reply-to, all": Row(
        MUNGED, ALL, "The List <list@x.example>, carla@x.example, Ben <ben@x.example>"
    ),
    "list-that-took-reply-to, list": Row(MUNGED, LIST, "list@x.example"),
    "plain, reply": Row(PLAIN, ONE, "Ben <ben@x.example>"),
    "plain, reply, copies": Row(PLAIN, ONE, "Ben <ben@x.example>", COPIES, copies=COPIES),
    "plain, all": Row(PLAIN, ALL, TEAM, EVE),
    "plain, all, copies": Row(PLAIN, ALL, TEAM, f"{EVE}, {COPIES}", copies=COPIES),
    "abroad, all": Row(ABROAD, ALL, ABROAD_TO, "王秀英 <xiuying@x.example>"),
    "abroad, all, copies": Row(
        ABROAD, ALL, ABROAD_TO, "王秀英 <xiuying@x.example>, Åsa <asa@x.example>",
        copies="Åsa <asa@x.example>",
    ),
    "reply-to, reply": Row(ELSEWHERE, ONE, "desk@x.example"),
    "reply-to, reply, copies": Row(ELSEWHERE, ONE, "desk@x.example", COPIES, copies=COPIES),
    "reply-to, all": Row(ELSEWHERE, ALL, "desk@x.example, team@x.example", EVE),
    "reply-to, all, copies": Row(
        ELSEWHERE, ALL, "desk@x.example, team@x.example", f"{EVE}, {COPIES}", copies=COPIES
    ),
    "list, list": Row(POSTED, LIST, "list@x.example"),
    "list, list, copies": Row(POSTED, LIST, "list@x.example", COPIES, copies=COPIES),
    "list, reply": Row(POSTED, ONE, "Ben <ben@x.example>"),
    "list, reply, copies": Row(POSTED, ONE, "Ben <ben@x.example>", COPIES, copies=COPIES),
    "list, all": Row(POSTED, ALL, "Ben <ben@x.example>, list@x.example", EVE),
    "list, all, copies": Row(
        POSTED, ALL, "Ben <ben@x.example>, list@x.example", f"{EVE}, {COPIES}", copies=COPIES
    ),
    "list and reply-to, all": Row(POSTED_ELSEWHERE, ALL, "desk@x.example, list@x.example", EVE),
    "list and reply-to, all, copies": Row(
        POSTED_ELSEWHERE, ALL, "desk@x.example, list@x.example", f"{EVE}, {COPIES}", copies=COPIES
    ),
    "mail-reply-to, reply": Row(ASKED, ONE, "Ben B. <ben@x.example>"),
    "mail-reply-to, reply, copies": Row(
        ASKED, ONE, "Ben B. <ben@x.example>", COPIES, copies=COPIES
    ),
    "mail-followup-to, all": Row(FOLLOWED, ALL, "list@x.example"),
    "mail-followup-to, all, copies": Row(FOLLOWED, ALL, "list@x.example", COPIES, copies=COPIES),
    "own, reply": Row(OWN, ONE, TWO, reply_to=DESK),
    "own, reply, copies": Row(OWN, ONE, TWO, COPIES, reply_to=DESK, copies=COPIES),
    "own, all": Row(OWN, ALL, TWO, EVE, MOE, DESK),
    "own, all, copies that were in it": Row(
        OWN, ALL, TWO, EVE, MOE, DESK, copies=COPIES, blind=EVE
    ),
    "own that came back, all, blind copies": Row(
        OWN_COPY, ALL, TWO, EVE, COPIES, DESK, blind=COPIES
    ),
    "own that came back, all, copies and blind copies": Row(
        OWN_COPY, ALL, TWO, f"{EVE}, {COPIES}", "moe@x.example", DESK, copies=COPIES,
        blind="moe@x.example, carla@x.example, eve@x.example",
    ),
    "own that came back, all, blind copy to itself": Row(
        OWN_COPY, ALL, TWO, EVE, f"{PRIVATE}, dev@x.example", DESK,
        blind=f"{PRIVATE}, dev@x.example",
    ),
    "to the other identity, all": Row(BETWEEN, ALL, "office@x.example, barney@x.example", EVE),
    "own to oneself with blind copies, all": Row(
        TO_SELF, ALL, ANNA, f"{PRIVATE}, {EVE}", BLIND, PRIVATE
    ),
    "own to the other identity with blind copies, all": Row(
        TO_OTHER_SELF, ALL, PRIVATE, EVE, BLIND
    ),
    "beside newsgroups, all": Row(NEWS, ALL, "Ben <ben@x.example>, news@x.example"),
    "beside newsgroups, all, copies": Row(
        NEWS, ALL, "Ben <ben@x.example>, news@x.example", COPIES, copies=COPIES
    ),
    "beside newsgroups and to her, all": Row(
        NEWS_AND_ANNA, ALL, "Ben <ben@x.example>, news@x.example"
    ),
    "beside newsgroups and to her, all, copies": Row(
        NEWS_AND_ANNA, ALL, "Ben <ben@x.example>, news@x.example", COPIES, copies=COPIES
    ),
    "from and to herself with reply-to, reply": Row(SELF_ELSEWHERE, ONE, DESK),
}  # fmt: skip


def original_of(said: dict[str, str]) -> Original:
    (sender,) = boxes(said["sender"])
    headers = {k: boxes(v) for k, v in said.items() if k not in ("sender", "list_post")}
    return Original(sender=sender, list_post=said.get("list_post", ""), **headers)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_it_goes_to(row: Row) -> None:
    copies, blind = boxes(row.copies), boxes(row.blind)
    own = [
        OwnIdentity(uri=f"mailto:{one}", copies=copies, blind_copies=blind)
        for one in (ANNA, PRIVATE)
    ]
    found = plan_reply(row.mode, original_of(row.says), own, NO_HISTORY, now_ms=0)
    expected = [set(boxes(text)) for text in (row.to, row.cc, row.bcc, row.reply_to)]
    assert [set(one) for one in (found.to, found.cc, found.bcc, found.reply_to)] == expected
    assert len(found.to) == len(set(found.to))
    assert len(found.cc) == len(set(found.cc))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(OWN, ANNA, id="the-one-that-wrote-an-own-message"),
        pytest.param(OWN_COPY, PRIVATE, id="the-other-one-that-wrote-an-own-message"),
        pytest.param(BETWEEN, PRIVATE, id="the-one-it-came-to-from-another-identity"),
        pytest.param(PLAIN, ANNA, id="the-one-in-to"),
    ],
)
def test_it_is_from(said: dict[str, str], expected: str) -> None:
    own = [OwnIdentity(uri=f"mailto:{one}") for one in (ANNA, PRIVATE)]
    for mode in (ONE, ALL, ReplyMode.FORWARD):
        found = plan_reply(mode, original_of(said), own, NO_HISTORY, now_ms=0)
        assert found.contactor.uri == f"mailto:{expected}"


def test_no_own_identity_is_left_in_a_reply_to_all() -> None:
    own = [OwnIdentity(uri=f"mailto:{one}") for one in (ANNA, PRIVATE)]
    said = says(to=f"{ANNA}, {PRIVATE.upper()}", cc=f"{PRIVATE}, carla@x.example")
    found = plan_reply(ALL, original_of(said), own, NO_HISTORY, now_ms=0)
    assert {one.uri for one in (*found.to, *found.cc)} == {
        "mailto:ben@x.example",
        "mailto:carla@x.example",
    }


def test_what_is_sent_on_goes_to_nobody_yet() -> None:
    found = plan_reply(
        ReplyMode.FORWARD, original_of(PLAIN),
        [OwnIdentity(uri=f"mailto:{ANNA}", copies=boxes(COPIES))], NO_HISTORY, now_ms=0,
    )  # fmt: skip
    assert (found.to, found.cc, found.bcc) == ((), (), ())
