"""Calls to the unit where a client is at home, for its account: with a ticket for there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

from google.protobuf.message import Message

from console.cli.calls.channel import Calls
from console.cli.failure import CommandFailed, ExitCode
from console.cli.profile import Target
from homeport import Assignment
from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.communication.v1 import profile_pb2_grpc
from homeport.errors import Unsupported


class AccountCalls(Calls):
    """The services of one account's unit."""

    @classmethod
    def at(cls, target: Target, home: Assignment) -> Self:
        """At the client's home, with its ticket. Raises CommandFailed where nobody knows where that
        is reached."""
        if not home.ticket or not home.endpoint:
            raise CommandFailed(
                f"nobody knows where {home.client_id} is reached; is its unit's agent running?",
                ExitCode.UNAVAILABLE,
            )
        return cls(replace(target, servers=(home.endpoint,), token=home.ticket))

    def profile(self, request: pb.GetProfileRequest) -> pb.GetProfileResponse:
        found: pb.GetProfileResponse = self._ask("GetProfile", request)
        return found

    def reach(self, request: pb.ReachRequest) -> pb.ReachResponse:
        found: pb.ReachResponse = self._ask("Reach", request)
        return found

    def settings(self) -> pb.Settings:
        found: pb.Settings = self._ask("GetSettings", pb.GetSettingsRequest())
        return found

    def change(
        self,
        method: str,
        request: pb.UpdateProfileRequest
        | pb.AddIdentifierRequest
        | pb.RemoveIdentifierRequest
        | pb.SetDisclosureRequest
        | pb.SetReachabilityRequest,
    ) -> pb.Settings:
        """What the settings are after it."""
        changed: pb.Settings = self._ask(method, request)
        return changed

    def name(self, method: str, request: Message, deadline_s: float | None = None) -> Any:
        """What a method about names answers."""
        return self._call(profile_pb2_grpc.ProfileServiceStub, method, request, deadline_s)

    def change_contacts(self, add: list[str], remove: list[str]) -> None:
        self._ask("ChangeContacts", pb.ChangeContactsRequest(add=add, remove=remove))

    def contacts(self) -> list[str]:
        """All, in order of their ids."""
        found: list[str] = []
        while True:
            request = pb.ListContactsRequest(page_size=1_000, after=found[-1] if found else "")
            page: pb.ListContactsResponse = self._ask("ListContacts", request)
            found += page.contacts
            if not page.more:
                return found

    def _call(self, stub: Any, method: str, request: Any, deadline_s: float | None = None) -> Any:
        """Raises CommandFailed where the unit has no such service, in place of gRPC's words."""
        try:
            return super()._call(stub, method, request, deadline_s)
        except Unsupported as error:
            service = str(stub.__name__).removesuffix("Stub")
            raise CommandFailed(
                f"the unit at {self._servers[0]} has no {service}: it keeps no accounts, or is of "
                "an older version; start its agent with --accounts and --state-dir (`homeport up "
                "--with-directory` does)",
                ExitCode.REFUSED,
            ) from error

    def _ask(self, method: str, request: Message) -> Any:
        return self._call(profile_pb2_grpc.ProfileServiceStub, method, request)
