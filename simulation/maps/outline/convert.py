"""Makes land.json, the bundled outline of the world's land, from world-atlas' land-50m.json.

Run by hand, once per edition of the source:

    npm pack world-atlas@2 && tar xzf world-atlas-2.*.tgz
    python simulation/maps/outline/convert.py package/land-50m.json

Unpacks the TopoJSON (https://github.com/topojson/topojson-specification), drops Antarctica and
specks, and keeps of every ring the points that matter at the size of a printed world map.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

TOLERANCE_DEG = 0.11  # 12 km: a third of a pixel on a map 2,000 pixels wide
SMALLEST_SQUARE_DEG = 0.12  # about 1,500 km² at the equator
SOUTHERNMOST_DEG = -60.0  # Antarctica has no users
UNIT_DEG = 0.01

Point = tuple[float, float]


def unpack_arcs(topology: dict[str, Any]) -> list[list[Point]]:
    """The shared arcs as longitude and latitude in degrees."""
    (scale_x, scale_y), (shift_x, shift_y) = (
        topology["transform"]["scale"],
        topology["transform"]["translate"],
    )
    arcs = []
    for deltas in topology["arcs"]:
        x = y = 0
        arc = []
        for dx, dy in deltas:
            x, y = x + dx, y + dy
            arc.append((x * scale_x + shift_x, y * scale_y + shift_y))
        arcs.append(arc)
    return arcs


def stitch(indices: Sequence[int], arcs: Sequence[Sequence[Point]]) -> list[Point]:
    """One closed ring from arcs; a negative index is an arc walked backwards."""
    ring: list[Point] = []
    for index in indices:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        ring.extend(arc if not ring else arc[1:])
    return ring


def unrolled(ring: Sequence[Point]) -> list[Point]:
    """The ring without jumps at the antimeridian; its longitudes may leave -180 to 180."""
    turn = 0.0
    smooth = [ring[0]]
    for (before, _), (x, y) in pairwise(ring):
        if abs(x - before) > 180.0:
            turn += math.copysign(360.0, before - x)
        smooth.append((x + turn, y))
    return smooth


def clipped(ring: Sequence[Point], edge: float, side: int) -> list[Point]:
    """The part of a ring east (side 1) or west (-1) of a meridian, closed; may be empty.
    One edge of Sutherland and Hodgman's clipping (1974)."""
    part: list[Point] = []
    for (x0, y0), (x1, y1) in pairwise(ring):
        starts_inside, ends_inside = (x0 - edge) * side >= 0, (x1 - edge) * side >= 0
        if starts_inside != ends_inside:
            part.append((edge, y0 + (y1 - y0) * (edge - x0) / (x1 - x0)))
        if ends_inside:
            part.append((x1, y1))
    return [*part, part[0]] if part else []


def cut_at_antimeridian(ring: Sequence[Point]) -> list[list[Point]]:
    """The ring in one to three pieces, each within -180 to 180 degrees."""
    smooth = unrolled(ring)
    pieces = []
    for turn in (-360.0, 0.0, 360.0):
        moved = [(x + turn, y) for x, y in smooth]
        piece = clipped(clipped(moved, -180.0, 1), 180.0, -1)
        if piece:
            pieces.append(piece)
    return pieces


def area_square_deg(ring: Sequence[Point]) -> float:
    """Area as the eye sees it: square degrees, narrowed by the cosine of the latitude."""
    doubled = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))
    middle = sum(y for _, y in ring) / len(ring)
    return abs(doubled) / 2 * math.cos(math.radians(middle))


def distance_deg(point: Point, start: Point, end: Point) -> float:
    """From a point to the segment between two others, with the same narrowing."""
    narrow = math.cos(math.radians(point[1]))
    px, py = (point[0] - start[0]) * narrow, point[1] - start[1]
    ex, ey = (end[0] - start[0]) * narrow, end[1] - start[1]
    length = ex * ex + ey * ey
    along = 0.0 if length == 0 else max(0.0, min(1.0, (px * ex + py * ey) / length))
    return math.hypot(px - along * ex, py - along * ey)


def simplify(ring: Sequence[Point]) -> list[Point]:
    """Douglas and Peucker's line simplification (1973), without recursion."""
    keep = {0, len(ring) // 2, len(ring) - 1}
    open_spans = [(0, len(ring) // 2), (len(ring) // 2, len(ring) - 1)]
    while open_spans:
        first, last = open_spans.pop()
        if last - first < 2:
            continue
        gap, middle = max(
            (distance_deg(ring[i], ring[first], ring[last]), i) for i in range(first + 1, last)
        )
        if gap > TOLERANCE_DEG:
            keep.add(middle)
            open_spans += [(first, middle), (middle, last)]
    return [ring[i] for i in sorted(keep)]


def packed(ring: Sequence[Point]) -> list[int]:
    """x, y of the first point and then differences, all in hundredths of a degree."""
    numbers: list[int] = []
    x = y = 0
    for longitude, latitude in ring:
        to_x, to_y = round(longitude / UNIT_DEG), round(latitude / UNIT_DEG)
        if not numbers or (to_x, to_y) != (x, y):
            numbers += [to_x - x, to_y - y]
        x, y = to_x, to_y
    return numbers


def main(source: Path) -> None:
    topology = json.loads(source.read_text())
    arcs = unpack_arcs(topology)
    (land,) = topology["objects"]["land"]["geometries"]
    polygons = []
    for polygon in land["arcs"]:
        outer, *holes = (stitch(indices, arcs) for indices in polygon)
        if max(y for _, y in outer) < SOUTHERNMOST_DEG:
            continue
        pieces = [p for p in cut_at_antimeridian(outer) if area_square_deg(p) > SMALLEST_SQUARE_DEG]
        holes = [hole for hole in holes if area_square_deg(hole) > SMALLEST_SQUARE_DEG]
        pieces.sort(key=area_square_deg, reverse=True)
        for i, piece in enumerate(pieces):  # the only holes, Eurasia's, lie in its main piece
            polygons.append([packed(simplify(ring)) for ring in (piece, *(() if i else holes))])
    polygons.sort(key=lambda rings: -len(rings[0]))
    target = Path(__file__).with_name("land.json")
    target.write_text(json.dumps(polygons, separators=(",", ":")) + "\n")
    points = sum(len(ring) // 2 for rings in polygons for ring in rings)
    print(f"{target}: {len(polygons)} polygons, {points} points, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
