"""`homeport geo`: what the geo database knows. Needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.options import GeoFile, Output
from console.cli.output import Format, busy, show

if TYPE_CHECKING:
    from provisioner.geo.database import GeoDatabase

app = typer.Typer(help="The geo database.", no_args_is_help=True)


@app.command("info")
def info(geo: GeoFile = None, output: Output = Format.TABLE) -> None:
    """Verifies a database whole and says what it is."""
    import time

    from console.cli.views.geo import known_facts

    facts = _open(geo).info
    document = {
        "path": facts.path,
        "type": facts.database_type,
        "description": facts.description,
        "built": _day(facts.build_time_s),
        "age_days": _age_days(facts.build_time_s, time.time()),
        "build_epoch_fault": facts.build_epoch_fault or None,
        "ip_version": facts.ip_version,
        "nodes": facts.nodes,
        "ranges": facts.ranges,
        "locations": facts.locations,
        "size_bytes": facts.size_bytes,
        "sha256": facts.sha256,
        "attribution": facts.attribution,
    }
    show(document, output, lambda: known_facts(document))


@app.command("lookup")
def lookup(
    address: Annotated[str, typer.Argument(help="IPv4 or IPv6 address.", metavar="IP")],
    geo: GeoFile = None,
    output: Output = Format.TABLE,
) -> None:
    """Says where an address is, as the provisioning service would see it."""
    from console.cli.views.geo import known_facts
    from provisioner.geo.locator import Locator

    database = _open(geo)
    location, reason = Locator(lambda: database).explain(address, None, None)
    position = None
    if location.latitude is not None and location.longitude is not None:
        position = {"latitude": location.latitude, "longitude": location.longitude}
    document = {
        "address": address,
        "source": location.source.value,
        "country": location.country or None,
        "subdivision": location.subdivision or None,
        "continent": location.continent or None,
        "position": position,
        "uncertainty_km": location.uncertainty_km,
        "reason": reason,
        "attribution": database.info.attribution,
    }
    show(document, output, lambda: known_facts({**document, "position": _degrees(position)}))


def _open(path: Path | None) -> GeoDatabase:
    from provisioner.geo.database import GeoDatabase

    with busy("reading and verifying the geo database"):
        return GeoDatabase.open(path)


def _day(unix_s: float | None) -> str | None:
    import datetime

    if unix_s is None:
        return None
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).date().isoformat()


def _age_days(unix_s: float | None, now_s: float) -> int | None:
    return None if unix_s is None else max(0, round((now_s - unix_s) / 86_400))


def _degrees(position: dict[str, float] | None) -> str | None:
    from console.cli.views.numbers import exact

    if position is None:
        return None
    return f"{exact(position['latitude'])}, {exact(position['longitude'])}"
