"""Replies as mail programs write them, and what of each was written anew.

The structures are those of the fixtures of github/email_reply_parser (MIT) and of mailgun/talon
(Apache-2.0); sentences, names and addresses are ours.
"""

from __future__ import annotations

from typing import NamedTuple

LIST_FOOTER = """
_______________________________________________
brewers mailing list
brewers@lists.roastery.example
https://lists.roastery.example/listinfo/brewers
"""
QUESTION = """\
> Hello all
>
> Which is the best way to clean a grinder of all the oil that stays in
> it after a week?
> Mine is of ceramics.
"""


class ReplyRow(NamedTuple):
    name: str
    text: str
    visible: str


TEXTS = (
    ReplyRow(
        "a signature behind its delimiter, and dashes within a line",
        "this has two dashes -- and goes on.\n\n-- \nben\n",
        "this has two dashes -- and goes on.",
    ),
    ReplyRow(
        "a name behind a dash and the footer of a mailing list",
        "Hello all\n\nWhich is the best way to clean a grinder?\n\n-Anna Berg\n\n" + LIST_FOOTER,
        "Hello all\n\nWhich is the best way to clean a grinder?",
    ),
    ReplyRow(
        "an answer below, a greeting above, the end of the quotation below",
        f"Hi,\nOn Tue, 2026-03-03 at 18:02 +0530, Anna Berg wrote:\n{QUESTION}\n"
        "Take it apart, and brush each piece. If you have rice, do\nnot use it.\n\n"
        "Something like:\n\n        for piece in grinder:\n            brush(piece)\n\n\n"
        'would do.\n\nSee also\n\nhttps://roastery.example/grinders#oil\n\nwhich says\n\n'
        '"Each week. There is no other way."\n\n>\n> -Anna Berg\n>\n'
        "> _______________________________________________\n> brewers mailing list\n\n\n"
        + LIST_FOOTER,
        "Hi,\n\nTake it apart, and brush each piece. If you have rice, do\nnot use it.\n\n"
        "Something like:\n\n        for piece in grinder:\n            brush(piece)\n\n\n"
        'would do.\n\nSee also\n\nhttps://roastery.example/grinders#oil\n\nwhich says\n\n'
        '"Each week. There is no other way."',
    ),
    ReplyRow(
        "an answer above, with a name, quotations of two levels and a footer",
        "Oh thanks.\n\nA brush would be great.\n\n-Anna Berg\n\n"
        "On 03/03/26 7:07 PM, Ben Holm wrote:\n> Hi,\n"
        "> On Tue, 2026-03-03 at 18:02 +0530, Anna Berg wrote:\n>> Hello all\n>>\n>> Which way?\n"
        f"> Take it apart.\n>\n\n{LIST_FOOTER}",
        "Oh thanks.\n\nA brush would be great.",
    ),
    ReplyRow(
        "blank lines between the introduction and what it quotes",
        "Lovely! It has not stuck since.\n\n"
        "On Aug 22, 2026, at 7:37 PM, carla<reply@reply.talk.example> wrote:\n\n\n\n\n"
        "> The grinder seems to work.\n",
        "Lovely! It has not stuck since.",
    ),
    ReplyRow(
        "lists and paragraphs, and nothing quoted",
        "One: this is it.\n\n- A first point, which goes on to a second line\nto the end\n"
        "- A second one that does not\n\nTwo:\n- A third\n- And another\n\nA paragraph about this\n"
        "and that.\n",
        "One: this is it.\n\n- A first point, which goes on to a second line\nto the end\n"
        "- A second one that does not\n\nTwo:\n- A third\n- And another\n\nA paragraph about this\n"
        "and that.",
    ),
    ReplyRow(
        "an introduction of three lines, below words of a telephone",
        "It looks right here too.\n\nSent from a wonderful box of lights\n\n"
        "On Dec 16, 2026, at 12:47 PM, Carla Dahl\n<reply@reply.talk.example>\nwrote:\n\n"
        "> Was it the cache? It looks right here.\n>\n> ---\n> Answer this mail or look at it:\n"
        "> https://talk.example/launch/2278\n",
        "It looks right here too.",
    ),
    ReplyRow(
        "line ends of Windows, and no space before `wrote`",
        ":+1:\r\n\r\nOn Tue, Sep 25, 2026 at 8:59 AM, Carla Dahl\r\n"
        "<notifications@talk.example>wrote:\r\n\r\n> Steps 0 to 2 are done.\r\n>\r\n> \r\n",
        ":+1:",
    ),
    ReplyRow(
        "answers between quotations, an introduction first, a signature last",
        "On Wed, Apr 29, 2026 at 4:22 PM, Example Cook <cook@mail.example>wrote:\n\n"
        "> fine. Here is something to read.\n>\n> And would you answer below this?\n>\n\n"
        "I answer below this one\n\n>\n> fine?\n>\n\nand below this.\n\n>\n> -- Cook\n>\n"
        "> On Wed, April 29, 2026 at 4:21 PM, Ben Holm <ben@mail.example> wrote:\n> > hi there\n"
        "> >\n> > --\n> > Hello, I am a signature\n>\n>\n\n\n--\nHello, I am a signature\n",
        "I answer below this one\n\nand below this.",
    ),
    ReplyRow(
        "Outlook, with a rule and names of fields in bold",
        "Outlook, answered\n\n\n ------------------------------\n\n"
        "*From:* Roastery Team [mailto:mail-noreply@roastery.example]\n"
        "*Sent:* Monday, February 09, 2026 1:36 PM\n*To:* ben@mail.example\n"
        "*Subject:* Your beans have left\n\n\n\nDear customer,\n\nyour beans have left. See\n\n"
        "https://roastery.example/beans\n\nSincerely,\n\nThe Roastery\n",
        "Outlook, answered",
    ),
    ReplyRow(
        "Outlook, with a rule right below the answer",
        "Outlook, answered right above the rule\n________________________________________\n"
        "From: Roastery [news@roastery.example]\nSent: Friday, 23 March 2026 5:08 p.m.\n"
        "To: Ben S. Holm\nSubject: [order:106] Beans\n\nA note was added to the order:\n\nyours.\n",
        "Outlook, answered right above the rule",
    ),
    ReplyRow(
        "Outlook, without a rule, and marks below the fields",
        "Outlook, answered above no rule\n\nFrom: Roastery [news@roastery.example]\n"
        "Sent: Friday, 23 March 2026 5:08 p.m.\nTo: Ben S. Holm\nSubject: [order:106] Beans\n\n"
        "> A note was added to the order:\n>\n> yours.\n",
        "Outlook, answered above no rule",
    ),
    ReplyRow(
        "words of one telephone", "Here is one more\n\nSent from my Slate 7\n", "Here is one more"
    ),
    ReplyRow(
        "words of another telephone",
        "Here is one more\n\nSent from my iPhone\n",
        "Here is one more",
    ),
    ReplyRow(
        "words of a telephone, many of them",
        "Here is one more\n\nSent from my Northwind Wireless Slate\n",
        "Here is one more",
    ),
    ReplyRow(
        "a sentence that begins like words of a telephone",
        "Here is one more\n\nSent from my kitchen, which is warmer than my telephone.\n",
        "Here is one more\n\nSent from my kitchen, which is warmer than my telephone.",
    ),
    ReplyRow(
        "points with blank lines, and a signature below the quotation",
        "try 2 this comes second\n\nand has blanks\n\nand keeps its form\n\n\n   - points as well\n"
        "   - and another\n\n\nOn Tue, Feb 24, 2026 at 10:19 AM, <news@roastery.example> wrote:\n\n"
        "> Tell us how you brewed what you\n> learned\n\n\n\n\n-- \n\n*Ben Holm | Head of Beans*\n",
        "try 2 this comes second\n\nand has blanks\n\nand keeps its form\n\n\n   - points as well\n"
        "   - and another",
    ),
    ReplyRow(
        "a line of marks without end",
        "Hello all\n\nWhich is the best way to clean a\ngrinder?\n" + ">" * 30_000
        + "\nMine is of ceramics.\n\n-Anna Berg\n\n" + LIST_FOOTER,
        "Hello all\n\nWhich is the best way to clean a\ngrinder?\n\nMine is of ceramics.",
    ),
    ReplyRow(
        "One is not On",
        "Thank you, that helps.\n\nOne question is left:\n\nAt home, when I grind...\n\n"
        "On Oct 1, 2026, at 11:55 PM, Dev Rao wrote:\n\n> I have found a much better mill.\n>\n",
        "Thank you, that helps.\n\nOne question is left:\n\nAt home, when I grind...",
    ),
    ReplyRow(
        "a sentence that begins with On and ends with a colon",
        "On your other machine you can run:\n\n     telnet 192.0.2.1 52698\n\n"
        "This should reach the mill (on your table). If it\ndoes not, it is off.\n\n"
        "On 9 Jan 2026, at 2:47, Dev Rao wrote:\n\n> It has stopped, and I cannot say why.\n"
        "> […]\n> ---\n> Answer this mail or look at it:\n> https://talk.example/mill/29\n",
        "On your other machine you can run:\n\n     telnet 192.0.2.1 52698\n\n"
        "This should reach the mill (on your table). If it\ndoes not, it is off.",
    ),
    ReplyRow(
        "dashes within a line are no signature",
        "Hello!\n\nThings went on.\n\nAnd here is a way -- this is no signature.\n\nbye now\n",
        "Hello!\n\nThings went on.\n\nAnd here is a way -- this is no signature.\n\nbye now",
    ),
    ReplyRow(
        "very long quoted lines, and no blank line above the introduction",
        "You are right. I will mend it as soon as I\nam back at a table.\n"
        'On Dec 8, 2026 2:10 PM, "Dev Rao" <notifications@talk.example> wrote:\n\n'
        "> I think it cuts the beans short.\n>\n> " + "bean" * 2_000 + "\n>  " + "mill" * 2_000
        + "\n>\n",
        "You are right. I will mend it as soon as I\nam back at a table.",
    ),
)  # fmt: skip

