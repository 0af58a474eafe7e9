"""Finding: the member that a name stands for, as an account finds it.

What somebody may not find and what is not there answer alike, as the directory says. So an address
that leads to no account that may be found is somebody without one: what is written there goes by
mail, to whoever reads it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from control_plane.errors import InvalidInput, NotFound, Refused
from control_plane.identifiers.identifier import Flaw, Identifier, IdentifierKind
from control_plane.identifiers.uris import read_any
from control_plane.identity.names import check_client_id
from control_plane.printable import quoted
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.members import read_member
from deployment_units.services.directory.port import RESOLVE, UnitDirectory
from homeport.api.directory.v1 import directory_pb2 as pb

MAX_NAME = 512  # characters
_KINDS = (IdentifierKind.HANDLE, IdentifierKind.EMAIL, IdentifierKind.PHONE)


class SeveralFound(Refused):
    """The name is that of several accounts."""

    reason = "SEVERAL_FOUND"


class FoundMember(NamedTuple):
    """member: as conversations have it; shown: the name in normal form, for people."""

    member: str
    shown: str


class MemberNames(Protocol):
    """What accounts call themselves."""

    async def name(self, viewer: Resident, account: str, /) -> str:
        """As the viewer sees it; empty: it does not say, or is away. Ends within some seconds."""
        ...


async def find_member(directory: UnitDirectory, viewer: Resident, name: str) -> FoundMember:
    """Raises InvalidInput, NotFound, SeveralFound, and what the directory says besides."""
    read = read_name(name)
    if isinstance(read, str):
        request = pb.ResolveRequest(account=read)
        shown = read
    else:
        request = pb.ResolveRequest(identifier=pb.Identifier(uri=read.uri))
        shown = f"@{read.normal}" if read.kind is IdentifierKind.HANDLE else read.shown
    try:
        found = (await directory.call(RESOLVE, viewer, request)).residences
    except NotFound as error:
        if isinstance(read, Identifier) and read.kind is not IdentifierKind.HANDLE:
            return FoundMember(read_member(read.uri, "name"), shown)
        raise NotFound(f"nobody is found as {quoted(shown)}; is it written as they do?") from error
    if len(found) != 1:
        raise SeveralFound(f"{quoted(shown)} is the name of several accounts; write to a handle")
    return FoundMember(found[0].account, shown)


def read_name(name: str) -> Identifier | str:
    """An identifier, or the id of an account. Raises InvalidInput."""
    name = name.strip()
    if len(name) > MAX_NAME:
        raise InvalidInput("name", f"name has {len(name)} characters; at most {MAX_NAME}")
    if not ("@" in name or name.startswith("+") or ":" in name):
        return check_client_id(name, "name")
    found = read_any(name)
    if isinstance(found, Flaw):
        raise InvalidInput("name", f"name: {found}")
    if found.kind not in _KINDS:
        raise InvalidInput("name", "name: write to a handle, an e-mail address or a number")
    return found
