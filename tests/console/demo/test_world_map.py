"""The map of a provisioned world."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from console.demo.world_map import ATTRIBUTION, ClientsOnMap, UnitOnMap, draw_world

UNITS = [
    UnitOnMap(id="dublin", latitude=53.3, longitude=-6.3, clients=70, capacity=100),
    UnitOnMap(id="suva", latitude=-18.1, longitude=178.4, clients=3, capacity=3),
    UnitOnMap(id="empty", latitude=0.0, longitude=20.0, clients=0, capacity=10),
]
PLACES = [
    ClientsOnMap(latitude=53.0, longitude=-6.0, unit="dublin", clients=70),
    ClientsOnMap(latitude=-14.0, longitude=-171.0, unit="suva", clients=3),  # over the edge
]


def draw(folder: Path, *, units: list[UnitOnMap], places: list[ClientsOnMap]) -> tuple[Path, Path]:
    targets = (folder / "world.png", folder / "world.svg")
    draw_world(units, places, title="A title", subtitle="and more", targets=targets)
    return targets


def test_it_is_written_as_png_and_svg(tmp_path: Path) -> None:
    """One unit is full, one empty, one across the antimeridian from its clients."""
    png, svg = draw(tmp_path, units=UNITS, places=PLACES)
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


def test_a_world_without_clients_can_be_drawn(tmp_path: Path) -> None:
    png, _ = draw(tmp_path, units=UNITS, places=[])
    assert png.stat().st_size > 10_000


def test_the_same_world_is_the_same_picture(tmp_path: Path) -> None:
    """So that a picture under version control changes only when the world does."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = draw(tmp_path / "one", units=UNITS, places=PLACES)
    two = draw(tmp_path / "two", units=UNITS, places=PLACES)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_the_sources_are_named() -> None:
    """DB-IP's licence asks for it; Natural Earth is thanked."""
    assert "IP Geolocation by DB-IP" in ATTRIBUTION
    assert "Natural Earth" in ATTRIBUTION


@pytest.mark.parametrize(
    ("clients", "capacity", "load"),
    [
        pytest.param(0, 10, 0.0, id="empty"),
        pytest.param(5, 10, 0.5, id="half"),
        pytest.param(12, 10, 1.0, id="over a lowered capacity"),
        pytest.param(0, 0, 1.0, id="no capacity is full"),
    ],
)
def test_how_full_a_unit_is(clients: int, capacity: int, load: float) -> None:
    unit = UnitOnMap(id="u", latitude=0.0, longitude=0.0, clients=clients, capacity=capacity)
    assert unit.load == load
