"""Every method of a real server, called as every kind of caller, does what the contract says.

The table is that of the contract's options; the requests name a tenant, a unit or a platform that
is the caller's, or another one's, or leave the tenant out, and nothing else. Whoever is let
in gets some other answer: most requests are otherwise empty.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import aiohttp
import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor

from control_plane.auth.method_access import MethodAccess, access_of
from control_plane.auth.roles import IMPLIED, Role
from control_plane.http_serving.routes import Route
from data_sharing.api.http_approvals import ROUTES as APPROVAL_ROUTES
from data_sharing.api.http_consents import ROUTES as CONSENT_ROUTES
from data_sharing.wiring.server import SERVICES as DATA_SERVICES
from provisioner.api.http_routes import ROUTES
from provisioner.wiring.services import SERVICES as PROVISIONER_SERVICES
from tests.support import servers
from tests.support.data_sharing_server import SharingServer

OWN = {"tenant": "city", "unit": "dublin", "platform": "p-1"}
OTHER = {"tenant": "bank", "unit": "virginia", "platform": "p-2"}
UNSAID = OWN | {"tenant": ""}
CLOSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
ROLES = [role for role in Role if role is not Role.ANYONE]
ANSWER_S = 5.0
NO_PROOF = "nothing shown here proves"  # who is told so was let in, and is not that client


class Kind(NamedTuple):
    """A kind of caller. token: empty: it shows none."""

    token: str
    roles: frozenset[Role]
    tenant: str = ""


def kinds() -> Iterator[Kind]:
    yield Kind("", frozenset({Role.CLIENT}))
    yield Kind("no-roles", frozenset())
    for role in ROLES:
        implied = {role} | IMPLIED.get(role, frozenset())
        if role is not Role.PLATFORM:
            yield Kind(role.value, frozenset(implied))
        yield Kind(f"{role.value}-of-city", frozenset(implied), OWN["tenant"])


KINDS = list(kinds())


def tokens() -> str:
    """The file that knows them."""
    lines = []
    for kind in KINDS:
        if not kind.token:
            continue
        name = kind.token.removesuffix("-of-city")
        digest = hashlib.sha256(kind.token.encode()).hexdigest()
        lines += ["[[token]]", f'name = "{kind.token}"', f'sha256 = "{digest}"']
        lines += ["roles = []"] if name == "no-roles" else [f'roles = ["{name}"]']
        lines += [f'units = ["{OWN["unit"]}"]'] if name == "unit" else []
        lines += [f'platform = "{OWN["platform"]}"'] if name == "platform" else []
        lines += [f'tenant = "{kind.tenant}"'] if kind.tenant else []
    return "\n".join(lines)


def opens(access: MethodAccess, kind: Kind, names: dict[str, str]) -> bool:
    """Whether the contract lets this kind of caller in who names these."""
    if Role.ANYONE in access.roles:
        return True
    having = kind.roles & access.roles
    if not having:
        return False
    if kind.tenant and (not access.tenant_field or names["tenant"] not in ("", kind.tenant)):
        return False
    if having == {Role.UNIT} and access.unit_field and names["unit"] != OWN["unit"]:
        return False
    own_platform = names["platform"] == OWN["platform"]
    return not (having == {Role.PLATFORM} and access.platform_field and not own_platform)


def request_of(method: MethodDescriptor, access: MethodAccess, names: dict[str, str]) -> bytes:
    """A request that names these where the method has fields for them."""
    message: Any = message_factory.GetMessageClass(method.input_type)()
    for path, name in (
        (access.tenant_field, names["tenant"]),
        (access.unit_field, names["unit"]),
        (access.platform_field, names["platform"]),
    ):
        if path:
            holder = message
            for part in path[:-1]:
                holder = getattr(holder, part)
            setattr(holder, path[-1], name)
    if method.name == "ApplyUnit":
        message.registering = True
    elif method.name == "ProvisionMany":
        message.clients.add(client_id="c")
    elif method.name == "PublishEvent":
        message.event.id = "e"
    elif method.name in ("PublishBatch", "PublishEvents"):
        message.events.add(id="e")
    content: bytes = message.SerializeToString()
    return content


async def answer(
    channel: grpc.aio.Channel, method: MethodDescriptor, content: bytes, token: str
) -> grpc.StatusCode:
    """How the call ends; OK as well where a stream stands."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def sent() -> Any:
        yield content

    asked: Any = sent() if method.client_streaming else content
    kind = (
        ("stream" if method.client_streaming else "unary")
        + "_"
        + ("stream" if method.server_streaming else "unary")
    )
    call = getattr(channel, kind)(path)(asked, metadata=metadata, timeout=ANSWER_S)
    try:
        if method.server_streaming:
            async with asyncio.timeout(ANSWER_S):
                await call.read()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return grpc.StatusCode.OK if NO_PROOF in (error.details() or "") else error.code()
    except TimeoutError:
        return grpc.StatusCode.OK
    finally:
        call.cancel()
    return grpc.StatusCode.OK


