"""What a grid model sees of each cell: four modalities with presence masks, and what is said about them in words.

Nothing that is missing becomes a zero that looks like a measurement: `present` says which cells have a modality, `text_present`
which have a description, and everything left out is counted in `notes` (LMEMR §3.1 and specification §6, row 11).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from engine.city.city import City
from engine.encoders.cache import cached_rows
from engine.encoders.cell_evidence import HOURS_A_DAY, described, gather_evidence, uploaded
from engine.encoders.cell_pictures import CellPictures, cell_pictures
from engine.encoders.cell_pois import CellCounts, count_pois
from engine.encoders.describe import Description, PromptName, describer
from engine.encoders.describe_rules import trend_sentence
from engine.encoders.image import PICTURES, PrecomputedVectors, image_encoder
from engine.encoders.text import TextEncoder, text_encoder
from engine.errors import CityError, ConfigError, EncoderError

MODALITIES = ("satellite", "height", "street_view", "poi")
_TEXTS_AT_ONCE = 128
DESCRIBER_CHOICES = ("rules", "uploaded", "none", "transformers:<folder>")

Report = Callable[[str, float], None]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class CellEncoding(BaseModel):
    """How cells become numbers: which frozen encoders, and how places are counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    image: str = Field("descriptors", description="Image encoder: descriptors, transformers:<folder>, precomputed:<folder>.")
    text: str = Field("minilm", description="Text encoder of the descriptions: minilm, hash-svd, transformers:<folder>.")
    describer: str = Field(
        "rules",
        description="Who describes cells that have no uploaded description: rules, transformers:<folder>; uploaded: nobody does; "
        "none: no descriptions at all, not even uploaded ones. Endpoints are asked by `mobiscope caption`, never while training.",
    )
    prompt: PromptName = Field(
        "three_level",
        description="three_level, or lite: land features in words and nothing else. Stored descriptions of another one are left out.",
    )
    with_trend: bool = Field(
        False,
        description="Whether models read a describer's guess of the 24-hour curve: in the text and as numbers of its own. Stored "
        "guesses are kept apart otherwise, for the baseline that reads nothing else.",
    )
    poi_level: str = Field("root", pattern="^(root|leaf)$", description="Count root categories, or leaf categories.")
    poi_radius_m: float = Field(
        0.0, ge=0, le=20_000, description="0 counts places in the cell; otherwise within this distance of its middle, metres."
    )
    attributes: tuple[str, ...] | None = Field(
        None, description="Columns that came with the zones to use beside the counts; by default every number and kind of use."
    )
    cover_m: float = Field(
        1_000.0, gt=0, description="Farther than this from every place (or building) a cell is not covered by that layer, metres."
    )
    height: str = Field(
        "auto",
        pattern="^(auto|tiles|footprints)$",
        description="Height maps: uploaded tiles, rendered from footprints, or tiles where there are any and footprints elsewhere.",
    )
    metres_per_pixel: float = Field(8.0, gt=0.1, le=100, description="Of rendered height maps.")
    street_views_per_cell: int = Field(20, ge=1, le=1_000, description="Most photographs of one cell that are used.")


@dataclass(frozen=True, eq=False)
class Modality:
    """One modality of all cells.

    Attributes:
        name: One of `MODALITIES`.
        features: (row, component) float32: one row per cell in the order of the cells; `street_view` one row per photograph. Raw
            values: no scaling, counts as counts. Rows of cells without the modality are 0 and mean nothing.
        owner: (row,) int64 position of the cell each row belongs to, ascending.
        present: (cell,) bool, whether the cell has this modality.
        components: Names of the components.
        captions: (cell,) what is said about it; empty where nothing is.
        text: (cell, dimension) float32 unit vectors of the captions; rows without caption are 0 and mean nothing.
        text_present: (cell,) bool.
        trend: (cell, 24) float32, a describer's guess of the curve of departures, 0 to 1; NaN where it said none; None where no
            cell has one.
        source: Which encoder and describer made it, for the screen.
        notes: What was counted out or is unusual, as sentences.
        counts: How many of the first components are counts of categories (`poi`; 0 elsewhere).
        intensity: (cell,) float32, the activity a describer expects, 0 to 100; NaN where it said none; None where no cell has one.
        trend_is_read: Whether the trend is in the captions and for every model to read, or kept apart.
    """

    name: str
    features: Floats
    owner: npt.NDArray[np.int64]
    present: Flags
    components: tuple[str, ...]
    captions: tuple[str, ...]
    text: Floats
    text_present: Flags
    trend: Floats | None
    source: str
    notes: tuple[str, ...] = ()
    counts: int = 0
    intensity: Floats | None = None
    trend_is_read: bool = False


