"""Cells name a place, and are read back into one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.geo.cells import cell_of, location_of
from provisioner.geo.countries import continent_of
from provisioner.geo.location import NOWHERE


@given(
    st.sampled_from(["", "IE", "US", "FJ"]),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.floats(0, 99_999),
)
def test_a_cells_location_has_that_cell(country, latitude, longitude, uncertainty_km):
    cell = cell_of(country, latitude, longitude, uncertainty_km)
    location = location_of(cell)
    assert location.cell == cell
    assert (
        cell_of(location.country, location.latitude, location.longitude, location.uncertainty_km)
        == cell
    )
    assert location.latitude == pytest.approx(latitude, abs=0.051)
    assert location.continent == (continent_of(country) if country else "")


def test_a_country_without_a_position_keeps_to_its_country():
    location = location_of(cell_of("IE", None, None, 0.0))
    assert (location.country, location.latitude, location.continent) == ("IE", None, "EU")


@pytest.mark.parametrize("text", ["", "nowhere", "Ireland:", "IE:1,2~3", "IE:53.3,-6.3~20 "])
def test_what_is_no_cell_is_nowhere(text):
    assert location_of(text) is NOWHERE
