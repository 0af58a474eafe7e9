"""DomainNames: a table in place of DNS."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployment_units.services.mail_in.names import NamesUnavailable


@dataclass
class NameTable:
    """records: by name and kind. silent: names of which nothing is heard; asked: what was."""

    records: dict[tuple[str, str], tuple[str | bytes | tuple[int, str], ...]] = field(
        default_factory=dict
    )
    silent: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def ask(self, name: str, kind: str) -> tuple[str | bytes | tuple[int, str], ...]:
        """See DomainNames."""
        self.asked.append((name, kind))
        if name in self.silent:
            raise NamesUnavailable(f"nobody says what {name} is")
        return self.records.get((name, kind), ())
