"""Callers of the decision side as tests give them: an operator of tenant home."""

from __future__ import annotations

import hashlib

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.auth.tokens import Tokens
from data_sharing.api.callers import Callers
from tests.support.fakes.call_context import FakeContext
from tests.support.rule_harness import TENANT

OPERATOR = FakeContext("operator-token")


def callers() -> Callers:
    ann = Caller(name="ann", roles=with_implied({Role.OPERATOR}), tenant=TENANT)
    tokens = Tokens({hashlib.sha256(b"operator-token").hexdigest(): ann})
    return Callers(AccessControl({}, tokens))
