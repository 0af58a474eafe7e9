"""Calls to the directory: who has which name, and where accounts are at home."""

from __future__ import annotations

from typing import Any

from console.cli.calls.channel import Calls
from console.cli.profile import Target
from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc as pb_grpc

SEND_S = 30.0  # a code is handed to a relay within the call


class DirectoryCalls(Calls):
    """For the target's tenant, as an operator. A context manager, like all of them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._tenant = target.tenant

    def claim_handle(
        self, account: str, handle: str, *, rename: bool, request_id: str = ""
    ) -> pb.ClaimHandleResponse:
        """request_id: of the call, also when it is made again; empty: a new one."""
        request = pb.ClaimHandleRequest(
            tenant=self._tenant,
            account=account,
            handle=handle,
            rename=rename,
            request_id=request_id,
        )
        claimed: pb.ClaimHandleResponse = self._ask("ClaimHandle", request)
        return claimed

    def release_handle(self, account: str, handle: str, *, request_id: str = "") -> bool:
        """Whether the account had it. request_id: likewise."""
        request = pb.ReleaseHandleRequest(
            tenant=self._tenant, account=account, handle=handle, request_id=request_id
        )
        released: bool = self._ask("ReleaseHandle", request).released
        return released

    def offer_handle(self, account: str, handle: str, to: str) -> pb.OfferHandleResponse:
        request = pb.OfferHandleRequest(
            tenant=self._tenant, account=account, handle=handle, to_account=to
        )
        offered: pb.OfferHandleResponse = self._ask("OfferHandle", request)
        return offered

    def accept_handle(
        self, account: str, offer: str, *, rename: bool, request_id: str = ""
    ) -> pb.AcceptHandleResponse:
        """request_id: likewise."""
        request = pb.AcceptHandleRequest(
            tenant=self._tenant,
            account=account,
            offer=offer,
            rename=rename,
            request_id=request_id,
        )
        accepted: pb.AcceptHandleResponse = self._ask("AcceptHandle", request)
        return accepted

    def begin_proof(self, account: str, uri: str, *, request_id: str = "") -> pb.BeginProofResponse:
        """Sends a code. request_id: of the call, also when it is made again; empty: a new one."""
        request = pb.BeginProofRequest(
            tenant=self._tenant,
            account=account,
            identifier=pb.Identifier(uri=uri),
            request_id=request_id,
        )
        begun: pb.BeginProofResponse = self._ask("BeginProof", request, SEND_S)
        return begun

    def finish_proof(
        self, account: str, uri: str, code: str, *, findable: bool, request_id: str = ""
    ) -> pb.FinishProofResponse:
        """Claims it with the code. request_id: likewise."""
        request = pb.FinishProofRequest(
            tenant=self._tenant,
            account=account,
            identifier=pb.Identifier(uri=uri),
            code=code,
            findable=findable,
            request_id=request_id,
        )
        proved: pb.FinishProofResponse = self._ask("FinishProof", request)
        return proved

    def release_identifier(self, account: str, uri: str) -> bool:
        """Whether the account had it."""
        request = pb.ReleaseIdentifierRequest(
            tenant=self._tenant, account=account, identifier=pb.Identifier(uri=uri)
        )
        released: bool = self._ask("ReleaseIdentifier", request).released
        return released

    def resolve(self, uri: str, *, viewer: str = "", fresh: bool = False) -> pb.ResolveResponse:
        request = pb.ResolveRequest(
            tenant=self._tenant, identifier=pb.Identifier(uri=uri), viewer=viewer, fresh=fresh
        )
        found: pb.ResolveResponse = self._ask("Resolve", request)
        return found

    def account(self, account: str) -> pb.GetAccountResponse:
        request = pb.GetAccountRequest(tenant=self._tenant, account=account)
        found: pb.GetAccountResponse = self._ask("GetAccount", request)
        return found

    def _ask(self, method: str, request: object, deadline_s: float | None = None) -> Any:
        return self._call(pb_grpc.DirectoryServiceStub, method, request, deadline_s)
