"""From the parts of a synthetic city to the tables of a `City`."""

from collections.abc import Callable
from typing import Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely

from engine.city.city import City, utm_crs
from engine.city.data_card import DataCard
from engine.city.schema import HOURS, WGS84
from engine.city.synthetic.buildings import Buildings, raise_buildings
from engine.city.synthetic.categories import CATEGORIES
from engine.city.synthetic.cells import Cells, cut_cells
from engine.city.synthetic.flows import DAY_TYPES, Flows, make_flows
from engine.city.synthetic.layout import FUNCTIONS, Layout, lay_out
from engine.city.synthetic.people import ROLES, Person, settle_people
from engine.city.synthetic.places import Places, describe, found_places
from engine.city.synthetic.plan import CELL_M, make_plan
from engine.city.synthetic.street_views import choose_viewpoints, shoot
from engine.city.synthetic.tiles import cut_tiles, paint_heights, paint_satellite
from engine.city.synthetic.visits import Visits, make_visits
from engine.city.synthetic.weather import Weather, make_weather

Report = Callable[[str, float], None]

NAME = "Aldhaven"
"""What the city is called where nobody says otherwise."""
TIME_ZONE = "Europe/London"
FIRST_DAY = "2025-09-01"  # a Monday; clocks go back within the record
# In the Irish Sea, close to the central meridian of its UTM zone: nobody's city is under it.
ORIGIN_LONGITUDE, ORIGIN_LATITUDE = -3.75, 53.98
STAGES = ("layout", "buildings", "places", "weather", "people", "visits", "flows", "images")


class Ground:
    """Metres from the city's south-west corner to degrees, rounded to what a map can show."""

    def __init__(self) -> None:
        self.crs = utm_crs(ORIGIN_LONGITUDE, ORIGIN_LATITUDE)
        there = pyproj.Transformer.from_crs(WGS84, self.crs, always_xy=True)
        east, north = there.transform(ORIGIN_LONGITUDE, ORIGIN_LATITUDE)
        self.east, self.north = CELL_M * round(east / CELL_M), CELL_M * round(north / CELL_M)
        self._back = pyproj.Transformer.from_crs(self.crs, WGS84, always_xy=True)

    def degrees(self, geometry: np.ndarray, digits: int = 6) -> np.ndarray:
        """Geometries in WGS84."""

        def convert(coordinates: np.ndarray) -> np.ndarray:
            longitude, latitude = self._back.transform(coordinates[:, 0] + self.east, coordinates[:, 1] + self.north)
            return np.round(np.column_stack([longitude, latitude]), digits)

        return shapely.transform(np.asarray(geometry, dtype=object), convert)