async def check(address: str, services: tuple[str, ...]) -> int:
    """Calls everything as everybody. Returns how many calls that were."""
    pool = descriptor_pool.Default()
    calls = 0
    wrong = []
    async with grpc.aio.insecure_channel(address) as channel:
        for name in services:
            for method in pool.FindServiceByName(name).methods:
                access = access_of(method)
                assert access is not None, f"{name}.{method.name} says nothing of who may call"
                for kind in KINDS:
                    unsaid = kind.tenant and access.tenant_field
                    for names in (OWN, OTHER, UNSAID) if unsaid else (OWN, OTHER):
                        content = request_of(method, access, names)
                        code = await answer(channel, method, content, kind.token)
                        calls += 1
                        open_ = opens(access, kind, names)
                        if (code not in CLOSED) is not open_:
                            wrong.append(
                                (method.name, kind.token, *names.values(), open_, code.name)
                            )
    assert not wrong, "\n".join(map(str, wrong))
    return calls


async def check_http(address: str, routes: Sequence[Route] = ROUTES) -> int:
    """The same of HTTP routes. Returns how many requests that were."""
    pool = descriptor_pool.Default()
    requests = 0
    wrong = []
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(f"http://{address}", timeout=timeout) as session:
        for route in routes:
            service, _, name = route.method.lstrip("/").partition("/")
            access = access_of(pool.FindServiceByName(service).methods_by_name[name])
            assert access is not None
            kind_of_body = "application/x-ndjson" if route.lines else "application/json"
            for kind in KINDS:
                for names in (OWN, OTHER):
                    path = route.path.format(
                        tenant=names["tenant"], client_id="c", instruction_id="i", consent_id="k"
                    )
                    headers = {"authorization": f"Bearer {kind.token}"} if kind.token else {}
                    body = None
                    if not route.reads:
                        headers["content-type"] = kind_of_body
                        body = b'{"clientId": "c"}' if route.lines else b"{}"
                    async with session.request(
                        route.verb, path, data=body, headers=headers
                    ) as answered:
                        said = await answered.text()
                    requests += 1
                    let_in = answered.status not in (401, 403) or NO_PROOF in said
                    open_ = opens(access, kind, names)
                    if let_in is not open_:
                        wrong.append((name, kind.token, *names.values(), open_, said))
    assert not wrong, "\n".join(map(str, wrong))
    return requests


async def test_http_routes(tmp_path):
    (tmp_path / "tokens.toml").write_text(tokens())
    with servers.Server(
        tmp_path, "server", f"embedded:{tmp_path / 'store.db'}", "--http-listen=127.0.0.1:0",
        f"--tokens={tmp_path / 'tokens.toml'}", "--drain-s=0",
    ) as server:  # fmt: skip
        assert await check_http(str(server.told["http"])) > 150


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_provisioner(tmp_path, transport):
    (tmp_path / "tokens.toml").write_text(tokens())
    arguments = (
        f"--transport={transport}", f"--tokens={tmp_path / 'tokens.toml'}", "--drain-s=0",
    )  # fmt: skip
    store = f"embedded:{tmp_path / 'store.db'}"
    with servers.Server(tmp_path, "server", store, *arguments) as server:
        assert await check(server.address, PROVISIONER_SERVICES) > 1000


async def test_data_sharing(tmp_path):
    (tmp_path / "tokens.toml").write_text(tokens())
    with SharingServer(tmp_path, f"--tokens={tmp_path / 'tokens.toml'}") as server:
        assert await check(server.address, DATA_SERVICES) > 1000
        assert await check_http(server.http, (*APPROVAL_ROUTES, *CONSENT_ROUTES)) > 200
