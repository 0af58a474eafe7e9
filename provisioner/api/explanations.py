"""Explanations: where a client would go and why, with what its tenant's policy makes of it."""

from __future__ import annotations

import asyncio
from math import inf

from control_plane.errors import ServiceError
from control_plane.serving.status import duration
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.applied_policies.pin_record import PinRecord
from provisioner.geo.location import Location
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.voices import Estimate
from provisioner.placement.explanation import Explanation, UnitVerdict
from provisioner.placement.latency import CapInForce
from provisioner.placement_hooks.hooked_policies import SaidByHook
from provisioner.policy.compiled import client_of
from provisioner.policy.explaining import PolicyExplanation, explain_policy, sentence_of
from provisioner.provisioning.response_encoding import location_message

EXPLAIN_S = 10.0  # for the rules of one policy, clause by clause
_VERDICTS = {
    UnitVerdict.CHOSEN: pb.PLACEMENT_VERDICT_CHOSEN,
    UnitVerdict.RANKED: pb.PLACEMENT_VERDICT_RANKED,
    UnitVerdict.EXCLUDED: pb.PLACEMENT_VERDICT_EXCLUDED,
}


async def explained(
    tenant: str,
    client_key: bytes,
    location: Location,
    how: str,
    explanation: Explanation,
    policies: FollowedPolicies | None,
    said: SaidByHook | None = None,
    waits_since_ms: int = 0,
    *,
    with_rules: bool,
    latencies: LatencyKeeper | None = None,
    no_place: ServiceError | None = None,
) -> pb.ExplainPlacementResponse:
    """The answer, without what the client has now. client_key: as `with_attributes` has it.
    with_rules: whether the caller may see the policy's rules, and what of other clients is known of
    latencies; said: by its hook, None: it has none; waits_since_ms: for room, 0: it begins now;
    no_place: why its tenant may have no further client, None: it may.
    Raises TimeoutError."""
    client_id = client_of(client_key)
    response = explanation_to_proto(location, how, explanation)
    if latencies is not None and with_rules:
        measured = latencies.believed.estimates.get(location.cell, {})
        for unit in response.units:
            if known := measured.get(unit.unit_id):
                unit.measured.CopyFrom(measured_to_proto(known))
    compiled = policies.compiled(tenant) if policies is not None and with_rules else None
    policy = None
    if compiled is not None:
        async with asyncio.timeout(EXPLAIN_S):
            policy = await asyncio.to_thread(explain_policy, compiled, location, client_key)
        response.policy.CopyFrom(policy_to_proto(policy))
        if said is not None:
            response.policy.hook.CopyFrom(hook_to_proto(said))
    pin = policies.pins.of(client_key) if policies is not None and with_rules else None
    if pin is not None:
        response.pin.CopyFrom(pin_to_proto(pin))
    best = explanation.units[0] if explanation.rule else None
    if no_place is not None:
        response.quota_reason = str(no_place)
        response.sentence = sentence_of(client_id, "", response.quota_reason, policy)
    elif best is None:
        response.sentence = sentence_of(client_id, "", explanation.refusal, policy)
    else:
        response.sentence = sentence_of(client_id, best.id, best.reason, policy)
    if explanation.cap is not None:
        response.cap.CopyFrom(cap_to_proto(explanation.cap, waits_since_ms))
        response.sentence += f"; {explanation.cap.words}"
    if pin is not None:
        response.sentence += f"; it is pinned to {pin.unit or 'a unit that cannot be read'}"
    return response


def measured_to_proto(known: Estimate) -> pb.MeasuredFigure:
    """What clients of one place measured to a unit."""
    return pb.MeasuredFigure(
        round_trip=duration(known.ms / 1_000.0),
        reports=known.reports,
        networks=known.networks,
        age=duration(known.age_s),
    )


def cap_to_proto(cap: CapInForce, waits_since_ms: int) -> pb.ExplainedCap:
    """The cap in latency that holds for who waits since then, Unix ms; 0: begins now."""
    made = pb.ExplainedCap()
    if cap.limit_ms < inf:
        made.limit.CopyFrom(duration(cap.limit_ms / 1_000.0))
    if waits_since_ms:
        made.since_time.FromMilliseconds(waits_since_ms)
    if cap.left_s < inf:
        made.relaxes_after.CopyFrom(duration(cap.left_s))
        if cap.next_ms < inf:
            made.next_limit.CopyFrom(duration(cap.next_ms / 1_000.0))
    return made


def pin_to_proto(pin: PinRecord) -> pb.ExplainedPin:
    """In which unit a client has to live."""
    made = pb.ExplainedPin(unit_id=pin.unit, reason=pin.reason)
    if pin.until_ms:
        made.until_time.FromMilliseconds(pin.until_ms)
    return made


def hook_to_proto(said: SaidByHook) -> pb.ExplainedHook:
    """What a hook says of a client."""
    made = pb.ExplainedHook(
        name=said.name,
        told_attributes=dict(said.told.attributes),
        told_groups=said.told.groups,
    )
    if said.answer is not None:
        made.answered = True
        made.order.extend(said.answer.order)
        made.vetoed.extend(sorted(said.answer.vetoed))
        made.age.CopyFrom(duration(said.age_s))
    return made


def policy_to_proto(policy: PolicyExplanation) -> pb.ExplainedPolicy:
    """What a policy makes of a client."""
    return pb.ExplainedPolicy(
        version=policy.version,
        certainty=policy.certainty.value,
        groups=policy.groups,
        rings=policy.rings,
        attributes=policy.attributes,
        rules=[
            pb.ExplainedRule(name=rule.name, holds=rule.holds, reason=rule.why)
            for rule in policy.rules
        ],
    )


def explanation_to_proto(
    location: Location, how: str, explanation: Explanation
) -> pb.ExplainPlacementResponse:
    """Where a client would go and why."""
    return pb.ExplainPlacementResponse(
        location=location_message(location),
        location_reason=how,
        rule=explanation.rule,
        units=[
            pb.ConsideredUnit(
                unit_id=unit.id,
                verdict=_VERDICTS[unit.verdict],
                reason=unit.reason,
                distance_km=-1.0 if unit.distance_km is None else unit.distance_km,
                load=unit.load,
                rank=unit.rank,
                bias=unit.bias,
            )
            for unit in explanation.units
        ],
    )
