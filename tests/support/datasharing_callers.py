"""Callers of the decision side as tests give them: an operator of tenant home."""

from __future__ import annotations

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from data_sharing.api.callers import Callers
from tests.support.credentials import authenticator_of, tokens_of
from tests.support.fakes.call_context import FakeContext
from tests.support.rule_harness import TENANT

OPERATOR = FakeContext("operator-token")


def callers() -> Callers:
    ann = Caller(name="ann", roles=with_implied({Role.OPERATOR}), tenant=TENANT)
    tokens = tokens_of(**{"operator-token": ann})
    return Callers(AccessControl({}, authenticator_of(tokens)))
