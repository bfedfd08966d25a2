"""The cities that benchmarks measure on: the built-in one, and the real ones where their files are (`MOBISCOPE_REAL_DATA` or ../shared/data)."""

import os
from pathlib import Path
from tempfile import mkdtemp

import geopandas as gpd
import pandas as pd

from engine.city.city import City, open_city
from engine.city.ingest import ingest
from engine.city.synthetic import synthesise
from engine.errors import CityError

REAL_DATA = Path(os.environ.get("MOBISCOPE_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
INTO_THE_UNKNOWN = REAL_DATA / "fsq_nyc_intotheunknown"
QT_MOB = REAL_DATA / "fsq_nyc_qtmob"


def city_called(name: str) -> City | None:
    """`built-in`, `qt-mob`, `into-the-unknown`, or a saved city by its slug; None where it is not here."""
    match name:
        case "built-in":
            return synthesise("demo", seed=0)
        case "into-the-unknown":
            return into_the_unknown()
        case "qt-mob":
            return qt_mob()
    try:
        return open_city(name)
    except CityError:
        return None


def into_the_unknown() -> City | None:
    """FSQ-NYC of "Into the Unknown" (CaLLiPer), straight from its table."""
    if not INTO_THE_UNKNOWN.is_dir():
        return None
    rows = pd.read_csv(INTO_THE_UNKNOWN / "checkins.csv.gz", dtype=str)
    places = rows.drop_duplicates("location_id")
    local = pd.to_datetime(rows["local_time"]).dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward")
    points = gpd.points_from_xy(places["longitude"].astype(float), places["latitude"].astype(float))
    named = {"location_id": places["location_id"].to_numpy(), "category": places["category_name"].fillna("").to_numpy()}
    visits = rows[["user_id", "location_id", "split"]].assign(started_at=local.dt.tz_convert("UTC"))
    tables = {"visits": visits, "locations": gpd.GeoDataFrame(named, geometry=points, crs=4326)}
    return City.build("FSQ-NYC", tables, time_zone="America/New_York")


def qt_mob() -> City | None:
    """QT-Mob's New York, through the readers."""
    if not QT_MOB.is_dir():
        return None
    # A city reads its tables when they are asked for, so its folder lives as long as the process.
    os.environ["MOBISCOPE_HOME"] = mkdtemp(prefix="mobiscope-bench-")
    return ingest([QT_MOB / "checkins.csv", QT_MOB / "venues.csv"], "New York QT")
