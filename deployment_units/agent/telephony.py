"""Telephony of one unit, built: its service, and the call routing that a call server asks."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from grpc import aio

from control_plane.serving.server import Service
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.directory.port import UnitDirectory
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.call_reports import CallReports
from deployment_units.services.telephony.directory_call_homes import DirectoryCallHomes
from deployment_units.services.telephony.grpc_call_peers import GrpcCallPeers
from deployment_units.services.telephony.service import NAME, TelephonyService
from deployment_units.services.telephony.unit_calls import UnitCalls
from deployment_units.services.telephony.unit_numbers import UnitNumbers
from homeport.api.communication.v1 import telephony_pb2_grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTelephony:
    """routing: what a call server of this unit asks; calls: of accounts at home here; reports:
    their `run` is a task of the owner's; peers: closed at the end."""

    service: Service
    routing: UnitCalls
    calls: AccountCalls
    reports: CallReports
    peers: GrpcCallPeers

    @property
    def routed(self) -> Mapping[tuple[str, str], int]:
        """Calls and texts of accounts at home here, by kind and what became of them."""
        return self.calls.routed

    @property
    def dropped(self) -> int:
        """Reports that nobody took."""
        return self.reports.dropped


def telephony(
    unit_id: str,
    database: UnitDatabase,
    accounts: Accounts,
    callers: Callers,
    directory: UnitDirectory,
    *,
    connect: Callable[[str], aio.Channel],
    wall_ms: Callable[[], int],
    jitter: Callable[[], float] = random.random,
) -> UnitTelephony:
    """connect: to other units; wall_ms: Unix ms; jitter: 0 to 1, new at each call."""
    numbers = UnitNumbers(database, accounts, directory, wall_ms=wall_ms)
    calls = AccountCalls(accounts, numbers, wall_ms=wall_ms, random=secrets.token_bytes)
    homes = DirectoryCallHomes(unit_id, directory, callers.introduction, clock=time.monotonic)
    peers = GrpcCallPeers(connect)
    reports = CallReports(calls, homes, peers, clock=time.monotonic, jitter=jitter)
    service = TelephonyService(
        accounts, callers, calls, numbers, wall_ms=wall_ms, clock=time.monotonic
    )
    return UnitTelephony(
        service=Service(
            add=telephony_pb2_grpc.add_TelephonyServiceServicer_to_server,
            servicer=service,
            name=NAME,
            hot={},
        ),
        routing=UnitCalls(database, calls, numbers, homes, peers, reports),
        calls=calls,
        reports=reports,
        peers=peers,
    )
