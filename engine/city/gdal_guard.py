"""GDAL with everything that could read another file or open a socket switched off.

GDAL reads these settings once, when pyogrio or rasterio is imported; setting them afterwards does nothing (measured). So they are
put in force in the child process that parses uploads, before either is imported, and `import_pyogrio` / `import_rasterio` check
that they are, by looking at the drivers that are really there.
"""

import os
import sys
from pathlib import Path
from types import ModuleType

from engine.errors import IngestError, Problem

_FORBIDDEN_DRIVERS = (
    # Files that name other files or addresses, or that compute.
    *"OGR_VRT VRT GDALG GTI STACIT STACTA DERIVED MRF TIL SNAP_TIFF DIMAP SAFE SENTINEL2 S102 S104 S111 ERS".split(),
    *"ISIS3 ISIS2 PDS PDS4 OGR_PDS VICAR ENVI EHdr RRASTER SNODAS PAux GenBin MAP OZI MFF MFF2 KMLSUPEROVERLAY ESRIC".split(),
    *"Rasterlite GTFS AIVector PCIDSK NGSGEOID COSAR RS2 TSX SAR_CEOS".split(),
    *"LIBKML KML GML GeoRSS GPX JML LVBAG MapML GNMFile GNMDatabase OpenFileGDB".split(),
    *"SQLite MBTiles PMTiles MVT".split(),
    # Services.
    *"HTTP WFS OAPIF OGCAPI CSW WMS WMTS WCS EEDA EEDAI PLSCENES PLMOSAIC NGW Carto AmigoCloud Elasticsearch DAAS ADBC".split(),
    *"CouchDB PostgreSQL PostGISRaster MySQL MSSQLSpatial ODBC OCI GPSBabel HANA MongoDBv3".split(),
    # Formats nobody uploads here, each of them code that would look at the bytes.
    *"AVCBin AVCE00 CSV DGN DXF EDIGEO ESRIJSON FlatGeobuf GeoJSON GeoJSONSeq Idrisi JSONFG ODS OGR_GMT OSM PDF PGDUMP".split(),
    *"S57 SXF Selafin TopoJSON VDV VFK WAsP XLSX XLS Zarr netCDF HDF4 HDF5 HDF4Image HDF5Image BAG GRIB NITF".split(),
    *("JP2OpenJPEG", "MapInfo File", "MiraMonVector"),
)

ENVIRONMENT: dict[str, str] = {
    "GDAL_SKIP": ",".join(_FORBIDDEN_DRIVERS),
    "GDAL_DRIVER_PATH": "disable",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{noext}",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
    "GDAL_MEM_ENABLE_OPEN": "NO",
    "GDAL_PAM_ENABLED": "NO",
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
    "PROJ_NETWORK": "OFF",
    "CPL_LOG": os.devnull,  # it names every driver of the list that this build never had
}
"""What the process that parses uploads must have in its environment from the start."""


def put_in_force() -> None:
    """Sets the environment of this process.

    Raises:
        IngestError: If pyogrio or rasterio is already imported, so that it would have no effect.
    """
    early = [name for name in ("pyogrio", "rasterio") if name in sys.modules]
    if early and not _is_set():
        raise _unguarded(f"{' and '.join(early)} was imported before the settings")
    os.environ.update(ENVIRONMENT)


def import_pyogrio() -> ModuleType:
    """The module pyogrio, with the guard proven to be in force.

    Raises:
        IngestError: If it is not.
    """
    if not _is_set():
        raise _unguarded("its settings are absent")
    import pyogrio

    _check_drivers(set(pyogrio.list_drivers()))
    return pyogrio


def import_rasterio() -> ModuleType:
    """The module rasterio, with the guard proven to be in force.

    Raises:
        IngestError: If it is not, or the optional rasterio is not installed.
    """
    if not _is_set():
        raise _unguarded("its settings are absent")
    try:
        import rasterio
    except ImportError:
        raise IngestError(
            [
                Problem(
                    "NO_RASTERIO",
                    "Reading GeoTIFF needs the package rasterio, which is not installed here.",
                    "Install it with `pip install mobiscope[raster]`, or bring the imagery as ready-made tiles.",
                )
            ]
        ) from None
    with rasterio.Env() as environment:
        _check_drivers(set(environment.drivers()))
    return rasterio


def plain_file(path: Path) -> str:
    """The path of a real local file as GDAL may be given it: never a virtual file system, an address or a link.

    Raises:
        IngestError: If it is anything else.
    """
    text = str(path)
    if text.startswith("/vsi") or "://" in text or ":::" in text or path.is_symlink() or not path.is_file():
        raise IngestError(
            [
                Problem(
                    "DRIVER",
                    f"{text[:80]!r} is not a file on this machine.",
                    "Upload the file itself; addresses are never followed.",
                )
            ]
        )
    return str(path.resolve())


def _is_set() -> bool:
    return all(os.environ.get(name) == value for name, value in ENVIRONMENT.items())


def _check_drivers(present: set[str]) -> None:
    loose = sorted(present & set(_FORBIDDEN_DRIVERS))
    if loose:
        raise _unguarded(f"{', '.join(loose)} can still be opened")


def _unguarded(why: str) -> IngestError:
    return IngestError(
        [
            Problem(
                "GDAL_UNGUARDED",
                f"GDAL is not safe to use in this process: {why}.",
                "This is a fault of Mobiscope; please report it.",
            )
        ]
    )
