"""What CaLLiPer remembers of its training city's places, and how it sees the places of any city."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyproj
import torch
from torch import Tensor

from engine.city.samples import Histories, Places, Samples, VisitLog, build_samples
from engine.city.splits import Split
from engine.encoders.text import TextEncoder, text_encoder
from engine.errors import ConfigError
from engine.models.base import Data, Report
from engine.models.calliper_config import CaLLiPerConfig

_FEWEST_OF_A_KIND = 3


def samples_of(data: Data) -> Samples:
    """The samples of `data`, built where they are not there yet."""
    if data.samples is not None:
        return data.samples
    if not isinstance(data.split, Split):
        raise ConfigError("CaLLiPer learns from visits; give it a split of visits, not of cells.")
    return build_samples(VisitLog.of(data.city, data.split))


def place_text(category: str, name: str | None = None) -> str:
    """The sentence a text encoder reads about a place."""
    kind = category.strip() or "unknown kind"
    return f"{name}, a place of {kind}" if name else f"A place of {kind}"


def place_texts(places: Places, use_names: bool) -> list[str]:
    """One sentence per place; without names all places of a category share one."""
    categories = np.asarray(places.category_names, object)[places.category]
    if not use_names:
        return [place_text(str(category)) for category in categories]
    named = places.names != places.ids
    return [
        place_text(str(category), str(name) if has else None)
        for category, name, has in zip(categories, places.names, named, strict=True)
    ]


@dataclass(eq=False)
class PlaceView:
    """Places as the model sees them; the axis "location" is that of `places`.

    Attributes:
        places: The places.
        code: (location,) int64, 1 + row in the training vocabulary, 0 for a place nobody visited in training.
        xy: (location, 2) input of the position code, on the CPU: centred metres in float32, or degrees in float64.
        metres: (location, 2) float32, centred metres.
        text: (location,) int64 row in the text table (training texts, then `new_texts`).
        new_texts: (text, dimension) vectors of texts that training did not know, or None.
        log_popularity: (location,) log(1 + training visits); `log_popularity_of_new` for places nobody visited in training.
        log_popularity_of_new: (location,) the median over the training places of the same category (where there are at least
            `_FEWEST_OF_A_KIND`, and the settings say so), else over all.
        matrix_row: (location,) int64 row of a precomputed matrix; 0 where it has none.
        category: (location,) int64 index into the categories of `places`.
    """

    places: Places
    code: Tensor
    xy: Tensor
    metres: Tensor
    text: Tensor
    new_texts: Tensor | None
    log_popularity: Tensor
    log_popularity_of_new: Tensor
    matrix_row: Tensor
    category: Tensor
    _category_vectors: Tensor | None = field(default=None, init=False, repr=False)

    def category_vectors(self, text_vectors: Tensor) -> Tensor:
        """(category, dimension) the mean text vector of each category's places; (category, 0) where the model reads no text."""
        count = len(self.places.category_names)
        if not len(self.text) or not text_vectors.shape[1]:
            return text_vectors.new_zeros(count, 0)
        if self._category_vectors is None:
            texts = text_vectors if self.new_texts is None else torch.cat([text_vectors, self.new_texts])
            total = texts.new_zeros(count, texts.shape[1]).index_add(0, self.category, texts[self.text])
            places = torch.bincount(self.category, minlength=count)[:, None]
            self._category_vectors = total / places.clamp_min(1)
        return self._category_vectors

    @cached_property
    def is_seen(self) -> np.ndarray:
        """(location,) bool, whether training visited the place."""
        return self.code.cpu().numpy() > 0

    @cached_property
    def metres_array(self) -> np.ndarray:
        """`metres` for NumPy."""
        return self.metres.cpu().numpy().astype(np.float64)

    @cached_property
    def log_popularity_array(self) -> np.ndarray:
        """`log_popularity` for NumPy."""
        return self.log_popularity.cpu().numpy()

    @cached_property
    def _rows(self) -> np.ndarray:
        code = self.code.cpu().numpy()
        rows = np.full(int(code.max(initial=0)) + 1, -1, np.int64)
        rows[code] = np.arange(len(code))
        return rows

    def row_of_code(self, row: np.ndarray) -> np.ndarray:
        """Vocabulary rows to places here; -1 for those this city does not have (any more)."""
        within = row + 1 < len(self._rows)
        return np.where(within, self._rows[np.where(within, row + 1, 0)], -1)

    def pretend_new(self, new: np.ndarray) -> "PlaceView":
        """The same places, but as if nobody had visited some of them in training.

        Args:
            new: (location,) bool.
        """
        mask = torch.from_numpy(new).to(self.code.device)
        return replace(
            self,
            code=self.code.masked_fill(mask, 0),
            log_popularity=torch.where(mask, self.log_popularity_of_new, self.log_popularity),
        )

    def is_rankable(self, source: Literal["table", "precomputed"]) -> Tensor:
        """(location,) bool, places that have a vector of their own under this source."""
        return self.code > 0 if source == "table" else self.matrix_row > 0