def synthesise(
    size: Literal["tiny", "demo"] | int = "demo",
    seed: int = 0,
    name: str | None = None,
    report: Report | None = None,
    images: bool | None = None,
) -> City:
    """Makes a city in memory; `city.save()` stores it.

    The same size and seed give the same tables, bit for bit; only the name is free.

    Args:
        size: `tiny` (tests), `demo` (the built-in city), or about how many visits there should be.
        seed: Draws everything.
        name: Human name; default is the city's own.
        report: Called with what is being made and the share done, 0 to 1.
        images: Whether to render tiles and street views; default yes for the named sizes.

    Returns:
        A city with all tables but `descriptions`, and the truth behind it.

    Raises:
        ConfigError: If the size is none.
    """
    plan = make_plan(size)
    say = report or (lambda what, share: None)
    rng = {stage: np.random.default_rng([seed, number]) for number, stage in enumerate(STAGES)}
    say("Laying out land, water and streets", 0.0)
    layout = lay_out(plan, rng["layout"])
    say("Raising buildings", 0.06)
    buildings = raise_buildings(layout, rng["buildings"])
    say("Opening shops, offices and homes", 0.15)
    places = found_places(layout, buildings, rng["places"])
    weather = make_weather(plan.days, rng["weather"])
    people = settle_people(layout, places, rng["people"])
    say("Following people through their days", 0.22)
    visits = make_visits(layout, places, people, weather, rng["visits"])
    say("Counting trips between cells", 0.5)
    cells = cut_cells(layout, np.r_[places.x, buildings.x], np.r_[places.y, buildings.y])
    flows = make_flows(layout, buildings, cells, rng["flows"])
    ground = Ground()
    tables: dict[str, pd.DataFrame] = {
        **_map_tables(layout, buildings, places, cells, ground),
        **_mobility_tables(layout, places, people, visits, ground),
        **_flow_tables(flows, cells),
        "weather": _weather(weather),
        "truth": _truth(layout, places, people, visits, cells),
    }
    media: dict[str, bytes] = {}
    if size in ("tiny", "demo") if images is None else images:
        tables |= _render(layout, buildings, cells, ground, rng["images"], media, say)
    say("Writing tables", 0.9)
    city = City.build(
        name or NAME,
        tables,
        time_zone=TIME_ZONE,
        metric_crs=ground.crs,
        media=media,
        data_card=DataCard(
            assumptions=[
                "This city is generated. Its people, places, streets, flows and weather are invented; their truth is known."
            ]
        ),
        provenance={"kind": "synthetic", "size": size, "seed": seed},
    )
    say("Done", 1.0)
    return city


def _map_tables(layout: Layout, buildings: Buildings, places: Places, cells: Cells, ground: Ground) -> dict[str, pd.DataFrame]:
    return {
        "pois": _pois(places, ground),
        "buildings": gpd.GeoDataFrame({"height_m": buildings.height_m}, geometry=ground.degrees(buildings.footprint), crs=WGS84),
        "cells": _cells(layout, cells, ground),
        "boundary": _boundary(layout, ground),
    }


def _mobility_tables(
    layout: Layout, places: Places, people: list[Person], visits: Visits, ground: Ground
) -> dict[str, pd.DataFrame]:
    location_ids = _location_ids(places)
    return {
        "visits": _visits(visits, location_ids, people),
        "locations": _locations(layout, places, location_ids, ground),
    }


def _location_ids(places: Places) -> np.ndarray:
    """(place,) ids of the visitable places, empty for the others."""
    ids = np.full(len(places.x), "", dtype=object)
    kept = np.flatnonzero(places.visitable)
    ids[kept] = [f"loc-{number:0{len(str(len(kept)))}d}" for number in range(1, len(kept) + 1)]
    return ids


def _flow_tables(flows: Flows, cells: Cells) -> dict[str, pd.DataFrame]:
    def table(values: np.ndarray) -> pd.DataFrame:
        by_type = dict(zip(DAY_TYPES, np.round(values, 3), strict=True))
        by_type = {"all": np.round((5 * by_type["weekday"] + 2 * by_type["weekend"]) / 7, 3), **by_type}
        parts = [
            pd.DataFrame({"cell_id": cells.ids, "day_type": day_type, **dict(zip(HOURS, curve.T, strict=True))})
            for day_type, curve in by_type.items()
        ]
        return pd.concat(parts, ignore_index=True)

    return {"outflow": table(flows.outflow), "inflow": table(flows.inflow)}


