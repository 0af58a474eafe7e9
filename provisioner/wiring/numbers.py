"""Telephone numbers of one server, and their service.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.audit.entry import Transactions
from control_plane.audit.objects import AuditedObject
from control_plane.serving.server import Service
from homeport.api.directory.v1 import number_pb2 as pb
from provisioner.api import number_service
from provisioner.api.callers import Callers
from provisioner.api.number_service import NumberService
from provisioner.api.organisation_callers import OrganisationCallers
from provisioner.directory.directory import Directory
from provisioner.numbers.call_homes import CallHomes
from provisioner.numbers.pools import NumberPools
from provisioner.wiring.state import ServerState

SERVICES = (number_service.NAME,)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberParts:
    """audited: what its methods change, for the audit log."""

    services: tuple[Service, ...]
    audited: Mapping[str, AuditedObject]


def build_numbers(state: ServerState, directory: Directory, callers: Callers) -> NumberParts:
    """Over the directory."""
    accounts = directory.registrar.accounts
    service = NumberService(
        NumberPools(directory.store, accounts, wall=time.time),
        CallHomes(directory.store, accounts, directory.resolver),
        OrganisationCallers(state.fleet_view, callers),
        clock=time.monotonic,
    )
    return NumberParts(services=(service.service(),), audited=_audited())


def _audited() -> Mapping[str, AuditedObject]:
    of_numbers = AuditedObject(
        kind="number",
        transactions=Transactions.ONE,
        target=lambda request: request.number,
        after=lambda response: response if isinstance(response, pb.Number) else None,
    )
    return {
        f"/{number_service.NAME}/AddNumbers": AuditedObject(
            kind="pool",
            transactions=Transactions.ONE,
            target=lambda request: request.pool,
            after=lambda response: None,
        ),
        f"/{number_service.NAME}/AssignNumber": of_numbers,
        f"/{number_service.NAME}/ReleaseNumber": of_numbers,
    }
