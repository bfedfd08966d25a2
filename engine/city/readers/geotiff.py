"""GeoTIFF imagery cut into one square tile per cell: satellite pictures or heights, as 8-bit images.

Needs the optional rasterio; only the GTiff driver ever opens the file.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, cast

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj
import shapely
from PIL import Image

from engine.city import gdal_guard
from engine.city.checks import Ledger
from engine.city.city import utm_crs
from engine.city.grid import square_cells
from engine.city.images import encode_jpeg, encode_png
from engine.city.readers.base import FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.geometry import missing_crs, parse_crs
from engine.city.schema import WGS84
from engine.errors import CityError, IngestError, Problem

MOST_TILES = 20_000
HIGHEST_GREY = 255.0
LEAST_COVER = 0.5
"""Share of a tile that must have data."""

_MOST_PIXELS = 4_000_000_000
_LOOK_PX = 1_024
_PERCENTILES = (2.0, 98.0)
_SENTINEL_2 = (4, 3, 2)
_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


@dataclass(frozen=True)
class _Look:
    """How pixel values become colours.

    Attributes:
        bands: One band (grey or palette) or three (red, green, blue), counted from 1.
        palette: (256, 3) uint8 colours of a palette image.
        low: Value that becomes black.
        high: Value that becomes white.
        alpha: Band of opacity, 0 if none.
        nodata: Value that means no data.
        modality: `satellite` or `height`.
    """

    bands: tuple[int, ...]
    palette: npt.NDArray[np.uint8] | None
    low: float
    high: float
    alpha: int
    nodata: float | None
    modality: str


class GeoTiffReader(Reader):
    """A raster with a place on Earth; each cell gets the square around its middle, north up."""

    name: ClassVar[str] = "geotiff"
    title: ClassVar[str] = "GeoTIFF imagery"
    tables: ClassVar[tuple[str, ...]] = ("imagery",)
    options: ClassVar[tuple[OptionSpec, ...]] = (
        OptionSpec("modality", "what the raster shows", "auto", ("auto", "satellite", "height")),
        OptionSpec("tile_px", "pixels on each side of a tile", 64),
        OptionSpec("bands", "bands for red, green and blue such as 4,3,2, or one band for grey; counted from 1"),
        OptionSpec("crs", "coordinate reference system, if the file does not say it, e.g. EPSG:32618"),
        OptionSpec("cell_m", "edge in metres of the cells laid over the image, where no zones came with it", 500.0),
    )
    reads_after: ClassVar[tuple[str, ...]] = ("cells",)

    def recognise(self, file: SniffedFile) -> float:
        """By the first bytes of a TIFF; a photograph has no place on Earth and is refused when read."""
        return 0.9 if file.head.startswith(_MAGIC) else 0.0

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """Cuts one tile per cell."""
        if not file.head.startswith(_MAGIC):
            raise _refuse(file, "DRIVER", "The content is no TIFF, whatever its name says.", "Bring a GeoTIFF.")
        rasterio = gdal_guard.import_rasterio()
        ledger = Ledger(file.name, problems=list(file.problems))
        size = self._number(choices, "tile_px", 8, 1024, file)
        copy = context.folder / "image.tif"
        shutil.copyfile(file.path, copy)
        try:
            # Without a look at the folder no neighbouring file can pose as overview, mask or metadata.
            with (
                rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_CACHEMAX=128),
                rasterio.open(gdal_guard.plain_file(copy), driver="GTiff") as raster,
            ):
                crs = self._crs(raster, choices, file)
                look = self._look(rasterio, raster, choices, file, ledger)
                cells, is_made = self._cells(raster, crs, choices, context, file)
                return self._cut(rasterio, raster, crs, look, cells, is_made, int(size), file, ledger, context)
        except IngestError:
            raise
        except MemoryError:
            raise
        except Exception as error:  # GDAL reports damage in many exception classes; none of them may reach the analyst
            raise _refuse(file, "DAMAGED", f"The GeoTIFF cannot be read: {str(error)[:200]}.", "Export it again.") from None

    def _number(self, choices: FileChoices, name: str, low: float, high: float, file: SniffedFile) -> float:
        value = self.option(choices, name)
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise _refuse(file, "OPTION", f"Option `{name}` is {value!r}.", f"Give a number from {low:g} to {high:g}.")
        return number

    # ---- what the raster is -------------------------------------------------------------------------------------------------

    def _crs(self, raster: Any, choices: FileChoices, file: SniffedFile) -> pyproj.CRS:
        chosen = self.option(choices, "crs")
        transform = raster.transform
        if transform.is_identity or transform.determinant == 0 or not np.isfinite(list(transform)).all():
            found = "The TIFF does not say where on Earth it lies (it has no geotransform)."
            raise _refuse(file, "NO_GEOTRANSFORM", found, "Georeference it, for example in QGIS, and bring it again.")
        if chosen is None and raster.crs is None:
            bounds = raster.bounds
            raise IngestError([missing_crs(file.name, (bounds.left, bounds.bottom, bounds.right, bounds.top))])
        if raster.width * raster.height > _MOST_PIXELS:
            raise _refuse(
                file, "TOO_LARGE", f"The image has {raster.width * raster.height:,} pixels.", "Bring a smaller part of it."
            )
        return parse_crs(chosen if chosen is not None else raster.crs.to_wkt(), file.name)

    def _look(self, rasterio: ModuleType, raster: Any, choices: FileChoices, file: SniffedFile, ledger: Ledger) -> _Look:
        kinds = {np.dtype(kind) for kind in raster.dtypes}
        if any(kind.kind not in "uif" for kind in kinds):
            raise _refuse(
                file, "BAND_TYPE", f"The bands hold {', '.join(map(str, kinds))}, not plain numbers.", "Convert them to 8 bits."
            )
        kind = np.dtype(raster.dtypes[0])
        names = [interpretation.name for interpretation in raster.colorinterp]
        alpha = names.index("alpha") + 1 if "alpha" in names else 0
        bands = self._bands(raster, choices, names, alpha, file)
        modality = str(self.option(choices, "modality"))
        if modality == "auto":
            modality = (
                "height" if raster.count == 1 and (kind.kind == "f" or (kind.kind == "i" and kind.itemsize > 1)) else "satellite"
            )
        palette = None
        if len(bands) == 1 and names[bands[0] - 1] == "palette":
            palette = np.zeros((256, 3), dtype=np.uint8)
            for value, colour in raster.colormap(bands[0]).items():
                if 0 <= value < 256:
                    palette[value] = colour[:3]
        nodata = raster.nodatavals[bands[0] - 1]
        low, high = 0.0, 255.0
        if palette is None and kind != np.uint8:
            low, high = _stretch(raster, bands, nodata)
            if modality == "height" and -HIGHEST_GREY < low and high <= HIGHEST_GREY:
                low, high = 0.0, HIGHEST_GREY
                ledger.repair("Heights were stored as one grey level per metre; those below 0 as 0, those above 255 m as 255.")
            else:
                ledger.repair(f"Values of {kind} were scaled so that {low:g} is black and {high:g} is white.")
        named = "red, green and blue" if len(bands) == 3 else "grey"
        ledger.repair(f"Band {', '.join(map(str, bands))} of {raster.count} was read as {named}.")
        return _Look(bands, palette, low, high, alpha, nodata, modality)

    def _bands(self, raster: Any, choices: FileChoices, names: list[str], alpha: int, file: SniffedFile) -> tuple[int, ...]:
        chosen = self.option(choices, "bands")
        if chosen is not None:
            try:
                bands = tuple(int(part) for part in str(chosen).split(","))
            except ValueError:
                bands = ()
            if len(bands) not in (1, 3) or not all(1 <= band <= raster.count for band in bands):
                mend = f"Give one or three bands from 1 to {raster.count}, such as 1 or 3,2,1."
                raise _refuse(file, "OPTION", f"Option `bands` is {chosen!r}.", mend)
            return bands
        if {"red", "green", "blue"} <= set(names):
            return tuple(names.index(colour) + 1 for colour in ("red", "green", "blue"))
        coloured = raster.count - bool(alpha)
        if coloured in (12, 13):
            return _SENTINEL_2
        return (1, 2, 3) if coloured >= 3 else (1,)

    # ---- cells and tiles ----------------------------------------------------------------------------------------------------

    def _cells(
        self, raster: Any, crs: pyproj.CRS, choices: FileChoices, context: ReadContext, file: SniffedFile
    ) -> tuple[gpd.GeoDataFrame, bool]:
        known = context.tables.get("cells")
        if known is not None and len(known):
            return cast(gpd.GeoDataFrame, known), False
        x, y = _place(raster, np.array([0, raster.width, raster.width, 0]), np.array([0, 0, raster.height, raster.height]))
        longitude, latitude = pyproj.Transformer.from_crs(crs, WGS84, always_xy=True).transform(x, y)
        if not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
            raise _refuse(file, "OUT_OF_RANGE", f"Read as {crs.name}, the image lies outside the Earth.", "Set option `crs`.")
        metric = utm_crs(float(np.mean(longitude)), float(np.mean(latitude)))
        east, north = pyproj.Transformer.from_crs(WGS84, metric, always_xy=True).transform(longitude, latitude)
        # An image that ends on the edge of a cell does not reach into the next one.
        inwards = 1e-3
        extent = (
            float(np.min(east)) + inwards,
            float(np.min(north)) + inwards,
            float(np.max(east)) - inwards,
            float(np.max(north)) - inwards,
        )
        cell_m = self._number(choices, "cell_m", 1, 1e6, file)
        try:
            return square_cells(extent, metric, cell_m, MOST_TILES, "The image"), True
        except CityError as error:
            raise _refuse(file, "LIMIT", str(error), "Set option `cell_m` higher, or bring zones.") from None

    def _cut(
        self,
        rasterio: ModuleType,
        raster: Any,
        crs: pyproj.CRS,
        look: _Look,
        cells: gpd.GeoDataFrame,
        is_made: bool,
        size: int,
        file: SniffedFile,
        ledger: Ledger,
        context: ReadContext,
    ) -> ReadResult:
        if len(cells) > MOST_TILES:
            raise _refuse(
                file, "LIMIT", f"There are {len(cells):,} cells; at most {MOST_TILES:,} tiles are cut.", "Choose larger cells."
            )
        ledger.rows_in = len(cells)
        keep = np.ones(len(cells), dtype=bool)
        outside = np.zeros(len(cells), dtype=bool)
        paths = np.full(len(cells), "", dtype=object)
        media: dict[str, bytes] = {}
        for position, tile in enumerate(_tiles(rasterio, raster, crs, look, cells, size)):
            if position % 50 == 0:
                context.report(f"{file.name}: tile {position + 1:,} of {len(cells):,}", position / len(cells))
            if tile is None:
                outside[position] = True
                continue
            # Pictures bear the losses of JPEG; heights are measurements.
            data, ending = (encode_png(tile), "png") if look.modality == "height" else (encode_jpeg(tile), "jpg")
            paths[position] = f"media/{look.modality}/{hashlib.sha256(data).hexdigest()[:32]}.{ending}"
            media[paths[position]] = data
        ledger.drop("OUTSIDE_IMAGE", keep, outside, values=list(cells["cell_id"]))
        ledger.close()
        if ledger.is_refused:
            raise IngestError(ledger.problems)
        imagery = pd.DataFrame(
            {
                "subject": "cell",
                "subject_id": cells["cell_id"].to_numpy(dtype=object)[keep],
                "modality": look.modality,
                "path": paths[keep],
            }
        ).astype("str")
        card = self.card(file, "imagery", ledger.rows_in, len(imagery), ledger.dropped, ledger.repairs)
        result = ReadResult({"imagery": imagery}, cards=[card], problems=ledger.problems, media=media)
        if is_made:
            result.tables["cells"] = cells[keep].reset_index(drop=True)
            result.assumptions.append(f"{file.name}: no zones came with the image, so square cells were laid over it.")
        return result


def _stretch(raster: Any, bands: tuple[int, ...], nodata: float | None) -> tuple[float, float]:
    """The values that become black and white: percentiles over a thinned-out reading of all bands together."""
    thinning = max(raster.width, raster.height) / _LOOK_PX
    shape = (len(bands), max(1, int(raster.height / max(thinning, 1))), max(1, int(raster.width / max(thinning, 1))))
    values = raster.read(list(bands), out_shape=shape).astype(np.float64)
    usable = np.isfinite(values)
    if nodata is not None and np.isfinite(nodata):
        usable &= values != nodata
    if not usable.any():
        return 0.0, 1.0
    low, high = np.percentile(values[usable], _PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


def _tiles(
    rasterio: ModuleType, raster: Any, crs: pyproj.CRS, look: _Look, cells: gpd.GeoDataFrame, size: int
) -> Iterator[Image.Image | None]:
    """One tile per cell in order; None where less than `LEAST_COVER` of it has data."""
    from rasterio.enums import Resampling
    from rasterio.transform import Affine
    from rasterio.warp import reproject

    middle = shapely.get_coordinates(shapely.centroid(shapely.box(*_unwrapped(cells).T)))
    metric = utm_crs(float(np.mean(middle[:, 0])), float(np.mean(middle[:, 1])))
    bounds = cells.to_crs(metric).bounds.to_numpy()  # (cell, 4) metres
    side = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
    x, y = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    target_crs = rasterio.crs.CRS.from_string(metric)
    source_crs = rasterio.crs.CRS.from_wkt(crs.to_wkt())
    pixel_m = _pixel_m(raster, crs, metric)
    bands = (*look.bands, look.alpha) if look.alpha else look.bands
    for position in range(len(cells)):
        half, step = side[position] / 2, side[position] / size
        target = Affine(step, 0.0, x[position] - half, 0.0, -step, y[position] + half)
        coarser = step > pixel_m
        method = Resampling.nearest if look.palette is not None else Resampling.average if coarser else Resampling.bilinear
        warped = np.full((len(bands), size, size), np.nan, dtype=np.float32)
        reproject(
            rasterio.band(raster, list(bands)),
            warped,
            src_crs=source_crs,
            src_nodata=np.nan if look.nodata is None and np.dtype(raster.dtypes[0]).kind == "f" else look.nodata,
            dst_transform=target,
            dst_crs=target_crs,
            dst_nodata=np.nan,
            resampling=method,
        )
        yield _picture(warped, look)


def _picture(warped: npt.NDArray[np.float32], look: _Look) -> Image.Image | None:
    colours = warped[: len(look.bands)]
    has_data = np.asarray(np.isfinite(colours).all(axis=0))
    if look.alpha:
        has_data &= np.nan_to_num(warped[-1]) > 0
    if has_data.mean() < LEAST_COVER:
        return None
    if look.palette is not None:
        index = np.clip(np.nan_to_num(colours[0]), 0, 255).astype(np.uint8)
        rgb = look.palette[index]
    else:
        scaled = (np.nan_to_num(colours) - look.low) / (look.high - look.low) * 255
        rgb = np.moveaxis(np.clip(np.round(scaled), 0, 255).astype(np.uint8), 0, -1)  # (row, column, band)
        rgb = np.broadcast_to(rgb, (*rgb.shape[:2], 3))
    return Image.fromarray(np.where(has_data[..., None], rgb, np.uint8(0)))


def _unwrapped(cells: gpd.GeoDataFrame) -> npt.NDArray[np.float64]:
    """(cell, 4) bounds in degrees, with cells cut by the antimeridian put together east of it."""
    bounds = cells.bounds.to_numpy(dtype=np.float64).copy()
    if np.ptp(bounds[:, [0, 2]]) > 180:
        cut = bounds[:, 2] - bounds[:, 0] > 180
        bounds[cut] = np.stack([np.full(cut.sum(), 180.0), bounds[cut, 1], np.full(cut.sum(), 180.0), bounds[cut, 3]], axis=1)
        west = bounds[:, 0] < 0
        bounds[west] += np.array([360.0, 0.0, 360.0, 0.0])
    return bounds


def _pixel_m(raster: Any, crs: pyproj.CRS, metric: str) -> float:
    """Size of a pixel in the middle of the raster, metres."""
    column, row = raster.width / 2, raster.height / 2
    source = _place(raster, np.array([column, column + 1]), np.array([row, row + 1]))
    x, y = pyproj.Transformer.from_crs(crs, metric, always_xy=True).transform(*source)
    return float(np.hypot(x[1] - x[0], y[1] - y[0]) / np.sqrt(2))


def _place(
    raster: Any, column: npt.NDArray[np.float64], row: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixel corners to x and y in the raster's CRS."""
    a, b, c, d, e, f = tuple(raster.transform)[:6]
    return a * column + b * row + c, d * column + e * row + f


def _refuse(file: SniffedFile, code: str, found: str, mend: str) -> IngestError:
    return IngestError([Problem(code, found, mend, file.name)])
