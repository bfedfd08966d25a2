"""What NextLocMoE reads: windows of visits in fixed columns, and the places of any city in normalised coordinates."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyproj
import torch
from torch import Tensor

from engine.city.samples import Histories, Places, Samples, VisitLog, build_samples
from engine.city.splits import Split
from engine.layers.history_encoder import keep_latest
from engine.layers.retrieval import PlaceRetrieval
from engine.models.base import Data
from engine.models.nextlocmoe_config import NextLocMoEConfig

SHORTEST_HOURS, LONGEST_HOURS = 0.1, 24.0


def samples_of(data: Data) -> Samples:
    """The samples of `data`, built where they are not there yet."""
    if data.samples is not None:
        return data.samples
    assert isinstance(data.split, Split), "next-location models are trained under a split of visits"
    return build_samples(VisitLog.of(data.city, data.split))


@dataclass(frozen=True, eq=False)
class Window:
    """The latest visits of every sample, padded on the left; column -1 is the latest visit.

    The last `current` columns are the current visits, all before them the long history.

    Attributes:
        location: (sample, step) int64, 0 where padded.
        hour, weekday: (sample, step) int64, local.
        duration: (sample, step) float32, 0 for a tenth of an hour, 1 for a day, logarithmic between.
        duration_known: (sample, step) bool.
        real: (sample, step) bool, False where padded.
        current: Number of current columns.
    """

    location: Tensor
    hour: Tensor
    weekday: Tensor
    duration: Tensor
    duration_known: Tensor
    real: Tensor
    current: int

    def __len__(self) -> int:
        return len(self.location)

    @classmethod
    def of(cls, histories: Histories, config: NextLocMoEConfig, device: torch.device | str = "cpu") -> Self:
        """The windows of histories; visits older than a window are left out, short histories are padded."""
        kept = keep_latest(histories, config.longest_history)
        lengths = kept.lengths
        width = max(int(lengths.max(initial=0)), config.current_visits)
        column = np.arange(width) - (width - lengths[:, None])  # (sample, step) position in the history, negative where padded
        real = column >= 0
        step = np.where(real, kept.offsets[:-1, None] + column, 0)
        own, before = visit_hours(kept, config.duration)
        hours = np.where(real, own[step], np.nan) if len(own) else np.full(step.shape, np.nan)
        if config.mask_last_duration and len(own):
            current = slice(width - config.current_visits, width)
            hours[:, current] = np.where(real, before[step], np.nan)[:, current]
        known = np.isfinite(hours)

        def pick(values: np.ndarray) -> Tensor:
            filled = np.where(real, values[step], 0) if len(values) else np.zeros(step.shape)
            return torch.from_numpy(filled.astype(np.int64)).to(device)

        return cls(
            location=pick(kept.location),
            hour=pick(kept.minute // 60),
            weekday=pick(kept.weekday),
            duration=torch.from_numpy(normalised_hours(np.where(known, hours, SHORTEST_HOURS))).to(device),
            duration_known=torch.from_numpy(known).to(device),
            real=torch.from_numpy(real).to(device),
            current=config.current_visits,
        )


def visit_hours(histories: Histories, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Hours that each visit lasted, and hours that the visit before it lasted.

    Args:
        histories: The visits.
        kind: "gap": until the next visit of the history. "stay": until the visit ended where that is known, else the gap.

    Returns:
        (step,) own hours: of the latest visit the stay, since the next visit is what is asked for; NaN where unknown. (step,) hours
        of the visit before; NaN for the oldest.
    """
    minutes = histories.day.astype(np.int64) * 1440 + histories.minute
    stay = histories.duration_minutes.astype(np.float64) / 60
    gap = np.full(len(minutes), np.nan)
    gap[:-1] = np.diff(minutes) / 60
    last = histories.last[histories.lengths > 0]
    first = histories.offsets[:-1][histories.lengths > 0]
    gap[last] = np.nan
    latest = np.zeros(len(minutes), bool)
    latest[last] = True
    own = np.where(np.isfinite(stay) & (latest | (kind == "stay")), stay, gap)
    before = np.full(len(own), np.nan)
    before[1:] = own[:-1]
    before[first] = np.nan
    return own, before


def normalised_hours(hours: np.ndarray) -> np.ndarray:
    """Hours, kept between a tenth of an hour and a day, on a logarithmic scale from 0 to 1; float32."""
    low, high = np.log1p(SHORTEST_HOURS), np.log1p(LONGEST_HOURS)
    return ((np.log1p(np.clip(hours, SHORTEST_HOURS, LONGEST_HOURS)) - low) / (high - low)).astype(np.float32)


