"""Vector layers as points of interest, buildings, zones or outlines: GeoJSON, JSON lists, GeoPackage, Shapefile, GeoParquet."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from engine.city.checks import reasons
from engine.city.data_card import Dropped
from engine.city.readers.base import FieldSpec, FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.frames import settle_mapping
from engine.city.readers.geometry import CleanShapes, Shapes, clean_shapes, missing_crs, parse_crs
from engine.city.readers.layers import Layer, container_of, load_layer, sample_attributes
from engine.city.schema import TABLES, WGS84
from engine.errors import IngestError, Problem

FEET = 0.3048
HIGHEST_M = 1_000.0
"""No building is higher; larger numbers are mistakes or another unit."""

_SAMPLE = 200
_MOST_ATTRIBUTES, _LONGEST_LABEL = 64, 120
_MOSTLY_UNIQUE = 0.9
_ID_NAMES = tuple(
    "poiid cellid zoneid locationid venueid placeid regionid region osmid geoid geoid10 geoid20 boroct2010 boroct2020 tractid tract "
    "zone cell id fid gid uid uuid code objectid".split()
)
_KIND_WORDS = {
    "water": "water|river|lake|stream|canal|ocean|sea|bay|reservoir|waterway|wetland",
    "park": "park|garden|forest|wood|grass|meadow|recreation|cemetery|green|leisure|nature",
    "road": "road|street|highway|motorway|primary|secondary|tertiary|residential|trunk|service|footway|rail|path",
    "district": "district|borough|neighbou?rhood|quarter|suburb|ward|arrondissement|county",
}


class VectorReader(Reader):
    """Any vector layer; what its features are follows from their geometry and attributes, or is chosen."""

    name: ClassVar[str] = "vector"
    title: ClassVar[str] = "Map layer (GeoJSON, GeoPackage, zipped Shapefile, GeoParquet, JSON list)"
    tables: ClassVar[tuple[str, ...]] = ("pois", "buildings", "cells", "boundary")
    fields: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec(
            "id",
            "stable id of the place or zone",
            synonyms=_ID_NAMES,
        ),
        FieldSpec(
            "category",
            "category of a point of interest",
            synonyms=(
                *("category", "fclass", "categoryname", "venuecategory", "type", "amenity", "shop", "class", "poitype", "kind"),
                *("leisure", "tourism", "office"),
            ),
        ),
        FieldSpec("name", "name", synonyms=("name", "title", "label", "zone", "zonename", "tractname", "ctlabel")),
        FieldSpec(
            "height",
            "height above ground; see option `height_unit`",
            "number",
            synonyms=(
                "heightm",
                "height",
                "buildingheight",
                "heightroof",
                "roofheight",
                "measuredheight",
                "hoehe",
                "elevation",
                "h",
            ),
        ),
        FieldSpec(
            "levels",
            "number of storeys, used where the height is missing",
            "number",
            synonyms=("buildinglevels", "levels", "storeys", "floors"),
        ),
        FieldSpec(
            "district",
            "larger area a zone belongs to",
            synonyms=("district", "borough", "boroname", "boroughname", "county", "ntaname", "puma", "nta", "ntacode"),
        ),
        FieldSpec(
            "kind",
            "what an outline is: city, district, water, park or road",
            synonyms=("kind", "natural", "landuse", "waterway", "leisure", "highway", "class", "fclass", "type"),
        ),
    )
    options: ClassVar[tuple[OptionSpec, ...]] = (
        OptionSpec("table", "what the features are", "auto", ("auto", "pois", "buildings", "cells", "boundary")),
        OptionSpec("crs", "coordinate reference system, if the file does not say it or says it wrongly, e.g. EPSG:2263"),
        OptionSpec("swap_xy", "latitude comes before longitude", False, (True, False)),
        OptionSpec("layer", "layer to read, where the file has several"),
        OptionSpec("height_unit", "unit of building heights; `auto` follows the column's name", "auto", ("auto", "m", "ft")),
        OptionSpec("storey_m", "height of one storey in metres, where only storeys are known", 3.2),
        OptionSpec("missing_height_m", "height in metres given to buildings of unknown height", 6.0),
    )

    def recognise(self, file: SniffedFile) -> float:
        """By magic bytes, Parquet metadata or the beginning of the JSON; the extension counts for nothing."""
        return {None: 0.0, "json records": 0.85}.get(container_of(file), 0.95)

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """Columns by their names, looked up among the first features."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                return propose_mapping(sample_attributes(file, Path(folder), _SAMPLE))
        except IngestError:
            return {}

    def samples(self, file: SniffedFile) -> Mapping[str, tuple[str, ...]]:
        """Attributes of the first features."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                attributes = sample_attributes(file, Path(folder), _SAMPLE)
        except IngestError:
            return {}
        return {str(column): tuple(text for text in map(_as_text, attributes[column]) if text is not None) for column in attributes}

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """Reads one layer into one table."""
        layer_name = self.option(choices, "layer")
        layer = load_layer(file, context.folder, None if layer_name is None else str(layer_name), context.limit_rows)
        columns = tuple(map(str, layer.attributes.columns))
        mapping = settle_mapping(file, self.fields, choices, propose_mapping(layer.attributes), columns)
        table = str(self.option(choices, "table"))
        if table == "auto":
            table = classify(layer.shapes, mapping)
        shapes = _swap(layer.shapes) if self.option(choices, "swap_xy") else layer.shapes
        clean = self._clean(file, layer, shapes, choices, table)
        clean.problems += layer.problems
        if not clean.kept.any():
            found = f"None of the {len(shapes):,} features can be used: {reasons(clean.dropped)}."
            clean.problems.append(Problem("NOTHING_KEPT", found, "Mend the most frequent reason first.", file.name))
        if any(problem.fatal for problem in clean.problems):
            raise IngestError(clean.problems)
        attributes = layer.attributes[clean.kept].reset_index(drop=True)
        frame = gpd.GeoDataFrame(geometry=gpd.GeoSeries(clean.shapes[clean.kept], crs=WGS84))
        build = {"pois": self._pois, "buildings": self._buildings, "cells": self._cells, "boundary": self._boundary}[table]
        frame = build(frame, attributes, mapping, choices, clean, file)
        context.report(f"{file.name}: {len(frame):,} {table}", 1.0)
        card = self.card(file, table, len(shapes), len(frame), clean.dropped, clean.repairs)
        assumptions = [f"{file.name}: {layer.crs_note}"] if layer.crs_note and self.option(choices, "crs") is None else []
        return ReadResult({table: frame}, cards=[card], problems=clean.problems, assumptions=assumptions)

    def _clean(self, file: SniffedFile, layer: Layer, shapes: Shapes, choices: FileChoices, table: str) -> CleanShapes:
        chosen = self.option(choices, "crs")
        bounds = shapely.total_bounds(shapes)
        if chosen is None and layer.crs is None:
            raise IngestError([missing_crs(file.name, (bounds[0], bounds[1], bounds[2], bounds[3]))])
        crs = parse_crs(chosen if chosen is not None else layer.crs, file.name)
        clean = clean_shapes(shapes, crs, table, file.name)
        if chosen is not None and layer.crs is not None:
            clean.repairs.append(f"The CRS stated by the file was replaced by {crs.name}, as chosen.")
        return clean

    # ---- one table each ---------------------------------------------------------------------------------------------------

    def _pois(
        self,
        frame: gpd.GeoDataFrame,
        attributes: pd.DataFrame,
        mapping: dict[str, str],
        choices: FileChoices,
        clean: CleanShapes,
        file: SniffedFile,
    ) -> gpd.GeoDataFrame:
        ids, made = _ids(attributes, mapping, "poi", clean)
        frame.insert(0, "poi_id", ids)
        frame["category"] = _text(attributes, mapping, "category").fillna("")
        if "name" in mapping:
            frame["name"] = _text(attributes, mapping, "name")
        twice = frame.duplicated(["poi_id"]) & frame.to_wkb().duplicated([*frame.columns])
        _drop_rows(clean, int(twice.sum()), "DUPLICATE", "The same point of interest stands in the layer more than once.")
        frame = frame[~twice].reset_index(drop=True)
        again = frame.groupby("poi_id").cumcount()
        if not made and (again > 0).any():
            clean.repairs.append(
                f"{int((again > 0).sum()):,} ids stood for several points; `-2`, `-3`, … were added to tell them apart."
            )
            frame["poi_id"] = _told_apart(frame["poi_id"], again)
        return frame

    def _buildings(
        self,
        frame: gpd.GeoDataFrame,
        attributes: pd.DataFrame,
        mapping: dict[str, str],
        choices: FileChoices,
        clean: CleanShapes,
        file: SniffedFile,
    ) -> gpd.GeoDataFrame:
        height = self._heights(attributes, mapping, choices, clean, file)
        frame["height_m"] = height
        return frame

    def _heights(
        self, attributes: pd.DataFrame, mapping: dict[str, str], choices: FileChoices, clean: CleanShapes, file: SniffedFile
    ) -> npt.NDArray[np.float64]:
        height = _numbers(attributes, mapping, "height")
        unit = str(self.option(choices, "height_unit"))
        column = mapping.get("height", "")
        if unit == "auto":
            # New York publishes `heightroof` in feet.
            unit = "ft" if re.search(r"feet|foot|(^|[_ ])ft($|[_ ])|heightroof", column, re.IGNORECASE) else "m"
        if unit == "ft":
            height = height * FEET
            clean.repairs.append(f"Heights of column `{column}` were turned from feet into metres.")
        wrong = (height < 0) | (height > HIGHEST_M)
        if wrong.any():
            clean.repairs.append(
                f"{int(wrong.sum()):,} heights were negative or above {HIGHEST_M:,.0f} m and were taken as unknown."
            )
            height[wrong] = np.nan
        storeys = _numbers(attributes, mapping, "levels")
        usable = np.isnan(height) & (storeys > 0) & (storeys < 300)
        if usable.any():
            storey = _positive(self.option(choices, "storey_m"), "storey_m", file)
            height[usable] = storeys[usable] * storey
            clean.repairs.append(f"{int(usable.sum()):,} heights were computed from storeys of {storey:g} m.")
        unknown = np.isnan(height)
        if unknown.any():
            fallback = _positive(self.option(choices, "missing_height_m"), "missing_height_m", file)
            height[unknown] = fallback
            sentence = f"{int(unknown.sum()):,} of {len(height):,} buildings have no height and were given {fallback:g} m."
            clean.repairs.append(sentence)
            clean.problems.append(
                Problem(
                    "NO_HEIGHT",
                    sentence,
                    "Map the height column, or set option `missing_height_m`.",
                    file.name,
                    rows=int(unknown.sum()),
                    fatal=False,
                )
            )
        return height

    def _cells(
        self,
        frame: gpd.GeoDataFrame,
        attributes: pd.DataFrame,
        mapping: dict[str, str],
        choices: FileChoices,
        clean: CleanShapes,
        file: SniffedFile,
    ) -> gpd.GeoDataFrame:
        ids, _ = _ids(attributes, mapping, "zone", clean)
        frame.insert(0, "cell_id", ids)
        for column in ("district", "name"):
            if column in mapping:
                frame[column] = _text(attributes, mapping, column)
        for column in ("row", "col"):  # our own export, coming back
            if {"row", "col"} <= set(attributes.columns):
                values = pd.to_numeric(attributes[column], errors="coerce")
                if (
                    values.notna().all()
                    and np.isfinite(values).all()
                    and (values == values.round()).all()
                    and values.abs().max() < 1e9
                ):
                    frame[column] = values.astype("int64")
        for column, values in _zone_attributes(attributes, mapping, clean).items():
            frame[column] = values
        if frame["cell_id"].is_unique:
            return frame
        repeated = int(frame.duplicated("cell_id").sum())
        merged = frame.groupby("cell_id", sort=False).geometry.agg(lambda parts: _areas(shapely.union_all(np.asarray(parts))))
        first = frame.drop_duplicates("cell_id").reset_index(drop=True)
        first["geometry"] = gpd.GeoSeries(merged.loc[first["cell_id"]].to_numpy(), crs=WGS84)
        _drop_rows(clean, repeated, "MERGED", "The zone consists of several features; their areas were united under the first one.")
        clean.problems.append(
            Problem(
                "DUPLICATE_ID",
                f"{repeated:,} features repeat an id of `{mapping.get('id', '')}`; features of one id were united into one zone.",
                "Map another column as `id` if they are different zones.",
                file.name,
                column=mapping.get("id"),
                rows=repeated,
                fatal=False,
            )
        )
        return first

    def _boundary(
        self,
        frame: gpd.GeoDataFrame,
        attributes: pd.DataFrame,
        mapping: dict[str, str],
        choices: FileChoices,
        clean: CleanShapes,
        file: SniffedFile,
    ) -> gpd.GeoDataFrame:
        is_line = frame.geom_type.isin(["LineString", "MultiLineString"])
        stated = _text(attributes, mapping, "kind").fillna("").str.lower()
        kind = pd.Series(np.where(is_line, "road", "city" if len(frame) == 1 else "district"), dtype="str")
        for word, pattern in _KIND_WORDS.items():
            kind = kind.mask(stated.str.contains(pattern, regex=True), word)
        frame["kind"] = kind.mask(stated.isin(["city", *_KIND_WORDS]), stated).astype("str")
        if "name" in mapping:
            frame["name"] = _text(attributes, mapping, "name")
        return frame


def propose_mapping(attributes: pd.DataFrame) -> dict[str, str]:
    """Field to column by known names; an id whose values mostly differ is preferred to one that repeats."""
    by_name: dict[str, str] = {}
    for column in attributes.columns:
        by_name.setdefault(re.sub(r"[^a-z0-9]", "", str(column).lower()), str(column))
    mapping = {}
    for spec in VectorReader.fields:
        known = [by_name[synonym] for synonym in spec.synonyms if synonym in by_name]
        known = [column for column in known if attributes[column].notna().any()]
        if spec.name == "id":
            known.sort(key=lambda column: attributes[column].nunique() < _MOSTLY_UNIQUE * len(attributes))
        if known:
            mapping[spec.name] = known[0]
    if mapping.get("district") == mapping.get("name"):
        mapping.pop("district", None)
    return mapping


def classify(shapes: Shapes, mapping: dict[str, str]) -> str:
    """What a layer is, by what most of its geometries are and which attributes they have."""
    dimensions = shapely.get_dimensions(shapes[~shapely.is_missing(shapes)])
    share = {dimension: float(np.mean(dimensions == dimension)) if len(dimensions) else 0.0 for dimension in (0, 1, 2)}
    if share[0] >= max(share[1], share[2]):
        return "pois"
    if share[1] > share[2]:
        return "boundary"
    if "height" in mapping or "levels" in mapping:
        return "buildings"
    if len(dimensions) == 1 or ("kind" in mapping and "id" not in mapping):
        return "boundary"
    return "cells"


def _zone_attributes(attributes: pd.DataFrame, mapping: Mapping[str, str], clean: CleanShapes) -> dict[str, pd.Series]:
    """Further columns of zones under their own names: numbers as numbers, short labels as text; models may read them."""
    taken = set(mapping.values()) | {column.name for column in TABLES["cells"].columns}
    kept: dict[str, pd.Series] = {}
    left_out = 0
    for column in map(str, attributes.columns):
        if column in taken:
            continue
        text = pd.Series([_as_text(value) for value in attributes[column]], dtype="str")
        if text.notna().sum() == 0:
            continue
        numbers = pd.to_numeric(text, errors="coerce")
        is_number = numbers.notna().sum() == text.notna().sum() and bool(np.isfinite(numbers.dropna()).all())
        if len(kept) >= _MOST_ATTRIBUTES or not (is_number or text.str.len().max() <= _LONGEST_LABEL):
            left_out += 1
            continue
        kept[column] = numbers.astype("float64") if is_number else text
    if left_out:
        clean.repairs.append(f"{left_out:,} further columns of the zones were left out: too long, or beyond {_MOST_ATTRIBUTES}.")
    return kept


def _swap(shapes: Shapes) -> Shapes:
    return np.asarray(shapely.transform(shapely.force_2d(shapes), lambda xy: xy[:, ::-1]))


def _text(attributes: pd.DataFrame, mapping: dict[str, str], field: str) -> pd.Series:
    """A column as text, `7.0` as `7`, missing ones as missing."""
    if field not in mapping:
        return pd.Series([None] * len(attributes), dtype="str")
    return pd.Series([_as_text(value) for value in attributes[mapping[field]]], dtype="str")


def _as_text(value: object) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, (float, np.floating)) and np.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return str(value).replace("\0", "").encode("utf-8", errors="replace").decode("utf-8")


def _numbers(attributes: pd.DataFrame, mapping: dict[str, str], field: str) -> npt.NDArray[np.float64]:
    text = _text(attributes, mapping, field).str.replace(r"\s*m$", "", regex=True)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _positive(value: object, option: str, file: SniffedFile) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not 0 < number <= HIGHEST_M:
        raise IngestError([Problem("OPTION", f"Option `{option}` is {value!r}.", "Give a positive number of metres.", file.name)])
    return number


def _ids(attributes: pd.DataFrame, mapping: dict[str, str], prefix: str, clean: CleanShapes) -> tuple[pd.Series, bool]:
    """The ids as text and whether all were made by us from the order of the features."""
    given = _text(attributes, mapping, "id")
    given = given.mask(given.fillna("").str.strip() == "")
    made = pd.Series([f"{prefix}-{number}" for number in np.flatnonzero(clean.kept) + 1], dtype="str")
    if given.isna().any():
        clean.repairs.append(
            f"{int(given.isna().sum()):,} features had no id and were numbered by their order, as `{made.iloc[0]}`."
        )
    return given.fillna(made), bool(given.isna().all())


def _told_apart(ids: pd.Series, again: pd.Series) -> pd.Series:
    taken = set(ids)
    answer = []
    for text, number in zip(ids, again, strict=True):
        candidate = text if number == 0 else f"{text}-{number + 1}"
        while number and candidate in taken:
            number += 1
            candidate = f"{text}-{number + 1}"
        taken.add(candidate)
        answer.append(candidate)
    return pd.Series(answer, index=ids.index, dtype="str")


def _drop_rows(clean: CleanShapes, rows: int, reason: str, explanation: str) -> None:
    if rows:
        clean.dropped.append(Dropped(reason=reason, rows=rows, explanation=explanation))


def _areas(shape: shapely.Geometry) -> shapely.Geometry:
    if shape.geom_type in TABLES["cells"].geometry_types:
        return shape
    return shapely.MultiPolygon([part for part in getattr(shape, "geoms", []) if part.geom_type == "Polygon"])
