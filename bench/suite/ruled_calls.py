"""New clients of a tenant with a policy, next to new clients of one without: of one server on one
etcd, asked by the same load processes in pairs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import grpc

from bench.load.load_processes import LoadProcesses
from bench.load.results import LoadResult
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.pairs import PAIRS, Side, ask_in_pairs, units_of
from bench.suite.processes import etcd, provisioner, scratch
from bench.suite.unary import COUNTS, check_provisioned
from bench.workloads import Provisions
from homeport.api.policy.v1 import policy_pb2, policy_pb2_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc

RULED, PLAIN = "ruled", "unruled"
APPLY_S = 30.0
# Twelve rules: residency, groups that few are in, rankings by country, a pool; and a canary ring.
POLICY = """
policy: 1
groups:
  government: {patterns: ["gov-*"]}
  testers: {ids: [anna, ben], patterns: ["test-*"]}
rings:
  canary: {share: 5, units: [eu-north, us-west, ap-southeast]}
pools:
  asia: {continents: [AS], spillover: anywhere}
  anywhere: {}
rules:
  - {name: eu-residency, when: location.continent == "EU", require: {continents: [EU]}}
  - {name: government, when: '"government" in client.groups', require: {countries: [US]}}
  - {name: no-old-hardware, forbid: {labels: {generation: old}}}
  - {name: americas, when: location.continent == "SA", require: {continents: [SA, NA, AS]}}
  - {name: far-north, when: location.latitude > 60.0, forbid: {labels: {climate: hot}}}
  - name: certain-germans
    when: location.country == "DE"
    location: strict
    rank: {prefer: [{countries: [DE, SE]}]}
  - {name: india, when: location.country == "IN", rank: {bias: [{units: [ap-south], percent: 20}]}}
  - {name: japan, when: location.country == "JP", pool: asia}
  - {name: kenya, when: location.country == "KE", rank: {by_country: {KE: [{countries: [ZA]}]}}}
  - {name: testers, when: '"testers" in client.groups', rank: {load: false}}
  - {name: unknown, when: location.certainty == "unknown", nowhere: spread}
  - {name: others, rank: {distance: true, load: true}}
"""


async def prepare(address: str) -> None:
    """Two tenants, one of which has the policy."""
    async with grpc.aio.insecure_channel(address) as channel:
        tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
        for name in (RULED, PLAIN):
            request = tenancy_pb2.ApplyTenantRequest(tenant=tenancy_pb2.Tenant(tenant=name))
            await tenants.ApplyTenant(request, timeout=APPLY_S)
        await policy_pb2_grpc.PolicyServiceStub(channel).ApplyPolicy(
            policy_pb2.ApplyPolicyRequest(tenant=RULED, document=POLICY, allow_unmatched=True),
            timeout=APPLY_S,
        )


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """One server stands throughout; each round asks for clients of both tenants in pairs."""
    count = COUNTS["new"] // (2 * PAIRS) // (5 if quick else 1)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(etcd(folder))
        server = stack.enter_context(provisioner(url, "auto", folder))
        asyncio.run(prepare(server["grpc"]))
        load = stack.enter_context(LoadProcesses())

        def ask(tenant: str) -> LoadResult:
            work = Provisions(run=secrets.token_hex(4), count=count, tenant=tenant)
            return check_provisioned(load.run(server["grpc"], work), existing=False)

        sides = [
            Side(name=f"{tenant}_new", pid=int(server["pid"]), run=partial(ask, tenant))
            for tenant in (RULED, PLAIN)
        ]
        ask_in_pairs(Samples(), *sides, pairs=1)  # warms everything up
        tick()
        for _ in range(rounds):
            ask_in_pairs(samples, *sides)
            tick()


RULED_CALLS = Measurement(
    name="single calls by a policy",
    ratios=(
        Ratio(key="provision_new_with_policy_vs_without", ours="ruled_new_per_s",
              ceiling="unruled_new_per_s", target=0.95, paired=True),
    ),
    units=units_of("ruled_new", "unruled_new"),
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
