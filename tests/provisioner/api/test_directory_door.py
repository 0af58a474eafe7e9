"""Names over HTTP: WebFinger by RFC 7033, pages and vCards, and that nobody learns from them what
they may not know."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from homeport.api.communication.v1 import profile_pb2 as pb
from tests.support.directory_pages import HOST, Pages, pages_there
from tests.support.webfinger_client.client import looked_up

FINGER = "/.well-known/webfinger"
WORK, PRIVATE = "mailto:anna@northwind.example", "mailto:anna@mail.example"
PHONE = "tel:+442079460301"


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    """Anna has a handle; a work address that contacts see and by which all find her, a private one
    that all see and nobody finds, and a number that is hidden. Ben knows her, and she him."""
    async with pages_there(tmp_path) as there:
        for account in ("anna", "ben", "mallory"):
            await there.home(account)
        await there.claim("anna", "anna")
        await there.prove("anna", WORK, findable=True)
        await there.prove("anna", PRIVATE, findable=False)
        await there.prove("anna", PHONE, findable=False)
        call, profiles = there.unit.by_ticket("anna"), there.unit.profiles
        await profiles.UpdateProfile(pb.UpdateProfileRequest(name="Anna <b>"), call)
        for uri, audience in [
            (WORK, pb.Audience(contacts=True)),
            (PRIVATE, pb.Audience(everyone=True)),
            (PHONE, pb.Audience()),
        ]:
            await profiles.AddIdentifier(pb.AddIdentifierRequest(uri=uri), call)
            request = pb.SetDisclosureRequest(uri=uri, audience=audience)
            await profiles.SetDisclosure(request, call)
        await profiles.ChangeContacts(pb.ChangeContactsRequest(add=["ben"]), call)
        yield there


def finger(resource: str, *rels: str) -> str:
    more = "".join(f"&rel={quote(rel, safe='')}" for rel in rels)
    return f"{FINGER}?resource={quote(resource, safe='')}{more}"


def bearer(pages: Pages, account: str, **more) -> dict[str, str]:
    token = pages.unit.by_ticket(account, **more)._token
    return {"Authorization": f"Bearer {token}"}


PAGE = {
    "rel": "http://webfinger.net/rel/profile-page",
    "type": "text/html",
    "href": "https://talk.example/@anna",
}
CARD = {
    "rel": "describedby",
    "type": "text/vcard",
    "href": "https://talk.example/@anna.vcf",
}


async def test_an_account_is_a_jrd(pages: Pages) -> None:
    found = await pages.get(finger("acct:anna@talk.example"))
    assert (found.status, found.headers["content-type"]) == (200, "application/jrd+json")
    assert json.loads(found.body) == {
        "subject": "acct:anna@talk.example",
        "aliases": ["https://talk.example/@anna", PRIVATE],
        "properties": {"http://packetizer.com/ns/name": "Anna <b>"},
        "links": [PAGE, CARD],
    }
    assert found.headers["access-control-allow-origin"] == "*"
    assert found.headers["cache-control"] == "public, max-age=60"
    assert found.headers["vary"] == "Authorization"


@pytest.mark.parametrize(
    "resource",
    [
        "acct:anna@talk.example",
        "acct:Anna@TALK.example",
        "acct:anna@www.talk.example",
        "https://talk.example/@anna",
        "https://talk.example:443/@anna",
        "https://talk.example/%40anna",
        WORK,
        "mailto:Anna@northwind.example",
    ],
)
async def test_each_name_of_an_account_is_the_same_subject(pages: Pages, resource: str) -> None:
    found = await pages.get(finger(resource))
    assert json.loads(found.body)["subject"] == "acct:anna@talk.example"


# Section 3 of RFC 7033 shows two requests and what their answers have in them; 4.1 to 4.5 say the
# rest. Written anew for the names that are served here.
RFC_7033 = [
    ("3.1: one rel of several resources' links", finger("acct:anna@talk.example", CARD["rel"]),
     200, [CARD]),
    ("3.2: a page as the resource", finger("https://talk.example/@anna"), 200, [PAGE, CARD]),
    ("4.1: percent-encoding of all that may be", finger("acct:anna@talk.example").replace(
        "anna", "%61nna"), 200, [PAGE, CARD]),
    ("4.1: nothing but what has to be is encoded", f"{FINGER}?resource=acct:anna@talk.example",
     200, [PAGE, CARD]),
    ("4.1: the order of parameters means nothing",
     f"{FINGER}?rel={quote(CARD['rel'], safe='')}&resource=acct%3Aanna%40talk.example",
     200, [CARD]),
    ("4.2: no resource", FINGER, 400, None),
    ("4.2: an empty resource", f"{FINGER}?resource=", 400, None),
    ("4.2: a resource that is no URI", f"{FINGER}?resource=anna%40talk.example", 400, None),
    ("4.2: two resources", finger("acct:anna@talk.example") + "&resource=acct:b@talk.example",
     400, None),
    ("4.2: a broken escape", f"{FINGER}?resource=acct%3", 400, None),
    ("4.2: no UTF-8", f"{FINGER}?resource=acct%3A%ff%40talk.example", 400, None),
    ("4.2: nothing is known of it", finger("acct:nobody@talk.example"), 404, None),
    ("4.2: another host's", finger("acct:anna@mail.example"), 404, None),
    ("4.2: another scheme's", finger("urn:uuid:5fd5c3d0"), 404, None),
    ("4.3: a rel that no link has", finger("acct:anna@talk.example", "author"), 200, []),
    ("4.3: two rels", finger("acct:anna@talk.example", PAGE["rel"], CARD["rel"]), 200,
     [PAGE, CARD]),
    ("4.2: parameters that nobody defined", finger("acct:anna@talk.example") + "&format=xml&x",
     200, [PAGE, CARD]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "status", "links"),
    [pytest.param(*rest, id=says) for says, *rest in RFC_7033],
)
async def test_rfc_7033(pages: Pages, target: str, status: int, links) -> None:
    found = await pages.get(target)
    assert found.status == status
    assert found.headers["access-control-allow-origin"] == "*"
    if status == 200:
        document = json.loads(found.body)
        assert document["links"] == links
        assert document["properties"]  # rel narrows links alone (4.3)
    head = await pages.get(target, method="HEAD")
    assert (head.status, head.body) == (status, b"")
    assert head.headers == found.headers


async def test_a_plus_is_a_plus(pages: Pages) -> None:
    await pages.prove("ben", "tel:+442079460018", findable=True)
    found = await pages.get(f"{FINGER}?resource=tel:+442079460018")
    assert json.loads(found.body) == {"subject": "tel:+442079460018", "links": []}


async def test_a_page_is_html_that_runs_nothing(pages: Pages) -> None:
    found = await pages.get("/@anna")
    assert (found.status, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = found.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["referrer-policy"] == "no-referrer"
    assert "Anna &lt;b&gt;" in found.text
    assert "<b>" not in found.text
    assert "<script" not in found.text
    assert 'href="https://app.talk.example/write?to=anna"' in found.text
    assert f'href="{PRIVATE}"' in found.text
    assert (found.headers["cache-control"], found.headers["vary"]) == (
        "public, max-age=60", "Accept, Authorization",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "accept", "media_type"),
    [
        ("/@anna", "*/*", "text/html"),
        ("/@anna", "text/vcard", "text/vcard"),
        ("/@anna", "text/html;q=0.5, text/vcard;q=0.9", "text/vcard"),
        ("/@anna", "text/vcard;q=0.5, text/*", "text/html"),
        ("/@anna", "text/vcard;q=x", "text/html"),
        ("/@Anna.VCF", "text/html", "text/vcard"),
        ("/@%61nna.vcf", "*/*", "text/vcard"),
        ("/%40anna", "*/*", "text/html"),
        ("/%40anna.vcf", "*/*", "text/vcard"),
    ],
)
async def test_accept_decides_what_a_handle_is(
    pages: Pages, target: str, accept: str, media_type: str
) -> None:
    found = await pages.get(target, Accept=accept)
    assert found.headers["content-type"] == f"{media_type}; charset=utf-8"


async def test_a_vcard_is_what_the_accounts_unit_makes(pages: Pages) -> None:
    call = pages.unit.by_introduction("anna")
    profile = await pages.unit.profiles.GetProfile(pb.GetProfileRequest(), call)
    card = (await pages.get("/@anna.vcf")).text
    assert card == profile.vcard
    assert card.startswith("BEGIN:VCARD\r\nVERSION:4.0\r\n")
    assert "\r\nFN:Anna <b>\r\n" in card


async def test_all_ways_show_a_viewer_the_same(pages: Pages) -> None:
    """Stranger, contact, owner; gRPC, WebFinger, page, vCard."""
    sees = {"": {PRIVATE}, "mallory": {PRIVATE}, "ben": {WORK, PRIVATE},
            "anna": {WORK, PRIVATE, PHONE}}  # fmt: skip
    for viewer, uris in sees.items():
        headers = bearer(pages, viewer) if viewer else {}
        call = pages.unit.by_introduction("anna", viewer)
        profile = await pages.unit.profiles.GetProfile(pb.GetProfileRequest(), call)
        assert {one.uri for one in profile.identifiers} == uris
        found = await pages.get(finger("acct:anna@talk.example"), **headers)
        aliases = set(json.loads(found.body)["aliases"])
        assert aliases == uris | {"https://talk.example/@anna"}
        page, card = [await pages.get(path, **headers) for path in ("/@anna", "/@anna.vcf")]
        for uri in (WORK, PRIVATE, PHONE):
            assert (f'href="{uri}"' in page.text) is (uri in uris)
            assert (uri.partition(":")[2] in card.text) is (uri in uris)
        said = "private, no-store" if viewer else "public, max-age=60"
        for one in (found, page, card):
            assert one.headers["cache-control"] == said


@pytest.mark.parametrize(
    "shown",
    ["Bearer nonsense", "Bearer a.b.c", "Basic YTpi", "Bearer"],
)
async def test_what_is_no_ticket_shows_nobody(pages: Pages, shown: str) -> None:
    for target in ("/@anna", finger("acct:anna@talk.example")):
        found = await pages.get(target, Authorization=shown)
        assert (found.status, found.headers["www-authenticate"]) == (
            401, 'Bearer realm="homeport"',
        )  # fmt: skip
        assert PRIVATE not in found.text


async def test_a_ticket_counts_for_its_tenant_its_time_and_its_assignment(pages: Pages) -> None:
    foreign = bearer(pages, "ben", tenant="other")
    earlier = bearer(pages, "ben")
    assert (await pages.get("/@anna", **foreign)).status == 401
    assert (await pages.get("/@anna", **earlier)).status == 200
    await pages.home("ben", epoch=2)
    assert (await pages.get("/@anna", **earlier)).status == 401
    gone = bearer(pages, "nobody")
    assert (await pages.get("/@anna", **gone)).status == 401
    over = bearer(pages, "mallory")
    pages.unit.now += 4_000
    assert (await pages.get("/@anna", **over)).status == 401


async def test_hosts_serve_their_own_tenants_names(pages: Pages) -> None:
    for host in (HOST, "TALK.example:8443", "www.talk.example", "talk.example."):
        assert (await pages.get("/@anna", host=host)).status == 200
    nobody = await pages.get("/@nobody")
    for host in ("other.example", "unknown.example", "127.0.0.1", "x" * 300):
        assert (await pages.get("/@anna", host=host)).whole() == nobody.whole()


async def test_hidden_absent_and_impossible_names_are_one_answer(pages: Pages) -> None:
    absent = await pages.get(finger("tel:+442079460999"))
    await pages.home("gone")
    await pages.claim("gone", "gone")
    await pages.server.handles.release("talk", "gone", "gone", None, request="x")  # quarantined
    for resource in (
        PHONE, PRIVATE, "acct:gone@talk.example", "acct:nobody@talk.example",
        "acct:аnna@talk.example", "acct:a..b@talk.example", "acct:anna@mail.example",
        "https://talk.example/@", "https://talk.example/@anna?x", "tel:12", "mailto:nobody",
    ):  # fmt: skip
        answer = await pages.get(finger(resource))
        assert answer.whole() == absent.whole(), resource
    page = await pages.get("/@nobody")
    for path in ("/@gone", "/@", "/@a%2Fb", "/@%ff", "/@anna/x", "/@" + "a" * 500, "/", "/x"):
        assert (await pages.get(path)).whole() == page.whole(), path


async def walked(pages: Pages, probes: int) -> None:
    """So many names are tried, each after a time in which budgets are whole again."""
    for number in range(40):  # every tenth number is somebody's, and hidden
        account = f"a{number:03}"
        await pages.home(account)
        await pages.prove(account, f"tel:+44207946{number * 10:04}", findable=False)
    learnt = set()
    for number in range(probes):
        pages.unit.now += 10_000
        answer = await pages.get(finger(f"tel:+44207946{number % 1_000:04}"))
        learnt.add((answer.status, answer.body, tuple(sorted(answer.headers.items()))))
    assert len(learnt) == 1
    assert pages.reads == 0


async def test_who_walks_through_numbers_learns_nothing(pages: Pages) -> None:
    await walked(pages, 200)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
async def test_who_makes_a_hundred_thousand_probes_learns_nothing(pages: Pages) -> None:
    await walked(pages, 100_000)


async def test_who_walks_fast_is_stopped_and_the_rest_of_the_world_is_not(tmp_path: Path) -> None:
    async with pages_there(tmp_path, proxies="127.0.0.1") as pages:
        await pages.home("anna")
        await pages.claim("anna", "anna")
        told = [
            await pages.get(finger(f"tel:+44207946{number:04}"), X_Forwarded_For="192.0.2.9")
            for number in range(30)
        ]
        assert [one.status for one in told[:5]] == [404] * 5
        assert told[-1].status == 429
        assert int(told[-1].headers["retry-after"]) >= 1
        assert told[-1].headers["access-control-allow-origin"] == "*"
        for address, status in [("192.0.2.77", 429), ("198.51.100.1", 200)]:
            assert (await pages.get("/@anna", X_Forwarded_For=address)).status == status
        pages.unit.now += 86_400
        assert (await pages.get("/@anna", X_Forwarded_For="192.0.2.9")).status == 200


async def test_while_the_unit_is_away_the_page_says_so(pages: Pages) -> None:
    assert (await pages.get("/@anna")).status == 200
    pages.away = True
    assert (await pages.get("/@anna")).status == 200  # remembered
    pages.unit.now += 11
    for target in ("/@anna", "/@anna.vcf", finger("acct:anna@talk.example")):
        found = await pages.get(target)
        assert (found.status, found.headers["retry-after"]) == (503, "1")
        assert found.headers["cache-control"] == "no-store"
    assert (await pages.get("/@nobody")).status == 404


async def test_an_account_that_is_just_moving_is_asked_for_again(pages: Pages) -> None:
    pages.gone.add("u")
    assert (await pages.get("/@anna")).status == 503
    assert pages.reads == 2


async def test_what_a_viewer_sees_is_remembered_for_nobody(pages: Pages) -> None:
    await pages.get("/@anna", **bearer(pages, "ben"))
    await pages.get("/@anna")
    await pages.get("/@anna")
    assert pages.reads == 2
    await pages.get("/@anna", **bearer(pages, "ben"))
    assert pages.reads == 3


async def test_other_verbs_and_bodies_are_refused(pages: Pages) -> None:
    for target in ("/@anna", finger("acct:anna@talk.example")):
        posted = await pages.get(target, method="POST")
        assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        options = await pages.get(target, method="OPTIONS")
        assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert pages.door.outcomes["other"] == 4


async def test_an_address_of_several_accounts_names_each(pages: Pages) -> None:
    await pages.claim("ben", "ben")
    await pages.prove("ben", WORK, findable=True)
    found = json.loads((await pages.get(finger(WORK))).body)
    assert found["subject"] == WORK
    pages_of = [one["href"] for one in found["links"] if one["rel"] == PAGE["rel"]]
    assert sorted(pages_of) == ["https://talk.example/@anna", "https://talk.example/@ben"]


@pytest.mark.slow
async def test_a_client_of_others_reads_it(pages: Pages) -> None:
    resources = ["anna@talk.example", "nobody@talk.example"]
    plain, nobody = await looked_up(str(pages.url), resources)
    assert plain["object"]["subject"] == "acct:anna@talk.example"
    assert plain["idx"]["properties"]["name"] == "Anna <b>"
    (profile,) = plain["idx"]["links"]["profile"]
    assert profile["href"] == "https://talk.example/@anna"
    assert nobody["status"] == 404
