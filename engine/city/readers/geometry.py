"""Uploaded geometries made fit for a city table: in WGS84, flat, valid, of one type, everything left out counted."""

import math
import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from engine.city.data_card import Dropped
from engine.city.schema import TABLES, WGS84
from engine.errors import IngestError, Problem

Shapes = npt.NDArray[np.object_]

_EQUAL_AREA = "EPSG:6933"
_MOST_OUT_OF_RANGE = 0.05
_NAMES_A_FILE = re.compile(r"init=(?!epsg:)|grids=(?!@null)|parameterfile|parameter_files", re.IGNORECASE)
"""Ways in which the description of a CRS makes PROJ open a file of its author's choice."""
_OF_TYPE = {"Point": 0, "LineString": 1, "Polygon": 2}


@dataclass
class CleanShapes:
    """What became of the geometries of one layer.

    Attributes:
        shapes: (feature,) geometries in WGS84; those not kept are None.
        dropped: One entry per reason; the rows sum to the number not kept.
        repairs: What was mended, as sentences with counts.
        problems: Warnings, and fatal ones when too much is out of range.
    """

    shapes: Shapes
    dropped: list[Dropped] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """(feature,) which are kept."""
        return ~shapely.is_missing(self.shapes)

    def drop(self, which: npt.NDArray[np.bool_], reason: str, explanation: str) -> None:
        """Leaves out the features of a mask that are still there, and counts them."""
        which = which & self.kept
        if which.any():
            self.shapes[which] = None
            self.dropped.append(
                Dropped(
                    reason=reason,
                    rows=int(which.sum()),
                    explanation=explanation,
                    examples=[f"feature {row + 1}" for row in np.flatnonzero(which)[:3]],
                )
            )


def parse_crs(text: object, file: str) -> pyproj.CRS:
    """A CRS from what an analyst or a file says: an EPSG code, a name or WKT.

    Raises:
        IngestError: If PROJ knows none of that name.
    """
    try:
        if _NAMES_A_FILE.search(str(text)):
            raise ValueError("names a file")
        if isinstance(text, (int, float)) or (isinstance(text, str) and text.strip().isdigit()):
            return pyproj.CRS.from_epsg(int(text))
        return pyproj.CRS.from_user_input(str(text).strip())
    except (pyproj.exceptions.CRSError, ValueError, OverflowError):
        raise IngestError(
            [Problem("CRS_UNKNOWN", f"The CRS {str(text)[:80]!r} is not known.", "Give an EPSG code such as `EPSG:4326`.", file)]
        ) from None


def missing_crs(file: str, bounds: tuple[float, float, float, float] | None = None) -> Problem:
    """The refusal of a layer that does not say what its coordinates mean; it is asked for, never assumed."""
    seen = ""
    if bounds is not None and all(math.isfinite(value) for value in bounds):
        seen = " Its coordinates run from ({:,.2f}, {:,.2f}) to ({:,.2f}, {:,.2f}).".format(*bounds)
    return Problem(
        "CRS_MISSING",
        "The layer does not say in which coordinate reference system it is." + seen,
        "Set option `crs`, such as `EPSG:4326` for longitude and latitude in degrees.",
        file,
    )


