"""Cities of a few cells with flows written out by hand, for tests of everything on grids."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from engine.city.city import City
from engine.city.grid import square_cells
from engine.city.schema import HOURS

UTM = "EPSG:32618"
ORIGIN_M = (580_000.0, 4_510_000.0)


def grid_cells(rows: int, cols: int, districts: int = 0) -> gpd.GeoDataFrame:
    """A full grid of 500 m squares, by rows from the north; with districts, vertical strips named A, B, ..."""
    west, south = ORIGIN_M
    cells = square_cells((west + 1, south + 1, west + 500 * cols - 1, south + 500 * rows - 1), UTM, 500)
    if districts:
        cells["district"] = [chr(ord("A") + col * districts // cols) for col in cells["col"]]
    return cells


def flows_of(cell_ids, outflow: np.ndarray, day_type: str = "all") -> pd.DataFrame:
    """The canonical table of these curves, (cell, 24)."""
    frame = pd.DataFrame(np.asarray(outflow, np.float64), columns=list(HOURS))
    frame.insert(0, "cell_id", pd.Series(list(cell_ids), dtype="str"))
    frame.insert(1, "day_type", pd.Series([day_type] * len(frame), dtype="str"))
    return frame


def smooth_outflow(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """(cell, 24) two-peaked curves whose level rises towards the east and varies by chance."""
    generator, hour = np.random.default_rng(seed), np.arange(24)
    curve = 0.2 + np.exp(-(((hour - 8) / 2) ** 2)) + 0.8 * np.exp(-(((hour - 18) / 3) ** 2))
    level = np.exp(np.tile(np.linspace(2, 5, cols), rows) + generator.normal(0, 0.2, rows * cols))
    return level[:, None] * curve * generator.lognormal(0, 0.05, (rows * cols, 24))


def grid_city(rows: int = 10, cols: int = 12, districts: int = 0, outflow: np.ndarray | None = None, **tables) -> City:
    """A city of a full grid with outflow of day type `all`."""
    cells = grid_cells(rows, cols, districts)
    outflow = smooth_outflow(rows, cols) if outflow is None else outflow
    frames = {"cells": cells, "outflow": flows_of(cells["cell_id"], outflow)} | tables
    return City.build(
        "Gridford", {name: frame for name, frame in frames.items() if frame is not None}, time_zone="UTC", metric_crs=UTM
    )


def zone_city(rows: int = 10, cols: int = 12, districts: int = 0) -> City:
    """The same outlines as uploaded zones: no rows and columns, so that only outlines tell neighbours."""
    city = grid_city(rows, cols, districts)
    return city.replace(cells=city.spatial("cells").drop(columns=["row", "col"]))


def islands(count: int = 4) -> gpd.GeoDataFrame:
    """Zones of one square each, a kilometre apart: nobody is anybody's neighbour."""
    west, south = ORIGIN_M
    squares = [shapely.box(west + 1500 * step, south, west + 1500 * step + 500, south + 500) for step in range(count)]
    zones = gpd.GeoDataFrame({"cell_id": [f"island-{step}" for step in range(count)]}, geometry=squares, crs=UTM)
    return zones.to_crs(4326).astype({"cell_id": "str"})


def modality_of(name: str, features, owner=None, present=None, text=None, counts: int = 0, trend=None, cells: int | None = None):
    """A modality with these rows, without any encoder; by default one row per cell and no text."""
    from engine.encoders.cell_features import Modality

    features = np.asarray(features, np.float32)
    count = len(features) if cells is None else cells
    text = np.zeros((count, 0), np.float32) if text is None else np.asarray(text, np.float32)
    owner = np.arange(count) if owner is None else np.asarray(owner)
    here = np.zeros(count, bool)
    here[owner] = True
    present = here if present is None else np.asarray(present)
    return Modality(
        name=name,
        features=features,
        owner=owner.astype(np.int64),
        present=present,
        components=tuple(f"{name} {column}" for column in range(features.shape[1])),
        captions=("",) * count,
        text=text,
        text_present=np.full(count, bool(text.shape[1])),
        trend=trend,
        source="handmade",
        counts=counts,
    )


def inputs_of(city: City, **features):
    """Handmade inputs: modality name to (cell, column) features, or to a `Modality`."""
    from engine.encoders.cell_features import CellInputs

    made = {name: rows if hasattr(rows, "owner") else modality_of(name, rows) for name, rows in features.items()}
    return CellInputs(city.table("cells")["cell_id"].to_numpy(object).astype(str), made, "handmade")


def telling_inputs(city: City, seed: int = 0):
    """POI counts, pictures and guesses of the curve that tell the level of each cell's outflow, with noise."""
    from engine.city.cell_flows import hourly_outflow

    generator = np.random.default_rng(seed)
    level = np.log1p(hourly_outflow(city).sum(axis=1))
    counts = generator.poisson(np.exp(level[:, None] - np.array([2.0, 3.0, 4.0]))).astype(np.float32)
    seen = level[:, None] * np.array([1.0, -0.5]) + generator.normal(0, 0.3, (len(level), 2))
    guess = np.exp(level - level.max())[:, None] * generator.lognormal(0, 0.3, (len(level), 24))
    return inputs_of(city, satellite=seen, poi=modality_of("poi", counts, counts=3, trend=guess.clip(0, 1).astype(np.float32)))