@dataclass(frozen=True, eq=False)
class CellInputs:
    """All modalities of all cells.

    Attributes:
        cell_ids: (cell,) ids in the order of the city's table.
        modalities: By name, in the order of `MODALITIES`; one that no cell has is there with `present` false throughout.
        fingerprint: Changes whenever the numbers do.
    """

    cell_ids: npt.NDArray[np.object_]
    modalities: dict[str, Modality]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.cell_ids)


def encode_cells(
    city: City,
    encoding: CellEncoding | None = None,
    report: Report | None = None,
    components: Mapping[str, Sequence[str]] | None = None,
) -> CellInputs:
    """Encodes every cell of a city with frozen encoders.

    Every cell is encoded by itself (its pictures, its places, its words), and every answer is cached by content, so that encoding a
    city again after an edit costs the edited cells only and leaves the others unchanged bit for bit.

    Args:
        city: A city with `cells`.
        encoding: Which encoders; default `CellEncoding()`.
        report: Told what is being done and the share done, 0 to 1.
        components: What a trained model expects, by modality: the names of the components in its order. Only `poi` depends on the
            city; for the others it is checked.

    Returns:
        The inputs of a grid model.

    Raises:
        CityError: If the city has no cells.
        ConfigError: If the describer would use the network.
        EncoderError: If an encoder is absent, damaged, or gives other components than expected.
    """
    encoding = encoding or CellEncoding()
    if not city.has("cells"):
        raise CityError(f"City `{city.name}` has no cells. Add zones, or make square cells on the City page.")
    if encoding.describer.startswith("endpoint:"):
        raise ConfigError(
            "A describer on a server is not asked while cells are encoded, because that may cost money each time. Run "
            "`mobiscope caption` first: its descriptions are stored with the city and win over every describer here."
        )
    say = report or (lambda what, share: None)
    expected = components or {}
    cells = city.spatial("cells")
    pictures = {
        name: cell_pictures(
            city, name, encoding.height, encoding.metres_per_pixel, encoding.cover_m, encoding.street_views_per_cell
        )
        for name in PICTURES
    }
    say("Counting places in cells", 0.02)
    places = count_pois(
        city,
        cells,
        encoding.poi_radius_m,
        encoding.cover_m,
        encoding.poi_level,
        expected.get("poi"),
        attributes=encoding.attributes,
    )
    bare: dict[str, Modality] = {}
    for number, name in enumerate(PICTURES):
        begin = 0.05 + 0.2 * number
        bare[name] = _pictured(name, cells, pictures[name], encoding.image, _part(say, begin, begin + 0.2))
    bare["poi"] = _counted(cells, places)
    for name, wanted in expected.items():
        if name in bare and len(wanted) and tuple(wanted) != bare[name].components and bare[name].components:
            raise EncoderError(
                f"Modality `{name}` was trained with {len(wanted)} components of another encoder than `{encoding.image}`, which "
                f"gives {len(bare[name].components)}. Encode the city as for training."
            )
    finished = _with_words(city, cells, bare, pictures, encoding, _part(say, 0.65, 1.0))
    say("Cells encoded", 1.0)
    ids = cells["cell_id"].to_numpy(object)
    return CellInputs(ids, finished, _fingerprint(ids, finished))


# ---- one modality each ----------------------------------------------------------------------------------------------------------


