"""Edits of cells that change a city's tables: places, buildings, tiles, descriptions. The original city never changes."""

import hashlib
from collections.abc import Iterable

import geopandas as gpd
import numpy as np
import pandas as pd

from engine.city.city import City
from engine.city.grid import cell_of
from engine.city.images import encode_heights, read_heights, read_image
from engine.city.schema import WGS84
from engine.encoders.cell_pictures import pictures_of_cell
from engine.encoders.describe import ANY_PROMPT
from engine.errors import MobiscopeError, ScenarioError
from engine.scenarios.cell_edits import MOST_PLACES, CellEdit, ChangeBuildings, ChangeDescription, ChangePois, ChangeTile
from engine.scenarios.edits import AnyEdit

EDITED = "scenario"
"""Source of a description that an edit wrote."""


def edit_city(edits: Iterable[AnyEdit], city: City) -> City:
    """The city under the edits of its tables, in memory, with its own fingerprint; the same object where there are none.

    Stored descriptions of what is changed go with it, so that whoever describes the cell speaks of what is there now.

    Raises:
        ScenarioError: If an edit does not fit the city.
    """
    for edit in edits:
        outdated = outdated_descriptions(edit, city)
        if outdated.any():
            kept = city.table("descriptions")[~outdated]
            city = city.replace(descriptions=kept.reset_index(drop=True) if len(kept) else None)
        match edit:
            case ChangePois():
                city = _change_pois(city, edit)
            case ChangeBuildings():
                city = _change_buildings(city, edit)
            case ChangeTile():
                city = _change_tile(city, edit)
            case ChangeDescription():
                city = _describe(city, edit)
    return city


def outdated_descriptions(edit: AnyEdit, city: City) -> np.ndarray:
    """(row,) bool: the stored descriptions that speak of what was there before an edit; (0,) where it changes nothing of that kind.

    Words of a scenario stay: they are an edit too.
    """
    if not isinstance(edit, CellEdit) or edit.outdates is None or not city.has("descriptions"):
        return np.zeros(0, bool)
    table = city.table("descriptions")
    about = (table["subject"] == "cell") & (table["subject_id"] == edit.cell_id) & (table["modality"] == edit.outdates)
    return (about & (table["source"] != EDITED)).to_numpy()


def _row_of(city: City, cell: str) -> int:
    found = np.flatnonzero((city.table("cells")["cell_id"] == cell).to_numpy())
    if not len(found):
        raise ScenarioError(f"There is no cell `{cell}` in {city.name}; it may be gone or belong to another city.")
    return int(found[0])


def _change_pois(city: City, edit: ChangePois) -> City:
    row = _row_of(city, edit.cell_id)
    table = next((name for name in ("pois", "locations") if city.has(name)), None)
    cells = city.spatial("cells").copy()
    points = city.spatial(table) if table else None
    inside = cell_of(city.spatial("cells").iloc[[row]], points) == 0 if points is not None else np.zeros(0, bool)
    for name, count in edit.counts.items():
        if points is not None and (chosen := _of_category(points, name)).any():
            if not (0 <= count <= MOST_PLACES and count == round(count)):
                raise ScenarioError(
                    f"{count:g} places of `{name}` cannot stand in a cell; give a whole number from 0 to {MOST_PLACES:,}."
                )
            points, inside = _set_count(points, inside, chosen, int(count), cells.iloc[[row]], str(table), name)
        elif not _set_attribute(cells, row, name, count):
            raise ScenarioError(_unknown_category(city, name, points, cells))
    if table is None or points is None:
        return city.replace(cells=cells)
    return city.replace(cells=cells, pois=points) if table == "pois" else city.replace(cells=cells, locations=points)


def _of_category(points: gpd.GeoDataFrame, name: str) -> np.ndarray:
    """(point,) whether it is of this leaf or root category."""
    levels = [level for level in ("category", "parent_category") if level in points]
    return np.logical_or.reduce([(points[level].fillna("").astype(str) == name).to_numpy() for level in levels])


