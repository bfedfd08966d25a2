"""A city on the antimeridian is as small as any other: its places, zone, stays, bounds and reference system (reliability.md §5: 40)."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from engine.city.antimeridian import beside, bounds_of, unwrap_points
from engine.city.reading import seen_of
from engine.city.stays import StayRules, find_stays
from engine.city.zones import guess_zone
from tests.engine.city.upload_files import GOLDEN, bring, choose, city_of, fatal, table, warnings


def fiji() -> list[list[str]]:
    """Check-ins in Taveuni, Fiji, in wall-clock time: v0 lies on the antimeridian itself and is seen on either side of it."""
    east_of_it = {"v1": "179.9500", "v2": "-179.9500", "v3": "-179.9000"}
    rows = []
    for index, row in enumerate(GOLDEN):
        longitude = east_of_it.get(row[1], "179.9999" if index % 3 else "-179.9999")
        rows.append([*row[:2], "-16.8000", longitude, row[4].rstrip("Z"), row[5]])
    return rows


def test_check_ins_on_both_sides_are_one_city(tmp_path: Path) -> None:
    upload = bring(tmp_path, {"taveuni.csv": table(fiji())})
    assert "LOCATION_MOVES" not in warnings(upload)
    west, _, east, _ = seen_of(upload).bounds
    city = city_of(upload)
    assert abs(city.spatial("locations").set_index("location_id").geometry["v0"].x) == pytest.approx(179.9999, abs=1e-6)
    assert (city.time_zone, city.metric_crs in ("EPSG:32760", "EPSG:32701")) == ("Pacific/Fiji", True)
    assert east - west == pytest.approx(0.15)


def test_a_place_that_moves_for_real_is_still_warned_about(tmp_path: Path) -> None:
    rows = fiji()
    rows[0][3] = "179.5000"
    assert warnings(bring(tmp_path, {"taveuni.csv": table(rows)}))["LOCATION_MOVES"].rows == 1


@pytest.mark.parametrize(
    ("west", "east", "is_near"), [("179.8", "-179.7", True), ("-179.7", "-179.5", True), ("170.1", "170.2", False)]
)
def test_places_are_compared_with_zones_across_the_line(tmp_path: Path, west: str, east: str, is_near: bool) -> None:
    """Zones are cut at the line, as GeoJSON wants it, or lie on one side."""
    halves = [(west, "180"), ("-180", east)] if float(west) > float(east) else [(west, east)]
    rings = [f"[[[{a},-17],[{b},-17],[{b},-16.6],[{a},-16.6],[{a},-17]]]" for a, b in halves]
    zones = table([[str(row), "Polygon", f'"{ring}"'] for row, ring in enumerate(rings)], ["geo_id", "type", "coordinates"])
    upload = bring(tmp_path, {"taveuni.csv": table(fiji()), "zones.geo": zones})
    assert not fatal(upload)
    assert ("FAR_APART" not in warnings(upload)) == is_near


def test_the_zone_of_points_on_both_sides_is_guessed_from_their_middle() -> None:
    guess = guess_zone(np.array([179.9, 179.99, -179.99, -179.9]), np.full(4, -16.8))
    assert guess.name == "Pacific/Fiji"
    assert guess.certain


def test_stays_on_the_line_lie_on_it() -> None:
    minutes = np.arange(0, 130, 10)
    longitude = np.where(minutes % 20 == 0, 179.9999, -179.9999)
    longitude[-1] = 179.0
    stays, _ = find_stays(np.zeros(13, int), minutes * 60_000_000, longitude, np.full(13, -16.8), StayRules())
    assert len(stays) == 1
    assert abs(beside(stays["longitude"].iloc[0], 180.0) - 180.0) < 0.001


def test_gps_points_on_the_line_make_a_place_on_it(tmp_path: Path) -> None:
    rows = []
    for minute in range(480):
        moment = pd.Timestamp("2012-04-03 08:00") + pd.Timedelta(minutes=minute)
        longitude = ("179.99999", "-179.99999")[minute % 2] if minute // 120 % 2 == 0 else "179.9000"
        rows.append(["u0", moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "-16.8", longitude])
    upload = bring(tmp_path, {"x.csv": table(rows, ["user", "time", "lat", "lon"])}, choose(reader="gps", least_stays=1))
    assert city_of(upload).spatial("locations").geometry.x.abs().min() > 179.8


def test_a_turn_of_the_globe_leaves_what_is_beside_exactly_as_it_is() -> None:
    near = np.array([-73.9897, 13.4, 180.0, -180.0])
    assert beside(near, 0.0).tolist() == near.tolist()
    assert beside(np.array([-179.9, 179.9]), 180.0) == pytest.approx([180.1, 179.9])
    world = np.array([-170.0, -60.0, 10.0, 100.0, 175.0])
    assert unwrap_points(world).tolist() == [190.0, 300.0, 10.0, 100.0, 175.0]
    assert unwrap_points(np.array([-80.0, 10.0, 95.0])).tolist() == [-80.0, 10.0, 95.0]


def test_bounds_of_shapes_cut_at_the_line_reach_beyond_it() -> None:
    halves = shapely.MultiPolygon([shapely.box(179.5, -17, 180, -16), shapely.box(-180, -17, -179.5, -16)])
    assert bounds_of(gpd.GeoSeries([halves], crs="EPSG:4326")) == (179.5, -17.0, 180.5, -16.0)
