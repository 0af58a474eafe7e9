"""What the provisioner's methods change, for the audit log: units, tenants, keys, jobs, clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from control_plane.audit.entry import Transactions
from control_plane.audit.objects import AuditedObject, Context, ReadBefore
from homeport.api.directory.v1 import directory_pb2 as directory_pb
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.policy.v1 import pin_pb2 as pin_pb
from homeport.api.policy.v1 import policy_pb2 as policy
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from provisioner.api import (
    directory_service,
    fleet_service,
    pin_service,
    policy_service,
    provisioning_service,
    tenant_service,
)
from provisioner.api.directory_service import DirectoryService
from provisioner.api.fleet_service import FleetService
from provisioner.api.pin_service import PinService
from provisioner.api.policy_service import PolicyService
from provisioner.api.provisioning_service import ProvisioningService
from provisioner.api.tenant_service import TenantService

ONE, SEVERAL, UNMARKED = Transactions.ONE, Transactions.SEVERAL, Transactions.UNMARKED


def audited_objects(
    units: FleetService, tenants: TenantService, clients: ProvisioningService
) -> Mapping[str, AuditedObject]:
    """By full method path. Objects are read as those methods show them that are for reading."""

    async def unit(request: Any, context: Context) -> Message:
        return await units.GetUnit(fleet.GetUnitRequest(unit_id=_unit_id(request)), context)

    async def job(request: fleet.ControlMoveJobRequest, context: Context) -> Message | None:
        asked = fleet.ListMoveJobsRequest(with_ended=True, tenant=request.tenant)
        found = await units.ListMoveJobs(asked, context)
        return next((one for one in found.jobs if one.job_id == request.job_id), None)

    async def tenant(request: Any, context: Context) -> Message:
        name = _tenant_id(request)
        return await tenants.GetTenant(tenancy.GetTenantRequest(tenant=name), context)

    async def keys(request: Any, context: Context) -> Message:
        return await tenants.ListTicketKeys(tenancy.ListTicketKeysRequest(), context)

    async def groups(request: Any, context: Context) -> Message:
        asked = tenancy.ListEnrolmentGroupsRequest(tenant=request.tenant)
        return await tenants.ListEnrolmentGroups(asked, context)

    async def client(
        request: provisioning.ReleaseAssignmentRequest, context: Context
    ) -> Message | None:
        asked = provisioning.GetAssignmentRequest(
            tenant=request.tenant, client_id=request.client_id
        )
        return await clients.GetAssignment(asked, context)

    return {
        **{
            f"/{fleet_service.NAME}/{name}": _unit(unit)
            for name in ("ApplyUnit", "CordonUnit", "DrainUnit", "UndrainUnit")
        },
        # The unit may have to be closed before.
        f"/{fleet_service.NAME}/RemoveUnit": replace(_unit(unit), transactions=SEVERAL),
        f"/{fleet_service.NAME}/Rebalance": AuditedObject(
            kind="fleet",
            transactions=ONE,
            target=lambda request: "",
            after=lambda response: response.job,
        ),
        f"/{fleet_service.NAME}/ControlMoveJob": AuditedObject(
            kind="job",
            transactions=ONE,
            target=lambda request: request.job_id,
            before=job,
            after=lambda response: response.job,
            named=lambda response: (response.job.tenant, response.job.job_id),
            default_tenant="",  # most jobs are of none
        ),
        f"/{tenant_service.NAME}/ApplyTenant": AuditedObject(
            kind="tenant", transactions=ONE, target=_tenant_id, before=tenant
        ),
        f"/{tenant_service.NAME}/RemoveTenant": AuditedObject(
            kind="tenant",
            transactions=UNMARKED,  # clients are released by commit queues
            target=_tenant_id,
            before=tenant,
            after=lambda response: None,
        ),
        f"/{tenant_service.NAME}/AddEnrolmentGroup": _enrolment(groups),
        f"/{tenant_service.NAME}/RemoveEnrolmentGroup": _enrolment(groups),
        # Issued tokens have no names: the request says how many were asked for.
        f"/{tenant_service.NAME}/IssueBootstrapTokens": replace(_TOKENS, transactions=SEVERAL),
        f"/{tenant_service.NAME}/RevokeBootstrapTokens": _TOKENS,
        f"/{tenant_service.NAME}/RotateTicketKeys": AuditedObject(
            kind="keys", transactions=ONE, target=lambda request: "", before=keys
        ),
        f"/{provisioning_service.NAME}/ReleaseAssignment": AuditedObject(
            kind="client",
            transactions=UNMARKED,  # by a commit queue, with others
            target=lambda request: request.client_id,
            before=client,
            after=lambda response: None,
        ),
    }


def directory_objects(directory: DirectoryService, *, marked: bool) -> Mapping[str, AuditedObject]:
    """The same of the directory. marked: whether claims and accounts are where the log is."""

    async def account(request: Any, context: Context) -> Message:
        asked = directory_pb.GetAccountRequest(tenant=request.tenant, account=request.account)
        return await directory.GetAccount(asked, context)

    return {
        f"/{directory_service.NAME}/{name}": AuditedObject(
            kind="account",
            transactions=SEVERAL if marked else UNMARKED,
            target=lambda request: request.account,
            before=account,
        )
        for name in (
            "ClaimHandle", "ReleaseHandle", "AcceptHandle", "BeginProof", "FinishProof",
            "ReleaseIdentifier",
        )
    }  # fmt: skip


def policy_objects(policies: PolicyService, pins: PinService) -> Mapping[str, AuditedObject]:
    """The same of policies and pins."""

    async def before(request: policy.ApplyPolicyRequest, context: Context) -> Message:
        return await policies.GetPolicy(policy.GetPolicyRequest(tenant=request.tenant), context)

    async def pin(request: Any, context: Context) -> Message:
        asked = pin_pb.GetPinRequest(tenant=request.tenant, client_id=request.client_id)
        return await pins.GetPin(asked, context)

    return {
        f"/{policy_service.NAME}/ApplyPolicy": AuditedObject(
            kind="policy",
            transactions=ONE,
            target=_tenant_id,
            before=before,
            after=lambda response: response.policy,
        ),
        f"/{pin_service.NAME}/PinClient": AuditedObject(
            kind="pin",
            transactions=ONE,
            target=lambda request: request.client_id,
            before=pin,
            after=lambda response: response.pin,
        ),
        f"/{pin_service.NAME}/UnpinClient": AuditedObject(
            kind="pin",
            transactions=ONE,
            target=lambda request: request.client_id,
            before=pin,
            after=lambda response: None,
            refused=lambda response: not response.unpinned,
        ),
        f"/{policy_service.NAME}/MoveByPolicy": AuditedObject(
            kind="job",
            transactions=SEVERAL,  # jobs of versions that are not kept go
            target=_tenant_id,
            after=lambda response: response.job,
        ),
    }


_TOKENS = AuditedObject(
    kind="bootstrap tokens",
    transactions=ONE,
    target=lambda request: "",
    after=lambda response: None,
)


def _enrolment(before: ReadBefore) -> AuditedObject:
    """Before: all groups of the tenant. After: nothing, for the answer may be a group's key."""
    return AuditedObject(
        kind="enrolment group",
        transactions=ONE,
        target=lambda request: request.group,
        before=before,
        after=lambda response: None,
    )


def _unit(before: ReadBefore) -> AuditedObject:
    """Answers are the unit, have it as `unit`, or nothing once it is removed."""
    return AuditedObject(
        kind="unit", transactions=ONE, target=_unit_id, before=before, after=_unit_after
    )


def _unit_after(response: Any) -> Message | None:
    if isinstance(response, fleet.RemoveUnitResponse):
        return None
    found: Message = response if isinstance(response, fleet.Unit) else response.unit
    return found


def _unit_id(request: Any) -> str:
    spec = getattr(request, "spec", None)
    name: str = request.unit_id if spec is None else spec.unit_id
    return name


def _tenant_id(request: Any) -> str:
    name = request.tenant
    found: str = name if isinstance(name, str) else name.tenant
    return found