def clean_shapes(shapes: Shapes, crs: pyproj.CRS, table: str, file: str) -> CleanShapes:
    """Makes geometries fit for a city table.

    Missing, empty and non-finite ones are dropped; Z is removed; collections are reduced to the parts the table takes;
    self-intersecting areas are made valid with a warning that states the change of area; everything is reprojected to WGS84;
    what cannot lie on Earth, and points at exactly (0, 0), are dropped.

    Args:
        shapes: (feature,) shapely geometries or None, coordinates x, y in `crs`.
        crs: What the coordinates mean.
        table: The city table they are meant for.
        file: Name of the file, for problems.

    Returns:
        Geometries aligned with the input, with counts.
    """
    clean = CleanShapes(np.array(shapes, dtype=object, copy=True))
    clean.drop(_empty(clean.shapes), "EMPTY_GEOMETRY", "The geometry has no coordinates.")
    missing = shapely.is_missing(np.asarray(shapes, dtype=object))
    if missing.any():
        clean.dropped.insert(
            0,
            Dropped(
                reason="NULL_GEOMETRY",
                rows=int(missing.sum()),
                explanation="The feature has no geometry, or one that cannot be read.",
                examples=[f"feature {row + 1}" for row in np.flatnonzero(missing)[:3]],
            ),
        )
    clean.drop(~_finite(clean.shapes), "NAN_COORDINATES", "A coordinate is not a finite number.")
    _flatten(clean)
    _fit_type(clean, table)
    _make_valid(clean, crs, table, file)
    _reproject(clean, crs, file)
    if table in ("pois", "locations", "street_views"):
        at_null_island = np.zeros(len(clean.shapes), dtype=bool)
        at_null_island[clean.kept] = [bool((point.x == 0) & (point.y == 0)) for point in clean.shapes[clean.kept]]
        clean.drop(at_null_island, "NULL_ISLAND", "The point lies at exactly (0, 0), where nothing is.")
    return clean


def _empty(shapes: Shapes) -> npt.NDArray[np.bool_]:
    return np.asarray(shapely.is_empty(shapes) & ~shapely.is_missing(shapes))


def _finite(shapes: Shapes) -> npt.NDArray[np.bool_]:
    bounds = shapely.bounds(shapes)
    coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
    finite = np.isfinite(bounds).all(axis=1)
    # Bounds skip NaN vertices as long as one vertex is finite.
    finite[owner[~np.isfinite(coordinates).all(axis=1)]] = False
    return np.asarray(finite)


def _flatten(clean: CleanShapes) -> None:
    deep = shapely.has_z(clean.shapes)
    if deep.any():
        clean.shapes[deep] = shapely.force_2d(clean.shapes[deep])
        clean.repairs.append(f"{int(deep.sum()):,} geometries had heights (Z), which were left out.")


def _fit_type(clean: CleanShapes, table: str) -> None:
    allowed = TABLES[table].geometry_types
    collections = clean.kept & (shapely.get_type_id(clean.shapes) == 7)
    if collections.any():
        clean.shapes[collections] = [_parts_of_type(shape, allowed) for shape in clean.shapes[collections]]
        without = collections & shapely.is_missing(clean.shapes)
        clean.shapes[without] = shapely.Point(0, 0)  # put back for `drop` to count
        clean.drop(without, "WRONG_GEOMETRY", f"The collection holds nothing of the type {_or(allowed)} that {table} need.")
        if reduced := int((collections & clean.kept).sum()):
            clean.repairs.append(f"{reduced:,} geometry collections were reduced to their parts of the type {_or(allowed)}.")
    types = np.array([shape.geom_type if shape is not None else "" for shape in clean.shapes])
    if allowed == ("Point",):
        single = types == "MultiPoint"
        single[single] = shapely.get_num_geometries(clean.shapes[single]) == 1
        clean.shapes[single] = shapely.get_geometry(clean.shapes[single], 0)
        to_middle = clean.kept & (types != "Point") & ~single
        if to_middle.any():
            clean.shapes[to_middle] = shapely.centroid(clean.shapes[to_middle])
            clean.repairs.append(f"{int(to_middle.sum()):,} lines, areas or groups of points were replaced by their centroid.")
    else:
        clean.drop(~np.isin(types, allowed), "WRONG_GEOMETRY", f"The geometry is not of the type {_or(allowed)} that {table} need.")


def _parts_of_type(shape: shapely.Geometry, allowed: tuple[str, ...]) -> shapely.Geometry | None:
    wanted = {_OF_TYPE[name] for name in allowed if name in _OF_TYPE}
    parts = [part for part in _leaves(shape) if shapely.get_dimensions(part) in wanted and not part.is_empty]
    if not parts:
        return None
    largest = max(shapely.get_dimensions(part) for part in parts)
    parts = [part for part in parts if shapely.get_dimensions(part) == largest]
    if len(parts) == 1:
        return parts[0]
    if largest == 0:
        return shapely.MultiPoint(parts).centroid
    return shapely.MultiPolygon(parts) if largest == 2 else shapely.MultiLineString(parts)


