"""Who the users are: repeatable, public, where people are, and found where they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from provisioner.geo.address import Scope, parse, scope_of
from provisioner.geo.countries import countries
from provisioner.geo.database import GeoDatabase
from provisioner.geo.sampling import population_weights
from simulation.population.mixing import fractions, mixed_many
from simulation.population.population import Population, load_population, population_of
from tests.support.mmdb import flat_record, write_mmdb

USERS = 4_000


@pytest.fixture(scope="module")
def population() -> Population:
    return load_population()


def tiny(folder: Path, networks: dict[str, str], ip_version: int = 6) -> GeoDatabase:
    """A database in which each network is in a country."""
    path = folder / "tiny.mmdb"
    records = {network: flat_record(code, 51.5, -0.1) for network, code in networks.items()}
    path.write_bytes(write_mmdb(records, ip_version=ip_version))
    return GeoDatabase.open(path)


def test_the_same_number_and_seed_are_the_same_user(population: Population) -> None:
    once = [population.user(number, 5) for number in range(200)]
    assert once == [population.user(number, 5) for number in range(200)]
    assert once != [population.user(number, 6) for number in range(200)]


def test_users_are_told_apart_by_number_and_seed(population: Population) -> None:
    ids = {population.user(number, seed).client_id for number in range(300) for seed in range(3)}
    assert len(ids) == 900


def test_users_are_where_people_are_and_have_public_addresses(population: Population) -> None:
    users = [population.user(number, 1) for number in range(USERS)]
    addresses = [parse(user.address) for user in users]
    assert {scope_of(address) for address in addresses} == {Scope.PUBLIC}
    assert 0.2 < sum(address.version == 6 for address in addresses) / USERS < 0.4
    places = Counter(user.country for user in users)
    world = sum(population_weights().values())
    for code in ("IN", "CN", "US", "BR", "NG"):
        expected = countries()[code].population / world
        assert places[code] / USERS == pytest.approx(expected, rel=0.25)


def test_a_user_is_where_the_database_finds_its_address(population: Population) -> None:
    database = GeoDatabase.open()
    places = population.places_of(1_000, 500, 3)
    for number, place in zip(range(1_000, 1_500), places.tolist(), strict=True):
        user = population.user(number, 3)
        found = database.find(parse(user.address))
        assert found == population.places[place]
        assert found is not None
        assert found.country == user.country


def test_shares_by_place_are_what_users_come_to(population: Population) -> None:
    shares = population.shares_by_place()
    assert shares.sum() == pytest.approx(1.0)
    drawn = np.bincount(population.places_of(0, 400_000, 9), minlength=len(shares)) / 400_000
    assert np.abs(drawn - shares).sum() < 0.08  # of 3,000 places, by chance 0.055


def test_a_high_number_is_as_good_as_a_low_one(population: Population) -> None:
    far = population.user(10**15, 1)
    assert far.client_id == "user-1-1000000000000000"
    assert population.places_of(10**15, 1, 1)[0] in range(len(population.places))


def test_within_a_country_networks_count_by_their_size(tmp_path: Path) -> None:
    database = tiny(tmp_path, {"81.2.64.0/20": "GB", "81.3.64.0/22": "GB"}, ip_version=4)
    some = population_of(database, {"GB": 1.0})
    large = sum(some.user(number, 2).address.startswith("81.2.") for number in range(2_000))
    assert large / 2_000 == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_the_share_with_ipv6_is_an_option(tmp_path: Path, share: float, expected: float) -> None:
    database = tiny(tmp_path, {"::5102:4000/116": "GB", "2a02::/32": "GB"})
    some = population_of(database, {"GB": 1.0}, ipv6_share=share)
    sixes = sum(":" in some.user(number, 2).address for number in range(1_000))
    assert sixes / 1_000 == pytest.approx(expected, abs=0.06)


def test_a_country_with_one_kind_of_networks_has_all_its_users_there(tmp_path: Path) -> None:
    database = tiny(tmp_path, {"::5102:4000/116": "GB", "2a02::/32": "FR"})
    some = population_of(database, {"GB": 3.0, "FR": 1.0})
    kinds = Counter((u.country, ":" in u.address) for u in (some.user(n, 1) for n in range(1_000)))
    assert set(kinds) == {("GB", False), ("FR", True)}
    assert kinds["GB", False] / 1_000 == pytest.approx(0.75, abs=0.06)


def test_countries_that_are_not_in_the_database_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of these countries"):
        population_of(tiny(tmp_path, {"2a02::/32": "FR"}), {"XX": 1.0})


def test_a_place_is_that_of_the_network_that_bisecting_finds(population: Population) -> None:
    numbers = np.arange(3_000_000, 3_020_000, dtype=np.uint64)
    drawn = fractions(mixed_many(numbers, 7 * 4))
    networks = population.networks
    cumulative = np.cumsum(networks.shares)
    expected = networks.locations[np.searchsorted(cumulative / cumulative[-1], drawn, "right")]
    assert (population.places_of(3_000_000, 20_000, 7) == expected).all()
