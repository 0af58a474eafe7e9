"""What the store has of telephone numbers: values, as they are written.

A number is one tenant's: `numbers/<e164>` says whose. All else stands under the tenant, so that it
goes with it; what says that a number is a tenant's which has no record of it says nothing.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MOST_NUMBERS = 100_000  # of a tenant
MOST_TECHNICAL = 1_000  # of them; each unit has all of these in memory
MOST_OF_ACCOUNT = 8  # virtual ones


class NumberKind(StrEnum):
    """See the contract."""

    VIRTUAL = "virtual"
    TECHNICAL = "technical"


class NumberTenant(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a number is."""

    tenant: str


class NumberRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """since_ms: as it is, or added; Unix ms. account: that has it, empty: nobody; life_ms: of the
    client whose it is (see Holder). free_ms: from when on it may be assigned, Unix ms."""

    kind: NumberKind
    pool: str
    since_ms: int
    account: str = ""
    life_ms: int = 0
    free_ms: int = 0


class FreeNumber(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That a virtual number is nobody's; from_ms: and may be assigned from then on, Unix ms."""

    from_ms: int = 0


class AccountNumberBook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The virtual numbers of an account, the first assigned first. life_ms: of its client."""

    numbers: tuple[str, ...] = ()
    life_ms: int = 0


class TenantNumberBook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """technical: of the tenant, in order; countries: how many numbers it has in each, ISO 3166,
    empty: of no country."""

    technical: tuple[str, ...] = ()
    countries: dict[str, int] = {}

    @property
    def count(self) -> int:
        """Of all its numbers."""
        return sum(self.countries.values())

    def with_number(self, number: str, kind: NumberKind, country: str) -> TenantNumberBook:
        """The same with one more."""
        technical = self.technical
        if kind is NumberKind.TECHNICAL:
            technical = tuple(sorted({*technical, number}))
        countries = {**self.countries, country: self.countries.get(country, 0) + 1}
        return TenantNumberBook(technical=technical, countries=dict(sorted(countries.items())))

    def without(self, number: str, country: str) -> TenantNumberBook:
        """The same with one less."""
        left = self.countries.get(country, 0) - 1
        countries = {name: n for name, n in self.countries.items() if name != country}
        if left > 0:
            countries[country] = left
        return TenantNumberBook(
            technical=tuple(one for one in self.technical if one != number),
            countries=dict(sorted(countries.items())),
        )