@dataclass(eq=False)
class PlaceIndex:
    """The training vocabulary and how coordinates and texts are read.

    Attributes:
        ids: Training places, in the order of their codes.
        kinds: Category of every training place.
        impute_by_kind: Whether the popularity of a place nobody visited is taken from its category.
        metric_crs: CRS of centred metres.
        origin: (2,) metres that are subtracted.
        unit: Unit of the position code.
        use_names: Whether texts hold names.
        encoder_source, encoder_fingerprint: The text encoder and what its vectors depend on.
        texts: Texts of the table, sorted.
        text_vectors: (text, dimension).
        matrix: (row, feature) precomputed location vectors, row 0 the mean; (1, 1) where there are none.
        matrix_ids: Place of every further row of `matrix`.
    """

    ids: list[str]
    kinds: list[str]
    impute_by_kind: bool
    metric_crs: str
    origin: tuple[float, float]
    unit: Literal["metre", "degree"]
    use_names: bool
    encoder_source: str
    encoder_fingerprint: str
    texts: list[str]
    text_vectors: np.ndarray
    matrix: np.ndarray
    matrix_ids: list[str]

    @classmethod
    def fit(cls, places: Places, seen: np.ndarray, config: CaLLiPerConfig, report: Report | None = None) -> Self:
        """The index of the places seen in training.

        Args:
            places: All places of the city.
            seen: (location,) bool, visited in training and not hidden.
            config: Settings.
            report: Told what is being done.
        """
        reads_text = config.place_text or config.location_source == "calliper"
        texts = sorted({text for text, is_seen in zip(place_texts(places, config.use_names), seen, strict=True) if is_seen})
        encoder = text_encoder(config.text_encoder) if reads_text else None
        vectors = encoder.encode(texts) if encoder else np.zeros((0, 1), np.float32)
        if report:
            report("texts encoded", 0.8)
        matrix = np.zeros((1, 1), np.float32)
        matrix_ids: list[str] = []
        if config.location_source == "precomputed":
            matrix, matrix_ids = _read_matrix(Path(config.location_matrix).expanduser())
        index = cls(
            ids=[str(location) for location in places.ids[seen]],
            kinds=[places.category_names[category] for category in places.category[seen]],
            impute_by_kind=config.popularity_by_category,
            metric_crs=places.metric_crs,
            origin=(float(places.x[seen].mean()), float(places.y[seen].mean())),
            unit=config.coordinate_unit,
            use_names=config.use_names,
            encoder_source=config.text_encoder if reads_text else "",
            encoder_fingerprint=encoder.fingerprint if encoder else "",
            texts=texts,
            text_vectors=vectors,
            matrix=matrix,
            matrix_ids=matrix_ids,
        )
        index._encoder = encoder
        return index

    def __post_init__(self) -> None:
        self._code = {location: row + 1 for row, location in enumerate(self.ids)}
        self._text = {text: row for row, text in enumerate(self.texts)}
        self._encoder: TextEncoder | None = None
        self._users: tuple[np.ndarray, np.ndarray] | None = None

    def artefacts(self) -> dict[str, Any]:
        """JSON-ready description, saved with the run."""
        return {
            "locations": self.ids,
            "metric_crs": self.metric_crs,
            "origin": list(self.origin),
            "coordinate_unit": self.unit,
            "text_encoder": self.encoder_source,
            "text_encoder_fingerprint": self.encoder_fingerprint,
            "texts": self.texts,
        }

    def codes(self, places: Places) -> np.ndarray:
        """(location,) int64, 1 + vocabulary row, 0 for places nobody visited in training."""
        return np.fromiter((self._code.get(str(location), 0) for location in places.ids), np.int64, len(places))

    def coordinates(self, places: Places) -> np.ndarray:
        """(location, 2) float64 centred metres in the training city's CRS, whatever CRS the places come in."""
        x, y = places.x, places.y
        if places.metric_crs != self.metric_crs:
            project = pyproj.Transformer.from_crs("EPSG:4326", self.metric_crs, always_xy=True)
            x, y = project.transform(places.longitude, places.latitude)
        return np.stack([np.asarray(x) - self.origin[0], np.asarray(y) - self.origin[1]], axis=1)

    def encoder_input(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(point, 2) input of the position code for positions in metres of the training city's CRS."""
        if self.unit == "metre":
            return np.stack([x - self.origin[0], y - self.origin[1]], axis=1).astype(np.float32)
        project = pyproj.Transformer.from_crs(self.metric_crs, "EPSG:4326", always_xy=True)
        return np.stack(project.transform(x, y), axis=1)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(text, dimension) vectors of any texts, by the encoder the model was trained with.

        Raises:
            EncoderError: If the encoder is not there any more, or is another one than in training.
        """
        if self._encoder is None:
            self._encoder = text_encoder(self.encoder_source)
        return self._encoder.encode(list(texts))

    def view(self, places: Places, popularity: np.ndarray, device: torch.device) -> PlaceView:
        """These places as the model sees them.

        Args:
            places: Any places.
            popularity: (vocabulary,) log(1 + training visits).
            device: Where the model computes.
        """
        code = self.codes(places)
        metres = self.coordinates(places)
        texts = place_texts(places, self.use_names) if self.encoder_source else []
        unknown = sorted(set(texts) - self._text.keys())
        rows = self._text | {text: len(self.texts) + row for row, text in enumerate(unknown)}
        known = np.concatenate([[0.0], popularity])[code]
        of_new = self._popularity_of_new(places, popularity)
        log_popularity = np.where(code > 0, known, of_new).astype(np.float32)
        in_matrix = {location: row + 1 for row, location in enumerate(self.matrix_ids)}
        degrees = np.stack([places.longitude, places.latitude], axis=1)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        return PlaceView(
            places=places,
            code=tensor(code),
            xy=torch.from_numpy(metres.astype(np.float32) if self.unit == "metre" else degrees.astype(np.float64)),
            metres=tensor(metres.astype(np.float32)),
            text=tensor(np.array([rows[text] for text in texts], np.int64)),
            new_texts=tensor(self.encode(unknown)) if unknown else None,
            log_popularity=tensor(log_popularity),
            log_popularity_of_new=tensor(of_new.astype(np.float32)),
            matrix_row=tensor(np.array([in_matrix.get(str(location), 0) for location in places.ids], np.int64)),
            category=tensor(places.category.astype(np.int64)),
        )

    def _popularity_of_new(self, places: Places, popularity: np.ndarray) -> np.ndarray:
        """(location,) what a place nobody visited in training is expected to draw."""
        usual = float(np.median(popularity)) if len(popularity) else 0.0
        if not self.impute_by_kind:
            return np.full(len(places), usual)
        of_kind: dict[str, list[float]] = {}
        for kind, value in zip(self.kinds, popularity, strict=True):
            of_kind.setdefault(kind, []).append(float(value))
        typical = [
            float(np.median(of_kind[name])) if len(of_kind.get(name, ())) >= _FEWEST_OF_A_KIND else usual
            for name in places.category_names
        ]
        return np.array(typical)[places.category]

    def user_rows(self, histories: Histories, users: list[str]) -> np.ndarray:
        """(sample,) int64 row of each sample's user in the training vocabulary, -1 for users nobody knows."""
        kept = self._users
        if kept is None or kept[0] is not histories.users:
            known = {user: row for row, user in enumerate(users)}
            kept = (histories.users, np.array([known.get(str(user), -1) for user in histories.users] + [-1], np.int64))
            self._users = kept
        return kept[1][histories.user]


def _read_matrix(path: Path) -> tuple[np.ndarray, list[str]]:
    listing = path.with_suffix(".txt")
    if not path.is_file() or not listing.is_file():
        lacking = listing if path.is_file() else path
        raise ConfigError(f"`{lacking.name}` is missing. Location vectors need a `.npy` and a `.txt` of location ids beside it.")
    try:
        matrix = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ConfigError(f"`{path.name}` is not a plain array ({error}).") from None
    ids = listing.read_text(encoding="utf-8").splitlines()
    if matrix.ndim != 2 or len(matrix) != len(ids) or not len(ids) or not np.isfinite(matrix).all():
        raise ConfigError(f"`{path.name}` has shape {matrix.shape} for {len(ids)} ids; it must be finite, one row per location id.")
    matrix = matrix.astype(np.float32)
    return np.concatenate([matrix.mean(0, keepdims=True), matrix]), ids
