"""Policies and clients for tests of what a tenant's rules come to."""

from __future__ import annotations

import textwrap

from control_plane import keys
from provisioner.placement.filters import PlacementPolicy
from provisioner.policy.compiling import compile_policy

NOON = 1_800_000_000.0  # Unix seconds


def compiled(rules, *, tenant="acme", base=None, wall=lambda: NOON, revision=7):
    """A policy of a YAML text without its first line."""
    return compile_policy(
        f"policy: 1\n{textwrap.dedent(rules)}",
        tenant=tenant,
        revision=revision,
        base=base or PlacementPolicy(),
        wall=wall,
    )


def client(name, tenant="acme"):
    """The key of a client's assignment."""
    return keys.assignment(tenant, name)


def rules_of(policy):
    """The names of the rules whose constraints a PlacementPolicy has, in order."""
    return list(dict.fromkeys(one.rule for one in policy.constraints))
