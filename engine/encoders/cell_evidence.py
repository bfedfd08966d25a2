"""What describers are shown of each cell, and the descriptions a city brings along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from engine.city.city import City
from engine.encoders.cell_pictures import CellPictures
from engine.encoders.cell_pois import count_pois
from engine.encoders.describe import ANY_PROMPT, Describer, Description, Evidence, PromptName, Report, Told
from engine.encoders.image import DescriptorImages

HOURS_A_DAY = 24
TREND_COLUMNS = tuple(f"trend_h{hour:02d}" for hour in range(HOURS_A_DAY))
"""Columns of `descriptions` with a describer's guess of the curve, apart from its text."""


@dataclass
class Brought:
    """Who wrote the uploaded descriptions of one modality, and what was counted out."""

    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prompts_answered(descriptions: pd.DataFrame) -> pd.Series:
    """The prompt of each stored description: `lite`, `any`, and `three_level` where neither is said, as in uploaded tables."""
    said = descriptions.get("prompt", pd.Series(index=descriptions.index, dtype=object)).astype(object)
    return said.where(said.isin(("lite", ANY_PROMPT)), "three_level")


def uploaded(
    city: City, cells: gpd.GeoDataFrame, modalities: Sequence[str], prompt: PromptName = "three_level"
) -> dict[str, tuple[list[Description | None], Brought]]:
    """The descriptions of cells that the city brings, by modality.

    Args:
        city: The city; its table `descriptions`, rows of subject `cell`.
        cells: Its cells.
        modalities: Which to look for.
        prompt: Those that answer another one are left out.

    Returns:
        By modality: one description or None per cell, and what to say about them. Where a cell has several, the last row counts.
    """
    answer: dict[str, tuple[list[Description | None], Brought]] = {name: ([None] * len(cells), Brought()) for name in modalities}
    if not city.has("descriptions"):
        return answer
    table = city.table("descriptions")
    table = table[table["subject"] == "cell"]
    row = {cell: position for position, cell in enumerate(cells["cell_id"])}
    position = np.array([row.get(cell, -1) for cell in table["subject_id"]], np.int64)
    intensity = table["intensity"].to_numpy(np.float64) if "intensity" in table else np.full(len(table), np.nan)
    has_trend = set(TREND_COLUMNS) <= set(table.columns)
    answers = prompts_answered(table).isin((prompt, ANY_PROMPT)).to_numpy()
    trend = table[list(TREND_COLUMNS)].to_numpy(np.float64) if has_trend else np.full((len(table), HOURS_A_DAY), np.nan)
    for name in modalities:
        texts, brought = answer[name]
        named = (table["modality"] == name).to_numpy()
        strange = int((named & (position < 0)).sum())
        if strange:
            brought.notes.append(f"{strange:,} {name} descriptions name a cell that is not in the city and are left out.")
        here = named & (position >= 0)
        mine = here & answers
        others = set(position[here]) - set(position[mine])
        if others:
            brought.notes.append(
                f"{len(others):,} cells have {name} descriptions that do not answer the prompt `{prompt}`; they are left out. "
                f"`mobiscope caption --prompt {prompt}` adds some that do."
            )
        for at in np.flatnonzero(mine):
            text = str(table["text"].iloc[at]).strip()
            if text:
                texts[position[at]] = Description(
                    text,
                    float(intensity[at]) if np.isfinite(intensity[at]) else None,
                    tuple(map(float, trend[at])) if np.isfinite(trend[at]).all() else None,
                )
        brought.sources += sorted({str(source) for source in table.loc[mine, "source"]})
    return answer


