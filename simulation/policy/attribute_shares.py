"""AttributeShares: which users of a population have which attributes, by share. Pure.

By a hash of the user and of the attribute's name: the same users have it in every run, whatever
else they have, and those who have it at one share have it at every larger one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from provisioner.placement.attributes import MOST_ATTRIBUTES, Attributes, is_attribute_name
from provisioner.policy.membership import BUCKETS, bucket_of
from provisioner.policy.told_attributes import check_told


class ToldShare(NamedTuple):
    """percent: of the users who have this value."""

    name: str
    value: str
    percent: float


@dataclass(frozen=True, slots=True)
class AttributeShares:
    """shares: name, value, and how many of BUCKETS users have it, of one name behind each other."""

    shares: tuple[tuple[str, str, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.shares)

    def of(self, client_key: bytes) -> Attributes:
        """Of the user with this key."""
        user = client_key.decode()
        buckets = {name: bucket_of(name, "attribute", user) for name, _, _ in self.shares}
        found: dict[str, str] = {}
        for name, value, share in self.shares:
            if 0 <= buckets[name] < share:
                found[name] = value
            buckets[name] -= share if name not in found else BUCKETS
        return found


NO_SHARES = AttributeShares()


def parse_shares(given: Sequence[str]) -> list[ToldShare]:
    """Of texts `NAME=VALUE:PERCENT%`. Raises InvalidInput."""
    found = []
    for one in given:
        said, colon, percent = one.rpartition(":")
        name, equals, value = said.partition("=")
        try:
            share = float(percent.removesuffix("%"))
        except ValueError:
            share = -1.0
        if not (colon and equals and value and is_attribute_name(name) and 0.0 <= share <= 100.0):
            raise InvalidInput(
                "attribute", f"{quoted(one)} is not NAME=VALUE:PERCENT%, as kind=government:5%"
            )
        found.append(ToldShare(name, value, share))
    return found


def shares_of(told: Sequence[ToldShare]) -> AttributeShares:
    """Raises InvalidInput for what no client can have, or more than all have together."""
    shares = []
    together: dict[str, int] = {}
    for name, value, percent in told:
        check_told({name: value})
        if not value or not 0.0 <= percent <= 100.0:
            raise InvalidInput(
                "attribute_shares",
                f"the share of {name} has {percent:g} % and the value {quoted(value)}; give 0 to "
                "100, and a value",
            )
        share = round(percent * BUCKETS / 100)
        together[name] = together.get(name, 0) + share
        shares.append((name, value, share))
    if len(together) > MOST_ATTRIBUTES:
        raise InvalidInput("attribute_shares", f"a client has at most {MOST_ATTRIBUTES} attributes")
    for name, share in together.items():
        if share > BUCKETS:
            raise InvalidInput(
                "attribute_shares", f"the shares of {name} are {share * 100 / BUCKETS:g} % together"
            )
    return AttributeShares(tuple(shares))
