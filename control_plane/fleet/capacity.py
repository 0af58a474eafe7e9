"""CapacityRecord: how many slots a unit has and who reserved them, under capacity/<unit>.

Pure arithmetic on frozen values; who may write which change, and under which compares, is
the ledger protocol's business (docs/ledger.md). Slots are clients.

    clients at the unit = settled + sum of all usage/<unit>/*
    settled + sum of grants <= capacity   (unless capacity was lowered since)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from control_plane import keys


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRecord:
    """What a unit may hold and who has reserved how much of it."""

    capacity: int  # clients, as the operator set it
    settled: int = 0  # clients of settled provisioners
    grants: Mapping[str, int] = field(default_factory=dict)  # provisioner -> slots, each > 0
    open: bool = True  # False: takes no new clients, so nobody may take a grant

    @property
    def granted(self) -> int:
        """Slots reserved by provisioners, used or not."""
        return sum(self.grants.values())

    @property
    def free(self) -> int:
        """Slots that nobody reserved; negative after capacity was lowered below what is held."""
        return self.capacity - self.settled - self.granted

    @property
    def consistent(self) -> bool:
        """Whether a fence read together with this record may be adopted."""
        return self.free >= 0

    @property
    def vacant(self) -> bool:
        """Whether there can be no client: none is settled and nobody may have handed out any.
        Provisioners of other clusters stay in the record, so theirs must come to nothing."""
        elsewhere = all(keys.cluster_of(provisioner) for provisioner in self.grants)
        return elsewhere and self.settled + self.granted == 0

    def with_grant(self, provisioner: str, slots: int) -> CapacityRecord:
        """`provisioner` holds `slots` more (fewer when negative); an empty grant goes away."""
        grants = dict(self.grants)
        held = grants.pop(provisioner, 0) + slots
        if held < 0:
            raise ValueError(f"{provisioner} would hold {held} slots")
        if held:
            grants[provisioner] = held
        return replace(self, grants=grants)

    def settle(self, provisioner: str, *, usage: int, keep: int) -> CapacityRecord:
        """`usage` clients of the provisioner become settled and it keeps a grant of `keep`.

        Frees `grant - usage - keep` slots, which must not be negative.
        """
        held = self.grants.get(provisioner, 0)
        if usage + keep > held:
            raise ValueError(f"{provisioner} holds {held} slots, uses {usage}, cannot keep {keep}")
        settled = replace(self, settled=self.settled + usage)
        return settled.with_grant(provisioner, keep - held)

    def with_allowance(self, provisioner: str, slots: int) -> CapacityRecord:
        """`provisioner`, of another cluster, may have handed out `slots` in all, which may be
        none or fewer; it stays in the record until it is absorbed."""
        return replace(self, grants={**self.grants, provisioner: slots})

    def absorb(self, provisioner: str, *, usage: int) -> CapacityRecord:
        """All that a dead provisioner of another cluster handed out, net, becomes settled,
        and it is in the record no more. Raises ValueError where it used more than it might."""
        grants = dict(self.grants)
        held = grants.pop(provisioner)
        if usage > held:
            raise ValueError(f"{provisioner} may hand out {held} slots, and handed out {usage}")
        return replace(self, settled=self.settled + usage, grants=grants)


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(CapacityRecord)


def encode_capacity(record: CapacityRecord) -> bytes:
    """The record as JSON."""
    return _encoder.encode(record)


def decode_capacity(value: bytes) -> CapacityRecord:
    """Raises msgspec.ValidationError or msgspec.DecodeError on a damaged record."""
    return _decoder.decode(value)
