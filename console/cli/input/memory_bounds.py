"""Bounds of memory of a tenant, as options give them: BOUND=NUMBER.

>>> parse_memory(["rule_keys=1000", "tenant_bytes=1048576"])
{'rule_keys': 1000, 'tenant_bytes': 1048576}
"""

from __future__ import annotations

import typer

OPTION = "--memory"
NONE = "none"
NAMES = (
    "rule_keys", "rule_bytes", "key_bytes", "tenant_keys", "tenant_bytes", "producer_keys",
    "producer_bytes",
)  # fmt: skip
MOST = 1 << 50


def parse_memory(given: list[str]) -> dict[str, int]:
    """Of all options; `none` alone: no bounds. Raises typer.BadParameter."""
    if NONE in given:
        if len(given) > 1:
            raise typer.BadParameter("`none` stands alone", param_hint=OPTION)
        return {}
    found: dict[str, int] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in NAMES:
            raise typer.BadParameter(
                f"{name or 'nothing'} is none of {', '.join(NAMES)}; write BOUND=NUMBER",
                param_hint=OPTION,
            )
        if name in found:
            raise typer.BadParameter(f"{name} is given twice", param_hint=OPTION)
        if not (value.isascii() and value.isdigit() and len(value) <= 16):
            raise typer.BadParameter(f"{text} is not {name}=NUMBER", param_hint=OPTION)
        if not 1 <= int(value) <= MOST:
            raise typer.BadParameter(f"{text} is not 1 to {MOST:,}", param_hint=OPTION)
        found[name] = int(value)
    return found
