"""Requests of clients over HTTP, made up: the routes of a provisioning server, with messages of
their kinds as JSON, and what is no message, no path or no request."""

from __future__ import annotations

import gzip
import json
from random import Random
from urllib.parse import quote_from_bytes

from google.protobuf import json_format

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.http_routes import ROUTES
from tests.support.fuzz.messages import MessageFuzzer
from tests.support.fuzz.words import TEXTS, WORDS

_VERBS = (b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"DELETE", b"TRACE", b"BREW", b"")
_PATHS = (
    b"/", b"*", b"//", b"/%", b"x", b"http://[/", b"/\xff", b"/openapi.json", b"/openapi.json?x",
    b"/v1/tenants/default/clients", b"/v1/tenants/default/clients/", b"/v1/tenants//clients/a",
    b"/v1/tenants/default/clients/%", b"/v1/tenants/default/clients/%FF:provision",
    b"/v1/tenants/default/clients/a%2Fb", b"/v1/tenants/default/clients/..:release",
    b"/v1/tenants/default/clients/" + b"a" * 7_000, b"/v1/tenants/%00/clients/a:explain",
    b"http://a/v1/tenants/default/clients/a", b"/v1/tenants/default/clients:provisionMany?x=1",
)  # fmt: skip
_FIELDS = (
    (b"authorization", b"Bearer \xff"), (b"authorization", b""), (b"origin", b"https://a"),
    (b"homeport-client-key", b"\x80"), (b"homeport-client-key", b"a" * 43),
    (b"homeport-ticket", b"a.b.c"), (b"homeport-ticket", b""), (b"x-forwarded-for", b"1.2.3.4, x"),
    (b"content-encoding", b"gzip"), (b"content-encoding", b"br"), (b"expect", b"100-continue"),
    (b"expect", b"x"), (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"x"),
    (b"content-length", b"-1"), (b"content-length", b"99"), (b"if-match", b"*"),
    (b"if-match", b'"x"'), (b"if-none-match", b"*"), (b"range", b"bytes=0-"), (b"", b"x"),
    (b"content-type", b"application/json"), (b"content-type", b"text/plain; charset=\xff"),
    (b"access-control-request-method", b"POST"), (b"upgrade", b"h2c"), (b"traceparent", b"00-x"),
)  # fmt: skip
_BODIES = (
    b"", b"[]", b"null", b"{", b"[" * 60_000, b'{"a":' * 9_000, b"\xff", b"x" * 70_000,
    b'{"clientId": "\\ud800"}', b'{"position": {"latitude": NaN}}', gzip.compress(b"{}"),
    b'{"position": {"latitude": 1e400}}', b'{"ticket": 1}', b"{}\n" * 6_000,
    b"2\r\n{}\r\n0\r\n\r\n",
)  # fmt: skip


def client_request(random: Random) -> tuple[bytes, bool]:
    """A request, and whether it is whole, so that it has to be answered."""
    route, fuzzer = random.choice(ROUTES), MessageFuzzer(random)
    tenant = "default" if random.random() < 0.7 else _segment(random)
    client_id = random.choice("abcdefgh") if random.random() < 0.7 else _segment(random)
    path = route.path.format(tenant=tenant, client_id=client_id).encode()
    verb = route.verb.encode()
    kind = b"application/x-ndjson" if route.lines else b"application/json"
    if route.reads:
        body = b""
    elif route.lines:
        lines = [_json(fuzzer, pb.ClientOrigin) for _ in range(random.randint(1, 5))]
        body = b"\n".join(lines)
    else:
        body = _json(fuzzer, route.request)
    whole = random.random() < 0.6
    if random.random() < 0.25 and not route.reads:
        body = random.choice(_BODIES)
    if random.random() < 0.2 and body:
        changed = bytearray(body)
        changed[random.randrange(len(changed))] = random.randrange(256)
        body = bytes(changed)
    fields = [(b"content-type", kind)] if body else []
    if not whole:
        fields += random.choices(_FIELDS, k=random.randint(1, 3))
        if random.random() < 0.3:
            verb, path = random.choice(_VERBS), random.choice(_PATHS)
    if whole or random.random() < 0.8:
        fields.append((b"content-length", str(len(body)).encode()))
    head = verb + b" " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    request = (
        head + b"".join(key + b": " + value + b"\r\n" for key, value in fields) + b"\r\n" + body
    )
    if not whole and random.random() < 0.2:
        request = request[: random.randint(0, len(request))]
    return request, whole


def _segment(random: Random) -> str:
    """Percent-encoded."""
    chosen = random.choice(("shop", "a:b", *WORDS, *TEXTS)) or "a"
    return quote_from_bytes(chosen.encode(errors="replace")[:600], safe="")


def _json(fuzzer: MessageFuzzer, kind: type[pb.ProvisionRequest] | type[pb.ClientOrigin]) -> bytes:
    message = fuzzer.message(kind.DESCRIPTOR)
    try:
        document = json_format.MessageToDict(message)
    except (ValueError, json_format.SerializeToJsonError):
        return b"{}"  # what JSON has no words for
    if fuzzer.random.random() < 0.9:
        for name in ("tenant", "clientId"):
            document.pop(name, None)
    return json.dumps(document).encode()
