"""Callers of the decision side as tests give them: an operator of tenant home, and an
application of it that may not operate."""

from __future__ import annotations

import hashlib

from control_plane.auth.tokens import Caller, Right, Tokens
from data_sharing.api.callers import Callers
from tests.support.fakes.call_context import FakeContext
from tests.support.rule_harness import TENANT

OPERATOR, APPLICATION = FakeContext("operator-token"), FakeContext("application-token")


def callers() -> Callers:
    return Callers(
        Tokens(
            {
                hashlib.sha256(b"operator-token").hexdigest(): Caller(
                    name="ann", rights=frozenset({Right.OPERATE}), tenant=TENANT
                ),
                hashlib.sha256(b"application-token").hexdigest(): Caller(
                    name="lamp", rights=frozenset({Right.PUBLISH}), tenant=TENANT,
                    application="lamp",
                ),
            }
        )
    )  # fmt: skip
