"""PolicyService: tenants' policies, applied, read, tried and simulated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.fleet.move_job import Way
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.serving.server import Service
from homeport.api.policy.v1 import policy_pb2 as pb
from homeport.api.policy.v1 import policy_pb2_grpc as pb_grpc
from provisioner.api.mapping import job_to_proto
from provisioner.api.policy_moves import PolicyMoves
from provisioner.api.policy_simulations import Asked, PolicySimulations, Progress
from provisioner.applied_policies.effect import PolicyEffect, effect_of
from provisioner.applied_policies.followed import COMPILE_S, FollowedPolicies
from provisioner.applied_policies.record import PolicyRecord
from provisioner.applied_policies.registry import KeptPolicy, PolicyRegistry
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_keys import ClientKeys
from provisioner.moves.ways import MOST_WAYS
from provisioner.placement_hooks.asked_hook import AskedHook
from provisioner.policy.compiled import CompiledPolicy
from provisioner.policy.compiling import compile_policy
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.fleet_check import unknown_hooks, unmatched
from provisioner.policy.reading import MOST_BYTES

NAME = "homeport.api.policy.v1.PolicyService"
UNMATCHED = "clients would have no home by this; apply the units first, or allow it"
NO_HOOKS: Mapping[str, AskedHook] = MappingProxyType({})
AT_ONCE = 2  # documents that are compiled at once
USERS = 1_000_000  # that are simulated where nobody says how many
PART_BYTES = 1 << 20  # of a report, in one message


class PolicyService(pb_grpc.PolicyServiceServicer):
    """Servicer of homeport.api.policy.v1."""

    def __init__(
        self,
        registry: PolicyRegistry,
        followed: FollowedPolicies,
        fleet_view: FleetView,
        clients: ClientKeys,
        simulations: PolicySimulations,
        moves: PolicyMoves,
        *,
        hooks: Mapping[str, AskedHook] = NO_HOOKS,
    ) -> None:
        self._clients = clients
        self._simulations = simulations
        self._moves = moves
        self._hooks = hooks
        self._registry = registry
        self._followed = followed
        self._fleet_view = fleet_view
        self._compiling = asyncio.Semaphore(AT_ONCE)
        self._counting = asyncio.Semaphore(1)

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_PolicyServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ApplyPolicy(
        self, request: pb.ApplyPolicyRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ApplyPolicyResponse:
        tenant = self._tenant(request.tenant)
        compiled, warnings = await self._check(tenant, request.document, request.allow_unmatched)
        if request.dry_run:
            would_be = PolicyRecord(
                version=request.base_version + 1, document=request.document, at_ms=0
            )
            async with self._counting:
                effect = await effect_of(
                    compiled, self._fleet_view.fleet, self._clients, self._followed.pins
                )
            return pb.ApplyPolicyResponse(
                policy=_to_proto(tenant, would_be),
                warnings=warnings,
                effect=_effect_to_proto(effect),
            )
        record = await self._registry.apply(
            tenant, request.document, base_version=request.base_version
        )
        await self._followed.wait_for(tenant, record.version)
        return pb.ApplyPolicyResponse(policy=_to_proto(tenant, record), warnings=warnings)

    async def GetPolicy(
        self, request: pb.GetPolicyRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Policy:
        tenant = self._tenant(request.tenant)
        if request.version < 0:
            raise InvalidInput("version", "version is below 0; versions count from 1")
        return kept_to_proto(tenant, await self._registry.read(tenant, request.version))

    async def TestPolicy(
        self, request: pb.TestPolicyRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.TestPolicyResponse:
        tenant = self._tenant(request.tenant)
        found = await self._simulations.test(
            tenant,
            request.document or await self._in_force(tenant),
            request.cases,
            request.hook_answers,
            request.latencies,
        )
        return pb.TestPolicyResponse(
            results=[
                pb.PolicyCaseResult(
                    name=one["name"],
                    unit_id=one["unit"],
                    rule=one["rule"],
                    reason=one["reason"],
                    broken=one["broken"],
                )
                for one in found["results"]
            ],
            hooks_away=found["hooks_away"],
        )

    async def SimulatePolicy(
        self, request: pb.SimulatePolicyRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.SimulatePolicyResponse]:
        tenant = self._tenant(request.tenant)
        current = request.current or await self._in_force(tenant)
        async with aclosing(self._simulations.simulate(_asked(request, tenant, current))) as told:
            async for one in told:
                if isinstance(one, Progress):
                    yield pb.SimulatePolicyResponse(
                        progress=pb.SimulationProgress(
                            doing=one.doing, done=one.done, total=one.total
                        )
                    )
                    continue
                for response in _parts(one):
                    yield response

    async def MoveByPolicy(
        self, request: pb.MoveByPolicyRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.MoveByPolicyResponse:
        tenant = self._tenant(request.tenant)
        for field in ("policy_version", "undo_version"):
            if getattr(request, field) < 0:
                raise InvalidInput(field, f"{field} is below 0; versions count from 1")
        async with self._counting:
            return await self._move(tenant, request)

    async def _move(self, tenant: str, request: pb.MoveByPolicyRequest) -> pb.MoveByPolicyResponse:
        undone, moves = request.undo_version, self._moves
        if undone and request.plan:
            raise InvalidInput("plan", "who moves back goes where it was; leave the plan out")
        if undone and request.dry_run:
            return pb.MoveByPolicyResponse(moves=await moves.count_back(tenant, undone))
        if request.dry_run:
            version, plan = await moves.plan(tenant, request.policy_version)
            return pb.MoveByPolicyResponse(
                policy_version=version,
                plan=[
                    pb.PolicyWay(from_unit_id=source, to_unit_id=target, clients=clients)
                    for (source, target), clients in list(plan.ways.items())[:MOST_WAYS]
                ],
                moves=plan.moves,
                stay=plan.stay,
                stay_reason=plan.stay_reason,
            )
        if undone:
            job = await moves.move_back(tenant, undone, request.rate_per_s)
        else:
            if len(request.plan) > MOST_WAYS:
                raise InvalidInput("plan", f"the plan has more than {MOST_WAYS:,} ways")
            ways = [Way(one.from_unit_id, one.to_unit_id, one.clients) for one in request.plan]
            job = await moves.move(tenant, request.policy_version, ways, request.rate_per_s)
        return pb.MoveByPolicyResponse(policy_version=job.policy_version, job=job_to_proto(job))

    async def _in_force(self, tenant: str) -> str:
        """The document; empty: there is none. Raises DataLoss."""
        record = (await self._registry.read(tenant)).record
        return record.document if record is not None else ""

    def _tenant(self, name: str) -> str:
        return self._fleet_view.tenant_or_raise(name or DEFAULT_TENANT.id).id

    async def _check(
        self, tenant: str, document: str, allow_unmatched: bool
    ) -> tuple[CompiledPolicy, list[str]]:
        """The policy, and what hinders nothing. Raises FaultyPolicy, InvalidInput."""
        if len(document) > MOST_BYTES:
            raise InvalidInput("document", f"the document is larger than {MOST_BYTES:,} bytes")
        units = self._fleet_view.fleet.units
        default = self._followed.default
        allowed = [name for name, hook in self._hooks.items() if hook.serves(tenant)]

        def work() -> tuple[CompiledPolicy, list[str]]:
            compiled = compile_policy(
                document, tenant=tenant, revision=0, base=default, wall=self._followed.wall
            )
            if unknown := unknown_hooks(compiled.document, allowed):
                raise FaultyPolicy(unknown)
            needed, other = unmatched(compiled.document, units)
            if needed and not allow_unmatched:
                raise FaultyPolicy([*needed, UNMATCHED])
            return compiled, [*needed, *other]

        async with self._compiling, asyncio.timeout(COMPILE_S):
            return await asyncio.to_thread(work)


def kept_to_proto(tenant: str, kept: KeptPolicy) -> pb.Policy:
    """Of what the store holds."""
    if kept.record is None:
        return pb.Policy(tenant=tenant)
    found = _to_proto(tenant, kept.record)
    found.kept_versions.extend(kept.versions)
    return found


def _asked(request: pb.SimulatePolicyRequest, tenant: str, current: str) -> Asked:
    return Asked(
        tenant=tenant,
        current=current,
        document=request.document,
        as_it_is=not request.document,
        live=request.population == pb.POLICY_POPULATION_LIVE,
        users=request.users or USERS,
        exact=request.exact,
        growth=request.growth or 1.0,
        without=tuple(request.without_unit_ids),
        sun=request.sun,
        price_label=request.price_label,
        seed=request.seed,
        hook_answers=request.hook_answers,
        page=request.page,
        picture=request.picture,
        latencies=request.latencies,
        attribute_shares=[(one.name, one.value, one.percent) for one in request.attribute_shares],
    )


def _parts(answer: Mapping[str, Any]) -> list[pb.SimulatePolicyResponse]:
    """Report, page and picture, in messages that a client takes."""
    found = [
        pb.SimulatePolicyResponse(**{name: answer[name][at : at + PART_BYTES]})
        for name in ("report", "page", "picture")
        for at in range(0, len(answer[name]), PART_BYTES)
    ]
    found[-1].hooks_away.extend(answer["hooks_away"])
    return found


def _effect_to_proto(effect: PolicyEffect) -> pb.PolicyEffect:
    return pb.PolicyEffect(
        clients=effect.clients,
        nowhere=effect.nowhere,
        displaced=effect.displaced,
        partial=not effect.whole,
        nowhere_by_rule=effect.by_rule,
        by_certainty=effect.by_certainty,
    )


def _to_proto(tenant: str, record: PolicyRecord) -> pb.Policy:
    found = pb.Policy(tenant=tenant, version=record.version, document=record.document)
    if record.at_ms:
        applied = Timestamp()
        applied.FromMilliseconds(record.at_ms)
        found.applied_time.CopyFrom(applied)
    return found
