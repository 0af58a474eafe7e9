"""Attacks by HTTP requests: strangers with credentials that are none, another tenant's floods, the
largest and the deepest bodies, answers that are asked for and not read.

Whatever is answered with 200 to somebody who may not ask has let the attacker in.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import aiohttp

from tests.support.attacks import connection_attacks as attacks
from tests.support.attacks.credentials import forged_tickets
from tests.support.attacks.target import (
    BANK,
    CITY,
    LIMITED_BURST,
    LIMITED_PER_S,
    SHOP,
    VICTIM,
    Attack,
    AttackFunction,
    Attempts,
    Target,
)

CALL_S = 10.0
WIDE = 32  # requests at once, each over a connection of its own
JSON, NDJSON = "application/json", "application/x-ndjson"
EVENT, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


class Request(NamedTuple):
    """forbidden: whoever is answered with 200 was let in."""

    verb: str
    path: str
    body: bytes | None = None
    kind: str = JSON
    headers: Mapping[str, str] = {}
    forbidden: bool = False


def client(tenant: str, name: str, action: str = "") -> str:
    return f"/v1/tenants/{tenant}/clients/{name}{action}"


def events(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/events"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def event(name: str, data: Any) -> dict[str, Any]:
    """Of a feed that the bank has not got."""
    return {"specversion": "1.0", "id": name, "source": "/bank", "type": "bank.none", "data": data}


async def flood(target: Target, attempts: Attempts, requests: Iterable[Request]) -> None:
    """WIDE at once, for as long as there is time; a connection that is closed is opened anew."""
    goes_on, turns = target.until(), iter(requests)

    async def in_turn(session: aiohttp.ClientSession) -> None:
        while goes_on():
            one = next(turns)
            headers = dict(one.headers)
            if one.body is not None:
                headers["Content-Type"] = one.kind
            url = f"http://{target.http}{one.path}"
            try:
                async with session.request(one.verb, url, data=one.body, headers=headers) as answer:
                    await answer.read()
                    let_in = one.forbidden and answer.status == 200
                    attempts.told(str(answer.status), let_in=let_in)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                attempts.told(type(error).__name__)

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=WIDE), timeout=aiohttp.ClientTimeout(CALL_S)
    ) as session:
        await asyncio.gather(*(in_turn(session) for _ in range(WIDE)))


Requests = Callable[[Target], Iterable[Request]]


def of_the_victim(target: Target) -> Iterable[Request]:
    """Everything that may be asked about a client, by those who may not: without proof, with keys
    and tokens that were made up, with tickets that are old or forged, with another's token."""
    proofs = [{}, bearer("x" * 7_000), bearer(""), {"Authorization": "Basic YTpi"}]
    proofs += [bearer(token) for name, token in target.tokens.items() if name != "viewer"]
    proofs += [{"Homeport-Ticket": ticket} for ticket in forged_tickets(target.ticket)]
    for proof in itertools.cycle(proofs):
        made_up = {"Homeport-Client-Key": secrets.token_urlsafe(32)}
        for headers in (proof, proof | made_up, bearer(secrets.token_urlsafe(32))):
            for action in ("", ":provision", ":release", ":explain"):
                verb = "POST" if action else "GET"
                path = client(CITY, VICTIM, action)
                yield Request(verb, path, headers=headers, forbidden=True)


def new_clients(target: Target) -> Iterable[Request]:
    """The bank's clients, a thousand in each request."""
    numbers, more = itertools.count(), bearer(target.tokens["bank-admin"])
    path = f"/v1/tenants/{BANK}/clients:provisionMany?withoutTickets=true"
    while True:
        names = (f'{{"clientId": "http-{next(numbers)}"}}' for _ in range(1_000))
        yield Request("POST", path, "\n".join(names).encode(), NDJSON, more)


def known_clients(target: Target) -> Iterable[Request]:
    """One of the bank's clients, again and again."""
    one = Request(
        "POST", client(BANK, "bob", ":provision"), headers=bearer(target.tokens["bank-admin"])
    )
    return itertools.repeat(one)


