"""The HTTP door of a real server: the life of a client, strange requests, other callers' pages,
batches, workers, TLS, and that it is the same service as over gRPC."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as tenancy_grpc
from provisioner.api.http_routes import openapi
from tests.support import servers
from tests.support.certificates import Authority
from tests.support.etcd import StartEtcd
from tests.support.http_door import JSON, Door, client
from tests.support.trace_collector import TraceCollector

ANSWER_S = 20.0
PAGE = "https://app.example.net"
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("http")
    with servers.Server(
        folder, "server", f"embedded:{folder / 'store.db'}", "--http-listen=127.0.0.1:0",
        f'--http-allow-origins=["{PAGE}"]', '--trusted-proxies=["127.0.0.1"]',
        '--quotas={"explanations": {"tenant": 0, "client": 0.1}}',
    ) as one:  # fmt: skip
        asyncio.run(servers.apply(one.address, servers.units(dublin=20_000, virginia=20_000)))
        yield one


@pytest.fixture(scope="module")
def door(server: servers.Server) -> Door:
    return Door(f"http://{server.told['http']}")


async def get_over_grpc(address: str, client_id: str) -> pb.GetAssignmentResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        found: pb.GetAssignmentResponse = await stub.GetAssignment(
            pb.GetAssignmentRequest(client_id=client_id), timeout=ANSWER_S
        )
        return found


async def test_the_life_of_a_client(server: servers.Server, door: Door) -> None:
    made = door("POST", client("ann", ":provision"), b'{"address": "81.2.69.142"}')
    assert made.status == 200, made
    assert made.json()["existing"] is False
    assert made.json()["assignment"]["unitId"] == "dublin"
    assert made.headers["Cache-Control"] == "no-store"
    assert made.headers["Content-Type"] == JSON

    again = door("POST", client("ann", ":provision"))
    assert again.json()["existing"] is True
    assert again.json()["assignment"] == made.json()["assignment"]

    found = door("GET", client("ann"))
    assert found.json()["assignment"] == made.json()["assignment"]
    over_grpc = await get_over_grpc(server.address, "ann")
    assert over_grpc.assignment.unit_id == "dublin"
    assert str(over_grpc.assignment.epoch) == found.json()["assignment"]["epoch"]

    why = door("POST", client("ann", ":explain"))
    assert [one["unitId"] for one in why.json()["units"]] == ["dublin", "virginia"]

    assert door("POST", client("ann", ":release")).json() == {"released": True}
    assert door("POST", client("ann", ":release")).json() == {"released": False}
    gone = door("GET", client("ann"))
    assert (gone.status, gone.json()["code"]) == (404, 5)


@pytest.mark.parametrize(
    "client_id", ["a b", "ü€😀", "a:provision", "a%2Fb", "..", "a+b&c=d#e", "~"]
)
def test_ids_come_through_percent_encoding(door: Door, client_id: str) -> None:
    made = door("POST", client(client_id, ":provision"))
    assert made.json()["assignment"]["clientId"] == client_id
    assert door("GET", client(client_id)).json()["assignment"]["clientId"] == client_id


def test_where_a_client_is_comes_from_its_proxy(door: Door) -> None:
    """The header counts from trusted proxies alone; the lines of several are one list."""
    made = door("POST", client("far", ":provision"), x_forwarded_for="10.0.0.1, 81.2.69.142")
    assert made.json()["decision"]["location"]["country"] == "GB"


def test_head_is_get_without_its_body(door: Door) -> None:
    door("POST", client("head", ":provision"))
    head = door("HEAD", client("head"))
    assert (head.status, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 100
    assert door("HEAD", client("nobody")).status == 404


@pytest.mark.parametrize(
    ("verb", "path", "body", "headers", "status", "field"),
    [
        pytest.param("GET", "/", None, {}, 404, None, id="nothing-there"),
        pytest.param("GET", "/v1/tenants/default/clients", None, {}, 404, None, id="no-client"),
        pytest.param("GET", "/v1/tenants/default/clients/", None, {}, 404, None, id="empty-client"),
        pytest.param("GET", client("a/b"), None, {}, 400, "client_id", id="slash-in-an-id"),
        pytest.param("GET", client("a") + "%zz", None, {}, 400, "client_id", id="bad-escape"),
        pytest.param("GET", client("a") + "%FF", None, {}, 400, "client_id", id="no-utf-8"),
        pytest.param("GET", client("a\0"), None, {}, 400, "client_id", id="control-character"),
        pytest.param("GET", client("a" * 129), None, {}, 400, "client_id", id="long-id"),
        pytest.param("GET", client("a", tenant="No%2F"), None, {}, 404, None, id="odd-tenant"),
        pytest.param("GET", client("a", tenant="none"), None, {}, 404, None, id="no-such-tenant"),
        pytest.param("PUT", client("a"), b"{}", {}, 405, None, id="wrong-method"),
        pytest.param("DELETE", client("a"), None, {}, 405, None, id="delete"),
        pytest.param("GET", client("a", ":provision"), None, {}, 405, None, id="get-of-an-action"),
        pytest.param("GET", client("a"), b"{}", {}, 400, "body", id="get-with-a-body"),
        pytest.param("GET", client("a") + "?ticket=x", None, {}, 400, "query", id="query"),
        pytest.param("POST", client("a", ":provision"), b"{", {}, 400, "body", id="no-json"),
        pytest.param("POST", client("a", ":provision"), b"[]", {}, 400, "body", id="a-list"),
        pytest.param("POST", client("a", ":provision"), b'{"x": 1}', {}, 400, "x", id="unknown"),
        pytest.param(
            "POST", client("a", ":provision"), b'{"clientId": "b"}', {}, 400, "client_id",
            id="another-client-in-the-body",
        ),
        pytest.param(
            "POST", client("a", ":provision"), b'{"address": "nowhere"}', {}, 400, "address",
            id="no-address",
        ),
        pytest.param(
            "POST", client("a", ":provision"), b"[" * 60_000, {}, 400, "body", id="deep",
        ),
        pytest.param(
            "POST", client("a", ":provision"), b" " * 70_000, {}, 413, "body", id="large",
        ),
        pytest.param(
            "POST", client("a", ":provision"), b"{}", {"content_type": "text/plain"}, 415, "body",
            id="a-type-that-pages-may-send",
        ),
        pytest.param(
            "POST", client("a", ":provision"), b"{}",
            {"content_type": "application/json; charset=utf-16"}, 415, "body", id="charset",
        ),
        pytest.param(
            "POST", client("a", ":provision"), None, {"if_match": '"x"'}, 412, None, id="if-match",
        ),
        pytest.param(
            "POST", client("a", ":provision"), b"{}", {"content_encoding": "gzip"}, 400, "body",
            id="not-of-its-encoding",
        ),
        pytest.param(
            "GET", client("a"), None, {"homeport_client_key": "\u00ff"}, 400,
            "homeport-client-key", id="a-header-that-is-not-ascii",
        ),
        pytest.param(
            "POST", client("a", ":provision"), None, {"origin": "https://evil.example"}, 403, None,
            id="another-page",
        ),
        pytest.param(
            "POST", client("a", ":provision"), None, {"origin": "null"}, 403, None, id="no-page",
        ),
    ],
)  # fmt: skip
def test_strange_requests(
    door: Door, verb: str, path: str, body: bytes | None, headers: dict[str, str], status: int,
    field: str | None,
) -> None:  # fmt: skip
    answer = door(verb, path, body, **headers)
    assert answer.status == status, answer
    found = answer.json()
    assert found["message"]
    assert found["code"] > 0
    violations = [
        one["field"]
        for detail in found.get("details", ())
        for one in detail.get("fieldViolations", ())
    ]
    assert violations == ([field] if field else []), found
    if status == 405:
        assert "OPTIONS" in answer.headers["Allow"]


RAW = b"POST " + client("raw", ":provision").encode() + b" HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        pytest.param(RAW + b"\r\n", [200], id="no-body-and-no-length"),
        pytest.param(RAW + b"Content-Length: 2\r\n\r\n{}", [415], id="no-content-type"),
        pytest.param(
            RAW + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", [200], id="chunked",
        ),
        pytest.param(
            RAW + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Length: 2\r\n\r\n0\r\n\r\n", [400], id="chunked-and-a-length",
        ),
        pytest.param(
            RAW + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [400, 415, 501, 200],
            id="two-transfer-encodings",
        ),
        pytest.param(RAW + b"Transfer-Encoding: x\r\n\r\n", [400], id="no-transfer-encoding"),
        pytest.param(
            RAW + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", [400], id="two-lengths",
        ),
        pytest.param(RAW + b"Content-Length: -1\r\n\r\n", [400], id="a-negative-length"),
        pytest.param(
            RAW + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            [400], id="no-chunk",
        ),
        pytest.param(
            RAW + b"Homeport-Ticket: a\r\nHomeport-Ticket: b\r\n\r\n", [400], id="two-tickets",
        ),
        pytest.param(RAW + b"Origin: a\r\nOrigin: b\r\n\r\n", [400, 403], id="two-origins"),
        pytest.param(RAW + b"Expect: 100-continue\r\n\r\n", [100, 200], id="expects-100"),
        pytest.param(RAW + b"Expect: x\r\n\r\n", [417], id="expects-something-else"),
        pytest.param(
            b"GET http://other" + client("raw").encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            [200], id="absolute-form",
        ),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", [204], id="options-of-all"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", [404, 405, 400], id="connect"),
        pytest.param(
            b"GET " + client("raw").encode() + b" HTTP/1.0\r\n\r\n", [200], id="http-1.0",
        ),
        pytest.param(b"GET " + b"/" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n", [400, 414], id="long"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", [400, 404], id="bytes-in-a-path"),
        pytest.param(b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", [400, 405], id="unknown-method"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505], id="http-2"),
        pytest.param(b"\x16\x03\x01\x00\x05hello", [400], id="tls"),
    ],
)  # fmt: skip
async def test_requests_byte_by_byte(
    server: servers.Server, door: Door, request_: bytes, statuses: list[int]
) -> None:
    door("POST", client("raw", ":provision"))
    host, _, port = str(server.told["http"]).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request_)
    line = await asyncio.wait_for(reader.readline(), ANSWER_S)
    head = await asyncio.wait_for(reader.read(4_000), ANSWER_S)
    writer.close()
    if int(line.split(b" ")[1]) >= 400:
        assert b"application/json" in head, head
    assert line.startswith(b"HTTP/1."), line
    assert int(line.split(b" ")[1]) in statuses, line


def test_pages_that_are_allowed_are_told_so(door: Door) -> None:
    asked = door(
        "OPTIONS", client("a", ":provision"), origin=PAGE, access_control_request_method="POST"
    )
    assert asked.status == 204
    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert asked.headers["Access-Control-Allow-Methods"] == "POST"
    told = door("POST", client("page", ":provision"), origin=PAGE)
    assert told.headers["Access-Control-Allow-Origin"] == PAGE
    refused = door("GET", client("nobody-there"), origin=PAGE)
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (404, PAGE)


def test_quotas_are_those_of_the_server(door: Door) -> None:
    door("POST", client("often", ":provision"))
    statuses = [door("POST", client("often", ":explain")) for _ in range(5)]
    assert statuses[0].status == 200
    assert statuses[-1].status == 429
    assert int(statuses[-1].headers["Retry-After"]) > 1


async def test_a_tenant_has_as_many_clients_as_it_may_and_others_are_told_when(
    server: servers.Server, door: Door
) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        few = tenancy.Tenant(tenant="few", max_clients=1)
        stub = tenancy_grpc.TenantServiceStub(channel)
        await stub.ApplyTenant(tenancy.ApplyTenantRequest(tenant=few), timeout=ANSWER_S)
    asked = "/v1/tenants/few/clients/{}:provision"
    known = [await asyncio.to_thread(door, "POST", asked.format("one")) for _ in range(2)]
    assert [one.status for one in known] == [200, 200]
    refused = await asyncio.to_thread(door, "POST", asked.format("another"))
    assert (refused.status, refused.headers["Retry-After"].isdecimal()) == (429, True)
    assert "tenant few may have 1 clients at once" in refused.json()["message"]


def test_the_description_is_served_and_known_by_its_tag(door: Door) -> None:
    found = door("GET", "/openapi.json")
    assert found.content == openapi()
    assert door("GET", "/openapi.json", if_none_match=found.headers["ETag"]).status == 304
    assert door("POST", "/openapi.json", b"{}").status == 405


def test_batches_are_lines_in_their_order(door: Door) -> None:
    lines = [json.dumps({"clientId": f"line-{n}"}) for n in range(2_500)]
    lines[7], lines[1_500], lines[2_400] = "nope", '{"clientId": "a/b"}', '{"clientId": "line-0"}'
    body = "\n".join(lines).encode()
    path = "/v1/tenants/default/clients:provisionMany?withoutTickets=true"
    answer = door("POST", path, body, kind=NDJSON)
    assert (answer.status, answer.headers["Content-Type"]) == (200, NDJSON), answer.content[:500]
    results = [json.loads(line) for line in answer.content.splitlines()]
    assert len(results) == len(lines)
    failed = {n: one["error"]["code"] for n, one in enumerate(results) if "error" in one}
    assert failed == {7: "INVALID_ARGUMENT", 1_500: "INVALID_ARGUMENT"}
    assert results[2_400]["provisioned"]["existing"] is True
    assert results[2_499]["clientId"] == "line-2499"
    assert not any(one["provisioned"]["ticket"] for one in results if "provisioned" in one)


@pytest.mark.parametrize(
    ("body", "kind", "query", "status"),
    [
        pytest.param(b"", NDJSON, "", 400, id="empty"),
        pytest.param(b"\n \n", NDJSON, "", 400, id="blank-lines"),
        pytest.param(b"{}\n" * 5_001, NDJSON, "", 400, id="too-many-lines"),
        pytest.param(b" " * (1 << 20) + b"{}", NDJSON, "", 413, id="too-large"),
        pytest.param(b"{}", JSON, "", 415, id="json"),
        pytest.param(b"{}", NDJSON, "?withoutTickets=1", 400, id="a-number-for-a-bool"),
        pytest.param(b"nope", NDJSON, "", 200, id="only-a-wrong-line"),
        pytest.param(b'{"clientId": "' + b"x" * 5_000 + b'"}', NDJSON, "", 200, id="a-long-line"),
    ],
)
def test_strange_batches(door: Door, body: bytes, kind: str, query: str, status: int) -> None:
    answer = door("POST", f"/v1/tenants/default/clients:provisionMany{query}", body, kind=kind)
    assert answer.status == status, answer
    if status == 200:
        assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"


def test_workers_share_the_port(own_etcd: StartEtcd, tmp_path: Path) -> None:
    with servers.Server(
        tmp_path, "server", own_etcd().url, "--workers=2", "--http-listen=127.0.0.1:0"
    ) as server:
        told: Any = server.told
        assert {one["http"] for one in told["workers"]} == {told["http"]}
        door = Door(f"http://{told['http']}")
        statuses = [door("GET", client(f"w-{number}")).status for number in range(20)]
        assert statuses == [404] * 20


def test_behind_tls_the_certificate_says_who_calls(tmp_path: Path) -> None:
    authority = Authority.new()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "tokens.toml").write_text("")
    certificate, key = authority.write(tmp_path, "server")

    def shown(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        context.load_cert_chain(
            *authority.write(tmp_path, name, uris=[f"spiffe://example.net/client/default/{name}"])
        )
        return context

    with servers.Server(
        tmp_path, "server", f"embedded:{tmp_path / 'store.db'}", "--http-listen=127.0.0.1:0",
        f"--tls-certificate={certificate}", f"--tls-key={key}",
        f"--tls-client-ca={tmp_path / 'ca.pem'}", f"--tokens={tmp_path / 'tokens.toml'}",
        "--certificate-trust-domain=example.net", "--drain-s=0",
    ) as server:  # fmt: skip
        url = f"https://{server.told['http']}"
        assert Door(url, shown("ann"))("GET", client("ann")).status == 404
        assert Door(url, shown("ben"))("GET", client("ann")).status == 403
        nothing = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with pytest.raises(OSError, match=r"certificate required|reset|EOF|closed"):
            Door(url, nothing)("GET", client("ann"))


def test_a_request_is_part_of_its_caller_s_trace(tmp_path: Path) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    parent = f"00-{trace}-{span}-01"
    with TraceCollector() as collector:
        with servers.Server(
            tmp_path, "server", f"embedded:{tmp_path / 'store.db'}", "--http-listen=127.0.0.1:0",
            f"--otlp-endpoint={collector.endpoint}",
        ) as server:  # fmt: skip
            door = Door(f"http://{server.told['http']}")
            door("GET", client("ann"), traceparent=parent)
            door("POST", client("ann", ":provision"), traceparent=parent)
        names = {one.name for one in collector.spans() if one.parent_id == span}
    assert {name.rpartition("/")[2] for name in names} == {"GetAssignment", "Provision"}
