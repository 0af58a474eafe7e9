"""The 49 messages of RFC 4475, each with the property that it tests, and what becomes of it here.

Written anew from the RFC, by its sections; the judge is our own reader, which stands before any
engine: what it does not take, none sees.
"""

from __future__ import annotations

import pytest

from deployment_units.services.telephony.sip.messages import (
    Fault,
    Request,
    Response,
    read_message,
)
from tests.support.sip_texts import OFFER, request

TO = "sip:ben@mail.example"
_HEAD = (
    "Max-Forwards: 70\r\nFrom: <sip:anna@talk.example>;tag=f1\r\nTo: <sip:ben@mail.example>\r\n"
    "Call-ID: x1\r\nCSeq: 8 {method}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    "Contact: <sip:anna@192.0.2.1>\r\n"
)


def raw(start: str, *, head: str = _HEAD, method: str = "OPTIONS", body: str = "") -> bytes:
    """A message whose start line is given, or whose fields are."""
    fields = head.format(method=method)
    return f"{start}\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")


TORTUOUS = (
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : {n}\r\n"
    "cseq: 0009\r\n  INVITE\r\n"
    "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
    "NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n"
    "Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
    "  secondparam ; q = 0.33\r\n\r\n"
).replace("{n}", str(len(OFFER))) + OFFER  # fmt: skip

LONG_TAG = "a" * 250
LONG = request(
    TO and "INVITE", TO, body=OFFER,
    From=f'"{"I have a user name of extreme proportion " * 4}" <sip:anna@talk.example>;tag=12{"9" * 150};unknown{"n" * 100}={"v" * 200}',  # noqa: E501
    To=f"<sip:ben@mail.example>;{'p' * 150}", Call_ID=f"longreq.on{'e' * 250}call@192.0.2.1",
    more=(f"Unknown-{'Long' * 50}: {'unknown-value' * 20}",
          *(f"v: SIP/2.0/TCP sip{i}.example.com;branch=z9hG4bK{LONG_TAG}" for i in range(33))),
)  # fmt: skip

