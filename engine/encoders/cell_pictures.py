"""Which pictures belong to which cell: uploaded tiles, height maps rendered from footprints, street views."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from engine.city.city import City
from engine.city.grid import cell_of
from engine.encoders.height_map import render_height_maps
from engine.errors import CityError


@dataclass(frozen=True)
class CellPictures:
    """Pictures of cells, in the order of the cells.

    Attributes:
        images: Bytes of each picture.
        paths: Where each lies in the city, or `height map of <cell>` for a rendered one.
        owner: (picture,) position of its cell, ascending.
        source: Where they come from, for the screen.
        notes: What was left out, as sentences.
    """

    images: list[bytes]
    paths: list[str]
    owner: npt.NDArray[np.int64]
    source: str
    notes: tuple[str, ...]


def cell_pictures(
    city: City,
    modality: str,
    height: str = "auto",
    metres_per_pixel: float = 8.0,
    cover_m: float = 1_000.0,
    most_street_views: int = 20,
) -> CellPictures:
    """The pictures of one modality.

    Args:
        city: A city with `cells`.
        modality: `satellite`, `height` or `street_view`.
        height: `tiles` (uploaded ones), `footprints` (rendered), or `auto`: a cell's tile, rendered for a cell without one.
        metres_per_pixel: Of rendered height maps.
        cover_m: A cell farther than this from every building is not covered by the footprints: unknown, not empty.
        most_street_views: Most photographs of one cell; the first by path.

    Returns:
        The pictures; tiles without a cell, photographs outside of all cells and files that are not there are counted in `notes`.
    """
    if modality == "street_view":
        return _street_views(city, most_street_views)
    every_cell = np.arange(city.info.rows["cells"])
    if modality == "height" and height == "footprints":
        return _rendered(city, every_cell, metres_per_pixel, cover_m)
    tiles = _tiles(city, modality)
    if modality != "height" or height == "tiles":
        return tiles
    return _merged(tiles, _rendered(city, np.setdiff1d(every_cell, tiles.owner), metres_per_pixel, cover_m))


def pictures_of_cell(city: City, cell: str, modality: str) -> CellPictures:
    """The pictures of one modality of one cell, as its encoders are given them."""
    cells = city.spatial("cells")
    return cell_pictures(city.replace(cells=cells[cells["cell_id"] == cell]), modality)


def _tiles(city: City, modality: str) -> CellPictures:
    if not city.has("imagery"):
        return CellPictures([], [], np.zeros(0, np.int64), "no pictures", ())
    table = city.table("imagery")
    table = table[(table["subject"] == "cell") & (table["modality"] == modality)]
    row = {cell: position for position, cell in enumerate(city.table("cells")["cell_id"])}
    owner = np.array([row.get(cell, -1) for cell in table["subject_id"]], np.int64)
    notes = []
    strange = owner < 0
    if strange.any():
        first = table["subject_id"].iloc[int(np.flatnonzero(strange)[0])]
        notes.append(f"{int(strange.sum()):,} {modality} tiles name a cell that is not in the city, such as {first!r}.")
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] >= 0]
    return _loaded(city, list(table["path"].to_numpy()[order]), owner[order], f"uploaded {modality} tiles", notes)


def _street_views(city: City, most: int) -> CellPictures:
    if not city.has("street_views"):
        return CellPictures([], [], np.zeros(0, np.int64), "no pictures", ())
    views = city.spatial("street_views")
    owner = cell_of(city.spatial("cells"), views)
    paths = views["path"].astype(str).to_numpy(object)
    notes = []
    outside = int((owner < 0).sum())
    if outside:
        notes.append(f"{outside:,} of {len(views):,} street views lie in no cell and are left out.")
    order = np.lexsort((paths.astype(str), owner))
    order = order[owner[order] >= 0]
    first = np.searchsorted(owner[order], owner[order])
    kept = order[np.arange(len(order)) - first < most]
    if len(kept) < len(order):
        notes.append(f"{len(order) - len(kept):,} street views are beyond the first {most} of their cell and are left out.")
    return _loaded(city, list(paths[kept]), owner[kept], "street views", notes)


def _loaded(city: City, paths: list[str], owner: npt.NDArray[np.int64], source: str, notes: list[str]) -> CellPictures:
    images: list[bytes] = []
    there = np.zeros(len(paths), bool)
    for position, path in enumerate(paths):
        try:
            images.append(city.media(path))
            there[position] = True
        except CityError:
            continue
    if not there.all():
        lost = paths[int(np.flatnonzero(~there)[0])]
        notes.append(f"{int((~there).sum()):,} files are not in the city's folder, such as `{lost}`; their cells count as without.")
    kept = [path for path, flag in zip(paths, there, strict=True) if flag]
    return CellPictures(images, kept, owner[there], source, tuple(notes))


def _merged(first: CellPictures, second: CellPictures) -> CellPictures:
    """The pictures of two sources of which no cell has both."""
    owner = np.concatenate([first.owner, second.owner])
    order = np.argsort(owner, kind="stable")
    images, paths = [*first.images, *second.images], [*first.paths, *second.paths]
    sources = [one.source for one in (first, second) if one.images]
    return CellPictures(
        [images[position] for position in order],
        [paths[position] for position in order],
        owner[order],
        ", elsewhere ".join(sources) or "no pictures",
        (*first.notes, *second.notes),
    )


def _rendered(city: City, wanted: npt.NDArray[np.int64], metres_per_pixel: float, cover_m: float) -> CellPictures:
    if not len(wanted) or not city.has("buildings"):
        return CellPictures([], [], np.zeros(0, np.int64), "no pictures", ())
    cells, buildings = city.metric("cells"), city.metric("buildings")
    covered, _ = shapely.STRtree(np.asarray(buildings.geometry)).query_nearest(
        np.asarray(cells.geometry)[wanted], max_distance=cover_m, all_matches=False
    )
    rows = wanted[np.unique(covered)]
    notes = []
    if len(rows) < len(wanted):
        notes.append(
            f"{len(wanted) - len(rows):,} cells are more than {cover_m:,.0f} m from every building: the footprints do not cover them."
        )
    images = render_height_maps(cells, buildings, metres_per_pixel, rows)
    paths = [f"height map of {cell}" for cell in cells["cell_id"].to_numpy()[rows]]
    return CellPictures(images, paths, rows, "rendered from footprints", tuple(notes))
