"""Users of two networks, which are there at once."""

from __future__ import annotations

import pytest

from provisioner.geo.database import GeoDatabase
from simulation.population.population import Population, population_of
from tests.support.mmdb import flat_record, write_mmdb


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Population:
    path = tmp_path_factory.mktemp("geo") / "tiny.mmdb"
    networks = {"81.2.69.0/24": "GB", "8.8.0.0/16": "US"}
    records = {network: flat_record(code, 51.5, -0.1) for network, code in networks.items()}
    path.write_bytes(write_mmdb(records, ip_version=6))
    return population_of(GeoDatabase.open(path))