ROWS: list[tuple[str, str, bytes, object]] = [
    # 3.1.1 Valid messages
    ("3.1.1.1", "wsinv", TORTUOUS.encode(), Request),
    ("3.1.1.2", "intmeth", request(
        "!interesting-Method0123456789_*+`.%indeed'~", "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",  # noqa: E501
        Via="SIP/2.0/UDP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
        To='"BEL:\\a NUL:\\b DEL:"<sip:x@example.com>',
        From="token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=x;tag=_token~1'+`*%!-.",  # noqa: E501
        Call_ID="intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
        more=("extensionHeader-!.%*+_`'~: \xef\xbb\xbf\xe5\xa4\xa7",)), Request),
    ("3.1.1.3", "esc01", request(
        "INVITE", "sip:sips%3Auser%40example.com@example.net", body=OFFER,
        To="sip:%75se%72@example.com",
        From="<sip:I%20have%20spaces@example.net>;tag=938"), Request),
    ("3.1.1.4", "escnull", request(
        "REGISTER", "sip:example.com", To="sip:null-%00-null@example.com",
        From="sip:null-%00-null@example.com;tag=839923423", Contact="<sip:%00@host5.example.com>",
        more=("Contact: <sip:%00%00@host5.example.com>",)), Request),
    ("3.1.1.5", "esc02", request(
        "RE%47IST%45R", "sip:registrar.example.com", To='"%Z%45" <sip:resource@example.com>',
        From='"%Z%45" <sip:resource@example.com>;tag=f232jadfj23'), Request),
    ("3.1.1.6", "lwsdisp", request(
        "OPTIONS", "sip:user@example.com", From="caller<sip:caller@example.com>;tag=323"), Request),
    ("3.1.1.7", "longreq", LONG, Request),
    ("3.1.1.8", "dblreq", request("REGISTER", "sip:example.com") + request(body=OFFER), Request),
    ("3.1.1.9", "semiuri", request("OPTIONS", "sip:user;par=u%40example.net@example.com"), Request),
    ("3.1.1.10", "transports", request(
        "OPTIONS", "sip:user@example.com", more=tuple(
            f"Via: SIP/2.0/{one} t{n}.example.com;branch=z9hG4bK{n}" for n, one in
            enumerate(("SCTP", "TLS", "UNKNOWN", "TCP")))), Request),
    ("3.1.1.11", "mpart01", request(
        "MESSAGE", "sip:kumiko@example.org", kind="multipart/mixed;boundary=7a9", body=(
            "--7a9\r\n\r\nHello\r\n--7a9\r\nContent-Type: application/octet-stream\r\n\r\n0\r\n"
            "--7a9--\r\n")), 415),
    ("3.1.1.12", "unreason", raw(
        "SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe", method="INVITE"), Response),
    ("3.1.1.13", "noreason", raw("SIP/2.0 100 ", method="INVITE"), Response),
    # 3.1.2 Invalid messages
    ("3.1.2.1", "badinv01", request(
        body=OFFER, Via="SIP/2.0/UDP 192.0.2.15;;,;,,", From='"J" <sip:jdrosen@example.com>;;;;,',
    ), 400),
    ("3.1.2.2", "clerr", request(body=OFFER, Content_Length="9999"), 400),
    ("3.1.2.3", "ncl", request(body=OFFER, Content_Length="-999"), 400),
    ("3.1.2.4", "scalar02", request(
        "REGISTER", "sip:example.com", CSeq="36893488147419103232 REGISTER", Max_Forwards="300",
        Expires="1" + "0" * 40, Contact="<sip:user@host129.example.com>;expires=280297596632815",
    ), 400),
    ("3.1.2.5", "scalarlg", raw(
        "SIP/2.0 503 Service Unavailable",
        head=_HEAD.replace("8 {method}", "9292394834772304023312 OPTIONS")
        + "Retry-After: 949302838503028349304023988\r\n"), None),
    ("3.1.2.6", "quotbal", request(
        body=OFFER, To='"Mr. J. User <sip:j.user@example.com>'), 400),
    ("3.1.2.7", "ltgtruri", request("INVITE", "<sip:user@example.com>", body=OFFER), 400),
    ("3.1.2.8", "lwsruri", request(
        "INVITE", "sip:user@example.com; lr", body=OFFER, To="sip:user@example.com"), 400),
    ("3.1.2.9", "lwsstart", raw(
        "INVITE  sip:user@example.com  SIP/2.0", method="INVITE"), 400),
    ("3.1.2.10", "trws", raw("OPTIONS sip:remote-target@example.com SIP/2.0  "), 400),
    ("3.1.2.11", "escruri", request(
        "INVITE", "sip:user@example.com?Route=%3Csip:example.com%3E", body=OFFER), 400),
    ("3.1.2.12", "baddate", request(
        body=OFFER, more=("Date: Fri, 01 Jan 2010 16:00:00 EST",)), Request),  # Date is not read
    ("3.1.2.13", "regbadct", request(
        "REGISTER", "sip:example.com",
        Contact="sip:user@example.com?Route=%3Csip:sip.example.com%3E"), 400),
    ("3.1.2.14", "badaspec", request(
        "OPTIONS", "sip:user@example.org",
        To='"Watson, Thomas" < sip:t.watson@example.org >'), 400),
    ("3.1.2.15", "baddn", request(
        "OPTIONS", "sip:t.watson@example.org",
        From="Bell, Alexander <sip:a.g.bell@example.com>;tag=43"), 400),
    ("3.1.2.16", "badvers", raw("OPTIONS sip:t.watson@example.org SIP/7.0"), 505),
    ("3.1.2.17", "mismatch01", request("OPTIONS", "sip:user@example.com", CSeq="8 INVITE"), 400),
    ("3.1.2.18", "mismatch02", request("NEWMETHOD", "sip:user@example.com", CSeq="8 INVITE"), 400),
    ("3.1.2.19", "bigcode", raw(
        "SIP/2.0 4294967301 better not break the receiver", method="INVITE"), None),
    # 3.2 Transaction layer
    ("3.2.1", "badbranch", request(
        "OPTIONS", "sip:user@example.com", Via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"), 400),
    # 3.3 Application layer
    ("3.3.1", "insuf", request(without=("Call-ID", "From", "To")), None),  # to whom?
    ("3.3.2", "unkscm", request("OPTIONS", "nobodyKnowsThisScheme:totallyopaquecontent"), 416),
    ("3.3.3", "novelsc", request("OPTIONS", "soap.beep://192.0.2.103:3002"), 416),
    ("3.3.4", "unksm2", request(
        "REGISTER", "sip:example.com", To="<isbn:2983792873>",
        From="<http://www.example.com>;tag=3234233"), Request),
    ("3.3.5", "bext01", request(
        "OPTIONS", "sip:user@example.com",
        more=("Require: nothingSupportsThis, nothingSupportsThisEither",
              "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis")), 420),
    ("3.3.6", "invut", request(kind="application/unknownformat", body="<audio/>"), 415),
    ("3.3.7", "regaut01", request(
        "REGISTER", "sip:example.com", more=("Authorization: NoOneKnowsThisScheme opaque=x",)),
        Request),
    ("3.3.8", "multi01", request(
        body=OFFER, more=("CSeq: 59 INVITE", "Call-ID: multi01.98asdh", "Max-Forwards: 5",
                          "From: <sip:other@example.com>;tag=2", "To: <sip:x@example.com>")), 400),
    ("3.3.9", "mcl01", request(
        "OPTIONS", "sip:user@example.com", more=("Content-Length: 138",)), 400),
    ("3.3.10", "bcast", raw(
        "SIP/2.0 200 OK", method="INVITE",
        head=_HEAD + "v: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\r\n"), None),
    ("3.3.11", "zeromf", request("OPTIONS", "sip:user@example.com", Max_Forwards="0"), 483),
    ("3.3.12", "cparam01", request(
        "REGISTER", "sip:example.com", Contact="sip:+19725552222@gw1.example.net;unknownparam"),
        Request),
    ("3.3.13", "cparam02", request(
        "REGISTER", "sip:example.com", Contact="<sip:+19725552222@gw1.example.net;unknownparam>"),
        Request),
    ("3.3.14", "regescrt", request(
        "REGISTER", "sip:example.com",
        Contact="<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"), Request),
    ("3.3.15", "sdp01", request(body=OFFER, more=("Accept: text/nobodyKnowsThis",)), 406),
    # 3.4 Backward compatibility
    ("3.4.1", "inv2543", request(
        body=OFFER, without=("Max-Forwards",), Via="SIP/2.0/UDP iftgw.example.com",
        From="<sip:+13035551111@ift.example.net>;user=phone",
        Call_ID="inv2543.1717@ift.example.com"), Request),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "expected"), [pytest.param(row[2], row[3], id=f"{row[0]}-{row[1]}") for row in ROWS]
)
def test_each_message_is_taken_or_refused(data: bytes, expected: object) -> None:
    read = read_message(data)
    if isinstance(expected, int):
        assert isinstance(read, Fault), read
        assert read.code == expected, read.words
        assert read.words
    elif expected is None:
        assert read is None
    else:
        assert isinstance(read, expected), read  # type: ignore[arg-type]


def test_there_are_49() -> None:
    assert len({row[1] for row in ROWS}) == len(ROWS) == 49


def message(name: str) -> Request | Response:
    read = read_message(next(row[2] for row in ROWS if row[1] == name))
    assert isinstance(read, Request | Response)
    return read


def test_the_tortuous_one_is_understood() -> None:
    read = message("wsinv")
    assert isinstance(read, Request)
    assert read.to.tag == "1918181833n"
    assert read.sender.tag == "98asjd8"
    assert (read.sequence, read.method, read.max_forwards) == (9, "INVITE", 68)
    assert len(read.vias) == 3
    assert read.contact is not None
    assert read.contact.uri.host == "example.com"
    assert read.body == OFFER


def test_of_two_messages_in_one_datagram_the_first_counts() -> None:
    read = message("dblreq")
    assert (read.method, read.body) == ("REGISTER", "")


def test_escapes_in_a_user_are_undone_once() -> None:
    read = message("esc01")
    assert isinstance(read, Request)
    assert read.target.user == "sips:user@example.com"
    assert message("escnull").to.uri.user == "null-\0-null"
    assert message("esc02").method == "RE%47IST%45R"


def test_parameters_of_a_user_are_the_users() -> None:
    read = message("semiuri")
    assert isinstance(read, Request)
    assert read.target.user == "user;par=u@example.net"
    assert read.target.host == "example.com"


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"\0" * 40, b"x" * 70_000, b"INVITE sip:a@b SIP/2.0\r\n", b"SIP/2.0\r\n\r\n",
     request(more=tuple(f"X: {n}" for n in range(300))), request(more=("X: " + "y" * 9_000,)),
     request(more=("X: \0",))],
)  # fmt: skip
def test_what_is_no_message_is_dropped(data: bytes) -> None:
    assert read_message(data) is None