def _pictured(name: str, cells: gpd.GeoDataFrame, pictures: CellPictures, source: str, report: Report) -> Modality:
    if source.startswith("precomputed:"):
        return _looked_up(name, cells, source)
    encoder = image_encoder(source, name)
    notes = list(pictures.notes)
    vectors = encoder.encode(pictures.images, report) if pictures.images else np.zeros((0, encoder.width), np.float32)
    readable = np.isfinite(vectors).all(axis=1)
    if not readable.all():
        bad = pictures.paths[int(np.flatnonzero(~readable)[0])]
        notes.append(f"{int((~readable).sum()):,} pictures cannot be read, such as `{bad}`; their cells count as without them.")
    owner, vectors = pictures.owner[readable], vectors[readable]
    said = f"{encoder.name}; {pictures.source}" if pictures.images else "no pictures"
    return _settled(name, len(cells), owner, vectors, encoder.components, said, notes)


def _looked_up(name: str, cells: gpd.GeoDataFrame, source: str) -> Modality:
    found = PrecomputedVectors(source, Path(source.partition(":")[2]).expanduser()).rows(name)
    if found is None:
        return _settled(name, len(cells), np.zeros(0, np.int64), np.zeros((0, 0), np.float32), (), "no vectors", [])
    vectors, ids, digest = found
    row = {cell: position for position, cell in enumerate(cells["cell_id"].astype(str))}
    owner = np.array([row.get(cell, -1) for cell in ids], np.int64)
    notes = []
    strange = owner < 0
    if strange.all():
        raise EncoderError(
            f"Image encoder `{source}`: none of the {len(ids):,} ids of `{name}.txt` is a cell of this city (first: {ids[0]!r}). "
            "The vectors belong to another zoning."
        )
    if strange.any():
        first = ids[int(np.flatnonzero(strange)[0])]
        notes.append(f"{int(strange.sum()):,} vectors name a cell that is not in the city, such as {first!r}; they are left out.")
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] >= 0]
    names = tuple(f"precomputed {number}" for number in range(1, vectors.shape[1] + 1))
    return _settled(name, len(cells), owner[order], vectors[order], names, f"precomputed vectors {digest[:8]}", notes)


def _settled(
    name: str,
    cells: int,
    owner: npt.NDArray[np.int64],
    vectors: Floats,
    components: tuple[str, ...],
    source: str,
    notes: list[str],
) -> Modality:
    """Rows as the contract wants them: one per cell, or the set of photographs."""
    present = np.zeros(cells, bool)
    present[owner] = True
    if name != "street_view":
        first = np.concatenate([[True], np.diff(owner) > 0]) if len(owner) else np.zeros(0, bool)
        if not first.all():
            notes.append(f"{int((~first).sum()):,} cells have more than one {name} picture; the first one counts.")
        features = np.zeros((cells, len(components)), np.float32)
        features[owner[first]] = vectors[first]
        owner, vectors = np.arange(cells), features
    if present.any() and not present.all():
        notes.append(f"{int((~present).sum()):,} of {cells:,} cells have no {name.replace('_', ' ')}.")
    notes += _constant(vectors[present[owner]], components)
    nothing = np.zeros((cells, 0), np.float32)
    return Modality(
        name, vectors, owner, present, components, ("",) * cells, nothing, np.zeros(cells, bool), None, source, tuple(notes)
    )


def _counted(cells: gpd.GeoDataFrame, places: CellCounts) -> Modality:
    made = _settled(
        "poi",
        len(cells),
        np.flatnonzero(places.present),
        places.counts[places.present],
        places.components,
        places.source,
        list(places.notes),
    )
    return replace(made, counts=places.categories)


def _constant(values: Floats, components: tuple[str, ...]) -> list[str]:
    if len(values) < 2 or not components:
        return []
    same = np.ptp(values, axis=0) == 0
    if not same.any():
        return []
    names = [component for component, flag in zip(components, same, strict=True) if flag]
    return [f"{len(names)} of {len(components)} components are the same everywhere, such as `{names[0]}`."]


# ---- words ----------------------------------------------------------------------------------------------------------------------


