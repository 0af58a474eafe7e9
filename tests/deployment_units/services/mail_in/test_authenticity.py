"""Whose answer a mail is: token, From, and what the relay found out, in all combinations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.identifier import Flaw, Identifier
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.mail_in.authentication_results import MethodResult, read_results
from deployment_units.services.mail_in.authenticity import Authenticity, authenticity, counted
from deployment_units.services.mail_in.mail import ReceivedMail, read_mail
from deployment_units.services.mail_in.sender import sender_of

RELAY = "mx.talk.example"
OWNER = ReplyOwner(conversation=b"c" * 16, participant="carla", address="carla@mail.example")


def mail(*fields: str) -> ReceivedMail:
    return read_mail("\n".join([*fields, "", "Yes."]).encode())


def results(*texts: str) -> list[MethodResult]:
    return read_results([f"{RELAY}; {text}" for text in texts], RELAY)


FROM = "From: Carla <carla@mail.example>"


@pytest.mark.parametrize(
    ("found", "aligned"),
    [
        pytest.param(["dkim=pass header.d=mail.example"], True, id="DKIM of the domain"),
        pytest.param(["dkim=pass header.i=@mail.example"], True, id="DKIM by its identity"),
        pytest.param(["dkim=pass header.d=out.mail.example"], True, id="of a domain below it"),
        pytest.param(["spf=pass smtp.mailfrom=carla@mail.example"], True, id="SPF"),
        pytest.param(["spf=pass smtp.mailfrom=b.mail.example"], True, id="SPF of a bare domain"),
        pytest.param(["dmarc=pass header.from=mail.example"], True, id="DMARC"),
        pytest.param(["dmarc=pass header.from=MAIL.EXAMPLE"], True, id="in capitals"),
        pytest.param(["dkim=pass header.d=evil.example"], False, id="DKIM of another domain"),
        pytest.param(["dkim=pass header.d=example"], False, id="of a public suffix"),
        pytest.param(["dkim=pass header.d=notmail.example"], False, id="of one that ends alike"),
        pytest.param(["spf=pass smtp.mailfrom=evil.example"], False, id="SPF of another domain"),
        pytest.param(["spf=pass smtp.helo=mail.example"], False, id="SPF of a greeting"),
        pytest.param(["dkim=pass"], False, id="DKIM of nobody"),
        pytest.param(["dmarc=pass header.from=b.mail.example"], False, id="DMARC of a subdomain"),
        pytest.param(["dkim=fail header.d=mail.example"], False, id="DKIM fails"),
        pytest.param(["spf=softfail smtp.mailfrom=mail.example"], False, id="SPF does not know"),
        pytest.param([], False, id="nothing was found out"),
        pytest.param(["iprev=pass policy.iprev=192.0.2.1", "arc=pass"], False, id="other methods"),
        pytest.param(
            ["dkim=fail header.d=mail.example; dkim=pass header.d=mail.example"], True,
            id="one of two signatures holds",
        ),
        pytest.param(
            ["dkim=pass header.d=mail.example; dmarc=none header.from=mail.example"], True,
            id="no policy is published",
        ),
        pytest.param(
            ["dkim=pass header.d=mail.example; dmarc=fail header.from=mail.example"], False,
            id="DMARC fails nevertheless",
        ),
        pytest.param(
            ["spf=pass smtp.mailfrom=mail.example", "spf=fail smtp.mailfrom=mail.example"], False,
            id="two answers of SPF: the worse counts",
        ),
        pytest.param(
            ["spf=fail smtp.mailfrom=mail.example; dkim=pass header.d=mail.example"], True,
            id="forwarded: SPF fails, DKIM holds",
        ),
    ],
)  # fmt: skip
def test_who_vouches_for_the_domain_of_from(found: list[str], aligned: bool) -> None:
    finding = authenticity(mail(FROM), results(*found), OWNER)
    assert finding.aligned is aligned
    assert finding.authenticity is (Authenticity.VERIFIED if aligned else Authenticity.PLAUSIBLE)
    assert finding.why


PASS = "dkim=pass header.d=mail.example"
EVIL = "dkim=pass header.d=evil.example"


@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize(("sender", "own"), [(FROM, True), ("From: mallory@evil.example", False)])
@pytest.mark.parametrize("vouched", [True, False])
def test_token_sender_and_alignment_in_all_combinations(
    token: bool, sender: str, own: bool, vouched: bool
) -> None:
    found = results(PASS if own else EVIL) if vouched else []
    finding = authenticity(mail(sender), found, OWNER if token else None)
    expected = Authenticity.REFUSED
    if token:
        expected = Authenticity.VERIFIED if own and vouched else Authenticity.PLAUSIBLE
    assert finding.authenticity is expected
    assert finding.aligned is vouched


def test_the_address_is_the_participants_whatever_its_case() -> None:
    finding = authenticity(mail("From: CARLA@Mail.Example"), results(PASS), OWNER)
    assert finding.authenticity is Authenticity.VERIFIED


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="none"),
        pytest.param([FROM, FROM], id="twice"),
        pytest.param([FROM, "from: mallory@evil.example"], id="twice, in small letters"),
        pytest.param(["From: carla@mail.example, mallory@evil.example"], id="two addresses"),
        pytest.param(["From: carla@mail.example <mallory@evil.example> <x@y.example>"], id="three"),
        pytest.param(["From: <carla@mail.example"], id="a bracket that stays open"),
        pytest.param(["From: a: carla@mail.example;"], id="a group"),
        pytest.param(["From: Carla"], id="no address"),
        pytest.param(["From: <>"], id="an empty one"),
        pytest.param(["From: Carla<>carla@mail.example"], id="an empty one and one beside it"),
        pytest.param([f"From: carla@mail.example {'(' * 900}"], id="comments in comments"),
        pytest.param([f"From: {'C' * 1_000} <carla@mail.example>"], id="a very long one"),
        pytest.param(["From: >carla@mail.example>@"], id="brackets that close nothing"),
    ],
)
def test_a_mail_of_nobody_is_verified_as_nobody(fields: list[str]) -> None:
    read = mail("Subject: x", *fields)
    if "a: carla" not in str(fields) and fields != ["From: <carla@mail.example"]:
        assert isinstance(sender_of(read), Flaw)
    finding = authenticity(read, results("dkim=pass header.d=evil.example"), OWNER)
    assert finding.authenticity is Authenticity.PLAUSIBLE


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("carla@mail.example", "carla@mail.example"),
        ("Carla Dahl <carla@mail.example>", "carla@mail.example"),
        ('"Dahl, Carla" <carla@mail.example>', "carla@mail.example"),
        ("=?utf-8?q?Carl=C3=A1?= <carla@mail.example>", "carla@mail.example"),
        ("carla@mail.example (Carla)", "carla@mail.example"),
        ("<Carla@MAIL.example>", "carla@mail.example"),
    ],
)
def test_the_sender_is_the_one_address_of_from(value: str, address: str) -> None:
    sender = sender_of(mail(f"From: {value}"))
    assert isinstance(sender, Identifier)
    assert sender.normal == address


def test_a_name_that_is_an_address_is_no_sender() -> None:
    sender = sender_of(mail('From: "carla@mail.example" <mallory@evil.example>'))
    assert isinstance(sender, Identifier)
    assert sender.normal == "mallory@evil.example"


def test_only_the_relays_own_results_count() -> None:
    fields = [
        f"evil.example; {PASS}",
        f"mx.talk.example.evil.example; {PASS}",
        f"(mx.talk.example) evil.example; {PASS}",
        f'"evil.example; mx.talk.example"; {PASS}',
        "nonsense",
        "",
    ]
    assert read_results(fields, RELAY) == []
    assert read_results([f"MX.talk.EXAMPLE 1; {PASS}"], RELAY) == results(PASS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("none", [], id="nothing was checked"),
        pytest.param(
            "dkim=pass (good (very) signature) header.d=a.example header.b=x",
            [("dkim", "pass", {"header.d": "a.example", "header.b": "x"})],
            id="comments, also in comments",
        ),
        pytest.param(
            'spf=fail reason="no; not = allowed" smtp.mailfrom="a b"@c.example',
            [("spf", "fail", {"reason": "no; not = allowed", "smtp.mailfrom": "a b"})],
            id="quoted",
        ),
        pytest.param(
            "DKIM/1 = PASS header.d = a.example ;spf=none",
            [("dkim", "pass", {"header.d": "a.example"}), ("spf", "none", {})],
            id="spaces and capitals",
        ),
        pytest.param("dkim", [], id="no result"),
        pytest.param("dkim=pass (never ends", [], id="a comment that does not end"),
    ],
)
def test_results_are_read(text: str, expected: list[tuple[str, str, dict[str, str]]]) -> None:
    assert [(one.method, one.result, one.properties) for one in results(text)] == expected


@given(st.lists(st.sampled_from([*'()"\\;= ', RELAY, "dkim", "pass", "header.d", "a"])))
def test_any_results_are_read(pieces: list[str]) -> None:
    for one in read_results(["".join(pieces)], RELAY):
        assert one.method == one.method.lower()


_DOMAINS = st.sampled_from(["mail.example", "@mail.example", "x" * 900 + "@b.mail.example",
                            "evil.example", "no domain", "", "MAIL.example"])  # fmt: skip
_RESULTS = st.builds(
    MethodResult,
    method=st.sampled_from(["dkim", "spf", "dmarc", "arc", "x"]),
    result=st.sampled_from(["pass", "fail", "none", "softfail", "policy", "temperror"]),
    properties=st.dictionaries(
        st.sampled_from(["header.d", "header.i", "smtp.mailfrom", "header.from", "reason"]),
        _DOMAINS,
    ),
)


@given(st.lists(_RESULTS, max_size=5))
def test_what_counts_of_results_is_judged_as_all_of_them(found: list[MethodResult]) -> None:
    whole, part = (authenticity(mail(FROM), one, OWNER) for one in (found, counted(found)))
    assert (whole.authenticity, whole.aligned) == (part.authenticity, part.aligned)
    assert counted(counted(found)) == counted(found)
