"""Manhattan as a city of zones: census tracts with their taxi departures per hour and what stood there; for tests and benchmarks.

See `nyc_manhattan_tract_flow24h/README.md` of the data folder. Districts are PUMAs. What is known of a tract: venues per root
category (nine), per category of at least 30 venues, its land use and its area. Check-ins, crimes and positions are left out: the first
two are traces of people, the last would turn a test of what is there into one of where it is.
"""

from pathlib import Path

import pandas as pd

from engine.city.city import City
from engine.city.ingest import IngestChoices, ingest
from engine.city.readers.base import FileChoices

FOLDER = "nyc_manhattan_tract_flow24h"
FEWEST_VENUES = 30


def manhattan(real_data: Path, scratch: Path, with_land_use: bool = False) -> City:
    """Ingests outlines, departures and one table of attributes per tract through the ordinary readers.

    Args:
        real_data: The folder of real cities.
        scratch: Where the table of attributes is written.
        with_land_use: Whether the land-use label is among them.
    """
    folder = real_data / FOLDER
    tracts, venues = pd.read_csv(folder / "regions.csv", dtype={"region": str}), pd.read_csv(folder / "venues_remvc.csv.gz")
    roots = [column for column in tracts if column.startswith("poi_")]
    inside = venues[venues["boro_ct2010"].isin(tracts["boro_ct2010"])]
    counts = inside.groupby(["boro_ct2010", "category"]).size().unstack(fill_value=0).reindex(tracts["boro_ct2010"]).fillna(0)
    counts = counts.loc[:, counts.sum() >= FEWEST_VENUES].astype(int)
    table = pd.concat([tracts[["region", "puma", *roots]], counts.reset_index(drop=True)], axis=1)
    if with_land_use:
        table["landuse_label"] = [f"use {label}" for label in tracts["landuse_label"]]
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / "tracts.csv"
    table.to_csv(path, index=False)
    choices = IngestChoices(
        files={path.name: FileChoices(reader="zone_attributes", mapping={"cell_id": "region", "district": "puma"})}
    )
    return ingest([folder / "regions.geojson", path, folder / "outflow_24h.csv"], "Manhattan", choices)