_ALTERNATIVE = 'Content-Type: multipart/alternative; boundary="=limit="\n'


def _both(plain: str, html: str, charset: str = "us-ascii") -> str:
    return (
        f"{_ALTERNATIVE}\n--=limit=\nContent-Type: text/plain; charset={charset}\n\n{plain}\n"
        f"--=limit=\nContent-Type: text/html; charset={charset}\n\n{html}\n--=limit=--\n"
    )


# As programs write them; each says "Hello" and quotes "Hi".
MAILS = {
    "Android, in Russian, the introduction broken within an address": _both(
        'Hello\n02.04.2026 14:20 пользователь "ben@mail.example" <\nben@mail.example> написал:\n\n'
        "> Hi\n>\n",
        '<p>Hello</p>\n<div class="gmail_quote">02.04.2026 14:20 пользователь "ben" написал:'
        '<br><blockquote class="gmail_quote">Hi</blockquote></div>',
        "utf-8",
    ),
    "AOL": _both(
        "Hello\n\n\n\n-----Original Message-----\nFrom: ben <ben@mail.example>\n"
        "To: anna <anna@mail.example>; carla <carla@mail.example>\n"
        "Sent: Thu, Apr 2, 2026 5:49 pm\nSubject: Test\n\n\nHi\n",
        "<font size='2'>Hello<br>\n<br>\n<div>-----Original Message-----<br>\n"
        "From: ben &lt;ben@mail.example&gt;<br>\nTo: anna<br>\nSent: Thu, Apr 2, 2026 5:49 pm<br>\n"
        "Subject: Test<br>\n<br>\n<div><pre><tt>Hi\n</tt></pre></div></div></font>",
    ),
    "Apple Mail": "Content-Type: text/plain; charset=iso-8859-1\n\n"
    "Hello\n\nOn Apr 3, 2026, at 4:19 PM, ben wrote:\n\n> Hi\n",
    "Apple Mail, the introduction quoted as well": "Content-Type: text/plain;\n\tcharset=us-ascii\n"
    "In-Reply-To: <1@mail.example>\n\nHello\n"
    "> On 22 Aug 2026, at 19:21, Anna Berg <anna@mail.example> wrote:\n>\n> Hi\n\n",
    "Zimbra": _both(
        "Hello \n\n----- Original Message -----\nFrom: ben@mail.example \n"
        "To: anna@mail.example, carla@mail.example \nSent: Thursday, April 2, 2026 5:44:22 PM \n"
        "Subject: Test \n\nHi \n",
        "<html><body><div>Hello<br><br><hr id='zwchr'><b>From: </b>ben@mail.example<br>"
        "<b>To: </b>anna@mail.example<br><b>Sent: </b>Thursday, April 2, 2026<br>"
        "<b>Subject: </b>Test<br><br>Hi</div></body></html>",
    ),
    "Gmail": _both(
        "Hello\n\nOn Thu, Apr 2, 2026 at 6:26 PM, Anna One <anna@mail.example> wrote:\n\n> Hi\n",
        'Hello<br><br><div class="gmail_quote">On Thu, Apr 2, 2026 at 6:26 PM, Anna One '
        '<span dir="ltr">&lt;<a href="mailto:anna@mail.example">anna@mail.example</a>&gt;</span> '
        'wrote:<br><blockquote class="gmail_quote">\nHi\n\n</blockquote></div><br>',
    ),
    "Hotmail, fields behind marks": _both(
        "\nHello\n\n> Subject: Test\n> From: ben@mail.example\n> To: anna@mail.example\n"
        "> Date: Thu, 2 Apr 2026 17:44:22 +0400\n> \n> Hi\n \t\t \t   \t\t",
        "<div dir='ltr'>\nHello<br><br><div>&gt; Subject: Test<br>&gt; From: ben@mail.example"
        "<br>&gt; <br>&gt; Hi<br></div></div>",
    ),
    "iPhone, quoted-printable": "Content-Type: text/plain;\n\tcharset=us-ascii\n"
    "Content-Transfer-Encoding: quoted-printable\n\nHello\n\nSent from my iPhone\n\n"
    "On Apr 3, 2026, at 4:19 PM, ben <ben@mail.example> wr=\note:\n\n> Hi\n",
    "Outlook": _both(
        "Hello\n\nFrom: ben@mail.example [mailto:ben@mail.example]\nSent: April-02-26 4:22 PM\n"
        "To: Anna Berg\nSubject: There is a note on your beans\n\nHi anna<mailto:a@mail.example>,\n"
        "\nthe note:\n\"Hi\"\n",
        '<div class=WordSection1><p class=MsoNormal>Hello<o:p></o:p></p><p class=MsoNormal>'
        "<o:p>&nbsp;</o:p></p><div><div style='border:none;border-top:solid #B5C4DF 1.0pt'>"
        "<p class=MsoNormal><b>From:</b> ben@mail.example<br><b>Sent:</b> April-02-26 4:22 PM<br>"
        "<b>To:</b> Anna Berg<br><b>Subject:</b> There is a note<o:p></o:p></p></div></div>"
        "<p>Hi</p></div>",
    ),
    "Sparrow, a signature above the quotation": _both(
        "Hello \n\n-- \nanna\nSent with Sparrow (https://sparrow.example/?sig)\n\n\n"
        "On Friday, April 3, 2026 at 4:55 PM, ben wrote:\n\n> Hello\n> \n"
        "> On Apr 3, 2026, at 4:19 PM, anna wrote:\n> \n> > Hi \n\n",
        "<div><span>Hello</span></div><div><div><br></div><div>--&nbsp;</div><div>anna</div></div>"
        "<p>On Friday, April 3, 2026 at 4:55 PM, ben wrote:</p>"
        '<blockquote type="cite"><div>Hi</div></blockquote>',
    ),
    "Thunderbird, below and flowed": 'Content-Type: text/plain; charset="us-ascii"; '
    'format="flowed"\n\nOn 04/02/2026 06:26 PM, Anna One wrote:\n> Hi \nHello\n',
    "Yahoo": 'Content-Type: text/plain; charset="us-ascii"\n\nHello\n\n\n'
    '----- Original Message -----\nFrom: "ben@mail.example" <ben@mail.example>\n'
    "To: anna@mail.example; carla@mail.example\nCc: \nSent: Thursday, April 2, 2026 5:44 PM\n"
    "Subject: Test\n\nHi\n",
}  # fmt: skip
