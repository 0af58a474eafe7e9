"""Small fleets and places for tests of placement, and situations for property tests."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from control_plane.fleet.unit import ServedAreas, UnitId
from provisioner.geo.cells import cell_of
from provisioner.geo.location import NOWHERE, Location, LocationSource
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.latency import CapStep, LatencyCaps
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.ranking import PROXIMITY, Cost, Preference, Ranking
from provisioner.placement.selectors import Constraint, UnitSelector

CITIES = {
    "fiji": (-17.7, 177.4, "FJ", "OC"),
    "hawaii": (21.3, -157.9, "US", "OC"),
    "svalbard": (78.2, 15.6, "NO", "EU"),
    "dublin": (53.3, -6.3, "IE", "EU"),
    "frankfurt": (50.1, 8.7, "DE", "EU"),
    "nairobi": (-1.3, 36.8, "KE", "AF"),
    "oregon": (45.8, -119.7, "US", "NA"),
    "virginia": (38.9, -77.4, "US", "NA"),
}


def unit(name, index=0, **changes):
    latitude, longitude, country, continent = CITIES.get(name, (0.0, 0.0, "XX", ""))
    given = {
        "id": UnitId(name),
        "index": index,
        "latitude": latitude,
        "longitude": longitude,
        "country": country,
        "continent": continent,
    }
    return PlacementUnit(**{**given, **changes})


def fleet(*names, **changes):
    """Units by name; `changes` maps a name to what is different about it."""
    units = tuple(unit(name, index, **changes.get(name, {})) for index, name in enumerate(names))
    return PlacementFleet(units=units, revision=1)


def colocated(count, latitude=50.0, longitude=8.0):
    """Many units at one place."""
    return PlacementFleet(
        units=tuple(
            unit(f"u{n:04}", n, latitude=latitude, longitude=longitude) for n in range(count)
        ),
        revision=1,
    )


def at(latitude, longitude, *, country="", continent="", uncertainty_km=0.0):
    return Location(
        source=LocationSource.DECLARED,
        country=country,
        continent=continent,
        latitude=latitude,
        longitude=longitude,
        uncertainty_km=uncertainty_km,
        cell=cell_of(country, latitude, longitude, uncertainty_km, continent),
    )


def country_only(country, continent=""):
    return Location(
        source=LocationSource.DATABASE,
        country=country,
        continent=continent,
        cell=cell_of(country, None, None, 0.0, continent),
    )


def selector(units=(), countries=(), continents=(), labels=None):
    """Units by what they are; labels: name to one value or several."""
    return UnitSelector(
        units=frozenset(units),
        countries=frozenset(countries),
        continents=frozenset(continents),
        labels={
            name: frozenset([value] if isinstance(value, str) else value)
            for name, value in (labels or {}).items()
        },
    )


def only(rule="r", **which):
    """What a PlacementPolicy needs for its clients to live in these units alone."""
    return {"constraints": (Constraint(rule=rule, selector=selector(**which)),)}


def never(rule="r", **which):
    """The same, for them to live in none of these."""
    return {"constraints": (Constraint(rule=rule, selector=selector(**which), forbids=True),)}


def occupied(room, load):
    """An Occupancy with these."""
    occupancy = Occupancy(len(room))
    for index, (slots, share) in enumerate(zip(room, load, strict=True)):
        occupancy.update(index, slots, share)
    return occupancy


@dataclass
class Situation:
    units: tuple
    policy: PlacementPolicy
    location: Location
    tenant: str
    room: list
    load: list
    latencies: dict = field(default_factory=dict)  # ms by cell and unit

    @property
    def fleet(self):
        return PlacementFleet(
            units=self.units, revision=1, latencies=MeasuredByCell(self.latencies)
        )


@dataclass(frozen=True)
class MeasuredByCell:
    """Latencies of a table."""

    table: dict

    def of(self, cell, country, continent):
        return self.table.get(cell, {})


# Few distinct positions, so that units share them, and any others.
positions = st.one_of(
    st.sampled_from([(0.0, 179.9), (0.0, -179.9), (90.0, 0.0), (90.0, 77.0), (50.0, 8.0)]),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
)
countries = st.sampled_from([("DE", "EU"), ("FR", "EU"), ("KE", "AF")])
loads = st.one_of(st.sampled_from([0.0, 0.05, 0.5, 1.0]), st.floats(-0.1, 1.3))
rooms = st.sampled_from([-1, 0, 1, 50])


@st.composite
def locations(draw):
    kind = draw(st.sampled_from(["nowhere", "country", "position", "position", "position"]))
    if kind == "nowhere":
        return NOWHERE
    country, continent = draw(st.one_of(countries, st.just(("", ""))))
    if kind == "country" and country:
        return country_only(country, continent)
    latitude, longitude = draw(positions)
    uncertainty_km = draw(st.one_of(st.just(0.0), st.floats(0, 9000)))
    return at(latitude, longitude, country=country, continent=continent,
              uncertainty_km=uncertainty_km)  # fmt: skip


CAPS = LatencyCaps(cap_ms=50.0, relax_to_ms=100.0)
STEPS = (CapStep(after_s=60.0, to_ms=40.0), CapStep(after_s=120.0, to_ms=70.0))
RELAXING = LatencyCaps(cap_ms=20.0, relax_to_ms=20.0, steps=STEPS, limit_ms=70.0, rule="in-time")


@st.composite
def rankings(draw):
    """Mostly the usual one; else any mixture of what a ranking may have."""
    if draw(st.booleans()):
        return PROXIMITY
    which = st.sampled_from([selector(countries=["DE"]), selector(labels={"ring": "a"})])
    return Ranking(
        orders=draw(
            st.lists(
                st.sampled_from(
                    [
                        Preference(selectors=(selector(countries=["KE"]), selector())),
                        Preference(selectors=(selector(labels={"ring": "a"}),)),
                        Cost(label="cost", band=2.0),
                    ]
                ),
                max_size=2,
            ).map(tuple)
        ),
        by_distance=draw(st.sampled_from([True, True, False])),
        biases=draw(st.lists(st.tuples(which, st.floats(-99, 99)), max_size=2).map(tuple)),
        by_load=draw(st.sampled_from([True, True, False])),
        weights=draw(st.lists(st.tuples(which, st.floats(0.1, 9)), max_size=2).map(tuple)),
        latency=draw(
            st.sampled_from(
                [
                    None,
                    CAPS,
                    LatencyCaps(cap_ms=1.0, relax_to_ms=90.0),
                    RELAXING,
                ]
            )
        ),
    )


@st.composite
def situations(draw):
    """A fleet of 1 to 12 units in any state, a policy, and a client somewhere."""
    units = []
    for index, (latitude, longitude) in enumerate(draw(st.lists(positions, min_size=1,
                                                                max_size=12))):  # fmt: skip
        country, continent = draw(countries)
        taking = draw(st.integers(0, 9)) > 0
        units.append(
            unit(
                f"u{index}",
                index,
                latitude=latitude,
                longitude=longitude,
                country=country,
                continent=continent,
                weight=draw(st.sampled_from([0.5, 1.0, 3.0])),
                labels=draw(st.sampled_from([{}, {"cost": "1.5"}, {"cost": "9", "ring": "a"}])),
                accepting=taking,
                not_accepting_reason="" if taking else "cordoned",
                tenants=draw(st.sampled_from([(), (), (), ("acme",)])),
                serves=draw(
                    st.sampled_from(
                        [ServedAreas(), ServedAreas(), ServedAreas(countries=("DE",)),
                         ServedAreas(continents=("AF",))]
                    )
                ),
            )
        )  # fmt: skip
    location = draw(locations())
    known = st.dictionaries(st.sampled_from([one.id for one in units]), st.floats(0.1, 400))
    return Situation(
        units=tuple(units),
        latencies={location.cell: draw(known)} if draw(st.booleans()) else {},
        policy=PlacementPolicy(
            kept=draw(st.integers(1, 4)),
            nowhere=draw(st.sampled_from(["spread", "spread", "refuse"])),
            least_uncertainty_km=draw(st.sampled_from([0.0, 0.0, 500.0])),
            most_uncertainty_km=draw(st.sampled_from([float("inf"), 1000.0])),
            ranking=draw(rankings()),
            **draw(st.sampled_from([{}, {}, never(countries=["FR"])])),
        ),
        location=location,
        tenant=draw(st.sampled_from(["acme", "other"])),
        room=[draw(rooms) for _ in units],
        load=[draw(loads) for _ in units],
    )
