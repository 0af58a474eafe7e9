"""The policy that a server has for a tenant, as simulations ask it."""

from __future__ import annotations

from console.cli.calls.policies import PolicyCalls
from console.cli.input.tenant_policy import policy_in, policy_of
from console.cli.output import busy
from console.cli.profile import Target
from simulation.policy.client_policy import ClientPolicy


def policy_in_force(target: Target) -> ClientPolicy:
    """Without one, nothing is asked of units but room. Raises FaultyPolicy where this command is
    older than the policy, and what calls raise."""
    with PolicyCalls(target) as service, busy("reading the policy"):
        document = service.get().document
    return policy_of(document, target.tenant) if document else policy_in(None, target.tenant)
