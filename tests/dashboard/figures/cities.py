"""Small cities for pictures, one with names that would like to be code."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from engine.city.city import City

HOSTILE = (
    "</script><script>window.__xss = 1</script>",
    "<img src=x onerror='window.__xss = 1'>",
    "@@=window.__xss = 1",
    "{tip} %{x} ${y} `z`",
    "**bold** [link](http://example.org) :material/home: $x^2$",
    "\u202ename",
)


def places_only(count: int = 60, seed: int = 0, names: tuple[str, ...] = ()) -> City:
    """A city that has visits and places and nothing else, like a table of check-ins."""
    generator = np.random.default_rng(seed)
    longitude = -73.98 + 0.02 * generator.standard_normal(count)
    latitude = 40.75 + 0.015 * generator.standard_normal(count)
    shown = [names[index % len(names)] if names else f"Place {index}" for index in range(count)]
    locations = gpd.GeoDataFrame(
        {
            "location_id": [f"p{index}" for index in range(count)],
            "name": shown,
            "category": [("Bar", "Office", "Coffee Shop", "")[index % 4] for index in range(count)],
        },
        geometry=gpd.points_from_xy(longitude, latitude),
        crs=4326,
    )
    visited = generator.integers(0, count, 400)
    visits = pd.DataFrame(
        {
            "user_id": [f"u{index % 7}" for index in range(400)],
            "location_id": [f"p{place}" for place in visited],
            "started_at": pd.date_range("2024-01-01", periods=400, freq="97min", tz="UTC"),
        }
    )
    return City.build("Places only", {"visits": visits, "locations": locations}, time_zone="America/New_York")


def zones_only() -> City:
    """A city of four zones and no place at all."""
    squares = [
        shapely.box(-74 + 0.01 * col, 40.7 + 0.01 * row, -73.99 + 0.01 * col, 40.71 + 0.01 * row)
        for row in (0, 1)
        for col in (0, 1)
    ]
    cells = gpd.GeoDataFrame({"cell_id": list("abcd")}, geometry=squares, crs=4326)
    return City.build("Zones", {"cells": cells}, time_zone="America/New_York")
