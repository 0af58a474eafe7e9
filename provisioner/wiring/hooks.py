"""Hooks of policies: those that the operator's file names, ready to be asked.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from grpc import aio

from control_plane.supervision import Supervisor
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.placement_hooks.asked_hook import AskedHook
from provisioner.placement_hooks.configured import ConfiguredHook, read_hooks
from provisioner.placement_hooks.grpc_hook import GrpcHook, plain_channel, tls_channel
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from provisioner.settings import Settings


def build_hooks(
    settings: Settings, policies: FollowedPolicies, supervisor: Supervisor, stack: AsyncExitStack
) -> HookedPolicies:
    """Over the policies as they are followed; connections end with `stack`. Raises InvalidInput."""
    configured = read_hooks(settings.policy_hooks) if settings.policy_hooks is not None else {}
    hooks = {}
    for name, one in configured.items():
        hook = AskedHook(
            name,
            GrpcHook(_connect(one)),
            tenants=one.tenants,
            at_once=one.at_once,
            clock=time.monotonic,
        )
        stack.push_async_callback(hook.close)
        hooks[name] = hook
    return HookedPolicies(
        policies,
        hooks,
        supervisor=supervisor,
        clock=time.monotonic,
        groups_of=policies.groups_of,
    )


def _connect(hook: ConfiguredHook) -> Callable[[], aio.Channel]:
    endpoint, ca = hook.endpoint, hook.ca
    if ca is None:
        return lambda: plain_channel(endpoint)
    return lambda: tls_channel(endpoint, ca, hook.certificate, hook.key)