def largest(path: str, kind: str, size: int, *, token: str = "") -> Requests:
    """Bodies of the size that a client may send and of ten times that, and objects in each other
    without end."""

    def requests(target: Target) -> Iterable[Request]:
        more = bearer(target.tokens[token]) if token else {}
        deep = size // 10
        bodies = [
            b'{"address": "' + b"a" * (size - 100) + b'"}',
            b'{"address": "' + b"a" * (10 * size) + b'"}',
            b'{"position": ' * deep + b"1" + b"}" * deep,
            b"[" * size,
            json.dumps({f"n{n}": n for n in range(size // 16)}).encode(),
            b'{"position": {"latitude": ' + b"9" * (size - 100) + b"}}",
        ]
        for body in itertools.cycle(bodies):
            yield Request("POST", path, body, kind, more)

    return requests


def events_of_another(target: Target) -> Iterable[Request]:
    """Events of the city's feed by those who may not publish them."""
    proofs = [{}, bearer("x" * 7_000), {"Authorization": "Basic YTpi"}]
    proofs += [bearer(token) for token in target.tokens.values()]
    for proof in itertools.cycle(proofs):
        for headers in (proof, bearer(secrets.token_urlsafe(32))):
            body = event(secrets.token_hex(8), {"road": "A1", "speed_kmh": 1.0})
            for kind, content in ((EVENT, body), (BATCH, [body])):
                # What is in a batch is told apart, so 200 alone has let nobody in there.
                content_bytes = json.dumps(content).encode()
                yield Request("POST", events(CITY), content_bytes, kind, headers, kind == EVENT)


def many_events(target: Target) -> Iterable[Request]:
    """The bank's events, a thousand in each request."""
    numbers, more = itertools.count(), bearer(target.tokens["bank-admin"])
    while True:
        batch = [event(f"e{next(numbers)}", [1, 2, 3]) for _ in range(1_000)]
        yield Request("POST", events(BANK), json.dumps(batch).encode(), BATCH, more)


def over_a_quota(requests: Requests) -> AttackFunction:
    """What is not refused with 429 counts, and more than the quota allows has let the attacker
    in."""

    async def run(target: Target, attempts: Attempts) -> None:
        began = time.monotonic()
        await flood(target, attempts, requests(target))
        allowed = LIMITED_BURST + LIMITED_PER_S * (time.monotonic() - began)
        passed = sum(
            count for code, count in attempts.codes.items() if code.isdigit() and code != "429"
        )
        attempts.let_in = max(0, passed - math.ceil(allowed))

    return run


def limited_clients(target: Target) -> Iterable[Request]:
    """A client in each request, all of a tenant that has a quota."""
    more = bearer(target.limited)
    for number in itertools.count():
        yield Request("POST", client(SHOP, f"http-{number}", ":provision"), headers=more)


def limited_events(target: Target) -> Iterable[Request]:
    """The same of events."""
    more = bearer(target.limited)
    for number in itertools.count():
        body = json.dumps(event(f"e{number}", [1, 2, 3])).encode()
        yield Request("POST", events(SHOP), body, EVENT, more)


async def unread_answers(target: Target, attempts: Attempts) -> None:
    """A hundred connections send request after request, and read nothing."""
    goes_on = target.until()
    port = int(target.http.rpartition(":")[2])
    request = b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 200

    def push() -> None:
        with contextlib.ExitStack() as stack:
            held: list[socket.socket] = []
            while goes_on():
                if len(held) < 100:
                    with contextlib.suppress(OSError):
                        one = stack.enter_context(attacks.connect(port, within_s=1.0))
                        one.setblocking(False)
                        held.append(one)
                for one in list(held):
                    try:
                        sent = one.send(request)
                    except BlockingIOError:
                        continue
                    except OSError:
                        held.remove(one)
                        attempts.told("closed")
                    else:
                        attempts.told("sent" if sent == len(request) else "held back")
                time.sleep(0.01)

    await asyncio.to_thread(push)


def _attack(name: str, what: str, requests: Requests) -> Attack:
    async def run(target: Target, attempts: Attempts) -> None:
        await flood(target, attempts, requests(target))

    return Attack(name=f"http: {name}", what=what, run=run)


def _over_a_quota(what: str, requests: Requests) -> Attack:
    return Attack(name="http: requests over a quota", what=what, run=over_a_quota(requests))


UNREAD = Attack(
    name="http: answers that nobody reads",
    what="100 connections that ask without end and read nothing",
    run=unread_answers,
)
PROVISIONER = (
    _attack(
        "a stranger takes a client",
        "get, provision, release and explain of another's client, without proof, with tokens, "
        "keys and tickets that are made up, forged, old or another's",
        of_the_victim,
    ),
    _attack(
        "new clients without end", "another tenant's batches of a thousand clients", new_clients
    ),
    _attack("known clients without end", "one of another tenant's clients", known_clients),
    _attack(
        "the largest and deepest bodies",
        "strangers' JSON of 64 KiB and of 640, deep, wide, with numbers without end",
        largest(client(CITY, VICTIM, ":provision"), JSON, 65_536),
    ),
    _over_a_quota("new clients of another tenant, which may have ten a second", limited_clients),
    UNREAD,
)
DATA_SHARING = (
    _attack(
        "events of another tenant",
        "another tenant's admin, a stranger and tokens that are made up publish to a feed",
        events_of_another,
    ),
    _attack("events without end", "another tenant's batches of a thousand events", many_events),
    _attack(
        "the largest and deepest bodies",
        "another tenant's JSON of 1 MiB and of ten, deep, wide, with numbers without end",
        largest(events(BANK), EVENT, 1 << 20, token="bank-admin"),
    ),
    _over_a_quota("events of another tenant, which may have ten a second", limited_events),
)