def _leaves(shape: shapely.Geometry) -> list[shapely.Geometry]:
    """The simple geometries of a collection; walked with a list, so that nesting cannot exhaust the stack."""
    leaves, waiting = [], [shape]
    while waiting:
        current = waiting.pop()
        if hasattr(current, "geoms"):
            waiting += list(current.geoms)[::-1]
        else:
            leaves.append(current)
    return leaves


def _make_valid(clean: CleanShapes, crs: pyproj.CRS, table: str, file: str) -> None:
    if "Polygon" not in TABLES[table].geometry_types:
        return
    broken = clean.kept & ~shapely.is_valid(clean.shapes)
    if not broken.any():
        return
    before = _area_m2(clean.shapes[broken], crs)
    reason = shapely.is_valid_reason(clean.shapes[broken][0])
    mended = np.array([_parts_of_type(shape, ("Polygon",)) for shape in shapely.make_valid(clean.shapes[broken])], dtype=object)
    collapsed = np.zeros(len(clean.shapes), dtype=bool)
    collapsed[broken] = shapely.is_missing(mended)
    clean.drop(collapsed, "NO_AREA", "The outline encloses no area, even after being made valid.")
    standing = broken & ~collapsed
    clean.shapes[standing] = mended[~shapely.is_missing(mended)]
    if standing.any():
        after = _area_m2(clean.shapes[standing], crs)
        first = int(np.flatnonzero(standing)[0])
        sentence = (
            f"{int(standing.sum()):,} outlines crossed themselves or were otherwise invalid (the first: {reason}) "
            f"and were made valid; their area changed from {before:,.0f} m² to {after:,.0f} m²."
        )
        clean.repairs.append(sentence)
        clean.problems.append(
            Problem(
                "INVALID_GEOMETRY",
                sentence,
                "Check them on the map.",
                file,
                row=first + 1,
                rows=int(standing.sum()),
                fatal=False,
            )
        )


def _area_m2(shapes: Shapes, crs: pyproj.CRS) -> float:
    projection = pyproj.Transformer.from_crs(crs, _EQUAL_AREA, always_xy=True)
    flat = shapely.transform(shapes, lambda xy: np.stack(projection.transform(xy[:, 0], xy[:, 1]), axis=1))
    return float(np.nansum(shapely.area(flat)))


def _reproject(clean: CleanShapes, crs: pyproj.CRS, file: str) -> None:
    kept = clean.kept
    if not kept.any():
        return
    if crs != pyproj.CRS(WGS84):
        projection = pyproj.Transformer.from_crs(crs, WGS84, always_xy=True)
        clean.shapes[kept] = shapely.transform(
            clean.shapes[kept], lambda xy: np.stack(projection.transform(xy[:, 0], xy[:, 1]), axis=1)
        )
        if crs.to_epsg() != 4326 and crs.name != "WGS 84 (CRS84)":
            clean.repairs.append(f"Reprojected from {crs.name} to WGS84.")
    bounds = shapely.bounds(clean.shapes)
    on_earth = np.isfinite(bounds).all(axis=1)
    on_earth &= (np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1)
    off = kept & ~on_earth
    if off.sum() > _MOST_OUT_OF_RANGE * kept.sum():
        swapped = (np.abs(bounds[off][:, [1, 3]]) <= 180).all() and (np.abs(bounds[off][:, [0, 2]]) <= 90).all()
        clean.problems.append(
            Problem(
                "SWAPPED_COORDINATES" if swapped else "OUT_OF_RANGE",
                f"{int(off.sum()):,} of {int(kept.sum()):,} geometries lie outside the Earth when read as {crs.name}"
                + (": latitude seems to come before longitude." if swapped else "."),
                "Set option `swap_xy`." if swapped else "Set option `crs` to the one the coordinates are in.",
                file,
                row=int(np.flatnonzero(off)[0]) + 1,
                rows=int(off.sum()),
            )
        )
    clean.drop(off, "OUT_OF_RANGE", "Longitude is outside -180…180 or latitude outside -90…90.")


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)
