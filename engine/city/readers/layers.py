"""Vector layers out of their containers, with nothing decided yet: attributes as they are, geometries unchecked, CRS as stated.

JSON and GeoParquet are parsed without GDAL; GeoPackage and Shapefile go through GDAL in the limited child process, only after
their magic bytes proved what they are.
"""

import json
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from engine.city import gdal_guard
from engine.city.readers.archives import extract_member, safe_members
from engine.city.readers.base import SniffedFile
from engine.city.readers.geometry import Shapes
from engine.errors import IngestError, Problem

Container = Literal["geojson", "json records", "geopackage", "shapefile", "geoparquet"]

MOST_COLUMNS = 2_000
GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")
_SHAPEFILE_MAGIC = bytes([0, 0, 0x27, 0x0A])
_GEOMETRY_TYPES = "Point|MultiPoint|LineString|MultiLineString|Polygon|MultiPolygon|GeometryCollection"
_SHAPE_KEYS = ("geometry", "polygon", "contour", "coordinates", "position", "path")
_LONGITUDE_KEYS, _LATITUDE_KEYS = ("lon", "lng", "long", "longitude", "x"), ("lat", "latitude", "y")
_POSITION_KEYS = (*_LONGITUDE_KEYS, *_LATITUDE_KEYS)
_SAMPLE_BYTES = 4 << 20


@dataclass
class Layer:
    """One layer as it stands in the file.

    Attributes:
        attributes: One row per feature.
        shapes: (feature,) geometries; None where there is none or it cannot be read.
        crs: As stated by the file; None where it does not say.
        crs_note: Where the CRS comes from, if it is a convention of the format rather than a statement of the file.
        problems: Non-fatal remarks.
    """

    attributes: pd.DataFrame
    shapes: Shapes
    crs: Any
    crs_note: str = ""
    problems: list[Problem] = field(default_factory=list)


def container_of(file: SniffedFile) -> Container | None:
    """Which container a file is, by its bytes; None where it is none of them."""
    if file.kind == "zip" or file.head.startswith(b"PK\x03\x04"):
        return "shapefile" if any(name.lower().endswith(".shp") for name in file.entries) else None
    if file.head.startswith(b"SQLite format 3\0"):
        return "geopackage" if file.head[68:72] in GEOPACKAGE_IDS or _has_geopackage_tables(file.path) else None
    if file.head.startswith(b"PAR1"):
        try:
            return "geoparquet" if b"geo" in (pq.read_schema(file.path).metadata or {}) else None
        except (pa.ArrowException, OSError):
            return None
    return _json_container(file)


def sample_attributes(file: SniffedFile, folder: Path, rows: int) -> pd.DataFrame:
    """Attributes of the first features, without reading the whole of a large JSON file.

    Raises:
        IngestError: As `load_layer`.
    """
    if container_of(file) in ("geojson", "json records") and file.size > _SAMPLE_BYTES:
        with file.path.open("rb") as opened:
            head = opened.read(_SAMPLE_BYTES).decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
        opening = re.search(r'"features"\s*:\s*\[', head) if head.startswith("{") else re.match(r"\[", head)
        found = list(islice(_objects(head, opening.end()), rows)) if opening else []
        if found:
            is_feature = all(record.get("type") == "Feature" for record in found)
            return _attribute_table(file, [_properties(record) if is_feature else _without_shape(record) for record in found])
    return load_layer(file, folder, limit=rows).attributes


def load_layer(file: SniffedFile, folder: Path, layer: str | None = None, limit: int | None = None) -> Layer:
    """Reads one layer.

    Args:
        file: The file.
        folder: Private folder for temporary files.
        layer: Name of the layer, where the container holds several; None takes the first.
        limit: At most that many features; None reads all.

    Raises:
        IngestError: If the container is damaged, holds no layer, or is something else in disguise.
    """
    container = container_of(file)
    if container == "shapefile":
        loaded = _load_shapefile(file, folder, layer, limit)
    elif container == "geopackage":
        loaded = _load_geopackage(file, folder, layer, limit)
    elif container == "geoparquet":
        loaded = _load_geoparquet(file, limit)
    elif container is None:
        raise _refuse(
            file,
            "DRIVER",
            "The content is no vector format read here.",
            "Bring GeoJSON, GeoPackage, a zipped Shapefile or GeoParquet.",
        )
    else:
        loaded = _load_json(file, limit)
    if loaded.attributes.shape[1] > MOST_COLUMNS:
        raise _refuse(
            file,
            "LIMIT",
            f"The layer has {loaded.attributes.shape[1]:,} attributes, more than {MOST_COLUMNS:,}.",
            "Keep the few that matter.",
        )
    if not len(loaded.shapes):
        raise _refuse(file, "NO_ROWS", "The layer holds no features.", "Export it again with its features.")
    return loaded