def gather_evidence(
    city: City,
    cells: gpd.GeoDataFrame,
    modality: str,
    rows: Sequence[int],
    pictures: CellPictures | None,
    poi_radius_m: float = 0.0,
    attributes: Sequence[str] | None = None,
) -> list[Evidence]:
    """What a describer may look at: pictures and measurements of one modality of some cells.

    Args:
        city: The city.
        cells: Its cells.
        modality: `satellite`, `height`, `street_view` or `poi`.
        rows: Positions of the cells.
        pictures: The pictures of the modality, None for `poi`.
        poi_radius_m: As in `count_pois`.
        attributes: As in `count_pois`.
    """
    area = np.asarray(cells.to_crs(city.metric_crs).area, np.float64) / 1e6
    ids = cells["cell_id"].astype(str).to_numpy(object)
    if pictures is None:
        measures, counted = _leaf_counts(city, cells, poi_radius_m, attributes)
        if counted and poi_radius_m > 0:
            area = np.full(len(cells), np.pi * poi_radius_m**2 / 1e6)
        return [Evidence(ids[row], modality, measures[row], (), float(area[row])) for row in rows]
    encoder = DescriptorImages(modality)
    values = encoder.encode(pictures.images)
    readable = np.isfinite(values).all(axis=1)
    on_map = _map_measures(city, cells) if modality == "satellite" else None
    evidence = []
    begins, ends = (np.searchsorted(pictures.owner, rows, side) for side in ("left", "right"))
    for row, begin, end in zip(rows, begins, ends, strict=True):
        mine = begin + np.flatnonzero(readable[begin:end])
        mean = values[mine].mean(axis=0) if len(mine) else np.zeros(0)
        measured = dict(zip(encoder.components, map(float, mean), strict=False))
        if on_map is not None and measured:
            measured |= {name: float(column[row]) for name, column in on_map.items()}
        evidence.append(Evidence(ids[row], modality, measured, tuple(pictures.images[one] for one in mine), float(area[row])))
    return evidence


def described(speaker: Describer, evidence: Sequence[Evidence], with_trend: bool, report: Report | None = None) -> Told:
    """`speaker.describe`, and a sentence for every description that is empty."""
    told = speaker.describe(evidence, with_trend, report)
    silent = sum(one is None for one in told.descriptions)
    if silent:
        told.problems.append(f"{silent:,} of {len(evidence):,} descriptions by `{speaker.name}` are missing.")
    return told


def _leaf_counts(
    city: City, cells: gpd.GeoDataFrame, radius_m: float, attributes: Sequence[str] | None
) -> tuple[list[Mapping[str, float]], bool]:
    """Counts of leaf categories per cell, and `zone: ` attributes of the cells; and whether any places were counted."""
    found = count_pois(city, cells, radius_m, level="leaf", every_category=True, attributes=attributes)
    names = [name if column < found.categories else f"zone: {name}" for column, name in enumerate(found.components)]
    measures: list[Mapping[str, float]] = [
        {name: float(value) for name, value in zip(names, values, strict=True) if value != 0 and name != "zone: area_km2"}
        for values in found.counts
    ]
    return measures, found.categories > 0


def _map_measures(city: City, cells: gpd.GeoDataFrame) -> dict[str, npt.NDArray[np.float64]] | None:
    """Shares of water and park and lengths of roads per cell from the outlines under the map; None where there are none."""
    if not city.has("boundary"):
        return None
    outlines = city.metric("boundary")
    ground = np.asarray(cells.to_crs(city.metric_crs).geometry)
    area = shapely.area(ground)
    level = outlines["level"].fillna("").astype(str) if "level" in outlines else pd.Series("", index=outlines.index)
    answer = {}
    for kind in ("water", "park"):
        shapes = np.asarray(outlines[outlines["kind"] == kind].geometry)
        share = np.zeros(len(ground))
        if len(shapes):
            cell, shape = shapely.STRtree(shapes).query(ground, predicate="intersects")
            np.add.at(share, cell, shapely.area(shapely.intersection(ground[cell], shapes[shape])))
        answer[f"map: {kind} share"] = np.minimum(share / area, 1.0)
    roads = outlines["kind"] == "road"
    main = level.str.contains("arterial|primary|secondary|motorway|trunk", case=False, regex=True)
    for name, kept in (("arterial", roads & main), ("local", roads & ~main)):
        lines = np.asarray(outlines[kept].geometry)
        length = np.zeros(len(ground))
        if len(lines):
            cell, line = shapely.STRtree(lines).query(ground, predicate="intersects")
            np.add.at(length, cell, shapely.length(shapely.intersection(ground[cell], lines[line])))
        answer[f"map: {name} {'roads' if name == 'arterial' else 'streets'}, km"] = length / 1000
    return answer