def _with_words(
    city: City,
    cells: gpd.GeoDataFrame,
    bare: dict[str, Modality],
    pictures: Mapping[str, CellPictures],
    encoding: CellEncoding,
    report: Report,
) -> dict[str, Modality]:
    found: dict[str, list[Description | None]] = {name: [None] * len(cells) for name in MODALITIES}
    sources: dict[str, list[str]] = {name: [] for name in MODALITIES}
    notes: dict[str, list[str]] = {name: [] for name in MODALITIES}
    if encoding.describer != "none":
        for name, (texts, brought) in uploaded(city, cells, MODALITIES, encoding.prompt).items():
            found[name] = texts
            sources[name] += brought.sources
            notes[name] += brought.notes
    if encoding.describer not in ("none", "uploaded"):
        speaker = describer(encoding.describer, encoding.prompt)
        for name in MODALITIES:
            open_cells = [int(row) for row in np.flatnonzero(bare[name].present) if found[name][row] is None]
            if not open_cells:
                continue
            evidence = gather_evidence(
                city, cells, name, open_cells, pictures.get(name), encoding.poi_radius_m, encoding.attributes
            )
            told = described(speaker, evidence, encoding.with_trend, report)
            for row, description in zip(open_cells, told.descriptions, strict=True):
                found[name][row] = description
            sources[name].append(speaker.name)
            notes[name] += told.problems
    encoder = text_encoder(encoding.text)
    captions = {name: tuple(_caption(one, encoding.with_trend) for one in found[name]) for name in MODALITIES}
    distinct = sorted({caption for texts in captions.values() for caption in texts if caption})
    vectors = cached_rows(
        encoder.fingerprint,
        distinct,
        encoder.width,
        lambda missing: _text_vectors(encoder, [distinct[row] for row in missing], report),
    )
    place = {caption: row for row, caption in enumerate(distinct)}
    finished = {}
    for name in MODALITIES:
        said = np.array([bool(caption) for caption in captions[name]])
        text = np.zeros((len(cells), encoder.width), np.float32)
        if said.any():
            text[said] = vectors[[place[caption] for caption in captions[name] if caption]]
        who = f"described by {', '.join(sources[name])} through {encoding.text}" if said.any() else "no descriptions"
        finished[name] = replace(
            bare[name],
            captions=captions[name],
            text=text,
            text_present=said,
            trend=_numbers([one.trend if one else None for one in found[name]], (HOURS_A_DAY,)),
            intensity=_numbers([one.intensity if one else None for one in found[name]], ()),
            trend_is_read=encoding.with_trend,
            source=f"{bare[name].source}; {who}",
            notes=(*bare[name].notes, *notes[name]),
        )
    return finished


def _text_vectors(encoder: TextEncoder, texts: list[str], report: Report) -> Floats:
    """Vectors of texts, those of like length together: in a batch every text costs as much as the longest."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.zeros((len(texts), encoder.width), np.float32)
    for begin in range(0, len(texts), _TEXTS_AT_ONCE):
        report(f"Encoding description {begin + 1:,} of {len(texts):,}", 0.3 + 0.7 * begin / len(texts))
        some = order[begin : begin + _TEXTS_AT_ONCE]
        vectors[some] = encoder.encode([texts[row] for row in some])
    return vectors


def _caption(description: Description | None, with_trend: bool) -> str:
    if description is None:
        return ""
    if with_trend and description.trend is not None:
        return f"{description.text} {trend_sentence(description.trend)}".strip()
    return description.text


def _numbers(said: Sequence[Any], shape: tuple[int, ...]) -> Floats | None:
    """(cell, *shape), NaN where nothing was said; None where nothing was said of any cell."""
    rows = np.full((len(said), *shape), np.nan, np.float32)
    for row, value in enumerate(said):
        if value is not None:
            rows[row] = value
    return rows if np.isfinite(rows).any() else None


def _part(report: Report, begin: float, end: float) -> Report:
    return lambda what, share: report(what, begin + (end - begin) * share)


def _fingerprint(ids: npt.NDArray[np.object_], modalities: dict[str, Modality]) -> str:
    digest = hashlib.sha256(json.dumps([str(cell) for cell in ids]).encode())
    for name, modality in modalities.items():
        told: list[Any] = [name, modality.components, modality.captions, modality.source]
        digest.update(json.dumps(told).encode())
        for array in (modality.features, modality.owner, modality.present, modality.text, modality.trend, modality.intensity):
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