def _set_count(
    points: gpd.GeoDataFrame,
    inside: np.ndarray,
    chosen: np.ndarray,
    wanted: int,
    cell: gpd.GeoDataFrame,
    table: str,
    category: str,
) -> tuple[gpd.GeoDataFrame, np.ndarray]:
    """The points with `wanted` of the chosen kind in the cell: the last ones go, new ones stand in the cell's middle."""
    is_open = ~points["closed"].fillna(False).to_numpy(bool) if "closed" in points else np.ones(len(points), bool)
    there = np.flatnonzero(inside & chosen & is_open)
    if len(there) > wanted:
        gone = there[wanted:]
        if table == "locations":
            # People's visits refer to them, so they close instead of vanishing.
            points = points.assign(closed=~is_open)
            points.loc[points.index[gone], "closed"] = True
            return points, inside
        kept = np.ones(len(points), bool)
        kept[gone] = False
        return gpd.GeoDataFrame(points[kept].reset_index(drop=True), crs=WGS84), inside[kept]
    if len(there) == wanted:
        return points, inside
    # A root category gains places of its most frequent leaf, so that they are counted and described as usual.
    leaf = points.loc[chosen, "category"].mode().iloc[0]
    pattern = points[chosen & (points["category"] == leaf).to_numpy()].iloc[[0]]
    count = wanted - len(there)
    key = "poi_id" if table == "pois" else "location_id"
    added = gpd.GeoDataFrame(pd.concat([pattern] * count, ignore_index=True), crs=WGS84)
    cell_id, taken = str(cell["cell_id"].iloc[0]), set(points[key])
    names = (f"added-{cell_id}-{category}-{number}" for number in range(len(taken) + count))
    added[key] = pd.Series([name for name in names if name not in taken][:count], dtype=points[key].dtype)
    for column, value in (("name", "New place"), ("closed", False), ("address", ""), ("description", "")):
        if column in added:
            added[column] = pd.Series([value] * count, dtype=points[column].dtype)
    added = added.set_geometry([cell.geometry.representative_point().iloc[0]] * count, crs=WGS84)
    joined = gpd.GeoDataFrame(pd.concat([points, added], ignore_index=True), crs=WGS84)
    return joined, np.concatenate([inside, np.ones(count, bool)])


def _set_attribute(cells: gpd.GeoDataFrame, row: int, name: str, value: float) -> bool:
    """Sets a number or a label (`<column>: <label>` to a value above zero) of a zone; whether there is such an attribute."""
    column, _, label = name.partition(": ")
    at = cells.index[row]
    if name in cells and name != "geometry" and pd.api.types.is_numeric_dtype(cells[name]):
        cells[name] = cells[name].astype(float)  # whatever the column holds, any amount fits
        cells.loc[at, name] = value
        return True
    if label and column in cells and (cells[column].astype(str) == label).any():
        if value <= 0:
            raise ScenarioError(f"A zone has one {column}; to take `{label}` away, set another one to 1.")
        same = cells.loc[cells[column].astype(str) == label, column].iloc[0]
        cells.loc[at, column] = same
        return True
    return False


def _unknown_category(city: City, name: str, points: gpd.GeoDataFrame | None, cells: gpd.GeoDataFrame) -> str:
    known: list[str] = []
    if points is not None:
        known += list(points["parent_category" if "parent_category" in points else "category"].value_counts().index[:8])
    known += [str(column) for column in cells if pd.api.types.is_numeric_dtype(cells[column])][:8]
    listed = ", ".join(map(str, known)) or "nothing"
    return f"{city.name} counts no `{name}` in its cells; it counts, for example, {listed}. Choose one of those."


def _change_buildings(city: City, edit: ChangeBuildings) -> City:
    row = _row_of(city, edit.cell_id)
    media: dict[str, bytes] = {}
    touched, edited = 0, city
    if city.has("buildings"):
        buildings = city.spatial("buildings").copy()
        middle = gpd.GeoDataFrame(geometry=buildings.geometry.representative_point(), crs=WGS84)
        inside = cell_of(city.spatial("cells").iloc[[row]], middle) == 0
        heights = buildings["height_m"].to_numpy(float).copy()
        heights[inside] = _height(heights[inside], edit)
        buildings["height_m"] = heights
        edited, touched = city.replace(buildings=buildings), int(inside.sum())
    tile = _tile_row(city, edit.cell_id, "height")
    if tile is not None:
        imagery = city.table("imagery").copy()
        picture = _scaled_heights(city.media(str(imagery["path"].iloc[tile])), edit)
        edited = edited.replace(media=media, imagery=_with_path(imagery, tile, picture, media, "png"))
        touched += 1
    if not touched:
        raise ScenarioError(f"Cell `{edit.cell_id}` has neither a building nor a height tile, so there is no height to change.")
    return edited


