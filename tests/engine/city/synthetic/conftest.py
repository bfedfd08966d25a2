import pandas as pd
import pytest

from engine.city.city import City
from engine.city.synthetic import synthesise


@pytest.fixture(scope="session")
def demo_city() -> City:
    """The built-in city with all its pictures; made once for the whole suite."""
    return synthesise("demo", seed=0)


@pytest.fixture(scope="session")
def lives(demo_city: City) -> pd.DataFrame:
    """The demo's visits with what is known about each: role, activity, category, zone function, local hour and weekday."""
    visits, truth = demo_city.table("visits").copy(), demo_city.table("truth")
    by_subject = {subject: rows.set_index("subject_id") for subject, rows in truth.groupby("subject")}
    visits["role"] = visits["user_id"].map(by_subject["user"]["role"])
    visits["zone"] = visits["location_id"].map(by_subject["location"]["zone_function"])
    visits["activity"] = by_subject["visit"]["activity"].to_numpy()
    visits["category"] = visits["location_id"].map(demo_city.table("locations").set_index("location_id")["category"])
    local = visits["started_at"].dt.tz_convert(demo_city.time_zone)
    visits["hour"], visits["day"] = local.dt.hour, local.dt.tz_localize(None).dt.normalize()
    visits["weekday"] = local.dt.day_of_week
    visits["is_weekend"] = visits["weekday"] >= 5
    return visits
