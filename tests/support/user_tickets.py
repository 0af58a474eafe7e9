"""Tickets of users as the fleet signs them with EdDSA, and the key set that checks them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from control_plane.identity.jws import EddsaSigner
from control_plane.identity.keyring import KeyRing, new_epoch, signing_key
from control_plane.identity.tickets import TICKET_TYPE, TicketIssuer, eddsa_key_id

UNIT, TENANT = "eu-west", "home"


class Fleet:
    """One that issues tickets. now: Unix seconds."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._epoch = new_epoch(1, now=now - 60.0, random=os.urandom)
        self.issuer = TicketIssuer(KeyRing(epochs=(self._epoch,)))

    def key_set(self) -> bytes:
        return json.dumps(self.issuer.jwks(self.now)).encode()

    def ticket(
        self, client: str, *, tenant: str = TENANT, unit: str = UNIT, ttl_s: float = 3_600.0
    ) -> str:
        return self.issuer.issue_eddsa(unit, tenant, client, 1, self.now, ttl_s)

    def of_claims(self, *, typ: str = TICKET_TYPE, **claims: Any) -> str:
        """Whatever these keys might sign: a ticket of anna's but for these claims."""
        whole = {
            "iss": "homeport", "aud": UNIT, "sub": "anna", "tenant": TENANT, "epoch": 1,
            "iat": int(self.now), "exp": int(self.now) + 3_600, **claims,
        }  # fmt: skip
        kept = {name: value for name, value in whole.items() if value is not ...}
        signer = EddsaSigner(signing_key(self._epoch), key_id=eddsa_key_id(1), typ=typ)
        return signer.sign(json.dumps(kept).encode())

    def write_ticket(self, path: Path, client: str, **more: Any) -> Path:
        path.write_text(self.ticket(client, **more))
        path.chmod(0o600)
        return path