# ---- JSON -----------------------------------------------------------------------------------------------------------------


def _json_container(file: SniffedFile) -> Container | None:
    head = _json_head(file)
    if head[:1] == "{" or head[:1] == "\x1e":
        if re.search(rf'"type"\s*:\s*"(FeatureCollection|Feature|{_GEOMETRY_TYPES})"', head):
            return "geojson"
        return None
    if head[:1] == "[" and head[1:].lstrip()[:1] == "{":
        record = next(iter(_objects(head, 1)), None)
        keys = {str(key).lower() for key in record} if record is not None else set()
        if record is None:  # the first record is longer than the head
            keys = {key.lower() for key in re.findall(r'"(\w+)"\s*:', head)}
        has_pair = keys & set(_LONGITUDE_KEYS) and keys & set(_LATITUDE_KEYS)
        return "json records" if keys & set(_SHAPE_KEYS) or has_pair else None
    return None


def _json_head(file: SniffedFile) -> str:
    encoding = "utf-8"
    if file.head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    return file.head.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")


def _objects(text: str, start: int) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, one after the other, as far as the text goes."""
    decoder, between = json.JSONDecoder(), re.compile(r"[\s,]*")
    position = start
    while position < len(text):
        position = between.match(text, position).end()  # type: ignore[union-attr]
        try:
            found, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        if isinstance(found, dict):
            yield found


def _load_json(file: SniffedFile, limit: int | None) -> Layer:
    try:
        content = _parse_json(file.path.read_bytes())
    except RecursionError:
        raise _refuse(file, "JSON", "The JSON is nested too deeply.", "Export it again as GeoJSON.") from None
    except UnicodeDecodeError as error:
        raise _refuse(
            file, "ENCODING", f"The JSON is not UTF-8: {error.reason} at byte {error.start:,}.", "Save it as UTF-8."
        ) from None
    except ValueError as error:
        raise _refuse(
            file, "JSON", f"The JSON is damaged: {str(error)[:200]}.", "Export it again; it may have been cut short."
        ) from None
    if isinstance(content, list) and not all(isinstance(item, dict) and item.get("type") == "Feature" for item in content):
        return _layer_of_records(file, content[:limit])
    if isinstance(content, list):
        content = {"type": "FeatureCollection", "features": content}
    if not isinstance(content, dict):
        raise _refuse(file, "JSON", "The JSON holds no features.", "Bring a FeatureCollection or a list of objects with positions.")
    return _layer_of_features(file, content, limit)


def _parse_json(data: bytes) -> Any:
    text = data.decode(json.detect_encoding(data))
    text = text.lstrip("\ufeff")
    try:
        return json.loads(text)
    except ValueError:
        lines = [line.strip("\x1e \t\r") for line in text.splitlines() if line.strip("\x1e \t\r")]
        if len(lines) < 2 or not all(line.startswith("{") and line.endswith("}") for line in lines):
            raise
        return [json.loads(line) for line in lines]  # newline-delimited features, RFC 8142


def _layer_of_features(file: SniffedFile, content: dict[str, Any], limit: int | None) -> Layer:
    kind = content.get("type")
    if kind == "FeatureCollection":
        features = content.get("features")
    elif kind == "Feature":
        features = [content]
    elif kind not in _GEOMETRY_TYPES.split("|"):
        found = f"The JSON is a {str(kind)[:40]!r}, not a FeatureCollection."
        raise _refuse(file, "JSON", found, "Export it as GeoJSON.")
    else:
        features = [{"type": "Feature", "properties": {}, "geometry": content}]
    if not isinstance(features, list):
        raise _refuse(file, "JSON", "The FeatureCollection has no list `features`.", "Export it again as GeoJSON.")
    features = [feature if isinstance(feature, dict) else {} for feature in features[:limit]]
    crs, note = _geojson_crs(content)
    shapes = _shapes_from_json(feature.get("geometry") for feature in features)
    return Layer(_attribute_table(file, [_properties(feature) for feature in features]), shapes, crs, note)


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    row = dict(properties) if isinstance(properties, dict) else {}
    if "id" in feature and "id" not in row:
        row["id"] = feature["id"]
    return row


def _geojson_crs(content: dict[str, Any]) -> tuple[Any, str]:
    """RFC 7946 has one CRS; its forerunner of 2008 had a `crs` member, still written by GDAL and QGIS, null meaning unknown."""
    if "crs" not in content:
        return "OGC:CRS84", "GeoJSON is in WGS84 by its standard (RFC 7946)."
    stated = content["crs"]
    properties = stated.get("properties") if isinstance(stated, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return (name, "") if isinstance(name, str) else (None, "")


def _layer_of_records(file: SniffedFile, records: list[Any]) -> Layer:
    if not records or not all(isinstance(record, dict) for record in records):
        raise _refuse(
            file, "JSON", "The JSON is a list of something other than objects.", "Bring a list of objects with a position each."
        )
    names = {str(key).lower(): str(key) for record in records[:100] for key in record}
    shape_key = next((names[key] for key in _SHAPE_KEYS if key in names), None)
    longitude = next((names[key] for key in _LONGITUDE_KEYS if key in names), None)
    latitude = next((names[key] for key in _LATITUDE_KEYS if key in names), None)
    if shape_key is not None:
        shapes = _shapes_from_json(_geometry_of_nesting(record.get(shape_key), shape_key) for record in records)
        used = {shape_key}
    elif longitude is not None and latitude is not None:
        shapes = _shapes_from_json(
            {"type": "Point", "coordinates": [record.get(longitude), record.get(latitude)]} for record in records
        )
        used = {longitude, latitude}
    else:
        raise _refuse(file, "JSON", "The objects have no position.", f"Name it {', '.join(_SHAPE_KEYS[:4])}, or lon and lat.")
    attributes = _attribute_table(file, [{key: value for key, value in record.items() if key not in used} for record in records])
    bounds = shapely.total_bounds(shapes)
    in_degrees = bool(np.isfinite(bounds).all() and np.abs(bounds[[0, 2]]).max() <= 180 and np.abs(bounds[[1, 3]]).max() <= 90)
    note = "JSON lists state no CRS; the coordinates fit degrees and were read as longitude, latitude in WGS84."
    return Layer(attributes, shapes, "OGC:CRS84" if in_degrees else None, note if in_degrees else "")


def _without_shape(record: dict[str, Any]) -> dict[str, Any]:
    names = {str(key).lower(): key for key in record}
    used = [names[key] for key in _SHAPE_KEYS if key in names][:1] or [names[key] for key in _POSITION_KEYS if key in names]
    return {key: value for key, value in record.items() if key not in used}


def _geometry_of_nesting(value: Any, key: str) -> Any:
    """A GeoJSON geometry for bare coordinates, told apart by how deep they are nested."""
    if isinstance(value, dict):
        return value
    depth, inner = 0, value
    while isinstance(inner, list) and inner:
        depth, inner = depth + 1, inner[0]
    if depth == 2:
        if key.lower() == "path" or (key.lower() not in ("polygon", "contour") and value[0] != value[-1]):
            return {"type": "LineString", "coordinates": value}
        value, depth = [value], 3
    if depth == 3:
        value = [[*ring, ring[0]] if isinstance(ring, list) and ring and ring[0] != ring[-1] else ring for ring in value]
    kind = {1: "Point", 3: "Polygon", 4: "MultiPolygon"}.get(depth)
    return {"type": kind, "coordinates": value} if kind else None


def _shapes_from_json(geometries: Iterable[Any]) -> Shapes:
    texts = [json.dumps(geometry) if isinstance(geometry, dict) else None for geometry in geometries]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(shapely.from_geojson(np.array(texts, dtype=object), on_invalid="ignore"), dtype=object).reshape(
            len(texts)
        )


def _attribute_table(file: SniffedFile, rows: list[dict[str, Any]]) -> pd.DataFrame:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
        if len(names) > MOST_COLUMNS:
            raise _refuse(file, "LIMIT", f"The features have more than {MOST_COLUMNS:,} attributes.", "Keep the few that matter.")
    columns = {name: pd.Series([_plain(row.get(name)) for row in rows], dtype=object) for name in names}
    return pd.DataFrame(columns, index=range(len(rows)))


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


# ---- GeoParquet, GeoPackage, Shapefile ------------------------------------------------------------------------------------


def _load_geoparquet(file: SniffedFile, limit: int | None) -> Layer:
    try:
        metadata = json.loads((pq.read_schema(file.path).metadata or {})[b"geo"])
        geometry = str(metadata["primary_column"])
        stated = dict(metadata["columns"][geometry])
        table = _read_parquet(file.path, limit)
        if stated.get("encoding") != "WKB" or not pa.types.is_binary(_storage(table.schema.field(geometry).type)):
            found = f"The geometry column {geometry!r} is not encoded as WKB but as {stated.get('encoding')!r}."
            raise _refuse(file, "PARQUET", found, "Write it with geometry_encoding='WKB'.")
        values = table.column(geometry).to_pylist()
        nested = [name for name in table.column_names if pa.types.is_nested(table.schema.field(name).type)]
        # What pandas once wrote into the metadata is neither needed nor to be trusted.
        plain = table.drop_columns([geometry, *nested]).replace_schema_metadata(None)
        attributes = plain.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refuse(file, "PARQUET", f"The GeoParquet file is damaged: {str(error)[:200]}.", "Write it again.") from None
    problems = []
    if set(nested) - {"bbox"}:
        found = f"The nested columns {', '.join(nested)} were left out."
        problems.append(Problem("NESTED", found, "Flatten those that matter.", file.name, fatal=False))
    crs, note = stated.get("crs"), ""
    if "crs" not in stated:
        crs, note = "OGC:CRS84", "GeoParquet without a CRS is in WGS84 by its standard."
    crs = json.dumps(crs) if isinstance(crs, dict) else crs
    return Layer(attributes.reset_index(drop=True), _shapes_from_wkb(values), crs, note, problems)


def _read_parquet(path: Path, limit: int | None) -> pa.Table:
    if limit is None:
        return pq.read_table(path, memory_map=False)
    opened = pq.ParquetFile(path)
    batches = list(islice(opened.iter_batches(batch_size=max(limit, 1)), 1))
    return pa.Table.from_batches(batches, schema=opened.schema_arrow)


def _storage(kind: pa.DataType) -> pa.DataType:
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return pa.binary() if pa.types.is_large_binary(storage) or pa.types.is_binary_view(storage) else storage


def _shapes_from_wkb(values: list[bytes | None]) -> Shapes:
    texts = np.array(values, dtype=object)
    try:
        shapes = np.asarray(shapely.from_wkb(texts, on_invalid="ignore"), dtype=object).reshape(len(values))
    except (NotImplementedError, TypeError):
        shapes = np.array([_shape_from_wkb(value) for value in values] or [], dtype=object)
    # Curves hidden in a collection are only noticed when their coordinates are asked for.
    for position in np.flatnonzero(shapely.get_type_id(shapes) == 7):
        try:
            shapely.get_coordinates(shapes[position])
        except shapely.errors.GEOSException:
            shapes[position] = None
    return shapes


def _shape_from_wkb(value: object) -> shapely.Geometry | None:
    """One geometry; None for curves, which shapely cannot read."""
    try:
        return shapely.from_wkb(value, on_invalid="ignore") if isinstance(value, bytes) else None
    except NotImplementedError:
        return None


def _has_geopackage_tables(path: Path) -> bool:
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        return False
    try:
        return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gpkg_geometry_columns'").fetchone())
    except (sqlite3.Error, UnicodeDecodeError):
        return False
    finally:
        connection.close()


def _load_geopackage(file: SniffedFile, folder: Path, layer: str | None, limit: int | None) -> Layer:
    copy = folder / "layer.gpkg"
    shutil.copyfile(file.path, copy)
    return _load_with_gdal(file, copy, layer, limit)


def _load_shapefile(file: SniffedFile, folder: Path, layer: str | None, limit: int | None) -> Layer:
    entries = {member.filename: member for member in safe_members(file.path, file.name)}
    stems = sorted(name[:-4] for name in entries if name.lower().endswith(".shp"))
    chosen = next((stem for stem in stems if layer in (None, stem, Path(stem).name)), None)
    if chosen is None:
        raise _refuse(file, "LAYER", f"There is no Shapefile {layer!r} in the archive.", f"Choose one of {', '.join(stems[:10])}.")
    parts = {Path(name).suffix.lower(): name for name in entries if name[: -len(Path(name).suffix) or None] == chosen}
    lacking = [suffix for suffix in (".shp", ".shx", ".dbf") if suffix not in parts]
    if lacking:
        raise _refuse(
            file, "SHAPEFILE", f"The Shapefile `{chosen}` lacks {', '.join(lacking)}.", "Zip all files of the Shapefile together."
        )
    with zipfile.ZipFile(file.path) as archive:
        for suffix in {".shp", ".shx", ".dbf", ".prj", ".cpg"} & set(parts):
            extract_member(archive, entries[parts[suffix]], file.name, folder / f"layer{suffix}")
    with (folder / "layer.shp").open("rb") as opened:
        if opened.read(4) != _SHAPEFILE_MAGIC:
            raise _refuse(file, "DRIVER", f"`{chosen}.shp` is no Shapefile, whatever its name says.", "Export it again.")
    loaded = _load_with_gdal(file, folder / "layer.shp", None, limit)
    if len(stems) > 1 and layer is None:
        loaded.problems.append(_several(file, chosen, stems))
    return loaded


def _load_with_gdal(file: SniffedFile, path: Path, layer: str | None, limit: int | None) -> Layer:
    pyogrio = gdal_guard.import_pyogrio()
    source = gdal_guard.plain_file(path)
    try:
        layers = [(str(name), kind) for name, kind in pyogrio.list_layers(source)]
        spatial = [name for name, kind in layers if kind is not None]
        if not spatial or (layer is not None and layer not in spatial):
            raise _refuse(
                file,
                "LAYER",
                f"There is no layer {layer or 'with geometry'!r}.",
                f"Choose one of {', '.join(spatial[:10]) or 'none'}.",
            )
        chosen = layer or spatial[0]
        meta, _, geometry, values = pyogrio.raw.read(source, layer=chosen, max_features=limit, datetime_as_string=True)
    except IngestError:
        raise
    except Exception as error:  # GDAL reports damage in many exception classes; none of them may reach the analyst
        raise _refuse(file, "DAMAGED", f"The file cannot be read: {str(error)[:200]}.", "Export it again.") from None
    attributes = pd.DataFrame({str(name): pd.Series(column) for name, column in zip(meta["fields"], values, strict=True)})
    shapes = _shapes_from_wkb(list(geometry))
    problems = [_several(file, chosen, spatial)] if len(spatial) > 1 and layer is None else []
    return Layer(attributes.reindex(range(len(shapes))), shapes, _stated_crs(meta["crs"]), "", problems)


def _stated_crs(crs: str | None) -> str | None:
    """GeoPackage writes "undefined" systems for layers whose CRS nobody knows."""
    return None if not crs or re.search(r"undefined|unknown", crs[:200], re.IGNORECASE) else crs


def _several(file: SniffedFile, chosen: str, names: list[str]) -> Problem:
    others = ", ".join(f"`{name}`" for name in names if name != chosen)
    return Problem(
        "LAYERS", f"Read layer `{chosen}`; there are also {others}.", "Choose another with option `layer`.", file.name, fatal=False
    )


def _refuse(file: SniffedFile, code: str, found: str, mend: str) -> IngestError:
    return IngestError([Problem(code, found, mend, file.name)])