def _height(metres: np.ndarray, edit: ChangeBuildings) -> np.ndarray:
    """Heights under an edit; what has none (the ground of a tile) stays without."""
    return metres * edit.factor if edit.factor is not None else np.where(metres > 0, float(edit.metres or 0), 0.0)


def _scaled_heights(content: bytes, edit: ChangeBuildings) -> bytes:
    """A height tile (one grey level per metre) with other heights; ground stays ground, transparency stays."""
    metres, inside = read_heights(content)
    return encode_heights(_height(metres, edit), inside)


def _tile_row(city: City, cell: str, modality: str) -> int | None:
    """Position in `imagery` of the tile that counts for a cell (the first), None without one."""
    if not city.has("imagery"):
        return None
    table = city.table("imagery")
    hit = (table["subject"] == "cell") & (table["modality"] == modality) & (table["subject_id"] == cell)
    found = np.flatnonzero(hit.to_numpy())
    return int(found[0]) if len(found) else None


def _with_path(imagery: pd.DataFrame, row: int, content: bytes, media: dict[str, bytes], ending: str) -> pd.DataFrame:
    path = f"media/edited/{hashlib.sha256(content).hexdigest()[:20]}.{ending}"
    media[path] = content
    paths = imagery["path"].astype(object).to_numpy().copy()
    paths[row] = path
    return imagery.assign(path=pd.Series(paths, index=imagery.index, dtype=imagery["path"].dtype))


def _change_tile(city: City, edit: ChangeTile) -> City:
    _row_of(city, edit.cell_id)
    if edit.from_cell is not None:
        _row_of(city, edit.from_cell)
        # The picture itself and not its row: the heights of a cell may come from footprints.
        pictures = pictures_of_cell(city, edit.from_cell, edit.modality).images
        if not pictures:
            raise ScenarioError(f"Cell `{edit.from_cell}` of {city.name} has no {edit.modality} tile to take. Choose another cell.")
        content = pictures[0]
    else:
        content = edit.picture
        try:
            read_image(content, "uploaded tile", 64)
        except MobiscopeError as error:
            raise ScenarioError(f"The tile of edit `{edit.describe()}` cannot be read. {error}") from None
    imagery = city.table("imagery") if city.has("imagery") else _no_imagery()
    media: dict[str, bytes] = {}
    row = _tile_row(city, edit.cell_id, edit.modality)
    if row is None:
        new = {"subject": ["cell"], "subject_id": [edit.cell_id], "modality": [edit.modality], "path": [""]}
        imagery = pd.concat([imagery, pd.DataFrame(new).astype("str")], ignore_index=True)
        row = len(imagery) - 1
    ending = "png" if content.startswith(b"\x89PNG") else "jpg"
    imagery = _with_path(imagery, row, content, media, ending)
    return city.replace(media=media, imagery=imagery)


def _no_imagery() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype="str") for name in ("subject", "subject_id", "modality", "path")})


def _describe(city: City, edit: ChangeDescription) -> City:
    _row_of(city, edit.cell_id)
    row = {
        "subject": "cell",
        "subject_id": edit.cell_id,
        "modality": edit.modality,
        "text": edit.text,
        "source": EDITED,
        "prompt": ANY_PROMPT,
    }
    added = pd.DataFrame({name: pd.Series([value], dtype="str") for name, value in row.items()})
    # Where a cell has several descriptions of a modality the last one counts.
    table = pd.concat([city.table("descriptions"), added], ignore_index=True) if city.has("descriptions") else added
    return city.replace(descriptions=table)
