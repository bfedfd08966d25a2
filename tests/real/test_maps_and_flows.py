"""Real map layers, flows, street views and weather through the whole ingestion; see the README of each folder for what to expect."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image

from engine.city.graphs import adjacency
from engine.city.grid import cell_of, square_grid
from engine.city.ingest import IngestChoices, ingest, inspect
from engine.city.readers.base import FileChoices
from engine.city.schema import HOURS
from engine.errors import IngestError

pytestmark = pytest.mark.real


def zipped(folder, target):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{folder.name}/{path.relative_to(folder)}")
    return target


def test_taxi_zones_of_new_york_come_from_feet_to_degrees_with_islands_united(real_data, tmp_path):
    # 263 features; LocationID 56 stands twice and 103 three times, as TLC publishes them.
    path = zipped(real_data / "nyc_boundaries_and_stations" / "taxi_zones", tmp_path / "taxi_zones.zip")
    cells = ingest([path], "Taxi zones").spatial("cells")
    assert len(cells) == 260 and {"56", "103", "132"} <= set(cells["cell_id"])
    jfk = cells.set_index("cell_id").loc["132"]
    assert jfk["name"] == "JFK Airport" and jfk["district"] == "Queens"
    assert jfk.geometry.distance(shapely.Point(-73.7865, 40.6451)) < 0.02
    assert cells.is_valid.all()


def test_census_tracts_of_manhattan_agree_between_shapefile_and_flow_regions(real_data, tmp_path):
    path = zipped(real_data / "nyc_boundaries_and_stations" / "nyct2010", tmp_path / "nyct2010.zip")
    tracts = ingest([path], "Tracts").spatial("cells")
    assert len(tracts) == 2166
    assert tracts["district"].nunique() == 5
    regions = ingest(
        [real_data / "nyc_manhattan_tract_flow24h" / "regions.geojson"],
        "Regions",
        IngestChoices(files={"regions.geojson": FileChoices(mapping={"id": "boro_ct2010"})}),
    ).spatial("cells")
    joined = regions.merge(tracts, on="cell_id", suffixes=("", "_tract"))
    assert len(joined) == 270
    overlap = shapely.intersection(joined.geometry, joined["geometry_tract"])
    assert (shapely.area(overlap) / shapely.area(joined.geometry)).min() > 0.98


def test_manhattan_flows_join_their_tracts_and_lose_no_trip(real_data):
    folder = real_data / "nyc_manhattan_tract_flow24h"
    files = [folder / name for name in ("outflow_24h.csv", "inflow_24h.csv", "regions.geojson")]
    city = ingest(files, "Manhattan")
    for table in ("outflow", "inflow"):
        flow = city.table(table)
        assert len(flow) == 270 and flow["day_type"].unique().tolist() == ["all"]
        assert flow[list(HOURS)].to_numpy().sum() == 10_744_363
        by_hour = flow[list(HOURS)].sum()
        assert (by_hour.idxmin(), by_hour.idxmax()) == ("h05", "h19")
    month = IngestChoices(files={name: FileChoices(options={"days": 30}) for name in ("outflow_24h.csv", "inflow_24h.csv")})
    assert ingest(files, "Month", month).table("outflow")[list(HOURS)].to_numpy().sum() == pytest.approx(10_744_363 / 30)


def test_flows_of_other_ids_are_refused_not_matched(real_data):
    folder = real_data / "nyc_manhattan_tract_flow24h"
    other = IngestChoices(files={"regions.geojson": FileChoices(mapping={"id": "boro_ct2010"})})
    with pytest.raises(IngestError) as refused:
        ingest([folder / "outflow_24h.csv", folder / "regions.geojson"], "Other", other)
    assert {problem.code for problem in refused.value.problems if problem.fatal} == {"OTHER_ZONING"}


def test_neighbours_of_real_zones(real_data):
    cells = ingest([real_data / "nyc_manhattan_tract_flow24h" / "regions.geojson"], "Regions").spatial("cells")
    rook, queen, nearest = (adjacency(cells, kind) for kind in ("rook", "queen", "nearest"))
    as_sets = [{tuple(edge) for edge in edges.tolist()} for edges in (rook, queen, nearest)]
    assert as_sets[0] <= as_sets[1]
    # Planar maps have fewer than 6 neighbours on average.
    assert 4 < len(rook) / len(cells) < 6
    assert len(np.unique(rook)) >= 268


def test_footprints_and_points_of_interest_of_lower_manhattan(real_data):
    folder = real_data / "deckgl_fixtures"
    city = ingest([folder / "buildings.json", folder / "pois.json"], "Lower Manhattan")
    buildings, pois = city.spatial("buildings"), city.spatial("pois")
    # Three of the 999 footprints enclose nothing.
    card = next(card for card in city.info.data_card.files if card.table == "buildings")
    assert (card.rows_in, card.rows_kept, {rule.reason: rule.rows for rule in card.dropped}) == (999, 996, {"NO_AREA": 3})
    assert buildings.is_valid.all() and (buildings["height_m"].min(), buildings["height_m"].max()) == (2, 541)
    assert len(pois) == 4903 and pois["category"].nunique() == 92
    assert pois.loc[pois["name"] == "Times Square", "category"].tolist() == ["attraction"]
    grid = square_grid(city, size_m=500)
    assert (cell_of(grid, pois) >= 0).all()
    metric = grid.to_crs(city.metric_crs)
    assert np.allclose(metric.area, 250_000, rtol=1e-6)


def test_street_views_of_stuttgart_and_singapore(real_data, tmp_path):
    folder = real_data / "streetview_global_streetscapes_sample"
    city = ingest([zipped(folder, tmp_path / "views.zip")], "Views", IngestChoices(time_zone="Europe/Berlin"))
    views = city.spatial("street_views")
    assert len(views) == 25 and len(city.media_paths()) == 25
    assert (views.geometry.x > 100).sum() == 6  # Singapore
    assert views["heading"].dropna().between(0, 360).all()
    for path in views["path"]:
        image = Image.open(io.BytesIO(city.media(path)))
        assert image.mode == "RGB" and image.format == "JPEG" and max(image.size) <= 640


def test_weather_of_central_park_covers_the_check_ins(real_data):
    files = [
        real_data / "nyc_weather_daily" / "central_park_weather.csv",
        real_data / "nyc_manhattan_tract_flow24h" / "regions.geojson",
    ]
    weather = ingest(files, "Weather").table("weather").set_index("date")
    assert len(weather) == 5538 and weather.index.min() == pd.Timestamp("2009-01-01")
    assert len(weather.loc["2012-04-01":"2013-02-28"]) == 334
    # 1 January 2009: 26 and 15 °F, dry. 28 August 2011, hurricane Irene.
    assert weather.loc["2009-01-01", "temperature_c"] == pytest.approx(((26 + 15) / 2 - 32) / 1.8)
    assert weather.loc["2009-01-01", "precipitation_mm"] == 0
    assert weather.loc["2011-08-27":"2011-08-28", "precipitation_mm"].sum() > 100
    assert weather["temperature_c"].between(-20, 40).all()


def test_weather_of_the_bike_counts_is_asked_for_its_unit_of_rain(real_data):
    path = real_data / "nyc_weather_daily" / "daily_citi_bike_trip_counts_and_weather.csv"
    regions = real_data / "nyc_manhattan_tract_flow24h" / "regions.geojson"
    assert "UNIT_MISSING" in {problem.code for problem in inspect([path]).problems}
    choices = IngestChoices(files={path.name: FileChoices(options={"precipitation_unit": "inch"})})
    weather = ingest([path, regions], "Bikes", choices).table("weather")
    assert len(weather) == 883
    assert weather.loc[0, "precipitation_mm"] == pytest.approx(0.838583 * 25.4)
