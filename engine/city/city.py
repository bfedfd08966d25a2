"""City: an immutable, lazy folder of tables with a fingerprint."""

import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyproj
from pydantic import BaseModel, ConfigDict, Field

from engine import store
from engine.city.antimeridian import Bounds, bounds_of
from engine.city.data_card import DataCard
from engine.city.schema import SCHEMA_VERSION, TABLES, WGS84, check_table
from engine.errors import CityError


class CityInfo(BaseModel):
    """What `city.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    time_zone: str = Field(description="IANA name; local times on screen are in it.")
    metric_crs: str = Field(description="UTM zone of the centroid, e.g. EPSG:32618; distances are metres in it.")
    bounds: Bounds = Field(description="West, south, east, north in degrees; east exceeds 180 for a city on the antimeridian.")
    schema_version: int = SCHEMA_VERSION
    created_at: datetime | None = None
    provenance: dict[str, Any] = Field(default={}, description="Where it came from: generator and seed, or files.")
    data_card: DataCard = DataCard()
    table_hashes: dict[str, str] = Field(default={}, description="sha256 of the canonical Parquet bytes per table.")
    rows: dict[str, int] = {}


class City:
    """A city: tables by name, loaded when first asked for, never changed.

    Build one with `City.build` (from frames) or `City.open` (from a folder). Treat every frame it hands out as read-only;
    edits make a new City (`city.replace`) with its own fingerprint.
    """

    def __init__(
        self,
        info: CityInfo,
        loaders: Mapping[str, Callable[[], pd.DataFrame]],
        folder: Path | None = None,
        media: Mapping[str, bytes] | None = None,
    ) -> None:
        self.info = info
        self.folder = folder
        self._loaders = dict(loaders)
        self._frames: dict[str, pd.DataFrame] = {}
        self._media: Mapping[str, bytes] = media or {}
        self._serialised: dict[str, bytes] = {}

    # ---- making and opening -------------------------------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        name: str,
        tables: Mapping[str, pd.DataFrame],
        *,
        time_zone: str,
        data_card: DataCard | None = None,
        provenance: Mapping[str, Any] | None = None,
        media: Mapping[str, bytes] | None = None,
        metric_crs: str | None = None,
    ) -> "City":
        """A city in memory from canonical tables (see `schema.TABLES`).

        Args:
            name: Human name.
            tables: Table name to frame; at least one must be spatial and not empty.
            time_zone: IANA name.
            data_card: What was kept and dropped on the way here.
            provenance: Where it came from.
            media: Image bytes by path relative to the city folder (`media/...`).
            metric_crs: Projected CRS in metres; default the UTM zone of the centroid.

        Raises:
            CityError: If a table breaks its schema, nothing is spatial, or the time zone is unknown.
        """
        return cls._build(
            name,
            tables,
            time_zone=time_zone,
            data_card=data_card,
            provenance=provenance,
            media=media,
            metric_crs=metric_crs,
            known_hashes={},
        )

    @classmethod
    def _build(
        cls,
        name: str,
        tables: Mapping[str, pd.DataFrame],
        *,
        time_zone: str,
        data_card: DataCard | None,
        provenance: Mapping[str, Any] | None,
        media: Mapping[str, bytes] | None,
        metric_crs: str | None,
        known_hashes: Mapping[str, str],
    ) -> "City":
        for table, frame in tables.items():
            if table not in known_hashes:
                check_table(table, frame)
        try:
            ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError):
            raise CityError(f"{time_zone!r} is not an IANA time zone. Give one such as `America/New_York`.") from None
        bounds = _bounds(tables)
        serialised = {table: _parquet_bytes(frame) for table, frame in tables.items() if table not in known_hashes}
        hashes = {table: hashlib.sha256(data).hexdigest() for table, data in serialised.items()} | dict(known_hashes)
        info = CityInfo(
            name=name,
            time_zone=time_zone,
            metric_crs=metric_crs or utm_crs((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2),
            bounds=bounds,
            provenance=dict(provenance or {}),
            data_card=data_card or DataCard(),
            table_hashes={table: hashes[table] for table in tables},
            rows={table: len(frame) for table, frame in tables.items()},
        )
        city = cls(info, {}, media=media)
        city._frames = dict(tables)
        city._serialised = serialised
        return city

    @classmethod
    def open(cls, path: Path | str) -> "City":
        """Opens a saved city; tables are read when first asked for.

        Raises:
            CityError: If the folder is no city, is damaged, or was written by a newer Mobiscope.
        """
        folder = Path(path)
        if not (folder / "city.json").is_file():
            raise CityError(f"There is no city in `{folder.name}`. Choose one from the list or bring your data on the City page.")
        raw = store.read_json(folder / "city.json")
        if raw.get("schema_version", 0) > SCHEMA_VERSION:
            raise CityError(
                f"City `{raw.get('name', folder.name)}` was written by a newer Mobiscope (schema {raw['schema_version']}, "
                f"this one reads {SCHEMA_VERSION}). Update Mobiscope or ingest the files again."
            )
        try:
            info = CityInfo.model_validate(raw)
        except ValueError as error:
            raise CityError(f"`city.json` of `{folder.name}` is damaged: {error}") from None
        return cls(info, {table: _reader(folder, table) for table in info.table_hashes}, folder)

    def save(self, path: Path | str | None = None) -> "City":
        """Writes the city to a folder (default: its slug under the cities folder) and returns it opened from there.

        The folder appears whole or not at all. An existing city of that name is replaced.

        Raises:
            CityError: If the place to write to exists and is no city.
        """
        folder = Path(path) if path else store.cities_folder() / store.slug(self.name)
        if folder.exists() and not (folder / "city.json").exists():
            raise CityError(f"`{folder}` exists and is no city; choose another name.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = folder.with_name(f".tmp-{uuid.uuid4().hex[:12]}")
        try:
            building.mkdir()
            for table in self.tables:
                (building / f"{table}.parquet").write_bytes(self.table_bytes(table))
            for relative in self.media_paths():
                target = building / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.media(relative))
            info = self.info.model_copy(update={"created_at": self.info.created_at or datetime.now().astimezone()})
            store.write_json(building / "city.json", info.model_dump(mode="json"))
            if folder.exists():
                old = folder.with_name(f".old-{uuid.uuid4().hex[:12]}")
                os.replace(folder, old)
                os.replace(building, folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return City.open(folder)

    def replace(
        self, name: str | None = None, *, media: Mapping[str, bytes] | None = None, **tables: pd.DataFrame | None
    ) -> "City":
        """A new city in memory with some tables replaced (or removed, with None); the original stays as it is.

        Args:
            name: Another name.
            media: Images that come on top, by path; name them by their content, since the fingerprint is that of the tables.
            tables: Table name to its new frame.
        """
        kept = {table: self.table(table) for table in self.tables if table not in tables}
        frames = kept | {table: frame for table, frame in tables.items() if frame is not None}
        return City._build(
            name or self.name,
            frames,
            time_zone=self.time_zone,
            data_card=self.info.data_card,
            provenance=self.info.provenance,
            media=_LazyMedia(self, media or {}),
            metric_crs=self.metric_crs,
            known_hashes={table: self.info.table_hashes[table] for table in kept},
        )

    # ---- reading --------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Human name."""
        return self.info.name

    @property
    def time_zone(self) -> str:
        """IANA time zone."""
        return self.info.time_zone

    @property
    def metric_crs(self) -> str:
        """Projected CRS in metres."""
        return self.info.metric_crs

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in degrees."""
        return self.info.bounds

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the tables' canonical Parquet bytes and what changes their meaning; not over the name."""
        meaning = {
            "schema": self.info.schema_version,
            "time_zone": self.time_zone,
            "metric_crs": self.metric_crs,
            "tables": dict(sorted(self.info.table_hashes.items())),
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()

    @property
    def tables(self) -> list[str]:
        """Names of the tables it has, in the order of the schema."""
        return [table for table in TABLES if table in self.info.table_hashes]

    def has(self, *tables: str) -> bool:
        """Whether all these tables are there and not empty."""
        return all(self.info.rows.get(table, 0) > 0 for table in tables)

    def table(self, name: str) -> pd.DataFrame:
        """One table; spatial ones are GeoDataFrames. Read-only by agreement.

        Raises:
            CityError: If the city has no such table.
        """
        if name not in self._frames:
            if name not in self._loaders:
                raise CityError(f"City `{self.name}` has no {name}; it has {', '.join(self.tables)}.")
            self._frames[name] = self._loaders[name]()
        return self._frames[name]

    def spatial(self, name: str) -> gpd.GeoDataFrame:
        """`table` for spatial tables."""
        return cast(gpd.GeoDataFrame, self.table(name))

    def metric(self, name: str) -> gpd.GeoDataFrame:
        """A spatial table projected to metres."""
        return self.spatial(name).to_crs(self.metric_crs)

    def media(self, path: str) -> bytes:
        """The bytes of an image by its path relative to the city folder.

        Raises:
            CityError: If the file is not there or the path leaves the folder.
        """
        if path in self._media:
            return self._media[path]
        if self.folder is not None:
            target = (self.folder / path).resolve()
            if target.is_relative_to((self.folder / "media").resolve()) and target.is_file():
                return target.read_bytes()
        raise CityError(f"City `{self.name}` has no image `{path}`.")

    def media_paths(self) -> list[str]:
        """Paths of all images, relative to the city folder, sorted."""
        on_disk: set[str] = set()
        if self.folder is not None and (self.folder / "media").is_dir():
            on_disk = {str(path.relative_to(self.folder)) for path in (self.folder / "media").rglob("*") if path.is_file()}
        return sorted(on_disk | set(self._media))

    def table_bytes(self, name: str) -> bytes:
        """The canonical Parquet bytes of a table."""
        if self.folder is not None:
            return (self.folder / f"{name}.parquet").read_bytes()
        return self._serialised.get(name) or _parquet_bytes(self.table(name))

    def __repr__(self) -> str:
        return f"City({self.name!r}, {', '.join(f'{rows:,} {table}' for table, rows in self.info.rows.items())})"


def list_cities() -> list[CityInfo]:
    """The infos of all saved cities, newest first; damaged folders are left out."""
    infos = []
    for path in store.cities_folder().glob("*/city.json"):
        if not path.parent.name.startswith("."):
            try:
                infos.append(City.open(path.parent).info)
            except CityError:
                continue
    return sorted(infos, key=lambda info: str(info.created_at), reverse=True)


def open_city(name: str) -> City:
    """Opens a saved city by name or slug.

    Raises:
        CityError: If there is none.
    """
    folder = store.cities_folder() / store.slug(name)
    if not folder.exists():
        known = ", ".join(info.name for info in list_cities()) or "none yet"
        raise CityError(f"There is no city `{name}`. Known: {known}.")
    return City.open(folder)


def delete_city(name: str) -> None:
    """Deletes a saved city by name or slug: its tables and images, and what was computed from any city and can be computed again.

    Runs trained on it are deleted by `engine.runs.delete`.

    Raises:
        CityError: If there is none.
    """
    folder = store.child(store.cities_folder(), store.slug(name))
    if not (folder / "city.json").is_file():
        raise CityError(f"There is no city `{name}`; it may have been deleted already.")
    gone = folder.with_name(f".old-{uuid.uuid4().hex[:12]}")
    os.replace(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)
    # Cached results are named by their content, not by their city, so all of them go; uploads in progress are nobody's result.
    for path in store.cache_folder().glob("*/**/*"):
        if path.is_file() and path.relative_to(store.cache_folder()).parts[0] != "uploads":
            path.unlink(missing_ok=True)


def utm_crs(longitude: float, latitude: float) -> str:
    """The EPSG code of the UTM zone of a point, e.g. `EPSG:32618`."""
    zone = int((longitude + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"


def project(city: City, longitude: Any, latitude: Any) -> tuple[Any, Any]:
    """Degrees to metres in the city's CRS."""
    return pyproj.Transformer.from_crs(WGS84, city.metric_crs, always_xy=True).transform(longitude, latitude)


def unproject(city: City, x: Any, y: Any) -> tuple[Any, Any]:
    """Metres in the city's CRS to degrees (longitude, latitude)."""
    return pyproj.Transformer.from_crs(city.metric_crs, WGS84, always_xy=True).transform(x, y)


class _LazyMedia(Mapping[str, bytes]):
    """The images of another city, read when asked for, and some that came on top."""

    def __init__(self, city: City, added: Mapping[str, bytes]) -> None:
        self._city, self._added = city, dict(added)
        self._paths = dict.fromkeys([*city.media_paths(), *added])

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __getitem__(self, path: str) -> bytes:
        return self._added[path] if path in self._added else self._city.media(path)

    def __iter__(self) -> Any:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _bounds(tables: Mapping[str, pd.DataFrame]) -> Bounds:
    order = ("locations", "cells", "pois", "buildings", "boundary", "street_views")
    for table in order:
        frame = tables.get(table)
        if isinstance(frame, gpd.GeoDataFrame) and len(frame):
            return bounds_of(frame.geometry)
    raise CityError("A city needs at least one table with positions: locations, cells, pois, buildings or a boundary.")


def _parquet_bytes(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    plain = frame.reset_index(drop=True)
    if isinstance(plain, gpd.GeoDataFrame):
        plain.to_parquet(buffer, index=False, compression="zstd", schema_version="1.1.0", geometry_encoding="WKB")
    else:
        plain.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _reader(folder: Path, table: str) -> Callable[[], pd.DataFrame]:
    def read() -> pd.DataFrame:
        path = folder / f"{table}.parquet"
        try:
            frame = gpd.read_parquet(path) if TABLES[table].is_spatial else pd.read_parquet(path)
            check_table(table, frame)
        except (OSError, ValueError, pa.ArrowException, CityError) as error:
            raise CityError(f"Table `{table}` of city `{folder.name}` is damaged ({error}). Ingest its files again.") from None
        return frame

    return read
