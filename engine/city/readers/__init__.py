"""One reader per file format, each recognised by content. A new format is a new file here and one line in `_READERS`."""

from engine.city.readers.atomic import AtomicAside, AtomicGeo, AtomicState, AtomicTrajectory
from engine.city.readers.base import Reader
from engine.city.readers.canonical import Canonical
from engine.city.readers.checkins import Checkins, Venues
from engine.city.readers.flows import FlowReader
from engine.city.readers.foursquare import Foursquare
from engine.city.readers.geolife import Geolife, GpsPoints
from engine.city.readers.geotiff import GeoTiffReader
from engine.city.readers.snap import Snap
from engine.city.readers.street_views import StreetViewReader
from engine.city.readers.vector import VectorReader
from engine.city.readers.weather import WeatherReader
from engine.city.readers.yjmob import Yjmob
from engine.city.readers.zone_attributes import ZoneAttributes

_READERS: tuple[Reader, ...] = (
    Foursquare(),
    Snap(),
    Geolife(),
    Yjmob(),
    AtomicGeo(),
    AtomicTrajectory(),
    AtomicState(),
    AtomicAside(),
    Canonical(),
    VectorReader(),
    StreetViewReader(),
    GeoTiffReader(),
    WeatherReader(),
    FlowReader(),
    ZoneAttributes(),
    GpsPoints(),
    Checkins(),
    Venues(),
)

READERS: dict[str, Reader] = {reader.name: reader for reader in _READERS}
"""All readers by name. Where two are equally sure of a file, the earlier one is proposed."""