@dataclass(eq=False)
class PlaceView:
    """Places as the model sees them; the axis "location" is that of `places`.

    Attributes:
        metres: (location, 2) float64, from the centre of the training visits, in the training city's CRS.
        xy: (location, 2) float32, normalised.
        log_popularity: (location,) float32, log(1 + training visits); the median for places nobody visited in training.
        code: (location,) int64, 1 + row in the training vocabulary, 0 for places nobody visited in training.
        turn: (location,) float32, 0 for the most popular place at its spot, 1 for the next, ...
    """

    places: Places
    metres: np.ndarray
    xy: Tensor
    log_popularity: Tensor
    code: np.ndarray
    turn: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.turn = torch.from_numpy(self.retrieval.turn.astype(np.float32)).to(self.xy.device)

    @cached_property
    def retrieval(self) -> PlaceRetrieval:
        """The KD-tree of the places."""
        return PlaceRetrieval(self.metres, self.log_popularity.cpu().numpy())

    @cached_property
    def is_seen(self) -> np.ndarray:
        """(location,) bool, whether training visited the place."""
        return self.code > 0

    @cached_property
    def row_of_code(self) -> np.ndarray:
        """(1 + vocabulary,) place of each vocabulary row + 1; -1 where this city does not have it (any more)."""
        rows = np.full(int(self.code.max(initial=0)) + 1, -1, np.int64)
        rows[self.code] = np.arange(len(self.code))
        rows[0] = -1
        return rows


@dataclass(eq=False)
class PlaceFrame:
    """The training vocabulary, and how coordinates are normalised: statistics of the training part only.

    Attributes:
        ids: Places visited in training.
        metric_crs: CRS of metres.
        centre: Mean of the training visits' coordinates, metres.
        scale: Metres per unit along x and y; the same twice where the frame is isotropic.
    """

    ids: list[str]
    metric_crs: str
    centre: tuple[float, float]
    scale: tuple[float, float]

    @classmethod
    def fit(cls, log: VisitLog, isotropic: bool) -> Self:
        """The frame of a log's training visits; a city whose visits are all at one spot gets a scale of one metre."""
        visited = log.location[log.training()]
        x, y = log.places.x[visited], log.places.y[visited]
        spread = np.array([x.std(), y.std()])
        spread = np.full(2, spread.mean()) if isotropic else spread
        scale = np.maximum(spread, 1.0)
        return cls(
            ids=[str(location) for location in log.places.ids[log.seen]],
            metric_crs=log.places.metric_crs,
            centre=(float(x.mean()), float(y.mean())),
            scale=(float(scale[0]), float(scale[1])),
        )

    def __post_init__(self) -> None:
        self._code = {location: row + 1 for row, location in enumerate(self.ids)}
        self._users: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def unit(self) -> float:
        """Metres of one unit, the mean of both axes."""
        return (self.scale[0] + self.scale[1]) / 2

    def artefacts(self) -> dict[str, Any]:
        """JSON-ready description, saved with the run."""
        return {"locations": self.ids, "metric_crs": self.metric_crs, "centre": list(self.centre), "scale": list(self.scale)}

    def metres(self, places: Places) -> np.ndarray:
        """(location, 2) float64 metres from the centre, whatever CRS the places come in."""
        x, y = places.x, places.y
        if places.metric_crs != self.metric_crs:
            project = pyproj.Transformer.from_crs("EPSG:4326", self.metric_crs, always_xy=True)
            x, y = project.transform(places.longitude, places.latitude)
        return np.stack([np.asarray(x) - self.centre[0], np.asarray(y) - self.centre[1]], axis=1)

    def view(self, places: Places, popularity: np.ndarray, device: torch.device) -> PlaceView:
        """These places as the model sees them; `popularity` is (vocabulary,) log(1 + training visits)."""
        code = np.fromiter((self._code.get(str(location), 0) for location in places.ids), np.int64, len(places))
        metres = self.metres(places)
        usual = float(np.median(popularity)) if len(popularity) else 0.0
        return PlaceView(
            places=places,
            metres=metres,
            xy=torch.from_numpy((metres / np.asarray(self.scale)).astype(np.float32)).to(device),
            log_popularity=torch.from_numpy(np.concatenate([[usual], popularity])[code].astype(np.float32)).to(device),
            code=code,
        )

    def user_rows(self, histories: Histories, users: list[str]) -> np.ndarray:
        """(sample,) int64 row of each sample's user in the training vocabulary, -1 for users nobody knows."""
        kept = self._users
        if kept is None or kept[0] is not histories.users:
            known = {user: row for row, user in enumerate(users)}
            kept = (histories.users, np.array([known.get(str(user), -1) for user in histories.users] + [-1], np.int64))
            self._users = kept
        return kept[1][histories.user]
