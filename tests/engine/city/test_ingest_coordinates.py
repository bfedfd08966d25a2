"""Bad coordinates (reliability.md §5: 7-12): swapped, out of range, unknown, in metres, in degrees and minutes."""

from pathlib import Path

import numpy as np
import pytest

from tests.engine.city.upload_files import (
    GOLDEN,
    HEADER,
    PLACES,
    bring,
    choose,
    city_of,
    dropped,
    fatal,
    read_golden,
    table,
    warnings,
    with_cell,
)


def test_7_swapped_columns_out_of_range_are_refused_and_can_be_swapped(tmp_path: Path) -> None:
    """Tokyo, longitude 139.7 in the latitude column."""
    rows = [[*row[:2], "139.7", "35.68", *row[4:]] for row in GOLDEN]
    content = {"tokyo.csv": table(rows)}
    assert "swapped" in fatal(bring(tmp_path, content))["COORDINATES_SWAPPED"].found
    city = city_of(bring(tmp_path, content, choose(swap_coordinates=True)))
    assert city.spatial("locations").geometry.iloc[0].y == 35.68


def test_7_a_plausible_swap_is_asked_about_and_can_be_confirmed(tmp_path: Path) -> None:
    """New York the other way round lies in Antarctica: both values are in range, so only the place gives it away."""
    rows = [[*row[:2], row[3], row[2], *row[4:]] for row in GOLDEN]
    content = {"ny.csv": table(rows)}
    assert "COORDINATES_SWAPPED" in fatal(bring(tmp_path, content))
    assert not fatal(bring(tmp_path, content, choose(swap_coordinates=False)))
    mapped = choose()
    mapped.files["*"].mapping.update(latitude="longitude", longitude="latitude")
    assert city_of(bring(tmp_path, content, mapped)).time_zone == "America/New_York"


def test_7_places_that_fit_their_zones_only_when_swapped_are_warned_about(tmp_path: Path) -> None:
    """The venues lie at (13, 52) as written, the zones in Berlin at (52, 13)."""
    venues = [[place, f"13.4{index}", f"52.5{index}", "Bar"] for index, place in enumerate(PLACES)]
    zone = "[[[13.2,52.4],[13.6,52.4],[13.6,52.6],[13.2,52.6],[13.2,52.4]]]"
    files = {
        "venues.csv": table(venues, ["location_id", "latitude", "longitude", "category"]),
        "visits.csv": table([[row[0], row[1], row[4]] for row in GOLDEN], ["user_id", "location_id", "time"]),
        "zones.geo": table([["0", "Polygon", f'"{zone}"']], ["geo_id", "type", "coordinates"]),
    }
    confirmed = choose("venues.csv", swap_coordinates=False)
    assert "`swap_coordinates`" in warnings(bring(tmp_path, files, confirmed))["SWAP_SUSPECTED"].mend
    swapped = choose("venues.csv", swap_coordinates=True)
    assert not {"SWAP_SUSPECTED", "FAR_APART"} & set(warnings(bring(tmp_path, files, swapped)))


def test_7_places_far_from_their_zones_are_warned_about(tmp_path: Path) -> None:
    zone = "[[[13.2,52.4],[13.6,52.4],[13.6,52.6],[13.2,52.6],[13.2,52.4]]]"
    files = {"x.csv": table(GOLDEN), "zones.geo": table([["0", "Polygon", f'"{zone}"']], ["geo_id", "type", "coordinates"])}
    assert "FAR_APART" in warnings(bring(tmp_path, files))


def test_8_one_row_out_of_range_is_dropped_and_counted(tmp_path: Path) -> None:
    upload = read_golden(tmp_path, with_cell(GOLDEN, 7, "latitude", "95.5"))
    assert dropped(upload) == {"COORDINATES_RANGE": 1}
    assert warnings(upload)["COORDINATES_RANGE"].row == 7


def test_8_more_than_a_twentieth_out_of_range_is_refused(tmp_path: Path) -> None:
    rows = GOLDEN
    for row in (3, 9, 12):
        rows = with_cell(rows, row, "latitude", "-95.5")
        rows = with_cell(rows, row, "longitude", "-171.0")
    assert fatal(read_golden(tmp_path, rows))["COORDINATES_RANGE"].rows == 3


def test_9_null_island_is_dropped_and_counted(tmp_path: Path) -> None:
    rows = with_cell(with_cell(GOLDEN, 5, "latitude", "0.0"), 5, "longitude", "0")
    assert dropped(read_golden(tmp_path, rows)) == {"NULL_ISLAND": 1}


@pytest.mark.parametrize("value", ["", "NaN", "inf", "-Infinity", "null"])
def test_10_unknown_coordinates_do_not_become_points(tmp_path: Path, value: str) -> None:
    """With a location id the visit stays (other visits know the place); without one it is dropped and counted."""
    rows = with_cell(GOLDEN, 2, "longitude", value)
    kept = city_of(read_golden(tmp_path, rows))
    assert len(kept.table("visits")) == 40
    assert np.isfinite(kept.spatial("locations").geometry.x).all()
    nameless = [[row[0], *row[2:]] for row in rows]
    upload = bring(tmp_path, {"x.csv": table(nameless, ["user_id", *HEADER[2:]])}, choose(reader="checkins"))
    assert dropped(upload) == {"COORDINATES_MISSING": 1}


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32618", "E7"])
def test_11_metres_and_e7_are_asked_for_by_magnitude_and_then_converted(tmp_path: Path, crs: str) -> None:
    from pyproj import Transformer

    def projected(row: list[str]) -> list[str]:
        latitude, longitude = float(row[2]), float(row[3])
        if crs == "E7":
            return [*row[:2], str(round(latitude * 1e7)), str(round(longitude * 1e7)), *row[4:]]
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
        return [*row[:2], f"{y:.3f}", f"{x:.3f}", *row[4:]]

    content = {"m.csv": table([projected(row) for row in GOLDEN])}
    refused = fatal(bring(tmp_path, content))
    assert set(refused) == {"COORDINATES_E7" if crs == "E7" else "COORDINATES_METRIC"}
    assert "option `crs`" in next(iter(refused.values())).mend
    where = city_of(bring(tmp_path, content, choose(crs=crs))).spatial("locations").set_index("location_id").geometry
    assert where["v0"].y == pytest.approx(40.7411, abs=1e-6)
    assert where["v0"].x == pytest.approx(-73.9897, abs=1e-6)


def test_11_an_unknown_reference_system_is_refused(tmp_path: Path) -> None:
    assert "CRS" in fatal(read_golden(tmp_path, choices=choose(crs="EPSG:999999")))


def test_12_degrees_and_minutes_are_refused_with_an_example(tmp_path: Path) -> None:
    rows = [[*row[:2], "40°44'28\"N", "73°59'23\"W", *row[4:]] for row in GOLDEN]
    quoted = [[f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row] for row in rows]
    problem = fatal(bring(tmp_path, {"dms.csv": table(quoted)}))["COORDINATES_DMS"]
    assert "40.7411" in problem.mend
    assert problem.column == "latitude"
