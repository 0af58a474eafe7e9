"""A tenant's policy of a file, as simulations and tests ask it."""

from __future__ import annotations

import time
from pathlib import Path

from console.cli.input.text_file import read_text
from provisioner.placement.filters import PlacementPolicy
from provisioner.policy.compiling import compile_policy
from simulation.policy.client_policy import ClientPolicy, OnePolicy, TenantPolicy


def policy_in(file: Path | None, tenant: str) -> ClientPolicy:
    """What the file says; None: nothing is asked of units but room. Raises FaultyPolicy, and
    CommandFailed where it cannot be read."""
    return OnePolicy(PlacementPolicy()) if file is None else policy_of(read_text(file), tenant)


def policy_of(text: str, tenant: str) -> ClientPolicy:
    """The same of its text. Raises FaultyPolicy."""
    base = PlacementPolicy()
    compiled = compile_policy(text, tenant=tenant, revision=0, base=base, wall=time.time)
    return TenantPolicy(compiled)