def _render(
    layout: Layout,
    buildings: Buildings,
    cells: Cells,
    ground: Ground,
    rng: np.random.Generator,
    media: dict[str, bytes],
    say: Report,
) -> dict[str, pd.DataFrame]:
    """The image tables; the pictures go to `media`."""
    say("Painting the city from above", 0.55)
    rows: list[tuple[str, str, str]] = []
    pictures = {
        "satellite": paint_satellite(layout, buildings, pocket_parks(layout), rng),
        "height": paint_heights(layout, buildings),
    }
    for (modality, picture), ending in zip(pictures.items(), ("jpg", "png"), strict=True):
        for cell_id, tile in zip(cells.ids, cut_tiles(picture, cells), strict=True):
            path = f"media/{modality}/{cell_id}.{ending}"
            media[path] = tile
            rows.append((cell_id, modality, path))
    say("Taking street views", 0.7)
    views = choose_viewpoints(layout, cells, rng)
    paths = [f"media/street/{number:05d}.jpg" for number in range(1, len(views.x) + 1)]
    media |= dict(zip(paths, shoot(layout, buildings, views, rng), strict=True))
    subject_id, modality_, path_ = zip(*rows, strict=True)
    return {
        "imagery": pd.DataFrame({"subject": "cell", "subject_id": subject_id, "modality": modality_, "path": path_}),
        "street_views": gpd.GeoDataFrame(
            {"path": paths, "heading": views.heading}, geometry=ground.degrees(shapely.points(views.x, views.y)), crs=WGS84
        ),
    }


def user_ids(people: list[Person]) -> list[str]:
    """Pseudonyms in the order of the people."""
    width = len(str(len(people)))
    return [f"u{number:0{width}d}" for number in range(1, len(people) + 1)]


def _local_minutes_to_utc(minutes: np.ndarray) -> pd.Series:
    local = pd.Series(pd.Timestamp(FIRST_DAY) + pd.to_timedelta(minutes, unit="min"))
    # The hour that happens twice is read as its second run, so order in local time stays order in UTC.
    zoned = local.dt.tz_localize(TIME_ZONE, ambiguous=np.zeros(len(local), bool), nonexistent="shift_forward")
    return zoned.dt.tz_convert("UTC").dt.as_unit("us")


def _visits(visits: Visits, location_ids: np.ndarray, people: list[Person]) -> pd.DataFrame:
    users = np.array(user_ids(people), dtype=object)[visits.person]
    return pd.DataFrame(
        {
            "user_id": users,
            "location_id": location_ids[visits.place],
            "started_at": _local_minutes_to_utc(visits.start),
            "finished_at": _local_minutes_to_utc(visits.end),
            "session_id": [f"{user}-{day:03d}" for user, day in zip(users, visits.day, strict=True)],
        }
    )


def _locations(layout: Layout, places: Places, ids: np.ndarray, ground: Ground) -> gpd.GeoDataFrame:
    kept = np.flatnonzero(places.visitable)
    category = [CATEGORIES[index] for index in places.category[kept]]
    return gpd.GeoDataFrame(
        {
            "location_id": ids[kept],
            "category": [item.name for item in category],
            "name": [places.name[index] for index in kept],
            "parent_category": [item.parent for item in category],
            "address": [
                f"{places.number[index]} {places.street[index]}, {layout.district_names[layout.zones[places.zone[index]].district]}"
                for index in kept
            ],
            "description": [describe(layout, places, int(index)) for index in kept],
        },
        geometry=ground.degrees(shapely.points(places.x[kept], places.y[kept])),
        crs=WGS84,
    )


def _pois(places: Places, ground: Ground) -> gpd.GeoDataFrame:
    kept = np.flatnonzero(places.is_poi)
    return gpd.GeoDataFrame(
        {
            "poi_id": [f"poi-{number:0{len(str(len(kept)))}d}" for number in range(1, len(kept) + 1)],
            "category": [CATEGORIES[index].name for index in places.category[kept]],
            "name": [places.name[index] for index in kept],
            "parent_category": [CATEGORIES[index].parent for index in places.category[kept]],
        },
        geometry=ground.degrees(shapely.points(places.x[kept], places.y[kept])),
        crs=WGS84,
    )


def _cells(layout: Layout, cells: Cells, ground: Ground) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {
            "cell_id": cells.ids,
            "row": cells.row,
            "col": cells.col,
            "district": [layout.district_names[district] for district in cells.district],
        },
        geometry=ground.degrees(shapely.box(cells.west, cells.south, cells.west + CELL_M, cells.south + CELL_M), digits=7),
        crs=WGS84,
    )


