"""Organisations, domains and invitations of one server, and their services.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client.registry import Collector

from control_plane.audit.objects import AuditedObject
from control_plane.serving.channel_pool import ChannelPool
from control_plane.serving.server import Service
from control_plane.store.shared_lease import SharedLease
from provisioner.api import domain_service, invitation_service, organisation_service
from provisioner.api.callers import Callers
from provisioner.api.domain_service import DomainService
from provisioner.api.invitation_service import MOST_INVITE_S, InvitationService
from provisioner.api.organisation_audit import organisation_objects
from provisioner.api.organisation_callers import OrganisationCallers
from provisioner.api.organisation_metrics import OrganisationMetrics
from provisioner.api.organisation_service import OrganisationService
from provisioner.api.unit_notices import UnitNotices
from provisioner.directory.budgets import Asker
from provisioner.directory.claim_budgets import ClaimBudgets
from provisioner.directory.directory import Directory
from provisioner.directory.residence import Residence
from provisioner.moves.dialing import unit_dialer
from provisioner.organisations.addressed import AddressedReader
from provisioner.organisations.dns_challenges import DnsChallenges
from provisioner.organisations.domain_checks import DomainChecks
from provisioner.organisations.domain_notices import DomainNotices
from provisioner.organisations.domain_records import DomainRecords
from provisioner.organisations.domain_transfers import DomainTransfers
from provisioner.organisations.domains import Domains
from provisioner.organisations.group_members import GroupMembers
from provisioner.organisations.invitations import Invitations
from provisioner.organisations.organisations import Organisations
from provisioner.organisations.own_domains import OwnDomains
from provisioner.settings import Settings
from provisioner.wiring.state import ServerState
from provisioner.wiring.tasks import Task

SERVICES = (organisation_service.NAME, domain_service.NAME, invitation_service.NAME)
INVITATIONS_SHARE_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationParts:
    """audited: what their methods change, for the audit log."""

    services: tuple[Service, ...]
    audited: Mapping[str, AuditedObject]
    checks: DomainChecks
    notices: DomainNotices
    collector: Collector

    def tasks(self) -> dict[str, Task]:
        """What works beside the calls, by name."""
        return {"checks of domains": self.checks.run, "notices about domains": self.notices.run}


def build_organisations(
    settings: Settings,
    state: ServerState,
    directory: Directory,
    callers: Callers,
    jitter: Callable[[], float],
) -> OrganisationParts:
    """Over the directory. jitter: 0 to 1. Raises InvalidInput."""
    registrar = directory.registrar
    organisations = Organisations(directory.store, registrar.accounts)
    records = DomainRecords(organisations, wall=time.time)
    challenges = DnsChallenges(settings.dns_servers(), internal=settings.directory_dns_internal)
    domains = Domains(records, challenges, random=secrets.token_bytes)
    transfers = DomainTransfers(records)
    checks = DomainChecks(records, challenges, session=lambda: state.ledger.session, jitter=jitter)
    units = UnitNotices(ChannelPool(unit_dialer(settings)))

    async def home_of(tenant: str, account: str) -> Residence:
        asker = Asker(tenant=tenant, stranger=True)  # whom no viewer's budget counts
        return (await directory.resolver.resolve_account(account, asker)).residences[0]

    notices = DomainNotices(
        directory.store, units, leads=checks.leads, home_of=home_of, wall=time.time, jitter=jitter
    )
    reader = AddressedReader(registrar, secrets=lambda: directory.pepper.secrets)
    invitations = Invitations(
        reader,
        lease=SharedLease(
            directory.store,
            lasts_s=MOST_INVITE_S,
            shared_s=INVITATIONS_SHARE_S,
            clock=time.monotonic,
        ),
        budgets=ClaimBudgets(clock=time.monotonic, what="invitations"),
        wall=time.time,
    )
    asking = OrganisationCallers(state.fleet_view, callers)
    of_organisations = OrganisationService(
        organisations,
        asking,
        ClaimBudgets(clock=time.monotonic, what="organisations and groups"),
        now_ms=records.now_ms,
    )
    of_domains = DomainService(
        domains,
        transfers,
        OwnDomains(reader),
        asking,
        ClaimBudgets(clock=time.monotonic, what="looks at domains"),
    )
    of_invitations = InvitationService(invitations, GroupMembers(reader), asking)
    return OrganisationParts(
        services=(of_organisations.service(), of_domains.service(), of_invitations.service()),
        audited=organisation_objects(of_organisations, of_domains),
        checks=checks,
        notices=notices,
        collector=OrganisationMetrics(checks),
    )
