"""Every method of the directory, called by another tenant's operator who names what is the first
tenant's: the answer is that to what is not there, and nothing of the first tenant's has changed.

That nobody names another tenant itself, tests/end_to_end/test_access.py shows. A method without a
row fails.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, NamedTuple

from google.protobuf.message import Message

from control_plane import keys
from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import ServiceError
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies
from control_plane.store.port import Put, Txn
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api.account_watches import AccountWatches
from provisioner.api.callers import Callers
from provisioner.api.directory_service import NAME, DirectoryService
from provisioner.api.lookup_calls import LookupCalls
from provisioner.directory.account_changes import AccountChanges
from provisioner.directory.budgets import LookupBudgets
from provisioner.directory.holdings import Holdings
from provisioner.directory.replica import ReadReplica
from provisioner.directory.resolving import Resolver, clients_that_left, itself
from provisioner.ledger.assignment_encoding import encode_assignment
from tests.support.credentials import authenticator_of, bearer, tokens_of
from tests.support.directory_servers import TENANT, DirectoryServer, homes, request
from tests.support.fakes.delayed_store import DelayedStore
from tests.support.watches_harness import WatchesHarness

FOREIGN = "northwind"
TOKEN = "operator-of-northwind"
OPERATOR = Caller(name=TOKEN, roles=with_implied({Role.OPERATOR}), tenant=FOREIGN)


class Named(NamedTuple):
    """What a request may name, beside its own tenant."""

    account: str
    handle: str
    mail: str
    offer: str


NOBODYS = Named("zoraide", "zoraide", "mailto:zoraide@mail.example", "an-offer-of-nobody")

ROWS: dict[str, Callable[[Named], Message]] = {
    "ClaimHandle": lambda of: pb.ClaimHandleRequest(account="mallory", handle=of.handle),
    "ReleaseHandle": lambda of: pb.ReleaseHandleRequest(account=of.account, handle=of.handle),
    "OfferHandle": lambda of: pb.OfferHandleRequest(
        account=of.account, handle=of.handle, to_account="mallory"
    ),
    "AcceptHandle": lambda of: pb.AcceptHandleRequest(account="eve", offer=of.offer),
    "BeginProof": lambda of: pb.BeginProofRequest(account=of.account, identifier=_id(of.mail)),
    "FinishProof": lambda of: pb.FinishProofRequest(
        account=of.account, identifier=_id(of.mail), code="12345678"
    ),
    "ReleaseIdentifier": lambda of: pb.ReleaseIdentifierRequest(
        account="mallory", identifier=_id(of.mail)
    ),
    "Resolve": lambda of: pb.ResolveRequest(identifier=_id(of.mail)),
    "GetAccount": lambda of: pb.GetAccountRequest(account=of.account),
    "WatchAccount": lambda of: pb.WatchAccountRequest(account=of.account),
}


def _id(text: str) -> pb.Identifier:
    return pb.Identifier(uri=text)


def test_every_method_has_a_row():
    service = pb.DESCRIPTOR.services_by_name["DirectoryService"]
    assert sorted(ROWS) == sorted(method.name for method in service.methods)


class HotOne(HotCall):
    """A call of a hot method."""

    def __init__(self, message: Message) -> None:
        self.payload = message.SerializeToString()
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def metadata(self) -> Any:
        return bearer(TOKEN)

    def peer(self) -> str:
        return "ipv4:192.0.2.1:5"

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> float | None:
        return 30.0

    def reply(self, response: bytes) -> None:
        self.answered.set_result(response)

    def fail(self, error: ServiceError) -> None:
        self.answered.set_exception(error)


class Served:
    """The directory's methods, as that operator reaches them, behind the check of access."""

    def __init__(self) -> None:
        self.store = DelayedStore(random.Random(7))
        self.server = server = DirectoryServer(self.store)
        view: Any = SimpleNamespace(
            tenant_or_raise=lambda name: SimpleNamespace(id=name), endpoint_of=lambda unit: ""
        )
        self.control = AccessControl(
            access_of_services([NAME]), authenticator_of(tokens_of(**{TOKEN: OPERATOR}))
        )
        self.callers = Callers(Proxies(), self.control)
        resolver = Resolver(
            ReadReplica(self.store, keys.DIRECTORY, itself),
            ReadReplica(self.store, keys.WHO_LEFT, clients_that_left),
            server.registrar,
            LookupBudgets(clock=server.clock),
            secrets=lambda: server.secrets,
            endpoint_of=lambda unit: "",
            introductions=IntroductionIssuer(None),  # type: ignore[arg-type]  # no unit asks
            wall=server.clock,
        )
        self.lookups = LookupCalls(resolver, view, self.callers)
        directory: Any = SimpleNamespace(
            handles=server.handles, proofs=server.proofs, proved=server.proved,
            holdings=Holdings(server.registrar, secrets=lambda: server.secrets),
        )  # fmt: skip
        self.watches = WatchesHarness(self.store)
        follows = AccountWatches(
            self.watches.clients,
            AccountChanges(hears_records=True),
            directory.holdings,
            endpoint_of=lambda unit: "",
        )
        self.service = DirectoryService(directory, view, self.callers, follows, new_id=lambda: "id")

    async def furnish(self) -> Named:
        """Annabel and her names, of the first tenant; some people of the other."""
        await homes(self.store, "annabel", "ben")
        for account in ("mallory", "eve"):
            value = encode_assignment("london", 1, 1_000, "", first_ms=1_000)
            put = Put(keys.assignment(FOREIGN, account), value)
            await self.store.commit(Txn(then=[put]))
        handles = self.server.handles
        await handles.claim(TENANT, "annabel", "annabel", None, request=request())
        offer, _ = await handles.offer(TENANT, "annabel", "annabel", "eve", None, lasts_s=600)
        return Named("annabel", "annabel", "mailto:annabel@mail.example", offer)

    async def told(self, of: Named) -> dict[str, str]:
        """What each method says, without the names of what was named."""
        said = {}
        for name, row in ROWS.items():
            text = await self._outcome(name, row(of))
            for field, value in zip(of._fields, of, strict=True):
                text = text.replace(value.removeprefix("mailto:"), f"<{field}>")
            said[name] = text
        return said

    async def _outcome(self, name: str, message: Message) -> str:
        call = HotOne(message)
        try:
            if name == "Resolve":
                self.lookups.begin(call)
                return str(pb.ResolveResponse.FromString(await call.answered))
            path = f"/{NAME}/{name}"
            self.control.check(path, self.control.admit(path, call.metadata()), message)
            context: Any = SimpleNamespace(
                invocation_metadata=call.metadata, auth_context=dict, peer=call.peer
            )
            if name == "WatchAccount":
                async with aclosing(self.service.WatchAccount(message, context)) as told:
                    return str(await anext(told))
            return str(await getattr(self.service, name)(message, context))
        except ServiceError as error:
            return f"{type(error).__name__} {error.reason} {error.message}"

    def theirs(self) -> list[Any]:
        """All that the store has of the first tenant's."""
        return [
            pair for key, pair in sorted(self.store.model.state.items())
            if f"/{TENANT}/".encode() in key
        ]  # fmt: skip


async def test_what_is_another_tenants_is_as_what_is_not_there():
    said = []
    for nobody in (False, True):
        served = Served()
        theirs = await served.furnish()
        before = served.theirs()
        running = asyncio.create_task(served.lookups.run())
        async with served.watches.running():
            said.append(await served.told(NOBODYS if nobody else theirs))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert served.theirs() == before
    there, nowhere = said
    for answers in said:  # revisions are the store's, and count everybody's changes
        answers["ClaimHandle"] = answers["ClaimHandle"].partition("revision")[0]
    assert there == nowhere