def _boundary(layout: Layout, ground: Ground) -> gpd.GeoDataFrame:
    rows: list[tuple[str, str, str, shapely.Geometry]] = [("city", "", "", shapely.simplify(layout.land, 5.0))]
    for district, label in enumerate(layout.district_names):
        outlines = [zone.outline for zone in layout.zones if zone.district == district]
        if outlines:
            rows.append(("district", label, "", shapely.simplify(shapely.union_all(shapely.buffer(outlines, 0.5)), 3.0)))
    rows += [("water", "Alder Sea", "sea", layout.sea), ("water", "River Merrow", "river", layout.river)]
    for zone in layout.zones:
        if zone.function == "park":
            rows.append(("park", "", "", shapely.simplify(shapely.buffer(shapely.buffer(zone.outline, -60), 40), 4.0)))
    rows += [("park", "", "", square) for square in pocket_parks(layout)]
    rows += [("road", street.name, street.level, street.line) for street in layout.streets]
    kinds, labels, levels, geometry = zip(*[row for row in rows if not row[3].is_empty], strict=True)
    drawn = ground.degrees(np.array(geometry), digits=5)
    # Rounding can make a ring touch itself.
    broken = ~shapely.is_valid(drawn) & (shapely.area(drawn) > 0)
    drawn[broken] = shapely.buffer(drawn[broken], 0)
    return gpd.GeoDataFrame({"kind": list(kinds), "name": list(labels), "level": list(levels)}, geometry=drawn, crs=WGS84)


def pocket_parks(layout: Layout) -> np.ndarray:
    """Outlines of the green blocks, in metres."""
    blocks, green = layout.blocks, layout.blocks.green
    half = np.column_stack([blocks.width[green], blocks.depth[green]]) / 2 - 8.0
    corners = half[:, None] * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])[None]
    cosine, sine = np.cos(blocks.angle[green])[:, None], np.sin(blocks.angle[green])[:, None]
    x = blocks.x[green, None] + corners[..., 0] * cosine - corners[..., 1] * sine
    y = blocks.y[green, None] + corners[..., 0] * sine + corners[..., 1] * cosine
    squares = shapely.intersection(shapely.polygons(np.stack([x, y], -1)), shapely.buffer(layout.land, -5))
    return squares[shapely.area(squares) > 400]  # slivers along the shore are no parks


def _weather(weather: Weather) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": pd.date_range(FIRST_DAY, periods=len(weather.bad), freq="D"),
            "temperature_c": weather.temperature_c,
            "precipitation_mm": weather.precipitation_mm,
            "condition": weather.condition,
        }
    )


def _truth(layout: Layout, places: Places, people: list[Person], visits: Visits, cells: Cells) -> pd.DataFrame:
    kept = np.flatnonzero(places.visitable)
    opens = places.opens_day[kept]
    opened = pd.Series(pd.Timestamp(FIRST_DAY) + pd.to_timedelta(opens, unit="D")).where(pd.Series(opens > 0))
    parts = [
        pd.DataFrame({"subject": "user", "subject_id": user_ids(people), "role": [ROLES[person.role].name for person in people]}),
        pd.DataFrame(
            {
                "subject": "cell",
                "subject_id": cells.ids,
                "zone_function": [FUNCTIONS[function] for function in cells.function],
            }
        ),
        pd.DataFrame(
            {
                "subject": "location",
                "subject_id": _location_ids(places)[kept],
                "zone_function": [layout.zones[index].function for index in places.zone[kept]],
                "opened_on": opened,
            }
        ),
        pd.DataFrame(
            {"subject": "visit", "subject_id": [str(row) for row in range(len(visits.person))], "activity": visits.activity}
        ),
    ]
    return pd.concat(parts, ignore_index=True)
