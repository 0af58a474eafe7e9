"""AttributeShares: which users of a population have which attributes, by share. Pure.

By a hash of the user and of the attribute's name: the same users have it in every run, whatever
else they have, and those who have it at one share have it at every larger one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from provisioner.placement.attributes import MOST_ATTRIBUTES, Attributes, is_attribute_name
from provisioner.policy.membership import BUCKETS, bucket_of


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


def parse_shares(given: Sequence[str]) -> AttributeShares:
    """Of texts `NAME=VALUE:PERCENT%`. Raises InvalidInput."""
    shares = []
    together: dict[str, int] = {}
    for one in given:
        said, colon, percent = one.rpartition(":")
        name, equals, value = said.partition("=")
        try:
            share = round(float(percent.removesuffix("%")) * BUCKETS / 100)
        except (ValueError, OverflowError):
            share = -1
        if not (colon and equals and value and is_attribute_name(name) and 0 <= share <= BUCKETS):
            raise InvalidInput(
                "attribute", f"{quoted(one)} is not NAME=VALUE:PERCENT%, as kind=government:5%"
            )
        together[name] = together.get(name, 0) + share
        shares.append((name, value, share))
    if len(together) > MOST_ATTRIBUTES:
        raise InvalidInput("attribute", f"a client has at most {MOST_ATTRIBUTES} attributes")
    for name, share in together.items():
        if share > BUCKETS:
            raise InvalidInput(
                "attribute", f"the shares of {name} are {share * 100 / BUCKETS:g} % together"
            )
    return AttributeShares(tuple(shares))
