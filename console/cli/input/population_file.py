"""A population of a file: clients, where they are and perhaps where they live, placed here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from console.cli.input.client_lines import numbered_lines
from console.cli.input.text_file import open_input
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location
from provisioner.geo.locator import Locator
from simulation.policy.listed_clients import ListedClients
from simulation.policy.population_lines import population_entries


def add_clients(
    file: Path, geo: Path | None, clients: ListedClients, advance: Callable[[int], None]
) -> None:
    """Tells `clients` those of the file, in its order. geo: another database than the bundled one,
    which is opened only where a line names an address. Raises InvalidInput for a line that is no
    client, and what opening files raises."""
    opened: list[GeoDatabase] = []

    def locate(address: str) -> Location:
        if not opened:
            opened.append(GeoDatabase.open(geo))
        return Locator(lambda: opened[0]).explain(address, None, None)[0]

    with open_input(file) as lines:
        for one in population_entries(numbered_lines(lines), locate):
            clients.add(one.client_id, one.location, one.unit, one.attributes)
            advance(1)
